/* The call object: the userdata through which Lua runs a call (core/call.h).
 *
 *   create   call_open, call_push_new, call_push_failure, call_response_limit
 *   calls    calls_count, calls_get, calls_session
 *   Lua      call_set_functions */
#ifndef PODERO_CALL_OBJECT_H
#define PODERO_CALL_OBJECT_H

#include "core/call.h"
#include "core/session.h"
#include "lua/compat.h"
#include "lua/options.h"

/* User values of a client. */
enum {
  CLIENT_ON_EVENT = 1,
  CLIENT_BASE_URL, /* for __tostring */
  CLIENT_STATE,    /* table of user_table_push_state, which all lists use; nil before the first */
  CLIENT_SHARED,   /* table that the methods of this client share, see lua/methods.lua */
  CLIENT_REUSABLE, /* a finished call object that the next call may reuse, or nil */
  CLIENT_HEADERS,  /* the option headers, see headers_check, or nil */
  CLIENT_LOG,      /* a function, an enum log_level, or nil; see lua/log.h */
  CLIENT_VALUES = CLIENT_LOG
};

/* What a call sends; all but the path may be NULL. See struct call_options. */
struct call_request {
  const char *method, *path, *query;
  struct buffer *fields, *body; /* taken over */
  const char *content_type;
};

/* Registers the metatable of call objects. [-0, +0, m] */
void call_open(lua_State *L);

/* Pushes a call object with a new call of the client at index 1, whose session is `session`; or nil
 * and an error object if the client is closed or memory is short. Returns how many values it has
 * pushed.
 *   request: NULL if nothing is sent to the API; copied, or taken over
 *   options: of the method; copied
 *   opts: stack index of the table with on_progress and on_invalid; not used if there are none
 *   filter: stack index of a table of user_filter_push or nil; 0: none
 * [-0, +1|2, m] */
int call_push_new(lua_State *L, struct session *session, enum method method, bool validate,
                  const struct call_request *request, const struct method_options *options,
                  int opts, int filter);

/* Pushes nil and an error object; returns 2. `session` may be NULL. [-0, +2, m] */
int call_push_failure(lua_State *L, struct session *session, enum failure_kind kind,
                      const char *message);

/* Returns the limit on the bytes of a response. In a list that is filtered only what is delivered
 * counts, see struct user_decoder_options. */
uint64_t call_response_limit(enum method method, bool has_filter, uint64_t max_response_bytes);

/* Functions for an argument `calls`: the value at `index` is a call object or an array of them. */

/* Returns how many calls there are. [-0, +0, -] */
int calls_count(lua_State *L, int index);

/* Returns the nth call, counted from 1; NULL if it has ended. Valid until the call ends.
 * [-0, +0, -] */
struct call *calls_get(lua_State *L, int index, int n);

/* Returns the session of the first call, which may have ended; NULL for an empty array. Valid as
 * long as its client is not collected. [-0, +0, -] */
struct session *calls_session(lua_State *L, int index);

/* Sets these functions in the table on top of the stack. [-0, +0, m]
 *
 *   step(call, seconds, run_sockets) -> ended, wants_token
 *     Runs the call for at most about `seconds`, without waiting; with the sockets and timers of
 *     its client if run_sockets is true. ended: the call has ended. wants_token: it waits for a
 *     token of the store. Raises the errors of on_event and on_progress.
 *   step_blocking(call, seconds) -> ended
 *     step with the sockets, and if the call has not ended, a wait that blocks and another step.
 *     Not for clients with a token store.
 *   finish(call, reusable) -> results of the method
 *     Ends the call. nil and an error of kind closed if it was stopped before it had ended by
 *     itself, or if its results have been returned before. reusable: nobody else refers to the call
 *     object, so its client may use it for another call.
 *   next_user(call) -> the next user of each_user, or nil if step has to be called first
 *   stop(calls)
 *     Ends the calls; see finish.
 *   report_store(call, operation, problem)
 *     Reports to the client's log and to on_event that an operation of the token store has failed.
 *     `problem`: what it has raised or returned. Raises the error of on_event, and ends the call
 *     then. */
void call_set_functions(lua_State *L);

#endif
