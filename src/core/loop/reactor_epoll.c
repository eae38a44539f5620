#include "core/loop/reactor_backend.h"

#ifdef HAVE_EPOLL

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/fork.h"
#include "core/loop/reactor.h"

/* What is known of a descriptor, by its number.
 *
 * A descriptor that is no longer waited for stays in the epoll set until it is ready or forgotten.
 * The next transfer often needs it again, and this saves two system calls.
 *
 * The set contains files, whose numbers can later be given to other files. An event that does not
 * have the registration's generation belongs to a file that was closed here and is still open in a
 * child. */
struct registration {
  int fd;
  int duplicate; /* in the set in place of `fd`, see REACTOR_DUP; or -1 */
  struct file_id duplicate_file;
  unsigned char events;     /* that the watcher waits for; 0: none */
  unsigned char registered; /* that the set reports; 0: the descriptor is not in the set */
  uint32_t generation;
  size_t watcher;
};

struct backend {
  int set;      /* the epoll set, or -1 */
  int previous; /* the set before that, or -1; see rebuild */
  struct file_id set_file, previous_file;
  struct registration **registrations; /* by descriptor; NULL: never watched */
  size_t capacity;
  uint32_t generation; /* the last one that a registration got */
};

/* ---- the epoll set ---- */

static uint32_t to_epoll(int events) {
  return ((events & REACTOR_READ) != 0 ? EPOLLIN : 0u) |
         ((events & REACTOR_WRITE) != 0 ? EPOLLOUT : 0u);
}

static int from_epoll(uint32_t events) {
  return ((events & (EPOLLIN | EPOLLHUP)) != 0 ? REACTOR_READ : 0) |
         ((events & EPOLLOUT) != 0 ? REACTOR_WRITE : 0) |
         ((events & EPOLLERR) != 0 ? REACTOR_ERROR : 0);
}

/* What an event carries, to find the registration again. */
static uint64_t to_data(int fd, uint32_t generation) {
  return (uint64_t)generation << 32 | (uint32_t)fd;
}

static int data_fd(uint64_t data) {
  return (int)(uint32_t)data;
}

static uint32_t data_generation(uint64_t data) {
  return (uint32_t)(data >> 32);
}

static bool open_set(struct backend *b) {
  b->set = epoll_create1(EPOLL_CLOEXEC);
  b->set_file = fork_file_id(b->set);
  return b->set >= 0;
}

/* If no descriptor is available, there is no duplicate, and the descriptor itself is watched. */
static void open_duplicate(struct registration *r) {
  r->duplicate = fcntl(r->fd, F_DUPFD_CLOEXEC, 3);
  r->duplicate_file = fork_file_id(r->duplicate);
}

static void close_duplicate(struct registration *r) {
  if (r->duplicate >= 0) fork_close(r->duplicate, r->duplicate_file);
  r->duplicate = -1;
}

/* epoll_ctl for a descriptor, or for its duplicate. */
static bool control(const struct backend *b, int operation, const struct registration *r,
                    int events) {
  struct epoll_event event = {.events = to_epoll(events),
                              .data.u64 = to_data(r->fd, r->generation)};
  return epoll_ctl(b->set, operation, r->duplicate >= 0 ? r->duplicate : r->fd, &event) == 0;
}

/* Adds the descriptor to the set. If the set has the file under this number already, changes what
 * it reports. */
static bool add_to_set(struct backend *b, struct registration *r, int events) {
  r->generation = ++b->generation;
  r->registered = 0;
  if (!control(b, EPOLL_CTL_ADD, r, events) &&
      (errno != EEXIST || !control(b, EPOLL_CTL_MOD, r, events)))
    return false;
  r->registered = (unsigned char)events;
  return true;
}

/* Has the set report these events. The descriptor may have left the set although `registered` says
 * otherwise: libcurl closes some sockets without telling us, and their numbers are given to other
 * files. Then epoll_ctl fails with ENOENT, and the new file is added. */
