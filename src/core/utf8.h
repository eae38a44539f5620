/* UTF-8 (RFC 3629).
 *
 *   check    utf8_first, utf8_skip, utf8_cut
 *   encode   utf8_encode, utf8_join_surrogates */
#ifndef PODERO_UTF8_H
#define PODERO_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Returns how many bytes must follow `c`, the first byte of a sequence of two to four bytes; 0 if
 * no such sequence begins with `c`. Sets the bounds of the second byte, which exclude overlong
 * forms, surrogates and code points beyond U+10FFFF (RFC 3629, section 4). The bytes after the
 * second one are 0x80 to 0xBF. */
static inline unsigned utf8_first(unsigned char c, unsigned char *low, unsigned char *high) {
  *low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
  *high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
  if (c < 0xC2 || c > 0xF4) return 0;
  return c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
}

/* Returns the end of the sequence of two to four bytes that begins at `p`, which must be before
 * `end`. Returns NULL if the sequence is invalid or reaches beyond `end`. */
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

/* Returns where a text, which has more than `max` bytes, is to be cut so that at most `max` remain
 * and no sequence is divided. */
size_t utf8_cut(const char *text, size_t max);

/* Returns the code point of a UTF-16 surrogate pair: `high` is U+D800 to U+DBFF, `low` is U+DC00 to
 * U+DFFF. */
static inline uint32_t utf8_join_surrogates(uint32_t high, uint32_t low) {
  return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

/* Encodes a code point, which must not be above U+10FFFF, and returns how many bytes that takes: 1
 * to 4. A surrogate is encoded like any other code point of three bytes, although valid UTF-8 has
 * none: callers that need valid UTF-8 must not pass one. */
size_t utf8_encode(uint32_t point, unsigned char out[4]);

#endif
