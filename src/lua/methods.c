#include "lua/methods.h"

/* Made from methods.lua when the module is built. */
static const char text[] = {
#include "methods.inc"
};

/* raise(err): error without a position. */
static int raise_error(lua_State *L) {
  lua_settop(L, 1);
  return lua_error(L);
}

/* Where Lua's own was taken away; no coroutine yields across it. */
static int protected_call(lua_State *L) {
  bool ok = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0) == 0;
  lua_pushboolean(L, ok);
  lua_insert(L, 1);
  return lua_gettop(L);
}

/* Copies a global into the table on top. [-0, +0, m] */
static void lend_global(lua_State *L, const char *name) {
  lua_getglobal(L, name);
  lua_setfield(L, -2, name);
}

void methods_make(lua_State *L) {
  int begin = lua_gettop(L);
  lua_pushvalue(L, begin - 1);
  lua_pushcfunction(L, raise_error);
  lua_setfield(L, -2, "raise");
  lend_global(L, "require");
  lend_global(L, "setmetatable");
  if (luaL_loadbuffer(L, text, sizeof text, "=podero") != 0) lua_error(L);
  lua_replace(L, begin + 1); /* instead of the copy: begin - 1: functions, begin, the chunk */
  lua_insert(L, begin - 1);
  lua_getglobal(L, "pcall");
  if (!lua_isfunction(L, -1)) {
    lua_pop(L, 1);
    lua_pushcfunction(L, protected_call);
  }
  lua_getglobal(L, "ngx");
  lua_call(L, 4, 1);
}
