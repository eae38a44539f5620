#include "lua/wait.h"

#include <math.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/reactor.h"
#include "lua/call.h"

#define BELL_TYPE "podero.bell"
#define BELFRY_TYPE "podero.belfry"

/* ---- what there is to do ---- */

static int monotonic(lua_State *L) {
  lua_pushnumber(L, clock_monotonic());
  return 1;
}

/* Seconds until something is due for one of the calls at index 1, whatever arrives. */
static double due_of(lua_State *L) {
  double seconds = INFINITY;
  int count = calls_count(L, 1);
  for (int n = 1; n <= count; n++) {
    const struct call *call = calls_get(L, 1, n);
    seconds = call == NULL ? 0 : fmin(seconds, call_due(call));
  }
  return seconds;
}

/* Whether there is something to do for one of the calls at index 1, and bytes for all of them. */
static bool is_ready(lua_State *L, size_t *bytes) {
  bool ready = false;
  int count = calls_count(L, 1);
  *bytes = 0;
  for (int n = 1; n <= count; n++) {
    const struct call *call = calls_get(L, 1, n);
    size_t more = 0;
    ready = call == NULL || call_is_ready(call, &more) || ready;
    *bytes += more;
  }
  return ready;
}

/* NULL once the client is closed. */
static struct reactor *reactor_of(lua_State *L) {
  struct agent *agent = calls_agent(L, 1);
  return agent == NULL ? NULL : agent_reactor(agent);
}

static int due(lua_State *L) {
  struct reactor *reactor = lua_toboolean(L, 2) ? reactor_of(L) : NULL;
  double seconds = due_of(L);
  if (reactor != NULL) seconds = fmin(seconds, reactor_due(reactor));
  lua_pushnumber(L, seconds);
  return 1;
}

static int pending(lua_State *L) {
  size_t bytes;
  if (!is_ready(L, &bytes)) return 0;
  lua_pushnumber(L, (lua_Number)bytes);
  return 1;
}

static int drive(lua_State *L) {
  struct agent *agent = calls_agent(L, 1);
  lua_pushboolean(L, agent != NULL && agent_drive(agent, lua_tonumber(L, 2)));
  return 1;
}

static int block(lua_State *L) {
  size_t bytes;
  struct reactor *reactor = reactor_of(L);
  if (reactor != NULL && !is_ready(L, &bytes)) reactor_wait(reactor, due_of(L));
  return 0;
}

/* ---- bells ---- */

/* Bells that nobody uses now, of a Lua state. They are kept for the next, of whatever client, until
 * the state ends: there are schedulers for which a descriptor may not just vanish. */
struct belfry {
  struct bell **bells;
  size_t count, capacity;
};

static const char belfry_key; /* its address is the belfry's place in the registry */

/* NULL where there is none any more: the state is ending. [-0, +0, -] */
static struct belfry *belfry_of(lua_State *L) {
  lua_pushlightuserdata(L, (void *)&belfry_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  struct belfry *belfry = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return belfry;
}

static int belfry_gc(lua_State *L) {
  struct belfry *belfry = lua_touserdata(L, 1);
  while (belfry->count > 0)
    bell_release(belfry->bells[--belfry->count]);
  free(belfry->bells);
  *belfry = (struct belfry){0};
  return 0;
}

/* Takes the bell over. */
static void put_away(struct belfry *belfry, struct bell *bell) {
  if (belfry->count == belfry->capacity) {
    size_t capacity = belfry->capacity == 0 ? 4 : belfry->capacity * 2;
    struct bell **bells = realloc(belfry->bells, capacity * sizeof(struct bell *));
    if (bells == NULL) {
      bell_release(bell);
      return;
    }
    belfry->bells = bells;
    belfry->capacity = capacity;
  }
  belfry->bells[belfry->count++] = bell;
}

/* One that was put away, or a new one; NULL where there can be none. */
static struct bell *take_bell(struct belfry *belfry) {
  while (belfry->count > 0) {
    struct bell *bell = belfry->bells[--belfry->count];
    if (bell_is_ours(bell)) return bell;
    bell_release(bell);
  }
  return bell_new();
}

static struct bell *bell_at(lua_State *L, int index) {
  struct bell **slot = lua_touserdata(L, index);
  return slot == NULL ? NULL : *slot;
}

static int lend_bell(lua_State *L) {
  struct bell **slot = lua_newuserdata(L, sizeof(struct bell *));
  *slot = NULL;
  luaL_getmetatable(L, BELL_TYPE);
  lua_setmetatable(L, -2);
  struct reactor *reactor = reactor_of(L);
  *slot = reactor == NULL ? NULL : take_bell(belfry_of(L));
  return *slot != NULL && bell_hang(*slot, reactor) ? 1 : 0;
}

/* give_back(bell), __gc [1, 0] */
static int give_back(lua_State *L) {
  struct bell **slot = lua_touserdata(L, 1);
  struct belfry *belfry = belfry_of(L);
  if (*slot != NULL) put_away(belfry, *slot);
  *slot = NULL;
  return 0;
}

static int set_bell(lua_State *L) {
  struct bell *bell = bell_at(L, 2);
  int count = calls_count(L, 1);
  for (int n = 1; n <= count; n++) {
    struct call *call = calls_get(L, 1, n);
    if (call != NULL) call_set_bell(call, bell);
  }
  return 0;
}

/* serves(bell) -> whether it can be waited on: neither given back, as by a finalizer, nor a
 * parent's. [1, +1] */
static int serves(lua_State *L) {
  struct bell *bell = bell_at(L, 1);
  lua_pushboolean(L, bell != NULL && bell_is_ours(bell));
  return 1;
}

static int descriptor(lua_State *L) {
  lua_pushinteger(L, bell_descriptor(bell_at(L, 1)));
  return 1;
}

/* listen(bell) -> whether its descriptor was readable; hushes it [1, +1] */
static int listen_to(lua_State *L) {
  struct bell *bell = bell_at(L, 1);
  lua_pushboolean(L, bell != NULL && bell_is_readable(bell));
  if (bell != NULL) bell_hush(bell);
  return 1;
}

/* Registers a metatable with one function. [-0, +1, m] */
static void new_metatable(lua_State *L, const char *name, lua_CFunction gc) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
}

void wait_open(lua_State *L) {
  new_metatable(L, BELL_TYPE, give_back);
  lua_pushlightuserdata(L, (void *)&belfry_key);
  struct belfry *belfry = lua_newuserdata(L, sizeof *belfry);
  *belfry = (struct belfry){0};
  new_metatable(L, BELFRY_TYPE, belfry_gc);
  lua_setmetatable(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX); /* made before any bell: collected after them */
  lua_pop(L, 1);
}

void wait_set_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"clock", monotonic},       {"due", due},           {"pending", pending},
      {"drive", drive},           {"block", block},       {"lend_bell", lend_bell},
      {"give_back", give_back},   {"set_bell", set_bell}, {"serves", serves},
      {"descriptor", descriptor}, {"listen", listen_to},  {NULL, NULL}};
  compat_setfuncs(L, functions);
}
