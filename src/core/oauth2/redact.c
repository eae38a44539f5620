#include "core/oauth2/redact.h"

#include <stdint.h>
#include <string.h>

#include "core/buffer.h"
#include "core/hex.h"
#include "core/json.h"
#include "core/utf8.h"

#define MIN_SECRET_BYTES 4

/* If the first bytes of a longer secret are found, the rest is redacted as far as it matches. A
 * server chooses its tokens: without this limit, it could make a search take minutes. */
#define ENOUGH_BYTES 64

/* How many bytes of a secret are read to get these: some may be skipped, see struct pattern. */
#define MAX_PREFIX_BYTES 1024

/* ---- texts ---- */

/* The rest of a text, and how to decode it: percent-encoding (RFC 3986, section 2.1), the escapes
 * of a JSON string (RFC 8259, section 7), both, or neither. Percent-encoding is decoded first,
 * because a server may repeat the JSON body of a request in a URL. */
struct rest {
  const unsigned char *at, *end;
  bool percent, escapes;
  bool *ambiguous; /* set to true if a "%" or a backslash was read, so that decoding makes a
                    * difference */
};

/* Reads one byte, percent-decoded. Returns -1 at the end. */
static int take_byte(struct rest *text) {
  if (text->at == text->end) return -1;
  unsigned char c = *text->at++;
  if (c == '%' || c == '\\') *text->ambiguous = true;
  if (!text->percent || c != '%' || text->end - text->at < 2) return c;
  int high = hex_value(text->at[0]), low = hex_value(text->at[1]);
  if (high < 0 || low < 0) return c;
  text->at += 2;
  return high * 16 + low;
}

/* Reads four hexadecimal digits, and returns their value. If there are none, reads nothing and
 * returns -1. */
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

/* Reads the rest of "\uXXXX" or of a surrogate pair, after the "u". Writes the character in UTF-8
 * to `out` and returns its size. Without digits, the character is the "u" itself. */
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
      point = utf8_join_surrogates((uint32_t)unit, (uint32_t)low);
      *text = second;
    }
  }
  return utf8_encode(point, out);
}

/* Reads the next unit: an escape, which can stand for up to four bytes, or else one byte. Writes
 * the bytes to `out` and returns how many there are; 0 at the end of the text. */
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

/* Skips units that are not ASCII. */
static void skip_non_ascii(struct rest *text) {
  unsigned char unit[4];
  struct rest rest = *text;
  while (take_unit(&rest, unit) > 0 && unit[0] >= 0x80)
    *text = rest;
}

/* In form encoding, "+" stands for a space. */
static bool is_same(unsigned char of_secret, unsigned char of_text) {
  return of_secret == of_text || (of_secret == ' ' && of_text == '+');
}

/* ---- secrets ---- */

/* The beginning of a secret, prepared for the search.
 *
 * If the secret has enough ASCII characters, only these are compared (`ascii_only`): a server that
 * mistakes the character encoding replaces the others by different ones, which are not ASCII
 * either. Wherever the secret has such characters, the text may have any number of non-ASCII
 * bytes. */
struct pattern {
  const char *secret;
  size_t used; /* how many bytes of the secret the pattern stands for */
  bool ascii_only;
  unsigned char bytes[ENOUGH_BYTES + 3]; /* to compare; the last unit may have three bytes more */
  size_t count;
  bool gaps[ENOUGH_BYTES + 4]; /* gaps[i]: skip non-ASCII before bytes[i], or at the end */
};

/* Returns whether the secret has enough ASCII characters to be found by these alone. */
static bool has_enough_ascii(const char *secret) {
  size_t count = 0;
  for (size_t i = 0; i < MAX_PREFIX_BYTES && secret[i] != '\0' && count < MIN_SECRET_BYTES; i++)
    if ((unsigned char)secret[i] < 0x80) count++;
  return count == MIN_SECRET_BYTES;
}

