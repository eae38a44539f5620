/* Date-times of the API: OpenAPI's `format: date-time`. */
#ifndef PODERO_RFC3339_H
#define PODERO_RFC3339_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct instant {
  int64_t seconds;   /* since 1970-01-01T00:00:00Z */
  double fraction;   /* of a second, 0 <= fraction < 1 */
  bool has_fraction; /* the text has one, be it .0 */
};

/* Reads a date-time (RFC 3339, 5.6). Returns NULL, or what is wrong with the text, a static
 * string. Second 60 is accepted wherever a leap second can stand, and counts as the second that
 * follows, as POSIX time has it. */
const char *rfc3339_parse(const char *text, size_t size, struct instant *out);

#endif
