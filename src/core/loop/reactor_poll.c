#include "core/loop/reactor_backend.h"

#ifndef HAVE_EPOLL

#include <poll.h>
#include <stdlib.h>

#include "core/loop/reactor.h"

struct backend {
  struct pollfd *fds; /* what poll is called with */
  size_t *watchers;   /* watchers[i] is the one that watches fds[i] */
  size_t count, capacity;
};

/* ---- create ---- */

struct backend *backend_new(void) {
  return calloc(1, sizeof(struct backend));
}

void backend_free(struct backend *b) {
  free(b->fds);
  free(b->watchers);
  free(b);
}

/* poll keeps nothing in the kernel, so parent and child share nothing. */
bool backend_reopen(struct backend *b) {
  b->count = 0;
  return true;
}

int backend_descriptor(const struct backend *b) {
  (void)b;
  return -1;
}

/* ---- the list ---- */

/* Returns the index of the descriptor, or `count` if it is not in the list. */
static size_t find(const struct backend *b, int fd) {
  size_t i = 0;
  while (i < b->count && b->fds[i].fd != fd)
    i++;
  return i;
}

static bool reserve_one(struct backend *b) {
  if (b->count < b->capacity) return true;
  size_t capacity = b->capacity == 0 ? 8 : b->capacity * 2;
  struct pollfd *fds = realloc(b->fds, capacity * sizeof *fds);
  if (fds == NULL) return false;
  b->fds = fds;
  size_t *watchers = realloc(b->watchers, capacity * sizeof *watchers);
  if (watchers == NULL) return false;
  b->watchers = watchers;
  b->capacity = capacity;
  return true;
}

/* Fills the gap with the last entry. */
static void remove_at(struct backend *b, size_t i) {
  b->count--;
  b->fds[i] = b->fds[b->count];
  b->watchers[i] = b->watchers[b->count];
}

/* ---- descriptors ---- */

static short to_poll(int events) {
  return (short)(((events & REACTOR_READ) != 0 ? POLLIN : 0) |
                 ((events & REACTOR_WRITE) != 0 ? POLLOUT : 0));
}

static int from_poll(short events) {
  return ((events & (POLLIN | POLLHUP)) != 0 ? REACTOR_READ : 0) |
         ((events & POLLOUT) != 0 ? REACTOR_WRITE : 0) |
         ((events & (POLLERR | POLLNVAL)) != 0 ? REACTOR_ERROR : 0);
}

bool backend_watch(struct backend *b, size_t watcher, int fd, int events) {
  events &= ~REACTOR_DUP; /* not needed: poll looks up the descriptors each time */
  if (events == 0) {
    backend_forget(b, watcher, fd);
    return true;
  }
  size_t i = find(b, fd);
  if (i == b->count) {
    if (!reserve_one(b)) return false;
    b->count++;
  }
  b->fds[i] = (struct pollfd){.fd = fd, .events = to_poll(events)};
  b->watchers[i] = watcher;
  return true;
}

void backend_forget(struct backend *b, size_t watcher, int fd) {
  size_t i = find(b, fd);
  if (i < b->count && b->watchers[i] == watcher) remove_at(b, i);
}

/* Nothing to do: poll looks up the descriptors each time. */
bool backend_replace(struct backend *b, size_t watcher, int fd) {
  (void)b, (void)watcher, (void)fd;
  return true;
}

/* ---- wait ---- */

/* Goes backwards, so that remove_at does not move an entry that has not been visited. */
int backend_collect(struct backend *b, struct ready ready[READY_MAX], int timeout) {
  int count = 0;
  if (poll(b->fds, (nfds_t)b->count, timeout) <= 0) return 0;
  for (size_t i = b->count; i-- > 0 && count < READY_MAX;) {
    short events = b->fds[i].revents;
    if (events == 0) continue;
    ready[count++] = (struct ready){b->watchers[i], b->fds[i].fd, from_poll(events)};
    if ((events & POLLNVAL) != 0) remove_at(b, i); /* closed without reactor_forget */
  }
  return count;
}

#endif
