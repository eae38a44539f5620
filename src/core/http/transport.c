#include "core/http/transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fork.h"
#include "core/http/quirks.h"
#include "core/syntax.h"

/* Of an error's body this much is kept; what a person or a program wants of it fits. */
#define MAX_ERROR_BODY_BYTES (64u * 1024)

/* All header fields of one response. */
#define MAX_HEADER_BYTES (256u * 1024)

/* libcurl unpacks all that it has read before it returns: a thousand times as much, at most, with
 * gzip. More that waits is read at once, up to the second number: that is as fast as a larger
 * buffer for lists that are not packed. */
#define RECEIVE_BUFFER_BYTES (16L * 1024)
#define MAX_ITERATION_BYTES (96u * 1024)

/* Of a streamed body, this much may wait to be taken before the transfer pauses. */
#define WINDOW_BYTES (256u * 1024)

/* Connections kept for the next transfers. libcurl's default follows the number of transfers under
 * way, and so closes connections whenever many calls end together. */
#define MAX_IDLE_CONNECTIONS 64L

/* A turn ends after this time where the deadline of what arrives has passed: a few compressed bytes
 * can unpack for minutes. What merely waited for its caller is taken in less. */
#define MAX_ITERATION_SECONDS 0.1

/* Seconds after which libcurl is to look at all transfers, whatever its timer says; doubled from
 * the first to the last while nothing comes of it. See core/quirks.c. */
#define FIRST_CHECK_SECONDS 0.002
#define LAST_CHECK_SECONDS 1.0

/* A connection is alive if the last bytes came less than this many seconds ago. One that others
 * use, too, is shut down after so many without a byte. */
#define LIVELY_SECONDS 0.1
#define PATIENCE_SECONDS 1.0

/* With fewer descriptors to be had than this, a connection that could not be made is blamed on it.
 */
#define SPARE_DESCRIPTORS 3

/* Easy handles kept for the next transfers. */
#define MAX_IDLE_HANDLES 16

/* libcurl's side of a transfer. */
struct handle {
  CURL *easy;
  CURLU *url;   /* libcurl 7.88 works longer on a URL that it is given as a text */
  char *origin; /* scheme, host and port in `url`; or NULL */
  struct curl_slist *fields;
  const char *authorization; /* its value, in `fields`; or NULL */
};

#define SOCKET_BUCKETS 64u

/* A number that open_socket has given to libcurl, and what is known of the connection there. It
 * stays in its transport, since libcurl may name it however long after (curl_multi_assign), and
 * serves again when the number comes again. */
struct open_socket {
  struct open_socket *next; /* of the same bucket */
  int fd;
  bool open;           /* not closed by close_socket since */
  bool watched;        /* libcurl waits for something on it */
  bool connected;      /* libcurl has waited for bytes on it: it became a connection */
  bool http2;          /* a response has said so */
  int port;            /* the local one; 0: not asked for yet */
  double received;     /* when bytes of a response last came over it, monotonic; or 0 */
  double silent_since; /* when the request was sent that was the first to be given up */
  struct fork_id mark; /* to be disowned after a fork */
};

struct transport {
  struct watcher watcher; /* of the reactor's; the first member */
  struct reactor *reactor;
  const struct transport_options *options;
  CURLM *multi;
  unsigned forks;           /* see core/fork.h: whose sockets these are */
  struct transfer *running; /* doubly linked */
  double timer;             /* libcurl's, monotonic; INFINITY: not set */
  double check_at;          /* when libcurl is to look at all transfers */
  double check_seconds;     /* between the last look and this one */
  size_t unsent;            /* transfers whose requests libcurl has not sent yet */
  bool moved;               /* bytes have arrived, or a transfer has ended, in this turn */
  bool out_of_memory;       /* in this turn */
  bool lacks_descriptors;   /* see transport_lacks_descriptors */
  bool distrusts_kept;      /* a kept connection has lost a request: the next one gets another */
  double iteration_began;
  size_t iteration_bytes; /* of bodies, in this turn */
  bool tls_served; /* a transfer with TLS was answered: the files that it needs can be used */
  struct transfer *established; /* one that has made its connection, in this turn */
  struct handle idle[MAX_IDLE_HANDLES];
  unsigned idle_count;
  struct open_socket *sockets[SOCKET_BUCKETS]; /* by descriptor */

  struct transport *shared; /* of a private one; else NULL */
  bool placed, waiting;     /* a private one has its place among the connections; or waits for it */
  struct transport *next;   /* of those that wait */
  struct transport *first_waiting, **last_waiting; /* of a shared one */
  unsigned private_count;                          /* those that have their places */
};

struct transfer {
  struct transport *transport;
  struct transfer *next, *previous; /* among `running` */
  struct handle handle;             /* NULLs once ended */
  double started, deadline;
  bool ended;
  bool fresh;                 /* not to be sent over a kept connection, nor twice */
  bool again;                 /* see begin_again */
  bool cut;                   /* its connection was shut down for another's sake */
  bool http2;                 /* its connection, which is closed by now, was of HTTP/2 */
  bool opened;                /* a socket for its connection */
  bool no_descriptor;         /* none was left for its socket */
  struct open_socket *socket; /* of its connection, or NULL where that is not known */
  double sent_at, heard_at;   /* monotonic: its request; its last bytes; or 0 */
  struct buffer sent;         /* the body: libcurl reads it here, so that it can be wiped */
  bool streamed, paused;
  size_t taken;                                     /* of the window in `response.body` */
  bool too_large, out_of_memory, kept_enough, late; /* why the body was cut off */
  uint64_t max_bytes;
  size_t header_bytes;
  bool header_ended; /* its blank line has come */
  char error_text[CURL_ERROR_SIZE];
  struct response response;
};

/* ---- libcurl's one-time set-up ---- */

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_result = CURLE_FAILED_INIT;

/* Of the libcurl that is there. */
static struct quirks quirks;

/* What this libcurl decodes, as it would say itself, but anew for each request. */
static char accepted_encodings[sizeof "deflate, gzip, br, zstd"];

#ifndef CURL_VERSION_ZSTD /* came with libcurl 7.72 */
#define CURL_VERSION_ZSTD 0
#endif

/* Never undone: libcurl may serve others in this process. */
static void initialize_libcurl(void) {
  global_result = curl_global_init(CURL_GLOBAL_DEFAULT);
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  quirks = quirks_of(info->version_num);
  snprintf(accepted_encodings, sizeof accepted_encodings, "%s%s%s",
           (info->features & CURL_VERSION_LIBZ) != 0 ? "deflate, gzip" : "identity",
           (info->features & CURL_VERSION_BROTLI) != 0 ? ", br" : "",
           (info->features & CURL_VERSION_ZSTD) != 0 ? ", zstd" : "");
}

/* ---- SIGPIPE ---- */

/* Between the two calls below, SIGPIPE is kept from ending the process. */
struct signal_guard {
  bool active;
  sigset_t before;
};

static void hold_sigpipe(struct signal_guard *guard) {
  sigset_t pending, sigpipe;
  guard->active =
      quirks.raises_sigpipe && sigpending(&pending) == 0 && !sigismember(&pending, SIGPIPE);
  if (!guard->active) return;
  /* GCOVR_EXCL_START: libcurl before 7.87 alone */
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  guard->active = pthread_sigmask(SIG_BLOCK, &sigpipe, &guard->before) == 0;
  /* GCOVR_EXCL_STOP */
}

