#include "core/retry.h"

#include <stdint.h>

#include "core/entropy.h"

#define FIRST_LIMIT_SECONDS 0.5
#define LAST_LIMIT_SECONDS 16.0

bool retry_is_worthwhile(long status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
         status == 504;
}

/* Returns a random number from 0 up to, but not including, 1. Keeps no state, because parent and
 * child would get the same numbers after a fork. */
static double random_fraction(void) {
  uint32_t bits = 0;
  if (getentropy(&bits, sizeof bits) != 0) return 0.5; /* without entropy, the mean */
  return (double)bits / 4294967296.0;
}

double retry_pause(const struct failure *failure, unsigned retries) {
  if (failure->has_retry_after) return failure->retry_after;
  double limit = FIRST_LIMIT_SECONDS;
  for (; retries > 0 && limit < LAST_LIMIT_SECONDS; retries--)
    limit *= 2;
  return limit * random_fraction();
}
