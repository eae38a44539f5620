/* The passwords in the URLs of proxies, which are redacted from messages.
 *
 *   proxy_secrets_read, proxy_secrets_clear */
#ifndef PODERO_PROXY_SECRETS_H
#define PODERO_PROXY_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

/* Two for each of five environment variables: the password and the Basic credentials. */
#define PROXY_SECRETS_MAX 10

/* Initialize with zeros, release with proxy_secrets_clear. Strings are owned; those from `count` on
 * are NULL. */
struct proxy_secrets {
  char *texts[PROXY_SECRETS_MAX];
  size_t count;
};

/* Adds the secrets of a proxy URL such as "http://user:password@host:1" to `out`, which must be
 * zero: the password, percent-decoded, and the base64 text that HTTP Basic makes of user and
 * password (RFC 7617). A user name without a password is not secret. `url` can be ""; if it is
 * NULL, the environment variables from which libcurl may take a proxy are read. Returns false if
 * out of memory. Clear `out` in either case. */
bool proxy_secrets_read(const char *url, struct proxy_secrets *out);

/* Overwrites and frees the strings, and makes the struct zero. */
void proxy_secrets_clear(struct proxy_secrets *secrets);

#endif
