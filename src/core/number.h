/* Numbers as text, and back: exactly, and whatever the program's locale. */
#ifndef PODERO_NUMBER_H
#define PODERO_NUMBER_H

#include <stddef.h>
#include <stdint.h>

enum number_type {
  NUMBER_IS_INTEGER,  /* without fraction and exponent, and an int64_t can hold it */
  NUMBER_IS_DOUBLE,   /* any other, among them -0 */
  NUMBER_IS_TOO_LARGE /* beyond the largest double */
};

/* Reads the number that `size` bytes at `text` are. They must have the form of one (RFC 8259, 6),
 * which is not checked; a NUL need not follow. Sets `*integer`, or `*number` to the nearest double
 * (of two that are equally near, the even one). Allocates nothing; takes time linear in `size`. */
enum number_type number_read(const char *text, size_t size, int64_t *integer, double *number);

/* Room for any number's text and a NUL. */
#define NUMBER_BYTES 32

/* Writes a number, which must be finite, in the shortest of %.1g to %.17g that reads back equal;
 * one without fraction, and below 2^63, in all its digits. Returns the text's length. */
size_t number_write(double number, char out[NUMBER_BYTES]);

/* The same for an integer. */
size_t number_write_integer(int64_t integer, char out[NUMBER_BYTES]);

#endif
