#include "core/http/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fork.h"
#include "core/http/internal.h"
#include "core/http/libcurl.h"
#include "core/http/openssl.h"

/* All transfers are checked at intervals, regardless of libcurl's timer, because libcurl can miss
 * an event or lose a timer (see quirks.c). The first interval is FIRST_CHECK_SECONDS; it is doubled
 * after each check, up to LAST_CHECK_SECONDS. */
#define FIRST_CHECK_SECONDS 0.002
#define LAST_CHECK_SECONDS 1.0

/* How often transport_lacks_descriptors asks for a garbage collection while private transports wait
 * for connections. */
#define COLLECT_SECONDS 0.5

/* A socket is read again at once until this much has arrived, which makes long responses as fast as
 * a larger receive buffer would. */
#define MAX_READ_BYTES (96u * 1024)

/* ---- timers ---- */

/* Sets the watcher's timer. */
static void update_timer(struct transport *t) {
  double due = fmin(t->timer_at, t->error_body_at);
  t->watcher.due = t->transfers == NULL ? t->timer_at : fmin(due, t->check_at);
  if (t->queue != NULL) t->watcher.due = fmin(t->watcher.due, t->collect_at);
}

/* Has all transfers checked soon, but not later than planned. */
static void check_soon(struct transport *t) {
  t->check_interval = FIRST_CHECK_SECONDS;
  t->check_at = fmin(t->check_at, clock_monotonic() + FIRST_CHECK_SECONDS);
  update_timer(t);
}

void transport_note_error_body(struct transport *t, double until) {
  t->error_body_at = fmin(t->error_body_at, until);
  update_timer(t);
}

/* CURLMOPT_TIMERFUNCTION: libcurl's only timer; -1 stops it. */
static int timer_callback(CURLM *multi, long milliseconds, void *user) {
  (void)multi;
  struct transport *t = user;
  t->timer_at = milliseconds < 0 ? INFINITY : clock_monotonic() + (double)milliseconds / 1000;
  update_timer(t);
  return 0;
}

/* ---- sockets ---- */

/* Opens a socket that child processes do not inherit; returns -1 on failure. Without SOCK_CLOEXEC,
 * a child that another thread starts at the same moment does inherit it. */
static int open_socket(const struct curl_sockaddr *address) {
#if defined SOCK_CLOEXEC && !defined PODERO_POSIX_ONLY
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
#else
  int fd = socket(address->family, address->socktype, address->protocol);
  if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
#endif
}

curl_socket_t transport_open_socket(void *user, curlsocktype purpose,
                                    struct curl_sockaddr *address) {
  (void)purpose;
  struct transfer *x = user;
  struct transport *t = x->transport;
  int fd = open_socket(address);
  if (fd < 0) {
    x->no_descriptor = x->no_descriptor || errno == EMFILE || errno == ENFILE;
    return CURL_SOCKET_BAD;
  }
  connection_note_socket(x);
  struct socket_entry *s = x->opened = sockets_add(&t->sockets, fd);
  if (s != NULL && reactor_replace(t->reactor, &t->watcher, fd)) return fd;
  if (s != NULL) s->open = false;
  t->out_of_memory = true;
  close(fd);
  return CURL_SOCKET_BAD;
}

/* If a socket is not open any more, it was disowned after a fork, and its number may be another
 * file's. */
int transport_close_socket(void *user, curl_socket_t fd) {
  struct transport *t = user;
  struct socket_entry *s = sockets_find(&t->sockets, fd);
  t->closed_socket = true;
  reactor_forget(t->reactor, &t->watcher, fd);
  if (s == NULL || !s->open) return 0;
  connection_detach(t, s);
  s->open = false;
  return close(fd);
}

static struct transfer *transfer_of(CURL *easy) {
  char *private = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
  return (struct transfer *)(void *)private;
}

static int get_events(int what) {
  return what == CURL_POLL_IN      ? REACTOR_READ
         : what == CURL_POLL_OUT   ? REACTOR_WRITE
         : what == CURL_POLL_INOUT ? REACTOR_READ | REACTOR_WRITE
                                   : 0;
}

