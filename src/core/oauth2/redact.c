#include "core/oauth2/redact.h"

#include <stdint.h>
#include <string.h>

#include "core/buffer.h"
#include "core/hex.h"
#include "core/json.h"
#include "core/utf8.h"

#define MIN_SECRET_BYTES 4

/* So many of a longer secret tell it, and what follows of it goes with them. A server chooses its
 * tokens, and could else make the search last for minutes. */
#define ENOUGH_BYTES 64

/* These are looked for among so many bytes: the others may be letters beyond ASCII. */
#define MAX_PREFIX_BYTES 1024

/* ---- Texts ----------------------------------------------------------------------------------- */

/* What is left of a text, and how it is read: percent-encoding (RFC 3986, 2.1) may lie over the
 * escapes of a JSON string (RFC 8259, 7), as if a request's body is repeated in a URL. */
struct rest {
  const unsigned char *at, *end;
  bool percent, escapes;
  bool *ambiguous; /* set if something was met that can be read in several ways */
};

/* The next byte, or -1 at the end. */
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
      point = utf8_join_surrogates((uint32_t)unit, (uint32_t)low);
      *text = second;
    }
  }
  return utf8_encode(point, out);
}

/* The next character, or byte, as bytes in `out`; returns how many, 0 if the text has ended. */
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

/* A form's plus stands for a space. */
static bool is_same(unsigned char of_secret, unsigned char of_text) {
  return of_secret == of_text || (of_secret == ' ' && of_text == '+');
}

/* ---- Secrets --------------------------------------------------------------------------------- */

/* The beginning of a secret, as far as it is needed. */
struct pattern {
  const char *secret;
  size_t used;                           /* bytes of it, for what follows */
  bool loose;                            /* letters beyond ASCII need no comparison */
  unsigned char bytes[ENOUGH_BYTES + 3]; /* to be compared; a unit is four bytes at most */
  size_t count;
  bool gaps[ENOUGH_BYTES + 4]; /* if loose: letters may stand before this byte, or at the end */
};

/* Whether what is not ASCII in the secret needs no comparison: a server that takes one character
 * encoding for another makes other letters of it, and the others tell enough. */
static bool is_known_by_ascii(const char *secret) {
  size_t count = 0;
  for (size_t i = 0; i < MAX_PREFIX_BYTES && secret[i] != '\0' && count < MIN_SECRET_BYTES; i++)
    if ((unsigned char)secret[i] < 0x80) count++;
  return count == MIN_SECRET_BYTES;
}

static void prepare(struct pattern *p, const char *secret) {
  p->secret = secret;
  p->loose = is_known_by_ascii(secret);
  p->count = 0;
  p->gaps[0] = false;
  size_t i = 0, capacity = p->loose ? ENOUGH_BYTES : sizeof p->bytes;
  for (; i < MAX_PREFIX_BYTES && secret[i] != '\0' && p->count < capacity; i++) {
    unsigned char c = (unsigned char)secret[i];
    if (p->loose && c >= 0x80) {
      p->gaps[p->count] = true;
    } else {
      p->bytes[p->count++] = c;
      p->gaps[p->count] = false;
    }
  }
  p->used = i;
}

/* Takes off what stands for the bytes of the pattern from `*index` on, which is moved on; false if
 * there is nothing of the kind. */
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

