/* Numbers to text and back: exact, and independent of the locale. Nothing here allocates memory. */
#ifndef PODERO_NUMBER_H
#define PODERO_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum number_type {
  NUMBER_IS_INTEGER,  /* without fraction and exponent, and int64_t can hold it */
  NUMBER_IS_DOUBLE,   /* any other number, and -0 */
  NUMBER_IS_TOO_LARGE /* beyond the largest double */
};

/* Reads a number of `size` bytes, which need not be terminated by a NUL. They must be a number as
 * in RFC 8259, section 6; this is not checked. Sets `*integer` if it returns NUMBER_IS_INTEGER, and
 * `*number` if it returns NUMBER_IS_DOUBLE: to the nearest double, or to the even one of two that
 * are equally near. Takes time in proportion to `size`. */
enum number_type number_read(const char *text, size_t size, int64_t *integer, double *number);

/* Reads a number of 15 digits at most without exponent, as most numbers are, from a text that may
 * begin with one. `text` must be before `end`. Sets `*type` to NUMBER_IS_INTEGER or
 * NUMBER_IS_DOUBLE, and `*integer` or `*number` as number_read does. Returns where the digits end:
 * what follows has to be checked. Returns NULL if the text does not begin with such a number, and
 * for -0. */
const char *number_read_short(const char *text, const char *end, enum number_type *type,
                              int64_t *integer, double *number);

/* Enough for the text of any number, and a NUL. */
#define NUMBER_BYTES 32

/* Writes a number, which must be finite, and a NUL. Returns the length of the text without the NUL.
 * A number without fraction that int64_t can hold is written with all its digits, and any other one
 * with the fewest digits (printf's %.1g to %.17g) that read back as the same number. */
size_t number_write(double number, char out[NUMBER_BYTES]);

/* Writes an integer and a NUL. Returns the length of the text without the NUL. */
size_t number_write_integer(int64_t integer, char out[NUMBER_BYTES]);

/* Returns whether a double is an integer that int64_t can hold, as 2.0 is, and sets `*integer`. */
static inline bool number_to_integer(double number, int64_t *integer) {
  const double limit = 9223372036854775808.0; /* 2^63 */
  if (!(number >= -limit && number < limit)) return false;
  *integer = (int64_t)number;
  return (double)*integer == number;
}

#endif