/* CURLMOPT_SOCKETFUNCTION: libcurl starts or stops waiting for events on a socket. A socket without
 * an entry belongs to the resolver; transport_open_socket has not opened it.
 *
 * A connection stays registered with the reactor between two transfers, which is faster. Other
 * sockets do not, because they can be closed without transport_close_socket. */
static int socket_callback(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user) {
  struct transport *t = user;
  struct socket_entry *s = socket_user;
  int events = get_events(what);
  if (s == NULL) {
    s = sockets_find(&t->sockets, fd);
    if (s != NULL && events != 0) curl_multi_assign(t->multi, fd, s);
  }
  if (s != NULL) s->watched = events != 0;
  if (s != NULL && (events & REACTOR_READ) != 0) {
    struct transfer *x = transfer_of(easy);
    s->connected = true;
    if (x != NULL) x->socket = s;
  }
  if (events == 0 && (s == NULL || !s->connected)) {
    reactor_forget(t->reactor, &t->watcher, fd);
    return 0;
  }
  if (s != NULL && !s->connected && libcurl_quirks.skips_close_callback) events |= REACTOR_DUP;
  errno = 0;
  if (reactor_watch(t->reactor, &t->watcher, fd, events)) return 0;
  /* If no descriptor is left, libcurl still checks the socket from time to time. */
  return errno == EMFILE || errno == ENFILE ? 0 : -1;
}

/* ---- calls of libcurl ---- */

void transport_enter(struct transport *t, struct sigpipe_guard *guard) {
  t->reading = (struct reading){0};
  t->closed_socket = false;
  sigpipe_block(guard);
}

void transport_leave(struct transport *t, struct sigpipe_guard *guard) {
  sigpipe_restore(guard);
  /* When something fails in TLS, libcurl closes the connection in the same call. */
  if (t->closed_socket) openssl_clear_errors();
}

/* ---- the multi handle ---- */

bool transport_open(struct transport *t) {
  t->fork_count = fork_count();
  t->watcher.due = t->timer_at = t->check_at = t->error_body_at = INFINITY;
  t->multi = curl_multi_init();
  if (t->multi == NULL) return false;
  connection_limit_apply(t);
  curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, socket_callback);
  curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
  curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, timer_callback);
  curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
  return true;
}

void transport_close(struct transport *t) {
  struct sigpipe_guard guard;
  transport_enter(t, &guard);
  while (t->idle_count > 0)
    handle_free(t->idle[--t->idle_count]);
  if (t->multi != NULL) curl_multi_cleanup(t->multi);
  t->multi = NULL;
  transport_leave(t, &guard);
}

void transport_add_transfer(struct transfer *x) {
  struct transport *t = x->transport;
  if (t->transfers == NULL) {
    t->check_interval = FIRST_CHECK_SECONDS;
    t->check_at = x->started_at + LAST_CHECK_SECONDS;
  }
  x->next = t->transfers;
  if (x->next != NULL) x->next->previous = x;
  t->transfers = x;
  t->unsent++;
}

void transport_remove_transfer(struct transfer *x) {
  struct transport *t = x->transport;
  if (x->previous != NULL) x->previous->next = x->next;
  if (x->next != NULL) x->next->previous = x->previous;
  if (t->transfers == x) t->transfers = x->next;
  if (x->sent_at == 0) t->unsent--;
  x->next = x->previous = NULL;
}

bool transport_submit(struct transfer *x) {
  return curl_multi_add_handle(x->transport->multi, x->handle.easy) == CURLM_OK;
}

/* ---- forks ---- */

/* Whether the transfer has a connection, so that no thread is resolving a name for it. */
static bool is_connected(const struct transfer *x) {
  curl_off_t microseconds = 0;
  curl_easy_getinfo(x->handle.easy, CURLINFO_PRETRANSFER_TIME_T, &microseconds);
  return microseconds > 0;
}

/* Abandons all handles without freeing them. */
static void leak_handles(struct transport *t) {
  for (struct transfer *x = t->transfers; x != NULL; x = x->next) {
    handle_free_fields(&x->handle);
    x->handle = (struct handle){0};
  }
  while (t->idle_count > 0)
    handle_free_fields(&t->idle[--t->idle_count]);
  t->multi = NULL;
  sockets_close(&t->sockets);
}

