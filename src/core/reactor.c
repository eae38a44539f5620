#include "core/reactor.h"

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
#include <sys/eventfd.h>
#endif

/* Descriptors that are found ready at once; the others keep for the next time. */
#define READY_MAX 64

/* Longer waits are cut: the time is then looked at again. */
#define MAX_WAIT_SECONDS 60.0

/* A descriptor on which something has come. */
struct ready {
  size_t slot;
  int fd, events;
};

#ifdef HAVE_EPOLL
/* What is registered in a descriptor's place, see REACTOR_COPY. */
struct copy {
  int fd;
  struct fork_mark mark;
};

/* What is waited for on a descriptor, and what its set waits for: it keeps more, since sockets come
 * and go between exchanges. The set knows files, and numbers mean other files in time: an event
 * that does not bear the mark's generation is of a file that was closed here, and lives on in a
 * child. */
struct mark {
  unsigned char wanted, set; /* events; 0: none, not registered */
  uint32_t generation;
  size_t slot;
  struct copy *copy; /* or NULL */
};
#endif

struct reactor {
  struct source **sources; /* by slot; NULL: free */
  size_t source_count;
  unsigned forks;                /* see core/fork.h: whose descriptors these are */
  struct ready ready[READY_MAX]; /* found and not run yet: from `at` on */
  int ready_at, ready_count;
  bool lost;   /* see reactor_was_kept */
  bool looked; /* at the descriptors, in the last run */
  bool moved;  /* by timers, and not told of yet */
#ifdef HAVE_EPOLL
  int epoll;   /* the set, or -1 */
  int retired; /* the one before, or -1; see rebuild */
  struct fork_mark epoll_mark, retired_mark;
  struct mark *marks; /* by descriptor */
  size_t mark_count;
  uint32_t generation; /* the last one given to a mark */
#else
  struct pollfd *watched;
  size_t *slots; /* of the sources that they belong to */
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
  r->epoll_mark = fork_mark_of(r->epoll);
  return r->epoll >= 0;
}

static void drop_copy(struct mark *mark) {
  if (mark->copy == NULL) return;
  fork_close(mark->copy->fd, mark->copy->mark);
  free(mark->copy);
  mark->copy = NULL;
}

static void close_descriptors(struct reactor *r) {
  if (r->epoll >= 0) fork_close(r->epoll, r->epoll_mark);
  if (r->retired >= 0) fork_close(r->retired, r->retired_mark);
  r->epoll = r->retired = -1;
  for (size_t i = 0; i < r->mark_count; i++) {
    drop_copy(&r->marks[i]);
    r->marks[i] = (struct mark){0};
  }
}

static bool has_kept_descriptors(const struct reactor *r) {
  return r->epoll < 0 || fork_has_kept(r->epoll, r->epoll_mark);
}

static void free_descriptors(struct reactor *r) {
  close_descriptors(r);
  free(r->marks);
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

/* The descriptor's mark, or NULL when memory is short. */
static struct mark *mark_of(struct reactor *r, int fd) {
  size_t index = (size_t)fd;
  if (index < r->mark_count) return &r->marks[index];
  size_t count = index + 16;
  struct mark *marks = realloc(r->marks, count * sizeof *marks);
  if (marks == NULL) return NULL;
  memset(marks + r->mark_count, 0, (count - r->mark_count) * sizeof *marks);
  r->marks = marks;
  r->mark_count = count;
  return &r->marks[index];
}

static int control(struct reactor *r, int operation, int fd, const struct mark *mark, int events) {
  struct epoll_event event = {.events = to_epoll(events),
                              .data.u64 = (uint64_t)mark->generation << 32 | (uint32_t)fd};
  return epoll_ctl(r->epoll, operation, mark->copy != NULL ? mark->copy->fd : fd, &event);
}

/* False if the set may have kept the file. */
static bool take_out(struct reactor *r, int fd, struct mark *mark) {
  bool taken = mark->set == 0 || control(r, EPOLL_CTL_DEL, fd, mark, 0) == 0;
  mark->set = 0;
  drop_copy(mark);
  return taken;
}

/* Has a copy of the descriptor take its place. If memory or descriptors are short, it goes without.
 */
static void make_copy(struct mark *mark, int fd) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return;
  mark->copy = malloc(sizeof *mark->copy);
  if (mark->copy == NULL)
    close(copy);
  else
    *mark->copy = (struct copy){.fd = copy, .mark = fork_mark_of(copy)};
}

