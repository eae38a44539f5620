#include "lua/call_body.h"

#include <stdio.h>

#include "core/syntax.h"
#include "lua/call_object.h"
#include "lua/collector.h"
#include "lua/user_table.h"
#include "lua/user_value.h"

/* ---- a body of any JSON ---- */

/* Starts a new attempt, and discards what an earlier one has left. [-0, +0, m] */
static void begin_value(lua_State *L, struct call_object *object) {
  json_value_free(&object->value);
  if (object->raw) return;
  json_value_init(&object->value, object->max_response_bytes);
  json_value_push_state(L);
  user_value_set(L, 1, VALUE_STATE);
}

/* Fills `failure` from the error of a decoder, if there is one. `rest` is appended to the message
 * if the body is not JSON. */
static void set_failure(const struct decode_error *e, const char *rest, struct failure *failure) {
  if (e->kind == FAILURE_NONE) return;
  if (e->kind == FAILURE_DECODE) {
    const char *what = !e->cut_short ? "not JSON" : e->offset == 0 ? "empty" : "cut short";
    failure_set(failure, e->kind, "the response is %s: %s%s", what, e->message, rest);
    failure->retryable = e->cut_short && e->offset > 0;
  } else {
    failure_set(failure, e->kind, "%s", e->message);
  }
  syntax_make_printable(failure->message);
}

void call_body_set_value_failure(const struct json_value *value, struct failure *failure) {
  set_failure(&value->error, "", failure);
}

/* Decodes the next bytes of the body. [-0, +1, m] */
static void feed_value(lua_State *L, struct call_object *object) {
  user_value_get(L, 1, VALUE_STATE);
  json_value_decode(L, &object->value, -1, object->bytes, object->size);
  call_body_set_value_failure(&object->value, object->failure);
}

/* Sets the result of a body that is not decoded: its text, or true. [-0, +0, m] */
static void set_undecoded(lua_State *L, const struct call_object *object) {
  size_t size;
  const char *body = call_body(object->call, &size);
  if (object->raw)
    lua_pushlstring(L, size > 0 ? body : "", size);
  else
    lua_pushboolean(L, true);
  user_value_set(L, 1, VALUE_DECODED);
}

/* Sets the result at the end of the body: the value, the text if the call is `raw`, or true if
 * client:request got an empty body. [-0, +(0..2), m] */
static void end_value(lua_State *L, struct call_object *object) {
  bool is_empty = object->method == METHOD_REQUEST && call_received(object->call) == 0;
  if (object->raw || is_empty) {
    set_undecoded(L, object);
    return;
  }
  user_value_get(L, 1, VALUE_STATE);
  if (json_value_end(L, &object->value, -1)) user_value_set(L, 1, VALUE_DECODED);
  call_body_set_value_failure(&object->value, object->failure);
}

/* ---- a body of users: all other methods ---- */

/* Sets VALUE_STATE of the call at index 1 to the state that all lists of its client share. The
 * first list makes it. [-0, +0, m] */
static void set_state(lua_State *L) {
  user_value_get(L, 1, VALUE_CLIENT);
  user_value_get(L, -1, CLIENT_STATE);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    user_table_push_state(L);
    lua_pushvalue(L, -1);
    user_value_set(L, -3, CLIENT_STATE);
  }
  user_value_set(L, 1, VALUE_STATE);
  lua_pop(L, 1);
}

/* Starts a new attempt, and discards the users of an earlier one. [-0, +0, m] */
static void begin_users(lua_State *L, struct call_object *object) {
  struct user_decoder_options options = {
      .validate = object->validate,
      .reports = object->has_on_invalid,
      .max_bytes = object->max_response_bytes,
      .filter = object->filter,
  };
  user_decoder_free(&object->decoder);
  user_decoder_init(&object->decoder, &options);
  set_state(L);
  if (object->method == METHOD_EACH_USER) return;
  lua_newtable(L);
  user_value_set(L, 1, VALUE_DECODED);
}

void call_body_set_users_failure(const struct user_decoder *decoder, struct failure *failure) {
  unsigned long long users = decoder->users;
  char after[48] = "";
  if (decoder->error.kind == FAILURE_DECODE)
    snprintf(after, sizeof after, " (after %llu user%s)", users, users == 1 ? "" : "s");
  set_failure(&decoder->error, after, failure);
}

