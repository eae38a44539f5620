#include "core/http/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/http/curl_error.h"
#include "core/http/internal.h"
#include "core/http/libcurl.h"
#include "core/http/tls.h"
#include "core/http/url.h"
#include "core/syntax.h"

/* If fewer descriptors than this can be opened, a failure is attributed to that. */
#define MIN_DESCRIPTORS 3

/* ---- why a transfer has failed ---- */

/* Whether libcurl's message begins with this text. */
static bool begins_error(const struct transfer *x, const char *text) {
  return strncmp(x->error_text, text, strlen(text)) == 0;
}

/* Whether a header field is longer than libcurl accepts: far more bytes were read than the complete
 * fields account for. */
static bool has_long_field(const struct transfer *x) {
  return x->sent_at > 0 && !x->header_complete &&
         connection_count_read(x) > x->header_bytes + MAX_FIELD_BYTES;
}

/* Whether more has arrived than libcurl accepts: a header field of more than 100 KB, or more than
 * 64 MB decoded at once for a paused transfer. */
static bool is_too_large_for_libcurl(const struct transfer *x, CURLcode code) {
  if (code == (CURLcode)QUIRKS_CURLE_TOO_LARGE) return true;
  return libcurl_quirks.reports_size_as_memory && code == CURLE_OUT_OF_MEMORY &&
         !x->out_of_memory && (x->paused || has_long_field(x));
}

/* Whether the process can open hardly any more files. */
static bool are_descriptors_short(void) {
  int opened[MIN_DESCRIPTORS], count = 0;
  bool short_of = false;
  while (count < MIN_DESCRIPTORS && !short_of) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    short_of = fd < 0 && (errno == EMFILE || errno == ENFILE);
    if (fd < 0) break;
    opened[count++] = fd;
  }
  while (count > 0)
    close(opened[--count]);
  return short_of;
}

/* Whether the transfer has failed because the process had no descriptor left: for its socket, which
 * is known for certain, or for something else that libcurl needs. */
static bool lacks_descriptor(const struct transfer *x, CURLcode code) {
  unsigned flags = curl_error_find(code)->flags;
  if (x->sent_at > 0 || x->out_of_memory) return false;
  return ((flags & CURL_ERROR_SOCKET) != 0 && x->no_descriptor) ||
         ((flags & CURL_ERROR_FILE) != 0 && are_descriptors_short());
}

/* If libcurl cannot allocate the text of the URL, it reports that there is no URL, though there
 * always is one. */
CURLcode transfer_correct_code(const struct transfer *x, CURLcode code) {
  if (code == CURLE_URL_MALFORMAT && begins_error(x, "No URL set")) return CURLE_OUT_OF_MEMORY;
  if (code == CURLE_BAD_FUNCTION_ARGUMENT && begins_error(x, "unable to set private key"))
    return CURLE_SSL_CERTPROBLEM;
  return code;
}

bool transfer_is_out_of_memory(const struct transfer *x, CURLcode code) {
  return code == CURLE_OUT_OF_MEMORY && !is_too_large_for_libcurl(x, code) &&
         !lacks_descriptor(x, code);
}

/* Whether the codings of the response were refused, by receive.c or by libcurl, which accepts
 * five. */
static bool is_coding_refused(const struct transfer *x, CURLcode code) {
  return (x->refused_coding && x->header_complete) ||
         (code == CURLE_BAD_CONTENT_ENCODING && !x->header_complete);
}

/* What to report about a failure. */
struct report {
  enum failure_kind kind;
  bool retryable;
  const char *prefix, *text; /* of the message */
};

/* Whether libcurl does not know the scheme of the proxy's URL, or cannot parse it. There is no code
 * for it, and its message contains the URL, which can contain a password. */
static bool is_proxy_unusable(const struct transfer *x) {
  return begins_error(x, "Unsupported proxy");
}

