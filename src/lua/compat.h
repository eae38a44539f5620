/* Hides the differences between Lua 5.1, LuaJIT, 5.2, 5.3, 5.4 and 5.5.
 *
 * Comments give a function's effect on the stack as the manual of Lua 5.4 does: [-o, +p, x] pops o
 * values and pushes p. x tells which errors it may raise: "-" none; "m" only out of memory; "v"
 * those that the comment names; "e" any, because it may run Lua code. For a lua_CFunction, [n, +m]
 * gives the number of arguments and of results. a|b is one of two numbers, a..b a range, a.. a or
 * more, and ? any number. */
#ifndef PODERO_COMPAT_H
#define PODERO_COMPAT_H

#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#if defined __GNUC__
#define PODERO_EXPORT __attribute__((visibility("default")))
#else
#define PODERO_EXPORT
#endif

#if LUA_VERSION_NUM == 501

#define lua_rawlen lua_objlen
/* A userdata of Lua 5.1 has an environment instead of a user value. It must be a table, as all user
 * values of this module are. */
#define lua_getuservalue(L, index) lua_getfenv(L, index)
#define lua_setuservalue(L, index) lua_setfenv(L, index)

static inline int compat_absindex(lua_State *L, int index) {
  return index > 0 || index <= LUA_REGISTRYINDEX ? index : lua_gettop(L) + index + 1;
}
#define lua_absindex compat_absindex

#endif

/* lua_error, declared as a function that does not return. [-1, +0, v] */
static inline _Noreturn void compat_error(lua_State *L) {
  lua_error(L);
  __builtin_unreachable();
}

/* Pushes an integer if this Lua has integers, else the nearest float. On Lua 5.1, 5.2 and LuaJIT,
 * lua_pushinteger would truncate the value to ptrdiff_t. [-0, +1, -] */
static inline void compat_push_int64(lua_State *L, int64_t value) {
#if LUA_VERSION_NUM >= 503
  lua_pushinteger(L, (lua_Integer)value);
#else
  lua_pushnumber(L, (lua_Number)value);
#endif
}

/* Sets table[index] to the value on top, without metamethods, and pops it. Returns false and does
 * nothing if `index` is too large for lua_rawseti. [-(0|1), +0, m] */
static inline bool compat_set_element(lua_State *L, int table, uint64_t index) {
#if LUA_VERSION_NUM >= 503
  lua_rawseti(L, table, (lua_Integer)index);
#else
  if (index > INT_MAX) return false;
  lua_rawseti(L, table, (int)index);
#endif
  return true;
}

/* Registers a metatable as `name`, with this __gc. [-0, +0, m] */
static inline void compat_register_gc(lua_State *L, const char *name, lua_CFunction gc) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

/* Returns whether the value at `index` has the metatable registered as `name`. [-0, +0, -] */
static inline bool compat_has_metatable(lua_State *L, int index, const char *name) {
  if (!lua_getmetatable(L, index)) return false;
  luaL_getmetatable(L, name);
  bool same = lua_rawequal(L, -1, -2) != 0;
  lua_pop(L, 2);
  return same;
}

/* luaL_testudata: returns the userdata at `index` if it has the metatable registered as `name`,
 * else NULL. [-0, +0, -] */
static inline void *compat_testudata(lua_State *L, int index, const char *name) {
  void *data = lua_touserdata(L, index);
  return data != NULL && compat_has_metatable(L, index, name) ? data : NULL;
}

/* luaL_setfuncs without upvalues: sets the functions in the table on top. The array ends with a
 * NULL name. [-0, +0, m] */
static inline void compat_setfuncs(lua_State *L, const luaL_Reg *functions) {
  for (; functions->name != NULL; functions++) {
    lua_pushcfunction(L, functions->func);
    lua_setfield(L, -2, functions->name);
  }
}

#endif
