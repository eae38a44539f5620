#include "core/proxy_secrets.h"

#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/hex.h"

/* Appends a part of a URL, percent-decoded (RFC 3986, section 2.1). A "%" without two hexadecimal
 * digits is kept. */
static void add_decoded(struct buffer *out, const char *text, size_t size) {
  for (size_t i = 0; i < size; i++) {
    int high = text[i] == '%' && size - i > 2 ? hex_value(text[i + 1]) : -1;
    int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    char c = low >= 0 ? (char)(high * 16 + low) : text[i];
    if (low >= 0) i += 2;
    buffer_append(out, &c, 1);
  }
}

/* Adds the buffer's bytes, which `out` then owns. Returns false if the buffer has failed. */
static bool add_secret(struct proxy_secrets *out, struct buffer *secret) {
  bool ok = !secret->failed;
  if (ok)
    out->texts[out->count++] = secret->data;
  else
    buffer_free(secret);
  *secret = (struct buffer){0};
  return ok;
}

/* Adds the secrets of a URL's userinfo, "user:password" (RFC 3986, section 3.2.1). Returns false if
 * out of memory. */
static bool add_userinfo(struct proxy_secrets *out, const char *userinfo, size_t size) {
  const char *colon = memchr(userinfo, ':', size);
  if (colon == NULL) return true;
  struct buffer password = {0}, pair = {0}, basic = {0};
  add_decoded(&password, colon + 1, size - (size_t)(colon + 1 - userinfo));
  add_decoded(&pair, userinfo, size);
  if (!pair.failed) buffer_add_base64(&basic, pair.data, pair.size);
  basic.failed = basic.failed || pair.failed;
  buffer_free(&pair);
  if (password.size == 0 && !password.failed) { /* "user:@host" */
    buffer_free(&basic);
    return true;
  }
  bool ok = add_secret(out, &password);
  return add_secret(out, &basic) && ok;
}

/* The userinfo ends at the last "@" before the path, as libcurl reads it: a password may contain
 * "@". */
static bool read_url(const char *url, struct proxy_secrets *out) {
  const char *scheme = strstr(url, "://");
  if (scheme != NULL) url = scheme + 3;
  size_t size = strcspn(url, "/?#"), at = size;
  while (at > 0 && url[at - 1] != '@')
    at--;
  return at == 0 || add_userinfo(out, url, at - 1);
}

bool proxy_secrets_read(const char *url, struct proxy_secrets *out) {
  static const char *const variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                          "ALL_PROXY"};
  _Static_assert(2 * sizeof variables / sizeof *variables == PROXY_SECRETS_MAX, "two for each");
  if (url != NULL) return read_url(url, out);
  bool ok = true;
  for (size_t i = 0; i < sizeof variables / sizeof *variables && ok; i++) {
    const char *value = getenv(variables[i]);
    if (value != NULL) ok = read_url(value, out);
  }
  return ok;
}

void proxy_secrets_clear(struct proxy_secrets *secrets) {
  for (size_t i = 0; i < secrets->count; i++)
    secret_free(secrets->texts[i]);
  *secrets = (struct proxy_secrets){0};
}
