/* Whether a failed request is sent again, and when. */
#ifndef PODERO_RETRY_H
#define PODERO_RETRY_H

#include <stdbool.h>

#include "core/failure.h"

/* Returns whether the same request may succeed after this HTTP status: 408, 429, 500, 502, 503 and
 * 504 (RFC 9110, section 15; RFC 6585, section 4). */
bool retry_is_worthwhile(long status);

/* Returns how many seconds to wait before the next attempt, after `retries` retries: the value of
 * Retry-After if the server has sent it. Otherwise a random time between 0 and a limit that starts
 * at 0.5 s and doubles with each retry up to 16 s: exponential backoff with full jitter, so that
 * clients that failed at the same time do not retry at the same time. */
double retry_pause(const struct failure *failure, unsigned retries);

#endif
