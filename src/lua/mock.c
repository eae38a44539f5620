/* The module podero.mock: a stand-in for a client, for the tests of programs that use one. mock.lua
 * has its methods; here is what they share with the library: the checks of arguments, the decoders
 * and errors. */
#include <string.h>

#include "core/clock.h"
#include "core/retry.h"
#include "lua/argument.h"
#include "lua/call_arguments.h"
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

#define CLIENT_TYPE "podero.mock.Client"
#define DECODER_TYPE "podero.mock_decoder"

static const char source[] = {
#include "mock.inc"
};

/* ---- arguments ----
 *
 * arguments.<method>(client, ...) -> a table with what the call asks for; or nil and an error
 * object. They raise an error at wrong types, as the client does. */

/* Describes the client at index 1. Raises an error if it is none. [-0, +0, v] */
static struct call_client check_client(lua_State *L, const char *method) {
  static const struct session_options defaults = {
      .timeout = 30, /* of no meaning here */
      .max_response_bytes = OPTIONS_MAX_RESPONSE_BYTES,
  };
  if (!lua_istable(L, 1) || !compat_has_metatable(L, 1, CLIENT_TYPE))
    argument_refuse_self(L, CLIENT_TYPE, method);
  lua_getfield(L, 1, "is_closed");
  struct call_client client = {.defaults = &defaults, .is_closed = lua_toboolean(L, -1)};
  lua_pop(L, 1);
  return client;
}

/* Sets a field of the table on top, unless it would be NULL or empty, or UINT64_MAX for no limit.
 * [-0, +0, m] */
