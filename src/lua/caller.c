#include "lua/caller.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/event.h"
#include "lua/call_object.h"
#include "lua/error.h"
#include "lua/log.h"
#include "lua/user_value.h"

/* Seconds between two calls of on_progress. */
#define PROGRESS_SECONDS 0.1

/* How much of a token store's error message is reported. */
#define MAX_PROBLEM_BYTES 300

/* Calls the function below the arguments on top. If it raises an error, ends the call and raises
 * that error again. [-(1 + arguments), +0, v] */
static void call_function(lua_State *L, struct call_object *object, int arguments) {
  if (lua_pcall(L, arguments, 0, 0) == 0) return;
  call_object_end(object);
  lua_error(L);
}

static void set_text(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static void set_number(lua_State *L, const char *key, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, key);
}

/* Sets the fields of an "exchange" event in the table on top. [-0, +0, m] */
static void set_exchange(lua_State *L, const struct event *e, struct session *session) {
  set_text(L, "type", "exchange");
  set_text(L, "purpose", e->for_token ? "token" : "api");
  set_text(L, "method", e->method);
  set_text(L, "url", e->url);
  set_number(L, "seconds", e->seconds);
  if (e->status != 0) set_number(L, "seconds_to_first_byte", e->seconds_to_first_byte);
  call_set_integer(L, "bytes", (int64_t)e->bytes);
  lua_pushboolean(L, e->reused);
  lua_setfield(L, -2, "reused");
  if (error_push_headers(L, &e->header, session)) lua_setfield(L, -2, "headers");
}

/* Pushes the argument of on_event. [-0, +1, m] */
static void push_event(lua_State *L, const struct event *e, struct session *session) {
  lua_createtable(L, 0, 12);
  if (e->type == EVENT_EXCHANGE) {
    set_exchange(L, e, session);
  } else {
    set_text(L, "type", "retry");
    set_number(L, "pause", e->pause);
  }
  if (e->status != 0) call_set_integer(L, "status", e->status);
  call_set_integer(L, "attempt", (int64_t)e->attempt);
  if (e->error_kind != FAILURE_NONE) set_text(L, "error_kind", failure_name(e->error_kind));
}

/* Pushes the client of the call at index 1, and its on_event or nil. Returns the index of the
 * client. [-0, +2, m] */
static int push_client(lua_State *L) {
  luaL_checkstack(L, 8, NULL);
  user_value_get(L, 1, VALUE_CLIENT);
  user_value_get(L, -1, CLIENT_ON_EVENT);
  return lua_gettop(L) - 1;
}

/* Writes the line, and calls on_event if its argument is on top. Pops the argument, and what
 * push_client has pushed. The functions that it calls may end the call and close the client.
 * [-(2|3), +0, v] */
static void report(lua_State *L, struct call_object *object, int client,
                   const struct log_line *line) {
  log_write(L, client, line);
  if (lua_gettop(L) > client + 1) call_function(L, object, 1);
  lua_settop(L, client - 1);
}

void caller_report_events(lua_State *L, struct call_object *object) {
  struct log_line line;
  while (object->call != NULL && (object->event = call_take_event(object->call)) != NULL) {
    int client = push_client(L);
    if (!lua_isnil(L, -1)) push_event(L, object->event, object->session);
    log_format_event(L, client, &line, object->event);
    event_free(object->event);
    object->event = NULL;
    report(L, object, client, &line);
  }
}

void caller_report_failure(lua_State *L, struct call_object *object) {
  struct log_line line;
  if (object->call == NULL || call_result(object->call) != CALL_FAILED) return;
  int client = push_client(L);
  user_value_get(L, 1, VALUE_SECOND_RESULT);
  log_format_failure(L, client, &line, options_method_name(object->method), client + 2,
                     object->session);
  lua_settop(L, client);
  log_write(L, client, &line);
  lua_settop(L, client - 1);
}

/* Copies into `message` what the token store has raised or returned, without secrets. `problem`:
 * its stack index. [-0, +0, m] */
static void describe_problem(lua_State *L, int problem, struct session *session,
                             char message[MAX_PROBLEM_BYTES]) {
  if (lua_isstring(L, problem)) {
    lua_pushvalue(L, problem);
    log_clean(session, lua_tostring(L, -1), message, MAX_PROBLEM_BYTES);
    lua_pop(L, 1);
  } else {
    snprintf(message, MAX_PROBLEM_BYTES, "a %s value", luaL_typename(L, problem));
  }
}

int caller_report_store(lua_State *L) {
  struct call_object *object = lua_touserdata(L, 1);
  char message[MAX_PROBLEM_BYTES];
  struct log_line line;
  lua_settop(L, 3);
  const char *operation = lua_tostring(L, 2);
  describe_problem(L, 3, object->session, message);
  int client = push_client(L);
  log_format_store(L, client, &line, operation, message);
  if (!lua_isnil(L, -1)) {
    lua_createtable(L, 0, 3);
    set_text(L, "type", "store");
    set_text(L, "operation", operation);
    set_text(L, "message", message);
  }
  report(L, object, client, &line);
  return 0;
}

void caller_report_violations(lua_State *L, struct call_object *object) {
  if (!object->has_on_invalid) return;
  luaL_checkstack(L, 8, NULL);
  user_value_get(L, 1, VALUE_VIOLATIONS);
  int violations = lua_gettop(L), count = (int)lua_rawlen(L, -1);
  if (count > 0) { /* on_invalid may step this call, and so find new ones */
    lua_newtable(L);
    user_value_set(L, 1, VALUE_VIOLATIONS);
  }
  for (int i = 1; i < count; i += 2) {
    user_value_get(L, 1, VALUE_ON_INVALID);
    lua_rawgeti(L, violations, i);
    lua_rawgeti(L, violations, i + 1);
    call_function(L, object, 2);
  }
  lua_settop(L, violations - 1);
}

void caller_report_progress(lua_State *L, struct call_object *object, bool ended) {
  if (!object->has_on_progress || object->call == NULL) return;
  double now = clock_monotonic();
  uint64_t bytes = call_received(object->call);
  bool due = ended ? call_result(object->call) == CALL_SUCCEEDED
                   : bytes > 0 && now - object->progress_at >= PROGRESS_SECONDS;
  if (!due) return;
  object->progress_at = now;
  user_value_get(L, 1, VALUE_ON_PROGRESS);
  compat_push_int64(L, (int64_t)bytes);
  compat_push_int64(L, (int64_t)object->decoder.users);
  call_function(L, object, 2);
}
