#include "core/loop/wakeup.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/fork.h"
#include "core/loop/have_epoll.h"

#ifdef HAVE_EPOLL
#include <sys/epoll.h>
#include <sys/eventfd.h>
#endif

/* With epoll, this is an epoll set that contains an eventfd and the epoll set of the reactor.
 * Otherwise it is a pipe. */
struct wakeup {
  int waited;             /* to wait on: the epoll set, or the read end of the pipe */
  int readable, writable; /* the eventfd, twice; or the ends of the pipe */
  int reactor;            /* the reactor's descriptor, or -1; it may have been closed since */
  bool signaled;          /* something was written and has not been read */
  unsigned fork_count, references;
  struct file_id waited_file, writable_file;
};

static bool add(int set, int fd) {
#ifdef HAVE_EPOLL
  struct epoll_event event = {.events = EPOLLIN};
  return fd >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0;
#else
  (void)set, (void)fd;
  return false;
#endif
}

static void delete (int set, int fd) {
#ifdef HAVE_EPOLL
  struct epoll_event none = {0};
  epoll_ctl(set, EPOLL_CTL_DEL, fd, &none);
#else
  (void)set, (void)fd;
#endif
}

static bool open_descriptors(struct wakeup *w) {
#ifdef HAVE_EPOLL
  w->waited = epoll_create1(EPOLL_CLOEXEC);
  w->readable = w->writable = w->waited < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return w->writable >= 0 && add(w->waited, w->readable);
#else
  int ends[2];
  if (pipe(ends) != 0) return false;
  for (int i = 0; i < 2; i++) {
    fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    fcntl(ends[i], F_SETFL, O_NONBLOCK);
  }
  w->waited = w->readable = ends[0];
  w->writable = ends[1];
  return true;
#endif
}

/* ---- create ---- */

struct wakeup *wakeup_new(void) {
  struct wakeup *w = calloc(1, sizeof *w);
  if (w == NULL) return NULL;
  w->fork_count = fork_count();
  w->references = 1;
  w->waited = w->readable = w->writable = w->reactor = -1;
  bool opened = open_descriptors(w);
  w->waited_file = fork_file_id(w->waited);
  w->writable_file = fork_file_id(w->writable);
  if (opened) return w;
  wakeup_release(w);
  return NULL;
}

void wakeup_retain(struct wakeup *w) {
  w->references++;
}

void wakeup_release(struct wakeup *w) {
  if (w == NULL || --w->references > 0) return;
  if (w->waited >= 0) fork_close(w->waited, w->waited_file);
  if (w->writable >= 0) fork_close(w->writable, w->writable_file);
  free(w);
}

bool wakeup_is_usable(const struct wakeup *w) {
  return w->fork_count == fork_count();
}

/* ---- reactor ---- */

bool wakeup_attach(struct wakeup *w, struct reactor *reactor) {
  int descriptor = reactor_descriptor(reactor);
  if (w->reactor >= 0 && w->reactor == descriptor) return true;
  wakeup_detach(w);
  w->reactor = add(w->waited, descriptor) ? descriptor : -1;
  return w->reactor >= 0;
}

void wakeup_detach(struct wakeup *w) {
  if (w->reactor >= 0 && wakeup_is_usable(w)) delete (w->waited, w->reactor);
  w->reactor = -1;
}

/* ---- wait, and signal ---- */

int wakeup_descriptor(const struct wakeup *w) {
  return w->waited;
}

bool wakeup_is_readable(const struct wakeup *w) {
  struct pollfd descriptor = {.fd = w->waited, .events = POLLIN};
  return poll(&descriptor, 1, 0) > 0;
}

void wakeup_signal(struct wakeup *w) {
  uint64_t one = 1; /* eight bytes, because an eventfd accepts no fewer */
  if (!w->signaled && wakeup_is_usable(w))
    w->signaled = write(w->writable, &one, sizeof one) == sizeof one;
}

void wakeup_clear(struct wakeup *w) {
  uint64_t count;
  if (w->signaled && wakeup_is_usable(w))
    w->signaled = read(w->readable, &count, sizeof count) != sizeof count;
}
