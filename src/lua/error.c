#include "lua/error.h"

#include <stdio.h>
#include <string.h>

#include "core/oauth2/redact.h"
#include "core/oauth2/token_source.h"
#include "core/syntax.h"
#include "lua/headers.h"
#include "lua/json_value.h"
#include "lua/log.h"
#include "lua/number_text.h"

#define TYPE_NAME "podero.error"

/* Maximum size of the field `detail` if the body is not JSON. */
#define MAX_DETAIL_BYTES 1024

/* Maximum size of the server's text in the message. */
#define MAX_SUMMARY_BYTES 300

/* ---- secrets ---- */

/* Finds the next secret in the text, see token_source_find_secret. Gets the token source each time,
 * because a finalizer may have closed the client since: it runs whenever Lua allocates memory. */
static bool find_secret(struct session *session, const char *text, size_t size, size_t *start,
                        size_t *length) {
  struct token_source *token_source = session == NULL ? NULL : session_token_source(session);
  return token_source != NULL && token_source_find_secret(token_source, text, size, start, length);
}

/* If the text has secrets, pushes it with the secrets replaced by REDACTED, and returns true.
 * Otherwise returns false. [-0, +(0|1), m] */
static bool push_redacted(lua_State *L, struct session *session, const char *text, size_t size) {
  size_t start, length;
  if (!find_secret(session, text, size, &start, &length)) return false;
  luaL_Buffer rest;
  luaL_buffinit(L, &rest);
  do {
    luaL_addlstring(&rest, text, start);
    luaL_addlstring(&rest, REDACTED, sizeof REDACTED - 1);
    text += start + length;
    size -= start + length;
  } while (find_secret(session, text, size, &start, &length));
  luaL_addlstring(&rest, text, size);
  luaL_pushresult(&rest);
  return true;
}

/* Returns whether a number in a body is a secret, or has one in its digits. */
static bool is_secret_number(struct session *session, const struct json_reader *r,
                             enum json_event event) {
  size_t start, length;
  struct token_source *token_source = session_token_source(session);
  if (find_secret(session, r->text, r->size, &start, &length)) return true;
  double number = event == JSON_INTEGER ? (double)r->integer : r->number;
  return token_source != NULL && token_source_is_secret_number(token_source, number);
}

/* A json_value_replace that redacts strings, keys and numbers. [-0, +(0|1), m] */
static bool replace_secret(lua_State *L, const struct json_reader *r, enum json_event event,
                           void *session) {
  if (event == JSON_STRING || event == JSON_KEY) return push_redacted(L, session, r->text, r->size);
  if (!is_secret_number(session, r, event)) return false;
  lua_pushliteral(L, REDACTED);
  return true;
}

/* A headers_replace that redacts. [-0, +(0|1), m] */
static bool replace_in_header(lua_State *L, const char *text, size_t size, void *session) {
  return push_redacted(L, session, text, size);
}

/* ---- the response's body ---- */

/* Pushes the field `detail`: the body, decoded, if it is JSON, else the beginning of its text.
 * [-0, +1, m] */
static void push_detail(lua_State *L, const struct buffer *body, struct session *session) {
  if (json_value_push(L, body->data, body->size, replace_secret, session)) return;
  /* Redact first, then cut: a secret cut in two would not be found. */
  bool redacted = push_redacted(L, session, body->data, body->size);
  size_t size = body->size;
  const char *text = redacted ? lua_tolstring(L, -1, &size) : body->data;
  lua_pushlstring(L, text, size < MAX_DETAIL_BYTES ? size : MAX_DETAIL_BYTES);
  if (redacted) lua_remove(L, -2);
}

/* Pushes table[key] for the table on top and returns true if it is a string that is not empty.
 * Otherwise returns false. [-0, +(0|1), m] */
static bool push_string_field(lua_State *L, const char *key) {
  lua_getfield(L, -1, key);
  if (lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) > 0) return true;
  lua_pop(L, 1);
  return false;
}

/* Pushes the elements of the array on top, 8 at most, joined with dots: "body.grant_type". It is
 * the field `loc` of a validation error. [-0, +1, m] */