/* In two cases libcurl's handles cannot be freed. If a thread is resolving a name, libcurl would
 * wait for it, but it exists only in the parent. If the child has closed descriptors, libcurl would
 * close them again, although other files may use their numbers now. */
bool transport_reset_after_fork(struct transport *t) {
  if (t->fork_count == fork_count()) return false;
  bool can_free = reactor_survived_fork(t->reactor);
  can_free = sockets_disown(&t->sockets) && can_free;
  for (struct transfer *x = t->transfers; x != NULL; x = x->next)
    can_free = can_free && is_connected(x);
  if (!can_free) leak_handles(t);
  while (t->transfers != NULL)
    transfer_end(t->transfers, CURLE_ABORTED_BY_CALLBACK);
  transport_close(t);
  transport_open(t);
  return true;
}

/* ---- an iteration ---- */

int transport_request_callback(void *user, char *remote, char *local, int remote_port,
                               int local_port) {
  struct transfer *x = user;
  (void)remote, (void)local, (void)remote_port, (void)local_port;
  if (connection_stops_repeat(x)) return 1; /* CURL_PREREQFUNC_ABORT */
  if (x->sent_at == 0) x->transport->unsent--;
  if (x->opened_socket) x->transport->connected = x;
  x->sent_at = clock_monotonic();
  struct socket_entry *s = connection_socket(x);
  if (s != NULL) connection_note_request(s);
  return 0; /* CURL_PREREQFUNC_OK */
}

/* Ends the transfers that libcurl has completed. */
static void end_completed(struct transport *t) {
  int left;
  CURLMsg *message;
  while ((message = curl_multi_info_read(t->multi, &left)) != NULL) {
    if (message->msg != CURLMSG_DONE) continue;
    struct transfer *x = transfer_of(message->easy_handle);
    CURLcode code = transfer_correct_code(x, message->data.result);
    if (transfer_is_out_of_memory(x, code)) t->out_of_memory = true;
    if (code != CURLE_OK && connection_retry(x, code)) continue;
    if (code == CURLE_OK) connection_note_response(x);
    transfer_end(x, code != CURLE_OK && t->out_of_memory ? CURLE_OUT_OF_MEMORY : code);
    t->made_progress = true;
  }
}

/* After running out of memory, libcurl keeps connections that are never used or closed, and for
 * which other transfers wait. So all transfers fail, and the multi handle is replaced. */
static void reset_after_out_of_memory(struct transport *t) {
  while (t->transfers != NULL)
    transfer_end(t->transfers, CURLE_OUT_OF_MEMORY);
  transport_close(t);
  transport_open(t);
}

/* Why libcurl is called. */
enum action { ON_SOCKET, ON_TIMER, CHECK_ALL };

static CURLMcode call_libcurl(CURLM *multi, enum action action, int fd, int events) {
  int running;
  if (action == ON_SOCKET) return curl_multi_socket_action(multi, fd, events, &running);
  if (action == ON_TIMER) return curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  return curl_multi_socket_all(multi, &running);
#pragma GCC diagnostic pop
}

/* Runs an iteration. Returns whether it made progress, see transport.h. */
static bool iterate(struct transport *t, enum action action, int fd, int events) {
  if (transport_reset_after_fork(t) || t->multi == NULL) return true;
  struct sigpipe_guard guard;
  t->made_progress = t->out_of_memory = t->read_too_long = false;
  t->connected = NULL;
  t->iteration_began = clock_monotonic();
  t->iteration_bytes = 0;
  transport_enter(t, &guard);
  CURLMcode code = call_libcurl(t->multi, action, fd, events);
  if (t->connected != NULL && !connection_release_waiting(t->connected)) t->out_of_memory = true;
  transport_leave(t, &guard);
  end_completed(t);
  bool failed = code != CURLM_OK || t->out_of_memory;
  if (failed) reset_after_out_of_memory(t);
  if (t->queue != NULL) connection_limit_admit(t);
  return t->made_progress || failed;
}