/* Puts the descriptor, or its copy, into the set. */
static bool put_in(struct reactor *r, int fd, struct mark *mark, int events) {
  mark->generation = ++r->generation;
  mark->set = 0;
  if (control(r, EPOLL_CTL_ADD, fd, mark, events) != 0 &&
      (errno != EEXIST || control(r, EPOLL_CTL_MOD, fd, mark, events) != 0))
    return false;
  mark->set = (unsigned char)events;
  return true;
}

/* Registers the descriptor for these events, whatever the mark says of it: some sockets are closed
 * without a word, and then the number is another file's. */
static bool register_descriptor(struct reactor *r, int fd, struct mark *mark, int events) {
  if (mark->set != 0 && control(r, EPOLL_CTL_MOD, fd, mark, events) == 0) {
    mark->set = (unsigned char)events;
    return true;
  }
  return (mark->set == 0 || errno == ENOENT) && put_in(r, fd, mark, events);
}

static bool watch(struct reactor *r, size_t slot, int fd, int events) {
  struct mark *mark = mark_of(r, fd);
  bool copied = (events & REACTOR_COPY) != 0;
  events &= ~REACTOR_COPY;
  if (mark == NULL) return events == 0;
  if (events == 0) {
    if (mark->slot == slot) mark->wanted = 0;
    return true;
  }
  if (r->epoll < 0 && !open_descriptors(r)) return false;
  if (mark->copy != NULL && (!copied || mark->slot != slot)) take_out(r, fd, mark);
  if (copied && mark->copy == NULL) {
    take_out(r, fd, mark);
    make_copy(mark, fd);
  }
  bool same = mark->set == events && mark->slot == slot;
  if (!same && !register_descriptor(r, fd, mark, events)) return false;
  mark->wanted = (unsigned char)events;
  mark->slot = slot;
  return true;
}

/* False if the set may have kept the file. */
static bool forget(struct reactor *r, int fd) {
  bool taken = take_out(r, fd, &r->marks[fd]);
  r->marks[fd] = (struct mark){0};
  return taken;
}

static void forget_of(struct reactor *r, size_t slot, int fd) {
  if ((size_t)fd < r->mark_count && r->marks[fd].slot == slot) forget(r, fd);
}

