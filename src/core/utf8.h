/* UTF-8 (RFC 3629).
 *
 *   check    utf8_first, utf8_skip, utf8_cut
 *   encode   utf8_encode, utf8_join_surrogates */
#ifndef PODERO_UTF8_H
#define PODERO_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Returns how many bytes must follow `c` in a sequence of two to four bytes; 0 if no such sequence
 * begins with `c`. Sets `*low` and `*high` to the bounds of the second byte, which exclude overlong
 * forms, surrogates and code points above U+10FFFF (RFC 3629, section 4). Any further bytes are
 * 0x80 to 0xBF. */
static inline unsigned utf8_first(unsigned char c, unsigned char *low, unsigned char *high) {
  *low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
  *high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
  if (c < 0xC2 || c > 0xF4) return 0;
  return c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
}

/* Returns the end of the sequence of two to four bytes that begins at `p`, which must be before
 * `end`. Returns NULL if there is no such sequence, as for an ASCII byte, or if it is invalid or
 * extends past `end`. */
static inline const unsigned char *utf8_skip(const unsigned char *p, const unsigned char *end) {
  unsigned char low, high;
  if (*p < 0xE0) return *p >= 0xC2 && end - p >= 2 && (p[1] & 0xC0) == 0x80 ? p + 2 : NULL;
  unsigned more = utf8_first(*p, &low, &high);
  if (more == 0 || (size_t)(end - p) <= more) return NULL;
  if (p[1] < low || p[1] > high) return NULL;
  for (unsigned i = 2; i <= more; i++)
    if ((p[i] & 0xC0) != 0x80) return NULL;
  return p + more + 1;
}

/* Returns the length, at most `max`, to which a text of more than `max` bytes can be cut without
 * splitting a UTF-8 sequence. */
size_t utf8_cut(const char *text, size_t max);

/* Returns the code point of a UTF-16 surrogate pair: `high` is U+D800 to U+DBFF, `low` is U+DC00 to
 * U+DFFF. */
static inline uint32_t utf8_join_surrogates(uint32_t high, uint32_t low) {
  return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

/* Writes the encoding of a code point, at most U+10FFFF, to `out` and returns its length in bytes,
 * 1 to 4. A surrogate is encoded like any other three-byte code point, which is not valid UTF-8:
 * callers that need valid UTF-8 must not pass one. */
size_t utf8_encode(uint32_t point, unsigned char out[4]);

#endif
