/* UTF-8 (RFC 3629). */
#ifndef PODERO_UTF8_H
#define PODERO_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* How many bytes must follow the first byte of a sequence of two to four, and the bounds of the
 * second byte, which keep out overlong forms, surrogates and what lies beyond U+10FFFF (RFC 3629,
 * 4); all further bytes are 0x80 to 0xBF. 0: no sequence begins with this byte. */
static inline unsigned utf8_first(unsigned char c, unsigned char *low, unsigned char *high) {
  *low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
  *high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
  if (c < 0xC2 || c > 0xF4) return 0;
  return c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
}

/* Skips the sequence of two to four bytes that begins at `p`, which is before `end`; NULL if it is
 * invalid, or not all of it lies before `end`. */
static inline const unsigned char *utf8_skip(const unsigned char *p, const unsigned char *end) {
  unsigned char low, high;
  unsigned more = utf8_first(*p, &low, &high);
  if (more == 0 || (size_t)(end - p) <= more) return NULL;
  if (p[1] < low || p[1] > high) return NULL;
  for (unsigned i = 2; i <= more; i++)
    if ((p[i] & 0xC0) != 0x80) return NULL;
  return p + more + 1;
}

/* Encodes a code point up to U+10FFFF, and returns how many bytes it takes. A surrogate, which no
 * UTF-8 has, is encoded like its neighbours. */
size_t utf8_encode(uint32_t point, unsigned char out[4]);

#endif
