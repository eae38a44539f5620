/* Finalizers may run whenever Lua allocates memory, and may stop the call or close the client,
 * which frees the texts that the results are made from. So each text is copied in two steps: first
 * allocate memory in Lua, then get the text again, and copy it if its size is still the same. */
#include "lua/call_result.h"

#include <string.h>

#include "lua/call_object.h"
#include "lua/error.h"
#include "lua/headers.h"
#include "lua/user_value.h"

/* Texts of client:token, borrowed from the token source. */
struct token_texts {
  const char *token, *scope; /* NULL if there is none */
  size_t token_size, scope_size;
};

static struct token_texts token_texts(struct token_source *token_source) {
  struct token_texts t = {0};
  unsigned generation;
  if (token_source == NULL) return t;
  t.token = token_source_token(token_source, true, &generation);
  t.scope = token_source_scope(token_source);
  t.token_size = t.token == NULL ? 0 : strlen(t.token);
  t.scope_size = t.scope == NULL ? 0 : strlen(t.scope);
  return t;
}

/* Replaces the value on top by the results of client:token for a closed client: nil, an error and
 * nil. [-1, +3, m] */
static void push_closed(lua_State *L, struct session *session) {
  call_push_failure(L, session, FAILURE_CLOSED, "the client was closed during the call");
  lua_pushnil(L);
  lua_remove(L, -4);
}

/* Pushes token, expiry and scope; or nil, an error and nil if the client is closed. [-0, +3, m] */
static void push_token(lua_State *L, struct session *session) {
  double expires_at = 0;
  struct token_texts before = token_texts(session_token_source(session));
  char *copy = lua_newuserdata(L, before.token_size + before.scope_size + 1);
  struct token_source *token_source = session_token_source(session);
  struct token_texts now = token_texts(token_source);
  if (now.token == NULL || now.token_size != before.token_size ||
      now.scope_size != before.scope_size) {
    push_closed(L, session);
    return;
  }
  bool expires = token_source_expires_at(token_source, &expires_at), has_scope = now.scope != NULL;
  memcpy(copy, now.token, now.token_size);
  if (has_scope) memcpy(copy + now.token_size, now.scope, now.scope_size);
  lua_pushlstring(L, copy, now.token_size);
  wipe(copy, now.token_size);
  if (expires)
    lua_pushnumber(L, expires_at);
  else
    lua_pushnil(L);
  if (has_scope)
    lua_pushlstring(L, copy + now.token_size, now.scope_size);
  else
    lua_pushnil(L);
  lua_remove(L, -4);
}

static const char *requested_url(const struct call_object *object) {
  return object->call == NULL ? NULL : call_requested_url(object->call);
}

/* Sets the field url of the error object on top, if there is a URL. [-0, +0, m] */
static void set_url(lua_State *L, const struct call_object *object) {
  const char *url = requested_url(object);
  if (url == NULL) return;
  size_t size = strlen(url) + 1;
  char *copy = lua_newuserdata(L, size);
  url = requested_url(object);
  lua_insert(L, -2);
  if (url != NULL && strlen(url) + 1 == size) {
    memcpy(copy, url, size);
    error_set_url(L, copy, object->session);
  }
  lua_remove(L, -2);
}

/* `buffer` is a copy of a struct of the call, and shares its bytes. Pushes a userdata with a copy
 * of the bytes, and lets `buffer` refer to that. If a finalizer has stopped the call meanwhile,
 * `buffer` is empty. [-0, +1, m] */
static void copy_bytes(lua_State *L, const struct call_object *object, struct buffer *buffer) {
  char *copy = lua_newuserdata(L, buffer->size + 1);
  if (object->call == NULL) *buffer = (struct buffer){0};
  if (buffer->size > 0) memcpy(copy, buffer->data, buffer->size);
  buffer->data = copy;
}

void call_result_push_failure(lua_State *L, const struct call_object *object,
                              const struct failure *failure) {
  struct failure copy = *failure;
  lua_pushnil(L);
  copy_bytes(L, object, &copy.body);
  copy_bytes(L, object, &copy.header);
  error_push(L, &copy, object->session);
  wipe(copy.body.data, copy.body.size);
  wipe(copy.header.data, copy.header.size);
  lua_replace(L, -3);
  lua_pop(L, 1);
  set_url(L, object);
  if (object->method == METHOD_EACH_USER)
    call_set_integer(L, "delivered", (int64_t)object->decoder.delivered);
}

/* Pushes a table with the status and header fields of the response. [-0, +1, m] */
static void push_response(lua_State *L, const struct call_object *object) {
  long status = call_status(object->call);
  struct buffer header = *call_header(object->call);
  copy_bytes(L, object, &header);
  lua_createtable(L, 0, 2);
  call_set_integer(L, "status", status);
  headers_push_response(L, header.data, header.size, NULL, NULL);
  lua_setfield(L, -2, "headers");
  lua_remove(L, -2);
}

/* Pushes the two results of a call that has succeeded; the second one is nil for most methods.
 * [-0, +2, m] */
static void push_success(lua_State *L, const struct call_object *object) {
  if (object->method == METHOD_AUTHORIZE)
    lua_pushboolean(L, true);
  else
    user_value_get(L, 1, VALUE_DECODED); /* nil for METHOD_EACH_USER */
  if (object->method == METHOD_FIND_USER) {
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
  if (call_is_value(object))
    push_response(L, object);
  else
    lua_pushnil(L);
}

void call_result_store(lua_State *L, struct call_object *object) {
  const struct failure *failure = call_failure(object->call);
  if (failure != NULL) {
    call_result_push_failure(L, object, failure);
  } else if (object->method == METHOD_TOKEN) {
    push_token(L, object->session);
    user_value_set(L, 1, VALUE_THIRD_RESULT);
  } else {
    push_success(L, object);
  }
  user_value_set(L, 1, VALUE_SECOND_RESULT);
  user_value_set(L, 1, VALUE_RESULT);
  object->completed = true;
}
