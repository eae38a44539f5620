#include "core/redact.h"

#include <stdint.h>
#include <string.h>

#define MIN_SECRET_BYTES 4

/* What is left of a text. */
struct rest {
  const unsigned char *at, *end;
};

/* Takes one unit of a text off, as bytes in `out`; returns how many, 0 where the text has ended. */
typedef size_t take_unit(struct rest *text, unsigned char out[4]);

static size_t take_byte(struct rest *text, unsigned char out[4]) {
  if (text->at == text->end) return 0;
  out[0] = *text->at++;
  return 1;
}

static int hex_value(unsigned char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number that `count` hexadecimal digits make, or -1. */
static long take_hex(struct rest *text, int count) {
  long value = 0;
  if (text->end - text->at < count) return -1;
  for (int i = 0; i < count; i++) {
    int digit = hex_value(text->at[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  text->at += count;
  return value;
}

/* Percent-encoding (RFC 3986, 2.1) and, for the space, that of forms. */
static size_t take_percent(struct rest *text, unsigned char out[4]) {
  if (take_byte(text, out) == 0) return 0;
  if (out[0] == '+') out[0] = ' ';
  if (out[0] != '%') return 1;
  long value = take_hex(text, 2);
  if (value >= 0) out[0] = (unsigned char)value;
  return 1;
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
  long unit = take_hex(text, 4);
  if (unit < 0) return 1;
  uint32_t point = (uint32_t)unit;
  if (unit >= 0xd800 && unit < 0xdc00 && text->end - text->at >= 6 && text->at[0] == '\\' &&
      text->at[1] == 'u') {
    struct rest second = {text->at + 2, text->end};
    long low = take_hex(&second, 4);
    if (low >= 0xdc00 && low < 0xe000) {
      point = 0x10000 + (((uint32_t)unit - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
      text->at = second.at;
    }
  }
  return encode_utf8(point, out);
}

/* The escapes of a JSON string (RFC 8259, 7). */
static size_t take_escape(struct rest *text, unsigned char out[4]) {
  static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
  if (take_byte(text, out) == 0) return 0;
  if (out[0] != '\\' || text->at == text->end) return 1;
  out[0] = *text->at++;
  if (out[0] == 'u') return take_unicode_escape(text, out);
  const char *name = out[0] != '\0' ? strchr(names, out[0]) : NULL;
  if (name != NULL) out[0] = (unsigned char)values[name - names];
  return 1;
}

/* How many bytes at the beginning of the text stand for the secret, in that encoding; or 0. */
static size_t match(struct rest text, const char *secret, take_unit *take) {
  const unsigned char *begin = text.at;
  while (*secret != '\0') {
    unsigned char unit[4];
    size_t size = take(&text, unit);
    if (size == 0) return 0;
    for (size_t i = 0; i < size; i++) {
      if ((unsigned char)*secret != unit[i] || *secret == '\0') return 0;
      secret++;
    }
  }
  return (size_t)(text.at - begin);
}

static size_t match_any(struct rest text, const char *secret) {
  static take_unit *const encodings[] = {take_byte, take_percent, take_escape};
  size_t longest = 0;
  for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
    size_t length = match(text, secret, encodings[i]);
    if (length > longest) longest = length;
  }
  return longest;
}

bool redact_find(const char *const *secrets, size_t count, const char *text, size_t size,
                 size_t *start, size_t *length) {
  const unsigned char *begin = (const unsigned char *)text;
  for (size_t at = 0; at < size; at++) {
    struct rest rest = {begin + at, begin + size};
    *length = 0;
    for (size_t i = 0; i < count; i++) {
      if (secrets[i] == NULL || strlen(secrets[i]) < MIN_SECRET_BYTES) continue;
      size_t found = match_any(rest, secrets[i]);
      if (found > *length) *length = found;
    }
    *start = at;
    if (*length > 0) return true;
  }
  return false;
}