/* The same for what follows of the secret. */
static bool match_more(struct rest *text, const char **secret) {
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

/* Takes off as much as stands for what follows of a secret whose beginning was found. */
static void skip_more(struct rest *text, const char *secret, bool loose) {
  for (;;) {
    if (loose && (unsigned char)*secret >= 0x80) {
      while ((unsigned char)*secret >= 0x80)
        secret++;
      skip_letters(text);
    } else if (*secret == '\0' || !match_more(text, &secret)) {
      return;
    }
  }
}

/* ---- The search ------------------------------------------------------------------------------ */

/* Whether the byte is no letter beyond ASCII, and means itself however the text is read. */
static inline bool is_plain(unsigned char c) {
  return c < 0x80 && c != '%' && c != '\\' && c != '+';
}

/* Where what stands for the secret ends, read in that way, if it begins at the text's beginning,
 * letters beyond ASCII before the first other byte left aside; or NULL. */
static const unsigned char *match(struct rest text, const struct pattern *p) {
  size_t index = 0;
  while (index < p->count && index < ENOUGH_BYTES) {
    if (text.at < text.end && is_plain(*text.at)) {
      if (*text.at++ != p->bytes[index++]) return NULL;
      continue;
    }
    if (index > 0 && p->gaps[index]) skip_letters(&text);
    if (!match_unit(&text, p, &index)) return NULL;
  }
  if (index == p->count && p->gaps[index]) skip_letters(&text);
  skip_more(&text, p->secret + (p->loose ? p->used : index), p->loose);
  return text.at;
}

/* One use of redact_find. */
struct search {
  struct pattern patterns[REDACT_SECRETS_MAX];
  size_t count;
  bool may_begin[256]; /* with what bytes an occurrence can begin */
  bool after_letters;  /* some secret begins with letters beyond ASCII that need no comparison */
  /* For each way of reading: such letters which were tried as the beginning of secrets. Those in
   * their midst need not be tried again: what follows is the same. */
  const unsigned char *letters[4], *letters_end[4];
};

static void prepare_search(struct search *s, const char *const *secrets, size_t count,
                           const unsigned char *text) {
  s->count = 0;
  s->after_letters = false;
  memset(s->may_begin, 0, sizeof s->may_begin);
  for (int way = 0; way < 4; way++)
    s->letters[way] = s->letters_end[way] = text;
  for (size_t i = 0; i < count && s->count < REDACT_SECRETS_MAX; i++) {
    struct pattern *p = &s->patterns[s->count];
    if (secrets[i] == NULL || strnlen(secrets[i], MIN_SECRET_BYTES) < MIN_SECRET_BYTES) continue;
    prepare(p, secrets[i]);
    s->count++;
    s->may_begin[p->bytes[0]] = true;
    if (p->bytes[0] == ' ') s->may_begin['+'] = true;
    if (p->gaps[0]) memset(s->may_begin + 0x80, true, 0x80);
    s->after_letters = s->after_letters || p->gaps[0];
  }
  s->may_begin['%'] = s->may_begin['\\'] = true;
}

/* The end of the longest occurrence that begins at the text's beginning, read in that way; or NULL.
 */
static const unsigned char *match_all(struct search *s, struct rest text, int way) {
  const unsigned char *end = NULL;
  struct rest after = text;
  text.percent = after.percent = (way & 1) != 0;
  text.escapes = after.escapes = (way & 2) != 0;
  if (s->after_letters && text.at >= s->letters_end[way]) skip_letters(&after);
  bool letters = after.at > text.at;
  if (letters) {
    s->letters[way] = text.at;
    s->letters_end[way] = after.at;
  }
  for (size_t i = 0; i < s->count; i++) {
    const struct pattern *p = &s->patterns[i];
    bool after_letters = letters && p->gaps[0];
    const unsigned char *found = match(after_letters ? after : text, p);
    if (found != NULL && (end == NULL || found > end)) end = found;
  }
  return end;
}

/* If an occurrence ends in the midst of such letters, all of them are made part of it: else they
 * would be looked at once more for each. */
static void take_letters(const struct search *s, const unsigned char **at,
                         const unsigned char **end) {
  const unsigned char *found = *end;
  for (int way = 0; way < 4; way++) {
    if (found <= s->letters[way] || found >= s->letters_end[way]) continue;
    if (s->letters[way] < *at) *at = s->letters[way];
    if (s->letters_end[way] > *end) *end = s->letters_end[way];
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
    for (int way = 1; way < 4 && ambiguous; way++) {
      const unsigned char *found = match_all(s, rest, way);
      if (found != NULL && (end == NULL || found > end)) end = found;
    }
    if (end == NULL) continue;
    take_letters(s, &at, &end);
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

/* ---- Numbers --------------------------------------------------------------------------------- */

/* Whether the text is a number of JSON's, but for zeros before it; then its value. */
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