static void set_text(lua_State *L, const char *name, const char *text) {
  if (text == NULL || *text == '\0') return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void set_limit(lua_State *L, const char *name, uint64_t limit) {
  if (limit == UINT64_MAX) return;
  lua_pushnumber(L, (lua_Number)limit);
  lua_setfield(L, -2, name);
}

/* Pushes the table of a call. Its fields:
 *   http_method, path, query   of the request; query is nil if there is none
 *   raw, on_progress           options
 *   filter                     of user_filter_push, or nil
 *   finds                      the result is one user
 *   max_body_bytes, max_bytes  limits on the body, and on what is kept of it; nil for none
 * [-0, +1, m] */
static int push_call(lua_State *L, enum method method, const struct call_arguments *a) {
  uint64_t max = a->options.max_response_bytes;
  lua_createtable(L, 0, 8);
  set_text(L, "http_method", a->request.method == NULL ? "GET" : a->request.method);
  set_text(L, "path", a->request.path);
  set_text(L, "query", a->request.query);
  set_limit(L, "max_body_bytes", call_response_limit(method, a->filter != 0, max));
  set_limit(L, "max_bytes", max);
  lua_pushboolean(L, a->options.raw);
  lua_setfield(L, -2, "raw");
  lua_pushboolean(L, method == METHOD_FIND_USER);
  lua_setfield(L, -2, "finds");
  if (a->options.has_on_progress) {
    lua_getfield(L, a->opts, "on_progress");
    lua_setfield(L, -2, "on_progress");
  }
  if (a->filter != 0) {
    lua_pushvalue(L, a->filter);
    lua_setfield(L, -2, "filter");
  }
  return 1;
}

static int read_list(lua_State *L, enum method method) {
  struct call_client client = check_client(L, options_method_name(method));
  struct call_arguments arguments;
  if (!call_arguments_read_list(L, &client, method, &arguments)) return 2;
  return push_call(L, method, &arguments);
}

static int list_users(lua_State *L) {
  return read_list(L, METHOD_LIST_USERS);
}

static int each_user(lua_State *L) {
  return read_list(L, METHOD_EACH_USER);
}

static int find_user(lua_State *L) {
  return read_list(L, METHOD_FIND_USER);
}

static int list_users_of(lua_State *L) {
  return read_list(L, METHOD_LIST_USERS_OF);
}

/* org_ids(client, org_ids [, opts]) -> ids, concurrency, aliases, fields, filter: see
 * call_arguments_push_org_ids. list_users_of takes one of the ids, opts, fields and filter. */
static int org_ids(lua_State *L) {
  struct call_client client = check_client(L, options_method_name(METHOD_LIST_USERS_OF));
  return call_arguments_push_org_ids(L, &client);
}

static int get(lua_State *L) {
  struct call_client client = check_client(L, options_method_name(METHOD_GET));
  struct call_arguments arguments;
  if (!call_arguments_read_get(L, &client, &arguments)) return 2;
  return push_call(L, METHOD_GET, &arguments);
}

static int request(lua_State *L) {
  struct call_client client = check_client(L, options_method_name(METHOD_REQUEST));
  struct call_arguments arguments;
  if (!call_arguments_read_request(L, &client, &arguments)) return 2;
  return push_call(L, METHOD_REQUEST, &arguments);
}

static int token(lua_State *L) {
  struct call_client client = check_client(L, options_method_name(METHOD_TOKEN));
  struct call_arguments arguments;
  if (!call_arguments_read_token(L, &client, &arguments)) return 2;
  return push_call(L, METHOD_TOKEN, &arguments);
}

/* close(client) [1.., 0] */
static int close_client(lua_State *L) {
  check_client(L, "close");
  argument_refuse_surplus(L, 1, 0, "close");
  return 0;
}

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

/* Pushes the error object of a response with status 200. [-0, +1, m] */
static void push_failure(lua_State *L, struct failure *failure) {
  failure->status = 200;
  failure->attempts = 1;
  error_push(L, failure, NULL);
}

/* ---- responses ---- */

/* What decodes one response. */
struct decoder {
  struct user_decoder users;
  struct json_value value;
};

static int decoder_gc(lua_State *L) {
  struct decoder *decoder = lua_touserdata(L, 1);
  user_decoder_free(&decoder->users);
  json_value_free(&decoder->value);
  return 0;
}

/* Pushes a userdata with a decoder, all zero, and returns that. [-0, +1, m] */
static struct decoder *push_decoder(lua_State *L) {
  struct decoder *decoder = lua_newuserdata(L, sizeof *decoder);
  *decoder = (struct decoder){0};
  luaL_getmetatable(L, DECODER_TYPE);
  lua_setmetatable(L, -2);
  return decoder;
}

/* Return a field of the call at index 1. [-0, +0, -] */
static bool get_flag(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  bool flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

static uint64_t get_limit(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  uint64_t limit = lua_isnil(L, -1) ? UINT64_MAX : (uint64_t)lua_tonumber(L, -1);
  lua_pop(L, 1);
  return limit;
}

/* Decodes the text at index 2 for the call at index 1, and pushes a table of the users that it
 * delivers. Fills `failure` if that has failed. [-0, +1, m] */
static void push_users(lua_State *L, struct user_decoder *decoder, struct failure *failure) {
  size_t size, used;
  const char *text = lua_tolstring(L, 2, &size);
  user_table_push_state(L);
  lua_newtable(L);
  int list = lua_gettop(L);
  struct user_targets targets = {.state = list - 1, .list = list};
  user_decode(L, decoder, targets, text, size, &used);
  call_body_set_users_failure(decoder, failure);
  if (failure->kind != FAILURE_NONE) return;
  if (!user_decoder_is_done(decoder) && size > get_limit(L, "max_body_bytes"))
    failure_set(failure, FAILURE_TOO_LARGE, "the response exceeds max_response_bytes");
  else
    call_body_end_users(decoder, get_flag(L, "finds"), failure);
}

/* users(call, text) -> users, error, count. Decodes the JSON of a list.
 *   users  those that the call delivers, also before an error; of find_user one user, or nil
 *   error  an error object, or nil
 *   count  of all users that were read [2, +3] */
static int users(lua_State *L) {
  struct failure failure = {0};
  lua_settop(L, 2);
  lua_getfield(L, 1, "filter");
  struct user_decoder_options options = {
      .validate = true,
      .max_bytes = get_limit(L, "max_bytes"),
      .filter = user_filter_get(L, 3),
  };
  struct user_decoder *decoder = &push_decoder(L)->users;
  user_decoder_init(decoder, &options);
  push_users(L, decoder, &failure);
  if (get_flag(L, "finds")) lua_rawgeti(L, -1, 1);
  if (failure.kind != FAILURE_NONE)
    push_failure(L, &failure);
  else
    lua_pushnil(L);
  compat_push_int64(L, (int64_t)decoder->users);
  user_decoder_free(decoder);
  return 3;
}

/* value(call, text) -> the value of the JSON text, or nil and an error object if it is too large
 * [2, +1|2] */
static int decode_value(lua_State *L) {
  struct failure failure = {0};
  size_t size;
  lua_settop(L, 2);
  const char *text = lua_tolstring(L, 2, &size);
  uint64_t max = get_limit(L, "max_bytes");
  struct json_value *decoder = &push_decoder(L)->value;
  json_value_init(decoder, max);
  json_value_push_state(L);
  if (size > max)
    failure_set(&failure, FAILURE_TOO_LARGE, "the response exceeds max_response_bytes");
  else if (get_flag(L, "raw"))
    lua_pushvalue(L, 2);
  else if (!json_value_decode(L, decoder, 4, text, size) || !json_value_end(L, decoder, 4))
    call_body_set_value_failure(decoder, &failure);
  json_value_free(decoder);
  if (failure.kind == FAILURE_NONE) return 1;
  lua_pushnil(L);
  push_failure(L, &failure);
  return 2;
}

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

/* now() -> seconds since 1970-01-01T00:00:00Z [0, +1] */
static int push_now(lua_State *L) {
  lua_pushnumber(L, clock_wall());
  return 1;
}

/* ---- the module ---- */

PODERO_EXPORT int luaopen_podero_mock(lua_State *L);

/* Found by Lua's loader for submodules in one library: podero.mock is in podero.so. [-0, +1, e] */
int luaopen_podero_mock(lua_State *L) {
  static const luaL_Reg functions[] = {{"new_error", new_error},
                                       {"raise_failure", error_raise},
                                       {"users", users},
                                       {"value", decode_value},
                                       {"encode", encode},
                                       {"now", push_now},
                                       {NULL, NULL}};
  static const luaL_Reg arguments[] = {{"list_users", list_users}, {"each_user", each_user},
                                       {"find_user", find_user},   {"list_users_of", list_users_of},
                                       {"org_ids", org_ids},       {"get", get},
                                       {"request", request},       {"token", token},
                                       {"close", close_client},    {NULL, NULL}};
  compat_register_gc(L, DECODER_TYPE, decoder_gc);
  lua_getglobal(L, "require"); /* registers the types that are used here */
  lua_pushliteral(L, "podero");
  lua_call(L, 1, 0);
  if (luaL_loadbuffer(L, source, sizeof source, "=podero") != 0) return lua_error(L);
  lua_newtable(L);
  compat_setfuncs(L, functions);
  lua_newtable(L);
  compat_setfuncs(L, arguments);
  luaL_newmetatable(L, CLIENT_TYPE);
  lua_pushliteral(L, PODERO_PRODUCTION);
  lua_call(L, 4, 1);
  return 1;
}
