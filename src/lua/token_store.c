#include "lua/token_store.h"

#include <math.h>
#include <string.h>

#include "core/clock.h"
#include "core/number.h"
#include "core/oauth2/token_source.h"
#include "lua/call_object.h"
#include "lua/json_value.h"
#include "lua/text_buffer.h"

/* A value with a refresh token or an auth style is stored for at least this long: servers do not
 * say when a refresh token expires, and the auth style saves requests after the access token has
 * expired. */
#define LONG_SECONDS (30.0 * 86400)

/* ---- key ---- */

/* Appends nothing if `value` is NULL, so that the key differs from the one for an empty value. */
static void add_part(struct buffer *key, const char *name, const char *value) {
  if (value == NULL) return;
  buffer_add(key, name);
  buffer_add_form_encoded(key, value, strlen(value));
}

void token_store_push_key(lua_State *L, const struct session_options *o) {
  struct buffer *key = text_buffer_push(L);
  buffer_add(key, "podero:token:grant=");
  buffer_add(key, o->username != NULL ? "password" : "client_credentials");
  add_part(key, "&base_url=", o->base_url);
  add_part(key, "&token_url=", o->token_url);
  add_part(key, "&client_id=", o->client_id);
  add_part(key, "&username=", o->username);
  add_part(key, "&scope=", o->scope);
  text_buffer_to_string(L);
}

/* ---- value ---- */

/* A value is a JSON object with the members of struct stored_token and of its auth style. Members
 * that are NULL, and times that are not known, are left out. */

/* Sets `*text` to a field of the table on top of the stack, or to NULL if the field is not a
 * string, is empty or contains a NUL. Inserts the field below the table, which keeps the string
 * valid. [-0, +1, m] */
static void read_string(lua_State *L, const char *key, const char **text) {
  size_t size;
  lua_getfield(L, -1, key);
  *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
  if (*text != NULL && (size == 0 || strlen(*text) != size)) *text = NULL;
  lua_insert(L, -2);
}

/* Returns a field of the table on top of the stack, or INFINITY if it is not a number.
 * [-0, +0, m] */
static double read_time(lua_State *L, const char *key) {
  lua_getfield(L, -1, key);
  double time = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : INFINITY;
  lua_pop(L, 1);
  return time;
}

/* Pushes the value of the JSON text at `index` and returns true. Returns false if the text is not
 * JSON. [-0, +(0|1), m] */
static bool push_decoded(lua_State *L, int index) {
  size_t size;
  const char *text = lua_tolstring(L, index, &size);
  return json_value_push(L, text, size, NULL, NULL);
}

/* The functions of token_store_set_functions, see the header. */

/* [2, +1, m] */
static int import(lua_State *L) {
  struct stored_token token = {0};
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING && push_decoded(L, 2) && lua_istable(L, -1)) {
    read_string(L, "access_token", &token.access_token);
    read_string(L, "refresh_token", &token.refresh_token);
    token.renew_at = read_time(L, "renew_at");
    token.expires_at = read_time(L, "expires_at");
    read_string(L, "endpoint", &token.style.endpoint);
    read_string(L, "encoding", &token.style.encoding);
    read_string(L, "client_auth", &token.style.client_auth);
  }
  /* Get the call only now: a finalizer that runs during the decoding may free it. */
  struct call *call = calls_get(L, 1, 1);
  lua_pushboolean(L, call == NULL || call_import(call, &token));
  return 1;
}

static void add_string(struct buffer *value, const char *name, const char *text) {
  if (text == NULL) return;
  buffer_add(value, name);
  buffer_add_json_string(value, text);
}

static void add_time(struct buffer *value, const char *name, double time) {
  char digits[NUMBER_BYTES];
  if (isinf(time)) return;
  buffer_add(value, name);
  buffer_append(value, digits, number_write(floor(time), digits));
}

static void add_token(struct buffer *value, const struct stored_token *token) {
  add_string(value, "{\"access_token\":", token->access_token);
  add_string(value, ",\"refresh_token\":", token->refresh_token);
  add_time(value, ",\"renew_at\":", token->renew_at);
  add_time(value, ",\"expires_at\":", token->expires_at);
  add_string(value, ",\"endpoint\":", token->style.endpoint);
  add_string(value, ",\"encoding\":", token->style.encoding);
  add_string(value, ",\"client_auth\":", token->style.client_auth);
  buffer_add(value, "}");
}

/* [1, +0|1|2, m] */
static int take_dirty(lua_State *L) {
  struct token_source *token_source = session_token_source(calls_session(L, 1));
  if (token_source == NULL || !token_source_is_dirty(token_source)) return 0;
  struct buffer *value = text_buffer_push(L);
  struct stored_token token;
  /* Get it again: text_buffer_push may have run a finalizer that closed the client. */
  token_source = session_token_source(calls_session(L, 1));
  if (token_source == NULL || !token_source_take_dirty(token_source, &token)) return 0;
  add_token(value, &token);
  double seconds = token.expires_at - clock_wall();
  if (token.refresh_token != NULL || token.style.encoding != NULL)
    seconds = fmax(seconds, LONG_SECONDS);
  if (seconds < 1) return 0; /* some stores keep a value forever if its lifetime is 0 */
  text_buffer_to_string(L);
  if (isinf(seconds)) return 1;
  lua_pushnumber(L, seconds);
  return 2;
}

/* [1, +1, -] */
static int is_fetching(lua_State *L) {
  struct token_source *token_source = session_token_source(calls_session(L, 1));
  lua_pushboolean(L, token_source != NULL && token_source_is_fetching(token_source));
  return 1;
}

/* [1, +0, -] */
static int fetch(lua_State *L) {
  struct call *call = calls_get(L, 1, 1);
  if (call != NULL) call_request_token(call);
  return 0;
}

/* [2, +1, -] */
static int postpone(lua_State *L) {
  struct call *call = calls_get(L, 1, 1);
  lua_pushboolean(L, call == NULL || call_wait_for_lock(call, lua_tonumber(L, 2)));
  return 1;
}

void token_store_set_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"import", import},         {"is_fetching", is_fetching},
                                       {"fetch", fetch},           {"postpone", postpone},
                                       {"take_dirty", take_dirty}, {NULL, NULL}};
  compat_setfuncs(L, functions);
}
