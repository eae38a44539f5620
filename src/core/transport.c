#include "core/transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
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
#include "core/syntax.h"

/* Of an error's body this much is kept; what a person or a program wants of it fits. */
#define MAX_ERROR_BODY_BYTES (64u * 1024)

/* All header fields of one response. */
#define MAX_HEADER_BYTES (256u * 1024)

/* libcurl's default of 16 KB makes many small turns of a large list. Below malloc's threshold for
 * memory of its own (128 KB), since libcurl allocates it anew for each exchange. */
#define RECEIVE_BUFFER_BYTES (96L * 1024)

/* Of a streamed body, this much may wait to be taken before the transfer pauses. */
#define WINDOW_BYTES (256u * 1024)

/* Connections kept for the next exchanges. libcurl's default follows the number of transfers under
 * way, and so closes connections whenever many calls end together. */
#define MAX_IDLE_CONNECTIONS 64L

/* A turn ends after this time where the deadline of what arrives has passed: a few compressed bytes
 * can unpack for minutes. What merely waited for its caller is taken in less. */
#define MAX_TURN_SECONDS 0.1

/* Seconds after which libcurl is to look at all exchanges although it has set no timer, doubled
 * from the first to the last. libcurl 7.88 loses a timer that is due within a millisecond after
 * another (add_next_timeout): the end of connect_timeout, for one. */
#define FIRST_CHECK_SECONDS 0.002
#define LAST_CHECK_SECONDS 1.0

/* Easy handles kept for the next exchanges. */
#define MAX_IDLE_HANDLES 16

/* libcurl's side of an exchange. */
struct handle {
  CURL *easy;
  CURLU *url;   /* libcurl 7.88 works longer on a URL that it is given as a text */
  char *origin; /* scheme, host and port in `url`; or NULL */
  struct curl_slist *fields;
  const char *authorization; /* its value, in `fields`; or NULL */
};

struct transport {
  struct source source; /* of the reactor's; the first member */
  struct reactor *reactor;
  const struct transport_options *options;
  CURLM *multi;
  unsigned forks;           /* see core/fork.h: whose sockets these are */
  struct exchange *running; /* doubly linked */
  double timer;             /* libcurl's, monotonic; INFINITY: not set */
  double check_seconds;     /* see FIRST_CHECK_SECONDS */
  bool moved;               /* bytes have arrived, or an exchange has ended, in this turn */
  bool out_of_memory;       /* in this turn */
  double turn_began;
  bool tls_served; /* an exchange with TLS was answered: the files that it needs can be used */
  struct handle idle[MAX_IDLE_HANDLES];
  unsigned idle_count;
  struct open_socket *sockets; /* to be disowned after a fork */
  size_t socket_count, socket_capacity;
};

struct open_socket {
  int fd;
  struct fork_mark mark;
};

struct exchange {
  struct transport *transport;
  struct exchange *next, *previous; /* among `running` */
  struct handle handle;             /* NULLs once ended */
  double started, deadline;
  bool ended;
  struct buffer sent; /* the body: libcurl reads it here, so that it can be wiped */
  bool streamed, paused;
  size_t taken;                                     /* of the window in `response.body` */
  bool too_large, out_of_memory, kept_enough, late; /* why the body was cut off */
  uint64_t max_bytes;
  size_t header_bytes;
  bool header_ended; /* its blank line has come */
  bool again;        /* see begin_again */
  char error_text[CURL_ERROR_SIZE];
  struct response response;
};

/* ---- libcurl's one-time set-up ---- */

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_result = CURLE_FAILED_INIT;

/* Whether this libcurl writes to TLS connections in a way that raises SIGPIPE. */
static bool raises_sigpipe;

/* What this libcurl decodes, as it would say itself, but anew for each request. */
static char accepted_encodings[sizeof "deflate, gzip, br, zstd"];

#ifndef CURL_VERSION_ZSTD /* came with libcurl 7.72 */
#define CURL_VERSION_ZSTD 0
#endif

