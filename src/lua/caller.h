/* Calls the functions that the caller has given: on_event, on_invalid, on_progress, and `log` (see
 * lua/log.h).
 *
 * They run outside of libcurl and the core, so they may do anything, including closing the client
 * or making other calls. If one of the first three raises an error, the call is ended and the
 * error raised again, unchanged. */
#ifndef PODERO_CALLER_H
#define PODERO_CALLER_H

#include "lua/call_private.h"
#include "lua/compat.h"

/* Logs each event since the last time, and calls on_event with it. The call object is at index 1.
 * [-0, +0, v] */
void caller_report_events(lua_State *L, struct call_object *object);

/* Logs the error object of a call that has ended, if it has failed. The call object is at index 1.
 * [-0, +0, m] */
void caller_report_failure(lua_State *L, struct call_object *object);

/* report_store, see call_set_functions. [3, 0] */
int caller_report_store(lua_State *L);

/* Calls on_invalid for each violation of the schema since the last time. The call object is at
 * index
 * 1. [-0, +0, v] */
void caller_report_violations(lua_State *L, struct call_object *object);

/* Calls on_progress, if there is one, at most every 0.1 s while bytes arrive, and once more if the
 * call has succeeded (`ended` is true). The call object is at index 1. [-0, +0, v] */
void caller_report_progress(lua_State *L, struct call_object *object, bool ended);

#endif