/* Whether the connection ended during the handshake or before the response, after the server had
 * asked for a client certificate. With TLS 1.3, the handshake ends before the server has checked
 * the certificate. */
static bool is_certificate_refused(const struct transfer *x, CURLcode code) {
  const struct transport *t = x->transport;
  if (!t->asked_for_certificate || t->tls_files_work || x->header_bytes > 0) return false;
  return code == CURLE_SSL_CONNECT_ERROR || (curl_error_find(code)->flags & CURL_ERROR_LOST) != 0;
}

/* Whether libcurl has refused the number of header fields, not their size. */
static bool has_too_many_fields(const struct transfer *x) {
  return begins_error(x, "Too many response headers");
}

/* Describes a failure from libcurl's code and what else is known of the transfer. */
static struct report describe_code(const struct transfer *x, CURLcode code) {
  const struct curl_error *error = curl_error_find(code);
  struct report r = {error->kind, error->retryable, "", error->text};
  if (r.text == NULL) r.text = *x->error_text != '\0' ? x->error_text : curl_easy_strerror(code);
  if (r.kind == FAILURE_TOO_LARGE && has_too_many_fields(x))
    r.text = "the header has more fields than libcurl accepts";
  else if (r.kind == FAILURE_TOO_LARGE && x->paused)
    r.text = "the response decompresses to too much data at once";
  if (code == CURLE_PARTIAL_FILE && !x->header_complete)
    r.kind = FAILURE_NETWORK;
  else if (r.kind == FAILURE_ARGUMENT)
    r.prefix = tls_describe(x->transport->options, code, r.text);
  else if (is_certificate_refused(x, code))
    r.prefix = tls_describe_refusal(x->transport->options, r.text);
  return r;
}

/* Returns the message for a transfer that was stopped because of `too_large`. */
static const char *get_size_text(const struct transfer *x) {
  if (x->field_too_large) return "a header field is longer than 64 KB";
  return x->header_bytes > MAX_HEADER_BYTES ? "the header is longer than 256 KB"
                                            : "the response exceeds max_response_bytes";
}

static const char *get_coding_text(const struct transfer *x) {
  return x->uncoded && x->content_codings == 1
             ? "the response is in a content coding, which was not asked for"
             : "the response has more than one coding, which is not supported";
}

static struct report describe_failure(const struct transfer *x, CURLcode code) {
  if (x->too_large) return (struct report){FAILURE_TOO_LARGE, false, "", get_size_text(x)};
  if (is_coding_refused(x, code))
    return (struct report){FAILURE_DECODE, false, "", get_coding_text(x)};
  if (x->past_deadline)
    return (struct report){FAILURE_TIMEOUT, true, "",
                           "the time limit was exceeded while the response was decompressed"};
  if (x->no_descriptor) return (struct report){FAILURE_NETWORK, true, "", "too many open files"};
  if (x->transport->read_too_long && (curl_error_find(code)->flags & CURL_ERROR_LOST) != 0)
    return (struct report){FAILURE_NETWORK, true, "",
                           "the server keeps sending data that is not part of a response"};
  if (x->repeat_stopped)
    return (struct report){FAILURE_NETWORK, true, "",
                           "the server did not accept the request, which is not sent again"};
  if (is_proxy_unusable(x))
    return (struct report){FAILURE_ARGUMENT, false, "",
                           "the proxy's URL is malformed, or libcurl does not know its scheme"};
  if (is_too_large_for_libcurl(x, code)) code = (CURLcode)QUIRKS_CURLE_TOO_LARGE;
  return describe_code(x, x->out_of_memory ? CURLE_OUT_OF_MEMORY : code);
}

/* Sets the failure if a proxy has refused CONNECT; otherwise returns false. The message names the
 * proxy's address, not its URL, which can contain a password. */
