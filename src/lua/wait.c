#include "lua/wait.h"

#include <errno.h>
#include <math.h>
#include <poll.h>

#include "core/clock.h"
#include "core/loop/notifier.h"
#include "core/loop/reactor.h"
#include "core/loop/wakeup.h"
#include "lua/call_object.h"
#include "lua/client.h"

#define WAKEUP_TYPE "podero.wakeup"
#define POOL_TYPE "podero.wakeup_pool"
#define NOTIFIER_TYPE "podero.notifier"

/* ---- calls ---- */

/* The functions of wait_set_functions, see the header. */

/* clock [0, +1] */
static int monotonic(lua_State *L) {
  lua_pushnumber(L, clock_monotonic());
  return 1;
}

/* Returns the seconds until a pause or a time limit of one of the calls at index 1 ends; 0 if one
 * of the calls has ended. [-0, +0, -] */
static double due_of(lua_State *L) {
  double seconds = INFINITY;
  int count = calls_count(L, 1);
  for (int n = 1; n <= count; n++) {
    const struct call *call = calls_get(L, 1, n);
    seconds = call == NULL ? 0 : fmin(seconds, call_due(call));
  }
  return seconds;
}

/* Returns whether call_step has something to do for one of the calls at index 1. Sets `*bytes` to
 * the number of bytes that the calls have not read. [-0, +0, -] */
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

/* Returns the reactor of the calls at index 1, or NULL if their client is closed. [-0, +0, -] */
static struct reactor *reactor_of(lua_State *L) {
  struct session *session = calls_session(L, 1);
  return session == NULL ? NULL : session_reactor(session);
}

/* [1, +1] */
static int due(lua_State *L) {
  lua_pushnumber(L, due_of(L));
  return 1;
}

/* [1, +1] */
static int timer(lua_State *L) {
  struct session *session = client_session(L, 1);
  struct reactor *reactor = session == NULL ? NULL : session_reactor(session);
  lua_pushnumber(L, reactor == NULL ? INFINITY : reactor_timeout(reactor));
  return 1;
}

/* [1, +0|1] */
static int pending(lua_State *L) {
  size_t bytes;
  if (!is_ready(L, &bytes)) return 0;
  lua_pushnumber(L, (lua_Number)bytes);
  return 1;
}

/* [1, +0] */
static int block(lua_State *L) {
  size_t bytes;
  struct reactor *reactor = reactor_of(L);
  if (reactor != NULL && !is_ready(L, &bytes)) reactor_wait(reactor, due_of(L));
  return 0;
}

/* [1, +1] */
static int has_ready_socket(lua_State *L) {
  struct reactor *reactor = reactor_of(L);
  if (reactor != NULL) reactor_wait(reactor, 0);
  lua_pushboolean(L, reactor != NULL && reactor_timeout(reactor) == 0);
  return 1;
}

/* [2, +0|2] */
static int run(lua_State *L) {
  struct session *session = client_session(L, 1);
  if (session == NULL) return 0;
  session_run_for(session, lua_tonumber(L, 2));
  if (session_lacks_descriptors(session)) {
    lua_gc(L, LUA_GCCOLLECT, 0); /* as run_step in lua/call_object.c does */
    session = client_session(L, 1);
    if (session == NULL) return 0;
  }
  double seconds = session_due(session);
  if (isinf(seconds)) return 0;
  lua_pushnumber(L, seconds);
  lua_pushboolean(L, session_wants_credentials(session));
  return 2;
}

/* ---- wakeups ---- */

/* Unused wakeups are kept in a pool, for the next waiter of any client: some event loops fail if a
 * descriptor that they watch is closed before they are told. The pool is small because each wakeup
 * has two descriptors. */
#define POOL_SIZE 8

struct pool {
  struct wakeup *wakeups[POOL_SIZE];
  size_t count;
};

static char pool_key; /* its address is the key of the pool in the registry */

/* Returns the pool of this Lua state, or NULL if it has been collected because the state is being
 * closed. [-0, +0, -] */
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

/* Returns a wakeup from the pool or a new one, which the caller owns. Returns NULL and sets errno
 * on failure. */
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

