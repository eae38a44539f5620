/* The module podero.mock: a stand-in for a client, for the tests of programs that use one. mock.lua
 * has its methods; here is what they share with the library: options, filters, the decoder, errors.
 */
#include <string.h>

#include "core/retry.h"
#include "core/syntax.h"
#include "lua/argument.h"
#include "lua/call_body.h"
#include "lua/compat.h"
#include "lua/error.h"
#include "lua/json_value.h"
#include "lua/json_writer.h"
#include "lua/options.h"
#include "lua/text_buffer.h"
#include "lua/user_decoder.h"
#include "lua/user_filter.h"
#include "lua/user_table.h"

#define DECODER_TYPE "podero.mock_decoder"

static const char source[] = {
#include "mock.inc"
};

/* ---- errors ---- */

static enum failure_kind kind_named(const char *name) {
  int kind = FAILURE_MEMORY;
  while (kind > FAILURE_NONE && strcmp(failure_name((enum failure_kind)kind), name) != 0)
    kind--;
  return (enum failure_kind)kind;
}

/* new_error(kind, message, status, retryable) -> an error object; nil if there is no such kind.
 * Without `retryable`, the status decides. [4, +1] */
static int new_error(lua_State *L) {
  struct failure failure = {0};
  enum failure_kind kind = kind_named(luaL_checkstring(L, 1));
  if (kind == FAILURE_NONE) return 0;
  failure_set(&failure, kind, "%s", luaL_checkstring(L, 2));
  failure.status = (long)luaL_optinteger(L, 3, 0);
  failure.retryable =
      lua_isnoneornil(L, 4) ? retry_is_worthwhile(failure.status) : lua_toboolean(L, 4);
  failure.attempts = 1;
  error_push(L, &failure, NULL);
  return 1;
}

/* Pushes nil and an error object. [-0, +2, m] */
static int fail(lua_State *L, const struct failure *failure) {
  lua_pushnil(L);
  error_push(L, failure, NULL);
  return 2;
}

/* ---- values ---- */

/* encode(value) -> its JSON, or nil and what cannot be written [1, +1|2] */
static int encode(lua_State *L) {
  lua_settop(L, 1);
  struct buffer *out = text_buffer_push(L);
  lua_pushvalue(L, 1);
  const char *fault = json_write(L, out);
  lua_pop(L, 1);
  if (fault != NULL) {
    lua_pushnil(L);
    lua_pushstring(L, fault);
    return 2;
  }
  text_buffer_to_string(L);
  return 1;
}

/* decode(text) -> the value of a JSON text that `encode` has made [1, +1] */
static int decode(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  return json_value_push(L, text, size, NULL, NULL) ? 1 : 0;
}

/* ---- lists ---- */

static int decoder_gc(lua_State *L) {
  user_decoder_free(lua_touserdata(L, 1));
  return 0;
}

/* Pushes the users of the JSON text at index 1, as a list method returns them, or nil and an error
 * object. `filter`: stack index of a filter, or 0. [-0, +1|2, m] */
static int push_users(lua_State *L, int filter, bool finds, uint64_t max_bytes) {
  size_t size, used;
  const char *text = lua_tolstring(L, 1, &size);
  struct user_decoder_options options = {
      .validate = true,
      .max_bytes = max_bytes,
      .filter = filter != 0 ? user_filter_get(L, filter) : NULL,
  };
  struct user_decoder *decoder = lua_newuserdata(L, sizeof *decoder);
  user_decoder_init(decoder, &options);
  luaL_getmetatable(L, DECODER_TYPE);
  lua_setmetatable(L, -2);
  user_table_push_state(L);
  struct user_targets targets = {.state = lua_gettop(L)};
  lua_newtable(L);
  targets.list = lua_gettop(L);
  struct failure failure = {0};
  user_decode(L, decoder, targets, text, size, &used);
  if (!user_decoder_is_done(decoder)) user_decode_end(decoder);
  call_body_set_users_failure(decoder, &failure);
  if (failure.kind == FAILURE_NONE && finds && decoder->delivered == 0)
    failure_set(&failure, FAILURE_NOT_FOUND, "none of the %llu users of the list has these values",
                (unsigned long long)decoder->users);
  user_decoder_free(decoder);
  if (failure.kind != FAILURE_NONE) return fail(L, &failure);
  if (finds) lua_rawgeti(L, -1, 1);
  return 1;
}

/* list(text, org_id [, where] [, opts]): checks the arguments of a list method as the client does,
 * and raises an error if one is malformed. Returns the users of the JSON text, or nil and an error
 * object; without a text, true if the arguments are valid. [2.., +1|2] */
static int list(lua_State *L, enum method method) {
  static const struct session_options defaults = {
      .timeout = 30, .max_response_bytes = UINT64_C(256) * 1024 * 1024};
  const char *name = options_method_name(method);
  bool finds = method == METHOD_FIND_USER;
  int opts = finds ? 4 : 3, filter = 0;
  struct method_options options = {0};
  if (lua_gettop(L) < opts) lua_settop(L, opts);
  if (lua_type(L, 2) != LUA_TSTRING)
    argument_error(L, 1, name, "organization id: string expected, got %s", luaL_typename(L, 2));
  argument_refuse_surplus(L, opts, opts - 1, name);
  options_read_method(L, opts, method, &defaults, &options);
  if (finds || options.has_filter) {
    user_filter_push(L, options.has_filter ? opts : 0, finds ? 3 : 0, (struct argument){2, name});
    filter = lua_gettop(L);
  }
  size_t size;
  const char *id = lua_tolstring(L, 2, &size);
  if (!syntax_is_uuid(id, size)) {
    struct failure failure = {0};
    failure_set(&failure, FAILURE_ARGUMENT, "the organization id is not a UUID: '%s'", id);
    return fail(L, &failure);
  }
  if (lua_type(L, 1) == LUA_TSTRING)
    return push_users(L, filter, finds, options.max_response_bytes);
  lua_pushboolean(L, true);
  return 1;
}

static int list_users(lua_State *L) {
  return list(L, METHOD_LIST_USERS);
}

static int each_user(lua_State *L) {
  return list(L, METHOD_EACH_USER);
}

static int find_user(lua_State *L) {
  return list(L, METHOD_FIND_USER);
}

static int list_users_of(lua_State *L) {
  return list(L, METHOD_LIST_USERS_OF);
}

/* check_path(path) -> whether it is one that requests may have [1, +1] */
static int check_path(lua_State *L) {
  size_t size;
  const char *path = luaL_checklstring(L, 1, &size);
  lua_pushboolean(L, syntax_is_path(path, size));
  return 1;
}

PODERO_EXPORT int luaopen_podero_mock(lua_State *L);

/* Found by Lua's loader for submodules in one library: podero.mock is in podero.so. [-0, +1, e] */
int luaopen_podero_mock(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"new_error", new_error},         {"encode", encode},         {"decode", decode},
      {"list_users", list_users},       {"each_user", each_user},   {"find_user", find_user},
      {"list_users_of", list_users_of}, {"check_path", check_path}, {NULL, NULL}};
  luaL_newmetatable(L, DECODER_TYPE);
  lua_pushcfunction(L, decoder_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  lua_getglobal(L, "require"); /* registers the types that are used here */
  lua_pushliteral(L, "podero");
  lua_call(L, 1, 0);
  if (luaL_loadbuffer(L, source, sizeof source, "=podero") != 0) return lua_error(L);
  lua_newtable(L);
  compat_setfuncs(L, functions);
  lua_call(L, 1, 1);
  return 1;
}
