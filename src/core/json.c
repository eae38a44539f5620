#include "core/json.h"

#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "core/buffer.h"
#include "core/hex.h"
#include "core/number.h"
#include "core/utf8.h"

/* Scratch memory larger than this is freed before the next token that needs some. */
#define SCRATCH_KEEP ((size_t)1024 * 1024)

/* What the grammar (RFC 8259, sections 2 to 5) allows next. */
enum expect {
  EXPECT_VALUE,
  EXPECT_FIRST_ELEMENT, /* a value or ] */
  EXPECT_KEY,
  EXPECT_FIRST_KEY, /* a key or } */
  EXPECT_COLON,
  EXPECT_COMMA, /* or the end of the container */
  EXPECT_NOTHING
};

/* Which token is split at the end of a piece. PARTIAL_FAILED means that there was an error; it is
 * one of these so that json_next tests only one variable. */
enum partial { PARTIAL_NONE, PARTIAL_STRING, PARTIAL_NUMBER, PARTIAL_LITERAL, PARTIAL_FAILED };

enum string_state {
  STRING_PLAIN,
  STRING_ESCAPE,      /* after a backslash */
  STRING_HEX,         /* in the four digits after \u */
  STRING_PAIR_ESCAPE, /* after the first half of a surrogate pair: a backslash must follow */
  STRING_PAIR_U,      /* and then a u */
  STRING_UTF8         /* inside a UTF-8 sequence */
};

enum number_state {
  NUMBER_START,
  NUMBER_MINUS,
  NUMBER_ZERO,
  NUMBER_INTEGER,
  NUMBER_POINT,
  NUMBER_FRACTION,
  NUMBER_E,
  NUMBER_E_SIGN,
  NUMBER_EXPONENT,
  NUMBER_NONE /* not a state: the byte cannot be part of the number */
};

/* ---- bytes ---- */

static bool is_digit(unsigned char c) {
  return c >= '0' && c <= '9';
}

static inline bool is_space(unsigned char c) {
  return c <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t');
}

static inline const unsigned char *skip_space(const unsigned char *p, const unsigned char *end) {
  while (p < end && is_space(*p))
    p++;
  return p;
}

static inline uint64_t eight_bytes(const void *p) {
  uint64_t eight;
  memcpy(&eight, p, sizeof eight);
  return eight;
}

static inline uint32_t four_bytes(const void *p) {
  uint32_t four;
  memcpy(&four, p, sizeof four);
  return four;
}

/* ---- errors ---- */

static uint64_t offset_of(const struct json_reader *r, const unsigned char *p) {
  return (uint64_t)(uintptr_t)p + r->origin;
}

static enum json_event fail(struct json_reader *r, enum json_fault fault, const char *message,
                            uint64_t offset) {
  r->fault = fault;
  r->message = message;
  r->offset = offset;
  r->partial = PARTIAL_FAILED;
  return JSON_ERROR;
}

static enum json_event syntax_error(struct json_reader *r, const unsigned char *p,
                                    const char *message) {
  return fail(r, JSON_FAULT_SYNTAX, message, offset_of(r, p));
}

/* The piece ends before the token or the whole value is complete. */
static enum json_event out_of_bytes(struct json_reader *r) {
  if (!r->ended) return JSON_NEED_MORE;
  return fail(r, JSON_FAULT_CUT_SHORT, "the input ended too early", offset_of(r, r->end));
}

/* Returns what may follow a value. */
static inline enum expect after_value(const struct json_reader *r) {
  return r->depth > 0 ? EXPECT_COMMA : EXPECT_NOTHING;
}

/* ---- scratch memory ---- */

/* The text may be secret, so it is overwritten before the memory is freed. */
static void scratch_free(struct json_reader *r) {
  if (r->scratch != NULL) wipe(r->scratch, r->scratch_capacity);
  free(r->scratch);
  r->scratch = NULL;
  r->scratch_size = r->scratch_capacity = 0;
}

static void scratch_clear(struct json_reader *r) {
  r->scratch_size = 0;
  if (r->scratch_capacity > SCRATCH_KEEP) scratch_free(r);
}