static bool replace(struct reactor *r, size_t slot, int fd) {
  if ((size_t)fd >= r->mark_count || r->marks[fd].slot != slot) return true;
  int wanted = r->marks[fd].wanted | (r->marks[fd].copy != NULL ? REACTOR_COPY : 0);
  bool waited = r->marks[fd].wanted != 0;
  forget(r, fd);
  return !waited || watch(r, slot, fd, wanted);
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
  r->epoll_mark = fork_mark_of(set);
  for (size_t i = 0; i < r->mark_count; i++) {
    struct mark *mark = &r->marks[i];
    mark->set = 0;
    if (mark->wanted != 0) put_in(r, (int)i, mark, mark->wanted);
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
    const struct mark *mark = &r->marks[fd];
    if (mark->set == 0 || mark->generation != (uint32_t)(events[i].data.u64 >> 32))
      stale = true;
    else if (mark->wanted == 0)
      stale = !forget(r, fd) || stale;
    else
      r->ready[r->ready_count++] =
          (struct ready){.slot = mark->slot, .fd = fd, .events = from_epoll(events[i].events)};
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
  free(r->slots);
}

static bool make_room(struct reactor *r) {
  if (r->watched_count < r->watched_capacity) return true;
  size_t capacity = r->watched_capacity == 0 ? 8 : r->watched_capacity * 2;
  struct pollfd *watched = realloc(r->watched, capacity * sizeof *watched);
  if (watched == NULL) return false;
  r->watched = watched;
  size_t *slots = realloc(r->slots, capacity * sizeof *slots);
  if (slots == NULL) return false;
  r->slots = slots;
  r->watched_capacity = capacity;
  return true;
}

static bool watch(struct reactor *r, size_t slot, int fd, int events) {
  size_t i = 0;
  events &= ~REACTOR_COPY; /* poll knows numbers, not files */
  while (i < r->watched_count && r->watched[i].fd != fd)
    i++;
  if (events == 0) {
    if (i == r->watched_count || r->slots[i] != slot) return true;
    r->watched[i] = r->watched[--r->watched_count];
    r->slots[i] = r->slots[r->watched_count];
    return true;
  }
  if (i == r->watched_count) {
    if (!make_room(r)) return false;
    r->watched_count++;
  }
  short wanted = (short)(((events & REACTOR_READ) != 0 ? POLLIN : 0) |
                         ((events & REACTOR_WRITE) != 0 ? POLLOUT : 0));
  r->watched[i] = (struct pollfd){.fd = fd, .events = wanted};
  r->slots[i] = slot;
  return true;
}

static void forget_of(struct reactor *r, size_t slot, int fd) {
  watch(r, slot, fd, 0);
}

static bool replace(struct reactor *r, size_t slot, int fd) {
  return (void)r, (void)slot, (void)fd, true;
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
    r->ready[r->ready_count++] = (struct ready){r->slots[i], r->watched[i].fd, events};
    if ((got & POLLNVAL) != 0) watch(r, r->slots[i], r->watched[i].fd, 0); /* it was closed */
  }
}

#endif

/* ---- the reactor ---- */

/* The parent goes on with the descriptors that a forked child has inherited: the child begins with
 * none, and its sources do the same. */
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
  free(r->sources);
  free(r);
}

bool reactor_add(struct reactor *r, struct source *source) {
  size_t slot = 0;
  while (slot < r->source_count && r->sources[slot] != NULL)
    slot++;
  if (slot == r->source_count) {
    struct source **sources = realloc(r->sources, (slot + 1) * sizeof(struct source *));
    if (sources == NULL) return false;
    r->sources = sources;
    r->source_count++;
  }
  r->sources[slot] = source;
  source->slot = slot;
  return true;
}

/* What was found and not run yet, of a descriptor or (-1) of all that a source has, is void. */
static void forget_ready(struct reactor *r, size_t slot, int fd) {
  for (int i = r->ready_at; i < r->ready_count; i++) {
    if (r->ready[i].slot == slot && (fd < 0 || r->ready[i].fd == fd)) r->ready[i].events = 0;
  }
}

void reactor_remove(struct reactor *r, struct source *source) {
  forget_ready(r, source->slot, -1);
  r->sources[source->slot] = NULL;
}

bool reactor_watch(struct reactor *r, const struct source *source, int fd, int events) {
  renew_after_fork(r);
  if (events == 0) forget_ready(r, source->slot, fd);
  return watch(r, source->slot, fd, events);
}

void reactor_forget(struct reactor *r, const struct source *source, int fd) {
  renew_after_fork(r);
  forget_ready(r, source->slot, fd);
  forget_of(r, source->slot, fd);
}

bool reactor_replace(struct reactor *r, const struct source *source, int fd) {
  renew_after_fork(r);
  forget_ready(r, source->slot, fd);
  return replace(r, source->slot, fd);
}