static void prepare_pattern(struct pattern *p, const char *secret) {
  p->secret = secret;
  p->ascii_only = has_enough_ascii(secret);
  p->count = 0;
  p->gaps[0] = false;
  size_t i = 0, capacity = p->ascii_only ? ENOUGH_BYTES : sizeof p->bytes;
  for (; i < MAX_PREFIX_BYTES && secret[i] != '\0' && p->count < capacity; i++) {
    unsigned char c = (unsigned char)secret[i];
    if (p->ascii_only && c >= 0x80) {
      p->gaps[p->count] = true;
    } else {
      p->bytes[p->count++] = c;
      p->gaps[p->count] = false;
    }
  }
  p->used = i;
}

/* Reads one unit if it stands for the bytes of the pattern from `*index` on, and advances `*index`
 * past them. Otherwise returns false. */
static bool match_unit(struct rest *text, const struct pattern *p, size_t *index) {
  unsigned char unit[4];
  struct rest rest = *text;
  size_t size = take_unit(&rest, unit);
  if (size == 0 || size > p->count - *index) return false;
  for (size_t i = 0; i < size; i++)
    if (!is_same(p->bytes[*index + i], unit[i])) return false;
  *text = rest;
  *index += size;
  return true;
}

/* Reads one unit if it stands for the next bytes of the secret, and advances `*secret` past them.
 * Otherwise returns false. */