/* Takes a SIGPIPE that has come meanwhile, and restores the signal mask. */
static void release_sigpipe(struct signal_guard *guard) {
  sigset_t pending, sigpipe;
  int taken;
  if (!guard->active) return;
  /* GCOVR_EXCL_START: as above */
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  if (sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE)) sigwait(&sigpipe, &taken);
  pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
  /* GCOVR_EXCL_STOP */
}

/* ---- sockets, and forks ---- */

static struct open_socket **bucket_of(struct transport *t, int fd) {
  return &t->sockets[(unsigned)fd % SOCKET_BUCKETS];
}

/* What is known of the number, or NULL. */
static struct open_socket *find_socket(struct transport *t, int fd) {
  struct open_socket *s = *bucket_of(t, fd);
  while (s != NULL && s->fd != fd)
    s = s->next;
  return s;
}

/* The number stands for a new socket from now on. False when memory is short. */
static bool note_socket(struct transport *t, int fd) {
  struct open_socket *s = find_socket(t, fd);
  if (s == NULL) {
    s = calloc(1, sizeof *s);
    if (s == NULL) return false;
    s->next = *bucket_of(t, fd);
    *bucket_of(t, fd) = s;
  }
  struct open_socket *next = s->next;
  *s = (struct open_socket){.next = next, .fd = fd, .open = true, .mark = fork_id_of(fd)};
  return reactor_replace(t->reactor, &t->watcher, fd);
}

/* The connections of transfers that use the socket are no longer known. */
static void leave_socket(struct transport *t, const struct open_socket *s) {
  for (struct transfer *x = t->running; x != NULL; x = x->next) {
    if (x->socket != s) continue;
    x->http2 = s->http2;
    x->socket = NULL;
  }
}

/* A socket for a connection of this transfer. */
static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address) {
  (void)purpose;
  struct transfer *x = user;
  struct transport *t = x->transport;
  int type = address->socktype;
#ifdef SOCK_CLOEXEC
  type |= SOCK_CLOEXEC;
#endif
  int fd = socket(address->family, type, address->protocol);
  if (fd < 0) {
    x->no_descriptor = x->no_descriptor || errno == EMFILE || errno == ENFILE;
    return CURL_SOCKET_BAD;
  }
  x->opened = true;
  if (note_socket(t, fd)) return fd;
  t->out_of_memory = true;
  close(fd);
  return CURL_SOCKET_BAD;
}

/* A descriptor that is not noted is no longer ours: see disown_sockets. */
static int close_socket(void *user, curl_socket_t fd) {
  struct transport *t = user;
  struct open_socket *s = find_socket(t, fd);
  reactor_forget(t->reactor, &t->watcher, fd);
  if (s == NULL || !s->open) return 0;
  leave_socket(t, s);
  s->open = false;
  return close(fd);
}

static void for_each_socket(struct transport *t,
                            void (*visit)(struct transport *t, struct open_socket *s, void *user),
                            void *user) {
  for (size_t i = 0; i < SOCKET_BUCKETS; i++) {
    for (struct open_socket *s = t->sockets[i]; s != NULL; s = s->next) {
      if (s->open) visit(t, s, user);
    }
  }
}

/* What disown_sockets tells and is told. */
struct disowning {
  int nowhere;
  bool kept;
};

static void disown_socket(struct transport *t, struct open_socket *s, void *user) {
  struct disowning *d = user;
  (void)t;
  s->open = fork_has_kept(s->fd, s->mark);
  d->kept = d->kept && s->open;
  if (!s->open || (d->nowhere >= 0 && dup2(d->nowhere, s->fd) >= 0)) return;
  close(s->fd);
  s->open = false;
}

/* The parent's connections must hear nothing from the child, not even good-byes: libcurl is left
 * with descriptors that lead nowhere. What the child has made of a descriptor since is let alone.
 * False if it has closed any of those that are known: then it may have closed others, too. */
static bool disown_sockets(struct transport *t) {
  struct disowning d = {.nowhere = open("/dev/null", O_RDWR | O_CLOEXEC),
                        .kept = reactor_was_kept(t->reactor)};
  for_each_socket(t, disown_socket, &d);
  if (d.nowhere >= 0) close(d.nowhere);
  return d.kept;
}

static struct transfer *transfer_of(CURL *easy) {
  char *private = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
  return (struct transfer *)(void *)private;
}

/* libcurl's wish to be told of a socket, which need not be of open_socket's making: the resolver
 * has sockets of its own. Between transfers a connection stays registered; others may be closed
 * without a word. */
static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user) {
  struct transport *t = user;
  struct open_socket *s = socket_user;
  int events = what == CURL_POLL_IN      ? REACTOR_READ
               : what == CURL_POLL_OUT   ? REACTOR_WRITE
               : what == CURL_POLL_INOUT ? REACTOR_READ | REACTOR_WRITE
                                         : 0;
  if (s == NULL) {
    s = find_socket(t, fd);
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
  if (s != NULL && !s->connected && quirks.closes_silently) events |= REACTOR_COPY;
  return reactor_watch(t->reactor, &t->watcher, fd, events) ? 0 : -1;
}

/* Sets the watcher's timer to what comes first: libcurl's, or the next look at all transfers. */
static void schedule(struct transport *t) {
  t->watcher.due = t->running == NULL ? t->timer : fmin(t->timer, t->check_at);
}

/* libcurl may have left something undone: it is to look soon. Never later than it would anyway. */
static void check_soon(struct transport *t) {
  t->check_seconds = FIRST_CHECK_SECONDS;
  t->check_at = fmin(t->check_at, clock_monotonic() + FIRST_CHECK_SECONDS);
  schedule(t);
}

/* libcurl's one timer; -1 stops it. */
static int set_timer(CURLM *multi, long milliseconds, void *user) {
  (void)multi;
  struct transport *t = user;
  t->timer = milliseconds < 0 ? INFINITY : clock_monotonic() + (double)milliseconds / 1000;
  schedule(t);
  return 0;
}

/* How many connections the transport may have. */
static unsigned limit_of(const struct transport *t) {
  unsigned most = t->options->max_connections;
  if (t->shared != NULL) return 1;
  return most > t->private_count ? most - t->private_count : 1;
}

static void set_limit(struct transport *t) {
  long limit = (long)limit_of(t);
  if (t->multi == NULL) return;
  curl_multi_setopt(t->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, limit);
  curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS,
                    limit < MAX_IDLE_CONNECTIONS ? limit : MAX_IDLE_CONNECTIONS);
}

static bool open_multi(struct transport *t) {
  t->forks = fork_count();
  t->watcher.due = t->timer = t->check_at = INFINITY;
  t->multi = curl_multi_init();
  if (t->multi == NULL) return false;
  set_limit(t);
  curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
  curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
  curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, set_timer);
  curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
  return true;
}

static void free_fields(struct handle *handle) {
  for (struct curl_slist *field = handle->fields; field != NULL; field = field->next)
    wipe(field->data, strlen(field->data));
  curl_slist_free_all(handle->fields);
  handle->fields = NULL;
  handle->authorization = NULL;
}

static void free_handle(struct handle handle) {
  curl_easy_cleanup(handle.easy);
  curl_url_cleanup(handle.url);
  free(handle.origin);
  free_fields(&handle);
}

static void close_multi(struct transport *t) {
  struct signal_guard guard;
  hold_sigpipe(&guard);
  while (t->idle_count > 0)
    free_handle(t->idle[--t->idle_count]);
  if (t->multi != NULL) curl_multi_cleanup(t->multi);
  t->multi = NULL;
  release_sigpipe(&guard);
}

