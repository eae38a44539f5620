/* Fuzzes receive_field: the fields of a response's header that are read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/http/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void receive(struct transfer *x, const char *name, const uint8_t *value, size_t size) {
  size_t name_size = strlen(name);
  char *field = malloc(name_size + size); /* not a byte more: libcurl does not terminate fields */
  if (field == NULL) abort();
  memcpy(field, name, name_size);
  if (size > 0) memcpy(field + name_size, value, size);
  if (receive_field(field, 1, name_size + size, x) != name_size + size) abort();
  free(field);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t rest[] = " 200";
  struct transport transport = {0};
  struct transfer x = {.transport = &transport};
  if (size > 4096 || (size > 0 && (*data == '\r' || *data == '\n'))) return 0;
  receive(&x, "", data, size);
  receive(&x, "Date:", data, size / 2);
  receive(&x, "Content-Encoding:", data, size);
  receive(&x, "Transfer-Encoding:", data, size);
  receive(&x, "Retry-After:", data + size / 2, size - size / 2);
  receive(&x, "\r\n", data, 0);
  const struct response *r = &x.response;
  if (r->has_retry_after && !(r->retry_after >= 0 && r->retry_after <= 366 * 86400)) abort();
  if (!r->has_retry_after && r->retry_after != 0) abort();
  receive(&x, "HTTP/1.1", rest, sizeof rest - 1);
  if (r->has_retry_after) abort();
  return 0;
}
