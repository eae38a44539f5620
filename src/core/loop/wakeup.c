#include "core/loop/wakeup.h"

#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/fork.h"
#include "core/loop/have_epoll.h"

#ifdef HAVE_EPOLL
#include <sys/epoll.h>
#include <sys/eventfd.h>

/* An epoll set that contains an eventfd and the epoll set of the reactor. */
struct wakeup {
  int set, event;
  int reactor;   /* the reactor's descriptor, or -1; it may have been closed since */
  bool signaled; /* the eventfd is not zero */
  unsigned fork_count, references;
  struct file_id set_file, event_file;
};

static bool add(int set, int fd) {
  struct epoll_event event = {.events = EPOLLIN};
  return fd >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* ---- create ---- */

struct wakeup *wakeup_new(void) {
  struct wakeup *wakeup = calloc(1, sizeof *wakeup);
  if (wakeup == NULL) return NULL;
  wakeup->fork_count = fork_count();
  wakeup->references = 1;
  wakeup->reactor = -1;
  wakeup->set = epoll_create1(EPOLL_CLOEXEC);
  wakeup->event = wakeup->set < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  wakeup->set_file = fork_file_id(wakeup->set);
  wakeup->event_file = fork_file_id(wakeup->event);
  if (wakeup->event >= 0 && add(wakeup->set, wakeup->event)) return wakeup;
  wakeup_release(wakeup);
  return NULL;
}

void wakeup_retain(struct wakeup *wakeup) {
  wakeup->references++;
}

void wakeup_release(struct wakeup *wakeup) {
  if (wakeup == NULL || --wakeup->references > 0) return;
  if (wakeup->set >= 0) fork_close(wakeup->set, wakeup->set_file);
  if (wakeup->event >= 0) fork_close(wakeup->event, wakeup->event_file);
  free(wakeup);
}

bool wakeup_is_usable(const struct wakeup *wakeup) {
  return wakeup->fork_count == fork_count();
}

/* ---- reactor ---- */

bool wakeup_attach(struct wakeup *wakeup, struct reactor *reactor) {
  int descriptor = reactor_descriptor(reactor);
  if (wakeup->reactor >= 0 && wakeup->reactor == descriptor) return true;
  wakeup_detach(wakeup);
  wakeup->reactor = add(wakeup->set, descriptor) ? descriptor : -1;
  return wakeup->reactor >= 0;
}

void wakeup_detach(struct wakeup *wakeup) {
  struct epoll_event none = {0};
  if (wakeup->reactor >= 0 && wakeup_is_usable(wakeup))
    epoll_ctl(wakeup->set, EPOLL_CTL_DEL, wakeup->reactor, &none);
  wakeup->reactor = -1;
}

/* ---- wait, and signal ---- */

int wakeup_descriptor(const struct wakeup *wakeup) {
  return wakeup->set;
}

void wakeup_signal(struct wakeup *wakeup) {
  uint64_t one = 1;
  if (!wakeup->signaled && wakeup_is_usable(wakeup))
    wakeup->signaled = write(wakeup->event, &one, sizeof one) == sizeof one;
}

void wakeup_clear(struct wakeup *wakeup) {
  uint64_t count;
  if (wakeup->signaled && wakeup_is_usable(wakeup))
    wakeup->signaled = read(wakeup->event, &count, sizeof count) != sizeof count;
}

#else

struct wakeup *wakeup_new(void) {
  return NULL;
}

void wakeup_retain(struct wakeup *wakeup) {
  (void)wakeup;
}

void wakeup_release(struct wakeup *wakeup) {
  (void)wakeup;
}

bool wakeup_is_usable(const struct wakeup *wakeup) {
  (void)wakeup;
  return false;
}

bool wakeup_attach(struct wakeup *wakeup, struct reactor *reactor) {
  (void)wakeup, (void)reactor;
  return false;
}

void wakeup_detach(struct wakeup *wakeup) {
  (void)wakeup;
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