/* Never undone: libcurl may serve others in this process. */
static void initialize_libcurl(void) {
  global_result = curl_global_init(CURL_GLOBAL_DEFAULT);
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  raises_sigpipe = info->version_num < 0x075700;
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
  guard->active = raises_sigpipe && sigpending(&pending) == 0 && !sigismember(&pending, SIGPIPE);
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

/* ---- URLs ---- */

/* Whether the host of a URL is on this machine. `host` as libcurl has it: IPv6 in brackets. */
static bool is_loopback(char *host) {
  size_t size = strlen(host);
  bool bracketed = size > 2 && host[0] == '[' && host[size - 1] == ']';
  if (bracketed) host[size - 1] = '\0';
  return syntax_is_loopback(bracketed ? host + 1 : host);
}

/* A URL under examination. */
struct url_check {
  CURLU *url;
  bool local; /* plain http to this machine */
  bool out_of_memory;
};

/* A part of the URL, to be freed with curl_free; or NULL. */
static char *get_part(struct url_check *c, CURLUPart part) {
  char *text = NULL;
  if (curl_url_get(c->url, part, &text, 0) == CURLUE_OUT_OF_MEMORY) c->out_of_memory = true;
  return text;
}

static const char *check_host(struct url_check *c, bool allow_http) {
  char *scheme = get_part(c, CURLUPART_SCHEME), *host = get_part(c, CURLUPART_HOST);
  const char *wrong = NULL;
  bool plain = scheme != NULL && strcmp(scheme, "http") == 0;
  if (scheme == NULL || host == NULL || *host == '\0')
    wrong = "is not an absolute URL"; /* GCOVR_EXCL_LINE: without memory alone */
  else if (plain && !(c->local = is_loopback(host)) && !allow_http)
    wrong = "is plain http, which would send secrets in the clear; use https (or set allow_http)";
  curl_free(scheme);
  curl_free(host);
  return wrong;
}

static const char *check_url(struct url_check *c, const char *text, bool allow_http) {
  static const char not_absolute[] = "is not an absolute URL that begins with https:// or http://";
  if (syntax_text_fault(text, false) != NULL) return "contains control characters";
  /* libcurl drops an empty query or fragment without a word. */
  if (strpbrk(text, "?#@\\ ") != NULL)
    return "contains a user name, a query, a fragment, a backslash or a space";
  /* libcurl takes one slash, or three, or a host's escapes as well, and so the path for a host. */
  const char *path = syntax_url_path(text);
  if (path == NULL) return not_absolute;
  if (memchr(text, '%', (size_t)(path - text)) != NULL) return "has a percent sign in its host";
  if (*path != '\0' && !syntax_is_path(path, strlen(path)))
    return "has a path with an empty or dot segment, or with characters that need escaping";
  c->url = curl_url();
  CURLUcode code = c->url == NULL ? CURLUE_OUT_OF_MEMORY
                                  : curl_url_set(c->url, CURLUPART_URL, text, CURLU_PATH_AS_IS);
  c->out_of_memory = code == CURLUE_OUT_OF_MEMORY;
  return code == CURLUE_OK ? check_host(c, allow_http) : not_absolute;
}

bool transport_check_url(const char *name, const char *text, bool allow_http, bool *local,
                         struct failure *failure) {
  struct url_check check = {0};
  const char *wrong = check_url(&check, text, allow_http);
  curl_url_cleanup(check.url);
  *local = check.local;
  if (check.out_of_memory)
    failure_set(failure, FAILURE_MEMORY, "out of memory while %s was checked", name);
  else if (wrong != NULL)
    failure_set(failure, FAILURE_ARGUMENT, "%s %s", name, wrong);
  return failure->kind == FAILURE_NONE;
}

/* ---- sockets, and forks ---- */

static bool make_room_for_socket(struct transport *t) {
  if (t->socket_count < t->socket_capacity) return true;
  size_t capacity = t->socket_capacity == 0 ? 8 : t->socket_capacity * 2;
  struct open_socket *sockets = realloc(t->sockets, capacity * sizeof *sockets);
  if (sockets == NULL) return false;
  t->sockets = sockets;
  t->socket_capacity = capacity;
  return true;
}

/* The place of a socket in the list, or the list's length. */
static size_t find_socket(const struct transport *t, int fd) {
  size_t i = 0;
  while (i < t->socket_count && t->sockets[i].fd != fd)
    i++;
  return i;
}

/* Takes a socket out of the list. False where it is not in there. */
static bool drop_socket(struct transport *t, int fd) {
  size_t i = find_socket(t, fd);
  reactor_forget(t->reactor, &t->source, fd);
  if (i == t->socket_count) return false;
  t->sockets[i] = t->sockets[--t->socket_count];
  return true;
}

static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address) {
  (void)purpose;
  struct transport *t = user;
  int type = address->socktype;
#ifdef SOCK_CLOEXEC
  type |= SOCK_CLOEXEC;
#endif
  t->out_of_memory = !make_room_for_socket(t) || t->out_of_memory;
  int fd = t->out_of_memory ? -1 : socket(address->family, type, address->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  drop_socket(t, fd); /* libcurl 7.88 closes by itself what never became a connection */
  t->sockets[t->socket_count++] = (struct open_socket){fd, fork_mark_of(fd)};
  return fd;
}

/* A descriptor that is not in the list is no longer ours: see disown_sockets. */
static int close_socket(void *user, curl_socket_t fd) {
  return drop_socket(user, fd) ? close(fd) : 0;
}

/* The parent's connections must hear nothing from the child, not even good-byes: libcurl is left
 * with descriptors that lead nowhere. What the child has made of a descriptor since is let alone.
 */
static void disown_sockets(struct transport *t) {
  int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
  size_t kept = 0;
  for (size_t i = 0; i < t->socket_count; i++) {
    struct open_socket s = t->sockets[i];
    if (!fork_has_kept(s.fd, s.mark)) continue;
    if (nowhere >= 0 && dup2(nowhere, s.fd) >= 0)
      t->sockets[kept++] = s;
    else
      close(s.fd);
  }
  t->socket_count = kept;
  if (nowhere >= 0) close(nowhere);
}

/* libcurl's wish to be told of a socket. What is not of open_socket's making (the resolver has
 * sockets of its own) is closed without a word. */
static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user) {
  (void)easy, (void)socket_user;
  struct transport *t = user;
  if (find_socket(t, fd) == t->socket_count) reactor_forget(t->reactor, &t->source, fd);
  int events = what == CURL_POLL_IN      ? REACTOR_READ
               : what == CURL_POLL_OUT   ? REACTOR_WRITE
               : what == CURL_POLL_INOUT ? REACTOR_READ | REACTOR_WRITE
                                         : 0;
  return reactor_watch(t->reactor, &t->source, fd, events) ? 0 : -1;
}