/* Makes room for `more` bytes. If out of memory, fails the reader and returns false. */
static bool scratch_reserve(struct json_reader *r, size_t more) {
  if (more <= r->scratch_capacity - r->scratch_size) return true;
  size_t capacity = r->scratch_capacity < 128 ? 128 : r->scratch_capacity;
  char *grown = NULL;
  if (more <= SIZE_MAX / 4 && r->scratch_size <= SIZE_MAX / 4) {
    while (capacity - r->scratch_size < more)
      capacity *= 2;
    grown = malloc(capacity);
  }
  if (grown == NULL) {
    fail(r, JSON_FAULT_MEMORY, "out of memory", r->token_offset);
    return false;
  }
  size_t size = r->scratch_size;
  if (size > 0) memcpy(grown, r->scratch, size);
  scratch_free(r);
  r->scratch = grown;
  r->scratch_size = size;
  r->scratch_capacity = capacity;
  return true;
}

/* A token is longer than the limit. The error's offset is that of the token's first byte, because
 * where the limit is noticed depends on the pieces. */
static enum json_event too_long(struct json_reader *r) {
  return fail(r, JSON_FAULT_TOKEN, "a string or number is too long", r->token_offset);
}

/* Appends bytes of a token. If it gets too long, or if out of memory, fails the reader and returns
 * false. */
static bool scratch_put(struct json_reader *r, const unsigned char *bytes, size_t size) {
  if (size == 0) return true;
  if (size > r->token_limit || r->scratch_size > r->token_limit - size) {
    too_long(r);
    return false;
  }
  if (!scratch_reserve(r, size)) return false;
  memcpy(r->scratch + r->scratch_size, bytes, size);
  r->scratch_size += size;
  return true;
}

/* ---- strings (RFC 8259, section 7; UTF-8: RFC 3629, section 4) ---- */