static void push_location(lua_State *L) {
  luaL_Buffer path;
  int list = lua_gettop(L), count = lua_istable(L, list) ? (int)lua_rawlen(L, list) : 0;
  luaL_buffinit(L, &path);
  for (int i = 1; i <= count && i <= 8; i++) {
    if (i > 1) luaL_addchar(&path, '.');
    lua_rawgeti(L, list, i);
    if (lua_type(L, -1) == LUA_TNUMBER) number_to_text(L);
    if (lua_type(L, -1) == LUA_TSTRING) {
      luaL_addvalue(&path);
    } else {
      lua_pop(L, 1);
    }
  }
  luaL_pushresult(&path);
}

/* Pushes "location: message" for the first validation error in the array on top, which has the
 * format of Django Ninja, and returns true. Returns false if there is none. [-0, +(0|1), m] */
static bool push_validation_error(lua_State *L) {
  lua_rawgeti(L, -1, 1);
  if (!lua_istable(L, -1) || !push_string_field(L, "msg")) {
    lua_pop(L, 1);
    return false;
  }
  lua_getfield(L, -2, "loc");
  push_location(L);
  lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), lua_tostring(L, -3));
  lua_replace(L, -5);
  lua_pop(L, 3);
  return true;
}

/* Pushes "error: error_description" (RFC 6749, section 5.2) from the table on top, or the one of
 * the two that it has, and returns true. Returns false if it has neither. [-0, +(0|1), m] */
static bool push_oauth2_error(lua_State *L) {
  int detail = lua_gettop(L);
  if (!push_string_field(L, "error")) return push_string_field(L, "error_description");
  lua_getfield(L, detail, "error_description");
  if (lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) > 0) {
    lua_pushfstring(L, "%s: %s", lua_tostring(L, -2), lua_tostring(L, -1));
    lua_replace(L, detail + 1);
  }
  lua_settop(L, detail + 1);
  return true;
}

/* Pushes the text from the decoded body on top that is appended to the message, and returns true.
 * Returns false if there is none. [-0, +(0|1), m] */
static bool push_summary(lua_State *L) {
  if (!lua_istable(L, -1)) return false;
  if (push_oauth2_error(L) || push_string_field(L, "detail") || push_string_field(L, "message"))
    return true;
  lua_getfield(L, -1, "detail");
  bool found = lua_istable(L, -1) && push_validation_error(L);
  lua_remove(L, found ? -2 : -1);
  return found;
}

/* ---- the fields ---- */

/* Copies the message of the failure and redacts it: it may quote a path or id that the caller gave.
 * [-0, +0, m] */
static void copy_message(lua_State *L, const struct failure *failure, struct session *session,
                         char out[sizeof failure->message]) {
  size_t size = strlen(failure->message);
  bool redacted = push_redacted(L, session, failure->message, size);
  snprintf(out, sizeof failure->message, "%s", redacted ? lua_tostring(L, -1) : failure->message);
  if (redacted) lua_pop(L, 1);
}

/* Sets `message` of the error object at `object`. `detail`: stack index of the body, which must be
 * redacted, since a part of it is appended; or 0 for none. [-0, +0, m] */
static void set_message(lua_State *L, int object, int detail, const struct failure *failure,
                        struct session *session) {
  char text[sizeof failure->message + MAX_SUMMARY_BYTES];
  copy_message(L, failure, session, text);
  size_t size = strlen(text);
  if (detail != 0) {
    lua_pushvalue(L, detail);
    if (push_summary(L)) {
      strncat(text, ": ", sizeof text - size - 1);
      strncat(text, lua_tostring(L, -1), MAX_SUMMARY_BYTES - 3);
    }
    lua_settop(L, detail);
  }
  syntax_make_printable(text);
  lua_pushstring(L, text);
  lua_setfield(L, object, "message");
}

/* Sets `code` and `description` from the decoded body at `detail` (RFC 6749, section 5.2).
 * [-0, +0, m] */
static void set_oauth2_fields(lua_State *L, int object, int detail) {
  if (!lua_istable(L, detail)) return;
  lua_pushvalue(L, detail);
  if (push_string_field(L, "error")) lua_setfield(L, object, "code");
  if (push_string_field(L, "error_description")) lua_setfield(L, object, "description");
  lua_pop(L, 1);
}

/* Sets the fields that do not depend on the body. [-0, +0, m] */
static void set_failure_fields(lua_State *L, int object, const struct failure *failure) {
  lua_pushstring(L, failure_name(failure->kind));
  lua_setfield(L, object, "kind");
  if (failure->status != 0) {
    lua_pushinteger(L, (lua_Integer)failure->status);
    lua_setfield(L, object, "status");
  }
  if (failure->has_retry_after) {
    lua_pushnumber(L, failure->retry_after);
    lua_setfield(L, object, "retry_after");
  }
  lua_pushinteger(L, (lua_Integer)failure->attempts);
  lua_setfield(L, object, "attempts");
  lua_pushboolean(L, failure->retryable);
  lua_setfield(L, object, "retryable");
}

