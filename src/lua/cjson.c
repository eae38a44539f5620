#include "lua/cjson.h"

#include <string.h>

static char decode_key; /* its address is the decode function's place in the registry */

void cjson_open(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "new");
  lua_call(L, 0, 1);
  lua_getfield(L, -1, "decode_invalid_numbers");
  lua_pushboolean(L, false); /* NaN, Infinity, hexadecimal: not JSON */
  lua_call(L, 1, 0);
  lua_pushlightuserdata(L, &decode_key);
  lua_getfield(L, -2, "decode");
  lua_rawset(L, LUA_REGISTRYINDEX);
  lua_pop(L, 2);
}

/* lua-cjson's null, and ngx.null. */
void cjson_push_null(lua_State *L) {
  lua_pushlightuserdata(L, NULL);
}

bool cjson_decode(lua_State *L) {
  size_t size;
  const char *text = lua_tolstring(L, -1, &size);
  if (memchr(text, '\0', size) != NULL) { /* lua-cjson takes it for the end */
    lua_pop(L, 1);
    lua_pushliteral(L, "it contains a NUL");
    return false;
  }
  lua_pushlightuserdata(L, &decode_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  lua_insert(L, -2);
  int code = lua_pcall(L, 1, 1, 0);
  if (code == 0) return true;
  if (code == LUA_ERRMEM) lua_error(L);
  if (lua_type(L, -1) !=
      LUA_TSTRING) { /* not lua-cjson's: on Lua 5.1 to 5.3 finalizers can raise */
    lua_pop(L, 1);
    lua_pushliteral(L, "an error that is no text");
  }
  return false;
}
