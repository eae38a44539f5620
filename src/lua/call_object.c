#include "lua/call_object.h"

#include <string.h>

#include "core/clock.h"
#include "core/event.h"
#include "lua/call_body.h"
#include "lua/call_private.h"
#include "lua/call_result.h"
#include "lua/caller.h"
#include "lua/error.h"
#include "lua/log.h"
#include "lua/user_value.h"

#define CALL_TYPE "podero.call"

/* next_user decodes pieces of this size. After about this time it returns even if no user is
 * complete, so that the caller steps the call and its time limit is checked. */
#define PIECE_BYTES ((size_t)16 * 1024)
#define PIECE_SECONDS 0.002

/* ---- ending a call ---- */

void call_object_end(struct call_object *object) {
  call_free(object->call);
  object->call = NULL;
  user_decoder_free(&object->decoder);
  json_value_free(&object->value);
}

/* Ends the call. If it is busy, leave_busy ends it later: a finalizer that runs during a step must
 * not free what the step uses. */
static void stop_call(struct call_object *object) {
  if (object->busy)
    object->stop_pending = true;
  else
    call_object_end(object);
}

static void leave_busy(struct call_object *object) {
  object->busy = false;
  if (object->stop_pending) call_object_end(object);
}

/* ---- running a call ---- */

int call_push_failure(lua_State *L, struct session *session, enum failure_kind kind,
                      const char *message) {
  struct failure failure = {0};
  failure_set(&failure, kind, "%s", message);
  if (kind == FAILURE_ARGUMENT && session != NULL &&
      !session_is_closed(session)) /* it may quote a path */
    log_clean(session, message, failure.message, sizeof failure.message);
  lua_pushnil(L);
  error_push(L, &failure, session);
  return 2;
}

int call_push_closed(lua_State *L, struct session *session) {
  return call_push_failure(L, session, FAILURE_CLOSED, "the client is closed");
}

void call_set_integer(lua_State *L, const char *key, int64_t value) {
  compat_push_int64(L, value);
  lua_setfield(L, -2, key);
}

/* Steps the call at index 1, which must be the only value on the stack, and reports to the caller's
 * functions. Returns whether the call has ended. Raises errors of those functions. Upvalue 1 is
 * call_body_run. [-0, +1, v] */
static bool run_step(lua_State *L, struct call_object *object, double seconds, bool run_sockets) {
  luaL_checkstack(L, 8, NULL);
  lua_pushvalue(L, lua_upvalueindex(1)); /* index 2, see call_body_binding */
  if (object->busy) luaL_error(L, "a finalizer cannot use the call during which it runs");
  if (object->call == NULL) return true;
  object->busy = true;
  bool ended = call_step(object->call, L, seconds, run_sockets);
  leave_busy(object);
  if (object->raised) {
    call_object_end(object);
    user_value_get(L, 1, VALUE_RAISED);
    lua_error(L);
  }
  if (object->call == NULL) return true;
  if (ended) call_result_store(L, object);
  if (session_lacks_descriptors(object->session))
    lua_gc(L, LUA_GCCOLLECT, 0); /* calls that nobody refers to may hold descriptors */
  caller_report_violations(L, object);
  caller_report_events(L, object);
  if (ended) caller_report_failure(L, object);
  caller_report_progress(L, object, ended);
  return ended;
}

/* step(call, seconds, run_sockets) -> ended, wants_token [3, +2] */
static int step_call(lua_State *L) {
  struct call_object *object = lua_touserdata(L, 1);
  double seconds = lua_tonumber(L, 2);
  bool run_sockets = lua_toboolean(L, 3);
  lua_settop(L, 1);
  lua_pushboolean(L, run_step(L, object, seconds, run_sockets));
  lua_pushboolean(L, object->call != NULL && call_wants_token(object->call));
  return 2;
}

