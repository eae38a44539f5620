#include "lua/call_arguments.h"

#include <math.h>
#include <string.h>

#include "core/syntax.h"
#include "lua/argument.h"
#include "lua/headers.h"
#include "lua/query.h"
#include "lua/request_body.h"
#include "lua/text_buffer.h"
#include "lua/user_filter.h"
#include "lua/user_value.h"

/* Pushes nil and an error object; returns false. [-0, +2, m] */
static bool fail_closed(lua_State *L, const struct call_client *client) {
  call_push_closed(L, client->session);
  return false;
}

/* The same for the message on top. [-0, +2, m] */
static bool fail_argument(lua_State *L, const struct call_client *client) {
  call_push_failure(L, client->session, FAILURE_ARGUMENT, lua_tostring(L, -1));
  return false;
}

/* Returns the header fields of a call, in a text buffer on top, or NULL if there are none. Calls
 * the caller's functions, which may close the client. [-0, +(0..2), v] */
static struct buffer *push_fields(lua_State *L, const struct call_client *client,
                                  enum method method, const struct method_options *options,
                                  int opts) {
  if (!client->has_headers && !options->has_headers) return NULL;
  int of_client = 0;
  if (client->has_headers) {
    user_value_get(L, 1, CLIENT_HEADERS);
    of_client = lua_gettop(L);
  }
  headers_push(L, of_client, options->has_headers ? opts : 0, options_method_name(method));
  return text_buffer_get(L, -1);
}

/* Returns the encoded query of a call: `first`, an encoded parameter or NULL, and the parameters of
 * the option `query` in the table at `opts`. Valid while what this pushes is on the stack.
 * [-0, +(0|2), v] */
static const char *push_query_option(lua_State *L, enum method method,
                                     const struct method_options *options, int opts,
                                     const char *first) {
  if (!options->has_query) return first;
  lua_getfield(L, opts, "query");
  query_push(L, lua_gettop(L), (struct argument){opts - 1, options_method_name(method)}, first);
  return lua_tostring(L, -1);
}

/* ---- lists ---- */

#define USERS_PATH_BEGIN "/api/partners/v2.0/org/"
#define USERS_PATH_END "/users"
_Static_assert(sizeof USERS_PATH_BEGIN - 1 + 36 + sizeof USERS_PATH_END == CALL_USERS_PATH_BYTES,
               "the path of an organization's users has this size");

/* Copies the 36 bytes of a UUID, in lower case, without a NUL. RFC 9562, section 4, requires lower
 * case in output, and some servers answer 404 otherwise. */
static void copy_uuid(char out[36], const char *id) {
  for (int i = 0; i < 36; i++)
    out[i] = (char)(id[i] >= 'A' && id[i] <= 'F' ? id[i] - 'A' + 'a' : id[i]);
}

/* Writes the path of the organization's users, with a NUL. `id` is a UUID. */
static void write_users_path(char path[CALL_USERS_PATH_BYTES], const char *id) {
  size_t begin = sizeof USERS_PATH_BEGIN - 1;
  memcpy(path, USERS_PATH_BEGIN, begin);
  copy_uuid(path + begin, id);
  memcpy(path + begin + 36, USERS_PATH_END, sizeof USERS_PATH_END);
}

/* Stack indices of the header fields and the filter that call_arguments_read_list gets for
 * list_users_of. They are made once, for all organizations. */
enum { SHARED_FIELDS = 4, SHARED_FILTER };

/* Returns the header fields of a list, in a text buffer on top, or NULL if there are none. For
 * list_users_of it is a copy of the shared ones, because the call takes it over.
 * [-0, +(0..2), v] */
static struct buffer *push_list_fields(lua_State *L, const struct call_client *client,
                                       enum method method, const struct call_arguments *arguments) {
  if (method != METHOD_LIST_USERS_OF)
    return push_fields(L, client, method, &arguments->options, arguments->opts);
  const struct buffer *all = text_buffer_get(L, SHARED_FIELDS);
  if (all == NULL) return NULL;
  struct buffer *fields = text_buffer_push(L);
  buffer_append(fields, all->data, all->size);
  text_buffer_check(L, fields);
  return fields;
}

/* Returns the stack index of the filter of a list, which this may push, or 0 if there is none.
 * [-0, +(0|1), v] */
static int push_filter(lua_State *L, enum method method, const struct call_arguments *arguments) {
  bool has_filter = arguments->options.has_filter;
  int opts = arguments->opts, where = method == METHOD_FIND_USER ? 3 : 0;
  if (method == METHOD_LIST_USERS_OF) return lua_istable(L, SHARED_FILTER) ? SHARED_FILTER : 0;
  if (where == 0 && !has_filter) return 0;
  struct argument argument = {(where != 0 ? where : opts) - 1, options_method_name(method)};
  user_filter_push(L, has_filter ? opts : 0, where, argument);
  return lua_gettop(L);
}

