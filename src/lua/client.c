#include "lua/client.h"

#include <string.h>

#include "core/agent.h"
#include "core/call.h"
#include "core/syntax.h"
#include "lua/error.h"
#include "lua/json.h"
#include "lua/options.h"
#include "lua/user.h"
#include "lua/wait.h"

#define CLIENT_TYPE "podero.client"
#define CALL_TYPE "podero.call"

/* Beside a client lies a table with on_event. */
struct client {
  struct client_options options; /* until the agent has taken them; then flags alone */
  struct agent *agent;
};

enum method { METHOD_LIST_USERS, METHOD_GET, METHOD_TOKEN };

/* Beside a call lies a table: its client, and what it gives back. */
struct client_call {
  struct client *client;
  struct call *call;
  enum method method;
  struct event *event; /* being told of */
  /* What the core asks of the binding, while it asks; see run_request. */
  struct {
    const char *body;
    size_t size;
    struct token_answer *answer; /* read_token, else accept */
    struct failure *failure;
  } request;
};

/* Places in the tables beside clients and calls. */
enum { CLIENT_ON_EVENT = 1 };
enum { CALL_CLIENT = 1, CALL_RESULT, CALL_SECOND_RESULT };

/* Sets slot `n` of the table beside the userdata at `index` to the value on top. [-1, +0] */
static void set_slot(lua_State *L, int index, int n) {
  lua_getuservalue(L, index);
  lua_insert(L, -2);
  lua_rawseti(L, -2, n);
  lua_pop(L, 1);
}

/* Pushes slot `n` of that table. [0, +1] */
static void get_slot(lua_State *L, int index, int n) {
  lua_getuservalue(L, index);
  lua_rawgeti(L, -1, n);
  lua_remove(L, -2);
}

/* Pushes a zeroed userdata with its metatable and table. [0, +1] */
static void *new_object(lua_State *L, size_t size, const char *type) {
  void *object = lua_newuserdata(L, size);
  memset(object, 0, size);
  lua_newtable(L);
  lua_setuservalue(L, -2);
  luaL_getmetatable(L, type);
  lua_setmetatable(L, -2);
  return object;
}

/* Pushes nil and an error object. [0, +2] */
static int fail(lua_State *L, struct agent *agent, const struct failure *failure) {
  lua_pushnil(L);
  error_push(L, failure, agent);
  return 2;
}

static int fail_with(lua_State *L, struct agent *agent, enum failure_kind kind,
                     const char *message) {
  struct failure failure = {0};
  failure_set(&failure, kind, "%s", message);
  return fail(L, agent, &failure);
}

/* ---- what the core asks of the binding ---- */

/* A copy of the string field `key` of the table at `index`, or NULL. NUL, which no text of OAuth2
 * may hold and C would end at, becomes another control character. [0, 0] */
static char *copy_field(lua_State *L, int index, const char *key) {
  char *copy = NULL;
  lua_getfield(L, index, key);
  if (lua_type(L, -1) == LUA_TSTRING) {
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    struct buffer buffer = {0};
    if (!buffer_append(&buffer, text, size)) luaL_error(L, "not enough memory");
    copy = buffer.data;
    for (size_t i = 0; i < size; i++) {
      if (copy[i] == '\0') copy[i] = '\1';
    }
  }
  lua_pop(L, 1);
  return copy;
}

/* Fills an answer of the token endpoint from JSON (RFC 6749, 5). Numbers may be strings. */
static void read_token_answer(lua_State *L, const char *body, size_t size,
                              struct token_answer *out) {
  lua_pushlstring(L, body != NULL ? body : "", size);
  if (!json_decode(L) || !lua_istable(L, -1)) return;
  int answer = lua_gettop(L);
  out->is_object = true;
  out->access_token = copy_field(L, answer, "access_token");
  out->token_type = copy_field(L, answer, "token_type");
  out->refresh_token = copy_field(L, answer, "refresh_token");
  out->error = copy_field(L, answer, "error");
  out->error_description = copy_field(L, answer, "error_description");
  lua_getfield(L, answer, "expires_in");
  lua_Number life = lua_tonumber(L, -1);
  out->has_expires_in = lua_isnumber(L, -1) && life == life;
  out->expires_in = life;
}