/* Sets the source's timer to libcurl's, or, without one, to the next look at all exchanges. */
static void schedule(struct transport *t) {
  t->source.due = t->timer;
  if (isinf(t->timer) && t->running != NULL) t->source.due = clock_monotonic() + t->check_seconds;
}

/* libcurl's one timer; -1 stops it. */
static int set_timer(CURLM *multi, long milliseconds, void *user) {
  (void)multi;
  struct transport *t = user;
  t->timer = milliseconds < 0 ? INFINITY : clock_monotonic() + (double)milliseconds / 1000;
  if (milliseconds >= 0) t->check_seconds = FIRST_CHECK_SECONDS;
  schedule(t);
  return 0;
}

static bool open_multi(struct transport *t) {
  t->forks = fork_count();
  t->source.due = t->timer = INFINITY;
  t->multi = curl_multi_init();
  if (t->multi == NULL) return false;
  curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, MAX_IDLE_CONNECTIONS);
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

static void end_exchange(struct exchange *x, CURLcode code);

/* Whether the exchange has its connection, and so needs no thread to resolve a name. */
static bool is_connected(const struct exchange *x) {
  curl_off_t microseconds = 0;
  curl_easy_getinfo(x->handle.easy, CURLINFO_PRETRANSFER_TIME_T, &microseconds);
  return microseconds > 0;
}

/* In a forked child everything is begun anew, and exchanges under way have failed. Where a name may
 * still be being resolved, all handles stay behind unfreed: the thread that does it exists in the
 * parent alone, and libcurl would wait for it. */
static bool renew_after_fork(struct transport *t) {
  if (t->forks == fork_count()) return false;
  bool connected = true;
  disown_sockets(t);
  for (struct exchange *x = t->running; x != NULL; x = x->next)
    connected = connected && is_connected(x);
  while (t->running != NULL) {
    if (!connected) {
      free_fields(&t->running->handle);
      t->running->handle = (struct handle){0};
    }
    end_exchange(t->running, CURLE_ABORTED_BY_CALLBACK);
  }
  if (!connected) {
    t->multi = NULL;
    t->socket_count = 0;
  }
  close_multi(t);
  open_multi(t);
  return true;
}

/* ---- what libcurl calls ---- */

/* Moves what is left of the window to its beginning. */
static void close_ranks(struct exchange *x) {
  struct buffer *window = &x->response.body;
  if (x->taken == 0) return;
  memmove(window->data, window->data + x->taken, window->size - x->taken);
  window->size -= x->taken;
  x->taken = 0;
}

