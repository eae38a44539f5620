/* Case folding for comparisons that ignore case.
 *
 *   fold     casefold, CASEFOLD_BYTES */
#ifndef PODERO_CASEFOLD_H
#define PODERO_CASEFOLD_H

#include <stddef.h>

/* How many bytes casefold may write for `size` bytes. A few letters of two bytes become one of
 * three, such as U+023A. */
#define CASEFOLD_BYTES(size) ((size) + (size) / 2)

/* Writes the text with its letters folded, so that texts that differ only in case become equal:
 * Unicode simple case folding (status C and S in Unicode's CaseFolding.txt) of the characters whose
 * script is Latin, Greek or Cyrillic. Every other character is copied, and so is each byte that
 * does not belong to valid UTF-8. Accents stay. Letters are folded one by one: a U+00DF does not
 * become "ss", and a U+0130, which only Turkic languages fold simply, stays.
 *
 * `out` has room for CASEFOLD_BYTES(size) bytes and does not overlap `text`; what is in it after
 * the folded text is unspecified. Returns the length of the folded text, in bytes. Cannot fail, and
 * takes time in proportion to `size`. */
size_t casefold(char *out, const char *text, size_t size);

#endif
