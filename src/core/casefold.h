/* Case folding for comparisons that ignore case.
 *
 *   fold     casefold, CASEFOLD_BYTES */
#ifndef PODERO_CASEFOLD_H
#define PODERO_CASEFOLD_H

#include <stddef.h>

/* How many bytes casefold may write for `size` bytes: a few two-byte letters, such as U+023A,
 * become three-byte letters. */
#define CASEFOLD_BYTES(size) ((size) + (size) / 2)

/* Writes the text with its letters folded, so that texts that differ only in case become equal:
 * Unicode simple case folding (status C and S in Unicode's CaseFolding.txt) of the characters whose
 * script is Latin, Greek or Cyrillic. All other characters are copied, and so are bytes that are
 * not valid UTF-8. Accents are kept. Letters are folded one by one: U+00DF does not become "ss".
 * U+0130 is copied, because only Turkic languages have a simple folding for it.
 *
 * `out` must have room for CASEFOLD_BYTES(size) bytes and must not overlap `text`; bytes of it
 * after the folded text are undefined. Returns the length of the folded text in bytes. Cannot fail.
 * Takes time linear in `size`. */
size_t casefold(char *out, const char *text, size_t size);

#endif