/* Leaves the value that the method gives back in the call's table. [0, 0] */
static void accept_body(lua_State *L, struct client_call *c) {
  struct failure *failure = c->request.failure;
  if (c->method == METHOD_LIST_USERS) {
    user_read_list(L, c->request.body, c->request.size, c->client->options.validate, failure);
  } else {
    lua_pushlstring(L, c->request.body != NULL ? c->request.body : "", c->request.size);
    if (!json_decode(L))
      failure_set(failure, FAILURE_DECODE, "the response is %s: %.200s",
                  c->request.size == 0 ? "empty" : "not JSON", lua_tostring(L, -1));
  }
  if (failure->kind == FAILURE_NONE) set_slot(L, 1, CALL_RESULT);
}

/* Runs protected, with the call as its argument. [1, 0] */
static int run_request(lua_State *L) {
  struct client_call *c = lua_touserdata(L, 1);
  if (c->request.answer != NULL)
    read_token_answer(L, c->request.body, c->request.size, c->request.answer);
  else
    accept_body(L, c);
  return 0;
}

/* The core's environment is the state in which the call is being pushed forward; there, 1 is the
 * call and 2 is run_request. Nothing here allocates outside the protected call. */
static bool request(lua_State *L) {
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 1);
  if (lua_pcall(L, 1, 0, 0) == 0) return true;
  lua_pop(L, 1); /* errors of JSON are results: what is left is memory */
  return false;
}

static bool read_token(void *environment, const char *body, size_t size, struct token_answer *out) {
  lua_State *L = environment;
  struct client_call *c = lua_touserdata(L, 1);
  c->request.body = body;
  c->request.size = size;
  c->request.answer = out;
  return request(L);
}

static void accept(void *environment, const char *body, size_t size, struct failure *failure) {
  lua_State *L = environment;
  struct client_call *c = lua_touserdata(L, 1);
  c->request.body = body;
  c->request.size = size;
  c->request.answer = NULL;
  c->request.failure = failure;
  if (!request(L)) failure_set(failure, FAILURE_MEMORY, "out of memory while reading the response");
}

static const struct call_binding binding = {.read_token = read_token, .accept = accept};

/* ---- on_event ---- */

