#include "lua/methods.h"

#include "lua/argument.h"
#include "lua/error.h"

/* The bytes of the Lua files. The Makefile makes the .inc files. */
static const char methods[] = {
#include "methods.inc"
};
static const char wait_function[] = {
#include "wait_function.inc"
};
static const char credentials[] = {
#include "credentials.inc"
};
static const char wait_nginx[] = {
#include "wait_nginx.inc"
};

/* raise(err): raises `err` unchanged. The program may have replaced Lua's function `error`.
 * [1, +0, v] */
static int raise_error(lua_State *L) {
  lua_settop(L, 1);
  return lua_error(L);
}

/* protected_call(f, ...): pcall for functions that may not yield; an attempt to yield is an error.
 * Also replaces Lua's pcall if the program has removed it. [1.., +1..] */
static int protected_call(lua_State *L) {
  bool ok = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0) == 0;
  lua_pushboolean(L, ok);
  lua_insert(L, 1);
  return lua_gettop(L);
}

/* Pushes the global pcall, or protected_call if it is not a function. [-0, +1, e] */
static void push_pcall(lua_State *L) {
  lua_getglobal(L, "pcall");
  if (lua_isfunction(L, -1)) return;
  lua_pop(L, 1);
  lua_pushcfunction(L, protected_call);
}

/* Pushes a Lua file as a chunk. Each is named "podero", which argument_push_where recognizes.
 * [-0, +1, e] */
static void load_file(lua_State *L, const char *text, size_t size) {
  if (luaL_loadbuffer(L, text, size, "=podero") != 0) lua_error(L);
}

/* Runs wait_function.lua and pushes its result. `functions`: stack index of the C functions.
 * [-0, +1, e] */
static void run_wait_function(lua_State *L, int functions) {
  load_file(L, wait_function, sizeof wait_function);
  lua_pushvalue(L, functions);
  push_pcall(L);
  lua_getglobal(L, "coroutine");
  lua_getglobal(L, "debug");
  lua_getglobal(L, "require");
  lua_getglobal(L, "setmetatable");
  lua_getglobal(L, "next");
  lua_getglobal(L, "type");
  lua_getglobal(L, "tostring");
  lua_call(L, 9, 1);
}

/* Runs credentials.lua and pushes its result. `by_function`: stack index of the result of
 * wait_function.lua. [-0, +1, e] */
static void run_credentials(lua_State *L, int functions, int by_function) {
  load_file(L, credentials, sizeof credentials);
  lua_pushvalue(L, functions);
  push_pcall(L);
  lua_getglobal(L, "setmetatable");
  lua_getglobal(L, "type");
  lua_getglobal(L, "tostring");
  lua_pushvalue(L, by_function);
  lua_call(L, 6, 1);
}

/* Runs wait_nginx.lua and pushes its result. `credentials_table`: stack index of the result of
 * credentials.lua. [-0, +1, e] */
static void run_wait_nginx(lua_State *L, int functions, int credentials_table) {
  load_file(L, wait_nginx, sizeof wait_nginx);
  lua_pushvalue(L, functions);
  lua_getglobal(L, "ngx");
  push_pcall(L);
  lua_getglobal(L, "require");
  lua_getglobal(L, "setmetatable");
  lua_getglobal(L, "type");
  lua_pushvalue(L, credentials_table);
  lua_call(L, 7, 1);
}

void methods_make(lua_State *L) {
  int begin = lua_gettop(L), functions = begin - 1;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pushcfunction(L, raise_error);
  lua_setfield(L, functions, "raise");
  lua_pushcfunction(L, protected_call);
  lua_setfield(L, functions, "protected_call");
  lua_pushcfunction(L, error_raise);
  lua_setfield(L, functions, "raise_failure");
  load_file(L, methods, sizeof methods);
  lua_pushvalue(L, functions);
  lua_pushvalue(L, begin);
  push_pcall(L);
  lua_getglobal(L, "setmetatable");
  lua_getglobal(L, "next");
  run_wait_function(L, functions);
  int by_function = lua_gettop(L);
  run_credentials(L, functions, by_function);
  run_wait_nginx(L, functions, by_function + 1);
  lua_getfield(L, by_function, "waits");
  lua_replace(L, functions); /* by podero.waits; the Lua files still refer to the functions */
  lua_call(L, 8, 1);
  lua_replace(L, begin);
  lua_insert(L, functions);
}
