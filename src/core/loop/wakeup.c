#include "core/loop/wakeup.h"

#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/fork.h"

#if defined __linux__ && !defined PODERO_WITHOUT_EPOLL
#include <sys/epoll.h>
#include <sys/eventfd.h>

/* An epoll set with two members: the reactor's own set, and an event descriptor. */
struct wakeup {
  int set, event;
  int reactor; /* the descriptor of the reactor's set, or -1; it may have been closed since */
  bool signaled;
  unsigned forks, references;
  struct fork_id set_mark, event_mark;
};

static bool include(int set, int fd) {
  struct epoll_event event = {.events = EPOLLIN};
  return fd >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0;
}

struct wakeup *wakeup_new(void) {
  struct wakeup *wakeup = calloc(1, sizeof *wakeup);
  if (wakeup == NULL) return NULL;
  wakeup->forks = fork_count();
  wakeup->references = 1;
  wakeup->reactor = -1;
  wakeup->set = epoll_create1(EPOLL_CLOEXEC);
  wakeup->event = wakeup->set < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  wakeup->set_mark = fork_id_of(wakeup->set);
  wakeup->event_mark = fork_id_of(wakeup->event);
  if (wakeup->event >= 0 && include(wakeup->set, wakeup->event)) return wakeup;
  wakeup_release(wakeup);
  return NULL;
}

bool wakeup_attach(struct wakeup *wakeup, struct reactor *reactor) {
  int set = reactor_descriptor(reactor);
  if (wakeup->reactor >= 0 && wakeup->reactor == set) return true;
  wakeup_detach(wakeup);
  wakeup->reactor = include(wakeup->set, set) ? set : -1;
  return wakeup->reactor >= 0;
}

void wakeup_detach(struct wakeup *wakeup) {
  struct epoll_event none = {0};
  if (wakeup->reactor >= 0 && wakeup_is_ours(wakeup))
    epoll_ctl(wakeup->set, EPOLL_CTL_DEL, wakeup->reactor, &none);
  wakeup->reactor = -1;
}

void wakeup_retain(struct wakeup *wakeup) {
  wakeup->references++;
}

void wakeup_release(struct wakeup *wakeup) {
  if (wakeup == NULL || --wakeup->references > 0) return;
  if (wakeup->set >= 0) fork_close(wakeup->set, wakeup->set_mark);
  if (wakeup->event >= 0) fork_close(wakeup->event, wakeup->event_mark);
  free(wakeup);
}

bool wakeup_is_ours(const struct wakeup *wakeup) {
  return wakeup->forks == fork_count();
}

int wakeup_descriptor(const struct wakeup *wakeup) {
  return wakeup->set;
}

/* A child must not touch its parent's wakeup: both share the descriptors. */
void wakeup_signal(struct wakeup *wakeup) {
  uint64_t one = 1;
  if (!wakeup->signaled && wakeup_is_ours(wakeup))
    wakeup->signaled = write(wakeup->event, &one, sizeof one) == sizeof one;
}

void wakeup_clear(struct wakeup *wakeup) {
  uint64_t count;
  if (wakeup->signaled && wakeup_is_ours(wakeup))
    wakeup->signaled = read(wakeup->event, &count, sizeof count) != sizeof count;
}

#else

struct wakeup *wakeup_new(void) {
  return NULL;
}

bool wakeup_attach(struct wakeup *wakeup, struct reactor *reactor) {
  (void)wakeup, (void)reactor;
  return false;
}

void wakeup_detach(struct wakeup *wakeup) {
  (void)wakeup;
}

void wakeup_retain(struct wakeup *wakeup) {
  (void)wakeup;
}

void wakeup_release(struct wakeup *wakeup) {
  (void)wakeup;
}

bool wakeup_is_ours(const struct wakeup *wakeup) {
  (void)wakeup;
  return false;
}

int wakeup_descriptor(const struct wakeup *wakeup) {
  (void)wakeup;
  return -1;
}

void wakeup_signal(struct wakeup *wakeup) {
  (void)wakeup;
}

void wakeup_clear(struct wakeup *wakeup) {
  (void)wakeup;
}

#endif

bool wakeup_is_readable(const struct wakeup *wakeup) {
  struct pollfd descriptor = {.fd = wakeup_descriptor(wakeup), .events = POLLIN};
  return poll(&descriptor, 1, 0) > 0;
}
