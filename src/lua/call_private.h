/* The call object's internals, for the files that implement it: call_object.c, call_body.c,
 * call_result.c and caller.c. All other files use lua/call_object.h. */
#ifndef PODERO_LUA_CALL_PRIVATE_H
#define PODERO_LUA_CALL_PRIVATE_H

#include "core/call.h"
#include "core/session.h"
#include "lua/json_value.h"
#include "lua/options.h"
#include "lua/user_decoder.h"

/* User values of a call object. */
enum {
  VALUE_CLIENT = 1, /* keeps the client alive */
  VALUE_DECODED,    /* what has been decoded so far; the caller does not see it before the end */
  VALUE_RESULT,     /* the results of the method, see call_result_store */
  VALUE_SECOND_RESULT,
  VALUE_THIRD_RESULT,
  VALUE_STATE,  /* table from user_table_push_state for a list, else from json_value_push_state */
  VALUE_FILTER, /* table from user_filter_push, or nil */
  VALUE_ON_PROGRESS,
  VALUE_ON_INVALID,
  VALUE_VIOLATIONS, /* those not yet reported to on_invalid, see struct user_targets */
  VALUE_RAISED,     /* Lua error to raise once libcurl and the core have returned */
  VALUES = VALUE_RAISED
};

/* Names the callbacks of struct call_binding. */
enum body_operation { BODY_BEGIN, BODY_FEED, BODY_END };

struct call_object {
  struct session *session; /* not owned: `call` and the client hold references */
  struct call *call;       /* owned; NULL after the call has ended */
  enum method method;
  bool validate;
  bool has_on_progress;
  bool has_on_invalid;
  bool raw; /* the result is the body as text */
  uint64_t max_response_bytes;
  const struct user_filter *filter; /* owned by VALUE_FILTER; or NULL */
  bool raised;                      /* VALUE_RAISED holds an error to raise */
  bool completed;                   /* the results are in the user values, see call_result_store */
  double progress_at;               /* monotonic time of the last call of on_progress */
  struct event *event;              /* owned; being reported, or NULL; call_object_end keeps it */
  struct user_decoder decoder;      /* unless call_is_value */
  struct json_value value;          /* if call_is_value, unless `raw` */
  bool busy;                        /* the core or a decoder is using the call */
  bool stop_pending;                /* a finalizer stopped the call while it was busy */
  enum user_status status;          /* result of the last user_decode of each_user */
  size_t used;                      /* how many bytes that user_decode used */
  /* Arguments of call_body_run and decode_user, which run in lua_pcall. */
  enum body_operation operation;
  const char *bytes;
  size_t size;
  struct failure *failure;
};

/* Returns whether the body may be any JSON, not only a list of users. */
static inline bool call_is_value(const struct call_object *object) {
  return object->method == METHOD_GET || object->method == METHOD_REQUEST;
}

/* Ends the call and frees its C memory, but keeps its results. May be called again. */
void call_object_end(struct call_object *object);

/* Sets table[key] to the value, for the table on top of the stack. [-0, +0, m] */
void call_set_integer(lua_State *L, const char *key, int64_t value);

#endif
