#include "core/loop/reactor.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fork.h"

#if defined __linux__ && !defined PODERO_WITHOUT_EPOLL
#define HAVE_EPOLL 1
#include <fcntl.h>
#include <sys/epoll.h>
#endif

/* Descriptors that are found ready at once; the others keep for the next time. */
#define READY_MAX 64

/* Longer waits are cut: the time is then looked at again. */
#define MAX_WAIT_SECONDS 60.0

/* A descriptor on which something has come. */
struct ready {
  size_t owner;
  int fd, events;
};

#ifdef HAVE_EPOLL
/* What is registered in a descriptor's place, see REACTOR_COPY. */
struct copy {
  int fd;
  struct fork_id registration;
};

/* What is waited for on a descriptor, and what its set waits for: it keeps more, since sockets come
 * and go between transfers. The set knows files, and numbers mean other files in time: an event
 * that does not bear the registration's generation is of a file that was closed here, and lives on
 * in a child. */
struct registration {
  unsigned char wanted, set; /* events; 0: none, not registered */
  uint32_t generation;
  size_t owner;
  struct copy *copy; /* or NULL */
};
#endif

struct reactor {
  struct watcher **watchers; /* by owner; NULL: free */
  size_t watcher_count;
  unsigned forks;                /* see core/fork.h: whose descriptors these are */
  struct ready ready[READY_MAX]; /* found and not run yet: from `at` on */
  int ready_at, ready_count;
  bool lost;   /* see reactor_was_kept */
  bool looked; /* at the descriptors, in the last run */
  bool moved;  /* by timers, and not told of yet */
#ifdef HAVE_EPOLL
  int epoll;   /* the set, or -1 */
  int retired; /* the one before, or -1; see rebuild */
  struct fork_id epoll_mark, retired_mark;
  struct registration *registrations; /* by descriptor */
  size_t registration_count;
  uint32_t generation; /* the last one given to a registration */
#else
  struct pollfd *watched;
  size_t *owners; /* of the watchers that they belong to */
  size_t watched_count, watched_capacity;
#endif
};

/* Whole milliseconds, rounded up: rather late than again and again. */
static int milliseconds(double seconds) {
  return (int)ceil(fmin(fmax(seconds, 0), MAX_WAIT_SECONDS) * 1000);
}

/* ---- descriptors, with epoll ---- */

#ifdef HAVE_EPOLL

static bool open_descriptors(struct reactor *r) {
  r->epoll = epoll_create1(EPOLL_CLOEXEC);
  r->epoll_mark = fork_id_of(r->epoll);
  return r->epoll >= 0;
}

static void drop_copy(struct registration *registration) {
  if (registration->copy == NULL) return;
  fork_close(registration->copy->fd, registration->copy->registration);
  free(registration->copy);
  registration->copy = NULL;
}

static void close_descriptors(struct reactor *r) {
  if (r->epoll >= 0) fork_close(r->epoll, r->epoll_mark);
  if (r->retired >= 0) fork_close(r->retired, r->retired_mark);
  r->epoll = r->retired = -1;
  for (size_t i = 0; i < r->registration_count; i++) {
    drop_copy(&r->registrations[i]);
    r->registrations[i] = (struct registration){0};
  }
}

static bool has_kept_descriptors(const struct reactor *r) {
  return r->epoll < 0 || fork_has_kept(r->epoll, r->epoll_mark);
}

static void free_descriptors(struct reactor *r) {
  close_descriptors(r);
  free(r->registrations);
}

static uint32_t to_epoll(int events) {
  return ((events & REACTOR_READ) != 0 ? EPOLLIN : 0u) |
         ((events & REACTOR_WRITE) != 0 ? EPOLLOUT : 0u);
}

static int from_epoll(uint32_t events) {
  return ((events & (EPOLLIN | EPOLLHUP)) != 0 ? REACTOR_READ : 0) |
         ((events & EPOLLOUT) != 0 ? REACTOR_WRITE : 0) |
         ((events & EPOLLERR) != 0 ? REACTOR_ERROR : 0);
}

/* The descriptor's registration, or NULL when memory is short. */
static struct registration *registration_of(struct reactor *r, int fd) {
  size_t index = (size_t)fd;
  if (index < r->registration_count) return &r->registrations[index];
  size_t count = index + 16;
  struct registration *registrations = realloc(r->registrations, count * sizeof *registrations);
  if (registrations == NULL) return NULL;
  memset(registrations + r->registration_count, 0,
         (count - r->registration_count) * sizeof *registrations);
  r->registrations = registrations;
  r->registration_count = count;
  return &r->registrations[index];
}