static void end_transfer(struct transfer *x, CURLcode code);

/* Whether the transfer has its connection, and so needs no thread to resolve a name. */
static bool is_connected(const struct transfer *x) {
  curl_off_t microseconds = 0;
  curl_easy_getinfo(x->handle.easy, CURLINFO_PRETRANSFER_TIME_T, &microseconds);
  return microseconds > 0;
}

static void abandon_socket(struct transport *t, struct open_socket *s, void *user) {
  (void)t, (void)user;
  close(s->fd);
  s->open = false;
}

/* Leaves all handles behind unfreed. */
static void abandon_handles(struct transport *t) {
  for (struct transfer *x = t->running; x != NULL; x = x->next) {
    free_fields(&x->handle);
    x->handle = (struct handle){0};
  }
  while (t->idle_count > 0)
    free_fields(&t->idle[--t->idle_count]);
  t->multi = NULL;
  for_each_socket(t, abandon_socket, NULL);
}

/* In a forked child everything is begun anew, and transfers under way have failed. While a name may
 * still be being resolved, all handles are abandoned: the thread that does it exists in the parent
 * alone, and libcurl would wait for it. So they are if the child has closed descriptors: libcurl
 * would close some of its own, by numbers that are the child's by now. */
static bool renew_after_fork(struct transport *t) {
  if (t->forks == fork_count()) return false;
  bool safe = disown_sockets(t);
  for (struct transfer *x = t->running; x != NULL; x = x->next)
    safe = safe && is_connected(x);
  if (!safe) abandon_handles(t);
  while (t->running != NULL)
    end_transfer(t->running, CURLE_ABORTED_BY_CALLBACK);
  close_multi(t);
  open_multi(t);
  return true;
}

/* ---- what libcurl calls ---- */

/* Moves what is left of the window to its beginning. */
static void close_ranks(struct transfer *x) {
  struct buffer *window = &x->response.body;
  if (x->taken == 0) return;
  memmove(window->data, window->data + x->taken, window->size - x->taken);
  window->size -= x->taken;
  x->taken = 0;
}

static bool is_late(const struct transfer *x) {
  double now = clock_monotonic();
  return now >= x->deadline && now >= x->transport->iteration_began + MAX_ITERATION_SECONDS;
}

/* What is looked for among the sockets: the one with this local port, if there is no other. */
struct port_search {
  long port;
  struct open_socket *found;
  bool several;
};

static void compare_port(struct transport *t, struct open_socket *s, void *user) {
  (void)t;
  struct port_search *search = user;
  union {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
  } address = {.any.sa_family = AF_UNSPEC};
  socklen_t size = sizeof address;
  if (s->port == 0 && s->connected && getsockname(s->fd, &address.any, &size) == 0)
    s->port = address.any.sa_family == AF_INET    ? ntohs(address.ip4.sin_port)
              : address.any.sa_family == AF_INET6 ? ntohs(address.ip6.sin6_port)
                                                  : 0;
  if (s->port == 0 || s->port != search->port) return;
  search->several = search->found != NULL;
  search->found = s;
}

/* The socket of the transfer's connection, or NULL where that cannot be told. libcurl has named it
 * where the transfer was the first to use it, and not always later. */
static struct open_socket *socket_of(struct transfer *x) {
  struct port_search search = {0};
  if (x->socket != NULL || x->sent_at == 0) return x->socket;
  if (curl_easy_getinfo(x->handle.easy, CURLINFO_LOCAL_PORT, &search.port) != CURLE_OK) return NULL;
  if (search.port > 0) for_each_socket(x->transport, compare_port, &search);
  if (!search.several) x->socket = search.found;
  return x->socket;
}

/* Bytes of the transfer's response have come. */
static void note_bytes(struct transfer *x) {
  struct open_socket *s = x->socket != NULL ? x->socket : socket_of(x);
  x->heard_at = x->transport->iteration_began;
  if (s != NULL) s->received = x->heard_at;
}

/* libcurl is about to send the transfer's request. */
static int note_request(void *user, char *remote, char *local, int remote_port, int local_port) {
  struct transfer *x = user;
  (void)remote, (void)local, (void)remote_port, (void)local_port;
  if (x->sent_at == 0) x->transport->unsent--;
  if (x->opened) x->transport->established = x;
  x->sent_at = clock_monotonic();
  return 0; /* CURL_PREREQFUNC_OK */
}

static size_t receive_body(char *bytes, size_t one, size_t size, void *user) {
  (void)one;
  struct transfer *x = user;
  struct response *r = &x->response;
  note_bytes(x);
  if (r->bytes == 0) curl_easy_getinfo(x->handle.easy, CURLINFO_RESPONSE_CODE, &r->status);
  bool success = response_is_success(r);
  if (success && x->streamed) {
    close_ranks(x);
    x->paused = r->body.size >= WINDOW_BYTES;
    if (x->paused) return CURL_WRITEFUNC_PAUSE;
  }
  x->transport->moved = true;
  x->transport->iteration_bytes += size;
  x->late = is_late(x);
  if (x->late) return 0;
  uint64_t room = (success ? x->max_bytes : MAX_ERROR_BODY_BYTES) - r->bytes;
  size_t keep = size <= room ? size : (size_t)room;
  r->bytes += keep;
  if (!success || keep == size) x->out_of_memory = !buffer_append(&r->body, bytes, keep);
  if (keep == size) return x->out_of_memory ? 0 : size;
  x->too_large = success;
  x->kept_enough = !success;
  return 0;
}

/* Seconds from now for a Retry-After (RFC 9110, 10.2.3): delta-seconds or an HTTP-date. */
static void read_retry_after(struct response *r, const char *value) {
  size_t digits = strspn(value, "0123456789");
  if (digits > 0 && value[digits] == '\0') {
    r->retry_after = strtod(value, NULL);
    r->has_retry_after = true;
  } else if (digits == 0 && strlen(value) >= sizeof "Sun Nov  6 08:49:37 1994" - 1) {
    time_t date = curl_getdate(value, NULL);
    if (date == -1) return;
    r->retry_after = fmax(0, ceil((double)date - clock_wall()));
    r->has_retry_after = true;
  }
}

static size_t receive_field(char *bytes, size_t one, size_t size, void *user) {
  (void)one;
  static const char name[] = "Retry-After:";
  struct transfer *x = user;
  note_bytes(x);
  x->header_bytes += size;
  if (x->header_bytes > MAX_HEADER_BYTES) {
    x->too_large = true;
    return 0;
  }
  if (size >= 5 && memcmp(bytes, "HTTP/", 5) == 0) { /* a status line, perhaps after a 1xx */
    x->response.has_retry_after = false;
    x->header_ended = false;
    if (x->socket != NULL && size > 5 && bytes[5] == '2') x->socket->http2 = true;
    return size;
  }
  if (*bytes == '\r' || *bytes == '\n') x->header_ended = true;
  char value[64];
  size_t skip = sizeof name - 1;
  if (size <= skip || size - skip >= sizeof value || strncasecmp(bytes, name, skip) != 0)
    return size;
  size_t end = size;
  while (skip < end && (bytes[skip] == ' ' || bytes[skip] == '\t'))
    skip++;
  while (end > skip && strchr(" \t\r\n", bytes[end - 1]) != NULL)
    end--;
  memcpy(value, bytes + skip, end - skip);
  value[end - skip] = '\0';
  read_retry_after(&x->response, value);
  return size;
}

