/* Lua's garbage collector while a long list is decoded.
 *
 * All that is allocated for a list is kept until the list is whole: a collection in between marks
 * the users once more, and finds nothing. Since one begins whenever memory has doubled, a list that
 * grows to many times of what was there sets off several, and they take a fourth of the time. So
 * the collector is stopped while such a list is decoded, and runs whenever other code does.
 *
 * That needs a bound, since the collector forgets what was allocated meanwhile, and a program may
 * do nothing but read lists: it is stopped only while the list makes up a good third of the memory
 * in use. Where garbage is more than that, an earlier list above all, the collector runs until
 * enough of it is gone; it begins at once, and the new list is still short then. Where a program
 * has much else in memory, it is never stopped.
 *
 * A collector that the program has stopped is left alone; on Lua 5.1, which cannot tell, every one
 * is. */
#ifndef PODERO_COLLECTOR_H
#define PODERO_COLLECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lua/compat.h"

/* Users take half as much again as their text: if that is a fourth of the memory, they are more
 * than a third of it. */
#define COLLECTOR_SHARE 4

/* Stops the collector if that pays; then collector_release is to be called, come what may. No Lua
 * code may run in between. `bytes`: of the list's text, those included that are to be decoded now.
 * [-0, +0, -] */
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

/* [-0, +0, -] */
static inline void collector_release(lua_State *L) {
  lua_gc(L, LUA_GCRESTART, 0);
}

#endif