bool call_arguments_read_list(lua_State *L, const struct call_client *client, enum method method,
                              struct call_arguments *out) {
  const char *name = options_method_name(method);
  *out = (struct call_arguments){.opts = method == METHOD_FIND_USER ? 4 : 3};
  if (lua_gettop(L) < out->opts) lua_settop(L, out->opts);
  if (lua_type(L, 2) != LUA_TSTRING)
    argument_error(L, 1, name, "organization id: string expected, got %s", luaL_typename(L, 2));
  if (method != METHOD_LIST_USERS_OF) argument_refuse_surplus(L, out->opts, out->opts - 1, name);
  if (client->is_closed) return fail_closed(L, client);
  options_read_method(L, out->opts, method, client->defaults, &out->options);
  out->filter = push_filter(L, method, out);
  size_t size;
  const char *id = lua_tolstring(L, 2, &size);
  if (!syntax_is_uuid(id, size)) {
    lua_pushfstring(L, "the organization id is not a UUID: '%s'", id);
    return fail_argument(L, client);
  }
  write_users_path(out->users_path, id);
  const char *first = out->options.include_deleted ? "include_deleted=true" : NULL;
  out->request.path = out->users_path;
  out->request.query = push_query_option(L, method, &out->options, out->opts, first);
  out->request.fields = push_list_fields(L, client, method, out);
  return true;
}

/* ---- many lists ---- */

/* Returns the greatest key of the array at `index`, or 0 if it is empty. Raises an error if a key
 * is not a positive integer. [-0, +0, v] */
static lua_Number check_array(lua_State *L, int index, const char *method) {
  static const char expected[] = "array of organization ids expected, got a table with ";
  lua_Number greatest = 0;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TNUMBER)
      argument_error(L, 1, method, "%sa key of type %s", expected, luaL_typename(L, -1));
    lua_Number key = lua_tonumber(L, -1);
    if (!(key >= 1 && floor(key) == key))
      argument_error(L, 1, method, "%sthe key %f", expected, key);
    greatest = fmax(greatest, key);
  }
  return greatest;
}

/* Pushes the organization id on top as it is sent: in lower case if it is a UUID. [-0, +1, m] */
static void push_requested_id(lua_State *L) {
  size_t size;
  const char *id = lua_tolstring(L, -1, &size);
  char lower[36];
  if (!syntax_is_uuid(id, size)) {
    lua_pushvalue(L, -1);
    return;
  }
  copy_uuid(lower, id);
  lua_pushlstring(L, lower, sizeof lower);
}

/* Stack indices of call_arguments_push_org_ids. */
enum { ORG_IDS = 2, IDS, ALIASES, SEEN };

/* Adds the id on top to the array at IDS. If it differs from an earlier id only in case, adds the
 * two to the array at ALIASES instead; if it equals an earlier id, does nothing. The table at SEEN
 * maps each id as it is sent to the earlier id. [-1, +0, m] */
static void add_org_id(lua_State *L) {
  push_requested_id(L);
  lua_pushvalue(L, -1);
  lua_rawget(L, SEEN); /* the id, the id as it is sent, an earlier one or nil */
  if (lua_isnil(L, -1)) {
    lua_pushvalue(L, -3);
    lua_rawseti(L, IDS, (int)lua_rawlen(L, IDS) + 1);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -4);
    lua_rawset(L, SEEN);
  } else if (!lua_rawequal(L, -1, -3)) {
    int size = (int)lua_rawlen(L, ALIASES);
    lua_rawseti(L, ALIASES, size + 2);
    lua_pop(L, 1);
    lua_rawseti(L, ALIASES, size + 1);
  }
  lua_settop(L, SEEN);
}

/* Replaces everything above the array at ORG_IDS by IDS, ALIASES and SEEN. Raises an error if an
 * element is not a string. [-?, +3, e] */
static void collect_org_ids(lua_State *L, const char *method) {
  lua_settop(L, ORG_IDS);
  lua_newtable(L);
  lua_newtable(L);
  lua_newtable(L);
  lua_Number greatest = check_array(L, ORG_IDS, method);
  for (int i = 1;; i++) {
    lua_pushinteger(L, i);
    lua_gettable(L, ORG_IDS); /* not raw: an __index may supply the elements */
    if (lua_isnil(L, -1) && i > greatest) break;
    if (lua_type(L, -1) != LUA_TSTRING)
      argument_error(L, 1, method, "organization id %d: string expected, got %s", i,
                     luaL_typename(L, -1));
    add_org_id(L);
  }
}

/* Sets the header fields and the filter of all calls, if there are any, as elements 1 and 2 of the
 * table on top. [-0, +0, v] */
static void set_shared(lua_State *L, const struct call_client *client,
                       const struct method_options *options) {
  int shared = lua_gettop(L);
  if (push_fields(L, client, METHOD_LIST_USERS_OF, options, 3) != NULL) lua_rawseti(L, shared, 1);
  lua_settop(L, shared);
  if (!options->has_filter) return;
  user_filter_push(L, 3, 0, (struct argument){2, options_method_name(METHOD_LIST_USERS_OF)});
  lua_rawseti(L, shared, 2);
}

