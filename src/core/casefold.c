#include "core/casefold.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/casefold_table.h"
#include "core/utf8.h"

#define WORD sizeof(uint64_t)
#define HALF sizeof(uint32_t)

/* A word with this value in each byte. */
#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* ---- ASCII, eight bytes at a time ---- */

static inline uint64_t load_word(const unsigned char *p) {
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

static inline void store_word(unsigned char *p, uint64_t word) {
  memcpy(p, &word, sizeof word);
}

static inline bool is_ascii(uint64_t word) {
  return (word & EACH_BYTE(0x80)) == 0;
}

/* Folds the ASCII bytes of a word; its other bytes may be changed. The top bit of each byte of
 * `from_a` says whether the lower seven bits are at least 'A', and that of `beyond_z` whether they
 * are beyond 'Z'. No sum carries into the next byte. */
static inline uint64_t fold_word(uint64_t word) {
  uint64_t low = word & EACH_BYTE(0x7F);
  uint64_t from_a = low + EACH_BYTE(0x80 - 'A');
  uint64_t beyond_z = low + EACH_BYTE(0x7F - 'Z');
  uint64_t capital = from_a & ~beyond_z & EACH_BYTE(0x80);
  return word | capital >> 2; /* 0x80 >> 2 is 'a' - 'A' */
}

static inline unsigned char fold_byte(unsigned char c) {
  return (unsigned char)(c | (c >= 'A' && c <= 'Z') << 5);
}

/* Folds four to seven bytes as two halves of a word, which may overlap in the text. Returns false,
 * and writes nothing, if they are not all ASCII. */
static inline bool fold_short(unsigned char *out, const unsigned char *text, size_t size) {
  uint32_t first, last;
  memcpy(&first, text, HALF);
  memcpy(&last, text + size - HALF, HALF);
  uint64_t word = (uint64_t)last << 32 | first;
  if (!is_ascii(word)) return false;
  word = fold_word(word);
  first = (uint32_t)word;
  last = (uint32_t)(word >> 32);
  memcpy(out, &first, HALF);
  memcpy(out + size - HALF, &last, HALF);
  return true;
}

/* ---- other characters ---- */

struct cursor {
  const unsigned char *in;
  unsigned char *out;
};

static inline struct cursor copy(struct cursor c, size_t size) {
  for (size_t i = 0; i < size; i++)
    *c.out++ = *c.in++;
  return c;
}

/* Folds the UTF-8 sequence at c.in, or copies one byte if there is none. The table ends at
 * U+FFFF. */
static struct cursor fold_sequence(struct cursor c, const unsigned char *end) {
  const unsigned char *after = utf8_skip(c.in, end);
  if (after == NULL) return copy(c, 1);
  size_t size = (size_t)(after - c.in);
  if (size > 3) return copy(c, size);
  unsigned page = size == 2 ? c.in[0] & 0x1Fu : (c.in[0] & 0x0Fu) << 6 | (c.in[1] & 0x3Fu);
  unsigned low = after[-1] & 0x3Fu;
  unsigned distance = casefold_distances[casefold_pages[page]][low];
  if (distance == 0) return copy(c, size);
  c.out += utf8_encode(((page << 6 | low) + distance) & 0xFFFF, c.out);
  c.in = after;
  return c;
}

/* Folds the text until fewer than WORD bytes are left. A word of ASCII is folded at once; of any
 * other word, first the ASCII at its beginning and then, one by one, the sequences that follow. */
static struct cursor fold_words(struct cursor c, const unsigned char *end) {
  while ((size_t)(end - c.in) >= WORD) {
    uint64_t word = load_word(c.in);
    store_word(c.out, fold_word(word));
    if (is_ascii(word)) {
      c.in += WORD;
      c.out += WORD;
      continue;
    }
    while (*c.in < 0x80) {
      c.in++;
      c.out++;
    }
    while (c.in < end && *c.in >= 0x80)
      c = fold_sequence(c, end);
  }
  return c;
}

static struct cursor fold_bytes(struct cursor c, const unsigned char *end) {
  while (c.in < end) {
    if (*c.in >= 0x80)
      c = fold_sequence(c, end);
    else
      *c.out++ = fold_byte(*c.in++);
  }
  return c;
}

size_t casefold(char *out, const char *text, size_t size) {
  struct cursor c = {(const unsigned char *)text, (unsigned char *)out};
  const unsigned char *end = c.in + size;
  if (size < WORD) {
    if (size >= HALF && fold_short(c.out, c.in, size)) return size;
    return (size_t)(fold_bytes(c, end).out - (unsigned char *)out);
  }
  c = fold_words(c, end);
  /* If the last WORD bytes are ASCII, they are folded as one word; folding some of them again does
   * no harm. */
  size_t rest = (size_t)(end - c.in);
  uint64_t last = load_word(end - WORD);
  if (is_ascii(last)) {
    store_word(c.out + rest - WORD, fold_word(last));
    c.out += rest;
  } else {
    c = fold_bytes(c, end);
  }
  return (size_t)(c.out - (unsigned char *)out);
}