/* step_blocking(call, seconds) -> ended. It takes two steps, because most calls need no more, and
 * calling C functions from Lua costs time. [2, +1] */
static int step_call_blocking(lua_State *L) {
  struct call_object *object = lua_touserdata(L, 1);
  double seconds = lua_tonumber(L, 2);
  lua_settop(L, 1);
  bool ended = run_step(L, object, seconds, true);
  if (!ended) {
    call_block(object->call);
    lua_settop(L, 1);
    ended = run_step(L, object, seconds, true);
  }
  lua_pushboolean(L, ended);
  return 1;
}

/* ---- the argument `calls` ---- */

int calls_count(lua_State *L, int index) {
  return lua_isuserdata(L, index) ? 1 : (int)lua_rawlen(L, index);
}

/* Returns the nth call object; the array keeps it alive. [-0, +0, -] */
static struct call_object *object_at(lua_State *L, int index, int n) {
  if (lua_isuserdata(L, index)) return lua_touserdata(L, index);
  lua_rawgeti(L, index, n);
  struct call_object *object = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return object;
}

struct call *calls_get(lua_State *L, int index, int n) {
  return object_at(L, index, n)->call;
}

struct session *calls_session(lua_State *L, int index) {
  return calls_count(L, index) == 0 ? NULL : object_at(L, index, 1)->session;
}

/* ---- results ---- */

/* Pushes the three stored results of the call at index 1 (nil if the method has fewer), and clears
 * all of its user values but VALUE_CLIENT. [-0, +3, m] */
static void move_results(lua_State *L) {
  for (int n = VALUE_RESULT; n <= VALUE_THIRD_RESULT; n++)
    user_value_get(L, 1, n);
  for (int n = VALUE_DECODED; n <= VALUES; n++) {
    lua_pushnil(L);
    user_value_set(L, 1, n);
  }
}

/* Lets the client of the call at index 1 reuse the call object. [-0, +0, m] */
static void set_reusable(lua_State *L) {
  user_value_get(L, 1, VALUE_CLIENT);
  lua_pushvalue(L, 1);
  user_value_set(L, -2, CLIENT_REUSABLE);
  lua_pop(L, 1);
}

/* finish(call, reusable) -> results of the method [2, +2|3] */
static int finish(lua_State *L) {
  struct call_object *object = lua_touserdata(L, 1);
  bool reusable = lua_toboolean(L, 2);
  lua_settop(L, 1);
  call_object_end(object);
  if (!object->completed) {
    struct failure stopped = {0};
    failure_set(&stopped, FAILURE_CLOSED, "the call was stopped");
    call_result_push_failure(L, object, &stopped);
    return 2;
  }
  object->completed = false;
  move_results(L);
  if (reusable) set_reusable(L);
  while (lua_gettop(L) > 2 && lua_isnil(L, -1))
    lua_pop(L, 1);
  return lua_gettop(L) - 1;
}

/* ---- each_user ---- */

/* lua_CFunction that runs in lua_pcall; its argument is the call object. Decodes bytes, and returns
 * a user if they complete one. [1, +0|1] */
static int decode_user(lua_State *L) {
  struct call_object *object = lua_touserdata(L, 1);
  struct user_targets targets = call_body_push_targets(L, object);
  object->status =
      user_decode(L, &object->decoder, targets, object->bytes, object->size, &object->used);
  return object->status == USER_READY ? 1 : 0;
}

/* Tells the core what decode_user has done: how many bytes it used, and whether there is a user, a
 * failure, or enough users. */
static void report_decoded(struct call_object *object) {
  struct failure failure = {0};
  call_take(object->call, object->used);
  if (object->status == USER_READY) call_commit(object->call);
  call_body_set_users_failure(&object->decoder, &failure);
  if (failure.kind != FAILURE_NONE)
    call_reject_body(object->call, &failure);
  else if (user_decoder_is_done(&object->decoder))
    call_accept_body(object->call);
}

