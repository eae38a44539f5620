#include "lua/client.h"

#include "core/session.h"
#include "lua/argument.h"
#include "lua/call_arguments.h"
#include "lua/call_object.h"
#include "lua/credentials.h"
#include "lua/error.h"
#include "lua/headers.h"
#include "lua/methods.h"
#include "lua/options.h"
#include "lua/token_store.h"
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
  if (client == NULL) argument_refuse_self(L, CLIENT_TYPE, method);
  return client;
}

static bool is_closed(const struct client *client) {
  return client->session == NULL || session_is_closed(client->session);
}

/* No collection is run for this many calls or fewer. */
#define MIN_UNFINISHED 64u

/* Runs a full collection if more than MIN_UNFINISHED calls are unfinished, and at least twice as
 * many as after the last collection. A call that nobody refers to (its coroutine is not resumed, or
 * its loop was left early) holds connections and memory until Lua collects it. Lua may not do so
 * soon, since it does not count that memory. [-0, +0, m] */
static void collect_unfinished(lua_State *L, struct client *client) {
  unsigned unfinished = session_count_calls(client->session);
  if (unfinished * 2 < client->collect_at) client->collect_at = unfinished * 2;
  if (unfinished <= MIN_UNFINISHED || unfinished < client->collect_at) return;
  lua_gc(L, LUA_GCCOLLECT, 0);
  if (!is_closed(client)) client->collect_at = session_count_calls(client->session) * 2;
}

/* Describes the client to the functions that check arguments. */
static struct call_client describe(const struct client *client) {
  return (struct call_client){
      .session = client->session,
      .defaults = client->session == NULL ? NULL : session_options(client->session),
      .is_closed = is_closed(client),
      .has_max_response_bytes = client->options.has_max_response_bytes,
      .has_headers = client->options.has_headers,
  };
}

/* Begins a call of the client at index 1; see call_push_new. [-0, +(1..3), m] */
static int push_call(lua_State *L, struct client *client, enum method method,
                     const struct call_request *request, const struct call_arguments *arguments) {
  collect_unfinished(L, client);
  if (is_closed(client)) return call_push_closed(L, client->session); /* a finalizer closed it */
  return call_push_new(L, client->session, method, client->options.validate, request,
                       &arguments->options, arguments->opts, arguments->filter);
}

/* begin_list(client, org_id [, opts]); for find_user begin_list(client, org_id, where [, opts]);
 * for list_users_of begin_list(client, org_id, opts, fields, filter), see check_org_ids */
static int begin_list(lua_State *L, enum method method) {
  struct client *client = check_client(L, options_method_name(method));
  struct call_client description = describe(client);
  struct call_arguments arguments;
  if (!call_arguments_read_list(L, &description, method, &arguments)) return 2;
  return push_call(L, client, method, &arguments.request, &arguments);
}

static int begin_list_users(lua_State *L) {
  return begin_list(L, METHOD_LIST_USERS);
}

static int begin_each_user(lua_State *L) {
  return begin_list(L, METHOD_EACH_USER);
}

static int begin_find_user(lua_State *L) {
  return begin_list(L, METHOD_FIND_USER);
}

static int begin_list_users_of(lua_State *L) {
  return begin_list(L, METHOD_LIST_USERS_OF);
}

/* check_org_ids(client, org_ids [, opts]) -> ids, concurrency, aliases, fields, filter: see
 * call_arguments_push_org_ids [1.., +5] */
static int check_org_ids(lua_State *L) {
  struct client *client = check_client(L, options_method_name(METHOD_LIST_USERS_OF));
  struct call_client description = describe(client);
  return call_arguments_push_org_ids(L, &description);
}

/* begin_authorize(client [, opts]): a call that only gets a token; its result is true */
static int begin_authorize(lua_State *L) {
  struct client *client = check_client(L, options_method_name(METHOD_AUTHORIZE));
  struct call_arguments arguments = {.opts = 2};
  if (is_closed(client)) return call_push_closed(L, client->session);
  options_read_method(L, 2, METHOD_AUTHORIZE, session_options(client->session), &arguments.options);
  return push_call(L, client, METHOD_AUTHORIZE, NULL, &arguments);
}

/* begin_get(client, path [, query [, opts]]) */
static int begin_get(lua_State *L) {
  struct client *client = check_client(L, options_method_name(METHOD_GET));
  struct call_client description = describe(client);
  struct call_arguments arguments;
  if (!call_arguments_read_get(L, &description, &arguments)) return 2;
  return push_call(L, client, METHOD_GET, &arguments.request, &arguments);
}

/* begin_request(client, method, path [, opts]) */
static int begin_request(lua_State *L) {
  struct client *client = check_client(L, options_method_name(METHOD_REQUEST));
  struct call_client description = describe(client);
  struct call_arguments arguments;
  if (!call_arguments_read_request(L, &description, &arguments)) return 2;
  return push_call(L, client, METHOD_REQUEST, &arguments.request, &arguments);
}

/* begin_token(client) */
static int begin_token(lua_State *L) {
  struct client *client = check_client(L, options_method_name(METHOD_TOKEN));
  struct call_client description = describe(client);
  struct call_arguments arguments;
  if (!call_arguments_read_token(L, &description, &arguments)) return 2;
  return push_call(L, client, METHOD_TOKEN, NULL, &arguments);
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
