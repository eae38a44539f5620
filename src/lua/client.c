#include "lua/client.h"

#include <math.h>

#include "core/session.h"
#include "core/syntax.h"
#include "lua/argument.h"
#include "lua/call_object.h"
#include "lua/credentials.h"
#include "lua/error.h"
#include "lua/headers.h"
#include "lua/methods.h"
#include "lua/options.h"
#include "lua/query.h"
#include "lua/request_body.h"
#include "lua/text_buffer.h"
#include "lua/token_store.h"
#include "lua/user_filter.h"
#include "lua/user_value.h"
#include "lua/wait.h"

#define CLIENT_TYPE "podero.client"

/* The userdata of a client. Its user values are listed in lua/call_object.h. */
struct client {
  struct client_options options; /* session_new moves options.session into the session */
  struct session *session;       /* a reference; NULL until client_new is done, and after __gc */
  unsigned collect_at;           /* see collect_unfinished */
};

/* ---- functions that begin a call ----
 *
 * begin_<method>(client, ...) -> a call object, or nil and an error object. Each is registered
 * under the name of its method. It raises an error if an argument has the wrong type. */

/* Returns the client at index 1. Raises an error if there is something else. [-0, +0, v] */
static struct client *check_client(lua_State *L, const char *method) {
  struct client *client = compat_testudata(L, 1, CLIENT_TYPE);
  if (client != NULL) return client;
  argument_push_where(L);
  lua_pushfstring(L, "%scalling '%s' on a bad self (%s expected, got %s; use client:%s(...))",
                  lua_tostring(L, -1), method, CLIENT_TYPE, luaL_typename(L, 1), method);
  compat_error(L);
}

static bool is_closed(const struct client *client) {
  return client->session == NULL || session_is_closed(client->session);
}

/* Pushes nil and an error of kind closed. Returns 2. [-0, +2, m] */
static int fail_closed(lua_State *L, const struct client *client) {
  return call_push_failure(L, client->session, FAILURE_CLOSED, "the client is closed");
}

/* No collection is run for this many calls or fewer. */
#define MIN_UNFINISHED 64u

/* Runs a full collection if more than MIN_UNFINISHED calls are unfinished, and twice as many as
 * after the last collection. A call that nobody refers to (its coroutine is not resumed, or its
 * loop was left early) holds connections and memory until Lua collects it. Lua may not do so soon,
 * since it does not count that memory. [-0, +0, m] */
static void collect_unfinished(lua_State *L, struct client *client) {
  unsigned unfinished = session_count_calls(client->session);
  if (unfinished * 2 < client->collect_at) client->collect_at = unfinished * 2;
  if (unfinished <= MIN_UNFINISHED || unfinished < client->collect_at) return;
  lua_gc(L, LUA_GCCOLLECT, 0);
  if (!is_closed(client)) client->collect_at = session_count_calls(client->session) * 2;
}

/* Begins a call of the client at index 1; see call_push_new. [-0, +(1|2), m] */
static int push_list_call(lua_State *L, struct client *client, enum method method,
                          const struct call_request *request, const struct method_options *options,
                          int opts, int filter) {
  collect_unfinished(L, client);
  if (is_closed(client)) return fail_closed(L, client); /* a finalizer closed it */
  return call_push_new(L, client->session, method, client->options.validate, request, options, opts,
                       filter);
}

/* The same for a call that is not a list. [-0, +(1|2), m] */
static int push_call(lua_State *L, struct client *client, enum method method,
                     const struct call_request *request, const struct method_options *options,
                     int opts) {
  return push_list_call(L, client, method, request, options, opts, 0);
}

/* Returns the header fields of a call, in a text buffer on top, or NULL if there are none. Calls
 * the caller's functions, which may close the client. [-0, +(0..2), v] */