/* Decodes pieces until a user is complete, no bytes are left, or PIECE_SECONDS have passed. Returns
 * the result of lua_pcall. Replaces the value at index 2 by a user, nil or a Lua error. Upvalue 1
 * is decode_user. [-1, +1, -] */
static int decode_pieces(lua_State *L, struct call_object *object) {
  double until = clock_monotonic() + PIECE_SECONDS;
  int code = 0;
  do {
    object->bytes = call_bytes(object->call, &object->size);
    if (object->bytes == NULL) break;
    if (object->size > PIECE_BYTES) object->size = PIECE_BYTES;
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    code = lua_pcall(L, 1, 1, 0);
    if (code == 0) report_decoded(object);
  } while (code == 0 && object->status == USER_MORE && clock_monotonic() < until);
  return code;
}

/* next_user(call) -> a user or nil. Between session_enter and session_leave no finalizer can run or
 * close the session, so the bytes stay valid. Upvalue 1 is decode_user. [1, +1] */
static int next_user(lua_State *L) {
  struct call_object *object = lua_touserdata(L, 1);
  struct session *session = object->session;
  lua_settop(L, 1);
  lua_pushnil(L);
  if (object->call == NULL || !session_enter(session)) return 1;
  object->busy = true;
  int code = decode_pieces(L, object);
  session_leave(session);
  leave_busy(object);
  if (code != 0) {
    call_object_end(object);
    return lua_error(L);
  }
  caller_report_violations(L, object);
  return 1;
}

/* ---- the metatable and the functions ---- */

/* __close, and the last step of __gc [1.., +0] */
static int close_call(lua_State *L) {
  stop_call(lua_touserdata(L, 1));
  return 0;
}

/* __gc. Clears CLIENT_REUSABLE if it is this object: another finalizer may use the client later,
 * and must not reuse a finalized object. [1, +0] */
static int call_gc(lua_State *L) {
  user_value_get(L, 1, VALUE_CLIENT);
  if (lua_isuserdata(L, -1)) {
    user_value_get(L, -1, CLIENT_REUSABLE);
    if (lua_touserdata(L, -1) == lua_touserdata(L, 1)) {
      lua_pushnil(L);
      user_value_set(L, -3, CLIENT_REUSABLE);
    }
  }
  struct call_object *object = lua_touserdata(L, 1);
  event_free(object->event);
  object->event = NULL;
  lua_settop(L, 1);
  return close_call(L);
}

/* stop(calls) [1, +0] */
static int stop(lua_State *L) {
  int count = calls_count(L, 1);
  for (int n = 1; n <= count; n++)
    stop_call(object_at(L, 1, n));
  return 0;
}

/* table[name] = a closure of the function with this upvalue, for the table on top. [-0, +0, m] */
static void set_closure(lua_State *L, const char *name, lua_CFunction function,
                        lua_CFunction upvalue) {
  lua_pushcfunction(L, upvalue);
  lua_pushcclosure(L, function, 1);
  lua_setfield(L, -2, name);
}

void call_set_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"finish", finish}, {"stop", stop}, {"report_store", caller_report_store}, {NULL, NULL}};
  compat_setfuncs(L, functions);
  set_closure(L, "step", step_call, call_body_run);
  set_closure(L, "step_blocking", step_call_blocking, call_body_run);
  set_closure(L, "next_user", next_user, decode_user);
}

void call_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"__gc", call_gc}, {"__close", close_call}, {NULL, NULL}};
  luaL_newmetatable(L, CALL_TYPE);
  compat_setfuncs(L, functions);
  /* Callers can get the call object from a field of each_user's iterator. They must not get its
   * metatable, whose functions do not check their argument. */
  lua_pushliteral(L, CALL_TYPE);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

/* ---- a new call ---- */

