/* What the URLs of proxies hold that must not be seen. */
#ifndef PODERO_PROXY_SECRETS_H
#define PODERO_PROXY_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

/* Of each of five variables of the environment, the password and the Basic credential. */
#define PROXY_SECRETS_MAX 10

/* All zero holds none. */
struct proxy_secrets {
  char *texts[PROXY_SECRETS_MAX];
  size_t count;
};

/* Fills `out`, which must be all zero, with the secrets in the URL of a proxy
 * ("http://user:password@host:1"; "" for no proxy), or if `url` is NULL in all URLs of the
 * environment that libcurl may use: the password, without its percent-encoding, and user and
 * password as a Basic credential (RFC 7617). The user's name alone is no secret. False when memory
 * is short. In either case `out` is to be cleared by its owner. */
bool proxy_secrets_read(const char *url, struct proxy_secrets *out);

/* Wipes and frees the texts, and leaves none. */
void proxy_secrets_clear(struct proxy_secrets *secrets);

#endif