/* ---- transfers ---- */

static void link_transfer(struct transfer *x) {
  x->next = x->transport->running;
  if (x->next != NULL) x->next->previous = x;
  x->transport->running = x;
  x->transport->unsent++;
}

static void unlink_transfer(struct transfer *x) {
  if (x->previous != NULL) x->previous->next = x->next;
  if (x->next != NULL) x->next->previous = x->previous;
  if (x->transport->running == x) x->transport->running = x->next;
  if (x->sent_at == 0) x->transport->unsent--;
  x->next = x->previous = NULL;
}

static bool add_field(struct handle *handle, const char *name, const char *value) {
  struct buffer line = {0};
  buffer_add(&line, name);
  buffer_add(&line, value);
  struct curl_slist *fields = line.failed ? NULL : curl_slist_append(handle->fields, line.data);
  buffer_free(&line);
  if (fields == NULL) return false;
  handle->fields = fields;
  return true;
}

/* The list's first field, where it is found again. */
static bool add_authorization(struct handle *handle, const char *value) {
  static const char name[] = "Authorization: ";
  if (!add_field(handle, name, value)) return false;
  handle->authorization = handle->fields->data + sizeof name - 1;
  return true;
}

/* Sets the header fields, unless they are those of the handle's last transfer, as most are. */
static bool set_fields(struct transfer *x, const struct request *request) {
  struct handle *h = &x->handle;
  if (h->authorization != NULL && request->authorization != NULL && request->body == NULL &&
      strcmp(h->authorization, request->authorization) == 0)
    return true;
  free_fields(h);
  bool ok = request->authorization == NULL || add_authorization(h, request->authorization);
  ok = ok && add_field(h, "Accept: ", "application/json") &&
       add_field(h, "Accept-Encoding: ", accepted_encodings);
  if (x->transport->options->user_agent != NULL)
    ok = ok && add_field(h, "User-Agent: ", x->transport->options->user_agent);
  if (request->body != NULL)
    ok = ok && add_field(h, "Content-Type: ", request->content_type) && add_field(h, "Expect:", "");
  return ok && curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->fields) == CURLE_OK;
}

#define SET(option, value) (code == CURLE_OK ? code = curl_easy_setopt(easy, option, value) : code)

static CURLcode set_behaviour(CURL *easy) {
  CURLcode code = CURLE_OK;
  /* A call's end does not wait for a slow name server. */
  if (quirks.has_quick_exit) SET((CURLoption)QUIRKS_CURLOPT_QUICK_EXIT, 1L);
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_ACCEPT_ENCODING, ""); /* all that libcurl can decode */
  SET(CURLOPT_BUFFERSIZE, RECEIVE_BUFFER_BYTES);
  return code;
}

/* Replaces the system's authorities, for the server and for a proxy: libcurl has both a file and a
 * folder of them by default, and what is not given is emptied. A TLS library that knows no folders
 * refuses to have it emptied, which does no harm. */
static CURLcode set_authorities(CURL *easy, const struct transport_options *o, CURLcode code) {
  curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
  curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
  SET(CURLOPT_CAINFO, o->ca_file);
  SET(CURLOPT_PROXY_CAINFO, o->ca_file);
  if (o->ca_path != NULL) SET(CURLOPT_CAPATH, o->ca_path);
  if (o->ca_path != NULL) SET(CURLOPT_PROXY_CAPATH, o->ca_path);
  return code;
}

static CURLcode set_options(CURL *easy, const struct transport_options *o) {
  CURLcode code = CURLE_OK;
  SET(CURLOPT_CONNECTTIMEOUT_MS, (long)fmin(o->connect_timeout * 1000 + 1, 1e9));
  SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  SET(CURLOPT_SSL_VERIFYPEER, o->verify ? 1L : 0L);
  SET(CURLOPT_SSL_VERIFYHOST, o->verify ? 2L : 0L);
  if (o->ca_file != NULL || o->ca_path != NULL) code = set_authorities(easy, o, code);
  if (o->cert != NULL) SET(CURLOPT_SSLCERT, o->cert);
  if (o->key != NULL) SET(CURLOPT_SSLKEY, o->key);
  /* Without a password, "" keeps OpenSSL from asking for one on the terminal. */
  SET(CURLOPT_KEYPASSWD, o->key_password != NULL ? o->key_password : "");
  return code;
}

static CURLcode set_callbacks(CURL *easy, struct transport *t) {
  CURLcode code = CURLE_OK;
  SET(CURLOPT_WRITEFUNCTION, receive_body);
  SET(CURLOPT_HEADERFUNCTION, receive_field);
  SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
  SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
  SET(CURLOPT_CLOSESOCKETDATA, t);
  if (quirks.has_prereq) SET((CURLoption)QUIRKS_CURLOPT_PREREQFUNCTION, note_request);
  return code;
}

/* A copy of `size` bytes of a text, or NULL when memory is short; to be freed. */
static char *copy_part(const char *text, size_t size) {
  char *copy = malloc(size + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, text, size);
  copy[size] = '\0';
  return copy;
}

/* Sets what follows the origin in the handle's URL. False where that is not to be done, or memory
 * is short; then the URL may be half set. */
static bool set_path(CURLU *url, const char *path) {
  size_t size = strcspn(path, "?");
  const char *query = path[size] == '?' ? path + size + 1 : NULL;
  /* libcurl would put what follows a % in lower case. */
  if (*path != '/' || strchr(path, '%') != NULL) return false;
  char *copy = copy_part(path, size);
  bool ok = copy != NULL && curl_url_set(url, CURLUPART_PATH, copy, 0) == CURLUE_OK &&
            curl_url_set(url, CURLUPART_QUERY, query, 0) == CURLUE_OK;
  free(copy);
  return ok;
}

/* Sets the handle's URL. One of the same origin as its last, as most are, is not parsed anew. */
static CURLcode set_url(struct handle *handle, const char *url) {
  const char *path = syntax_url_path(url);
  if (path == NULL) return CURLE_URL_MALFORMAT; /* GCOVR_EXCL_LINE: see url_check */
  size_t size = (size_t)(path - url);
  if (handle->origin != NULL && strlen(handle->origin) == size &&
      memcmp(handle->origin, url, size) == 0 && set_path(handle->url, url + size))
    return CURLE_OK;
  free(handle->origin);
  handle->origin = NULL;
  CURLUcode code = curl_url_set(handle->url, CURLUPART_URL, url, CURLU_PATH_AS_IS);
  if (code == CURLUE_OUT_OF_MEMORY) return CURLE_OUT_OF_MEMORY;
  if (code != CURLUE_OK) return CURLE_URL_MALFORMAT;
  handle->origin = copy_part(url, size);
  return CURLE_OK;
}