int call_arguments_push_org_ids(lua_State *L, const struct call_client *client) {
  const char *name = options_method_name(METHOD_LIST_USERS_OF);
  struct method_options options = {.concurrency = 1};
  if (!lua_istable(L, ORG_IDS))
    argument_error(L, 1, name, "array of organization ids expected, got %s",
                   luaL_typename(L, ORG_IDS));
  argument_refuse_surplus(L, 3, 2, name);
  lua_settop(L, 3);
  lua_newtable(L); /* holds fields and filter while the arguments are in use */
  if (!client->is_closed) {
    options_read_method(L, 3, METHOD_LIST_USERS_OF, client->defaults, &options);
    set_shared(L, client, &options);
  }
  lua_replace(L, 1);
  collect_org_ids(L, name);
  lua_settop(L, ALIASES);
  lua_pushinteger(L, (lua_Integer)options.concurrency);
  lua_insert(L, ALIASES);
  lua_rawgeti(L, 1, 1);
  lua_rawgeti(L, 1, 2);
  return 5;
}

/* ---- other calls ---- */

/* Default of the option max_response_bytes for `get` and `request`. */
#define VALUE_MAX_RESPONSE_BYTES (UINT64_C(16) * 1024 * 1024)

/* Reads the options of `get` or `request`. [-0, +0, v] */
static void read_value_options(lua_State *L, const struct call_client *client, enum method method,
                               struct call_arguments *out) {
  struct session_options defaults = *client->defaults;
  if (!client->has_max_response_bytes) defaults.max_response_bytes = VALUE_MAX_RESPONSE_BYTES;
  out->opts = 4;
  options_read_method(L, out->opts, method, &defaults, &out->options);
}

/* Raises an error if the path, at `index`, is not a string. [-0, +0, v] */
static void check_path_type(lua_State *L, int index, const char *method) {
  if (lua_type(L, index) != LUA_TSTRING)
    argument_error(L, index - 1, method, "path: string expected, got %s", luaL_typename(L, index));
}

/* Sets the path to the one at `index`. If it cannot be used, pushes its message, nil and an error
 * object, and returns false. [-0, +(0|3), m] */
static bool read_path(lua_State *L, const struct call_client *client, int index,
                      struct call_arguments *out) {
  size_t size;
  out->request.path = lua_tolstring(L, index, &size);
  enum syntax_path_fault fault = syntax_path_fault(out->request.path, size);
  if (fault == SYNTAX_PATH_OK) return true;
  lua_pushfstring(L, "the path '%s' cannot be used: %s", out->request.path,
                  syntax_path_fault_text(fault));
  return fail_argument(L, client);
}

bool call_arguments_read_get(lua_State *L, const struct call_client *client,
                             struct call_arguments *out) {
  static const char name[] = "get";
  *out = (struct call_arguments){0};
  check_path_type(L, 2, name);
  argument_refuse_surplus(L, 4, 3, name);
  if (client->is_closed) return fail_closed(L, client);
  read_value_options(L, client, METHOD_GET, out);
  if (!read_path(L, client, 2, out)) return false;
  if (!lua_isnoneornil(L, 3)) {
    query_push(L, 3, (struct argument){2, name}, NULL);
    out->request.query = lua_tostring(L, -1);
  }
  out->request.fields = push_fields(L, client, METHOD_GET, &out->options, out->opts);
  return true;
}

bool call_arguments_read_request(lua_State *L, const struct call_client *client,
                                 struct call_arguments *out) {
  static const char name[] = "request";
  *out = (struct call_arguments){0};
  const char *method = request_method(L, 2);
  check_path_type(L, 3, name);
  argument_refuse_surplus(L, 4, 3, name);
  if (client->is_closed) return fail_closed(L, client);
  read_value_options(L, client, METHOD_REQUEST, out);
  if (!read_path(L, client, 3, out)) return false;
  out->request.method = strcmp(method, "GET") == 0 ? NULL : method;
  out->request.query = push_query_option(L, METHOD_REQUEST, &out->options, out->opts, NULL);
  request_body_push(L, out->opts, out->options.has_body, out->options.has_content_type, method);
  out->request.body = text_buffer_get(L, -2);
  out->request.content_type = lua_tostring(L, -1);
  out->request.fields = push_fields(L, client, METHOD_REQUEST, &out->options, out->opts);
  return true;
}

bool call_arguments_read_token(lua_State *L, const struct call_client *client,
                               struct call_arguments *out) {
  *out = (struct call_arguments){0};
  argument_refuse_surplus(L, 1, 0, options_method_name(METHOD_TOKEN));
  lua_settop(L, 1);
  if (client->is_closed) return fail_closed(L, client);
  options_read_method(L, 2, METHOD_TOKEN, client->defaults, &out->options);
  return true;
}
