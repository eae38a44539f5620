/* Converts numbers to text and back, exactly and independently of the locale. Allocates no memory.
 *
 *   read    number_read, number_read_short
 *   write   number_write, number_write_integer
 *   check   number_to_integer */
#ifndef PODERO_NUMBER_H
#define PODERO_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum number_type {
  NUMBER_IS_INTEGER,  /* without fraction and exponent, and fits an int64_t */
  NUMBER_IS_DOUBLE,   /* any other number, and -0 */
  NUMBER_IS_TOO_LARGE /* beyond the largest double */
};

/* Reads a number of `size` bytes, which need not end in a NUL. They must be a number in the syntax
 * of JSON (RFC 8259, section 6); this is not checked. Sets `*integer` if it returns
 * NUMBER_IS_INTEGER. Sets `*number` if it returns NUMBER_IS_DOUBLE: to the nearest double or,
 * halfway between two, to the even one. Takes time linear in `size`. */
enum number_type number_read(const char *text, size_t size, int64_t *integer, double *number);

/* Reads a number of at most 15 digits without an exponent, as most numbers are, from the beginning
 * of a text. `text` must be before `end`. Sets `*type` to NUMBER_IS_INTEGER or NUMBER_IS_DOUBLE,
 * and `*integer` or `*number` as number_read does. Returns the end of the number; the caller has to
 * check what follows. Returns NULL if the text does not begin with such a number, or for -0: then
 * only number_read may be able to read it. */
const char *number_read_short(const char *text, const char *end, enum number_type *type,
                              int64_t *integer, double *number);

/* Enough for any number that the functions below write, and a NUL. In between, number_write has the
 * decimal point of the locale in it. */
#define NUMBER_BYTES 40

/* Writes a number, which must be finite, and a NUL. Returns the length of the text without the NUL.
 * A number without a fraction that fits an int64_t is written with all its digits; any other number
 * with the fewest digits (printf's %.1g to %.17g) that read back as the same number. */
size_t number_write(double number, char out[NUMBER_BYTES]);

/* Writes an integer and a NUL. Returns the length of the text without the NUL. */
size_t number_write_integer(int64_t integer, char out[NUMBER_BYTES]);

/* Returns whether a double, such as 2.0, is an integer that fits an int64_t, and if so, sets
 * `*integer`. */
static inline bool number_to_integer(double number, int64_t *integer) {
  const double limit = 9223372036854775808.0; /* 2^63 */
  if (!(number >= -limit && number < limit)) return false;
  *integer = (int64_t)number;
  return (double)*integer == number;
}

#endif