static void set_text(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static void set_integer(lua_State *L, const char *key, int64_t value) {
  compat_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

/* [0, +1] */
static void push_event(lua_State *L, const struct event *e) {
  lua_createtable(L, 0, 9);
  set_text(L, "type", "exchange");
  set_text(L, "purpose", e->for_token ? "token" : "api");
  set_text(L, "method", e->method);
  set_text(L, "url", e->url);
  if (e->status != 0) set_integer(L, "status", e->status);
  set_integer(L, "attempt", (int64_t)e->attempt);
  lua_pushnumber(L, e->seconds);
  lua_setfield(L, -2, "seconds");
  set_integer(L, "bytes", (int64_t)e->bytes);
  if (e->error_kind != FAILURE_NONE) set_text(L, "error_kind", failure_name(e->error_kind));
}

static void end_call(struct client_call *c) {
  event_free(c->event);
  c->event = NULL;
  call_free(c->call);
  c->call = NULL;
}

/* Tells on_event of what has happened to the call at index 1. An error there ends the call, and is
 * raised again as it came. [0, 0] */
static void tell_events(lua_State *L, struct client_call *c) {
  while (c->call != NULL && (c->event = call_take_event(c->call)) != NULL) {
    get_slot(L, 1, CALL_CLIENT);
    get_slot(L, -1, CLIENT_ON_EVENT);
    push_event(L, c->event);
    event_free(c->event);
    c->event = NULL;
    if (lua_pcall(L, 1, 0, 0) != 0) {
      end_call(c);
      lua_error(L);
    }
    lua_pop(L, 1);
  }
}

/* ---- pushing a call forward ---- */

/* Pushes token and expiry, or nil and an error where the client has been closed since. [0, +2] */
static void push_token(lua_State *L, struct agent *agent) {
  struct oauth2 *oauth2 = agent_oauth2(agent);
  unsigned generation;
  double expires_at;
  if (oauth2 == NULL) {
    fail_with(L, agent, FAILURE_CLOSED, "the client was closed during the call");
    return;
  }
  lua_pushstring(L, oauth2_token(oauth2, true, &generation));
  if (oauth2_expires_at(oauth2, &expires_at))
    lua_pushnumber(L, expires_at);
  else
    lua_pushnil(L);
}

/* Keeps the results, before on_event gets a chance to close the client. [0, 0] */
static void keep_results(lua_State *L, struct client_call *c) {
  const struct failure *failure = call_failure(c->call);
  if (failure == NULL && c->method != METHOD_TOKEN) return; /* accept_body has kept it */
  if (failure != NULL)
    fail(L, c->client->agent, failure);
  else
    push_token(L, c->client->agent);
  set_slot(L, 1, CALL_SECOND_RESULT);
  set_slot(L, 1, CALL_RESULT);
}

/* step(call) -> whether it has ended [1, +1] */
static int step(lua_State *L) {
  struct client_call *c = lua_touserdata(L, 1);
  lua_settop(L, 1);
  luaL_checkstack(L, 8, NULL);
  lua_pushcfunction(L, run_request);
  bool ended = call_step(c->call, L);
  if (ended) keep_results(L, c);
  tell_events(L, c);
  lua_pushboolean(L, ended);
  return 1;
}

/* wait(call) [1, 0] */
static int wait(lua_State *L) {
  struct client_call *c = lua_touserdata(L, 1);
  call_wait(c->call);
  return 0;
}

/* finish(call) -> results of the method [1, +1|2] */
static int finish(lua_State *L) {
  struct client_call *c = lua_touserdata(L, 1);
  end_call(c);
  get_slot(L, 1, CALL_RESULT);
  get_slot(L, 1, CALL_SECOND_RESULT);
  if (!lua_isnil(L, -1)) return 2;
  lua_pop(L, 1);
  return 1;
}

static int call_gc(lua_State *L) {
  end_call(lua_touserdata(L, 1));
  return 0;
}

/* ---- beginning a call ---- */

static struct client *check_client(lua_State *L, const char *method) {
  struct client *client = compat_testudata(L, 1, CLIENT_TYPE);
  if (client != NULL) return client;
  options_push_where(L);
  lua_pushfstring(L, "%scalling '%s' on a bad self (%s expected, got %s; use client:%s(...))",
                  lua_tostring(L, -1), method, CLIENT_TYPE, luaL_typename(L, 1), method);
  lua_error(L);
  return NULL;
}

static bool is_closed(const struct client *client) {
  return client->agent == NULL || agent_is_closed(client->agent);
}

/* Pushes a new call for the client at index 1, or nil and an error. [0, +1|2] */
static int begin(lua_State *L, struct client *client, enum method method, const char *path,
                 const char *query, const struct method_options *options) {
  struct call_options call_options = {
      .binding = &binding,
      .path = path,
      .query = query,
      .timeout = options->timeout,
      .max_retries = options->max_retries,
      .max_response_bytes = options->max_response_bytes,
  };
  struct client_call *c = new_object(L, sizeof *c, CALL_TYPE);
  c->client = client;
  c->method = method;
  lua_pushvalue(L, 1);
  set_slot(L, -2, CALL_CLIENT);
  c->call = call_new(client->agent, &call_options);
  if (c->call != NULL) return 1;
  return fail_with(L, client->agent, FAILURE_MEMORY, "out of memory");
}

/* list_users(client, org_id [, opts]) */
static int begin_list_users(lua_State *L) {
  static const char name[] = "list_users";
  struct client *client = check_client(L, name);
  struct method_options options;
  if (lua_type(L, 2) != LUA_TSTRING)
    options_argument_error(L, 1, name, "organization id: string expected, got %s",
                           luaL_typename(L, 2));
  if (is_closed(client)) return fail_with(L, client->agent, FAILURE_CLOSED, "the client is closed");
  options_read_method(L, 3, name, OPTION_INCLUDE_DELETED | OPTION_MAX_RESPONSE_BYTES,
                      agent_options(client->agent), &options);
  size_t size;
  const char *id = lua_tolstring(L, 2, &size);
  if (!syntax_is_uuid(id, size)) {
    lua_pushfstring(L, "the organization id is not a UUID: '%s'", id);
    return fail_with(L, client->agent, FAILURE_ARGUMENT, lua_tostring(L, -1));
  }
  const char *path = lua_pushfstring(L, "/api/partners/v2.0/org/%s/users", id);
  return begin(L, client, METHOD_LIST_USERS, path,
               options.include_deleted ? "include_deleted=true" : NULL, &options);
}

static void add_form_encoded(luaL_Buffer *buffer, const char *text, size_t size) {
  for (size_t i = 0; i < size; i++) {
    char place[3];
    luaL_addlstring(buffer, place, form_encode(text[i], place));
  }
}

/* Replaces the query value on top, a string, number or boolean, by its text. [0, 0] */
static void query_value_to_string(lua_State *L, const char *name) {
  int type = lua_type(L, -1);
  if (type == LUA_TBOOLEAN) {
    lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
    lua_replace(L, -2);
  } else if (type == LUA_TNUMBER) {
    lua_tostring(L, -1);
  } else if (type != LUA_TSTRING) {
    options_argument_error(L, 2, "get",
                           "query parameter '%s': expected a string, number or boolean, got %s",
                           name, luaL_typename(L, -1));
  }
}

/* Pushes the table at `index` as a query, in no particular order. [0, +1] */
static void push_query(lua_State *L, int index) {
  if (lua_isnoneornil(L, index)) {
    lua_pushliteral(L, "");
    return;
  }
  if (!lua_istable(L, index))
    options_argument_error(L, 2, "get", "query: table expected, got %s", luaL_typename(L, index));
  lua_pushliteral(L, "");
  lua_pushnil(L);
  while (lua_next(L, index)) { /* query so far, name, value */
    if (lua_type(L, -2) != LUA_TSTRING)
      options_argument_error(L, 2, "get", "query: names are strings, not %s", luaL_typename(L, -2));
    query_value_to_string(L, lua_tostring(L, -2));
    size_t name_size, value_size;
    const char *name = lua_tolstring(L, -2, &name_size);
    const char *value = lua_tolstring(L, -1, &value_size);
    int query = lua_gettop(L) - 2;
    luaL_Buffer pair;
    luaL_buffinit(L, &pair);
    if (lua_rawlen(L, query) > 0) luaL_addchar(&pair, '&');
    add_form_encoded(&pair, name, name_size);
    luaL_addchar(&pair, '=');
    add_form_encoded(&pair, value, value_size);
    luaL_pushresult(&pair);
    lua_pushvalue(L, query);
    lua_insert(L, -2);
    lua_concat(L, 2);
    lua_replace(L, query);
    lua_pop(L, 1);
  }
}

/* get(client, path [, query [, opts]]) */
static int begin_get(lua_State *L) {
  static const char name[] = "get";
  struct client *client = check_client(L, name);
  struct method_options options;
  if (lua_type(L, 2) != LUA_TSTRING)
    options_argument_error(L, 1, name, "path: string expected, got %s", luaL_typename(L, 2));
  if (is_closed(client)) return fail_with(L, client->agent, FAILURE_CLOSED, "the client is closed");
  options_read_method(L, 4, name, OPTION_MAX_RESPONSE_BYTES, agent_options(client->agent),
                      &options);
  size_t size;
  const char *path = lua_tolstring(L, 2, &size);
  if (!syntax_is_path(path, size)) {
    lua_pushfstring(L,
                    "the path must start with '/', and hold no query, fragment, '@', dot segment "
                    "or character that needs escaping: '%s'",
                    path);
    return fail_with(L, client->agent, FAILURE_ARGUMENT, lua_tostring(L, -1));
  }
  push_query(L, 3);
  return begin(L, client, METHOD_GET, path, lua_tostring(L, -1), &options);
}

/* token(client) */
static int begin_token(lua_State *L) {
  struct client *client = check_client(L, "token");
  if (is_closed(client)) return fail_with(L, client->agent, FAILURE_CLOSED, "the client is closed");
  const struct agent_options *defaults = agent_options(client->agent);
  struct method_options options = {.timeout = defaults->timeout,
                                   .max_retries = defaults->max_retries};
  return begin(L, client, METHOD_TOKEN, NULL, NULL, &options);
}

/* ---- the client ---- */

int client_new(lua_State *L) {
  lua_settop(L, 1);
  struct client *client = new_object(L, sizeof *client, CLIENT_TYPE);
  struct failure failure = {0};
  options_read_client(L, 1, &client->options);
  if (client->options.has_on_event) {
    lua_getfield(L, 1, "on_event");
    set_slot(L, 2, CLIENT_ON_EVENT);
  }
  client->agent = agent_new(&client->options.agent, &failure);
  if (client->agent == NULL) return fail(L, NULL, &failure);
  lua_settop(L, 2);
  return 1;
}

/* close(client), __close [1.., 0] */
static int client_close(lua_State *L) {
  struct client *client = check_client(L, "close");
  if (client->agent != NULL) agent_close(client->agent);
  return 0;
}

static int client_gc(lua_State *L) {
  struct client *client = lua_touserdata(L, 1);
  agent_options_clear(&client->options.agent);
  if (client->agent == NULL) return 0;
  agent_close(client->agent);
  agent_release(client->agent);
  client->agent = NULL;
  return 0;
}

static int client_tostring(lua_State *L) {
  struct client *client = check_client(L, "tostring");
  if (is_closed(client))
    lua_pushliteral(L, CLIENT_TYPE " (closed)");
  else
    lua_pushfstring(L, CLIENT_TYPE " (%s)", agent_options(client->agent)->base_url);
  return 1;
}

/* Sets methods[name] to the loop around `begin_call`; the loop's maker is on top, methods below.
 * [0, 0] */
static void add_method(lua_State *L, const char *name, lua_CFunction begin_call) {
  lua_pushvalue(L, -1);
  lua_pushcfunction(L, begin_call);
  lua_call(L, 1, 1);
  lua_setfield(L, -3, name);
}

static void push_methods(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, client_close);
  lua_setfield(L, -2, "close");
  lua_pushcfunction(L, step);
  lua_pushcfunction(L, wait);
  lua_pushcfunction(L, finish);
  wait_push_method_maker(L);
  add_method(L, "list_users", begin_list_users);
  add_method(L, "get", begin_get);
  add_method(L, "token", begin_token);
  lua_pop(L, 1);
}

void client_open(lua_State *L) {
  static const luaL_Reg client_functions[] = {{"__gc", client_gc},
                                              {"__close", client_close},
                                              {"__tostring", client_tostring},
                                              {NULL, NULL}};
  luaL_newmetatable(L, CALL_TYPE);
  lua_pushcfunction(L, call_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newmetatable(L, CLIENT_TYPE);
  compat_setfuncs(L, client_functions);
  lua_pushliteral(L, CLIENT_TYPE);
  lua_setfield(L, -2, "__name");
  lua_pushliteral(L, CLIENT_TYPE);
  lua_setfield(L, -2, "__metatable");
  push_methods(L);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
