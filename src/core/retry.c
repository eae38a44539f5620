#include "core/retry.h"

#include <stdint.h>
#include <sys/random.h>

#define FIRST_BOUND_SECONDS 0.5
#define LAST_BOUND_SECONDS 16.0

bool retry_is_worthwhile(long status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
         status == 504;
}

/* Between 0 and 1. Asks the system each time: no state that forked processes would share. */
static double random_fraction(void) {
  uint32_t bits = 0;
  if (getentropy(&bits, sizeof bits) != 0) return 0.5; /* no entropy: the middle is a fair pause */
  return (double)bits / 4294967296.0;
}

double retry_pause(const struct failure *failure, unsigned retries) {
  if (failure->has_retry_after) return failure->retry_after;
  double bound = FIRST_BOUND_SECONDS;
  for (; retries > 0 && bound < LAST_BOUND_SECONDS; retries--)
    bound *= 2;
  return bound * random_fraction();
}
