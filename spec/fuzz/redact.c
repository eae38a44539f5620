/* The search for secrets: two secrets, up to the first and second NUL, and a text to look in. */
#define _GNU_SOURCE /* memmem */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/oauth2/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition) abort();
}

/* The text without the secrets, each of which has to be inside it. */
static struct buffer redacted(const char *const *secrets, const char *text, size_t size) {
  struct buffer out = {0};
  size_t start, length;
  while (redact_find(secrets, 2, text, size, &start, &length)) {
    demand(length > 0 && start <= size && length <= size - start);
    buffer_append(&out, text, start);
    buffer_add(&out, REDACTED);
    text += start + length;
    size -= start + length;
  }
  buffer_append(&out, text, size);
  return out;
}

/* A secret is found within a text that has none, however it is encoded. */
static void check_found(const char *secret, const char *written, size_t size) {
  const char *secrets[] = {secret, NULL};
  struct buffer text = {0};
  buffer_add(&text, "\x01\x02");
  buffer_append(&text, written, size);
  buffer_add(&text, "\x03");
  size_t start, length;
  demand(redact_find(secrets, 2, text.data, text.size, &start, &length));
  demand(start <= 2 && start + length >= 2 + size);
  buffer_free(&text);
}

static void check_encodings(const char *secret) {
  /* check_found's text has nothing of the secret: it would be found from there on, and one that
   * repeats itself (as in corpus/redact/overlap) would end earlier then. */
  if (strlen(secret) < 4 || strpbrk(secret, "\x01\x02") != NULL) return;
  struct buffer form = {0}, json = {0};
  check_found(secret, secret, strlen(secret));
  buffer_add_form_encoded(&form, secret, strlen(secret));
  check_found(secret, form.data, form.size);
  buffer_add_json_string(&json, secret);
  check_found(secret, json.data + 1, json.size - 2);
  buffer_free(&form);
  buffer_free(&json);
}

/* A secret of digits is known by its value. */
static void check_number(const char *secret) {
  size_t size = strlen(secret);
  if (size < 4 || size > 64 || strspn(secret, "0123456789") != size) return;
  const char *secrets[] = {NULL, secret};
  double value = strtod(secret, NULL);
  demand(redact_is_number(secrets, 2, value));
  demand(!redact_is_number(secrets, 2, -value) || value == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *copy = malloc(size + 1);
  if (copy == NULL) abort();
  if (size > 0) memcpy(copy, data, size);
  copy[size] = '\0';
  const char *first = copy, *end = copy + size;
  const char *second = first + strlen(first) + (first + strlen(first) < end);
  const char *text = second + strlen(second) + (second + strlen(second) < end);
  const char *secrets[] = {first, second};
  struct buffer out = redacted(secrets, text, (size_t)(end - text));
  /* What is left holds neither, unless what stands in a secret's place helps to make one. */
  for (int i = 0; i < 2; i++) {
    if (strlen(secrets[i]) >= 4 && strchr(secrets[i], '*') == NULL)
      demand(out.size == 0 || memmem(out.data, out.size, secrets[i], strlen(secrets[i])) == NULL);
    check_encodings(secrets[i]);
    check_number(secrets[i]);
  }
  buffer_free(&out);
  free(copy);
  return 0;
}
