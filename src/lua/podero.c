/* The module's entry point. */
#include "core/rfc3339.h"
#include "lua/argument.h"
#include "lua/client.h"
#include "lua/compat.h"
#include "lua/error.h"
#include "lua/json_value.h"
#include "lua/json_writer.h"
#include "lua/log.h"
#include "lua/options.h"
#include "lua/role.h"
#include "lua/text_buffer.h"
#include "version.h"

/* podero.time(text) -> seconds since 1970-01-01 UTC, an integer if the text has no fraction; or nil
 * and a message if the text is not an RFC 3339 date-time. Raises an error if it is not a string.
 * [1.., +1|2, v] */
static int time_of(lua_State *L) {
  if (lua_type(L, 1) != LUA_TSTRING)
    return argument_error(L, 1, "time", "string expected, got %s", luaL_typename(L, 1));
  size_t size;
  const char *text = lua_tolstring(L, 1, &size);
  struct instant instant;
  const char *wrong = rfc3339_parse(text, size, &instant);
  if (wrong != NULL) {
    lua_pushnil(L);
    lua_pushfstring(L, "not an RFC 3339 date-time: %s", wrong);
    return 2;
  }
  if (instant.has_fraction)
    lua_pushnumber(L, (lua_Number)instant.seconds + instant.fraction);
  else
    compat_push_int64(L, instant.seconds);
  return 1;
}

/* Loads lua-cjson, which is used only for its values for null and for arrays. [-0, +0, e] */
static void load_cjson(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  lua_call(L, 1, 1);
  json_writer_open(L);
  lua_pop(L, 1);
}

PODERO_EXPORT int luaopen_podero(lua_State *L);

/* Returns the table that require("podero") returns. Raises an error if lua-cjson is not installed.
 * [?, +1, e] */
int luaopen_podero(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"new", client_new}, {"time", time_of}, {"is_error", error_is_error}, {NULL, NULL}};
  load_cjson(L);
  log_open(L);
  error_open(L);
  json_value_open(L);
  text_buffer_open(L);
  client_open(L); /* pushes podero.waits */
  lua_createtable(L, 0, 8);
  compat_setfuncs(L, functions);
  lua_pushliteral(L, "podero " PODERO_VERSION);
  lua_setfield(L, -2, "_VERSION");
  lua_pushliteral(L, PODERO_PRODUCTION);
  lua_setfield(L, -2, "PRODUCTION");
  lua_pushliteral(L, PODERO_SANDBOX);
  lua_setfield(L, -2, "SANDBOX");
  role_push(L);
  lua_setfield(L, -2, "Role");
  lua_pushlightuserdata(L, NULL); /* equals cjson.null and ngx.null */
  lua_setfield(L, -2, "null");
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "waits");
  return 1;
}
