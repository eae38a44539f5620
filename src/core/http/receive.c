#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fork.h"
#include "core/http/internal.h"
#include "core/span.h"
#include "core/syntax.h"

/* How much of an error's body is kept: enough to read what went wrong. */
#define MAX_ERROR_BODY_BYTES (64u * 1024)

/* A longer Retry-After counts as a year. */
#define MAX_RETRY_AFTER_SECONDS (365.0 * 86400)

/* A streamed transfer pauses while this much waits to be taken. */
#define WINDOW_BYTES (256u * 1024)

/* ---- the header ---- */

/* Sets `*value` to the value of a header field. Returns false if the field does not have this name,
 * which includes the colon. */
static bool find_value(struct span field, const char *name, struct span *value) {
  size_t size = strlen(name);
  if (field.size < size || !syntax_is_same(field.start, name, size)) return false;
  *value = span_trim((struct span){field.start + size, field.size - size});
  return true;
}

/* Copies a value, or an empty string if it is too long. */
static void copy_value(struct span value, char *out, size_t capacity) {
  if (value.size >= capacity) value.size = 0;
  if (value.size > 0) memcpy(out, value.start, value.size);
  out[value.size] = '\0';
}

/* Removes the first element of a comma-separated list, and returns it without white space at its
 * ends. */
static struct span next_element(struct span *list) {
  const char *comma = memchr(list->start, ',', list->size);
  struct span element = {list->start, comma != NULL ? (size_t)(comma - list->start) : list->size};
  size_t taken = element.size + (comma != NULL ? 1 : 0);
  list->start += taken;
  list->size -= taken;
  return span_trim(element);
}

/* Notes the codings that a field names. A response may have one content coding, and no transfer
 * coding except chunked: libcurl can take hours to decode a few bytes in several codings. */
static void note_codings(struct transfer *x, struct span value, bool for_transfer) {
  while (value.size > 0) {
    struct span coding = next_element(&value);
    if (coding.size == 0 || span_is(coding, "identity")) continue;
    if (for_transfer ? !span_is(coding, "chunked") : ++x->content_codings > 1)
      x->refused_coding = true;
  }
}

/* Returns the time of a date in one of HTTP's formats, or -1. */
static time_t read_date(const char *value) {
  if (strlen(value) < sizeof "Sun Nov  6 08:49:37 1994" - 1) return -1;
  return curl_getdate(value, NULL);
}

/* Sets the response's Retry-After: a number of seconds or a date (RFC 9110, section 10.2.3), which
 * is measured against the server's clock if the response has a Date. */
static void read_retry_after(struct transfer *x) {
  struct response *r = &x->response;
  const char *value = x->retry_after;
  size_t digits = strspn(value, "0123456789");
  double seconds;
  if (digits > 0 && value[digits] == '\0') {
    seconds = strtod(value, NULL);
  } else {
    time_t date = digits == 0 ? read_date(value) : -1, now = read_date(x->date);
    if (date == -1) return;
    seconds = ceil((double)date - (now != -1 ? (double)now : clock_wall()));
  }
  r->retry_after = fmin(fmax(seconds, 0), MAX_RETRY_AFTER_SECONDS);
  r->has_retry_after = true;
}

/* Whether a Content-Type names HTML, with or without parameters (RFC 9110, section 8.3.1). */
static bool is_html(struct span type) {
  const char *parameters = memchr(type.start, ';', type.size);
  if (parameters != NULL) type.size = (size_t)(parameters - type.start);
  type = span_trim(type);
  return span_is(type, "text/html") || span_is(type, "application/xhtml+xml");
}

/* Whether the line is a status line. It is not enough that it looks like one: fields can, too, even
 * those of a trailer. */
static bool begins_header(const struct transfer *x, struct span line) {
  bool is_due = !x->in_header && x->response.status < 200;
  return is_due && line.size >= 5 && memcmp(line.start, "HTTP/", 5) == 0;
}

/* Begins the header of a response. The codings of a 1xx response are kept, because libcurl decodes
 * the body of the final response by them, too. Those of a response to CONNECT are dropped, as
 * libcurl ignores them. */
static void begin_header(struct transfer *x, struct span line) {
  x->response.has_retry_after = x->response.is_html = false;
  x->in_header = true;
  x->header_complete = false;
  if (x->response.status == 0) {
    x->refused_coding = false;
    x->content_codings = 0;
  }
  connection_note_proxy(x);
  *x->retry_after = *x->date = '\0';
  buffer_free(&x->response.header); /* of a 1xx response */
  if (x->socket != NULL && line.size > 5 && line.start[5] == '2') x->socket->http2 = true;
}