static enum call_mode mode_of(enum method method) {
  switch (method) {
  case METHOD_LIST_USERS:
  case METHOD_FIND_USER:
  case METHOD_LIST_USERS_OF: return CALL_STREAMED;
  case METHOD_EACH_USER: return CALL_PULLED;
  case METHOD_GET:
  case METHOD_REQUEST: return CALL_WHOLE;
  case METHOD_AUTHORIZE:
  case METHOD_TOKEN: return CALL_TOKEN_ONLY;
  }
  return CALL_TOKEN_ONLY; /* GCOVR_EXCL_LINE: every method is named above */
}

/* Pushes the reusable call object of the client at index 1, or a new one. Returns it, all zero.
 * [-0, +1, m] */
static struct call_object *push_object(lua_State *L) {
  user_value_get(L, 1, CLIENT_REUSABLE);
  struct call_object *object = lua_touserdata(L, -1);
  if (object != NULL) {
    lua_pushnil(L);
    user_value_set(L, 1, CLIENT_REUSABLE);
    *object = (struct call_object){0};
  } else {
    lua_pop(L, 1);
    object = user_value_new_object(L, sizeof *object, VALUES, CALL_TYPE);
    lua_pushvalue(L, 1);
    user_value_set(L, -2, VALUE_CLIENT);
  }
  return object;
}

/* Sets the caller's functions and the filter of a list in the call object on top. [-0, +0, m] */
static void set_list_options(lua_State *L, struct call_object *object,
                             const struct method_options *options, int opts, int filter) {
  object->has_on_progress = options->has_on_progress;
  object->has_on_invalid = options->has_on_invalid && object->validate;
  if (options->has_on_progress) {
    object->progress_at = clock_monotonic();
    lua_getfield(L, opts, "on_progress");
    user_value_set(L, -2, VALUE_ON_PROGRESS);
  }
  if (object->has_on_invalid) {
    lua_getfield(L, opts, "on_invalid");
    user_value_set(L, -2, VALUE_ON_INVALID);
    lua_newtable(L);
    user_value_set(L, -2, VALUE_VIOLATIONS);
  }
  if (filter == 0) return;
  object->filter = user_filter_get(L, filter);
  lua_pushvalue(L, filter);
  user_value_set(L, -2, VALUE_FILTER);
}

uint64_t call_response_limit(enum method method, bool has_filter, uint64_t max_response_bytes) {
  bool keeps_users = method == METHOD_LIST_USERS || method == METHOD_LIST_USERS_OF;
  return has_filter && keeps_users ? UINT64_MAX : max_response_bytes;
}

int call_push_new(lua_State *L, struct session *session, enum method method, bool validate,
                  const struct call_request *request, const struct method_options *options,
                  int opts, int filter) {
  static const struct call_request none = {0};
  if (request == NULL) request = &none;
  bool is_head = request->method != NULL && strcmp(request->method, "HEAD") == 0;
  struct call_options call_options = {
      .binding = &call_body_binding,
      .mode = mode_of(method),
      .method = request->method,
      .path = request->path,
      .query = request->query,
      .fields = request->fields,
      .body = request->body,
      .content_type = request->content_type,
      .timeout = options->timeout,
      .max_retries = options->max_retries,
      /* libcurl does not notice if a compressed body is cut short. The JSON decoder does. */
      .uncoded = options->raw && !is_head,
  };
  struct call_object *object = push_object(L);
  object->session = session;
  object->method = method;
  object->validate = validate;
  object->raw = options->raw;
  object->max_response_bytes = options->max_response_bytes;
  set_list_options(L, object, options, opts, filter);
  call_options.max_response_bytes =
      call_response_limit(method, object->filter != NULL, object->max_response_bytes);
  object->call = call_new(session, &call_options);
  if (object->call != NULL) return 1;
  if (session_is_closed(session)) /* by a finalizer: this function allocates memory */
    return call_push_closed(L, session);
  return call_push_failure(L, session, FAILURE_MEMORY, "out of memory");
}