static bool match_rest(struct rest *text, const char **secret) {
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

/* Skips the rest of a secret whose pattern was found, as far as the text matches it. */
static void skip_rest(struct rest *text, const char *secret, bool ascii_only) {
  for (;;) {
    if (ascii_only && (unsigned char)*secret >= 0x80) {
      while ((unsigned char)*secret >= 0x80)
        secret++;
      skip_non_ascii(text);
    } else if (*secret == '\0' || !match_rest(text, &secret)) {
      return;
    }
  }
}

/* ---- the search ---- */

/* Returns whether the byte is ASCII and stands for itself, however the text is decoded. */
static inline bool is_plain(unsigned char c) {
  return c < 0x80 && c != '%' && c != '\\' && c != '+';
}

/* Returns the end of an occurrence at the beginning of the text, decoded as `text` says, or NULL if
 * there is none. gaps[0] is ignored: the caller skips what is not ASCII. */
static const unsigned char *match(struct rest text, const struct pattern *p) {
  size_t index = 0;
  while (index < p->count && index < ENOUGH_BYTES) {
    if (text.at < text.end && is_plain(*text.at)) {
      if (*text.at++ != p->bytes[index++]) return NULL;
      continue;
    }
    if (index > 0 && p->gaps[index]) skip_non_ascii(&text);
    if (!match_unit(&text, p, &index)) return NULL;
  }
  if (index == p->count && p->gaps[index]) skip_non_ascii(&text);
  skip_rest(&text, p->secret + (p->ascii_only ? p->used : index), p->ascii_only);
  return text.at;
}

/* The four ways to decode a text: any combination of these. */
enum { DECODE_PERCENT = 1, DECODE_ESCAPES = 2, WAYS = 4 };

/* One call of redact_find. */
struct search {
  struct pattern patterns[REDACT_SECRETS_MAX];
  size_t count;
  bool may_begin[256]; /* the bytes with which an occurrence can begin */
  bool has_first_gap;  /* some pattern has gaps[0] */
  /* For each way: the last sequence of non-ASCII bytes, at whose beginning the patterns with
   * gaps[0] were compared. They need not be compared again within it, because skipping it would
   * lead to the same end. */
  const unsigned char *skipped[WAYS], *skipped_end[WAYS];
};

static void prepare_search(struct search *s, const char *const *secrets, size_t count,
                           const unsigned char *text) {
  s->count = 0;
  s->has_first_gap = false;
  memset(s->may_begin, 0, sizeof s->may_begin);
  for (int way = 0; way < WAYS; way++)
    s->skipped[way] = s->skipped_end[way] = text;
  for (size_t i = 0; i < count && s->count < REDACT_SECRETS_MAX; i++) {
    struct pattern *p = &s->patterns[s->count];
    if (secrets[i] == NULL || strnlen(secrets[i], MIN_SECRET_BYTES) < MIN_SECRET_BYTES) continue;
    prepare_pattern(p, secrets[i]);
    s->count++;
    s->may_begin[p->bytes[0]] = true;
    if (p->bytes[0] == ' ') s->may_begin['+'] = true;
    if (p->gaps[0]) memset(s->may_begin + 0x80, true, 0x80);
    s->has_first_gap = s->has_first_gap || p->gaps[0];
  }
  s->may_begin['%'] = s->may_begin['\\'] = true;
}

/* Returns the end of the longest occurrence at the beginning of the text, decoded in this way, or
 * NULL if there is none. */
static const unsigned char *match_all(struct search *s, struct rest text, int way) {
  const unsigned char *end = NULL;
  struct rest after = text;
  text.percent = after.percent = (way & DECODE_PERCENT) != 0;
  text.escapes = after.escapes = (way & DECODE_ESCAPES) != 0;
  if (s->has_first_gap && text.at >= s->skipped_end[way]) skip_non_ascii(&after);
  bool skipped = after.at > text.at;
  if (skipped) {
    s->skipped[way] = text.at;
    s->skipped_end[way] = after.at;
  }
  for (size_t i = 0; i < s->count; i++) {
    const struct pattern *p = &s->patterns[i];
    const unsigned char *found = match(skipped && p->gaps[0] ? after : text, p);
    if (found != NULL && (end == NULL || found > end)) end = found;
  }
  return end;
}

/* If an occurrence ends within a sequence of non-ASCII bytes that was skipped, the whole sequence
 * is made part of it. Otherwise the sequence would be read again for each occurrence that ends in
 * it. */
static void include_skipped(const struct search *s, const unsigned char **at,
                            const unsigned char **end) {
  const unsigned char *found = *end;
  for (int way = 0; way < WAYS; way++) {
    if (found <= s->skipped[way] || found >= s->skipped_end[way]) continue;
    if (s->skipped[way] < *at) *at = s->skipped[way];
    if (s->skipped_end[way] > *end) *end = s->skipped_end[way];
  }
}

/* Finds the first occurrence between `begin` and `limit`. */
static bool find(struct search *s, const unsigned char *begin, const unsigned char *limit,
                 size_t *start, size_t *length) {
  for (const unsigned char *at = begin; at < limit; at++) {
    if (!s->may_begin[*at]) continue;
    bool ambiguous = false;
    struct rest rest = {.at = at, .end = limit, .ambiguous = &ambiguous};
    const unsigned char *end = match_all(s, rest, 0);
    for (int way = 1; way < WAYS && ambiguous; way++) {
      const unsigned char *found = match_all(s, rest, way);
      if (found != NULL && (end == NULL || found > end)) end = found;
    }
    if (end == NULL) continue;
    include_skipped(s, &at, &end);
    *start = (size_t)(at - begin);
    *length = (size_t)(end - at);
    return true;
  }
  return false;
}

bool redact_find(const char *const *secrets, size_t count, const char *text, size_t size,
                 size_t *start, size_t *length) {
  const unsigned char *begin = (const unsigned char *)text;
  struct search search;
  if (size < MIN_SECRET_BYTES) return false;
  prepare_search(&search, secrets, count, begin);
  bool found = find(&search, begin, begin + size, start, length);
  wipe(search.patterns, sizeof search.patterns); /* copies of secrets must not stay on the stack */
  return found;
}

/* ---- numbers ---- */

/* Returns whether the text is a number in JSON's syntax, except that leading zeros are allowed, and
 * sets `*number` to its value. */
static bool read_number(const char *text, double *number) {
  size_t size = strnlen(text, ENOUGH_BYTES + 1);
  if (size < MIN_SECRET_BYTES || size > ENOUGH_BYTES ||
      text[strspn(text, "0123456789+-.eE")] != '\0')
    return false;
  for (; text[0] == '0' && text[1] >= '0' && text[1] <= '9'; size--)
    text++;
  struct json_reader reader;
  json_init(&reader, 0, 0);
  json_feed(&reader, text, size);
  json_end(&reader);
  enum json_event event = json_next(&reader);
  *number = event == JSON_INTEGER ? (double)reader.integer : reader.number;
  bool found = (event == JSON_INTEGER || event == JSON_DOUBLE) && json_next(&reader) == JSON_END;
  json_free(&reader);
  return found;
}

bool redact_is_number(const char *const *secrets, size_t count, double number) {
  double value;
  for (size_t i = 0; i < count; i++)
    if (secrets[i] != NULL && read_number(secrets[i], &value) && value == number) return true;
  return false;
}
