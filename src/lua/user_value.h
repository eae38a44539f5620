/* The slots that lie beside each of our userdata, with the Lua values that belong to it: user
 * values on Lua 5.4, before that a table. */
#ifndef PODERO_USER_VALUE_H
#define PODERO_USER_VALUE_H

#include <string.h>

#include "lua/compat.h"

/* Pushes a userdata of `size` zero bytes with the metatable registered as `type` and room for
 * `slots`. [-0, +1, m] */
static inline void *user_value_new_object(lua_State *L, size_t size, int slots, const char *type) {
#if LUA_VERSION_NUM >= 504
  void *object = lua_newuserdatauv(L, size, slots);
#else
  void *object = lua_newuserdata(L, size);
  lua_createtable(L, slots, 0);
  lua_setuservalue(L, -2);
#endif
  memset(object, 0, size);
  luaL_getmetatable(L, type);
  lua_setmetatable(L, -2);
  return object;
}

/* Sets slot `n` of the userdata at `index` to the value on top. [-1, +0, m] */
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

/* Pushes slot `n` of the userdata at `index`. [-0, +1, -] */
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
