#include "lua/token_store.h"

#include <math.h>
#include <string.h>

#include "core/buffer.h"
#include "core/clock.h"
#include "core/number.h"
#include "core/oauth2/token_source.h"
#include "lua/call_object.h"
#include "lua/json_value.h"

/* How long a value lives that holds a refresh token, of whose life nothing is known. */
#define REFRESH_SECONDS (30.0 * 86400)

#define BUFFER_TYPE "podero.buffer"

/* ---- texts ---- */

static int free_buffer(lua_State *L) {
  buffer_free(lua_touserdata(L, 1));
  return 0;
}

/* Pushes a userdata with an empty buffer, which Lua frees whatever is raised. [-0, +1, m] */
static struct buffer *push_buffer(lua_State *L) {
  struct buffer *buffer = lua_newuserdata(L, sizeof *buffer);
  *buffer = (struct buffer){0};
  luaL_getmetatable(L, BUFFER_TYPE);
  lua_setmetatable(L, -2);
  return buffer;
}

/* Replaces the buffer on top by a string of what it holds. [-1, +1, m] */
static void to_string(lua_State *L, struct buffer *buffer) {
  if (buffer->failed) luaL_error(L, "not enough memory");
  lua_pushlstring(L, buffer->data, buffer->size);
  buffer_free(buffer); /* it may hold tokens: not to be left to the collector */
  lua_remove(L, -2);
}

/* ---- the key ---- */

/* Nothing if there is no value: that differs from an empty one. */
static void add_part(struct buffer *key, const char *name, const char *value) {
  if (value == NULL) return;
  buffer_add(key, name);
  buffer_add_form_encoded(key, value, strlen(value));
}

void store_push_key(lua_State *L, const struct session_options *o) {
  struct buffer *key = push_buffer(L);
  buffer_add(key, "podero:token:grant=");
  buffer_add(key, o->username != NULL ? "password" : "client_credentials");
  add_part(key, "&base_url=", o->base_url);
  add_part(key, "&token_url=", o->token_url);
  add_part(key, "&client_id=", o->client_id);
  add_part(key, "&username=", o->username);
  add_part(key, "&scope=", o->scope);
  to_string(L, key);
}

/* ---- the value: a JSON object with the members of struct stored_token ---- */

/* Sets `*text` to the string field of the table on top, or NULL, and leaves the string on the stack
 * below. [-0, +1, m] */
static void read_text(lua_State *L, const char *key, const char **text) {
  size_t size;
  lua_getfield(L, -1, key);
  *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
  if (*text != NULL && (size == 0 || strlen(*text) != size)) *text = NULL;
  lua_insert(L, -2);
}

/* Seconds since 1970; what is no number counts as not known. [-0, +0, -] */
static double read_time(lua_State *L, const char *key) {
  lua_getfield(L, -1, key);
  double time = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : INFINITY;
  lua_pop(L, 1);
  return time;
}

/* Pushes what the JSON text at `index` says. [-0, +0|1, m] */
static bool push_value(lua_State *L, int index) {
  size_t size;
  const char *text = lua_tolstring(L, index, &size);
  return json_value_push(L, text, size, NULL, NULL);
}

/* [2, +1] */
static int import(lua_State *L) {
  struct stored_token token = {0};
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING && push_value(L, 2) && lua_istable(L, -1)) {
    read_text(L, "access_token", &token.access_token);
    read_text(L, "refresh_token", &token.refresh_token);
    token.renew_at = read_time(L, "renew_at");
    token.expires_at = read_time(L, "expires_at");
  }
  /* Only now: decoding may have run a finalizer that closed the client. */
  struct call *call = calls_get(L, 1, 1);
  lua_pushboolean(L, call == NULL || call_import(call, &token));
  return 1;
}

static void add_text(struct buffer *value, const char *name, const char *text) {
  buffer_add(value, name);
  buffer_add_json_string(value, text);
}

static void add_time(struct buffer *value, const char *name, double time) {
  char digits[NUMBER_BYTES];
  if (isinf(time)) return;
  buffer_add(value, name);
  buffer_append(value, digits, number_write(floor(time), digits));
}

/* [1, +0|2] */
static int take_dirty(lua_State *L) {
  struct token_source *token_source = session_token_source(calls_session(L, 1));
  if (token_source == NULL || !token_source_is_dirty(token_source)) return 0;
  struct buffer *value = push_buffer(L);
  struct stored_token token;
  token_source =
      session_token_source(calls_session(L, 1)); /* a finalizer may have closed the client */
  if (token_source == NULL || !token_source_take_dirty(token_source, &token)) return 0;
  double life = token.expires_at - clock_wall();
  add_text(value, "{\"access_token\":", token.access_token);
  if (token.refresh_token != NULL) {
    add_text(value, ",\"refresh_token\":", token.refresh_token);
    life = fmax(life, REFRESH_SECONDS);
  }
  add_time(value, ",\"renew_at\":", token.renew_at);
  add_time(value, ",\"expires_at\":", token.expires_at);
  buffer_add(value, "}");
  if (life < 1) return 0; /* not worth storing; and 0 means "for good" to some stores */
  to_string(L, value);
  if (isinf(life)) return 1;
  lua_pushnumber(L, life);
  return 2;
}

static int is_fetching(lua_State *L) {
  struct token_source *token_source = session_token_source(calls_session(L, 1));
  lua_pushboolean(L, token_source != NULL && token_source_is_fetching(token_source));
  return 1;
}

static int fetch(lua_State *L) {
  struct call *call = calls_get(L, 1, 1);
  if (call != NULL) call_request_token(call);
  return 0;
}

static int postpone(lua_State *L) {
  struct call *call = calls_get(L, 1, 1);
  lua_pushboolean(L, call == NULL || call_wait_for_lock(call, lua_tonumber(L, 2)));
  return 1;
}

void store_open(lua_State *L) {
  luaL_newmetatable(L, BUFFER_TYPE);
  lua_pushcfunction(L, free_buffer);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

void store_set_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"import", import},         {"is_fetching", is_fetching},
                                       {"fetch", fetch},           {"postpone", postpone},
                                       {"take_dirty", take_dirty}, {NULL, NULL}};
  compat_setfuncs(L, functions);
}
