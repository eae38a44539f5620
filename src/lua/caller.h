/* Calls the caller's functions: on_event, on_invalid, on_progress, and `log` (see lua/log.h).
 *
 * They run while neither libcurl nor the core is active, so they may close the client or make other
 * calls, but they may not yield. If one of the first three raises an error, the call is ended, and
 * the same error is raised again. */
#ifndef PODERO_CALLER_H
#define PODERO_CALLER_H

#include "lua/call_private.h"
#include "lua/compat.h"

/* Takes the call's events, logs them, and calls on_event with each. The call object is at index 1.
 * [-0, +0, v] */
void caller_report_events(lua_State *L, struct call_object *object);

/* Logs the error object of a call that has ended, if the call has failed. The call object is at
 * index 1. [-0, +0, m] */
void caller_report_failure(lua_State *L, struct call_object *object);

/* report_store, see call_set_functions. [3, +0] */
int caller_report_store(lua_State *L);

/* Calls on_invalid, if there is one, for each violation of the schema that was not reported yet.
 * The call object is at index 1. [-0, +0, v] */
void caller_report_violations(lua_State *L, struct call_object *object);

/* Calls on_progress, if there is one, at most every 0.1 s while bytes arrive, and once more after
 * the call has succeeded. `ended`: whether the call has ended. The call object is at index 1.
 * [-0, +0, v] */
void caller_report_progress(lua_State *L, struct call_object *object, bool ended);

#endif
