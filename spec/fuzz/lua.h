/* For fuzzers whose oracle is written in Lua: calls the function of spec/fuzz/NAME.lua with each
 * input, and aborts if it raises an error. */
#ifndef PODERO_FUZZ_LUA_H
#define PODERO_FUZZ_LUA_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int luaopen_decoder(lua_State *L);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lua_State *fuzz_lua(const char *script) {
  lua_State *L = luaL_newstate();
  if (L == NULL) abort();
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_decoder);
  lua_setfield(L, -2, "decoder");
  lua_settop(L, 0);
  if (luaL_loadfile(L, script) != 0 || lua_pcall(L, 0, 1, 0) != 0) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  return L;
}

static int fuzz_with(const char *script, const uint8_t *data, size_t size) {
  static lua_State *L;
  if (L == NULL) L = fuzz_lua(script);
  lua_pushvalue(L, 1);
  lua_pushlstring(L, (const char *)data, size);
  if (lua_pcall(L, 1, 0, 0) != 0) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  return 0;
}

#endif