static bool add_or_modify(struct backend *b, struct registration *r, int events) {
  if (r->registered == 0) return add_to_set(b, r, events);
  if (!control(b, EPOLL_CTL_MOD, r, events)) return errno == ENOENT && add_to_set(b, r, events);
  r->registered = (unsigned char)events;
  return true;
}

/* Removes the descriptor from the set, and closes its duplicate. Returns false if the file may
 * still be in the set. */
static bool remove_from_set(const struct backend *b, struct registration *r) {
  bool removed = r->registered == 0 || control(b, EPOLL_CTL_DEL, r, 0);
  r->registered = 0;
  close_duplicate(r);
  return removed;
}

/* ---- registrations ---- */

/* Returns the registration of a descriptor, or NULL if its number was never watched. */
static struct registration *find(const struct backend *b, int fd) {
  return (size_t)fd < b->capacity ? b->registrations[fd] : NULL;
}

static void init(struct registration *r, int fd) {
  *r = (struct registration){.fd = fd, .duplicate = -1};
}

static bool reserve(struct backend *b, int fd) {
  if ((size_t)fd < b->capacity) return true;
  size_t capacity = (size_t)fd + 16;
  struct registration **registrations =
      realloc(b->registrations, capacity * sizeof(struct registration *));
  if (registrations == NULL) return false;
  for (size_t i = b->capacity; i < capacity; i++)
    registrations[i] = NULL;
  b->registrations = registrations;
  b->capacity = capacity;
  return true;
}

/* Like find, but makes a registration if there is none. Returns NULL if out of memory. */
static struct registration *find_or_add(struct backend *b, int fd) {
  struct registration *r = find(b, fd);
  if (r != NULL || !reserve(b, fd)) return r;
  r = malloc(sizeof *r);
  if (r != NULL) init(r, fd);
  b->registrations[fd] = r;
  return r;
}

/* Removes the descriptor from the set, and forgets what was waited for. Returns false if the file
 * may still be in the set. */
static bool reset(const struct backend *b, struct registration *r) {
  bool removed = remove_from_set(b, r);
  init(r, r->fd);
  return removed;
}

/* Opens or closes the duplicate. The set then needs a different descriptor, so the present one is
 * removed. */
static void set_duplicate(const struct backend *b, struct registration *r, size_t watcher,
                          bool wanted) {
  if (r->duplicate >= 0 && (!wanted || r->watcher != watcher)) remove_from_set(b, r);
  if (!wanted || r->duplicate >= 0) return;
  remove_from_set(b, r);
  open_duplicate(r);
}

/* ---- descriptors ---- */

/* Waits for `events`, which must not be 0. */
static bool wait_for(struct backend *b, struct registration *r, size_t watcher, int events) {
  if (b->set < 0 && !open_set(b)) return false; /* backend_reopen has failed */
  set_duplicate(b, r, watcher, (events & REACTOR_DUP) != 0);
  events &= ~REACTOR_DUP;
  bool unchanged = r->registered == events && r->watcher == watcher;
  if (!unchanged && !add_or_modify(b, r, events)) return false;
  r->events = (unsigned char)events;
  r->watcher = watcher;
  return true;
}

static void stop_waiting(const struct backend *b, size_t watcher, int fd) {
  struct registration *r = find(b, fd);
  if (r != NULL && r->watcher == watcher) r->events = 0;
}

bool backend_watch(struct backend *b, size_t watcher, int fd, int events) {
  if ((events & ~REACTOR_DUP) == 0) {
    stop_waiting(b, watcher, fd);
    return true;
  }
  struct registration *r = find_or_add(b, fd);
  return r != NULL && wait_for(b, r, watcher, events);
}

void backend_forget(struct backend *b, size_t watcher, int fd) {
  struct registration *r = find(b, fd);
  if (r != NULL && r->watcher == watcher) reset(b, r);
}

