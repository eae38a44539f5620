#include "lua/wait.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/loop/notifier.h"
#include "core/loop/reactor.h"
#include "core/loop/wakeup.h"
#include "lua/call_object.h"
#include "lua/client.h"

#define WAKEUP_TYPE "podero.wakeup"
#define POOL_TYPE "podero.wakeup_pool"
#define NOTIFIER_TYPE "podero.notifier"

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
  struct session *session = calls_session(L, 1);
  return session == NULL ? NULL : session_reactor(session);
}

static int due(lua_State *L) {
  lua_pushnumber(L, due_of(L));
  return 1;
}

static int timer(lua_State *L) {
  struct session *session = client_session(L, 1);
  struct reactor *reactor = session == NULL ? NULL : session_reactor(session);
  lua_pushnumber(L, reactor == NULL ? INFINITY : reactor_timeout(reactor));
  return 1;
}

static int pending(lua_State *L) {
  size_t bytes;
  if (!is_ready(L, &bytes)) return 0;
  lua_pushnumber(L, (lua_Number)bytes);
  return 1;
}

static int block(lua_State *L) {
  size_t bytes;
  struct reactor *reactor = reactor_of(L);
  if (reactor != NULL && !is_ready(L, &bytes)) reactor_wait(reactor, due_of(L));
  return 0;
}

static int run(lua_State *L) {
  struct session *session = client_session(L, 1);
  if (session == NULL) return 0;
  session_run_for(session, lua_tonumber(L, 2));
  double seconds = session_due(session);
  if (isinf(seconds)) return 0;
  lua_pushnumber(L, seconds);
  return 1;
}

/* ---- wakeups ---- */

/* Wakeups that nobody uses now are kept for the next, of whatever client: some event loops must be
 * told before a descriptor is closed that they have watched. There are few, since each holds two
 * descriptors. */
#define POOL_SIZE 8

struct pool {
  struct wakeup *wakeups[POOL_SIZE];
  size_t count;
};

static char pool_key; /* its address is the pool's key in the registry */

/* NULL if there is none any more: the Lua state is being closed. [-0, +0, -] */
static struct pool *pool_of(lua_State *L) {
  lua_pushlightuserdata(L, &pool_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  struct pool *pool = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return pool;
}

static int pool_gc(lua_State *L) {
  struct pool *pool = lua_touserdata(L, 1);
  while (pool->count > 0)
    wakeup_release(pool->wakeups[--pool->count]);
  return 0;
}

/* One from the pool, or a new one; NULL if there can be none. */
static struct wakeup *take_wakeup(struct pool *pool) {
  while (pool->count > 0) {
    struct wakeup *wakeup = pool->wakeups[--pool->count];
    if (wakeup_is_usable(wakeup)) {
      wakeup_clear(wakeup);
      return wakeup;
    }
    wakeup_release(wakeup);
  }
  return wakeup_new();
}

static struct wakeup *wakeup_at(lua_State *L, int index) {
  struct wakeup **place = lua_touserdata(L, index);
  return place == NULL ? NULL : *place;
}

/* new_wakeup(calls, tried) -> a wakeup or nil. If no descriptor is left, a collection may bring
 * back those of calls that were dropped; that is tried once for each waiter. [2, +0|1] */
static int new_wakeup(lua_State *L) {
  struct wakeup **place = lua_newuserdata(L, sizeof(struct wakeup *));
  *place = NULL;
  luaL_getmetatable(L, WAKEUP_TYPE);
  lua_setmetatable(L, -2);
  if (reactor_of(L) == NULL) return 0;
  errno = 0;
  *place = take_wakeup(pool_of(L));
  if (*place == NULL && (errno == EMFILE || errno == ENFILE) && !lua_toboolean(L, 2)) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    *place = take_wakeup(pool_of(L));
  }
  struct reactor *reactor = reactor_of(L); /* a finalizer may have closed the client */
  return *place != NULL && reactor != NULL && wakeup_attach(*place, reactor) ? 1 : 0;
}

/* keep_wakeup(wakeup), __gc [1, 0] */
static int keep_wakeup(lua_State *L) {
  struct wakeup **place = lua_touserdata(L, 1);
  struct pool *pool = pool_of(L);
  if (*place != NULL) wakeup_detach(*place);
  if (*place != NULL && pool != NULL && pool->count < POOL_SIZE)
    pool->wakeups[pool->count++] = *place;
  else
    wakeup_release(*place);
  *place = NULL;
  return 0;
}

/* [2, 0] */
static int set_wakeup(lua_State *L) {
  struct wakeup *wakeup = wakeup_at(L, 2);
  struct reactor *reactor = reactor_of(L);
  if (wakeup != NULL && reactor != NULL) wakeup_attach(wakeup, reactor);
  int count = calls_count(L, 1);
  for (int n = 1; n <= count; n++) {
    struct call *call = calls_get(L, 1, n);
    if (call != NULL) call_set_wakeup(call, wakeup);
  }
  return 0;
}

/* Whether it was neither given back, as by a finalizer, nor made by a parent process. [1, +1] */
static int is_usable(lua_State *L) {
  struct wakeup *wakeup = wakeup_at(L, 1);
  lua_pushboolean(L, wakeup != NULL && wakeup_is_usable(wakeup));
  return 1;
}

/* [1, +1] */
static int descriptor(lua_State *L) {
  lua_pushinteger(L, wakeup_descriptor(wakeup_at(L, 1)));
  return 1;
}