/* Whether there is probably more to read: libcurl reads a socket only once per iteration. */
static bool has_more(struct transport *t, int fd) {
  const struct socket_entry *s = sockets_find(&t->sockets, fd);
  return t->iteration_bytes >= SMALL_BUFFER_BYTES / 2 && t->transfers != NULL && s != NULL &&
         s->open;
}

static bool on_socket(struct watcher *watcher, int fd, int events) {
  struct transport *t = (struct transport *)watcher;
  size_t bytes = 0;
  bool progress = iterate(t, ON_SOCKET, fd,
                          ((events & REACTOR_READ) != 0 ? CURL_CSELECT_IN : 0) |
                              ((events & REACTOR_WRITE) != 0 ? CURL_CSELECT_OUT : 0) |
                              ((events & REACTOR_ERROR) != 0 ? CURL_CSELECT_ERR : 0));
  while (has_more(t, fd) && (bytes += t->iteration_bytes) < MAX_READ_BYTES)
    iterate(t, ON_SOCKET, fd, CURL_CSELECT_IN);
  if (!progress) check_soon(t); /* libcurl may have found an error that it has not reported yet */
  return progress;
}

/* Ends the transfers that have read the body of an error for too long. Returns whether there were
 * any. */
static bool end_error_bodies(struct transport *t, double now) {
  bool ended = false;
  double next_at = INFINITY;
  struct transfer *next;
  if (now < t->error_body_at) return false;
  for (struct transfer *x = t->transfers; x != NULL; x = next) {
    next = x->next;
    if (x->error_body_until > now) {
      next_at = fmin(next_at, x->error_body_until);
    } else {
      transfer_stop(x);
      ended = true;
    }
  }
  t->error_body_at = next_at;
  return ended;
}

static bool on_timer(struct watcher *watcher) {
  struct transport *t = (struct transport *)watcher;
  double now = clock_monotonic();
  bool check = t->transfers != NULL && now >= t->check_at;
  if (now >= t->timer_at) t->timer_at = INFINITY;                 /* until libcurl sets it again */
  bool progress = iterate(t, check ? CHECK_ALL : ON_TIMER, 0, 0); /* both run the timer */
  progress = end_error_bodies(t, now) || progress;
  if (check) {
    t->check_interval = fmin(t->check_interval * 2, LAST_CHECK_SECONDS);
    t->check_at = clock_monotonic() + t->check_interval;
  } else if (t->unsent > 0) {
    check_soon(t); /* timers can be lost while connections are made */
  }
  update_timer(t);
  return progress;
}

/* ---- create and free ---- */

struct transport *transport_new(const struct transport_options *options, struct reactor *reactor) {
  if (!libcurl_init()) return NULL;
  struct transport *t = calloc(1, sizeof *t);
  if (t == NULL) return NULL;
  t->watcher = (struct watcher){.on_socket = on_socket, .on_timer = on_timer, .due = INFINITY};
  t->options = options;
  if (!reactor_add(reactor, &t->watcher)) {
    free(t);
    return NULL;
  }
  t->reactor = reactor;
  transport_open(t); /* if this fails, the first transfer tries again */
  return t;
}

struct transport *transport_new_private(struct transport *shared) {
  struct transport *t = transport_new(shared->options, shared->reactor);
  if (t == NULL) return NULL;
  t->shared = shared;
  connection_limit_apply(t);
  return t;
}

void transport_free(struct transport *t) {
  if (t == NULL) return;
  transport_reset_after_fork(t);
  transport_close(t);
  if (t->shared != NULL) connection_limit_leave(t);
  reactor_remove(t->reactor, &t->watcher);
  sockets_free(&t->sockets);
  free(t);
}

bool transport_lacks_descriptors(struct transport *t) {
  bool lacks = t->lacks_descriptors;
  t->lacks_descriptors = false;
  if (t->queue == NULL) return lacks;
  double now = clock_monotonic();
  if (now < t->collect_at) return lacks;
  t->collect_at = now + COLLECT_SECONDS;
  update_timer(t);
  return true;
}
