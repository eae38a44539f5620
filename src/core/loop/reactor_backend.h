/* Internal to the reactor: finds out which descriptors are ready. There are two implementations,
 * reactor_epoll.c and reactor_poll.c; one of them is compiled, see have_epoll.h.
 *
 *   create       backend_new, backend_free
 *   descriptors  backend_watch, backend_forget, backend_replace
 *   wait         backend_collect
 *   embed        backend_descriptor
 *   fork         backend_reopen
 *
 * Watchers are given by their index in the reactor. */
#ifndef PODERO_REACTOR_BACKEND_H
#define PODERO_REACTOR_BACKEND_H

#include <stdbool.h>
#include <stddef.h>

#include "core/loop/have_epoll.h"

/* backend_collect reports at most this many descriptors at once. The next call reports others. */
#define READY_MAX 64

/* A descriptor that is ready. */
struct ready {
  size_t watcher;
  int fd, events; /* bits of REACTOR_READ, REACTOR_WRITE, REACTOR_ERROR */
};

struct backend;

/* Returns a new back end, to be freed with backend_free. Returns NULL if out of memory. If no
 * descriptor is left, the back end gets one when it needs it. */
struct backend *backend_new(void);

/* Frees the back end and closes its own descriptors. */
void backend_free(struct backend *backend);

/* Like reactor_watch, reactor_forget and reactor_replace. */
bool backend_watch(struct backend *backend, size_t watcher, int fd, int events);
void backend_forget(struct backend *backend, size_t watcher, int fd);
bool backend_replace(struct backend *backend, size_t watcher, int fd);

/* Waits until a descriptor is ready, but at most `timeout` milliseconds. Sets entries of `ready`,
 * and returns how many: 0 if the time is up, or after a signal. */
int backend_collect(struct backend *backend, struct ready ready[READY_MAX], int timeout);

/* Like reactor_descriptor. */
int backend_descriptor(const struct backend *backend);

/* Call this in a forked child before any other function. Forgets all descriptors, and replaces
 * those that are shared with the parent. Returns whether the child had left these open, see
 * reactor_survived_fork. If no descriptor is available, backend_watch tries again. */
bool backend_reopen(struct backend *backend);

#endif
