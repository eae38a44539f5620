/* The two clocks.
 *
 * Time limits and pauses use the monotonic clock. The wall clock can be set back, and is used only
 * for times that other programs see or send: when a token expires, and dates in Retry-After.
 *
 *   clock_monotonic, clock_wall */
#ifndef PODERO_CLOCK_H
#define PODERO_CLOCK_H

#include <time.h>

/* Returns seconds since an arbitrary point in the past. Never goes back. */
static inline double clock_monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Returns seconds since 1970-01-01T00:00:00Z. */
static inline double clock_wall(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#endif
