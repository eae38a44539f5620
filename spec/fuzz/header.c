/* receive_field: the header fields that are read, in order. The input is their values, and a line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/http/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition) abort();
}

static void receive(struct transfer *x, const char *name, const uint8_t *value, size_t size) {
  size_t name_size = strlen(name);
  char *field = malloc(name_size + size + 1); /* not a byte more: libcurl does not terminate them */
  if (field == NULL) abort();
  memcpy(field, name, name_size);
  if (size > 0) memcpy(field + name_size, value, size);
  char *exact = realloc(field, name_size + size + (name_size + size == 0));
  if (exact == NULL) abort();
  demand(receive_field(exact, 1, name_size + size, x) == name_size + size);
  free(exact);
}

/* How many codings a list names, as RFC 9110, section 5.6.1, has lists: empty elements count for
 * nothing. `*other`: how many of them are not `known`. */
static unsigned count_codings(const uint8_t *data, size_t size, const char *known,
                              unsigned *other) {
  unsigned count = 0;
  char *text = malloc(size + 1), *rest = text;
  if (text == NULL) abort();
  if (size > 0) memcpy(text, data, size);
  text[size] = '\0';
  *other = 0;
  for (size_t i = 0; i < size; i++)
    if (text[i] == '\0') text[i] = '\1';
  while (rest != NULL) {
    char *comma = strchr(rest, ','), *element = rest + strspn(rest, " \t\r\n");
    if (comma != NULL) *comma = '\0';
    rest = comma == NULL ? NULL : comma + 1;
    size_t length = strlen(element);
    while (length > 0 && strchr(" \t\r\n", element[length - 1]) != NULL)
      length--;
    element[length] = '\0';
    if (length == 0 || strcasecmp(element, "identity") == 0) continue;
    count++;
    if (strcasecmp(element, known) != 0) (*other)++;
  }
  free(text);
  return count;
}

static void check_codings(const uint8_t *data, size_t size) {
  unsigned other;
  struct transport transport = {0};
  struct transfer content = {.transport = &transport}, transfer = {.transport = &transport};
  unsigned count = count_codings(data, size, "chunked", &other);
  receive(&content, "content-encoding:", data, size);
  receive(&transfer, "TRANSFER-ENCODING:", data, size);
  demand(content.content_codings == count && content.refused_coding == (count > 1));
  demand(transfer.content_codings == 0 && transfer.refused_coding == (other > 0));
  receive(&content, "Content-Encoding:", (const uint8_t *)"gzip", 4); /* fields add up */
  demand(content.content_codings == count + 1 && content.refused_coding == (count > 0));
  buffer_free(&content.response.header);
  buffer_free(&transfer.response.header);
}

/* A number is what it says, up to a year. */
static void check_seconds(const struct response *r, const uint8_t *value, size_t size) {
  char text[8] = {0};
  if (size == 0 || size >= sizeof text) return;
  memcpy(text, value, size);
  if (strspn(text, "0123456789") != size) return;
  double seconds = strtod(text, NULL);
  demand(r->has_retry_after && (r->retry_after == seconds || seconds > 365 * 86400));
}

static void check_retry_after(const uint8_t *data, size_t size) {
  static const uint8_t rest[] = " 200", trailer[] = "1";
  struct transport transport = {0};
  struct transfer x = {.transport = &transport};
  const struct response *r = &x.response;
  receive(&x, "", data, size);
  receive(&x, "Date:", data, size / 2);
  receive(&x, "Retry-After:", data + size / 2, size - size / 2);
  receive(&x, "\r\n", data, 0);
  demand(!r->has_retry_after || (r->retry_after >= 0 && r->retry_after <= 365 * 86400));
  demand(r->has_retry_after || r->retry_after == 0);
  check_seconds(r, data + size / 2, size - size / 2);
  bool had = r->has_retry_after;
  double was = r->retry_after;
  receive(&x, "Retry-After:", trailer, sizeof trailer - 1);
  demand(r->has_retry_after == had && r->retry_after == was);
  receive(&x, "HTTP/1.1", rest, sizeof rest - 1); /* a response after a 1xx */
  demand(!r->has_retry_after && !x.refused_coding && x.content_codings == 0);
  buffer_free(&x.response.header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bool is_line_end = size > 0 && (*data == '\r' || *data == '\n');
  if (size > 4096) return 0;
  check_codings(data, size);
  if (!is_line_end) check_retry_after(data, size);
  return 0;
}
