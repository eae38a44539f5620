/* Calls the functions that the caller has given: on_event and on_progress.
 *
 * Both run outside of libcurl and the core, so they may do anything, including closing the client
 * or making other calls. If one raises an error, the call is ended and the error raised again,
 * unchanged. */
#ifndef PODERO_CALLER_H
#define PODERO_CALLER_H

#include "lua/call_private.h"
#include "lua/compat.h"

/* Calls on_event once for each transfer that has ended since the last time. The call object is at
 * index 1. [-0, +0, v] */
void caller_report_events(lua_State *L, struct call_object *object);

/* Calls on_progress, if there is one, at most every 0.1 s while bytes arrive, and once more if the
 * call has succeeded (`ended` is true). The call object is at index 1. [-0, +0, v] */
void caller_report_progress(lua_State *L, struct call_object *object, bool ended);

#endif