/* [1, +1] */
static int clear(lua_State *L) {
  struct wakeup *wakeup = wakeup_at(L, 1);
  lua_pushboolean(L, wakeup != NULL && wakeup_is_readable(wakeup));
  if (wakeup != NULL) wakeup_clear(wakeup);
  return 1;
}

/* [1, 0] */
static int signal_wakeup(lua_State *L) {
  struct wakeup *wakeup = wakeup_at(L, 1);
  if (wakeup != NULL) wakeup_signal(wakeup);
  return 0;
}

/* poll(seconds [, fd]): blocks until the descriptor is readable, for so many seconds (not more than
 * 60) at most. [1|2, 0] */
static int poll_descriptor(lua_State *L) {
  double seconds = fmin(fmax(lua_tonumber(L, 1), 0), 60);
  int fd = lua_isnoneornil(L, 2) ? -1 : (int)lua_tointeger(L, 2);
  struct pollfd watched = {.fd = fd, .events = POLLIN};
  poll(&watched, 1, (int)ceil(seconds * 1000));
  return 0;
}

/* ---- notifiers ---- */

/* NULL once closed: that is the pump's to do, or a finalizer's as the Lua state is closed, and
 * other finalizers may run after it. */
static struct notifier *notifier_at(lua_State *L, int index) {
  struct notifier **place = lua_touserdata(L, index);
  return *place;
}

/* [0, +0|3] */
static int open_notifier(lua_State *L) {
  struct notifier **place = lua_newuserdata(L, sizeof(struct notifier *));
  *place = NULL;
  luaL_getmetatable(L, NOTIFIER_TYPE);
  lua_setmetatable(L, -2);
  struct notifier *notifier = *place = notifier_new();
  if (notifier == NULL) return 0;
  lua_pushlstring(L, notifier_cookie(notifier), NOTIFIER_COOKIE_BYTES);
  if (notifier_path(notifier) != NULL)
    lua_pushstring(L, notifier_path(notifier));
  else
    lua_pushinteger(L, notifier_port(notifier));
  return 3;
}

/* [1, +1] */
static int start_notifier(lua_State *L) {
  struct notifier *notifier = notifier_at(L, 1);
  lua_pushboolean(L, notifier != NULL && notifier_start(notifier));
  return 1;
}

/* [2, +1] */
static int watch(lua_State *L) {
  struct notifier *notifier = notifier_at(L, 1);
  struct session *session = client_session(L, 2);
  struct reactor *reactor = session == NULL ? NULL : session_reactor(session);
  lua_pushboolean(L, notifier == NULL || reactor == NULL || notifier_watch(notifier, reactor));
  return 1;
}

/* [2, 0] */
static int wake_in(lua_State *L) {
  struct notifier *notifier = notifier_at(L, 1);
  if (notifier != NULL) notifier_wake_at(notifier, clock_monotonic() + lua_tonumber(L, 2));
  return 0;
}

/* [1, 0] */
static int wake(lua_State *L) {
  struct notifier *notifier = notifier_at(L, 1);
  if (notifier != NULL) notifier_wake(notifier);
  return 0;
}

/* [1, 0] */
static int signal_notifier(lua_State *L) {
  struct notifier *notifier = notifier_at(L, 1);
  if (notifier != NULL) notifier_signal(notifier);
  return 0;
}

/* [1, 0] */
static int clear_notifier(lua_State *L) {
  struct notifier *notifier = notifier_at(L, 1);
  if (notifier != NULL) notifier_clear(notifier);
  return 0;
}

/* notifier_close(notifier), __gc [1, 0] */
static int close_notifier(lua_State *L) {
  struct notifier **place = lua_touserdata(L, 1);
  notifier_free(*place);
  *place = NULL;
  return 0;
}

/* ---- the functions ---- */

/* Registers a metatable with one function. [-0, +1, m] */
static void new_metatable(lua_State *L, const char *name, lua_CFunction gc) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
}

void wait_open(lua_State *L) {
  new_metatable(L, WAKEUP_TYPE, keep_wakeup);
  new_metatable(L, NOTIFIER_TYPE, close_notifier);
  lua_pushlightuserdata(L, &pool_key);
  struct pool *pool = lua_newuserdata(L, sizeof *pool);
  *pool = (struct pool){0};
  new_metatable(L, POOL_TYPE, pool_gc);
  lua_setmetatable(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX); /* made before any wakeup: collected after them */
  lua_pop(L, 2);
}

void wait_set_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"clock", monotonic},
                                       {"due", due},
                                       {"timer", timer},
                                       {"pending", pending},
                                       {"block", block},
                                       {"new_wakeup", new_wakeup},
                                       {"keep_wakeup", keep_wakeup},
                                       {"set_wakeup", set_wakeup},
                                       {"is_usable", is_usable},
                                       {"descriptor", descriptor},
                                       {"clear", clear},
                                       {"signal", signal_wakeup},
                                       {"poll", poll_descriptor},
                                       {"run", run},
                                       {"notifier_new", open_notifier},
                                       {"notifier_start", start_notifier},
                                       {"notifier_watch", watch},
                                       {"notifier_wake_in", wake_in},
                                       {"notifier_wake", wake},
                                       {"notifier_signal", signal_notifier},
                                       {"notifier_clear", clear_notifier},
                                       {"notifier_close", close_notifier},
                                       {NULL, NULL}};
  compat_setfuncs(L, functions);
}
