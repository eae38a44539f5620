#include <math.h>
#include <string.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/http/curl_error.h"
#include "core/http/internal.h"
#include "core/http/libcurl.h"

/* A connection counts as alive if bytes have arrived within this time. */
#define ALIVE_SECONDS 0.1

/* A connection that several transfers use is shut down after this time without a byte. */
#define MAX_SILENT_SECONDS 1.0

/* ---- the connection of a transfer ---- */

/* Returns the socket of the transfer's connection, or NULL if it is not known. libcurl's socket
 * callback names it, but not always for a reused connection, whose socket is then found by its
 * local port. */
struct socket_entry *connection_socket(struct transfer *x) {
  long port = 0;
  if (x->socket != NULL || x->sent_at == 0) return x->socket;
  if (curl_easy_getinfo(x->handle.easy, CURLINFO_LOCAL_PORT, &port) == CURLE_OK && port > 0)
    x->socket = sockets_find_by_port(&x->transport->sockets, port);
  return x->socket;
}

/* To ask the system before each request how many bytes were received would take a twentieth of the
 * time of a small call. So the sizes of responses are added up, and the system is asked only after
 * this many bytes. Until then, the bytes of TLS records and chunk headers are not counted. */
#define MAX_UNCOUNTED_BYTES (256u * 1024)

void connection_note_request(struct socket_entry *s) {
  if (s->http2 || !libcurl_quirks.reports_size_as_memory || s->uncounted <= MAX_UNCOUNTED_BYTES)
    return;
  /* Nothing is unread: an idle connection is not reused if anything arrives on it. */
  s->read_before = sockets_count_received(s);
  s->uncounted = 0;
}

void connection_note_response(struct transfer *x) {
  struct socket_entry *s = x->socket;
  curl_off_t body = 0;
  if (s == NULL || s->http2 || !libcurl_quirks.reports_size_as_memory) return;
  curl_easy_getinfo(x->handle.easy, CURLINFO_SIZE_DOWNLOAD_T, &body);
  uint64_t bytes = x->header_bytes + (body > 0 ? (uint64_t)body : 0);
  s->read_before += bytes;
  s->uncounted += bytes;
}

uint64_t connection_count_read(const struct transfer *x) {
  const struct socket_entry *s = x->socket;
  if (s == NULL) return x->read_bytes;
  uint64_t read =
      s->open && !s->http2 && libcurl_quirks.reports_size_as_memory ? sockets_count_read(s) : 0;
  return read > s->read_before ? read - s->read_before : 0;
}

void connection_note_bytes(struct transfer *x) {
  struct socket_entry *s = connection_socket(x);
  x->received_at = x->transport->iteration_began;
  if (x->first_byte_at == 0 && (x->sent_at > 0 || !libcurl_quirks.has_prereq))
    x->first_byte_at = x->received_at;
  if (s != NULL) s->received_at = x->received_at;
}

/* Before the tunnel is established, no request is sent, and libcurl 8 does not report the address.
 * If the response has arrived before libcurl had to wait for it, the socket is not known either;
 * then it is the last one that was opened. */
void connection_note_proxy(struct transfer *x) {
  const struct socket_entry *s = x->socket != NULL ? x->socket : x->opened;
  if (s != NULL && s->open && connection_sent_at(x) == 0) sockets_write_peer(s, x->proxy);
}

void connection_detach(struct transport *t, const struct socket_entry *s) {
  for (struct transfer *x = t->transfers; x != NULL; x = x->next) {
    if (x->opened == s) x->opened = NULL;
    if (x->socket != s) continue;
    x->http2 = s->http2;
    x->read_bytes = connection_count_read(x);
    x->socket = NULL;
  }
}

/* Without CURLOPT_PREREQFUNCTION it is only known whether the request was sent; if so, returns the
 * start of the transfer. */
double connection_sent_at(const struct transfer *x) {
  curl_off_t microseconds = 0;
  if (x->sent_at > 0 || libcurl_quirks.has_prereq) return x->sent_at;
  curl_easy_getinfo(x->handle.easy, CURLINFO_PRETRANSFER_TIME_T, &microseconds);
  return microseconds > 0 ? x->started_at : 0;
}

/* Whether the request can be sent again over another connection: the server may have received it,
 * but no byte of a response has arrived. */
static bool can_restart(const struct transfer *x) {
  return !x->restarted && !x->fresh_connection && x->header_bytes == 0;
}

/* The other transfers that use a connection. */
struct other_transfers {
  unsigned count;
  bool can_lose_it;    /* each of them has begun to receive a response, or can be restarted */
  double silent_since; /* when the one that has waited longest last sent or received something */
};

static struct other_transfers find_others(struct transfer *x, const struct socket_entry *s) {
  struct other_transfers others = {.can_lose_it = true, .silent_since = INFINITY};
  for (struct transfer *y = x->transport->transfers; y != NULL; y = y->next) {
    if (y == x || y->handle.easy == NULL || connection_sent_at(y) == 0 || connection_socket(y) != s)
      continue;
    others.count++;
    others.silent_since = fmin(others.silent_since, fmax(connection_sent_at(y), y->received_at));
    others.can_lose_it = others.can_lose_it && (can_restart(y) || y->header_bytes > 0);
  }
  return others;
}

/* ---- connections that are silent ---- */

/* If nothing has arrived on the connection since the transfer's request was sent, or since its last
 * bytes arrived, the connection may be dead, and later transfers must not use it. If others use it
 * already, it is shut down once it has been silent for some time, and they are restarted. */
