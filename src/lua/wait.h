/* C functions with which the Lua files of this folder wait. */
#ifndef PODERO_WAIT_H
#define PODERO_WAIT_H

#include "lua/compat.h"

/* Registers the metatables of wakeups and notifiers, and makes the pool of wakeups. Call it once
 * for each Lua state. [-0, +0, m] */
void wait_open(lua_State *L);

/* Sets these functions in the table on top of the stack. `calls` is a call object or an array of
 * them (lua/call_object.h); times are in seconds. [-0, +0, m]
 *
 *   clock() -> the monotonic time
 *   poll(seconds [, fd])
 *     Blocks for `seconds` (60 at most), or until fd is readable, if it is given.
 *
 * Calls:
 *
 *   due(calls) -> seconds until a pause or a time limit of a call ends; math.huge for never
 *   pending(calls) -> nil if call_step has nothing to do for any of the calls; else the number of
 *     bytes of their responses that have arrived but were not read
 *   block(calls)
 *     Blocks until call_step has something to do for one of the calls, or a socket or timer of
 *     their client is ready.
 *   has_ready_socket(calls) -> whether a socket or timer of the calls' client is ready
 *   timer(client) -> seconds until the next timer of the client's reactor; math.huge for none
 *   run(client, seconds) -> due, wants_credentials
 *     Runs the client's sockets and timers for about `seconds` at most, without waiting. due: the
 *     seconds until it must be called again even if no socket is ready. wants_credentials: whether
 *     ask_credentials (lua/credentials.h) would return a ticket. Returns nothing if no call of the
 *     client waits for anything, or the client is closed.
 *
 * Wakeups (core/loop/wakeup.h):
 *
 *   new_wakeup(calls [, tried]) -> a wakeup, or nothing on failure
 *     If the process has no descriptor left, runs a collection and tries again, unless `tried` is
 *     true, which says that a collection did not help these calls before.
 *   keep_wakeup(wakeup)
 *     Puts the wakeup into the pool for reuse. The caller must not use it any more.
 *   set_wakeup(calls, wakeup) -> attached
 *     Has the wakeup signaled when call_step has something to do for one of the calls. attached:
 *     whether its descriptor is also readable when a socket of the calls' client is ready. If not,
 *     the caller has to poll the sockets.
 *   is_usable(wakeup) -> false after keep_wakeup, in a child process, and for nil
 *   descriptor(wakeup) -> its descriptor
 *     Readable while the wakeup is signaled or, if it is attached, a socket is ready.
 *   clear(wakeup) -> whether its descriptor was readable; false for nil
 *     Ends the signal.
 *   signal(wakeup)
 *     Signals the wakeup. Does nothing for nil.
 *
 * Notifiers, see core/loop/notifier.h. After notifier_close the other functions do nothing.
 *
 *   notifier_new() -> notifier, cookie, and the path or port to connect to; or nothing on failure
 *   notifier_start(notifier) -> whether its thread runs
 *   notifier_watch(notifier, client) -> whether it watches the client's sockets
 *     If it cannot, the caller has to poll them.
 *   notifier_wake_in(notifier, seconds)
 *     Has a byte written after `seconds`, or earlier.
 *   notifier_signal(notifier)
 *   notifier_clear(notifier)
 *   notifier_close(notifier) */
void wait_set_functions(lua_State *L);

#endif
