#define _GNU_SOURCE /* accept4 NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
#include "core/loop/notifier.h"

#include "core/loop/have_epoll.h"

#ifdef HAVE_EPOLL

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/entropy.h"
#include "core/fork.h"

/* notifier_start tolerates this many connections without the cookie. */
#define MAX_REFUSED 16

/* epoll_wait returns at most this many events. */
#define MAX_EVENTS 16

#define SOCKET_NAME "/socket"

struct notifier {
  int listener, connection; /* descriptors are -1 if not open */
  int set;                  /* an epoll set of reactors and `timer` */
  int timer;                /* a timerfd, for notifier_wake_at */
  double timer_at;          /* when `timer` expires, or has expired; monotonic */
  atomic_bool signaled;     /* a byte was written, and notifier_clear was not called since */
  atomic_bool stopping;     /* the thread must end */
  bool running;             /* there is a thread */
  pthread_t thread;
  unsigned fork_count;        /* of the process that made it, see core/fork.h */
  int port;                   /* 0: listens on a path */
  struct sockaddr_un address; /* sun_path is empty: listens on a port */
  char cookie[NOTIFIER_COOKIE_BYTES];
};

/* ---- listen ---- */

static bool make_cookie(struct notifier *n) {
  unsigned char bytes[NOTIFIER_COOKIE_BYTES / 2];
  static const char digits[] = "0123456789abcdef";
  if (getentropy(bytes, sizeof bytes) != 0) return false;
  for (size_t i = 0; i < sizeof bytes; i++) {
    n->cookie[2 * i] = digits[bytes[i] >> 4];
    n->cookie[2 * i + 1] = digits[bytes[i] & 15];
  }
  return true;
}

/* Removes the socket and its folder from the file system. */
static void remove_path(struct notifier *n) {
  char *path = n->address.sun_path, *name = strrchr(path, '/');
  if (name == NULL) return;
  unlink(path);
  *name = '\0';
  rmdir(path);
  *path = '\0';
}

/* Makes a temporary folder, and sets the path in `address` to it. */
static bool make_folder(struct notifier *n) {
  const char *parent = getenv("TMPDIR");
  if (parent == NULL || *parent != '/') parent = "/tmp";
  char *path = n->address.sun_path;
  size_t capacity = sizeof n->address.sun_path - sizeof SOCKET_NAME;
  int size = snprintf(path, capacity, "%s/podero-XXXXXX", parent);
  if (size >= 0 && (size_t)size < capacity && mkdtemp(path) != NULL) return true;
  *path = '\0';
  return false;
}

static bool listen_on_path(struct notifier *n) {
  if (!make_folder(n)) return false;
  char *path = n->address.sun_path;
  memcpy(path + strlen(path), SOCKET_NAME, sizeof SOCKET_NAME);
  n->address.sun_family = AF_UNIX;
  n->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (n->listener >= 0 &&
      bind(n->listener, (const struct sockaddr *)&n->address, sizeof n->address) == 0 &&
      listen(n->listener, MAX_REFUSED) == 0)
    return true;
  if (n->listener >= 0) close(n->listener);
  n->listener = -1;
  remove_path(n);
  return false;
}

static bool listen_on_port(struct notifier *n) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  n->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (n->listener < 0 || bind(n->listener, (const struct sockaddr *)&address, size) != 0 ||
      listen(n->listener, MAX_REFUSED) != 0 ||
      getsockname(n->listener, (struct sockaddr *)&address, &size) != 0)
    return false;
  n->port = ntohs(address.sin_port);
  return true;
}

/* ---- accept ---- */

/* Returns the next connection, or -1 if there is none. */
static int accept_one(const struct notifier *n) {
  return accept4(n->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static bool has_sent_cookie(const struct notifier *n, int connection) {
  char cookie[NOTIFIER_COOKIE_BYTES];
  return recv(connection, cookie, sizeof cookie, MSG_DONTWAIT) == (ssize_t)sizeof cookie &&
         memcmp(cookie, n->cookie, sizeof cookie) == 0;
}

static void accept_connection(struct notifier *n) {
  int connection;
  for (int i = 0; i <= MAX_REFUSED && (connection = accept_one(n)) >= 0; i++) {
    if (has_sent_cookie(n, connection)) {
      n->connection = connection;
      break;
    }
    close(connection);
  }
  close(n->listener);
  n->listener = -1;
  remove_path(n);
}

/* ---- the thread ---- */

/* Called by both threads. send fails only if the event loop has closed its end. */
static void write_byte(struct notifier *n) {
  if (!atomic_exchange(&n->signaled, true)) send(n->connection, "x", 1, MSG_NOSIGNAL);
}

/* Makes the timer unreadable. */
static void reset_timer(struct notifier *n) {
  uint64_t count;
  if (read(n->timer, &count, sizeof count) < 0) return; /* it was set again in the meantime */
}

static void *run(void *user) {
  struct notifier *n = user;
  struct epoll_event events[MAX_EVENTS];
  while (!atomic_load(&n->stopping)) {
    int count = epoll_wait(n->set, events, MAX_EVENTS, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.fd == n->timer) reset_timer(n);
    }
    if (count > 0 && !atomic_load(&n->stopping)) write_byte(n);
  }
  return NULL;
}

static bool open_set(struct notifier *n) {
  n->set = epoll_create1(EPOLL_CLOEXEC);
  n->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = n->timer};
  return n->set >= 0 && n->timer >= 0 && epoll_ctl(n->set, EPOLL_CTL_ADD, n->timer, &event) == 0;
}

