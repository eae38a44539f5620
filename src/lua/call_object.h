/* The call object: the userdata through which Lua runs a call (core/call.h).
 *
 *   create   call_open, call_push_new, call_push_failure, call_push_closed,
 *            call_response_limit
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
  CLIENT_STATE,    /* from user_table_push_state, shared by all lists; nil before the first list */
  CLIENT_SHARED,   /* table that the methods of the client share, see push_shared in client.c */
  CLIENT_REUSABLE, /* a finished call object that the next call may reuse, or nil */
  CLIENT_HEADERS,  /* the option headers, see headers_check, or nil */
  CLIENT_LOG,      /* a function, an enum log_level, or nil for no log; see lua/log.h */
  CLIENT_VALUES = CLIENT_LOG
};

/* What a call sends to the API; all but the path may be NULL. See struct call_options. */
struct call_request {
  const char *method, *path, *query;
  struct buffer *fields, *body; /* left empty: the call takes over their bytes */
  const char *content_type;
};

/* Registers the metatable of call objects. [-0, +0, m] */
void call_open(lua_State *L);

/* Pushes a call object with a new call of the client at index 1, whose session is `session`, and
 * returns 1. Pushes nil and an error object, and returns 2, if the client is closed or on out of
 * memory; there may be one more value below them. [-0, +(1..3), m]
 *   request: NULL if nothing is sent to the API; its strings are copied
 *   options: of the method; copied
 *   opts: stack index of the table with the functions on_progress and on_invalid, if there are any
 *   filter: stack index of a table from user_filter_push, or 0 for none */
int call_push_new(lua_State *L, struct session *session, enum method method, bool validate,
                  const struct call_request *request, const struct method_options *options,
                  int opts, int filter);

/* Pushes nil and an error object; returns 2. `session` may be NULL. [-0, +2, m] */
int call_push_failure(lua_State *L, struct session *session, enum failure_kind kind,
                      const char *message);

/* The same for a client that is closed. [-0, +2, m] */
int call_push_closed(lua_State *L, struct session *session);

/* Returns the size limit of a response for the core. There is none for a filtered list that is
 * kept: its decoder counts only what is delivered, see struct user_decoder_options. */
uint64_t call_response_limit(enum method method, bool has_filter, uint64_t max_response_bytes);

/* Functions for an argument `calls`: the value at `index` is a call object or an array of call
 * objects. */

/* Returns how many calls there are. [-0, +0, -] */
int calls_count(lua_State *L, int index);

/* Returns the nth call, from 1 on, or NULL if it has ended. Valid until it ends. [-0, +0, -] */
struct call *calls_get(lua_State *L, int index, int n);

/* Returns the session of the first call, which may have ended, or NULL if there are no calls. Valid
 * until the client is collected. [-0, +0, -] */
struct session *calls_session(lua_State *L, int index);

/* Sets these functions in the table on top of the stack. [-0, +0, m]
 *
 *   step(call, seconds, run_sockets) -> ended, wants_token
 *     Runs the call for about `seconds` at most, without waiting. Also runs the sockets and timers
 *     of its client if run_sockets is true. ended: whether the call has ended. wants_token: whether
 *     it waits until the token store is checked, see call_wants_token. Raises errors of on_event,
 *     on_invalid and on_progress, and ends the call then.
 *   step_blocking(call, seconds) -> ended
 *     The same as step(call, seconds, true). If the call has not ended, blocks until there is
 *     something to do, and does one more step. Not for clients with a token store.
 *   finish(call, reusable) -> results of the method
 *     Ends the call. The results are nil and an error of kind closed if the call was stopped before
 *     it had ended, or if its results have been returned before. reusable: nothing else refers to
 *     the call object, so the client may use it for its next call.
 *   next_user(call) -> the next user of each_user, or nil if step has to be called first
 *     Raises errors of on_invalid, and ends the call then.
 *   stop(calls)
 *     Stops those of the calls that have not ended; see finish.
 *   report_store(call, operation, problem)
 *     Reports to the client's log and to on_event that an operation of the token store has failed.
 *     problem: what it raised or returned. Raises errors of on_event, and ends the call then. */
void call_set_functions(lua_State *L);

#endif