struct user_targets call_body_push_targets(lua_State *L, const struct call_object *object) {
  struct user_targets targets = {.state = lua_gettop(L) + 1};
  user_value_get(L, 1, VALUE_STATE);
  if (object->method != METHOD_EACH_USER) {
    user_value_get(L, 1, VALUE_DECODED);
    targets.list = lua_gettop(L);
  }
  if (object->has_on_invalid) {
    user_value_get(L, 1, VALUE_VIOLATIONS);
    targets.violations = lua_gettop(L);
  }
  return targets;
}

/* Decodes the next bytes of the list. [-0, +(2..3), m] */
static void feed_users(lua_State *L, struct call_object *object) {
  size_t used;
  struct user_targets targets = call_body_push_targets(L, object);
  user_decode(L, &object->decoder, targets, object->bytes, object->size, &used);
  call_body_set_users_failure(&object->decoder, object->failure);
}

void call_body_end_users(struct user_decoder *decoder, bool finds, struct failure *failure) {
  if (!user_decode_end(decoder))
    call_body_set_users_failure(decoder, failure);
  else if (finds && decoder->delivered == 0)
    failure_set(failure, FAILURE_NOT_FOUND, "none of the %llu users in the list has these values",
                (unsigned long long)decoder->users);
}

/* Sets the failure of a list that is not complete, or lacks the user of find_user. */
static void end_users(struct call_object *object) {
  call_body_end_users(&object->decoder, object->method == METHOD_FIND_USER, object->failure);
}

/* ---- the binding ---- */

int call_body_run(lua_State *L) {
  struct call_object *object = lua_touserdata(L, 1);
  bool users = !call_is_value(object);
  switch (object->operation) {
  case BODY_BEGIN: users ? begin_users(L, object) : begin_value(L, object); break;
  case BODY_FEED: users ? feed_users(L, object) : feed_value(L, object); break;
  case BODY_END: users ? end_users(object) : end_value(L, object); break;
  }
  return 0;
}

/* Runs call_body_run with lua_pcall, since a Lua error must not jump across the core. An error
 * fills `failure`. If it is not a memory error (a finalizer raised it, say), it is also kept in
 * VALUE_RAISED, for run_step to raise. [-0, +0, -] */
static void run_protected(lua_State *L, enum body_operation operation, const char *bytes,
                          size_t size, struct failure *failure) {
  struct call_object *object = lua_touserdata(L, 1);
  object->operation = operation;
  object->bytes = bytes;
  object->size = size;
  object->failure = failure;
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 1);
  int code = lua_pcall(L, 1, 0, 0);
  if (code == 0) return;
  object->raised = code != LUA_ERRMEM;
  user_value_set(L, 1, VALUE_RAISED); /* allocates nothing, since the user value exists */
  failure_set(failure, FAILURE_MEMORY, "out of memory while reading the response");
}

static void begin(void *L, struct failure *failure) {
  run_protected(L, BODY_BEGIN, NULL, 0, failure);
}

/* Returns how many bytes of text Lua keeps as values, including the next `more` bytes; with a
 * filter, only those of users that were delivered. */
static uint64_t kept_bytes(const struct call_object *object, size_t more) {
  if (call_is_value(object)) return object->value.reader.token_offset + more;
  return object->filter != NULL ? object->decoder.delivered_bytes
                                : object->decoder.reader.token_offset + more;
}

static bool feed(void *L, const char *bytes, size_t size, struct failure *failure) {
  const struct call_object *object = lua_touserdata(L, 1);
  if (object->raw) return true; /* the call keeps the bytes, see call_body */
  bool stopped = collector_hold(L, kept_bytes(object, size));
  run_protected(L, BODY_FEED, bytes, size, failure);
  if (stopped) collector_release(L);
  return call_is_value(object) || !user_decoder_is_done(&object->decoder);
}

static void end(void *L, struct failure *failure) {
  run_protected(L, BODY_END, NULL, 0, failure);
}

const struct call_binding call_body_binding = {
    .begin = begin,
    .feed = feed,
    .end = end,
};