static bool is_late(const struct exchange *x) {
  double now = clock_monotonic();
  return now >= x->deadline && now >= x->transport->turn_began + MAX_TURN_SECONDS;
}

static size_t receive_body(char *bytes, size_t one, size_t size, void *user) {
  (void)one;
  struct exchange *x = user;
  struct response *r = &x->response;
  if (r->bytes == 0) curl_easy_getinfo(x->handle.easy, CURLINFO_RESPONSE_CODE, &r->status);
  bool success = response_is_success(r);
  if (success && x->streamed) {
    close_ranks(x);
    x->paused = r->body.size >= WINDOW_BYTES;
    if (x->paused) return CURL_WRITEFUNC_PAUSE;
  }
  x->transport->moved = true;
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
  struct exchange *x = user;
  x->header_bytes += size;
  if (x->header_bytes > MAX_HEADER_BYTES) {
    x->too_large = true;
    return 0;
  }
  if (size >= 5 && memcmp(bytes, "HTTP/", 5) == 0) { /* a status line, perhaps after a 1xx */
    x->response.has_retry_after = false;
    x->header_ended = false;
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

/* ---- exchanges ---- */

static void link_exchange(struct exchange *x) {
  x->next = x->transport->running;
  if (x->next != NULL) x->next->previous = x;
  x->transport->running = x;
}

static void unlink_exchange(struct exchange *x) {
  if (x->previous != NULL) x->previous->next = x->next;
  if (x->next != NULL) x->next->previous = x->previous;
  if (x->transport->running == x) x->transport->running = x->next;
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

/* Sets the header fields, unless they are those of the handle's last exchange, as most are. */
static bool set_fields(struct exchange *x, const struct request *request) {
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
#if LIBCURL_VERSION_NUM >= 0x075700
  /* A call's end does not wait for a slow name server. An older libcurl at run time does. */
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
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
  SET(CURLOPT_OPENSOCKETDATA, t);
  SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
  SET(CURLOPT_CLOSESOCKETDATA, t);
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
  if (path == NULL) return CURLE_URL_MALFORMAT; /* GCOVR_EXCL_LINE: see transport_check_url */
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

/* What differs from one exchange to the next. */
static CURLcode set_request(struct exchange *x, const struct request *request) {
  CURL *easy = x->handle.easy;
  CURLcode code = set_url(&x->handle, request->url);
  const char *proxy = x->transport->options->proxy;
  SET(CURLOPT_URL, request->url); /* what relative redirects are resolved against */
  /* Rather a stream of a connection that is being made than another connection. Without TLS there
   * are no streams, and libcurl would only know when the first answer has come. */
  SET(CURLOPT_PIPEWAIT, strncasecmp(request->url, "https:", 6) == 0 ? 1L : 0L);
  SET(CURLOPT_PROXY, proxy == NULL && request->local ? "" : proxy);
  if (request->body != NULL) {
    if (!buffer_append(&x->sent, request->body, request->body_size)) return CURLE_OUT_OF_MEMORY;
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->sent.size);
    SET(CURLOPT_POSTFIELDS, x->sent.data);
  }
  SET(CURLOPT_WRITEDATA, x);
  SET(CURLOPT_HEADERDATA, x);
  SET(CURLOPT_ERRORBUFFER, x->error_text);
  SET(CURLOPT_PRIVATE, x);
  return code;
}

/* A handle with the options that are the same for every exchange. */
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

/* Idle handles keep the fields of one token, that of the last good exchange: others are not in use
 * any more. */
static void drop_other_fields(struct transport *t, const char *authorization) {
  const char *other = t->idle_count > 0 ? t->idle[t->idle_count - 1].authorization : NULL;
  if (other == NULL || (authorization != NULL && strcmp(other, authorization) == 0)) return;
  for (unsigned i = 0; i < t->idle_count; i++) {
    curl_easy_setopt(t->idle[i].easy, CURLOPT_HTTPHEADER, NULL);
    free_fields(&t->idle[i]);
  }
}

/* Keeps the handle for the next exchange after a good one. After others it may hold things that
 * no option undoes: libcurl before 8.6 then refuses CURLOPT_BUFFERSIZE, for one. After a POST its
 * buffers may hold credentials and a token, which are not to lie about. */
static void give_handle_back(struct exchange *x, bool good) {
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
 * that one turn has unpacked for a paused transfer. Before 8.6 it calls either of them a lack of
 * memory. */
static bool is_beyond_libcurl(const struct exchange *x, CURLcode code) {
#if LIBCURL_VERSION_NUM >= 0x080600
  if (code == CURLE_TOO_LARGE) return true;
#endif
  return code == CURLE_OUT_OF_MEMORY && x->paused && !x->out_of_memory;
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
static void classify(struct exchange *x, CURLcode code) {
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

static void read_info(struct exchange *x) {
  struct response *r = &x->response;
  const char *redirect = NULL, *origin = x->handle.origin;
  curl_easy_getinfo(x->handle.easy, CURLINFO_RESPONSE_CODE, &r->status);
  curl_easy_getinfo(x->handle.easy, CURLINFO_REDIRECT_URL, &redirect);
  r->redirect = text_copy(redirect);
  if (r->status != 0 && origin != NULL && strncasecmp(origin, "https:", 6) == 0)
    x->transport->tls_served = true;
}

/* Gives back whatever belongs to libcurl. */
static void release_handle(struct exchange *x, bool good) {
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

static void end_exchange(struct exchange *x, CURLcode code) {
  unlink_exchange(x);
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

/* Fails the exchange if the option tls cannot serve it. libcurl would say so once there is a
 * connection, with one code for all files, and not at all of a folder, or of a key by itself. */
static bool check_tls(struct exchange *x, const struct request *request) {
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

/* Hands the exchange over to libcurl. */
static CURLcode begin_transfer(struct exchange *x, const struct request *request) {
  struct transport *t = x->transport;
  if (t->multi == NULL && !open_multi(t)) return CURLE_OUT_OF_MEMORY;
  CURLcode code = take_handle(t, &x->handle);
  if (code == CURLE_OK) code = set_request(x, request);
  if (code == CURLE_OK && !set_fields(x, request)) code = CURLE_OUT_OF_MEMORY;
  if (code != CURLE_OK) return code;
  return curl_multi_add_handle(t->multi, x->handle.easy) == CURLM_OK ? CURLE_OK
                                                                     : CURLE_OUT_OF_MEMORY;
}

struct exchange *exchange_start(struct transport *t, const struct request *request) {
  renew_after_fork(t);
  struct exchange *x = calloc(1, sizeof *x);
  if (x == NULL) return NULL;
  x->transport = t;
  x->max_bytes = request->max_response_bytes;
  x->deadline = request->deadline;
  x->streamed = request->streamed;
  x->started = clock_monotonic();
  link_exchange(x);
  if (!check_tls(x, request)) {
    unlink_exchange(x);
    x->ended = true;
    return x;
  }
  CURLcode code = begin_transfer(x, request);
  if (code != CURLE_OK) end_exchange(x, code);
  return x;
}

struct response *exchange_response(struct exchange *x) {
  return x->ended ? &x->response : NULL;
}

const struct response *exchange_progress(struct exchange *x) {
  if (!x->ended) x->response.seconds = clock_monotonic() - x->started;
  return &x->response;
}

static bool is_streaming(const struct exchange *x) {
  return x->streamed && response_is_success(&x->response);
}

const char *exchange_bytes(const struct exchange *x, size_t *size) {
  const struct buffer *window = &x->response.body;
  *size = is_streaming(x) ? window->size - x->taken : 0;
  return *size > 0 ? window->data + x->taken : NULL;
}

void exchange_take(struct exchange *x, size_t size) {
  x->taken += size;
  if (x->taken == x->response.body.size) close_ranks(x);
  if (!x->paused || x->ended || x->response.body.size - x->taken >= WINDOW_BYTES / 2) return;
  if (x->transport->forks != fork_count()) return; /* the connection is the parent's */
  struct signal_guard guard;
  x->paused = false;
  hold_sigpipe(&guard);
  CURLcode code = curl_easy_pause(x->handle.easy, CURLPAUSE_CONT); /* may call receive_body */
  release_sigpipe(&guard);
  if (code != CURLE_OK) end_exchange(x, code);
}

void exchange_free(struct exchange *x) {
  if (x == NULL) return;
  struct transport *t = x->transport;
  renew_after_fork(t);
  if (!x->ended) unlink_exchange(x);
  /* The connection may be dead, and HTTP/2's would be used again. It stays where others use it. */
  if (x->handle.easy != NULL) curl_easy_setopt(x->handle.easy, CURLOPT_FORBID_REUSE, 1L);
  x->ended = true;
  release_handle(x, false);
  failure_clear(&x->response.failure);
  buffer_free(&x->response.body);
  secret_free(x->response.redirect);
  free(x);
}

/* ---- the transport ---- */

/* The server has ended a connection just as it was used once more (RFC 9113, 6.8: GOAWAY). libcurl
 * begins again by itself over HTTP/1.1 alone. */
static bool was_too_late(const struct exchange *x, CURLcode code) {
  long connections = 1;
  if (code != CURLE_HTTP2 && code != CURLE_PARTIAL_FILE) return false;
  if (x->again || x->header_bytes > 0) return false;
  return curl_easy_getinfo(x->handle.easy, CURLINFO_NUM_CONNECTS, &connections) == CURLE_OK &&
         connections == 0;
}

/* Sends the request once more, over a new connection. False where memory is short. */
static bool begin_again(struct exchange *x) {
  struct signal_guard guard;
  CURL *easy = x->handle.easy;
  x->again = true;
  *x->error_text = '\0';
  hold_sigpipe(&guard);
  curl_multi_remove_handle(x->transport->multi, easy);
  release_sigpipe(&guard);
  return curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
         curl_multi_add_handle(x->transport->multi, easy) == CURLM_OK;
}

/* Ends the exchanges that libcurl has done with. */
static void reap(struct transport *t) {
  int left;
  CURLMsg *message;
  while ((message = curl_multi_info_read(t->multi, &left)) != NULL) {
    if (message->msg != CURLMSG_DONE) continue;
    CURLcode code = message->data.result;
    char *private = NULL;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
    struct exchange *x = (struct exchange *)(void *)private;
    if (code == CURLE_OUT_OF_MEMORY && !is_beyond_libcurl(x, code)) t->out_of_memory = true;
    if (!t->out_of_memory && was_too_late(x, code)) {
      if (begin_again(x)) continue;
      t->out_of_memory = true;
    }
    end_exchange(x, code != CURLE_OK && t->out_of_memory ? CURLE_OUT_OF_MEMORY : code);
    t->moved = true;
  }
}

/* libcurl 7.88 leaves connections behind that are never used again, and for which others wait until
 * they time out: so all is begun anew, and exchanges under way have failed. */
static void renew_after_out_of_memory(struct transport *t) {
  while (t->running != NULL)
    end_exchange(t->running, CURLE_OUT_OF_MEMORY);
  close_multi(t);
  open_multi(t);
}

/* What is on for libcurl: one socket, its timer, or all exchanges. */
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
  t->turn_began = clock_monotonic();
  hold_sigpipe(&guard);
  CURLMcode code = let_libcurl_work(t->multi, occasion, fd, events);
  release_sigpipe(&guard);
  reap(t);
  bool renewed = code != CURLM_OK || t->out_of_memory;
  if (renewed) renew_after_out_of_memory(t);
  return t->moved || renewed;
}

static bool on_socket(struct source *source, int fd, int events) {
  return drive((struct transport *)source, ON_SOCKET, fd,
               ((events & REACTOR_READ) != 0 ? CURL_CSELECT_IN : 0) |
                   ((events & REACTOR_WRITE) != 0 ? CURL_CSELECT_OUT : 0) |
                   ((events & REACTOR_ERROR) != 0 ? CURL_CSELECT_ERR : 0));
}

static bool on_time(struct source *source) {
  struct transport *t = (struct transport *)source;
  enum occasion occasion = isinf(t->timer) ? ON_CHECK : ON_TIMER;
  t->timer = INFINITY; /* until libcurl sets it again */
  bool moved = drive(t, occasion, 0, 0);
  schedule(t);
  if (occasion == ON_CHECK) t->check_seconds = fmin(t->check_seconds * 2, LAST_CHECK_SECONDS);
  return moved;
}

struct transport *transport_new(const struct transport_options *options, struct reactor *reactor) {
  pthread_once(&global_once, initialize_libcurl);
  if (global_result != CURLE_OK) return NULL;
  struct transport *t = calloc(1, sizeof *t);
  if (t == NULL) return NULL;
  t->source = (struct source){.on_socket = on_socket, .on_time = on_time, .due = INFINITY};
  t->options = options;
  if (!reactor_add(reactor, &t->source)) {
    free(t);
    return NULL;
  }
  t->reactor = reactor;
  if (open_multi(t)) return t;
  transport_free(t);
  return NULL;
}

void transport_free(struct transport *t) {
  if (t == NULL) return;
  renew_after_fork(t);
  close_multi(t);
  reactor_remove(t->reactor, &t->source);
  free(t->sockets);
  free(t);
}
