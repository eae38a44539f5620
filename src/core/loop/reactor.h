/* The event loop of a client: it waits for the sockets and timers of all its transports, and calls
 * them.
 *
 *   create       reactor_new, reactor_free
 *   watchers     struct watcher, reactor_add, reactor_remove
 *   descriptors  reactor_watch, reactor_forget, reactor_replace
 *   run          reactor_run, reactor_run_timers, reactor_wait, reactor_timeout
 *   embed        reactor_descriptor
 *   fork         reactor_survived_fork
 *
 * On Linux the reactor is an epoll set, elsewhere a list for poll(). It is to be used by one thread
 * at a time.
 *
 * After a fork, the child's reactor has all its watchers and none of their descriptors: each
 * watcher must open and watch new ones. The parent's reactor is not affected. */
#ifndef PODERO_REACTOR_H
#define PODERO_REACTOR_H

#include <stdbool.h>
#include <stddef.h>

struct reactor;

/* ---- create ---- */

/* Returns a new reactor, to be freed with reactor_free. Returns NULL if out of memory. If no
 * descriptor is left, the reactor gets one when it needs it. */
struct reactor *reactor_new(void);

/* Frees the reactor, whose watchers must have been removed. Does not close the descriptors that
 * were watched. NULL does nothing. */
void reactor_free(struct reactor *reactor);

/* ---- watchers ---- */

/* A user of the reactor. It has any number of descriptors and one timer, and is embedded in its
 * owner.
 *
 * Both functions return whether they made progress, which reactor_run passes on. They may call the
 * functions of the reactor, except for reactor_free, reactor_run, reactor_run_timers and
 * reactor_wait. */
struct watcher {
  /* The descriptor is ready: `events` has bits of REACTOR_READ, REACTOR_WRITE and REACTOR_ERROR. A
   * closed connection is reported as REACTOR_READ. */
  bool (*on_socket)(struct watcher *watcher, int fd, int events);
  /* The timer has expired. This is called again in each run until `due` is set to a later time. */
  bool (*on_timer)(struct watcher *watcher);
  /* When the timer expires, in seconds of the monotonic clock; INFINITY stops it. The watcher sets
   * this itself, at any time. */
  double due;
  size_t index; /* private to the reactor */
};

/* Adds a watcher. All of its members except `index` must be set. It is not owned by the reactor,
 * and must stay valid until reactor_remove. Returns false if out of memory. */
bool reactor_add(struct reactor *reactor, struct watcher *watcher);

/* Removes a watcher: its functions are not called any more. Call reactor_forget for its descriptors
 * first. */
void reactor_remove(struct reactor *reactor, struct watcher *watcher);

/* ---- descriptors ---- */

/* What to wait for on a descriptor, and what was reported.
 *
 * REACTOR_DUP, together with one of the others, watches a duplicate made by dup() instead of the
 * descriptor itself. Use it if the descriptor may be closed without reactor_forget. An epoll set
 * contains open files, not descriptors: a file that a forked child has inherited is still open
 * after close(), and only a descriptor for it can remove it from the set. Without one it would be
 * reported as ready again and again. */
enum { REACTOR_READ = 1, REACTOR_WRITE = 2, REACTOR_ERROR = 4, REACTOR_DUP = 8 };

/* Waits for these events on the descriptor from now on, instead of any events given before. With 0,
 * waits for nothing until the next reactor_watch. Events are level-triggered: on_socket is called
 * in each run while the descriptor is ready.
 *
 * A descriptor belongs to the watcher that watched it last; for another watcher, 0 does nothing.
 * Returns false if out of memory or if epoll_ctl fails; errno may say why. */
bool reactor_watch(struct reactor *reactor, const struct watcher *watcher, int fd, int events);

/* Stops watching the descriptor. Call this before a watched descriptor is closed, even if nothing
 * is waited for. Does nothing if another watcher has watched this number since. */
void reactor_forget(struct reactor *reactor, const struct watcher *watcher, int fd);

/* Call this when a new file has got the number `fd`, if the file that had it before may have been
 * closed without reactor_forget. The watcher then waits on the new file for what it waited for on
 * this number. Does nothing if the watcher does not watch the number. Returns false if out of
 * memory or if epoll_ctl fails. */
bool reactor_replace(struct reactor *reactor, const struct watcher *watcher, int fd);

/* ---- run ---- */

/* Calls the watchers whose timers have expired or whose descriptors are ready. Does not wait.
 * Stops, after at least one descriptor, once the monotonic time `until` has passed; the next run
 * continues with the others. Returns whether a watcher made progress, here or in
 * reactor_run_timers. */
bool reactor_run(struct reactor *reactor, double until);

/* Calls the watchers whose timers have expired, and does nothing else. Returns whether there were
 * any. Whether they made progress is returned by the next reactor_run. */
bool reactor_run_timers(struct reactor *reactor);

/* Blocks until reactor_run has something to do, but at most for `seconds` or a minute. Can return
 * earlier, for example because of a signal. */
void reactor_wait(struct reactor *reactor, double seconds);

/* Returns the seconds until reactor_run has something to do even if no descriptor becomes ready:
 * until the first timer expires, or 0 if the last run stopped early. INFINITY if there is
 * nothing. */
double reactor_timeout(const struct reactor *reactor);

/* ---- embed ---- */

/* Returns a descriptor that is readable while a watched descriptor is ready, so that another event
 * loop can wait on it with poll or epoll; nothing else may be done with it. It does not depend on
 * timers, see reactor_timeout. It is owned by the reactor. Returns -1 if the system has no epoll,
 * or if no descriptor was available after a fork.
 *
 * The descriptor can change, so ask for it before each wait. It changes after a fork. It also
 * changes after a run or wait in which epoll has reported a file that was closed here but is still
 * open in a child, because only a new epoll set can end that. The old set stays open until this
 * happens again, so that it can be removed from other sets. */
int reactor_descriptor(struct reactor *reactor);

/* ---- fork ---- */

/* In a forked child: returns false if the child had closed the reactor's descriptor before it first
 * used the reactor. Then it may have closed all descriptors that it inherited, and their numbers
 * may be other files'. Returns true in a process that was not forked. */
bool reactor_survived_fork(struct reactor *reactor);

#endif