enum connection_action connection_after_stop(struct transfer *x) {
  if (x->handle.easy == NULL || connection_sent_at(x) == 0) return CONNECTION_DISCARD;
  struct socket_entry *s = connection_socket(x);
  double last = fmax(connection_sent_at(x), x->received_at), now = clock_monotonic();
  if (x->received_at > 0 && now - last < ALIVE_SECONDS) return CONNECTION_KEEP;
  if (s == NULL) return CONNECTION_DISCARD;
  if (s->received_at > last) return CONNECTION_KEEP;
  struct other_transfers others = find_others(x, s);
  if (others.count == 0) return CONNECTION_DISCARD;
  if (s->silent_since <= s->received_at) s->silent_since = last;
  s->silent_since = fmin(s->silent_since, fmin(last, others.silent_since));
  return others.can_lose_it && now - s->silent_since >= MAX_SILENT_SECONDS ? CONNECTION_SHUT_DOWN
                                                                           : CONNECTION_KEEP;
}

void connection_shut_down(struct transport *t, const struct socket_entry *s) {
  shutdown(s->fd, SHUT_RDWR);
  for (struct transfer *y = t->transfers; y != NULL; y = y->next) {
    if (y->handle.easy != NULL && connection_socket(y) == s) y->shut_down = true;
  }
}

/* ---- connections that were closed ---- */

/* Whether the server had closed a reused connection, or the connection was shut down here, so that
 * the server may not have received the request (RFC 9112, section 9.3.1; RFC 9113, section 8.7). */
static bool was_lost(const struct transfer *x, CURLcode code) {
  unsigned lost = x->shut_down ? CURL_ERROR_LOST | CURL_ERROR_LOST_STREAM : CURL_ERROR_LOST;
  long new_connections = 1;
  if (x->repeat_stopped) return true;
  if ((curl_error_find(code)->flags & lost) == 0 || x->header_bytes > 0) return false;
  if (x->shut_down) return true;
  CURLcode got = curl_easy_getinfo(x->handle.easy, CURLINFO_NUM_CONNECTS, &new_connections);
  return got == CURLE_OK && new_connections == 0;
}

void connection_note_socket(struct transfer *x) {
  x->opened_socket = true;
  if (x->sent_at == 0) return;
  if (x->socket != NULL) x->http2 = x->socket->http2;
  x->repeated = true;
}

bool connection_stops_repeat(struct transfer *x) {
  if (x->sent_at == 0) return false;
  if (can_restart(x) && x->opened_socket)
    x->restarted = true; /* libcurl repeats it on a new connection, as connection_retry would */
  else
    x->repeat_stopped = true;
  return x->repeat_stopped;
}

/* libcurl 8 keeps some HTTP/2 connections that have failed, and would use them again. This ends
 * them. */
static void end_broken_connection(struct transfer *x, CURLcode code) {
  const struct socket_entry *s = x->socket;
  if ((curl_error_find(code)->flags & CURL_ERROR_BROKEN) == 0) return;
  if (s != NULL && s->open && find_others(x, s).count == 0) shutdown(s->fd, SHUT_RDWR);
}

/* Whether another transfer that has lost its HTTP/2 connection was restarted already, here or by
 * libcurl. */
static bool has_restarted_another(const struct transfer *x) {
  for (const struct transfer *y = x->transport->transfers; y != NULL; y = y->next) {
    if (y != x && (y->restarted || y->repeated) && y->http2) return true;
  }
  return false;
}

/* Sends the request again, over a new connection or one that is being made. Returns false if out of
 * memory. */
static bool restart(struct transfer *x) {
  struct transport *t = x->transport;
  struct sigpipe_guard guard;
  CURL *easy = x->handle.easy;
  if (x->socket != NULL) x->http2 = x->socket->http2;
  /* All transfers that have lost an HTTP/2 connection share the next one. */
  long fresh = x->http2 && has_restarted_another(x) ? 0 : 1;
  x->restarted = true;
  x->shut_down = x->repeat_stopped = false;
  x->socket = NULL;
  x->opened_socket = false;
  x->opened = NULL;
  if (x->sent_at > 0) t->unsent++;
  x->sent_at = 0;
  *x->error_text = '\0';
  transport_enter(t, &guard);
  curl_multi_remove_handle(t->multi, easy);
  transport_leave(t, &guard);
  return curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, fresh) == CURLE_OK && transport_submit(x);
}

bool connection_retry(struct transfer *x, CURLcode code) {
  struct transport *t = x->transport;
  end_broken_connection(x, code);
  if (t->out_of_memory || !was_lost(x, code)) return false;
  if (!can_restart(x)) {
    t->skip_idle_connection = true;
    return false;
  }
  if (restart(x)) return true;
  t->out_of_memory = true;
  return false;
}

/* ---- connections that are waited for ---- */

/* With CURLOPT_PIPEWAIT, transfers wait for a connection to their origin that is being made,
 * because it may use HTTP/2. If it does not, libcurl 8 lets them wait until its first transfer
 * ends. */
bool connection_release_waiting(struct transfer *connected) {
  struct transport *t = connected->transport;
  const char *origin = connected->handle.origin;
  if (!libcurl_quirks.pipewait_waits_for_transfer || origin == NULL) return true;
  for (struct transfer *x = t->transfers; x != NULL; x = x->next) {
    const char *other = x->handle.origin;
    if (x->sent_at > 0 || x->opened_socket || other == NULL || strcmp(origin, other) != 0) continue;
    curl_multi_remove_handle(t->multi, x->handle.easy);
    curl_easy_setopt(x->handle.easy, CURLOPT_PIPEWAIT, 0L);
    if (!transport_submit(x)) return false;
  }
  return true;
}
