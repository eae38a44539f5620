/* The two clocks. Whatever is waited for is measured on the monotonic one; the wall clock serves
 * only what leaves the process or comes from outside: `expires_at` and Retry-After dates. */
#ifndef PODERO_CLOCK_H
#define PODERO_CLOCK_H

#include <time.h>

/* Seconds since an arbitrary point; never set back. */
static inline double clock_monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Seconds since 1970 UTC. */
static inline double clock_wall(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#endif