/* Returns the wakeup at `index`, or NULL for nil and after keep_wakeup. In Lua, a wakeup is a
 * userdata that holds a pointer to it. [-0, +0, -] */
static struct wakeup *wakeup_at(lua_State *L, int index) {
  struct wakeup **udata = lua_touserdata(L, index);
  return udata == NULL ? NULL : *udata;
}

/* new_wakeup(calls, tried) -> a wakeup or nothing. A collection may help because calls that nobody
 * refers to hold descriptors until they are collected. [2, +0|1] */
static int new_wakeup(lua_State *L) {
  struct wakeup **udata = lua_newuserdata(L, sizeof(struct wakeup *));
  *udata = NULL;
  luaL_getmetatable(L, WAKEUP_TYPE);
  lua_setmetatable(L, -2);
  if (reactor_of(L) == NULL) return 0;
  errno = 0;
  *udata = take_wakeup(pool_of(L));
  if (*udata == NULL && (errno == EMFILE || errno == ENFILE) && !lua_toboolean(L, 2)) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    *udata = take_wakeup(pool_of(L));
  }
  struct reactor *reactor = reactor_of(L); /* again, since a finalizer may have closed the client */
  return *udata != NULL && reactor != NULL ? 1 : 0;
}

/* keep_wakeup(wakeup), __gc [1, +0] */
static int keep_wakeup(lua_State *L) {
  struct wakeup **udata = lua_touserdata(L, 1);
  struct pool *pool = pool_of(L);
  if (*udata != NULL) wakeup_detach(*udata);
  if (*udata != NULL && pool != NULL && pool->count < POOL_SIZE)
    pool->wakeups[pool->count++] = *udata;
  else
    wakeup_release(*udata);
  *udata = NULL;
  return 0;
}

/* set_wakeup(calls, wakeup) -> boolean [2, +1] */
static int set_wakeup(lua_State *L) {
  struct wakeup *wakeup = wakeup_at(L, 2);
  struct reactor *reactor = reactor_of(L);
  bool attached = wakeup != NULL && reactor != NULL && wakeup_attach(wakeup, reactor);
  int count = calls_count(L, 1);
  for (int n = 1; n <= count; n++) {
    struct call *call = calls_get(L, 1, n);
    if (call != NULL) call_set_wakeup(call, wakeup);
  }
  lua_pushboolean(L, attached);
  return 1;
}

/* is_usable(wakeup) -> boolean [1, +1] */
static int is_usable(lua_State *L) {
  struct wakeup *wakeup = wakeup_at(L, 1);
  lua_pushboolean(L, wakeup != NULL && wakeup_is_usable(wakeup));
  return 1;
}

/* descriptor(wakeup) -> fd [1, +1] */
static int descriptor(lua_State *L) {
  lua_pushinteger(L, wakeup_descriptor(wakeup_at(L, 1)));
  return 1;
}

/* clear(wakeup) -> boolean [1, +1] */
static int clear(lua_State *L) {
  struct wakeup *wakeup = wakeup_at(L, 1);
  lua_pushboolean(L, wakeup != NULL && wakeup_is_readable(wakeup));
  if (wakeup != NULL) wakeup_clear(wakeup);
  return 1;
}

/* signal(wakeup) [1, +0] */
static int signal_wakeup(lua_State *L) {
  struct wakeup *wakeup = wakeup_at(L, 1);
  if (wakeup != NULL) wakeup_signal(wakeup);
  return 0;
}

/* poll(seconds [, fd]). The function poll ignores a negative descriptor, and then only sleeps.
 * [1|2, +0] */
static int poll_descriptor(lua_State *L) {
  double seconds = fmin(fmax(lua_tonumber(L, 1), 0), 60);
  struct pollfd entry = {.fd = lua_isnoneornil(L, 2) ? -1 : (int)lua_tointeger(L, 2),
                         .events = POLLIN};
  poll(&entry, 1, (int)ceil(seconds * 1000));
  return 0;
}

/* ---- notifiers ---- */

