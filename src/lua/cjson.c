#include "lua/cjson.h"

#include "lua/json_writer.h"

void cjson_open(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  lua_call(L, 1, 1);
  json_writer_open(L);
  lua_pop(L, 1);
}

void cjson_push_null(lua_State *L) {
  lua_pushlightuserdata(L, NULL);
}