static int control(struct reactor *r, int operation, int fd,
                   const struct registration *registration, int events) {
  struct epoll_event event = {.events = to_epoll(events),
                              .data.u64 = (uint64_t)registration->generation << 32 | (uint32_t)fd};
  return epoll_ctl(r->epoll, operation, registration->copy != NULL ? registration->copy->fd : fd,
                   &event);
}

/* False if the set may have kept the file. */
static bool take_out(struct reactor *r, int fd, struct registration *registration) {
  bool taken = registration->set == 0 || control(r, EPOLL_CTL_DEL, fd, registration, 0) == 0;
  registration->set = 0;
  drop_copy(registration);
  return taken;
}

/* Has a copy of the descriptor take its place. If memory or descriptors are short, it goes without.
 */
static void make_copy(struct registration *registration, int fd) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return;
  registration->copy = malloc(sizeof *registration->copy);
  if (registration->copy == NULL)
    close(copy);
  else
    *registration->copy = (struct copy){.fd = copy, .registration = fork_id_of(copy)};
}

/* Puts the descriptor, or its copy, into the set. */
static bool put_in(struct reactor *r, int fd, struct registration *registration, int events) {
  registration->generation = ++r->generation;
  registration->set = 0;
  if (control(r, EPOLL_CTL_ADD, fd, registration, events) != 0 &&
      (errno != EEXIST || control(r, EPOLL_CTL_MOD, fd, registration, events) != 0))
    return false;
  registration->set = (unsigned char)events;
  return true;
}

/* Registers the descriptor for these events, whatever the registration says of it: some sockets are
 * closed without a word, and then the number is another file's. */
static bool register_descriptor(struct reactor *r, int fd, struct registration *registration,
                                int events) {
  if (registration->set != 0 && control(r, EPOLL_CTL_MOD, fd, registration, events) == 0) {
    registration->set = (unsigned char)events;
    return true;
  }
  return (registration->set == 0 || errno == ENOENT) && put_in(r, fd, registration, events);
}

static bool watch(struct reactor *r, size_t owner, int fd, int events) {
  struct registration *registration = registration_of(r, fd);
  bool copied = (events & REACTOR_COPY) != 0;
  events &= ~REACTOR_COPY;
  if (registration == NULL) return events == 0;
  if (events == 0) {
    if (registration->owner == owner) registration->wanted = 0;
    return true;
  }
  if (r->epoll < 0 && !open_descriptors(r)) return false;
  if (registration->copy != NULL && (!copied || registration->owner != owner))
    take_out(r, fd, registration);
  if (copied && registration->copy == NULL) {
    take_out(r, fd, registration);
    make_copy(registration, fd);
  }
  bool same = registration->set == events && registration->owner == owner;
  if (!same && !register_descriptor(r, fd, registration, events)) return false;
  registration->wanted = (unsigned char)events;
  registration->owner = owner;
  return true;
}

/* False if the set may have kept the file. */
static bool forget(struct reactor *r, int fd) {
  bool taken = take_out(r, fd, &r->registrations[fd]);
  r->registrations[fd] = (struct registration){0};
  return taken;
}

static void forget_of(struct reactor *r, size_t owner, int fd) {
  if ((size_t)fd < r->registration_count && r->registrations[fd].owner == owner) forget(r, fd);
}

static bool replace(struct reactor *r, size_t owner, int fd) {
  if ((size_t)fd >= r->registration_count || r->registrations[fd].owner != owner) return true;
  int wanted = r->registrations[fd].wanted | (r->registrations[fd].copy != NULL ? REACTOR_COPY : 0);
  bool waited = r->registrations[fd].wanted != 0;
  forget(r, fd);
  return !waited || watch(r, owner, fd, wanted);
}

/* Makes another set, of what is waited for, with a higher number. The old one stays open until the
 * next time, so that those who wait on it can take it out of their own sets. */
static void rebuild(struct reactor *r) {
  int made = epoll_create1(EPOLL_CLOEXEC);
  int set = made < 0 ? -1 : fcntl(made, F_DUPFD_CLOEXEC, r->epoll + 1);
  if (set >= 0) close(made);
  if (set < 0) set = made;
  if (set < 0) return; /* with the next event again */
  if (r->retired >= 0) fork_close(r->retired, r->retired_mark);
  r->retired = r->epoll;
  r->retired_mark = r->epoll_mark;
  r->epoll = set;
  r->epoll_mark = fork_id_of(set);
  for (size_t i = 0; i < r->registration_count; i++) {
    struct registration *registration = &r->registrations[i];
    registration->set = 0;
    if (registration->wanted != 0) put_in(r, (int)i, registration, registration->wanted);
  }
}

