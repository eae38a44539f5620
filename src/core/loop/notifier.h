/* A thread that tells an event loop when reactors have something to do, for loops that cannot watch
 * descriptors of others: nginx's Lua can wait for a socket of its own (a "cosocket") and for
 * nothing else. The thread waits on the reactors' descriptors, and writes one byte to a stream
 * socket whose other end the event loop reads from. It touches nothing else.
 *
 *   notifier_new; connect to notifier_path or notifier_port, and send notifier_cookie;
 *   notifier_start; then again and again notifier_watch for each reactor, notifier_expect, read one
 *   byte, notifier_clear; at last notifier_free
 *
 * All functions are called by one thread, that of the event loop. The thread has all signals
 * blocked. Systems without epoll have no notifier: notifier_new returns NULL there. */
#ifndef PODERO_NOTIFIER_H
#define PODERO_NOTIFIER_H

#include <stdbool.h>

#include "core/loop/reactor.h"

#define NOTIFIER_COOKIE_BYTES 32 /* printable */

struct notifier;

/* Returns a new notifier that listens for its one connection: on a Unix-domain socket in a
 * temporary folder (in $TMPDIR or /tmp, mode 0700), or on 127.0.0.1 if no folder can be made.
 * Returns NULL if neither can be had. To be freed with notifier_free. */
struct notifier *notifier_new(void);

/* The path of the Unix-domain socket, or NULL; and the port on 127.0.0.1, or 0. Valid until
 * notifier_start or notifier_free is called. */
const char *notifier_path(const struct notifier *notifier);
int notifier_port(const struct notifier *notifier);

/* What to send first: NOTIFIER_COOKIE_BYTES random characters, so that nobody else's connection is
 * taken for the event loop's. Not terminated. Valid until notifier_free is called. */
const char *notifier_cookie(const struct notifier *notifier);

/* Accepts the connection that has sent the cookie, removes the socket and its folder, and starts
 * the thread. Does not wait: returns false if the cookie has not arrived, or if the system refuses;
 * then the notifier can only be freed. */
bool notifier_start(struct notifier *notifier);

/* Has a byte written as soon as the reactor's descriptor is readable: once, then it is to be asked
 * for again. Closing a reactor ends this. Returns false if the reactor has no descriptor, or the
 * system refuses. */
bool notifier_watch(struct notifier *notifier, struct reactor *reactor);

/* Has a byte written at `time` (monotonic seconds) at the latest. It may be written earlier: timers
 * asked for before are not taken back. INFINITY asks for nothing. */
void notifier_expect(struct notifier *notifier, double time);

/* Has the thread write a byte now. The caller can start to read before it arrives, so that its
 * event loop serves others first. */
void notifier_wake(struct notifier *notifier);

/* Writes the byte itself, from the calling thread. */
void notifier_signal(struct notifier *notifier);

/* To be called after a byte was read. Until then, no other is written: one byte at most is on its
 * way at any time. */
void notifier_clear(struct notifier *notifier);

/* Ends the thread and closes what is open. In a child of the process that made the notifier, only
 * memory is freed: thread and connection are the parent's. NULL does nothing. */
void notifier_free(struct notifier *notifier);

#endif
