/* User values: numbered Lua values that belong to a userdata of this module. On Lua 5.4 and later
 * they are those of lua_newuserdatauv; on older Luas, elements of a table that is the only user
 * value. */
#ifndef PODERO_USER_VALUE_H
#define PODERO_USER_VALUE_H

#include <string.h>

#include "lua/compat.h"

/* Pushes and returns a new userdata of `size` zero bytes, with `count` user values, all nil, and
 * the metatable registered as `type`. [-0, +1, m] */
static inline void *user_value_new_object(lua_State *L, size_t size, int count, const char *type) {
#if LUA_VERSION_NUM >= 504
  void *object = lua_newuserdatauv(L, size, count);
#else
  void *object = lua_newuserdata(L, size);
  lua_createtable(L, count, 0);
  lua_setuservalue(L, -2);
#endif
  memset(object, 0, size);
  luaL_getmetatable(L, type);
  lua_setmetatable(L, -2);
  return object;
}

/* Sets user value `n` (from 1 on) of the userdata at `index` to the value on top. [-1, +0, m]
 */
static inline void user_value_set(lua_State *L, int index, int n) {
#if LUA_VERSION_NUM >= 504
  lua_setiuservalue(L, index, n);
#else
  lua_getuservalue(L, index);
  lua_insert(L, -2);
  lua_rawseti(L, -2, n);
  lua_pop(L, 1);
#endif
}

/* Pushes user value `n` of the userdata at `index`. [-0, +1, -] */
static inline void user_value_get(lua_State *L, int index, int n) {
#if LUA_VERSION_NUM >= 504
  lua_getiuservalue(L, index, n);
#else
  lua_getuservalue(L, index);
  lua_rawgeti(L, -1, n);
  lua_remove(L, -2);
#endif
}

#endif
