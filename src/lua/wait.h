/* The C functions that the Lua files of this folder wait with. */
#ifndef PODERO_WAIT_H
#define PODERO_WAIT_H

#include "lua/compat.h"

/* Registers the metatables of wakeups and notifiers, and the pool of wakeups. [-0, +0, m] */
void wait_open(lua_State *L);

/* Sets these functions in the table on top of the stack. `calls` is a call object or an array of
 * them (lua/call_object.h); times are in seconds. [-0, +0, m]
 *
 *   clock() -> monotonic time
 *   poll(seconds [, fd])
 *     Blocks until fd is readable, or for at most `seconds` (0 to 60).
 *
 * Calls:
 *
 *   due(calls) -> seconds until a pause or a time limit of one of them ends; math.huge: never
 *   pending(calls) -> nil if call_step has nothing to do for any of them; else how many bytes of
 *     their responses have arrived and were not read
 *   block(calls)
 *     Blocks until call_step has something to do for one of them.
 *   has_ready_socket(calls) -> whether a socket or a timer of their client has something to do now
 *   timer(client) -> seconds until the next timer of the client's reactor; math.huge: none
 *   run(client, seconds) -> seconds until there is something to do again, or nil; wants_credentials
 *     Runs the client's sockets and timers for at most about `seconds`, without waiting. nil: none
 *     of its calls waits for anything. wants_credentials: see ask_credentials in lua/credentials.h.
 *
 * Wakeups (core/loop/wakeup.h):
 *
 *   new_wakeup(calls [, tried]) -> a wakeup, or nil
 *     If the process has no descriptor left, runs a collection and tries again; not if `tried` is
 *     true: then that did not help these calls before.
 *   keep_wakeup(wakeup)
 *     Puts it into the pool for reuse. It can no longer be used.
 *   set_wakeup(calls, wakeup) -> whether it is attached to the reactor of the calls' client
 *     Has the wakeup signaled when call_step has something to do for one of the calls. If it is not
 *     attached, fd is not readable when a socket of the client is ready: sockets have to be polled.
 *   is_usable(wakeup) -> false after keep_wakeup, in a child process, and for nil
 *   descriptor(wakeup) -> fd, readable when the wakeup is signaled, and when a socket is ready
 *   clear(wakeup) -> whether fd was readable; makes it not readable. false for nil
 *   signal(wakeup)
 *
 * Notifiers (core/loop/notifier.h); after notifier_close the others do nothing:
 *
 *   notifier_new() -> notifier, cookie, path or port to connect to; or nothing
 *   notifier_start(notifier) -> whether it runs
 *   notifier_watch(notifier, client) -> false if the notifier cannot watch the client's sockets:
 *     then the caller has to poll
 *   notifier_wake_in(notifier, seconds)
 *   notifier_wake(notifier)
 *   notifier_signal(notifier)
 *   notifier_clear(notifier)
 *   notifier_close(notifier) */
void wait_set_functions(lua_State *L);

#endif