/* Finds out what is ready, waiting for it as long as that. */
static void collect(struct reactor *r, int timeout) {
  struct epoll_event events[READY_MAX];
  int count =
      r->epoll < 0 ? poll(NULL, 0, timeout) : epoll_wait(r->epoll, events, READY_MAX, timeout);
  bool stale = false;
  r->ready_at = r->ready_count = 0;
  for (int i = 0; i < count; i++) {
    int fd = (int)(uint32_t)events[i].data.u64;
    const struct registration *registration = &r->registrations[fd];
    if (registration->set == 0 || registration->generation != (uint32_t)(events[i].data.u64 >> 32))
      stale = true;
    else if (registration->wanted == 0)
      stale = !forget(r, fd) || stale;
    else
      r->ready[r->ready_count++] = (struct ready){
          .owner = registration->owner, .fd = fd, .events = from_epoll(events[i].events)};
  }
  if (stale) rebuild(r);
}

/* ---- and without ---- */

#else

static bool open_descriptors(struct reactor *r) {
  return (void)r, true;
}

static void close_descriptors(struct reactor *r) {
  r->watched_count = 0;
}

static bool has_kept_descriptors(const struct reactor *r) {
  return (void)r, true;
}

static void free_descriptors(struct reactor *r) {
  free(r->watched);
  free(r->owners);
}

static bool make_room(struct reactor *r) {
  if (r->watched_count < r->watched_capacity) return true;
  size_t capacity = r->watched_capacity == 0 ? 8 : r->watched_capacity * 2;
  struct pollfd *watched = realloc(r->watched, capacity * sizeof *watched);
  if (watched == NULL) return false;
  r->watched = watched;
  size_t *owners = realloc(r->owners, capacity * sizeof *owners);
  if (owners == NULL) return false;
  r->owners = owners;
  r->watched_capacity = capacity;
  return true;
}

static bool watch(struct reactor *r, size_t owner, int fd, int events) {
  size_t i = 0;
  events &= ~REACTOR_COPY; /* poll knows numbers, not files */
  while (i < r->watched_count && r->watched[i].fd != fd)
    i++;
  if (events == 0) {
    if (i == r->watched_count || r->owners[i] != owner) return true;
    r->watched[i] = r->watched[--r->watched_count];
    r->owners[i] = r->owners[r->watched_count];
    return true;
  }
  if (i == r->watched_count) {
    if (!make_room(r)) return false;
    r->watched_count++;
  }
  short wanted = (short)(((events & REACTOR_READ) != 0 ? POLLIN : 0) |
                         ((events & REACTOR_WRITE) != 0 ? POLLOUT : 0));
  r->watched[i] = (struct pollfd){.fd = fd, .events = wanted};
  r->owners[i] = owner;
  return true;
}

static void forget_of(struct reactor *r, size_t owner, int fd) {
  watch(r, owner, fd, 0);
}

static bool replace(struct reactor *r, size_t owner, int fd) {
  return (void)r, (void)owner, (void)fd, true;
}

static void collect(struct reactor *r, int timeout) {
  r->ready_at = r->ready_count = 0;
  if (poll(r->watched, (nfds_t)r->watched_count, timeout) <= 0) return;
  for (size_t i = r->watched_count; i-- > 0 && r->ready_count < READY_MAX;) {
    short got = r->watched[i].revents;
    if (got == 0) continue;
    int events = ((got & (POLLIN | POLLHUP)) != 0 ? REACTOR_READ : 0) |
                 ((got & POLLOUT) != 0 ? REACTOR_WRITE : 0) |
                 ((got & (POLLERR | POLLNVAL)) != 0 ? REACTOR_ERROR : 0);
    r->ready[r->ready_count++] = (struct ready){r->owners[i], r->watched[i].fd, events};
    if ((got & POLLNVAL) != 0) watch(r, r->owners[i], r->watched[i].fd, 0); /* it was closed */
  }
}

#endif

/* ---- the reactor ---- */

/* The parent goes on with the descriptors that a forked child has inherited: the child begins with
 * none, and its watchers do the same. */
