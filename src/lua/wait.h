/* How a call waits: the C functions that the Lua files of this folder wait with. */
#ifndef PODERO_WAIT_H
#define PODERO_WAIT_H

#include "lua/compat.h"

/* Registers what wakeups and notifiers need. [-0, +0, m] */
void wait_open(lua_State *L);

/* Sets in the table on top what the Lua files wait with. `calls` is a call or a list of calls.
 * [-0, +0, m]
 *   clock() -> seconds on the monotonic clock
 *   due(calls) -> seconds until a pause or a time limit of theirs ends
 *   timer(client) -> seconds until a timer of its reactor is due
 *   pending(calls) -> nil if they have nothing to do, else how many bytes wait to be read
 *   block(calls): blocks until there is something to do
 *
 *   new_wakeup(calls, tried) -> a wakeup attached to their client, or nil; `tried`: there was none
 *                               when the same waiter asked before
 *   keep_wakeup(wakeup): keeps it for the next who asks
 *   set_wakeup(calls, wakeup): the wakeup to signal when these calls have something to do
 *   is_usable(wakeup) -> whether it can still be waited on
 *   descriptor(wakeup) -> what to wait on
 *   clear(wakeup) -> whether the descriptor was readable; makes it unreadable
 *   signal(wakeup): makes it readable
 *   poll(seconds [, fd]): blocks until the descriptor is readable, or the time is up
 *
 *   run(client, seconds) -> nil if none of its calls is waiting; else, having run its sockets for
 *                           about so long, the seconds until there is something to do
 *   notifier_new() -> a notifier, its cookie, and a path or a port to connect to; or nothing
 *   notifier_start(notifier) -> whether it runs
 *   notifier_watch(notifier, client) -> false if that is not possible: then its sockets have to be
 *                           looked at now and then
 *   notifier_wake_in(notifier, seconds), notifier_wake(notifier), notifier_signal(notifier),
 *   notifier_clear(notifier), notifier_close(notifier): see core/loop/notifier.h. Once closed, a
 * notifier does nothing */
void wait_set_functions(lua_State *L);

#endif
