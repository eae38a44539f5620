/* Stops Lua's garbage collector while a long list is decoded.
 *
 * What is allocated for a list is referred to until the list is complete: a collection in between
 * marks it all, and frees nothing. Collections begin whenever memory has doubled; so a list that
 * grows to many times of the memory before causes several, which take a fourth of the time. The
 * collector is stopped only during the decoding itself, and runs as usual between two pieces.
 *
 * It is not stopped for every list: it does not count what is allocated while it is stopped, so a
 * program that only reads lists would collect too late. Only if the list is more than a third of
 * the memory in use, it is stopped. If garbage (of an earlier list, say) takes more, the collector
 * frees that first, while the new list is short.
 *
 * If the program has stopped the collector itself, nothing is changed. Lua 5.1 cannot tell whether
 * it has: there the collector is never stopped here. */
#ifndef PODERO_COLLECTOR_H
#define PODERO_COLLECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lua/compat.h"

/* Tables of users take 1.5 times the memory of their text: so if the text is a fourth of all memory
 * in use, the tables are more than a third. */
#define COLLECTOR_SHARE 4

/* Stops the collector if the list is long enough. Returns whether it has: then collector_release
 * has to be called, also after an error, before any other Lua code runs. `bytes`: size of the
 * list's text so far, including what is decoded next. [-0, +0, -] */
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