bool backend_replace(struct backend *b, size_t watcher, int fd) {
  struct registration *r = find(b, fd);
  if (r == NULL || r->watcher != watcher) return true;
  int events = r->events, duplicate = r->duplicate >= 0 ? REACTOR_DUP : 0;
  reset(b, r);
  return events == 0 || wait_for(b, r, watcher, events | duplicate);
}

/* ---- wait ---- */

/* Returns a new epoll set, or -1. Its number is higher than `number` if such a descriptor is
 * available. */
static int create_set_above(int number) {
  int set = epoll_create1(EPOLL_CLOEXEC);
  int higher = set < 0 ? -1 : fcntl(set, F_DUPFD_CLOEXEC, number + 1);
  if (higher < 0) return set;
  close(set);
  return higher;
}

/* Replaces the set, which contains a file that cannot be removed any more, with a new one. The old
 * set stays open until the next time, so that others who wait on it can remove it from their own
 * sets. They recognize the new one by its number; so numbers only grow, and none is used again.
 *
 * If no descriptor is available, the old set stays, and the next stale event leads here again. */
static void rebuild(struct backend *b) {
  int set = create_set_above(b->set);
  if (set < 0) return;
  if (b->previous >= 0) fork_close(b->previous, b->previous_file);
  b->previous = b->set;
  b->previous_file = b->set_file;
  b->set = set;
  b->set_file = fork_file_id(set);
  for (size_t i = 0; i < b->capacity; i++) {
    struct registration *r = b->registrations[i];
    if (r == NULL) continue;
    r->registered = 0;
    if (r->events != 0) add_to_set(b, r, r->events);
  }
}

/* Whether an event belongs to the file that is registered now. */
static bool is_current(const struct registration *r, uint64_t data) {
  return r->registered != 0 && r->generation == data_generation(data);
}

int backend_collect(struct backend *b, struct ready ready[READY_MAX], int timeout) {
  struct epoll_event events[READY_MAX];
  if (b->set < 0) { /* nothing can be watched: only wait */
    poll(NULL, 0, timeout);
    return 0;
  }
  int found = epoll_wait(b->set, events, READY_MAX, timeout);
  int count = 0;
  bool stale = false;
  for (int i = 0; i < found; i++) {
    struct registration *r = b->registrations[data_fd(events[i].data.u64)];
    if (!is_current(r, events[i].data.u64))
      stale = true;
    else if (r->events == 0)
      stale = !reset(b, r) || stale;
    else
      ready[count++] = (struct ready){r->watcher, r->fd, from_epoll(events[i].events)};
  }
  if (stale) rebuild(b);
  return count;
}

/* ---- embed ---- */

int backend_descriptor(const struct backend *b) {
  return b->set;
}

/* ---- create, and fork ---- */

static void close_all(struct backend *b) {
  if (b->set >= 0) fork_close(b->set, b->set_file);
  if (b->previous >= 0) fork_close(b->previous, b->previous_file);
  b->set = b->previous = -1;
  for (size_t i = 0; i < b->capacity; i++) {
    struct registration *r = b->registrations[i];
    if (r == NULL) continue;
    close_duplicate(r);
    init(r, r->fd);
  }
}

struct backend *backend_new(void) {
  struct backend *b = calloc(1, sizeof *b);
  if (b == NULL) return NULL;
  b->previous = -1;
  open_set(b); /* if no descriptor is left, wait_for tries again */
  return b;
}

void backend_free(struct backend *b) {
  close_all(b);
  for (size_t i = 0; i < b->capacity; i++)
    free(b->registrations[i]);
  free(b->registrations);
  free(b);
}

bool backend_reopen(struct backend *b) {
  bool survived = b->set < 0 || fork_is_same_file(b->set, b->set_file);
  close_all(b);
  open_set(b);
  return survived;
}

#endif
