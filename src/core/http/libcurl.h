/* libcurl's global initialization, and what depends on the version that is loaded.
 *
 *   libcurl_init, libcurl_check, libcurl_quirks, libcurl_accept_encoding */
#ifndef PODERO_LIBCURL_H
#define PODERO_LIBCURL_H

#include <stdbool.h>

#include "core/failure.h"
#include "core/http/quirks.h"

/* Initializes libcurl, once per process. Call it before anything else of core/http; further calls
 * do nothing. Thread safe. Returns false if libcurl cannot be initialized. It is never cleaned up,
 * because other parts of the program may use libcurl. */
bool libcurl_init(void);

/* Calls libcurl_init. Returns false and sets `failure` (FAILURE_ARGUMENT) if the loaded libcurl is
 * older than QUIRKS_OLDEST_VERSION: the module may have been built with a newer one. */
bool libcurl_check(struct failure *failure);

/* The quirks of the loaded libcurl. Set by libcurl_init, and not changed after that. */
extern struct quirks libcurl_quirks;

/* The value of Accept-Encoding: the content codings that the loaded libcurl decodes. Set by
 * libcurl_init, and not changed after that. */
extern char libcurl_accept_encoding[sizeof "deflate, gzip, br, zstd"];

#endif
