#include "lua/caller.h"

#include "core/clock.h"
#include "core/event.h"
#include "lua/call_object.h"
#include "lua/user_value.h"

/* Seconds between two calls of on_progress. */
#define PROGRESS_SECONDS 0.1

/* Calls the function below the arguments on top. [-(1 + arguments), +0, v] */
static void call_function(lua_State *L, struct call_object *object, int arguments) {
  if (lua_pcall(L, arguments, 0, 0) == 0) return;
  call_object_end(object);
  lua_error(L);
}

static void set_text(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

/* Pushes the argument of on_event. [-0, +1, m] */
static void push_event(lua_State *L, const struct event *e) {
  lua_createtable(L, 0, 9);
  set_text(L, "type", "exchange");
  set_text(L, "purpose", e->for_token ? "token" : "api");
  set_text(L, "method", e->method);
  set_text(L, "url", e->url);
  if (e->status != 0) call_set_integer(L, "status", e->status);
  call_set_integer(L, "attempt", (int64_t)e->attempt);
  lua_pushnumber(L, e->seconds);
  lua_setfield(L, -2, "seconds");
  call_set_integer(L, "bytes", (int64_t)e->bytes);
  if (e->error_kind != FAILURE_NONE) set_text(L, "error_kind", failure_name(e->error_kind));
}

void caller_report_events(lua_State *L, struct call_object *object) {
  while (object->call != NULL && (object->event = call_take_event(object->call)) != NULL) {
    user_value_get(L, 1, VALUE_CLIENT);
    user_value_get(L, -1, CLIENT_ON_EVENT);
    lua_remove(L, -2);
    push_event(L, object->event);
    event_free(object->event);
    object->event = NULL;
    call_function(L, object, 1);
  }
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
