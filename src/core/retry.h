/* What deserves another attempt, and when. Whoever knows an outcome writes into the failure itself
 * whether it does (`retryable`). */
#ifndef PODERO_RETRY_H
#define PODERO_RETRY_H

#include <stdbool.h>

#include "core/failure.h"

/* Statuses after which the same request may succeed (RFC 9110, 15; RFC 6585, 4): 408, 429, 500,
 * 502, 503 and 504. */
bool retry_is_worthwhile(long status);

/* Seconds to pause before the next attempt. `retries` attempts were already repeated. What the
 * server asked for wins; else the pause is drawn between 0 and a bound that doubles ("full
 * jitter"), so that clients that failed together do not come back together. */
double retry_pause(const struct failure *failure, unsigned retries);

#endif