bool error_push_headers(lua_State *L, const struct buffer *header, struct session *session) {
  luaL_checkstack(L, 16, NULL);
  if (header->size == 0 || session == NULL || session_is_closed(session)) return false;
  headers_push_response(L, header->data, header->size, replace_in_header, session);
  if (!session_is_closed(session)) return true;
  lua_pop(L, 1); /* a finalizer closed it while they were redacted */
  return false;
}

void error_push(lua_State *L, const struct failure *failure, struct session *session) {
  luaL_checkstack(L, 16, NULL);
  lua_createtable(L, 0, 8);
  int object = lua_gettop(L), detail = 0;
  if (error_push_headers(L, &failure->header, session)) lua_setfield(L, object, "headers");
  /* A closed session has forgotten its secrets. They could not be redacted, so there is no body. */
  if (failure->body.size > 0 && session != NULL && !session_is_closed(session)) {
    push_detail(L, &failure->body, session);
    if (session_is_closed(session))
      lua_settop(L, object); /* a finalizer closed it while it was redacted */
  }
  if (lua_gettop(L) > object) {
    detail = object + 1;
    set_oauth2_fields(L, object, detail);
  }
  set_message(L, object, detail, failure, session);
  if (detail != 0) lua_setfield(L, object, "detail");
  set_failure_fields(L, object, failure);
  luaL_getmetatable(L, TYPE_NAME);
  lua_setmetatable(L, object);
}

void error_set_url(lua_State *L, const char *url, struct session *session) {
  luaL_checkstack(L, 4, NULL);
  if (!push_redacted(L, session, url, strlen(url))) lua_pushstring(L, url);
  lua_setfield(L, -2, "url");
}

/* __tostring: one line such as "podero: auth: no token from ..." [1, +1] */
static int error_tostring(lua_State *L) {
  lua_settop(L, 1);
  lua_getfield(L, 1, "kind");
  lua_getfield(L, 1, "message");
  const char *kind = lua_tostring(L, 2), *message = lua_tostring(L, 3);
  lua_pushfstring(L, "podero: %s: %s", kind != NULL ? kind : "?", message != NULL ? message : "?");
  return 1;
}

/* ---- nginx's log ---- */

void error_log_in_nginx(lua_State *L) {
  luaL_checkstack(L, 4, NULL);
  lua_pushcfunction(L, error_tostring);
  lua_pushvalue(L, -2);
  lua_call(L, 1, 1);
  log_in_nginx(L, "ERR");
}

int error_raise(lua_State *L) {
  lua_settop(L, 1);
  error_log_in_nginx(L);
  return lua_error(L);
}

/* ---- the metatable ---- */

/* Returns whether the value at `index` is an error object. [-0, +0, -] */
static bool is_error(lua_State *L, int index) {
  return lua_istable(L, index) && compat_has_metatable(L, index, TYPE_NAME);
}

int error_is_error(lua_State *L) {
  lua_settop(L, 1);
  lua_pushboolean(L, is_error(L, 1));
  return 1;
}

/* __concat. One operand is an error object; the other may be a string, a number or another error
 * object. [2, +1] */
static int error_concat(lua_State *L) {
  lua_settop(L, 2);
  for (int i = 1; i <= 2; i++) {
    if (is_error(L, i)) {
      lua_pushcfunction(L, error_tostring);
      lua_pushvalue(L, i);
      lua_call(L, 1, 1);
    } else if (lua_isstring(L, i)) {
      lua_pushvalue(L, i);
    } else {
      luaL_where(L, 1);
      lua_pushfstring(L, "%sattempt to concatenate a %s value", lua_tostring(L, -1),
                      luaL_typename(L, i));
      return lua_error(L);
    }
  }
  lua_concat(L, 2);
  return 1;
}

void error_open(lua_State *L) {
  luaL_newmetatable(L, TYPE_NAME);
  lua_pushcfunction(L, error_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushcfunction(L, error_concat);
  lua_setfield(L, -2, "__concat");
  lua_pushliteral(L, TYPE_NAME);
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
}
