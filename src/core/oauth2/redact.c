#include "core/oauth2/redact.h"

#include <stdint.h>
#include <string.h>

#define MIN_SECRET_BYTES 4

/* So many of a longer secret tell it, and what follows of it goes with them. A server chooses its
 * tokens, and could else make the search last for minutes. */
#define ENOUGH_BYTES 64

/* What is left of a text, and how it is read: percent-encoding (RFC 3986, 2.1) may lie over the
 * escapes of a JSON string (RFC 8259, 7), as where a request's body is repeated in a URL. */
struct rest {
  const unsigned char *at, *end;
  bool percent, escapes;
};

static int hex_value(int c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next byte, or -1 at the end. */
static int take_byte(struct rest *text) {
  if (text->at == text->end) return -1;
  unsigned char c = *text->at++;
  if (!text->percent || c != '%' || text->end - text->at < 2) return c;
  int high = hex_value(text->at[0]), low = hex_value(text->at[1]);
  if (high < 0 || low < 0) return c;
  text->at += 2;
  return high * 16 + low;
}

/* The number that four hexadecimal digits make, or -1, and nothing taken. */
static long take_four_digits(struct rest *text) {
  struct rest rest = *text;
  long value = 0;
  for (int i = 0; i < 4; i++) {
    int digit = hex_value(take_byte(&rest));
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  *text = rest;
  return value;
}

static size_t encode_utf8(uint32_t point, unsigned char out[4]) {
  if (point < 0x80) {
    out[0] = (unsigned char)point;
    return 1;
  }
  size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = length - 1; i > 0; i--) {
    out[i] = (unsigned char)(0x80 | (point & 0x3f));
    point >>= 6;
  }
  out[0] = (unsigned char)(leads[length] | point);
  return length;
}

/* The rest of "\uXXXX", or of a surrogate pair of them. */
static size_t take_unicode_escape(struct rest *text, unsigned char out[4]) {
  long unit = take_four_digits(text);
  if (unit < 0) {
    out[0] = 'u';
    return 1;
  }
  uint32_t point = (uint32_t)unit;
  struct rest second = *text;
  if (unit >= 0xd800 && unit < 0xdc00 && take_byte(&second) == '\\' && take_byte(&second) == 'u') {
    long low = take_four_digits(&second);
    if (low >= 0xdc00 && low < 0xe000) {
      point = 0x10000 + (((uint32_t)unit - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
      *text = second;
    }
  }
  return encode_utf8(point, out);
}

/* The next character, or byte, as bytes in `out`; returns how many, 0 where the text has ended. */
static size_t take_unit(struct rest *text, unsigned char out[4]) {
  static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
  int c = take_byte(text);
  if (c < 0) return 0;
  out[0] = (unsigned char)c;
  if (c != '\\' || !text->escapes || (c = take_byte(text)) < 0) return 1;
  if (c == 'u') return take_unicode_escape(text, out);
  const char *name = c != '\0' ? strchr(names, c) : NULL;
  out[0] = name != NULL ? (unsigned char)values[name - names] : (unsigned char)c;
  return 1;
}

/* Takes units off while they are no ASCII. */
static void skip_letters(struct rest *text) {
  unsigned char unit[4];
  struct rest rest = *text;
  while (take_unit(&rest, unit) > 0 && unit[0] >= 0x80)
    *text = rest;
}

/* Whether what is not ASCII in the secret needs no comparison: a server that takes one character
 * encoding for another makes other letters of it, and the others tell enough. */
static bool is_known_by_ascii(const char *secret) {
  size_t count = 0;
  for (; *secret != '\0' && count < MIN_SECRET_BYTES; secret++)
    if ((unsigned char)*secret < 0x80) count++;
  return count == MIN_SECRET_BYTES;
}

/* A form's plus stands for a space. */
static bool is_same(unsigned char of_secret, unsigned char of_text) {
  return of_secret == of_text || (of_secret == ' ' && of_text == '+');
}

/* Takes off what stands for the beginning of the secret, `*secret`, which is moved on; false where
 * there is nothing of the kind. */
static bool match_unit(struct rest *text, const char **secret) {
  unsigned char unit[4];
  struct rest rest = *text;
  size_t size = take_unit(&rest, unit);
  if (size == 0) return false;
  for (size_t i = 0; i < size; i++) {
    unsigned char c = (unsigned char)(*secret)[i];
    if (c == '\0' || !is_same(c, unit[i])) return false;
  }
  *text = rest;
  *secret += size;
  return true;
}

/* How many bytes at the beginning of the text stand for the secret, read in that way; or 0. */
static size_t match(struct rest text, const char *secret) {
  const unsigned char *begin = text.at;
  size_t compared = 0; /* bytes of the secret */
  bool loose = is_known_by_ascii(secret);
  while (*secret != '\0') {
    const char *before = secret;
    if (loose && (unsigned char)*secret >= 0x80) {
      while ((unsigned char)*secret >= 0x80)
        secret++;
      skip_letters(&text);
    } else if (match_unit(&text, &secret)) {
      compared += (size_t)(secret - before);
    } else {
      if (compared < ENOUGH_BYTES) return 0;
      break;
    }
  }
  return (size_t)(text.at - begin);
}

/* The same for all the ways, and the longest. */
static size_t match_any(const unsigned char *at, const unsigned char *end, const char *secret) {
  size_t longest = 0;
  for (int way = 0; way < 4; way++) {
    size_t length = match((struct rest){at, end, (way & 1) != 0, (way & 2) != 0}, secret);
    if (length > longest) longest = length;
  }
  return longest;
}

bool redact_find(const char *const *secrets, size_t count, const char *text, size_t size,
                 size_t *start, size_t *length) {
  const unsigned char *begin = (const unsigned char *)text;
  for (size_t at = 0; at < size; at++) {
    *length = 0;
    for (size_t i = 0; i < count; i++) {
      if (secrets[i] == NULL || strnlen(secrets[i], MIN_SECRET_BYTES) < MIN_SECRET_BYTES) continue;
      size_t found = match_any(begin + at, begin + size, secrets[i]);
      if (found > *length) *length = found;
    }
    *start = at;
    if (*length > 0) return true;
  }
  return false;
}