/* What differs from one transfer to the next. */
static CURLcode set_request(struct transfer *x, const struct request *request) {
  CURL *easy = x->handle.easy;
  CURLcode code = set_url(&x->handle, request->url);
  const char *proxy = x->transport->options->proxy;
  SET(CURLOPT_URL, request->url); /* what relative redirects are resolved against */
  /* Rather a stream of a connection that is being made than another connection. Without TLS there
   * are no streams, and libcurl would only know when the first answer has come. */
  SET(CURLOPT_PIPEWAIT, strncasecmp(request->url, "https:", 6) == 0 ? 1L : 0L);
  SET(CURLOPT_PROXY, proxy == NULL && request->loopback ? "" : proxy);
  SET(CURLOPT_FRESH_CONNECT, x->fresh || x->transport->distrusts_kept ? 1L : 0L);
  x->transport->distrusts_kept = false;
  if (request->body != NULL) {
    if (!buffer_append(&x->sent, request->body, request->body_size)) return CURLE_OUT_OF_MEMORY;
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->sent.size);
    SET(CURLOPT_POSTFIELDS, x->sent.data);
  }
  if (quirks.has_prereq) SET((CURLoption)QUIRKS_CURLOPT_PREREQDATA, x);
  SET(CURLOPT_OPENSOCKETDATA, x);
  SET(CURLOPT_WRITEDATA, x);
  SET(CURLOPT_HEADERDATA, x);
  SET(CURLOPT_ERRORBUFFER, x->error_text);
  SET(CURLOPT_PRIVATE, x);
  return code;
}

/* A handle with the options that are the same for every transfer. */
static CURLcode take_handle(struct transport *t, struct handle *out) {
  if (t->idle_count > 0) {
    *out = t->idle[--t->idle_count];
    return CURLE_OK;
  }
  out->easy = curl_easy_init();
  out->url = curl_url();
  if (out->easy == NULL || out->url == NULL) return CURLE_OUT_OF_MEMORY;
  CURLcode code = set_behaviour(out->easy);
  if (code == CURLE_OK) code = set_options(out->easy, t->options);
  if (code == CURLE_OK) code = set_callbacks(out->easy, t);
  if (code == CURLE_OK) code = curl_easy_setopt(out->easy, CURLOPT_CURLU, out->url);
  return code;
}

/* Idle handles keep the fields of one token, that of the last good transfer: others are not in use
 * any more. */
static void drop_other_fields(struct transport *t, const char *authorization) {
  const char *other = t->idle_count > 0 ? t->idle[t->idle_count - 1].authorization : NULL;
  if (other == NULL || (authorization != NULL && strcmp(other, authorization) == 0)) return;
  for (unsigned i = 0; i < t->idle_count; i++) {
    curl_easy_setopt(t->idle[i].easy, CURLOPT_HTTPHEADER, NULL);
    free_fields(&t->idle[i]);
  }
}

/* Keeps the handle for the next transfer after a good one. After others it may hold things that
 * no option undoes: libcurl before 8.6 then refuses CURLOPT_BUFFERSIZE, for one. After a POST its
 * buffers may hold credentials and a token, which are not to lie about. */
static void give_handle_back(struct transfer *x, bool good) {
  struct transport *t = x->transport;
  if (!good || x->again || x->sent.data != NULL || t->idle_count == MAX_IDLE_HANDLES) {
    free_handle(x->handle);
  } else {
    curl_easy_setopt(x->handle.easy, CURLOPT_ERRORBUFFER, NULL);
    drop_other_fields(t, x->handle.authorization);
    t->idle[t->idle_count++] = x->handle;
  }
  x->handle = (struct handle){0};
}

/* Whether more has come than libcurl holds: a header field of more than 100 KB, or more than 64 MB
 * that one turn has unpacked for a paused transfer. */
static bool is_beyond_libcurl(const struct transfer *x, CURLcode code) {
  if (code == (CURLcode)QUIRKS_CURLE_TOO_LARGE) return true;
  return quirks.calls_size_memory && code == CURLE_OUT_OF_MEMORY && x->paused && !x->out_of_memory;
}

/* Whether the process has hardly a descriptor left. */
static bool descriptors_are_short(void) {
  int found[SPARE_DESCRIPTORS], count = 0;
  bool short_of = false;
  while (count < SPARE_DESCRIPTORS && !short_of) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    short_of = fd < 0 && (errno == EMFILE || errno == ENFILE);
    if (fd < 0) break;
    found[count++] = fd;
  }
  while (count > 0)
    close(found[--count]);
  return short_of;
}

/* Whether the transfer has failed because no descriptor was left: for its socket, which open_socket
 * knows; or for what else libcurl needs, which it reports as something else. */
static bool was_short_of_descriptors(const struct transfer *x, CURLcode code) {
  if (x->sent_at > 0 || x->out_of_memory) return false;
  switch (code) {
  case CURLE_COULDNT_CONNECT: return x->no_descriptor;
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
  case CURLE_FAILED_INIT:
  case CURLE_OUT_OF_MEMORY:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_CERTPROBLEM: return x->no_descriptor || descriptors_are_short();
  default: return false;
  }
}

/* Which part of the option tls libcurl cannot use, though its file can be read; `text` is what it
 * says itself. */
static const char *blame_tls(const struct transport_options *o, CURLcode code, const char *text) {
  if (code == CURLE_SSL_CACERT_BADFILE)
    return o->ca_file != NULL ? "tls.ca_file holds no certificate in PEM form: "
                              : "the authorities' certificates cannot be read (see tls.ca_file): ";
  if (strstr(text, "rivate key") == NULL) return "tls.cert holds no certificate in PEM form: ";
  return o->key != NULL ? "tls.key is no private key in PEM form, or not that of tls.cert, or "
                          "tls.key_password is missing or wrong: "
                        : "tls.cert holds no private key in PEM form (then it needs a tls.key), or "
                          "tls.key_password is missing or wrong: ";
}

/* What went wrong, in terms of the Lua interface. Retryable: what another connection may cure. */
static void classify(struct transfer *x, CURLcode code) {
  static const char with_password[] = "Unsupported proxy"; /* how libcurl begins to quote it */
  struct failure *f = &x->response.failure;
  const char *text = x->error_text, *blame = "";
  if (*text == '\0' || strncmp(text, with_password, sizeof with_password - 1) == 0)
    text = curl_easy_strerror(code);
  enum failure_kind kind = FAILURE_NETWORK;
  bool retryable = false;
  if (x->too_large) {
    kind = FAILURE_TOO_LARGE;
    text = x->header_bytes > MAX_HEADER_BYTES ? "the header is too large"
                                              : "the response exceeds max_response_bytes";
  } else if (x->late) {
    kind = FAILURE_TIMEOUT;
    text = "the time was up while the response was unpacked";
    retryable = true;
  } else if (x->no_descriptor) {
    text = "too many open files";
    retryable = true;
  } else if (is_beyond_libcurl(x, code)) {
    kind = FAILURE_TOO_LARGE;
    text = x->paused ? "the response unpacks to too much at once" : "the header is too large";
  } else if (x->out_of_memory || code == CURLE_OUT_OF_MEMORY) {
    kind = FAILURE_MEMORY;
    text = x->header_bytes > 0 && !x->header_ended ? "out of memory, or a header field is too long"
                                                   : "out of memory";
  } else {
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      kind = FAILURE_TIMEOUT;
      retryable = true;
      break;
    case CURLE_PARTIAL_FILE:
      if (x->header_ended) kind = FAILURE_DECODE;
      retryable = true;
      break;
    case CURLE_BAD_CONTENT_ENCODING: kind = FAILURE_DECODE; break;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
      kind = FAILURE_ARGUMENT;
      blame = blame_tls(x->transport->options, code, text);
      break;
    case CURLE_ABORTED_BY_CALLBACK:
      text = "the process was forked during the exchange";
      retryable = true;
      break;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: retryable = true; break;
    default: break;
    }
  }
  failure_set(f, kind, "%s%s", blame, text);
  syntax_make_printable(f->message);
  f->retryable = retryable;
}