/* Returns the notifier at `index`, or NULL after notifier_close or its finalizer: when the Lua
 * state is closed, other finalizers may still use it. In Lua, a notifier is a userdata that holds a
 * pointer to it. [-0, +0, -] */
static struct notifier *notifier_at(lua_State *L, int index) {
  struct notifier **udata = lua_touserdata(L, index);
  return *udata;
}

/* notifier_new() -> notifier, cookie, path or port; or nothing [0, +0|3] */
static int new_notifier(lua_State *L) {
  struct notifier **udata = lua_newuserdata(L, sizeof(struct notifier *));
  *udata = NULL;
  luaL_getmetatable(L, NOTIFIER_TYPE);
  lua_setmetatable(L, -2);
  struct notifier *notifier = *udata = notifier_new();
  if (notifier == NULL) return 0;
  lua_pushlstring(L, notifier_cookie(notifier), NOTIFIER_COOKIE_BYTES);
  if (notifier_path(notifier) != NULL)
    lua_pushstring(L, notifier_path(notifier));
  else
    lua_pushinteger(L, notifier_port(notifier));
  return 3;
}

/* notifier_start(notifier) -> boolean [1, +1] */
static int start_notifier(lua_State *L) {
  struct notifier *notifier = notifier_at(L, 1);
  lua_pushboolean(L, notifier != NULL && notifier_start(notifier));
  return 1;
}

/* notifier_watch(notifier, client) -> boolean [2, +1] */
static int watch_client(lua_State *L) {
  struct notifier *notifier = notifier_at(L, 1);
  struct session *session = client_session(L, 2);
  struct reactor *reactor = session == NULL ? NULL : session_reactor(session);
  lua_pushboolean(L, notifier == NULL || reactor == NULL || notifier_watch(notifier, reactor));
  return 1;
}

/* notifier_wake_in(notifier, seconds) [2, +0] */
static int wake_notifier_in(lua_State *L) {
  struct notifier *notifier = notifier_at(L, 1);
  if (notifier != NULL) notifier_wake_at(notifier, clock_monotonic() + lua_tonumber(L, 2));
  return 0;
}

/* notifier_signal(notifier) [1, +0] */
static int signal_notifier(lua_State *L) {
  struct notifier *notifier = notifier_at(L, 1);
  if (notifier != NULL) notifier_signal(notifier);
  return 0;
}

/* notifier_clear(notifier) [1, +0] */
static int clear_notifier(lua_State *L) {
  struct notifier *notifier = notifier_at(L, 1);
  if (notifier != NULL) notifier_clear(notifier);
  return 0;
}

/* notifier_close(notifier), __gc [1, +0] */
static int close_notifier(lua_State *L) {
  struct notifier **udata = lua_touserdata(L, 1);
  notifier_free(*udata);
  *udata = NULL;
  return 0;
}

/* ---- the functions ---- */

/* Registers a metatable with the finalizer `gc` as `name`, and pushes it. [-0, +1, m] */
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
  /* When the Lua state is closed, userdata are finalized in the reverse order of their creation. So
   * the pool, which is created before any wakeup, is finalized after them. */
  lua_rawset(L, LUA_REGISTRYINDEX);
  lua_pop(L, 2);
}

void wait_set_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"clock", monotonic},
                                       {"due", due},
                                       {"timer", timer},
                                       {"pending", pending},
                                       {"block", block},
                                       {"has_ready_socket", has_ready_socket},
                                       {"new_wakeup", new_wakeup},
                                       {"keep_wakeup", keep_wakeup},
                                       {"set_wakeup", set_wakeup},
                                       {"is_usable", is_usable},
                                       {"descriptor", descriptor},
                                       {"clear", clear},
                                       {"signal", signal_wakeup},
                                       {"poll", poll_descriptor},
                                       {"run", run},
                                       {"notifier_new", new_notifier},
                                       {"notifier_start", start_notifier},
                                       {"notifier_watch", watch_client},
                                       {"notifier_wake_in", wake_notifier_in},
                                       {"notifier_signal", signal_notifier},
                                       {"notifier_clear", clear_notifier},
                                       {"notifier_close", close_notifier},
                                       {NULL, NULL}};
  compat_setfuncs(L, functions);
}