static bool set_proxy_failure(struct transfer *x) {
  struct failure *f = &x->response.failure;
  long status = 0;
  if (x->handle.easy == NULL || x->response.status != 0) return false;
  curl_easy_getinfo(x->handle.easy, CURLINFO_HTTP_CONNECTCODE, &status);
  if (status < 300) return false;
  failure_set(f, FAILURE_NETWORK, "the proxy %s%sanswered CONNECT with HTTP %ld", x->proxy,
              *x->proxy != '\0' ? " " : "", status);
  f->retryable = status == 408 || status == 429 || status >= 500;
  return true;
}

static void set_failure(struct transfer *x, CURLcode code) {
  struct failure *f = &x->response.failure;
  struct report r = describe_failure(x, code);
  failure_set(f, r.kind, "%s%s", r.prefix, r.text);
  syntax_make_printable(f->message);
  f->retryable = r.retryable;
}

/* ---- end ---- */

/* Sets what is only reported in events. If no request was sent, there may have been no connection
 * at all; since libcurl then counts no new connection, it would look like a reused one. */
static void read_times(struct transfer *x) {
  struct response *r = &x->response;
  long made = 1;
  if (x->first_byte_at > 0) r->first_byte = fmax(x->first_byte_at - x->started_at, 0);
  if (x->handle.easy == NULL || (x->sent_at == 0 && r->status == 0)) return;
  curl_easy_getinfo(x->handle.easy, CURLINFO_NUM_CONNECTS, &made);
  r->reused = made == 0;
}

static void read_info(struct transfer *x) {
  struct response *r = &x->response;
  const char *redirect = NULL, *origin = x->handle.origin;
  curl_easy_getinfo(x->handle.easy, CURLINFO_RESPONSE_CODE, &r->status);
  curl_easy_getinfo(x->handle.easy, CURLINFO_REDIRECT_URL, &redirect);
  r->redirect = text_copy(redirect);
  if (r->status != 0 && origin != NULL && url_is_https(origin)) x->transport->tls_files_work = true;
}

/* Removes the transfer from libcurl, and releases its handle and the request's body. */
static void release(struct transfer *x, bool succeeded) {
  if (x->handle.easy != NULL || x->handle.url != NULL) {
    struct sigpipe_guard guard;
    transport_enter(x->transport, &guard);
    if (x->transport->multi != NULL && x->handle.easy != NULL)
      curl_multi_remove_handle(x->transport->multi, x->handle.easy);
    handle_release(x, succeeded);
    transport_leave(x->transport, &guard);
  }
  buffer_free(&x->body);
}

static void note_descriptors(struct transfer *x, CURLcode code) {
  struct transport *t = x->transport->shared != NULL ? x->transport->shared : x->transport;
  /* If it failed for another reason, a socket for another address was opened after all. */
  x->no_descriptor = code != CURLE_OK && lacks_descriptor(x, code);
  if (x->no_descriptor) t->lacks_descriptors = true;
}

/* Whether the header of a response has arrived whose status is not 2xx. If it has too many codings,
 * libcurl has stopped within the header. */
static bool has_error_status(const struct transfer *x, CURLcode code) {
  return (x->header_complete || is_coding_refused(x, code)) && x->response.status >= 200 &&
         !response_is_success(&x->response);
}

/* Whether there is no usable response. The status of an error outranks whatever happened to its
 * body, except for running out of memory. If receiving was stopped, the response is incomplete,
 * whatever the code is. */
static bool has_failed(const struct transfer *x, CURLcode code) {
  if (x->out_of_memory || transfer_is_out_of_memory(x, code)) return true;
  if (has_error_status(x, code)) return false;
  return code != CURLE_OK || x->too_large || x->past_deadline || x->refused_coding;
}

