/* Parses date-times as in the API's responses (OpenAPI's `format: date-time`). */
#ifndef PODERO_RFC3339_H
#define PODERO_RFC3339_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A point in time. */
struct instant {
  int64_t seconds;   /* since 1970-01-01T00:00:00Z */
  double fraction;   /* to be added, in seconds; 0 <= fraction < 1 */
  bool has_fraction; /* the text has a fraction, even if it is .0 */
};

/* Parses a date-time (RFC 3339, section 5.6) of `size` bytes into `out`. Returns NULL on success,
 * otherwise an error message, a static string; `out` is undefined then.
 *
 * Also accepts a space in place of "T", and lower-case "t" and "z". Second 60 is accepted at the
 * end of a UTC day, where leap seconds are inserted, and is the same as second 0 of the next
 * minute, as in POSIX time. */
const char *rfc3339_parse(const char *text, size_t size, struct instant *out);

#endif