static void renew_after_fork(struct reactor *r) {
  if (r->forks == fork_count()) return;
  r->forks = fork_count();
  r->ready_count = 0;
  r->lost = !has_kept_descriptors(r);
  close_descriptors(r);
  open_descriptors(r);
}

bool reactor_was_kept(struct reactor *r) {
  renew_after_fork(r);
  return !r->lost;
}

struct reactor *reactor_new(void) {
  if (!fork_watch()) return NULL;
  struct reactor *r = calloc(1, sizeof *r);
  if (r == NULL) return NULL;
  r->forks = fork_count();
#ifdef HAVE_EPOLL
  r->retired = -1;
#endif
  open_descriptors(r);
  return r;
}

void reactor_free(struct reactor *r) {
  if (r == NULL) return;
  free_descriptors(r);
  free(r->watchers);
  free(r);
}

bool reactor_add(struct reactor *r, struct watcher *watcher) {
  size_t owner = 0;
  while (owner < r->watcher_count && r->watchers[owner] != NULL)
    owner++;
  if (owner == r->watcher_count) {
    struct watcher **watchers = realloc(r->watchers, (owner + 1) * sizeof(struct watcher *));
    if (watchers == NULL) return false;
    r->watchers = watchers;
    r->watcher_count++;
  }
  r->watchers[owner] = watcher;
  watcher->owner = owner;
  return true;
}

/* What was found and not run yet, of a descriptor or (-1) of all that a watcher has, is void. */
static void forget_ready(struct reactor *r, size_t owner, int fd) {
  for (int i = r->ready_at; i < r->ready_count; i++) {
    if (r->ready[i].owner == owner && (fd < 0 || r->ready[i].fd == fd)) r->ready[i].events = 0;
  }
}

void reactor_remove(struct reactor *r, struct watcher *watcher) {
  forget_ready(r, watcher->owner, -1);
  r->watchers[watcher->owner] = NULL;
}

bool reactor_watch(struct reactor *r, const struct watcher *watcher, int fd, int events) {
  renew_after_fork(r);
  if (events == 0) forget_ready(r, watcher->owner, fd);
  return watch(r, watcher->owner, fd, events);
}

void reactor_forget(struct reactor *r, const struct watcher *watcher, int fd) {
  renew_after_fork(r);
  forget_ready(r, watcher->owner, fd);
  forget_of(r, watcher->owner, fd);
}

bool reactor_replace(struct reactor *r, const struct watcher *watcher, int fd) {
  renew_after_fork(r);
  forget_ready(r, watcher->owner, fd);
  return replace(r, watcher->owner, fd);
}

double reactor_due(const struct reactor *r) {
  double due = INFINITY;
  if (r->ready_at < r->ready_count) return 0;
  for (size_t i = 0; i < r->watcher_count; i++) {
    if (r->watchers[i] != NULL) due = fmin(due, r->watchers[i]->due);
  }
  return isinf(due) ? due : fmax(due - clock_monotonic(), 0);
}

int reactor_descriptor(struct reactor *r) {
  renew_after_fork(r);
#ifdef HAVE_EPOLL
  return r->epoll;
#else
  return -1;
#endif
}

void reactor_wait(struct reactor *r, double seconds) {
  renew_after_fork(r);
  if (r->ready_at < r->ready_count) return;
  collect(r, milliseconds(fmin(seconds, reactor_due(r))));
}

bool reactor_run_timers(struct reactor *r) {
  double now = clock_monotonic();
  bool due = false;
  for (size_t i = 0; i < r->watcher_count; i++) {
    struct watcher *watcher = r->watchers[i];
    if (watcher == NULL || watcher->due > now) continue;
    due = true;
    r->moved = watcher->on_time(watcher) || r->moved;
  }
  return due;
}

bool reactor_run(struct reactor *r, double until) {
  renew_after_fork(r);
  bool due = reactor_run_timers(r);
  /* What a timer has begun is seldom answered already. */
  bool look = r->ready_at >= r->ready_count && !(due && r->looked);
  r->looked = !due || look;
  if (look) collect(r, 0);
  while (r->ready_at < r->ready_count) {
    struct ready ready = r->ready[r->ready_at++];
    struct watcher *watcher = r->watchers[ready.owner];
    if (ready.events == 0 || watcher == NULL) continue;
    r->moved = watcher->on_socket(watcher, ready.fd, ready.events) || r->moved;
    if (r->ready_at < r->ready_count && clock_monotonic() >= until) break;
  }
  bool moved = r->moved;
  r->moved = false;
  return moved;
}