static void read_info(struct transfer *x) {
  struct response *r = &x->response;
  const char *redirect = NULL, *origin = x->handle.origin;
  curl_easy_getinfo(x->handle.easy, CURLINFO_RESPONSE_CODE, &r->status);
  curl_easy_getinfo(x->handle.easy, CURLINFO_REDIRECT_URL, &redirect);
  r->redirect = text_copy(redirect);
  if (r->status != 0 && origin != NULL && strncasecmp(origin, "https:", 6) == 0)
    x->transport->tls_served = true;
}

/* Gives back whatever belongs to libcurl. */
static void release_handle(struct transfer *x, bool good) {
  if (x->handle.easy != NULL || x->handle.url != NULL) {
    struct signal_guard guard;
    hold_sigpipe(&guard);
    if (x->transport->multi != NULL && x->handle.easy != NULL)
      curl_multi_remove_handle(x->transport->multi, x->handle.easy);
    give_handle_back(x, good);
    release_sigpipe(&guard);
  }
  buffer_free(&x->sent);
}

static void note_lack_of_descriptors(struct transfer *x) {
  struct transport *t = x->transport->shared != NULL ? x->transport->shared : x->transport;
  x->no_descriptor = t->lacks_descriptors = true;
}

static void end_transfer(struct transfer *x, CURLcode code) {
  if (code != CURLE_OK && was_short_of_descriptors(x, code))
    note_lack_of_descriptors(x);
  else
    x->no_descriptor = false; /* another address has served */
  unlink_transfer(x);
  x->ended = true;
  x->response.seconds = clock_monotonic() - x->started;
  if (x->handle.easy != NULL) read_info(x);
  if (code == CURLE_OK && !x->header_ended) { /* libcurl takes what it has for a response */
    code = CURLE_RECV_ERROR;
    snprintf(x->error_text, sizeof x->error_text, "the connection was closed inside the header");
  }
  /* Not every decoder of libcurl's passes on that receive_body has ended it. */
  bool cut_off = x->too_large || x->out_of_memory || x->late;
  if (cut_off || (code != CURLE_OK && !x->kept_enough)) classify(x, code);
  release_handle(x, code == CURLE_OK);
}

static bool hand_over(struct transfer *x) {
  return curl_multi_add_handle(x->transport->multi, x->handle.easy) == CURLM_OK;
}

/* ---- places among a client's connections ---- */

static void count_connection(struct transport *t, struct open_socket *s, void *user) {
  unsigned *count = user;
  (void)t;
  if (s->connected || s->watched) ++*count;
}

/* Takes a place for one more private transport, if there is one. Idle connections give way, those
 * of a shared transport that is in use when libcurl returns to them. One place is always left to
 * the shared transport: its calls must not wait for a loop that waits for them. */
static bool take_place(struct transport *shared) {
  unsigned most = shared->options->max_connections, count = 0;
  unsigned most_private = most > 1 ? most - 1 : 1;
  if (shared->private_count >= most_private) return false;
  for_each_socket(shared, count_connection, &count);
  bool full = count + shared->private_count >= most;
  shared->private_count++;
  set_limit(shared);
  if (!full) return true;
  if (shared->running == NULL) {
    close_multi(shared);
    open_multi(shared);
    return true;
  }
  shared->private_count--; /* the limit stays, until it is set again */
  return false;
}

static void wait_for_place(struct transport *t) {
  struct transport *shared = t->shared;
  if (shared->first_waiting == NULL) shared->last_waiting = &shared->first_waiting;
  *shared->last_waiting = t;
  shared->last_waiting = &t->next;
  t->next = NULL;
  t->waiting = true;
}

static void stop_waiting(struct transport *t) {
  struct transport **place = &t->shared->first_waiting;
  while (*place != t)
    place = &(*place)->next;
  *place = t->next;
  if (t->shared->last_waiting == &t->next) t->shared->last_waiting = place;
  t->waiting = false;
  set_limit(t->shared);
}

/* Gives free places to those that wait, the first come first. */
static void give_places(struct transport *shared) {
  while (shared->first_waiting != NULL && take_place(shared)) {
    struct transport *t = shared->first_waiting;
    stop_waiting(t);
    t->placed = true;
    for (struct transfer *x = t->running, *next; x != NULL; x = next) {
      next = x->next;
      if (!hand_over(x)) end_transfer(x, CURLE_OUT_OF_MEMORY);
    }
  }
}

/* Gives up a private transport's place, or its wish for one. */
static void leave_place(struct transport *t) {
  if (t->waiting) stop_waiting(t);
  if (!t->placed) return;
  t->placed = false;
  t->shared->private_count--;
  set_limit(t->shared);
  give_places(t->shared);
}

/* ---- the beginning of a transfer ---- */

/* Fails if a file or folder of the option tls cannot be read. A pipe is left to libcurl. */
static void check_tls_file(struct failure *f, const char *name, const char *path, bool is_folder) {
  struct stat status;
  if (path == NULL || f->kind != FAILURE_NONE) return;
  if (stat(path, &status) != 0 ||
      faccessat(AT_FDCWD, path, is_folder ? X_OK : R_OK, AT_EACCESS) != 0)
    failure_set(f, FAILURE_ARGUMENT, "tls.%s %.200s cannot be read: %s", name, path,
                strerror(errno));
  else if ((S_ISDIR(status.st_mode) != 0) != is_folder)
    failure_set(f, FAILURE_ARGUMENT, "tls.%s %.200s is %s folder", name, path,
                is_folder ? "no" : "a");
}

/* Fails the transfer if the option tls cannot serve it. libcurl would say so once there is a
 * connection, with one code for all files, and not at all of a folder, or of a key by itself. */
static bool check_tls(struct transfer *x, const struct request *request) {
  const struct transport_options *o = x->transport->options;
  struct failure *f = &x->response.failure;
  if (x->transport->tls_served || strncasecmp(request->url, "https:", 6) != 0) return true;
  check_tls_file(f, "ca_file", o->ca_file, false);
  check_tls_file(f, "ca_path", o->ca_path, true);
  check_tls_file(f, "cert", o->cert, false);
  check_tls_file(f, "key", o->key, false);
  if (f->kind == FAILURE_NONE && o->cert == NULL && (o->key != NULL || o->key_password != NULL))
    failure_set(f, FAILURE_ARGUMENT, "tls.%s is given without tls.cert",
                o->key != NULL ? "key" : "key_password");
  syntax_make_printable(f->message);
  return f->kind == FAILURE_NONE;
}