static struct buffer *push_fields(lua_State *L, const struct client *client, enum method method,
                                  const struct method_options *options, int opts) {
  if (!client->options.has_headers && !options->has_headers) return NULL;
  int of_client = 0;
  if (client->options.has_headers) {
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

#define USERS_PATH_BEGIN "/api/partners/v2.0/org/"
#define USERS_PATH_END "/users"
#define USERS_PATH_BYTES (sizeof USERS_PATH_BEGIN - 1 + 36 + sizeof USERS_PATH_END) /* with NUL */

/* Copies the 36 bytes of a UUID, in lower case, without a NUL. RFC 9562, section 4, requires lower
 * case in output, and some servers answer 404 otherwise. */
static void copy_uuid(char out[36], const char *id) {
  for (int i = 0; i < 36; i++)
    out[i] = (char)(id[i] >= 'A' && id[i] <= 'F' ? id[i] - 'A' + 'a' : id[i]);
}

/* Writes the path of the organization's users, with a NUL. `id` is a UUID. */
static void write_users_path(char path[USERS_PATH_BYTES], const char *id) {
  size_t begin = sizeof USERS_PATH_BEGIN - 1;
  memcpy(path, USERS_PATH_BEGIN, begin);
  copy_uuid(path + begin, id);
  memcpy(path + begin + 36, USERS_PATH_END, sizeof USERS_PATH_END);
}

/* Returns the stack index of the options of a list method. In find_user they follow the
 * conditions. */
static int list_opts(enum method method) {
  return method == METHOD_FIND_USER ? 4 : 3;
}

/* Stack indices of the header fields and the filter that begin_list gets for list_users_of. They
 * are made once, for all organizations. */
enum { SHARED_FIELDS = 4, SHARED_FILTER };

/* Returns the header fields of a list, in a text buffer on top, or NULL if there are none. For
 * list_users_of it is a copy of the shared ones, because the call takes it over.
 * [-0, +(0..2), v] */
static struct buffer *push_list_fields(lua_State *L, const struct client *client,
                                       enum method method, const struct method_options *options) {
  if (method != METHOD_LIST_USERS_OF)
    return push_fields(L, client, method, options, list_opts(method));
  const struct buffer *all = text_buffer_get(L, SHARED_FIELDS);
  if (all == NULL) return NULL;
  struct buffer *fields = text_buffer_push(L);
  buffer_append(fields, all->data, all->size);
  text_buffer_check(L, fields);
  return fields;
}

/* Returns the stack index of the filter of a list, which this may push, or 0 if there is none.
 * [-0, +(0|1), v] */
static int push_filter(lua_State *L, enum method method, const struct method_options *options) {
  int opts = list_opts(method), where = method == METHOD_FIND_USER ? 3 : 0;
  if (method == METHOD_LIST_USERS_OF) return lua_istable(L, SHARED_FILTER) ? SHARED_FILTER : 0;
  if (where == 0 && !options->has_filter) return 0;
  struct argument argument = {(where != 0 ? where : opts) - 1, options_method_name(method)};
  user_filter_push(L, options->has_filter ? opts : 0, where, argument);
  return lua_gettop(L);
}

/* begin_list(client, org_id [, opts]); for find_user begin_list(client, org_id, where [, opts]);
 * for list_users_of begin_list(client, org_id, opts, fields, filter), see check_org_ids */
static int begin_list(lua_State *L, enum method method) {
  const char *name = options_method_name(method);
  struct client *client = check_client(L, name);
  struct method_options options;
  if (lua_type(L, 2) != LUA_TSTRING)
    argument_error(L, 1, name, "organization id: string expected, got %s", luaL_typename(L, 2));
  int opts = list_opts(method);
  if (method != METHOD_LIST_USERS_OF) argument_refuse_surplus(L, opts, opts - 1, name);
  if (is_closed(client)) return fail_closed(L, client);
  options_read_method(L, opts, method, session_options(client->session), &options);
  int filter = push_filter(L, method, &options);
  size_t size;
  const char *id = lua_tolstring(L, 2, &size);
  if (!syntax_is_uuid(id, size)) {
    lua_pushfstring(L, "the organization id is not a UUID: '%s'", id);
    return call_push_failure(L, client->session, FAILURE_ARGUMENT, lua_tostring(L, -1));
  }
  char path[USERS_PATH_BYTES];
  write_users_path(path, id);
  const char *first = options.include_deleted ? "include_deleted=true" : NULL;
  struct call_request request = {
      .path = path,
      .query = push_query_option(L, method, &options, opts, first),
      .fields = push_list_fields(L, client, method, &options),
  };
  return push_list_call(L, client, method, &request, &options, opts, filter);
}

static int begin_list_users(lua_State *L) {
  return begin_list(L, METHOD_LIST_USERS);
}

static int begin_each_user(lua_State *L) {
  return begin_list(L, METHOD_EACH_USER);
}

static int begin_find_user(lua_State *L) {
  lua_settop(L, lua_gettop(L) < 4 ? 4 : lua_gettop(L)); /* a missing `where` is refused as nil */
  return begin_list(L, METHOD_FIND_USER);
}

static int begin_list_users_of(lua_State *L) {
  return begin_list(L, METHOD_LIST_USERS_OF);
}

/* begin_authorize(client [, opts]): a call that only gets a token; its result is true */
static int begin_authorize(lua_State *L) {
  struct client *client = check_client(L, options_method_name(METHOD_AUTHORIZE));
  struct method_options options;
  if (is_closed(client)) return fail_closed(L, client);
  options_read_method(L, 2, METHOD_AUTHORIZE, session_options(client->session), &options);
  return push_call(L, client, METHOD_AUTHORIZE, NULL, &options, 2);
}

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

/* Stack indices of check_org_ids. */
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

/* check_org_ids(client, org_ids [, opts]) -> ids, concurrency, aliases, fields, filter
 *
 * Checks the arguments of list_users_of, and raises an error if one is wrong. [1.., +5]
 *   ids: array of the ids to request, without repeated ones, whatever their case
 *   aliases: array of the ids that differ from one of `ids` only in case, each followed by that one
 *   fields: the header fields of all calls, in a text buffer, or nil
 *   filter: of all calls, see user_filter_push, or nil */
static int check_org_ids(lua_State *L) {
  const char *name = options_method_name(METHOD_LIST_USERS_OF);
  struct client *client = check_client(L, name);
  struct method_options options = {.concurrency = 1};
  if (!lua_istable(L, ORG_IDS))
    argument_error(L, 1, name, "array of organization ids expected, got %s",
                   luaL_typename(L, ORG_IDS));
  argument_refuse_surplus(L, 3, 2, name);
  if (!is_closed(client))
    options_read_method(L, 3, METHOD_LIST_USERS_OF, session_options(client->session), &options);
  lua_settop(L, 3);
  lua_newtable(L); /* holds fields and filter while the arguments are in use */
  if (!is_closed(client) && push_fields(L, client, METHOD_LIST_USERS_OF, &options, 3) != NULL)
    lua_rawseti(L, 4, 1);
  lua_settop(L, 4);
  if (options.has_filter) {
    user_filter_push(L, 3, 0, (struct argument){2, name});
    lua_rawseti(L, 4, 2);
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

/* Default of the option max_response_bytes for `get` and `request`. */
#define VALUE_MAX_RESPONSE_BYTES (UINT64_C(16) * 1024 * 1024)

/* Reads the options of `get` or `request` at `opts`. [-0, +0, v] */
static void read_value_options(lua_State *L, const struct client *client, enum method method,
                               int opts, struct method_options *options) {
  struct session_options defaults = *session_options(client->session);
  if (!client->options.has_max_response_bytes)
    defaults.max_response_bytes = VALUE_MAX_RESPONSE_BYTES;
  options_read_method(L, opts, method, &defaults, options);
}

/* Raises an error if the path, at `index`, is not a string. [-0, +0, v] */
static void check_path_type(lua_State *L, int index, const char *method) {
  if (lua_type(L, index) != LUA_TSTRING)
    argument_error(L, index - 1, method, "path: string expected, got %s", luaL_typename(L, index));
}

/* Returns the path at `index`. If it cannot be used, pushes its message, nil and an error object,
 * and returns NULL. [-0, +(0|3), m] */
static const char *check_path(lua_State *L, const struct client *client, int index) {
  size_t size;
  const char *path = lua_tolstring(L, index, &size);
  if (syntax_is_path(path, size)) return path;
  lua_pushfstring(L,
                  "the path must start with '/' and must not contain a query, a fragment, '@', an "
                  "empty segment or a character that needs escaping, nor, in any spelling, a dot "
                  "segment, a backslash, a control character or an escaped slash: '%s'",
                  path);
  call_push_failure(L, client->session, FAILURE_ARGUMENT, lua_tostring(L, -1));
  return NULL;
}

/* begin_get(client, path [, query [, opts]]) */
static int begin_get(lua_State *L) {
  static const char name[] = "get";
  struct client *client = check_client(L, name);
  struct method_options options;
  check_path_type(L, 2, name);
  argument_refuse_surplus(L, 4, 3, name);
  if (is_closed(client)) return fail_closed(L, client);
  read_value_options(L, client, METHOD_GET, 4, &options);
  struct call_request request = {.path = check_path(L, client, 2)};
  if (request.path == NULL) return 2;
  if (!lua_isnoneornil(L, 3)) {
    query_push(L, 3, (struct argument){2, name}, NULL);
    request.query = lua_tostring(L, -1);
  }
  request.fields = push_fields(L, client, METHOD_GET, &options, 4);
  return push_call(L, client, METHOD_GET, &request, &options, 4);
}

/* begin_request(client, method, path [, opts]) */
static int begin_request(lua_State *L) {
  static const char name[] = "request";
  struct client *client = check_client(L, name);
  struct method_options options;
  const char *method = request_method(L, 2);
  check_path_type(L, 3, name);
  argument_refuse_surplus(L, 4, 3, name);
  if (is_closed(client)) return fail_closed(L, client);
  read_value_options(L, client, METHOD_REQUEST, 4, &options);
  struct call_request request = {.path = check_path(L, client, 3)};
  if (request.path == NULL) return 2;
  request.method = strcmp(method, "GET") == 0 ? NULL : method;
  request.query = push_query_option(L, METHOD_REQUEST, &options, 4, NULL);
  request_body_push(L, 4, options.has_body, options.has_content_type, method);
  request.body = text_buffer_get(L, -2);
  request.content_type = lua_tostring(L, -1);
  request.fields = push_fields(L, client, METHOD_REQUEST, &options, 4);
  return push_call(L, client, METHOD_REQUEST, &request, &options, 4);
}

/* begin_token(client) */
static int begin_token(lua_State *L) {
  struct client *client = check_client(L, "token");
  struct method_options options;
  argument_refuse_surplus(L, 1, 0, "token");
  lua_settop(L, 1);
  if (is_closed(client)) return fail_closed(L, client);
  options_read_method(L, 2, METHOD_TOKEN, session_options(client->session), &options);
  return push_call(L, client, METHOD_TOKEN, NULL, &options, 0);
}

/* ---- the client ---- */

/* table[name] = options[name], for the table on top and the options table at index 1. [-0, +0, e]
 */
static void copy_option(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  lua_setfield(L, -2, name);
}

/* table[flag] = whether the token store at `index` has this method, for the table on top.
 * [-0, +0, e] */
static void set_has_method(lua_State *L, int index, const char *method, const char *flag) {
  lua_getfield(L, index, method);
  lua_pushboolean(L, !lua_isnil(L, -1));
  lua_setfield(L, -3, flag);
  lua_pop(L, 1);
}

/* Pushes the table that the methods of a client share, with these fields, to which the Lua files
 * add others: [-0, +1, e]
 *   wait, token_store: the options, or nil
 *   credentials: see credentials_push
 * and if there is a token store:
 *   can_add, can_delete: whether it has these methods
 *   token_key, lock_key: the keys of the token and of its lock
 *   reports_store: whether failures of the store are reported to on_event or the log */
static void push_shared(lua_State *L, const struct client_options *options) {
  lua_newtable(L);
  if (options->has_wait) copy_option(L, "wait");
  credentials_push(L, &options->session);
  lua_setfield(L, -2, "credentials");
  if (!options->session.has_store) return;
  copy_option(L, "token_store");
  lua_getfield(L, -1, "token_store");
  lua_insert(L, -2);
  set_has_method(L, lua_gettop(L) - 1, "add", "can_add");
  set_has_method(L, lua_gettop(L) - 1, "delete", "can_delete");
  lua_remove(L, -2);
  lua_pushboolean(L, options->session.record_events);
  lua_setfield(L, -2, "reports_store");
  token_store_push_key(L, &options->session);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "token_key");
  lua_pushliteral(L, "&lock");
  lua_concat(L, 2);
  lua_setfield(L, -2, "lock_key");
}

/* Pushes nil and an error object, which in nginx is logged. Returns 2. [-0, +2, e] */
static int fail_new(lua_State *L, const struct failure *failure) {
  call_push_failure(L, NULL, failure->kind, failure->message);
  error_log_in_nginx(L);
  return 2;
}

/* Sets CLIENT_LOG of the client at index 2; the options table is at index 1. [-0, +0, e] */
static void set_log(lua_State *L, const struct client_options *options) {
  if (options->log == LOG_OFF) return;
  if (options->has_log_function)
    lua_getfield(L, 1, "log");
  else
    lua_pushinteger(L, (lua_Integer)options->log);
  user_value_set(L, 2, CLIENT_LOG);
}

int client_new(lua_State *L) {
  argument_refuse_surplus(L, 1, 1, "new");
  lua_settop(L, 1);
  struct client *client = user_value_new_object(L, sizeof *client, CLIENT_VALUES, CLIENT_TYPE);
  struct failure failure = {0};
  if (!options_read_client(L, 1, &client->options, &failure)) return fail_new(L, &failure);
  if (client->options.has_on_event) {
    lua_getfield(L, 1, "on_event");
    user_value_set(L, 2, CLIENT_ON_EVENT);
  }
  if (client->options.has_headers) {
    lua_getfield(L, 1, "headers");
    headers_check(L);
    user_value_set(L, 2, CLIENT_HEADERS);
  }
  set_log(L, &client->options);
  lua_pushstring(L, client->options.session.base_url);
  user_value_set(L, 2, CLIENT_BASE_URL);
  push_shared(L, &client->options);
  user_value_set(L, 2, CLIENT_SHARED);
  client->session = session_new(&client->options.session, &failure);
  if (client->session == NULL) return fail_new(L, &failure);
  lua_settop(L, 2);
  return 1;
}

/* close(client) [1.., +0] */
static int client_close(lua_State *L) {
  struct client *client = check_client(L, "close");
  argument_refuse_surplus(L, 1, 0, "close");
  if (client->session != NULL) session_close(client->session);
  return 0;
}

/* __close(client, err): calls the method `close` without `err`, which it would refuse as a surplus
 * argument. Upvalue 1 is the method. [2, +0] */
static int close_metamethod(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
  return 0;
}

struct session *client_session(lua_State *L, int index) {
  const struct client *client = lua_touserdata(L, index);
  return client->session;
}

/* __gc [1, +0] */
static int client_gc(lua_State *L) {
  struct client *client = lua_touserdata(L, 1);
  session_options_clear(&client->options.session);
  if (client->session == NULL) return 0;
  session_close(client->session);
  session_release(client->session);
  client->session = NULL;
  return 0;
}

/* __tostring [1, +1] */
static int client_tostring(lua_State *L) {
  struct client *client = check_client(L, "tostring");
  user_value_get(L, 1, CLIENT_BASE_URL);
  if (is_closed(client))
    lua_pushliteral(L, CLIENT_TYPE " (closed)");
  else
    lua_pushfstring(L, CLIENT_TYPE " (%s)", lua_tostring(L, -1));
  return 1;
}

/* shared(client) -> the table that push_shared made [1, +1] */
static int shared(lua_State *L) {
  user_value_get(L, 1, CLIENT_SHARED);
  return 1;
}

/* fail_argument(client, message) -> nil, an error object of kind argument [2, +2] */
static int fail_argument(lua_State *L) {
  struct client *client = lua_touserdata(L, 1);
  return call_push_failure(L, client->session, FAILURE_ARGUMENT, lua_tostring(L, 2));
}

/* Pushes the table of methods and podero.waits. [-0, +2, e] */
static void push_methods(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"shared", shared}, {"fail_argument", fail_argument}, {NULL, NULL}};
  static const luaL_Reg begin[] = {{"list_users", begin_list_users},
                                   {"each_user", begin_each_user},
                                   {"find_user", begin_find_user},
                                   {"list_users_of", begin_list_users_of},
                                   {"check_org_ids", check_org_ids},
                                   {"authorize", begin_authorize},
                                   {"get", begin_get},
                                   {"request", begin_request},
                                   {"token", begin_token},
                                   {"close", client_close},
                                   {NULL, NULL}};
  lua_newtable(L);
  compat_setfuncs(L, functions);
  call_set_functions(L);
  wait_set_functions(L);
  token_store_set_functions(L);
  credentials_set_functions(L);
  lua_newtable(L);
  compat_setfuncs(L, begin);
  methods_make(L);
}

void client_open(lua_State *L) {
  static const luaL_Reg client_functions[] = {
      {"__gc", client_gc}, {"__tostring", client_tostring}, {NULL, NULL}};
  call_open(L);
  wait_open(L);
  luaL_newmetatable(L, CLIENT_TYPE);
  compat_setfuncs(L, client_functions);
  lua_pushliteral(L, CLIENT_TYPE);
  lua_setfield(L, -2, "__name");
  lua_pushliteral(L, CLIENT_TYPE);
  lua_setfield(L, -2, "__metatable");
  push_methods(L);   /* metatable, methods, waits */
  lua_insert(L, -3); /* waits, metatable, methods */
  lua_getfield(L, -1, "close");
  lua_pushcclosure(L, close_metamethod, 1);
  lua_setfield(L, -3, "__close");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
