#include "lua/cjson.h"

void cjson_open(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  lua_call(L, 1, 0);
}

void cjson_push_null(lua_State *L) {
  lua_pushlightuserdata(L, NULL);
}