static bool is_plain(unsigned char c) {
  return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* Returns 0 if all eight bytes are plain. Otherwise the high bit of the lowest other byte is set;
 * bits above that mean nothing, because the subtractions borrow. */
static uint64_t not_plain(uint64_t eight) {
  uint64_t quote = (eight ^ EACH_BYTE('"')) - EACH_BYTE(1);
  uint64_t backslash = (eight ^ EACH_BYTE('\\')) - EACH_BYTE(1);
  uint64_t control = eight - EACH_BYTE(0x20);
  return (eight | control | quote | backslash) & EACH_BYTE(0x80);
}

/* Skips plain ASCII text, 16 bytes at a time if there is SSE2, then 8. */
static inline const unsigned char *skip_plain(const unsigned char *p, const unsigned char *end) {
#ifdef __SSE2__
  for (; end - p >= 16; p += 16) {
    __m128i text = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i quote = _mm_cmpeq_epi8(text, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(text, _mm_set1_epi8('\\'));
    __m128i other = _mm_cmplt_epi8(text, _mm_set1_epi8(0x20)); /* signed: so also from 0x80 on */
    int marks = _mm_movemask_epi8(_mm_or_si128(other, _mm_or_si128(quote, backslash)));
    if (marks != 0) return p + __builtin_ctz((unsigned)marks);
  }
#endif
  while (end - p >= 8 && not_plain(eight_bytes(p)) == 0)
    p += 8;
  while (p < end && is_plain(*p))
    p++;
  return p;
}

/* Skips text that needs no decoding: plain ASCII and complete valid UTF-8 sequences. Stops at
 * anything else, such as the closing quote or a backslash. */
static const unsigned char *skip_clean(const struct json_reader *r, const unsigned char *p,
                                       const unsigned char *end) {
  for (;;) {
    p = skip_plain(p, end);
    if (p == end || *p < 0x80) return p;
    do {
      const unsigned char *next = r->any_bytes ? p + 1 : utf8_skip(p, end);
      if (next == NULL) return p;
      p = next;
    } while (p < end && *p >= 0x80);
  }
}

/* The closing quote has been read. */
static enum json_event string_done(struct json_reader *r) {
  bool key = r->expect == EXPECT_KEY || r->expect == EXPECT_FIRST_KEY;
  r->expect = (unsigned char)(key ? EXPECT_COLON : after_value(r));
  return key ? JSON_KEY : JSON_STRING;
}

/* What each character stands for after a backslash; 0 if there is no such escape. */
static const unsigned char escapes[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};

/* Decodes the escape at `p`, a backslash, if at least six bytes are left in the piece. Sets `out`,
 * and `*size` to the number of bytes in it, and returns the end of the escape. Returns NULL if too
 * few bytes are left, if there is no such escape, or if it is half of a surrogate pair. */
static const unsigned char *whole_escape(const unsigned char *p, const unsigned char *end,
                                         unsigned char out[4], size_t *size) {
  uint32_t unit = 0;
  if (end - p < 6) return NULL;
  if (p[1] != 'u') {
    *out = escapes[p[1]];
    *size = 1;
    return *out != 0 ? p + 2 : NULL;
  }
  for (int i = 2; i < 6; i++) {
    int digit = hex_value(p[i]);
    if (digit < 0) return NULL;
    unit = unit << 4 | (uint32_t)digit;
  }
  if (unit >= 0xD800 && unit <= 0xDFFF) return NULL;
  *size = utf8_encode(unit, out);
  return p + 6;
}

/* The following functions decode a part of a string into scratch memory, depending on r->state.
 * They fail the reader and return false on an error. */

static bool string_error(struct json_reader *r, const unsigned char *p, const char *message) {
  syntax_error(r, p, message);
  return false;
}

static bool string_plain(struct json_reader *r) {
  const unsigned char *stop = skip_clean(r, r->at, r->end);
  if (!scratch_put(r, r->at, (size_t)(stop - r->at))) return false;
  r->at = stop;
  if (stop == r->end || *stop == '"') return true; /* string_decode handles the quote */
  if (*stop == '\\') {
    unsigned char bytes[4];
    size_t size;
    const unsigned char *after = whole_escape(stop, r->end, bytes, &size);
    if (after != NULL) {
      r->at = after;
      return scratch_put(r, bytes, size);
    }
    r->escape_offset = offset_of(r, stop);
    r->state = STRING_ESCAPE;
  } else {
    if (*stop < 0x20) return string_error(r, stop, "a control character in a string");
    r->pending = (unsigned char)utf8_first(*stop, &r->low, &r->high);
    if (r->pending == 0) return string_error(r, stop, "invalid UTF-8");
    if (!scratch_put(r, stop, 1)) return false;
    r->state = STRING_UTF8;
  }
  r->at = stop + 1;
  return true;
}

static bool string_utf8(struct json_reader *r, const unsigned char *p) {
  if (*p < r->low || *p > r->high) return string_error(r, p, "invalid UTF-8");
  r->low = 0x80;
  r->high = 0xBF;
  if (--r->pending == 0) r->state = STRING_PLAIN;
  return scratch_put(r, p, 1);
}

/* The u of a \u escape has been read. */
static bool string_begin_hex(struct json_reader *r) {
  r->state = STRING_HEX;
  r->digits = 0;
  r->unit = 0;
  return true;
}

static bool string_escape(struct json_reader *r, const unsigned char *p) {
  if (*p == 'u') return string_begin_hex(r);
  if (escapes[*p] == 0) return string_error(r, p, "an unknown escape in a string");
  r->state = STRING_PLAIN;
  return scratch_put(r, &escapes[*p], 1);
}

static bool put_code_point(struct json_reader *r, uint32_t c) {
  unsigned char bytes[4];
  return scratch_put(r, bytes, utf8_encode(c, bytes));
}

static bool lone_surrogate(struct json_reader *r) {
  fail(r, JSON_FAULT_SYNTAX, "half of a surrogate pair in a string", r->escape_offset);
  return false;
}

/* All four digits after \u have been read. */
static bool string_unit(struct json_reader *r) {
  bool is_high = r->unit >= 0xD800 && r->unit <= 0xDBFF;
  bool is_low = r->unit >= 0xDC00 && r->unit <= 0xDFFF;
  uint32_t code = r->unit;
  if (is_low != (r->surrogate != 0)) return lone_surrogate(r);
  if (is_high) {
    r->surrogate = r->unit;
    r->state = STRING_PAIR_ESCAPE;
    return true;
  }
  if (is_low) code = utf8_join_surrogates(r->surrogate, r->unit);
  r->surrogate = 0;
  r->state = STRING_PLAIN;
  return put_code_point(r, code);
}

static bool string_hex(struct json_reader *r, const unsigned char *p) {
  int digit = hex_value(*p);
  if (digit < 0) return string_error(r, p, "expected four hexadecimal digits after \\u");
  r->unit = r->unit << 4 | (uint32_t)digit;
  return ++r->digits < 4 || string_unit(r);
}

/* Between the halves of a surrogate pair: the second half must be an escape, too. */
static bool string_pair(struct json_reader *r, unsigned char c) {
  if (r->state == STRING_PAIR_ESCAPE) {
    if (c != '\\') return lone_surrogate(r);
    r->state = STRING_PAIR_U;
    return true;
  }
  return c == 'u' ? string_begin_hex(r) : lone_surrogate(r);
}

static bool string_step(struct json_reader *r) {
  switch ((enum string_state)r->state) {
  case STRING_PLAIN: return string_plain(r);
  case STRING_ESCAPE: return string_escape(r, r->at++);
  case STRING_HEX: return string_hex(r, r->at++);
  case STRING_UTF8: return string_utf8(r, r->at++);
  case STRING_PAIR_ESCAPE:
  case STRING_PAIR_U: break;
  }
  return string_pair(r, *r->at++);
}

/* Decodes a string into scratch memory. Can stop after any byte, and continue from there. */
static enum json_event string_decode(struct json_reader *r) {
  while (r->at < r->end) {
    if (r->state == STRING_PLAIN && *r->at == '"') {
      r->at++;
      r->partial = PARTIAL_NONE;
      r->text = r->scratch_size > 0 ? r->scratch : "";
      r->size = r->scratch_size;
      return string_done(r);
    }
    if (!string_step(r)) return JSON_ERROR;
  }
  return out_of_bytes(r);
}

/* Starts string_decode for a string that begins at `p` and needs no decoding before `stop`. */
static enum json_event string_slow(struct json_reader *r, const unsigned char *p,
                                   const unsigned char *stop) {
  r->partial = PARTIAL_STRING;
  r->state = STRING_PLAIN;
  r->surrogate = 0;
  r->at = stop;
  scratch_clear(r);
  if (!scratch_put(r, p, (size_t)(stop - p))) return JSON_ERROR;
  return string_decode(r);
}

/* Returns the end of the part that needs no decoding, usually the closing quote. */
static inline const unsigned char *string_end(const struct json_reader *r, const unsigned char *p) {
  const unsigned char *stop = skip_plain(p, r->end);
  return stop < r->end && *stop >= 0x80 ? skip_clean(r, stop, r->end) : stop;
}

/* Reads a string without copying it if all of it is in the piece and nothing needs decoding. Leaves
 * other strings, and errors, to string_decode. `p` is just after the opening quote, `event` is
 * JSON_KEY or JSON_STRING, and `next` is what may follow it. */
static inline enum json_event string_fast(struct json_reader *r, const unsigned char *p,
                                          enum json_event event, enum expect next) {
  const unsigned char *stop = string_end(r, p);
  if (stop == r->end || *stop != '"') return string_slow(r, p, stop);
  r->text = (const char *)p;
  r->size = (size_t)(stop - p);
  r->at = stop + 1;
  r->expect = (unsigned char)next;
  return r->size <= r->token_limit ? event : too_long(r);
}

/* ---- numbers (RFC 8259, section 6) ---- */

static enum number_state after_digit(enum number_state state, unsigned char c) {
  switch (state) {
  case NUMBER_START:
  case NUMBER_MINUS: return c == '0' ? NUMBER_ZERO : NUMBER_INTEGER;
  case NUMBER_INTEGER: return NUMBER_INTEGER;
  case NUMBER_POINT:
  case NUMBER_FRACTION: return NUMBER_FRACTION;
  case NUMBER_E:
  case NUMBER_E_SIGN:
  case NUMBER_EXPONENT: return NUMBER_EXPONENT;
  case NUMBER_ZERO:
  case NUMBER_NONE: break;
  }
  return NUMBER_NONE;
}

static enum number_state after_sign(enum number_state state, unsigned char c) {
  bool whole = state == NUMBER_ZERO || state == NUMBER_INTEGER;
  switch (c) {
  case '-':
    if (state == NUMBER_START) return NUMBER_MINUS;
    return state == NUMBER_E ? NUMBER_E_SIGN : NUMBER_NONE;
  case '+': return state == NUMBER_E ? NUMBER_E_SIGN : NUMBER_NONE;
  case '.': return whole ? NUMBER_POINT : NUMBER_NONE;
  case 'e':
  case 'E': return whole || state == NUMBER_FRACTION ? NUMBER_E : NUMBER_NONE;
  default: return NUMBER_NONE;
  }
}

static bool number_may_end(enum number_state state) {
  return state == NUMBER_ZERO || state == NUMBER_INTEGER || state == NUMBER_FRACTION ||
         state == NUMBER_EXPONENT;
}

/* Continues to read a number, up to its end or the end of the piece, and returns that position. */
static const unsigned char *number_scan(struct json_reader *r, const unsigned char *p) {
  const unsigned char *end = r->end;
  enum number_state state = (enum number_state)r->state;
  while (p < end) {
    enum number_state next = is_digit(*p) ? after_digit(state, *p) : after_sign(state, *p);
    if (next == NUMBER_NONE) break;
    state = next;
    p++;
    if (state == NUMBER_INTEGER || state == NUMBER_FRACTION || state == NUMBER_EXPONENT)
      while (p < end && is_digit(*p))
        p++;
  }
  r->state = (unsigned char)state;
  return p;
}

static enum json_event number_done(struct json_reader *r, const char *text, size_t size) {
  r->partial = PARTIAL_NONE;
  r->expect = (unsigned char)after_value(r);
  r->text = text;
  r->size = size;
  switch (number_read(text, size, &r->integer, &r->number)) {
  case NUMBER_IS_INTEGER: return JSON_INTEGER;
  case NUMBER_IS_DOUBLE: return JSON_DOUBLE;
  case NUMBER_IS_TOO_LARGE: break;
  }
  return fail(r, JSON_FAULT_RANGE, "a number is too large", r->token_offset);
}

/* The number is incomplete at `p`, or the byte at `p` can be part of a number but is not allowed
 * there. */
static enum json_event number_error(struct json_reader *r, const unsigned char *p) {
  const char *message = "expected a digit";
  if (number_may_end((enum number_state)r->state)) message = "malformed number";
  if (r->state == NUMBER_ZERO && is_digit(*p)) message = "a number with a leading zero";
  return syntax_error(r, p, message);
}

static bool number_ends_at(const struct json_reader *r, const unsigned char *p) {
  if (!number_may_end((enum number_state)r->state)) return false;
  return !is_digit(*p) && *p != '-' && *p != '+' && *p != '.' && *p != 'e' && *p != 'E';
}

/* Continues to read a number whose beginning is in scratch memory. */
static enum json_event number_continue(struct json_reader *r) {
  const unsigned char *stop = number_scan(r, r->at);
  if (!scratch_put(r, r->at, (size_t)(stop - r->at))) return JSON_ERROR;
  r->at = stop;
  if (stop < r->end) {
    if (!number_ends_at(r, stop)) return number_error(r, stop);
  } else if (!r->ended || r->depth > 0 || !number_may_end((enum number_state)r->state)) {
    return out_of_bytes(r);
  }
  return number_done(r, r->scratch, r->scratch_size);
}

/* Reads a number of one digit, as most numbers in lists of users are. Returns false if it is not
 * one. */
static inline bool single_digit(struct json_reader *r, const unsigned char *p) {
  if (r->end - p < 2 || !is_digit(*p) || (p[1] != ',' && p[1] != '}')) return false;
  r->integer = *p - '0';
  r->text = (const char *)p;
  r->size = 1;
  r->at = p + 1;
  r->expect = EXPECT_COMMA;
  return true;
}

/* Reads a number into `*v`. Returns its end, or NULL if only number_begin can read it. */
static const unsigned char *read_number(const struct json_reader *r, const unsigned char *p,
                                        struct json_token *v) {
  enum number_type type;
  const char *text = (const char *)p;
  const char *stop = number_read_short(text, (const char *)r->end, &type, &v->integer, &v->number);
  if (stop == NULL || stop == (const char *)r->end) return NULL;
  if (*stop != ',' && *stop != '}' && !is_space((unsigned char)*stop)) return NULL;
  v->event = type == NUMBER_IS_INTEGER ? JSON_INTEGER : JSON_DOUBLE;
  v->text = text;
  v->size = (uint32_t)(stop - text);
  return (const unsigned char *)stop;
}

static enum json_event number_begin(struct json_reader *r, const unsigned char *p) {
  r->state = NUMBER_START;
  const unsigned char *stop = number_scan(r, p);
  if (stop == r->end) {
    r->partial = PARTIAL_NUMBER;
    r->state = NUMBER_START;
    scratch_clear(r);
    return number_continue(r);
  }
  if ((size_t)(stop - p) > r->token_limit) return too_long(r);
  if (!number_ends_at(r, stop)) return number_error(r, stop);
  r->at = stop;
  return number_done(r, (const char *)p, (size_t)(stop - p));
}

/* ---- true, false, null (RFC 8259, section 3) ---- */

static enum json_event literal_continue(struct json_reader *r) {
  for (; *r->literal != '\0'; r->literal++, r->at++) {
    if (r->at == r->end) return out_of_bytes(r);
    if (*r->at != (unsigned char)*r->literal)
      return syntax_error(r, r->at, "expected true, false or null");
  }
  r->partial = PARTIAL_NONE;
  r->expect = (unsigned char)after_value(r);
  return (enum json_event)r->literal_event;
}

static enum json_event literal_begin(struct json_reader *r, const char *literal,
                                     enum json_event event) {
  r->partial = PARTIAL_LITERAL;
  r->literal = literal;
  r->literal_event = (unsigned char)event;
  return literal_continue(r);
}

/* ---- containers (RFC 8259, sections 4 and 5) ---- */

static enum json_event container_begin(struct json_reader *r, bool array) {
  if (r->depth == r->depth_limit)
    return fail(r, JSON_FAULT_DEPTH, "arrays and objects are nested too deeply", r->token_offset);
  unsigned char *bits = &r->arrays[r->depth / 8];
  unsigned bit = 1u << r->depth % 8;
  *bits = (unsigned char)(array ? *bits | bit : *bits & ~bit);
  r->depth++;
  r->in_array = array;
  r->at++;
  r->expect = array ? EXPECT_FIRST_ELEMENT : EXPECT_FIRST_KEY;
  return array ? JSON_ARRAY_BEGIN : JSON_OBJECT_BEGIN;
}

/* The caller has checked that the bracket matches. */
static enum json_event container_end(struct json_reader *r) {
  enum json_event event = r->in_array ? JSON_ARRAY_END : JSON_OBJECT_END;
  unsigned outer = --r->depth;
  r->at++;
  r->expect = outer > 0 ? EXPECT_COMMA : EXPECT_NOTHING;
  r->in_array = outer > 0 && (r->arrays[(outer - 1) / 8] >> (outer - 1) % 8 & 1) != 0;
  return event;
}

/* ---- the grammar ---- */

static enum json_event not_a_value(struct json_reader *r, const unsigned char *p) {
  if (*p == 0xEF && offset_of(r, p) == 0) return syntax_error(r, p, "a byte order mark");
  return syntax_error(r, p, "expected a value");
}

static enum json_event other_value_begin(struct json_reader *r, const unsigned char *p) {
  switch (*p) {
  case '{': return container_begin(r, false);
  case '[': return container_begin(r, true);
  case 't': return literal_begin(r, "true", JSON_TRUE);
  case 'f': return literal_begin(r, "false", JSON_FALSE);
  case 'n': return literal_begin(r, "null", JSON_NULL);
  default:
    if (is_digit(*p) || *p == '-') return number_begin(r, p);
    return not_a_value(r, p);
  }
}

/* Strings, null and numbers of one digit, the most frequent values, are tried first. */
static inline enum json_event value_begin(struct json_reader *r, const unsigned char *p) {
  r->values++;
  if (*p == '"') return string_fast(r, p + 1, JSON_STRING, after_value(r));
  if (r->end - p >= 4 && four_bytes(p) == four_bytes("null")) {
    r->at = p + 4;
    r->expect = (unsigned char)after_value(r);
    return JSON_NULL;
  }
  if (r->depth > 0 && single_digit(r, p)) return JSON_INTEGER;
  return other_value_begin(r, p);
}

/* Reads the token that begins at `p`, if the grammar allows it. */
static enum json_event token_begin(struct json_reader *r, const unsigned char *p) {
  r->token_offset = offset_of(r, p);
  switch ((enum expect)r->expect) {
  case EXPECT_FIRST_KEY:
    if (*p == '}') return container_end(r);
    /* fall through */
  case EXPECT_KEY:
    if (*p != '"') return syntax_error(r, p, "expected a key");
    return string_fast(r, p + 1, JSON_KEY, EXPECT_COLON);
  case EXPECT_FIRST_ELEMENT:
    if (*p == ']') return container_end(r);
    /* fall through */
  case EXPECT_VALUE: return value_begin(r, p);
  case EXPECT_COLON: return syntax_error(r, p, "expected a colon");
  case EXPECT_COMMA:
    if (*p == (r->in_array ? ']' : '}')) return container_end(r);
    return syntax_error(r, p, r->in_array ? "expected a comma or ]" : "expected a comma or }");
  case EXPECT_NOTHING: break;
  }
  return syntax_error(r, p, "text after the value");
}

static enum json_event token_continue(struct json_reader *r) {
  switch ((enum partial)r->partial) {
  case PARTIAL_STRING: return string_decode(r);
  case PARTIAL_NUMBER: return number_continue(r);
  case PARTIAL_LITERAL: return literal_continue(r);
  /* GCOVR_EXCL_START: after an error, and to please compilers */
  case PARTIAL_NONE:
  case PARTIAL_FAILED: break;
  }
  return JSON_ERROR;
  /* GCOVR_EXCL_STOP */
}

enum json_event json_next(struct json_reader *r) {
  if (r->partial != PARTIAL_NONE) return token_continue(r);
  const unsigned char *p = skip_space(r->at, r->end);
  if (p < r->end && *p == ',' && r->expect == EXPECT_COMMA) {
    r->expect = r->in_array ? EXPECT_VALUE : EXPECT_KEY;
    p = skip_space(p + 1, r->end);
  } else if (p < r->end && *p == ':' && r->expect == EXPECT_COLON) {
    r->expect = EXPECT_VALUE;
    p = skip_space(p + 1, r->end);
  }
  r->at = p;
  if (p < r->end) return token_begin(r, p);
  if (r->ended && r->expect == EXPECT_NOTHING) return JSON_END;
  return out_of_bytes(r);
}

/* ---- many members at once ---- */

/* A key is read only if this many bytes are left in the piece: a comma, two blanks, the key, and
 * what read_scalar looks at first. So the end of the piece need not be checked in between. */
#define MEMBER_SLACK (JSON_KEY_MAX + 8)

static bool append(struct buffer *texts, const unsigned char *bytes, size_t size) {
  return texts == NULL || buffer_append(texts, bytes, size);
}

/* Reads a string up to its closing quote, which is not at `stop`. Nothing before `stop` needs
 * decoding. Decodes the string into `texts`, unless that is NULL, and returns its end. Returns
 * NULL, with the size of `texts` unchanged, if json_next must read the string. */
static const unsigned char *read_escaped(const struct json_reader *r, const unsigned char *p,
                                         const unsigned char *stop, struct json_token *v,
                                         struct buffer *texts) {
  const unsigned char *end = r->end;
  size_t size = 0, at = texts != NULL ? texts->size : 0;
  while (stop < end && *stop == '\\') {
    unsigned char bytes[4];
    size_t plain = (size_t)(stop - p), decoded;
    const unsigned char *after = whole_escape(stop, end, bytes, &decoded);
    if (after == NULL || !append(texts, p, plain) || !append(texts, bytes, decoded)) break;
    size += plain + decoded;
    p = after;
    stop = skip_clean(r, p, end);
  }
  if (stop < end && *stop == '"' && append(texts, p, (size_t)(stop - p))) {
    size += (size_t)(stop - p);
    *v = (struct json_token){
        .event = JSON_STRING, .at = at, .size = (uint32_t)size, .is_kept = true};
    return stop + 1;
  }
  if (texts != NULL) texts->size = at;
  return NULL;
}

/* Reads a scalar for json_next_members; `bit` is the member's. Returns its end, or NULL if
 * json_next must read the value. At least five bytes are left in the piece. */
static inline const unsigned char *read_scalar(const struct json_reader *r, const unsigned char *p,
                                               struct json_token *v, const struct json_members *m,
                                               uint64_t bit) {
  if (*p == '"') {
    const unsigned char *stop = string_end(r, ++p);
    if (stop == r->end) return NULL;
    if (*stop != '"') return read_escaped(r, p, stop, v, (m->wanted & bit) != 0 ? m->texts : NULL);
    *v = (struct json_token){
        .event = JSON_STRING, .text = (const char *)p, .size = (uint32_t)(stop - p)};
    return stop + 1;
  }
  if (four_bytes(p) == four_bytes("null")) {
    *v = (struct json_token){.event = JSON_NULL};
    return p + 4;
  }
  if (is_digit(*p) && (p[1] == ',' || p[1] == '}')) {
    *v = (struct json_token){
        .event = JSON_INTEGER, .text = (const char *)p, .size = 1, .integer = *p - '0'};
    return p + 1;
  }
  if (four_bytes(p) == four_bytes("true")) {
    *v = (struct json_token){.event = JSON_TRUE};
    return p + 4;
  }
  if (four_bytes(p) == four_bytes("fals") && p[4] == 'e') {
    *v = (struct json_token){.event = JSON_FALSE};
    return p + 5;
  }
  return read_number(r, p, v);
}

/* Skips a blank, if there is one. This is a branch, which the processor predicts; p += *p == ' '
 * would make it wait for the byte at `p`. */
static inline const unsigned char *skip_blank(const unsigned char *p) {
  if (__builtin_expect(*p == ' ', 1)) p++;
  return p;
}

/* Returns where the key of a member begins: after the comma (unless it is the first member) and
 * white space, which is usually one blank or none. Returns NULL if json_next must read the key. */
static inline const unsigned char *key_at(const unsigned char *p, const unsigned char *end,
                                          bool is_first) {
  if (end - p < MEMBER_SLACK || (!is_first && *p != ',')) return NULL;
  p += !is_first;
  p = skip_blank(p);
  if (*p == '"') return p;
  p = skip_space(p, end);
  return end - p >= MEMBER_SLACK && *p == '"' ? p : NULL;
}

/* Returns whether the key of a member is at `p`. Compares its beginning and its end, which overlap
 * if the key is short: this is faster than calling memcmp. */
static inline bool has_key(const unsigned char *p, const struct json_member *m) {
  const char *key = m->key;
  size_t size = m->size;
  if (size < 8)
    return four_bytes(p) == four_bytes(key) &&
           four_bytes(p + size - 4) == four_bytes(key + size - 4);
  if (eight_bytes(p) != eight_bytes(key)) return false;
  if (eight_bytes(p + size - 8) != eight_bytes(key + size - 8)) return false;
  if (size <= 16) return true;
  return size <= 24 ? eight_bytes(p + 8) == eight_bytes(key + 8)
                    : memcmp(p + 8, key + 8, size - 16) == 0;
}

void json_next_members(struct json_reader *r, struct json_members *m) {
  const struct json_member *member = m->expected + m->next, *last = m->expected + m->count;
  struct json_token *value = m->values + m->next;
  uint64_t bit = UINT64_C(1) << m->next, read = 0, nulls = 0;
  bool is_first = r->expect == EXPECT_FIRST_KEY;
  m->read = m->nulls = 0;
  if (r->partial != PARTIAL_NONE || r->in_array || (!is_first && r->expect != EXPECT_COMMA)) return;
  if (json_unread(r) > r->token_limit) return; /* otherwise no token can be too long */
  const unsigned char *p = key_at(r->at, r->end, is_first);
  for (; p != NULL && member < last; member++, value++, bit <<= 1) {
    if (!has_key(p, member)) continue;
    p += member->size;
    p = read_scalar(r, skip_blank(p), value, m, bit);
    if (p == NULL || (member->events >> value->event & 1) == 0) break;
    read |= bit;
    if (value->event == JSON_NULL) nulls |= bit;
    r->values++;
    r->at = p;
    p = key_at(p, r->end, false);
  }
  if (read == 0) return;
  r->expect = EXPECT_COMMA;
  m->next = 64 - (unsigned)__builtin_clzll(read);
  m->read = read;
  m->nulls = nulls;
}

/* ---- create, feed, end ---- */

static const unsigned char empty_piece[1];

void json_init(struct json_reader *r, unsigned depth_limit, size_t token_limit) {
  memset(r, 0, sizeof *r);
  if (depth_limit == 0) depth_limit = JSON_DEPTH_DEFAULT;
  if (depth_limit > JSON_DEPTH_MAX) depth_limit = JSON_DEPTH_MAX;
  r->depth_limit = (unsigned short)depth_limit;
  r->token_limit = token_limit == 0 ? JSON_TOKEN_DEFAULT : token_limit;
  r->at = r->end = empty_piece;
  r->origin = 0 - (uint64_t)(uintptr_t)empty_piece;
}

void json_free(struct json_reader *r) {
  scratch_free(r);
}

void json_feed(struct json_reader *r, const char *bytes, size_t size) {
  uint64_t read = offset_of(r, r->at);
  r->at = size > 0 ? (const unsigned char *)bytes : empty_piece;
  r->end = r->at + size;
  r->origin = read - (uint64_t)(uintptr_t)r->at;
}

void json_end(struct json_reader *r) {
  r->ended = true;
}
