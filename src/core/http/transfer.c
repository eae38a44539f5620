#include "core/http/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/http/curl_error.h"
#include "core/http/internal.h"
#include "core/http/libcurl.h"
#include "core/http/sigpipe.h"
#include "core/http/tls.h"
#include "core/syntax.h"

/* If fewer descriptors than this can be opened, they are taken for the reason of a failure. */
#define MIN_DESCRIPTORS 3

/* ---- why a transfer has failed ---- */

/* Whether more has arrived than libcurl accepts: a header field of more than 100 KB, or more than
 * 64 MB that were decoded at once for a transfer that is paused. */
static bool is_too_large_for_libcurl(const struct transfer *x, CURLcode code) {
  if (code == (CURLcode)QUIRKS_CURLE_TOO_LARGE) return true;
  return libcurl_quirks.reports_size_as_memory && code == CURLE_OUT_OF_MEMORY && x->paused &&
         !x->out_of_memory;
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
 * is known, or for something else that libcurl needs. */
static bool lacks_descriptor(const struct transfer *x, CURLcode code) {
  unsigned flags = curl_error_find(code)->flags;
  if (x->sent_at > 0 || x->out_of_memory) return false;
  return ((flags & CURL_ERROR_SOCKET) != 0 && x->no_descriptor) ||
         ((flags & CURL_ERROR_FILE) != 0 && are_descriptors_short());
}

bool transfer_is_out_of_memory(const struct transfer *x, CURLcode code) {
  return code == CURLE_OUT_OF_MEMORY && !is_too_large_for_libcurl(x, code) &&
         !lacks_descriptor(x, code);
}

/* What is reported of a failure. */
struct report {
  enum failure_kind kind;
  bool retryable;
  const char *prefix, *text; /* of the message */
};

/* Returns libcurl's message. */
static const char *get_error_text(const struct transfer *x, CURLcode code) {
  /* This one goes on with the proxy's URL, which can contain a password. */
  static const char with_password[] = "Unsupported proxy";
  if (*x->error_text == '\0') return curl_easy_strerror(code);
  if (strncmp(x->error_text, with_password, sizeof with_password - 1) == 0)
    return curl_easy_strerror(code);
  return x->error_text;
}

/* What the code means, and what else is known of the transfer. */
static struct report describe_code(const struct transfer *x, CURLcode code) {
  const struct curl_error *error = curl_error_find(code);
  struct report r = {error->kind, error->retryable, "", error->text};
  if (r.text == NULL) r.text = get_error_text(x, code);
  if (code == CURLE_OUT_OF_MEMORY && x->header_bytes > 0 && !x->header_complete)
    r.text = "out of memory, or a header field is too long";
  else if (code == CURLE_PARTIAL_FILE && !x->header_complete)
    r.kind = FAILURE_NETWORK;
  else if (r.kind == FAILURE_ARGUMENT)
    r.prefix = tls_describe(x->transport->options, code, r.text);
  return r;
}

static struct report describe_failure(const struct transfer *x, CURLcode code) {
  if (x->too_large)
    return (struct report){FAILURE_TOO_LARGE, false, "",
                           x->header_bytes > MAX_HEADER_BYTES
                               ? "the header is too large"
                               : "the response exceeds max_response_bytes"};
  if (x->past_deadline)
    return (struct report){FAILURE_TIMEOUT, true, "",
                           "the time was up while the response was unpacked"};
  if (x->no_descriptor) return (struct report){FAILURE_NETWORK, true, "", "too many open files"};
  if (is_too_large_for_libcurl(x, code))
    return (struct report){FAILURE_TOO_LARGE, false, "",
                           x->paused ? "the response unpacks to too much at once"
                                     : "the header is too large"};
  return describe_code(x, x->out_of_memory ? CURLE_OUT_OF_MEMORY : code);
}

static void set_failure(struct transfer *x, CURLcode code) {
  struct failure *f = &x->response.failure;
  struct report r = describe_failure(x, code);
  failure_set(f, r.kind, "%s%s", r.prefix, r.text);
  syntax_make_printable(f->message);
  f->retryable = r.retryable;
}

/* ---- end ---- */

static void read_info(struct transfer *x) {
  struct response *r = &x->response;
  const char *redirect = NULL, *origin = x->handle.origin;
  curl_easy_getinfo(x->handle.easy, CURLINFO_RESPONSE_CODE, &r->status);
  curl_easy_getinfo(x->handle.easy, CURLINFO_REDIRECT_URL, &redirect);
  r->redirect = text_copy(redirect);
  if (r->status != 0 && origin != NULL && strncasecmp(origin, "https:", 6) == 0)
    x->transport->tls_files_work = true;
}

/* Takes the transfer away from libcurl. */
static void release(struct transfer *x, bool succeeded) {
  if (x->handle.easy != NULL || x->handle.url != NULL) {
    struct sigpipe_guard guard;
    sigpipe_block(&guard);
    if (x->transport->multi != NULL && x->handle.easy != NULL)
      curl_multi_remove_handle(x->transport->multi, x->handle.easy);
    handle_release(x, succeeded);
    sigpipe_restore(&guard);
  }
  buffer_free(&x->body);
}

static void note_descriptors(struct transfer *x, CURLcode code) {
  struct transport *t = x->transport->shared != NULL ? x->transport->shared : x->transport;
  /* If it has failed otherwise, it had a socket in the end, for another address. */
  x->no_descriptor = code != CURLE_OK && lacks_descriptor(x, code);
  if (x->no_descriptor) t->lacks_descriptors = true;
}

void transfer_end(struct transfer *x, CURLcode code) {
  note_descriptors(x, code);
  transport_remove_transfer(x);
  x->ended = true;
  x->response.seconds = clock_monotonic() - x->started_at;
  if (x->handle.easy != NULL) read_info(x);
  if (code == CURLE_OK && !x->header_complete) { /* see quirks.c */
    code = CURLE_RECV_ERROR;
    snprintf(x->error_text, sizeof x->error_text, "the connection was closed inside the header");
  }
  /* If receive_body has stopped it, the response is not whole, whatever the code is. */
  bool stopped = x->too_large || x->out_of_memory || x->past_deadline;
  if (stopped || (code != CURLE_OK && !x->error_body_is_full)) set_failure(x, code);
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

/* Returns false, with the failure set, if the TLS files cannot be used. */
static bool check_tls_files(struct transfer *x, const char *url) {
  struct transport *t = x->transport;
  if (t->tls_files_work || strncasecmp(url, "https:", 6) != 0) return true;
  return tls_check_files(t->options, &x->response.failure);
}

struct transfer *transfer_start(struct transport *t, const struct request *request) {
  transport_reset_after_fork(t);
  struct transfer *x = calloc(1, sizeof *x);
  if (x == NULL) return NULL;
  x->transport = t;
  x->max_response_bytes = request->max_response_bytes;
  x->deadline = request->deadline;
  x->streamed = request->streamed;
  x->fresh_connection = request->fresh_connection;
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

const struct response *transfer_progress(struct transfer *x) {
  if (!x->ended) x->response.seconds = clock_monotonic() - x->started_at;
  return &x->response;
}

/* ---- free ---- */

/* Stops a transfer that has not ended. */
static void stop(struct transfer *x) {
  struct transport *t = x->transport;
  enum connection_action action = connection_after_stop(x);
  const struct socket_entry *s = x->socket;
  transport_remove_transfer(x);
  if (action == CONNECTION_DISCARD && x->handle.easy != NULL)
    curl_easy_setopt(x->handle.easy, CURLOPT_FORBID_REUSE, 1L);
  x->ended = true;
  release(x, false);
  if (action == CONNECTION_SHUT_DOWN && s->open) connection_shut_down(t, s);
}

void transfer_free(struct transfer *x) {
  if (x == NULL) return;
  transport_reset_after_fork(x->transport);
  if (!x->ended) stop(x);
  failure_clear(&x->response.failure);
  buffer_free(&x->response.body);
  secret_free(x->response.redirect);
  free(x);
}