/* Hands the transfer over to libcurl, as soon as it has a place. */
static CURLcode begin_transfer(struct transfer *x, const struct request *request) {
  struct transport *t = x->transport;
  if (t->multi == NULL && !open_multi(t)) return CURLE_OUT_OF_MEMORY;
  CURLcode code = take_handle(t, &x->handle);
  if (code == CURLE_OK) code = set_request(x, request);
  if (code == CURLE_OK && !set_fields(x, request)) code = CURLE_OUT_OF_MEMORY;
  if (code != CURLE_OK) return code;
  if (t->shared != NULL && !t->placed) {
    if (!t->waiting) wait_for_place(t);
    give_places(t->shared);
    return CURLE_OK;
  }
  return hand_over(x) ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

struct transfer *transfer_start(struct transport *t, const struct request *request) {
  renew_after_fork(t);
  struct transfer *x = calloc(1, sizeof *x);
  if (x == NULL) return NULL;
  x->transport = t;
  x->max_bytes = request->max_response_bytes;
  x->deadline = request->deadline;
  x->streamed = request->streamed;
  x->fresh = request->fresh_connection;
  x->started = clock_monotonic();
  if (t->running == NULL) {
    t->check_seconds = FIRST_CHECK_SECONDS;
    t->check_at = x->started + LAST_CHECK_SECONDS;
  }
  link_transfer(x);
  if (!check_tls(x, request)) {
    unlink_transfer(x);
    x->ended = true;
    return x;
  }
  CURLcode code = begin_transfer(x, request);
  if (code != CURLE_OK) end_transfer(x, code);
  return x;
}

struct response *transfer_response(struct transfer *x) {
  return x->ended ? &x->response : NULL;
}

const struct response *transfer_progress(struct transfer *x) {
  if (!x->ended) x->response.seconds = clock_monotonic() - x->started;
  return &x->response;
}

static bool is_streaming(const struct transfer *x) {
  return x->streamed && response_is_success(&x->response);
}

const char *transfer_bytes(const struct transfer *x, size_t *size) {
  const struct buffer *window = &x->response.body;
  *size = is_streaming(x) ? window->size - x->taken : 0;
  return *size > 0 ? window->data + x->taken : NULL;
}

void transfer_take(struct transfer *x, size_t size) {
  x->taken += size;
  if (x->taken == x->response.body.size) close_ranks(x);
  if (!x->paused || x->ended || x->response.body.size - x->taken >= WINDOW_BYTES / 2) return;
  if (x->transport->forks != fork_count()) return; /* the connection is the parent's */
  struct signal_guard guard;
  x->paused = false;
  hold_sigpipe(&guard);
  CURLcode code = curl_easy_pause(x->handle.easy, CURLPAUSE_CONT); /* may call receive_body */
  release_sigpipe(&guard);
  if (code != CURLE_OK) end_transfer(x, code);
}

/* When the request was sent; 0: it was not. */
static double sent_at(const struct transfer *x) {
  curl_off_t microseconds = 0;
  if (x->sent_at > 0 || quirks.has_prereq) return x->sent_at;
  curl_easy_getinfo(x->handle.easy, CURLINFO_PRETRANSFER_TIME_T, &microseconds);
  return microseconds > 0 ? x->started : 0;
}

/* Whether the transfer can be sent over another connection without harm, so that nobody notices. */
static bool can_begin_again(const struct transfer *x) {
  return !x->again && !x->fresh && x->sent.data == NULL && x->header_bytes == 0;
}

/* Others that use a transfer's connection. */
struct company {
  unsigned count;
  bool movable;   /* nobody is harmed if the connection ends */
  double waiting; /* since then one of them has heard nothing */
};

static struct company company_of(struct transfer *x, const struct open_socket *s) {
  struct company others = {.movable = true, .waiting = INFINITY};
  for (struct transfer *y = x->transport->running; y != NULL; y = y->next) {
    if (y == x || y->handle.easy == NULL || sent_at(y) == 0 || socket_of(y) != s) continue;
    others.count++;
    others.waiting = fmin(others.waiting, fmax(sent_at(y), y->heard_at));
    others.movable = others.movable && (can_begin_again(y) || y->header_bytes > 0);
  }
  return others;
}

/* What is to become of the connection of a transfer that is given up. */
enum fate { FATE_KEPT, FATE_NOT_USED_AGAIN, FATE_SHUT_DOWN };

/* A connection over which nothing has come since the transfer's request, or its last bytes, may be
 * dead: no call is to wait for it again. Where others use it they are patient for a while, and then
 * it is shut down; their requests are sent again, once. */
static enum fate judge_connection(struct transfer *x) {
  if (x->handle.easy == NULL || sent_at(x) == 0) return FATE_NOT_USED_AGAIN;
  struct open_socket *s = socket_of(x);
  double heard = fmax(sent_at(x), x->heard_at), now = clock_monotonic();
  if (x->heard_at > 0 && now - heard < LIVELY_SECONDS) return FATE_KEPT;
  if (s == NULL) return FATE_NOT_USED_AGAIN;
  if (s->received > heard) return FATE_KEPT;
  struct company others = company_of(x, s);
  if (others.count == 0) return FATE_NOT_USED_AGAIN;
  if (s->silent_since <= s->received) s->silent_since = heard;
  s->silent_since = fmin(s->silent_since, fmin(heard, others.waiting));
  return others.movable && now - s->silent_since >= PATIENCE_SECONDS ? FATE_SHUT_DOWN : FATE_KEPT;
}

/* Ends a connection; libcurl will find out, and its transfers will have been cut. */
static void shut_down(struct transport *t, const struct open_socket *s) {
  for (struct transfer *y = t->running; y != NULL; y = y->next) {
    if (y->handle.easy != NULL && socket_of(y) == s) y->cut = true;
  }
  shutdown(s->fd, SHUT_RDWR);
}

void transfer_free(struct transfer *x) {
  if (x == NULL) return;
  struct transport *t = x->transport;
  renew_after_fork(t);
  enum fate fate = x->ended ? FATE_KEPT : judge_connection(x);
  const struct open_socket *s = x->socket;
  if (!x->ended) unlink_transfer(x);
  if (fate == FATE_NOT_USED_AGAIN && x->handle.easy != NULL)
    curl_easy_setopt(x->handle.easy, CURLOPT_FORBID_REUSE, 1L);
  x->ended = true;
  release_handle(x, false);
  if (fate == FATE_SHUT_DOWN && s->open) shut_down(t, s);
  failure_clear(&x->response.failure);
  buffer_free(&x->response.body);
  secret_free(x->response.redirect);
  free(x);
}

/* ---- the transport ---- */

/* A kept connection has ended, as it is found, just as it was used once more, or before: the server
 * need not have seen the request. (RFC 9112, 9.3.1; RFC 9113, 8.7. libcurl itself tries some kept
 * connections over HTTP/1.1, all of which may have ended.) */
static bool was_lost(const struct transfer *x, CURLcode code) {
  long connections = 1;
  switch (code) {
  case CURLE_GOT_NOTHING:
  case CURLE_HTTP2:
  case CURLE_PARTIAL_FILE:
  case CURLE_RECV_ERROR:
  case CURLE_SEND_ERROR: break;
  case CURLE_HTTP2_STREAM:
    if (x->cut) break;
    return false;
  default: return false;
  }
  if (x->header_bytes > 0) return false;
  return x->cut ||
         (curl_easy_getinfo(x->handle.easy, CURLINFO_NUM_CONNECTS, &connections) == CURLE_OK &&
          connections == 0);
}

/* libcurl 8 keeps some connections of HTTP/2 that have failed, and would use them again. */
static void end_failed_connection(struct transfer *x, CURLcode code) {
  if (code != CURLE_HTTP2 && code != CURLE_RECV_ERROR && code != CURLE_SEND_ERROR) return;
  const struct open_socket *s = x->socket;
  if (s != NULL && s->open && company_of(x, s).count == 0) shutdown(s->fd, SHUT_RDWR);
}

/* Whether a transfer that a connection of HTTP/2 has lost as well has been begun again, so that
 * this one can share its new connection. */
static bool has_forerunner(const struct transfer *x) {
  if (!x->http2) return false;
  const struct transfer *y = x->transport->running;
  while (y != NULL && !(y != x && y->again && y->http2))
    y = y->next;
  return y != NULL;
}

/* Sends the request once more, over a new connection. False when memory is short. */
static bool begin_again(struct transfer *x) {
  struct transport *t = x->transport;
  struct signal_guard guard;
  CURL *easy = x->handle.easy;
  if (x->socket != NULL) x->http2 = x->socket->http2;
  long fresh = has_forerunner(x) ? 0 : 1;
  x->again = true;
  x->cut = false;
  x->socket = NULL;
  if (x->sent_at > 0) t->unsent++;
  x->sent_at = 0;
  x->opened = false;
  *x->error_text = '\0';
  hold_sigpipe(&guard);
  curl_multi_remove_handle(t->multi, easy);
  release_sigpipe(&guard);
  return curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, fresh) == CURLE_OK &&
         curl_multi_add_handle(t->multi, easy) == CURLM_OK;
}

