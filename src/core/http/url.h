/* Which URLs credentials and tokens may be sent to.
 *
 *   url_check, url_is_https */
#ifndef PODERO_URL_H
#define PODERO_URL_H

#include <stdbool.h>

#include "core/failure.h"

/* Checks an absolute URL before a token or secret is sent to it.
 *
 * It must have "http://" or "https://" (in upper or lower case), a host without percent-escapes, an
 * optional port, and an optional path that syntax_is_path accepts. A user name, a query or a
 * fragment is refused, even if it is empty. http is refused unless `allow_http` is true or the host
 * is a loopback address or "localhost".
 *
 * Sets `*loopback` to whether the URL is http to a loopback host. Requests to such a host must not
 * go through a proxy that the environment names: they are not encrypted.
 *
 * Returns true if the URL is accepted. Otherwise sets `failure`, which must be FAILURE_NONE before:
 * to FAILURE_ARGUMENT with a message that begins with `name`, or to FAILURE_MEMORY. */
bool url_check(const char *name, const char *url, bool allow_http, bool *loopback,
               struct failure *failure);

/* Returns whether the URL begins with "https:", in upper or lower case. */
bool url_is_https(const char *url);

#endif
