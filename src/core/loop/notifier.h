/* A thread that tells an event loop when reactors have something to do. It is for event loops that
 * can only watch their own descriptors, such as nginx's Lua module, which can wait for the sockets
 * that it has opened itself ("cosockets"), and for nothing else.
 *
 * The thread waits for the reactors' descriptors, and writes one byte to a stream socket; the event
 * loop reads from the other end. The thread runs no reactor and has no other access to one. All
 * signals are blocked in it.
 *
 *   create    notifier_new, notifier_free
 *   connect   notifier_path, notifier_port, notifier_cookie, notifier_start
 *   ask       notifier_watch, notifier_wake_at, notifier_signal
 *   received  notifier_clear
 *
 * To use it, call notifier_new, connect to its path or port, send its cookie, and call
 * notifier_start. Then, in a loop, call notifier_watch for each reactor and notifier_wake_at for
 * the next timer, read one byte, call notifier_clear, and run the reactors.
 *
 * Needs epoll: on other systems, notifier_new returns NULL. To be used by one thread, that of the
 * event loop. */
#ifndef PODERO_NOTIFIER_H
#define PODERO_NOTIFIER_H

#include <stdbool.h>

#include "core/loop/reactor.h"

/* Length of notifier_cookie. */
#define NOTIFIER_COOKIE_BYTES 32

struct notifier;

/* ---- create ---- */

/* Returns a new notifier that listens for one connection, to be freed with notifier_free. It
 * listens on a Unix-domain socket in a new folder of mode 0700 in $TMPDIR or /tmp, or, if this is
 * not possible, on a port of 127.0.0.1. Returns NULL if neither is possible, or if out of
 * memory. */
struct notifier *notifier_new(void);

/* Ends the thread and closes all descriptors. In a child of the process that made the notifier,
 * only frees memory: the thread does not exist there, and the descriptors stay open. NULL does
 * nothing. */
void notifier_free(struct notifier *notifier);

/* ---- connect ---- */

/* Where to connect to. notifier_path returns the path of a Unix-domain socket, or NULL;
 * notifier_port returns a port of 127.0.0.1, or 0. There is always exactly one of them. Valid until
 * notifier_start or notifier_free. */
const char *notifier_path(const struct notifier *notifier);
int notifier_port(const struct notifier *notifier);

/* Returns NOTIFIER_COOKIE_BYTES random characters, which are printable and not followed by a NUL.
 * Send them over the connection, to tell it from those of other programs. Valid until
 * notifier_free. */
const char *notifier_cookie(const struct notifier *notifier);

/* Accepts the connection over which the cookie was sent, stops listening, and starts the thread.
 * Does not wait. Returns false if there is no such connection, or if a system call fails; then the
 * notifier can only be freed. */
bool notifier_start(struct notifier *notifier);

/* ---- ask for a byte ----
 *
 * Call these only after notifier_start has returned true. */

/* Asks for a byte when the reactor's descriptor is readable. This works once, and must be repeated
 * after that. It has no effect any more once the reactor is freed. Returns false if the reactor has
 * no descriptor, or if epoll_ctl fails. */
bool notifier_watch(struct notifier *notifier, struct reactor *reactor);

/* Asks for a byte at `time` (monotonic seconds) or earlier: an earlier time that was asked for
 * before is kept. INFINITY asks for nothing. */
void notifier_wake_at(struct notifier *notifier, double time);

/* Writes a byte now, in the calling thread. */
void notifier_signal(struct notifier *notifier);

/* ---- received ---- */

/* Call this after a byte was read. No other byte is written before that, so there is never more
 * than one. */
void notifier_clear(struct notifier *notifier);

#endif