/* Returns false if out of memory. */
static bool read_field(struct transfer *x, struct span field) {
  struct span value;
  if (find_value(field, "Retry-After:", &value))
    copy_value(value, x->retry_after, sizeof x->retry_after);
  else if (find_value(field, "Date:", &value))
    copy_value(value, x->date, sizeof x->date);
  else if (find_value(field, "Content-Type:", &value))
    x->response.is_html = is_html(value);
  else if (find_value(field, "Content-Encoding:", &value))
    note_codings(x, value, false);
  else if (find_value(field, "Transfer-Encoding:", &value))
    note_codings(x, value, true);
  x->out_of_memory = !buffer_append(&x->response.header, field.start, field.size);
  return !x->out_of_memory;
}

/* Whether this is a proxy's response to CONNECT that refuses the tunnel. */
static bool is_tunnel_refused(const struct transfer *x) {
  long status = 0;
  if (x->response.status == 0)
    curl_easy_getinfo(x->handle.easy, CURLINFO_HTTP_CONNECTCODE, &status);
  return status >= 300;
}

/* Ends the header of a response. Returns false if the body must not be read. The status of a
 * proxy's response to CONNECT is not that of the transfer, which stays 0. */
static bool end_header(struct transfer *x) {
  struct response *r = &x->response;
  struct transport *t = x->transport;
  x->in_header = false;
  x->header_complete = true;
  read_retry_after(x);
  curl_easy_getinfo(x->handle.easy, CURLINFO_RESPONSE_CODE, &r->status);
  if (r->status < 200) return !is_tunnel_refused(x);
  if (response_is_success(r) && x->uncoded && x->content_codings > 0) x->refused_coding = true;
  if (!response_is_success(r)) {
    x->error_body_until = clock_monotonic() + MAX_ERROR_BODY_SECONDS;
    transport_note_error_body(t, x->error_body_until);
  } else if (x->content_codings > 0) {
    t->has_received_coded = true;
  } else {
    t->has_received_uncoded = true;
  }
  return !x->refused_coding;
}

/* Called for the status line, for each field, and for the empty line after them; for each response,
 * if a 1xx response comes first; and for the fields of a trailer, which are ignored. `bytes` does
 * not end in a NUL. */
size_t receive_field(char *bytes, size_t one, size_t size, void *user) {
  (void)one;
  struct transfer *x = user;
  struct span line = {bytes, size};
  connection_note_bytes(x);
  x->header_bytes += size;
  x->field_too_large = size > MAX_FIELD_BYTES;
  x->too_large = x->field_too_large || x->header_bytes > MAX_HEADER_BYTES;
  if (x->too_large) return 0;
  if (begins_header(x, line))
    begin_header(x, line);
  else if (x->header_complete)
    return size;
  else if (size > 0 && (*bytes == '\r' || *bytes == '\n'))
    return end_header(x) ? size : 0;
  return read_field(x, line) ? size : 0;
}

/* ---- the body ---- */

/* Moves the bytes that were not taken to the beginning of the buffer. */
static void compact_window(struct transfer *x) {
  struct buffer *window = &x->response.body;
  if (x->taken == 0) return;
  memmove(window->data, window->data + x->taken, window->size - x->taken);
  window->size -= x->taken;
  x->taken = 0;
}

static bool is_past_deadline(const struct transfer *x) {
  double now = clock_monotonic();
  return now >= fmin(x->deadline, x->error_body_until) &&
         now >= x->transport->iteration_began + MAX_ITERATION_SECONDS;
}

/* Any return value but `size` or CURL_WRITEFUNC_PAUSE makes libcurl stop the transfer with an
 * error. transfer_end looks up the reason. */
size_t receive_body(char *bytes, size_t one, size_t size, void *user) {
  (void)one;
  struct transfer *x = user;
  struct response *r = &x->response;
  connection_note_bytes(x);
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
  return 0;
}

/* ---- the window of a streamed body ---- */

const char *transfer_bytes(const struct transfer *x, size_t *size) {
  const struct buffer *window = &x->response.body;
  bool is_stream = x->streamed && response_is_success(&x->response);
  *size = is_stream ? window->size - x->taken : 0;
  return *size > 0 ? window->data + x->taken : NULL;
}

/* Resumes the transfer. libcurl may call receive_body at once. */
static void resume(struct transfer *x) {
  struct sigpipe_guard guard;
  x->paused = false;
  transport_enter(x->transport, &guard);
  CURLcode code = curl_easy_pause(x->handle.easy, CURLPAUSE_CONT);
  transport_leave(x->transport, &guard);
  if (code != CURLE_OK) transfer_end(x, code);
}

void transfer_take(struct transfer *x, size_t size) {
  x->taken += size;
  if (x->taken == x->response.body.size) compact_window(x);
  if (!x->paused || x->ended || x->response.body.size - x->taken >= WINDOW_BYTES / 2) return;
  if (x->transport->fork_count != fork_count()) return; /* the connection is the parent's */
  resume(x);
}