double reactor_due(const struct reactor *r) {
  double due = INFINITY;
  for (size_t i = 0; i < r->source_count; i++) {
    if (r->sources[i] != NULL) due = fmin(due, r->sources[i]->due);
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
  for (size_t i = 0; i < r->source_count; i++) {
    struct source *source = r->sources[i];
    if (source == NULL || source->due > now) continue;
    due = true;
    r->moved = source->on_time(source) || r->moved;
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
    struct source *source = r->sources[ready.slot];
    if (ready.events == 0 || source == NULL) continue;
    r->moved = source->on_socket(source, ready.fd, ready.events) || r->moved;
    if (r->ready_at < r->ready_count && clock_monotonic() >= until) break;
  }
  bool moved = r->moved;
  r->moved = false;
  return moved;
}

/* ---- bells ---- */

#ifdef HAVE_EPOLL

/* An epoll set of two: the reactor's own, and an event descriptor. */
struct bell {
  int set, event;
  int reactor; /* its set, or -1; it may have been closed since */
  bool rung;
  unsigned forks, references;
  struct fork_mark set_mark, event_mark;
};

static bool include(int set, int fd) {
  struct epoll_event event = {.events = EPOLLIN};
  return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0;
}

struct bell *bell_new(void) {
  struct bell *bell = calloc(1, sizeof *bell);
  if (bell == NULL) return NULL;
  bell->forks = fork_count();
  bell->references = 1;
  bell->reactor = -1;
  bell->set = epoll_create1(EPOLL_CLOEXEC);
  bell->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  bell->set_mark = fork_mark_of(bell->set);
  bell->event_mark = fork_mark_of(bell->event);
  if (bell->set >= 0 && bell->event >= 0 && include(bell->set, bell->event)) return bell;
  bell_release(bell);
  return NULL;
}

bool bell_hang(struct bell *bell, struct reactor *r) {
  struct epoll_event none = {0};
  renew_after_fork(r);
  if (bell->reactor >= 0) epoll_ctl(bell->set, EPOLL_CTL_DEL, bell->reactor, &none);
  bell->reactor = include(bell->set, r->epoll) ? r->epoll : -1;
  return bell->reactor >= 0;
}

void bell_retain(struct bell *bell) {
  bell->references++;
}

void bell_release(struct bell *bell) {
  if (bell == NULL || --bell->references > 0) return;
  if (bell->set >= 0) fork_close(bell->set, bell->set_mark);
  if (bell->event >= 0) fork_close(bell->event, bell->event_mark);
  free(bell);
}

bool bell_is_ours(const struct bell *bell) {
  return bell->forks == fork_count();
}

int bell_descriptor(const struct bell *bell) {
  return bell->set;
}

/* A parent's bell is not to be touched: its descriptors are the parent's, too. */
void bell_ring(struct bell *bell) {
  uint64_t one = 1;
  if (!bell->rung && bell_is_ours(bell))
    bell->rung = write(bell->event, &one, sizeof one) == sizeof one;
}

void bell_hush(struct bell *bell) {
  uint64_t count;
  if (bell->rung && bell_is_ours(bell))
    bell->rung = read(bell->event, &count, sizeof count) != sizeof count;
}

#else

struct bell *bell_new(void) {
  return NULL;
}

bool bell_hang(struct bell *bell, struct reactor *r) {
  (void)bell, (void)r;
  return false;
}

void bell_retain(struct bell *bell) {
  (void)bell;
}

void bell_release(struct bell *bell) {
  (void)bell;
}

bool bell_is_ours(const struct bell *bell) {
  (void)bell;
  return false;
}

int bell_descriptor(const struct bell *bell) {
  (void)bell;
  return -1;
}

void bell_ring(struct bell *bell) {
  (void)bell;
}

void bell_hush(struct bell *bell) {
  (void)bell;
}

#endif

bool bell_is_readable(const struct bell *bell) {
  struct pollfd descriptor = {.fd = bell_descriptor(bell), .events = POLLIN};
  return poll(&descriptor, 1, 0) > 0;
}
