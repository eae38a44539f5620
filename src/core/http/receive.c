#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/fork.h"
#include "core/http/internal.h"
#include "core/http/sigpipe.h"

/* How much of an error's body is kept: enough to read what went wrong. */
#define MAX_ERROR_BODY_BYTES (64u * 1024)

/* A streamed transfer pauses while this much waits to be taken. */
#define WINDOW_BYTES (256u * 1024)

/* An iteration is stopped after this time if the transfer's deadline has passed: decoding a few
 * compressed bytes can take minutes. What has only waited for its caller is decoded in less. */
#define MAX_ITERATION_SECONDS 0.1

/* ---- the header ---- */

/* Sets the response's Retry-After: a number of seconds or a date (RFC 9110, section 10.2.3). */
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

/* Copies the value of a header field, without the spaces around it. Returns false if the field has
 * another name, or the value is too long. */
static bool get_value(const char *bytes, size_t size, const char *name, char *value,
                      size_t capacity) {
  size_t begin = strlen(name);
  if (size <= begin || size - begin >= capacity || strncasecmp(bytes, name, begin) != 0)
    return false;
  while (begin < size && (bytes[begin] == ' ' || bytes[begin] == '\t'))
    begin++;
  while (size > begin && strchr(" \t\r\n", bytes[size - 1]) != NULL)
    size--;
  memcpy(value, bytes + begin, size - begin);
  value[size - begin] = '\0';
  return true;
}

/* Called for the status line, for each field, and for the empty line after them; again for each
 * response, if a 1xx comes first. `bytes` is not terminated. */
size_t receive_field(char *bytes, size_t one, size_t size, void *user) {
  (void)one;
  struct transfer *x = user;
  char value[64];
  connection_note_bytes(x);
  x->header_bytes += size;
  if (x->header_bytes > MAX_HEADER_BYTES) {
    x->too_large = true;
    return 0;
  }
  if (size >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
    x->response.has_retry_after = false;
    x->header_complete = false;
    if (x->socket != NULL && size > 5 && bytes[5] == '2') x->socket->http2 = true;
    return size;
  }
  if (size > 0 && (*bytes == '\r' || *bytes == '\n')) x->header_complete = true;
  if (get_value(bytes, size, "Retry-After:", value, sizeof value))
    read_retry_after(&x->response, value);
  return size;
}

/* ---- the body ---- */

/* Moves what was not taken to the beginning of the buffer. */
static void compact_window(struct transfer *x) {
  struct buffer *window = &x->response.body;
  if (x->taken == 0) return;
  memmove(window->data, window->data + x->taken, window->size - x->taken);
  window->size -= x->taken;
  x->taken = 0;
}

static bool is_past_deadline(const struct transfer *x) {
  double now = clock_monotonic();
  return now >= x->deadline && now >= x->transport->iteration_began + MAX_ITERATION_SECONDS;
}

/* Any return value but `size` or CURL_WRITEFUNC_PAUSE makes libcurl stop the transfer with an
 * error. transfer_end looks up the reason. */
size_t receive_body(char *bytes, size_t one, size_t size, void *user) {
  (void)one;
  struct transfer *x = user;
  struct response *r = &x->response;
  connection_note_bytes(x);
  if (r->bytes == 0) curl_easy_getinfo(x->handle.easy, CURLINFO_RESPONSE_CODE, &r->status);
  bool success = response_is_success(r);
  if (success && x->streamed) {
    compact_window(x);
    x->paused = r->body.size >= WINDOW_BYTES;
    if (x->paused) return CURL_WRITEFUNC_PAUSE;
  }
  x->transport->made_progress = true;
  x->transport->iteration_bytes += size;
  x->past_deadline = is_past_deadline(x);
  if (x->past_deadline) return 0;
  uint64_t left = (success ? x->max_response_bytes : MAX_ERROR_BODY_BYTES) - r->bytes;
  size_t keep = size <= left ? size : (size_t)left;
  r->bytes += keep;
  if (!success || keep == size) x->out_of_memory = !buffer_append(&r->body, bytes, keep);
  if (keep == size) return x->out_of_memory ? 0 : size;
  x->too_large = success;
  x->error_body_is_full = !success;
  return 0;
}

/* ---- the window of a streamed body ---- */

const char *transfer_bytes(const struct transfer *x, size_t *size) {
  const struct buffer *window = &x->response.body;
  bool is_stream = x->streamed && response_is_success(&x->response);
  *size = is_stream ? window->size - x->taken : 0;
  return *size > 0 ? window->data + x->taken : NULL;
}

/* Tells libcurl to go on, which may call receive_body at once. */
static void resume(struct transfer *x) {
  struct sigpipe_guard guard;
  x->paused = false;
  sigpipe_block(&guard);
  CURLcode code = curl_easy_pause(x->handle.easy, CURLPAUSE_CONT);
  sigpipe_restore(&guard);
  if (code != CURLE_OK) transfer_end(x, code);
}

void transfer_take(struct transfer *x, size_t size) {
  x->taken += size;
  if (x->taken == x->response.body.size) compact_window(x);
  if (!x->paused || x->ended || x->response.body.size - x->taken >= WINDOW_BYTES / 2) return;
  if (x->transport->fork_count != fork_count()) return; /* the connection is the parent's */
  resume(x);
}
