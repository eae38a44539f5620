/* Stops Lua's garbage collector while a long list is decoded.
 *
 * All memory of a list is in use until the list is complete: a collection before that marks all of
 * it and frees nothing. A collection begins whenever memory has doubled, so a list that grows large
 * causes several of them, which take a quarter of the time. The collector is stopped only while a
 * piece is decoded, and runs as usual between two pieces.
 *
 * The collector does not count what is allocated while it is stopped. If it were stopped for every
 * list, a program that does nothing but read lists would collect too late. So it is stopped only if
 * the list is more than a third of the memory in use. If garbage, of an earlier list for example,
 * takes most of the memory, the collector frees it first, while the new list is still short.
 *
 * If the program has stopped the collector itself, nothing is changed. Lua 5.1 cannot tell whether
 * it has, so there the collector is never stopped. */
#ifndef PODERO_COLLECTOR_H
#define PODERO_COLLECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lua/compat.h"

/* The tables of users take 1.5 times as much memory as their text. So if the text is as large as a
 * quarter of the memory in use, the tables take more than a third of it. */
#define COLLECTOR_SHARE 4

/* Stops the collector if the list is long enough. `bytes`: size of the list's text so far,
 * including what is decoded next. If this returns true, the collector was stopped: call
 * collector_release before any other Lua code runs, even after an error. [-0, +0, -] */
static inline bool collector_hold(lua_State *L, uint64_t bytes) {
#ifdef LUA_GCISRUNNING
  uint64_t kilobytes = (uint64_t)lua_gc(L, LUA_GCCOUNT, 0);
  if (lua_gc(L, LUA_GCISRUNNING, 0) != 1 || bytes / 1024 < kilobytes / COLLECTOR_SHARE)
    return false;
  lua_gc(L, LUA_GCSTOP, 0);
  return true;
#else
  (void)L;
  (void)bytes;
  return false;
#endif
}

/* Restarts the collector. [-0, +0, -] */
static inline void collector_release(lua_State *L) {
  lua_gc(L, LUA_GCRESTART, 0);
}

#endif