/* Transfers have waited for a connection to the same origin, in case it takes several at a time. It
 * is there now, and libcurl 8 would let them wait for the end of what it is used for. */
static bool release_followers(struct transport *t) {
  const char *origin = t->established->handle.origin;
  if (!quirks.keeps_waiting || origin == NULL) return true;
  for (struct transfer *x = t->running; x != NULL; x = x->next) {
    const char *other = x->handle.origin;
    if (x->sent_at > 0 || x->opened || other == NULL || strcmp(origin, other) != 0) continue;
    curl_multi_remove_handle(t->multi, x->handle.easy);
    curl_easy_setopt(x->handle.easy, CURLOPT_PIPEWAIT, 0L);
    if (!hand_over(x)) return false;
  }
  return true;
}

/* Ends the transfers that libcurl has done with. */
static void reap(struct transport *t) {
  int left;
  CURLMsg *message;
  while ((message = curl_multi_info_read(t->multi, &left)) != NULL) {
    if (message->msg != CURLMSG_DONE) continue;
    CURLcode code = message->data.result;
    struct transfer *x = transfer_of(message->easy_handle);
    if (code == CURLE_OUT_OF_MEMORY && !is_beyond_libcurl(x, code) &&
        !was_short_of_descriptors(x, code))
      t->out_of_memory = true;
    end_failed_connection(x, code);
    if (!t->out_of_memory && was_lost(x, code)) {
      if (!can_begin_again(x))
        t->distrusts_kept = true;
      else if (begin_again(x))
        continue;
      else
        t->out_of_memory = true;
    }
    end_transfer(x, code != CURLE_OK && t->out_of_memory ? CURLE_OUT_OF_MEMORY : code);
    t->moved = true;
  }
}

/* libcurl 7.88 leaves connections behind that are never used again, and for which others wait until
 * they time out: so all is begun anew, and transfers under way have failed. */
static void renew_after_out_of_memory(struct transport *t) {
  while (t->running != NULL)
    end_transfer(t->running, CURLE_OUT_OF_MEMORY);
  close_multi(t);
  open_multi(t);
}

/* What is on for libcurl: one socket, its timer, or all transfers. */
enum occasion { ON_SOCKET, ON_TIMER, ON_CHECK };

static CURLMcode let_libcurl_work(CURLM *multi, enum occasion occasion, int fd, int events) {
  int running;
  if (occasion == ON_SOCKET) return curl_multi_socket_action(multi, fd, events, &running);
  if (occasion == ON_TIMER)
    return curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  return curl_multi_socket_all(multi, &running);
#pragma GCC diagnostic pop
}

static bool drive(struct transport *t, enum occasion occasion, int fd, int events) {
  if (renew_after_fork(t) || t->multi == NULL) return true;
  struct signal_guard guard;
  t->moved = t->out_of_memory = false;
  t->iteration_began = clock_monotonic();
  t->iteration_bytes = 0;
  hold_sigpipe(&guard);
  t->established = NULL;
  CURLMcode code = let_libcurl_work(t->multi, occasion, fd, events);
  if (t->established != NULL && !release_followers(t)) t->out_of_memory = true;
  release_sigpipe(&guard);
  reap(t);
  bool renewed = code != CURLM_OK || t->out_of_memory;
  if (renewed) renew_after_out_of_memory(t);
  if (t->first_waiting != NULL) give_places(t);
  return t->moved || renewed;
}

/* Whether so much has come over the socket that there is more, which libcurl has not looked for. */
static bool has_more(struct transport *t, int fd) {
  const struct open_socket *s = find_socket(t, fd);
  return t->iteration_bytes >= RECEIVE_BUFFER_BYTES / 2 && t->running != NULL && s != NULL &&
         s->open;
}

static bool on_socket(struct watcher *watcher, int fd, int events) {
  struct transport *t = (struct transport *)watcher;
  size_t bytes = 0;
  bool moved = drive(t, ON_SOCKET, fd,
                     ((events & REACTOR_READ) != 0 ? CURL_CSELECT_IN : 0) |
                         ((events & REACTOR_WRITE) != 0 ? CURL_CSELECT_OUT : 0) |
                         ((events & REACTOR_ERROR) != 0 ? CURL_CSELECT_ERR : 0));
  while (has_more(t, fd) && (bytes += t->iteration_bytes) < MAX_ITERATION_BYTES)
    drive(t, ON_SOCKET, fd, CURL_CSELECT_IN);
  if (!moved) check_soon(t); /* it may have found an error, and not say so yet */
  return moved;
}

/* A look at all transfers runs the timer, too. */
static bool on_time(struct watcher *watcher) {
  struct transport *t = (struct transport *)watcher;
  double now = clock_monotonic();
  bool check = t->running != NULL && now >= t->check_at;
  if (now >= t->timer) t->timer = INFINITY; /* until libcurl sets it again */
  bool moved = drive(t, check ? ON_CHECK : ON_TIMER, 0, 0);
  if (check) {
    t->check_seconds = fmin(t->check_seconds * 2, LAST_CHECK_SECONDS);
    t->check_at = clock_monotonic() + t->check_seconds;
  } else if (t->unsent > 0) {
    check_soon(t); /* the timers of connections are those that are lost */
  }
  schedule(t);
  return moved;
}

bool transport_lacks_descriptors(struct transport *t) {
  bool lacks = t->lacks_descriptors;
  t->lacks_descriptors = false;
  return lacks;
}

struct transport *transport_new(const struct transport_options *options, struct reactor *reactor) {
  pthread_once(&global_once, initialize_libcurl);
  if (global_result != CURLE_OK) return NULL;
  struct transport *t = calloc(1, sizeof *t);
  if (t == NULL) return NULL;
  t->watcher = (struct watcher){.on_socket = on_socket, .on_time = on_time, .due = INFINITY};
  t->options = options;
  if (!reactor_add(reactor, &t->watcher)) {
    free(t);
    return NULL;
  }
  t->reactor = reactor;
  if (open_multi(t)) return t;
  transport_free(t);
  return NULL;
}

static void free_sockets(struct transport *t) {
  for (size_t i = 0; i < SOCKET_BUCKETS; i++) {
    while (t->sockets[i] != NULL) {
      struct open_socket *s = t->sockets[i];
      t->sockets[i] = s->next;
      free(s);
    }
  }
}

struct transport *transport_new_private(struct transport *shared) {
  struct transport *t = transport_new(shared->options, shared->reactor);
  if (t == NULL) return NULL;
  t->shared = shared;
  set_limit(t);
  return t;
}

void transport_free(struct transport *t) {
  if (t == NULL) return;
  renew_after_fork(t);
  close_multi(t);
  if (t->shared != NULL) leave_place(t);
  reactor_remove(t->reactor, &t->watcher);
  free_sockets(t);
  free(t);
}
