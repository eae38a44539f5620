#include "lua/role.h"

#include "lua/user_schema.h"

/* __newindex [3, +0] */
static int role_newindex(lua_State *L) {
  return luaL_error(L, "podero.Role cannot be changed");
}

/* __index, for a key that does not exist [2, +0] */
static int role_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING)
    return luaL_error(L, "podero.Role has no key of type %s", luaL_typename(L, 2));
  return luaL_error(L, "podero.Role has no '%s'", lua_tostring(L, 2));
}

/* The iterator of __pairs [2, +1|2] */
static int role_next(lua_State *L) {
  lua_settop(L, 2);
  return lua_next(L, 1) ? 2 : 0;
}

/* __pairs. podero.Role itself is empty, so that __newindex is called for each assignment. Upvalue 1
 * is the table with the roles. [1.., +3] */
static int role_pairs(lua_State *L) {
  lua_pushcfunction(L, role_next);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushnil(L);
  return 3;
}

/* Pushes the table with the roles: { ADMIN = "admin", ... }. [-0, +1, m] */
static void push_names(lua_State *L) {
  lua_newtable(L);
  for (const char *const *role = user_roles; *role != NULL; role++) {
    luaL_Buffer name;
    luaL_buffinit(L, &name);
    for (const char *c = *role; *c != '\0'; c++)
      luaL_addchar(&name, (char)(*c - 'a' + 'A'));
    luaL_pushresult(&name);
    lua_pushstring(L, *role);
    lua_rawset(L, -3);
  }
}

void role_push(lua_State *L) {
  lua_newtable(L); /* podero.Role */
  lua_newtable(L); /* its metatable */
  push_names(L);
  lua_newtable(L); /* the metatable of the table with the roles */
  lua_pushcfunction(L, role_index);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, role_pairs, 1);
  lua_setfield(L, -3, "__pairs");
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, role_newindex);
  lua_setfield(L, -2, "__newindex");
  lua_pushboolean(L, false);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
}
