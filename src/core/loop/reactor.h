/* The event loop: the sockets and timers of all transports of a client, behind one descriptor if
 * the system has such (epoll). Whoever runs the reactor runs all of them. */
#ifndef PODERO_REACTOR_H
#define PODERO_REACTOR_H

#include <stdbool.h>
#include <stddef.h>

/* What is waited for on a descriptor, and what has come: bits. REACTOR_COPY: the descriptor may be
 * closed without reactor_forget, so a copy of it is waited on. What a set of epoll waits on is the
 * file, which a child may have inherited: without its descriptor it could not be taken out again,
 * and would be ready for ever. */
enum { REACTOR_READ = 1, REACTOR_WRITE = 2, REACTOR_ERROR = 4, REACTOR_COPY = 8 };

struct reactor;

/* Something with sockets and one timer; embedded in its owner. Both functions tell whether it has
 * got any further by them. */
struct watcher {
  bool (*on_socket)(struct watcher *watcher, int fd, int events);
  bool (*on_time)(struct watcher *watcher);
  double due;   /* monotonic; INFINITY: the timer is not set */
  size_t owner; /* the reactor's */
};

/* A new reactor, or NULL when memory is short. If no descriptor is left, it gets one when it needs
 * it. To be freed after its watchers have been removed. NULL may be freed. */
struct reactor *reactor_new(void);
void reactor_free(struct reactor *reactor);

/* The watcher is not owned. False when memory is short. */
bool reactor_add(struct reactor *reactor, struct watcher *watcher);
void reactor_remove(struct reactor *reactor, struct watcher *watcher);

/* Waits for these events on the watcher's descriptor from now on; 0: for none. False where the
 * system refuses (errno tells why), or memory is short. */
bool reactor_watch(struct reactor *reactor, const struct watcher *watcher, int fd, int events);

/* Is to be called before a descriptor is closed that was watched. A number that is another
 * watcher's by now is left alone. */
void reactor_forget(struct reactor *reactor, const struct watcher *watcher, int fd);

/* The number belongs to a file that was just opened, and the watcher's one before it may have been
 * closed without reactor_forget: what the watcher has waited for is waited for on the new file.
 * False if the system refuses. */
bool reactor_replace(struct reactor *reactor, const struct watcher *watcher, int fd);

/* Whether, at the last fork that made this process, the child had left the reactor's descriptor as
 * it was until the reactor was used. True if there was no fork. */
bool reactor_was_kept(struct reactor *reactor);

/* Blocks until something is to be run, or for `seconds` at the most. */
void reactor_wait(struct reactor *reactor, double seconds);

/* Runs what is to be run, without waiting, and stops at about the time `until` (monotonic). True
 * when a watcher has got any further. */
bool reactor_run(struct reactor *reactor, double until);

/* Runs the timers that are due, and no more; whether there were any. Whether a watcher has got any
 * further by them, the next reactor_run tells. */
bool reactor_run_timers(struct reactor *reactor);

/* Seconds until reactor_run has something to do, whatever arrives: until the first timer is due, or
 * 0 if the last run has left something. INFINITY if there is nothing. */
double reactor_due(const struct reactor *reactor);

/* A descriptor that is readable while a watched descriptor is ready: for another poll or epoll set
 * to wait on, and for nothing else. It says nothing of timers (see reactor_due). It is the
 * reactor's; -1 if the system has no epoll, or none could be had. It is another one, with another
 * number, after a fork, and, as a last resort, after a run or wait that found the event of a file
 * that was closed here and lives on in a child. Then the old one can still be taken out of other
 * sets until that happens again. */
int reactor_descriptor(struct reactor *reactor);

#endif