void transfer_end(struct transfer *x, CURLcode code) {
  note_descriptors(x, code);
  transport_remove_transfer(x);
  x->ended = true;
  x->response.seconds = clock_monotonic() - x->started_at;
  x->was_sent = x->handle.easy != NULL && connection_sent_at(x) > 0;
  if (x->handle.easy != NULL) read_info(x);
  read_times(x);
  if (code == CURLE_OK && !x->header_complete) { /* see quirks.c */
    code = CURLE_RECV_ERROR;
    snprintf(x->error_text, sizeof x->error_text, "the connection was closed inside the header");
  }
  if (has_failed(x, code) && !set_proxy_failure(x)) set_failure(x, code);
  release(x, code == CURLE_OK);
}

/* ---- start ---- */

/* Hands the transfer to libcurl, or puts it in the queue of max_connections. */
static CURLcode begin(struct transfer *x, const struct request *request) {
  struct transport *t = x->transport;
  if (t->multi == NULL && !transport_open(t)) return CURLE_OUT_OF_MEMORY;
  CURLcode code = handle_acquire(x, request);
  if (code != CURLE_OK) return code;
  if (t->shared != NULL && !t->admitted)
    connection_limit_enter(t);
  else if (!transport_submit(x))
    return CURLE_OUT_OF_MEMORY;
  return CURLE_OK;
}

/* Returns false and sets the failure if the TLS files cannot be used. */
static bool check_tls_files(struct transfer *x, const char *url) {
  struct transport *t = x->transport;
  if (t->tls_files_work || !url_is_https(url)) return true;
  return tls_check_files(t->options, &x->response.failure);
}

struct transfer *transfer_start(struct transport *t, const struct request *request) {
  transport_reset_after_fork(t);
  struct transfer *x = calloc(1, sizeof *x);
  if (x == NULL) return NULL;
  x->transport = t;
  x->max_response_bytes = request->max_response_bytes;
  x->deadline = request->deadline;
  x->uncoded = request->uncoded;
  x->streamed = request->streamed;
  x->fresh_connection = request->fresh_connection;
  x->error_body_until = INFINITY;
  x->started_at = clock_monotonic();
  x->ended = !check_tls_files(x, request->url);
  if (x->ended) return x;
  transport_add_transfer(x);
  CURLcode code = begin(x, request);
  if (code != CURLE_OK) transfer_end(x, code);
  return x;
}

/* ---- response ---- */

struct response *transfer_response(struct transfer *x) {
  return x->ended ? &x->response : NULL;
}

bool transfer_was_sent(const struct transfer *x) {
  return x->ended ? x->was_sent : x->handle.easy != NULL && connection_sent_at(x) > 0;
}

void transfer_take_header(struct transfer *x, struct buffer *header) {
  *header = x->response.header;
  x->response.header = (struct buffer){0};
}

const struct response *transfer_progress(struct transfer *x) {
  if (!x->ended) x->response.seconds = clock_monotonic() - x->started_at;
  return &x->response;
}

const struct response *transfer_report(struct transfer *x) {
  if (!x->ended) read_times(x);
  return transfer_progress(x);
}

/* ---- stop, free ---- */

void transfer_stop(struct transfer *x) {
  struct transport *t = x->transport;
  enum connection_action action = connection_after_stop(x);
  const struct socket_entry *s = x->socket;
  if (action == CONNECTION_DISCARD && x->handle.easy != NULL)
    curl_easy_setopt(x->handle.easy, CURLOPT_FORBID_REUSE, 1L);
  transfer_end(x, CURLE_OPERATION_TIMEDOUT);
  if (action == CONNECTION_SHUT_DOWN && s->open) connection_shut_down(t, s);
}

void transfer_end_error_body(struct transfer *x) {
  transport_reset_after_fork(x->transport);
  if (!x->ended && has_error_status(x, CURLE_OK)) transfer_stop(x);
}

void transfer_free(struct transfer *x) {
  if (x == NULL) return;
  transport_reset_after_fork(x->transport);
  if (!x->ended) transfer_stop(x);
  failure_clear(&x->response.failure);
  buffer_free(&x->response.header);
  buffer_free(&x->response.body);
  secret_free(x->response.redirect);
  free(x);
}