static bool start_thread(struct notifier *n) {
  sigset_t all, before;
  sigfillset(&all);
  if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
  n->running = pthread_create(&n->thread, NULL, run, n) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return n->running;
}

static void stop_thread(struct notifier *n) {
  if (!n->running) return;
  atomic_store(&n->stopping, true);
  notifier_wake_at(n, 0);
  pthread_join(n->thread, NULL);
  n->running = false;
}

/* ---- create ---- */

struct notifier *notifier_new(void) {
  struct notifier *n = calloc(1, sizeof *n);
  if (n == NULL) return NULL;
  n->listener = n->connection = n->set = n->timer = -1;
  n->fork_count = fork_count();
  if (make_cookie(n) && (listen_on_path(n) || listen_on_port(n))) return n;
  notifier_free(n);
  return NULL;
}

void notifier_free(struct notifier *n) {
  if (n == NULL) return;
  if (n->fork_count == fork_count()) {
    stop_thread(n);
    remove_path(n);
    int descriptors[] = {n->listener, n->connection, n->set, n->timer};
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++) {
      if (descriptors[i] >= 0) close(descriptors[i]);
    }
  }
  free(n);
}

/* ---- connect ---- */

const char *notifier_path(const struct notifier *n) {
  return n->address.sun_path[0] != '\0' ? n->address.sun_path : NULL;
}

int notifier_port(const struct notifier *n) {
  return n->port;
}

const char *notifier_cookie(const struct notifier *n) {
  return n->cookie;
}

bool notifier_start(struct notifier *n) {
  accept_connection(n);
  return n->connection >= 0 && open_set(n) && start_thread(n);
}

/* ---- ask for a byte ---- */

bool notifier_watch(struct notifier *n, struct reactor *reactor) {
  int fd = reactor_descriptor(reactor);
  struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = fd};
  if (fd < 0) return false;
  if (epoll_ctl(n->set, EPOLL_CTL_MOD, fd, &event) == 0) return true;
  /* It is not in the set yet, or it is a new one with the number of one that was closed. */
  return errno == ENOENT && epoll_ctl(n->set, EPOLL_CTL_ADD, fd, &event) == 0;
}

void notifier_wake_at(struct notifier *n, double time) {
  if (isinf(time) || (time >= n->timer_at && n->timer_at > clock_monotonic())) return;
  struct itimerspec when = {{0, 0}, {0, 0}};
  double whole = floor(fmax(time, 0));
  when.it_value.tv_sec = (time_t)whole;
  when.it_value.tv_nsec = (long)((time - whole) * 1e9);
  if (time <= 0) when.it_value.tv_nsec = 1; /* 0 would stop the timer */
  n->timer_at = time;
  timerfd_settime(n->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

void notifier_signal(struct notifier *n) {
  write_byte(n);
}

void notifier_clear(struct notifier *n) {
  atomic_store(&n->signaled, false);
}

#else

#include <stddef.h>

struct notifier *notifier_new(void) {
  return NULL;
}

const char *notifier_path(const struct notifier *n) {
  (void)n;
  return NULL;
}

int notifier_port(const struct notifier *n) {
  (void)n;
  return 0;
}

const char *notifier_cookie(const struct notifier *n) {
  (void)n;
  return NULL;
}

bool notifier_start(struct notifier *n) {
  (void)n;
  return false;
}

bool notifier_watch(struct notifier *n, struct reactor *reactor) {
  (void)n, (void)reactor;
  return false;
}

void notifier_wake_at(struct notifier *n, double time) {
  (void)n, (void)time;
}

void notifier_signal(struct notifier *n) {
  (void)n;
}

void notifier_clear(struct notifier *n) {
  (void)n;
}

void notifier_free(struct notifier *n) {
  (void)n;
}

#endif
