#include "core/loop/reactor.h"

#include <math.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/fork.h"
#include "core/loop/reactor_backend.h"

/* Keeps the milliseconds of a wait within an int. */
#define MAX_WAIT_SECONDS 60.0

struct reactor {
  struct watcher **watchers; /* by index; NULL: unused */
  size_t watcher_count;
  struct backend *backend;
  struct ready ready[READY_MAX]; /* what was found ready; those from `next` on have not been run
                                  * yet */
  int next, ready_count;
  unsigned fork_count; /* of the process that `backend` was opened in, see core/fork.h */
  bool survived_fork;  /* see reactor_survived_fork */
  bool may_skip_poll;  /* see must_poll */
  bool progress;       /* made by timers, and not returned by reactor_run yet */
};

/* ---- create ---- */

struct reactor *reactor_new(void) {
  if (!fork_init()) return NULL;
  struct reactor *r = calloc(1, sizeof *r);
  if (r == NULL) return NULL;
  r->fork_count = fork_count();
  r->survived_fork = true;
  r->backend = backend_new();
  if (r->backend != NULL) return r;
  free(r);
  return NULL;
}

void reactor_free(struct reactor *r) {
  if (r == NULL) return;
  backend_free(r->backend);
  free(r->watchers);
  free(r);
}

/* ---- ready descriptors ---- */

static bool has_ready(const struct reactor *r) {
  return r->next < r->ready_count;
}

/* Finds out what is ready, and waits at most `timeout` milliseconds for that. */
static void collect(struct reactor *r, int timeout) {
  r->next = 0;
  r->ready_count = backend_collect(r->backend, r->ready, timeout);
}

/* Drops what was found ready and has not been run yet: of one descriptor or, if `fd` is negative,
 * of all descriptors of the watcher. */
static void drop_ready(struct reactor *r, const struct watcher *watcher, int fd) {
  for (int i = r->next; i < r->ready_count; i++) {
    if (r->ready[i].watcher == watcher->index && (fd < 0 || r->ready[i].fd == fd))
      r->ready[i].events = 0;
  }
}

/* ---- fork ---- */

/* The child shares the epoll set with its parent. It must not change it, and gets a new one. */
static void renew_after_fork(struct reactor *r) {
  if (r->fork_count == fork_count()) return;
  r->fork_count = fork_count();
  r->next = r->ready_count = 0;
  r->survived_fork = backend_reopen(r->backend);
}

bool reactor_survived_fork(struct reactor *r) {
  renew_after_fork(r);
  return r->survived_fork;
}

/* ---- watchers ---- */

bool reactor_add(struct reactor *r, struct watcher *watcher) {
  size_t index = 0;
  while (index < r->watcher_count && r->watchers[index] != NULL)
    index++;
  if (index == r->watcher_count) {
    struct watcher **watchers = realloc(r->watchers, (index + 1) * sizeof(struct watcher *));
    if (watchers == NULL) return false;
    r->watchers = watchers;
    r->watcher_count++;
  }
  r->watchers[index] = watcher;
  watcher->index = index;
  return true;
}

void reactor_remove(struct reactor *r, struct watcher *watcher) {
  drop_ready(r, watcher, -1);
  r->watchers[watcher->index] = NULL;
}

/* ---- descriptors ---- */

bool reactor_watch(struct reactor *r, const struct watcher *watcher, int fd, int events) {
  renew_after_fork(r);
  if (events == 0) drop_ready(r, watcher, fd);
  return backend_watch(r->backend, watcher->index, fd, events);
}

void reactor_forget(struct reactor *r, const struct watcher *watcher, int fd) {
  renew_after_fork(r);
  drop_ready(r, watcher, fd);
  backend_forget(r->backend, watcher->index, fd);
}

bool reactor_replace(struct reactor *r, const struct watcher *watcher, int fd) {
  renew_after_fork(r);
  drop_ready(r, watcher, fd);
  return backend_replace(r->backend, watcher->index, fd);
}

int reactor_descriptor(struct reactor *r) {
  renew_after_fork(r);
  return backend_descriptor(r->backend);
}

/* ---- run ---- */

double reactor_timeout(const struct reactor *r) {
  double due = INFINITY;
  if (has_ready(r)) return 0;
  for (size_t i = 0; i < r->watcher_count; i++) {
    if (r->watchers[i] != NULL) due = fmin(due, r->watchers[i]->due);
  }
  return isinf(due) ? due : fmax(due - clock_monotonic(), 0);
}

/* Rounds up: otherwise a wait would end just before a timer expires, with nothing to do. */
static int to_milliseconds(double seconds) {
  return (int)ceil(fmin(fmax(seconds, 0), MAX_WAIT_SECONDS) * 1000);
}

void reactor_wait(struct reactor *r, double seconds) {
  renew_after_fork(r);
  if (has_ready(r)) return;
  collect(r, to_milliseconds(fmin(seconds, reactor_timeout(r))));
}

bool reactor_run_timers(struct reactor *r) {
  double now = clock_monotonic();
  bool expired = false;
  for (size_t i = 0; i < r->watcher_count; i++) {
    struct watcher *watcher = r->watchers[i];
    if (watcher == NULL || watcher->due > now) continue;
    expired = true;
    r->progress = watcher->on_timer(watcher) || r->progress;
  }
  return expired;
}

/* Returns whether this run must call backend_collect, which makes a system call. It need not if the
 * last run has left ready descriptors, or if a timer has expired: that usually starts a request,
 * whose response cannot have arrived yet. But it is not skipped in two runs in a row because of
 * timers, so that timers cannot keep descriptors from being polled. */
static bool must_poll(struct reactor *r, bool timer_expired) {
  bool poll = !has_ready(r) && !(timer_expired && r->may_skip_poll);
  r->may_skip_poll = poll || !timer_expired;
  return poll;
}

static void run_next(struct reactor *r) {
  struct ready ready = r->ready[r->next++];
  struct watcher *watcher = r->watchers[ready.watcher];
  if (ready.events == 0 || watcher == NULL) return;
  r->progress = watcher->on_socket(watcher, ready.fd, ready.events) || r->progress;
}

bool reactor_run(struct reactor *r, double until) {
  renew_after_fork(r);
  bool timer_expired = reactor_run_timers(r);
  if (must_poll(r, timer_expired)) collect(r, 0);
  while (has_ready(r)) {
    run_next(r);
    if (has_ready(r) && clock_monotonic() >= until) break;
  }
  bool progress = r->progress;
  r->progress = false;
  return progress;
}
