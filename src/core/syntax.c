#include "core/syntax.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "core/hex.h"
#include "core/utf8.h"

/* How many times a path may be percent-decoded: by a proxy, by the server, and by the application
 * behind it. */
#define MAX_DECODINGS 3

static bool is_digit(unsigned char c) {
  return c >= '0' && c <= '9';
}

static bool is_hex(unsigned char c) {
  return hex_value(c) >= 0;
}

/* Returns the length of the UTF-8 character at the beginning of `size` bytes, of which there must
 * be at least one. Returns 0 if it is not valid. */
static size_t character_length(const unsigned char *text, size_t size) {
  if (*text < 0x80) return 1;
  const unsigned char *end = utf8_skip(text, text + size);
  return end == NULL ? 0 : (size_t)(end - text);
}

/* Whether the UTF-8 sequence is one of U+0080 to U+009F, which some terminals interpret as the
 * beginning of escape sequences. */
static bool is_c1_control(const unsigned char *text) {
  return text[0] == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f;
}

bool syntax_is_uuid(const char *text, size_t size) {
  if (size != 36) return false;
  for (size_t i = 0; i < size; i++) {
    bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    if (hyphen ? text[i] != '-' : !is_hex((unsigned char)text[i])) return false;
  }
  return true;
}

bool syntax_is_path_byte(char c) {
  return is_digit((unsigned char)c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c != '\0' && strchr("/%-._~!$&'()*+,;=:", c) != NULL);
}

/* Sets `*byte` to the first byte of the text after it was percent-decoded `times` times. Returns
 * how many bytes of the text that byte stands for. */
static size_t decode(const char *text, size_t size, unsigned times, unsigned char *byte) {
  *byte = (unsigned char)*text;
  if (times == 0) return 1;
  size_t used = decode(text, size, times - 1, byte), end = used;
  unsigned char digits[2] = {0};
  if (*byte != '%') return used;
  for (int i = 0; i < 2; i++) {
    if (end == size) return used;
    end += decode(text + end, size - end, times - 1, &digits[i]);
    if (!is_hex(digits[i])) return used;
  }
  *byte = (unsigned char)(hex_value(digits[0]) * 16 + hex_value(digits[1]));
  return end;
}

/* Like decode, but for a whole UTF-8 character; sets `bytes` to it, followed by unspecified bytes.
 * Returns 0 if the character is not valid. */
static size_t decode_character(const char *text, size_t size, unsigned times,
                               unsigned char bytes[4]) {
  size_t ends[4] = {0}, end = 0, count = 0;
  while (count < 4 && end < size && (count == 0 || bytes[0] >= 0x80)) {
    end += decode(text + end, size - end, times, &bytes[count]);
    ends[count++] = end;
  }
  size_t length = character_length(bytes, count);
  return length == 0 ? 0 : ends[length - 1];
}

/* A segment of a path that is being checked. */
struct segment {
  size_t size;         /* characters read so far, without parameters */
  bool is_dots;        /* all of them are dots */
  bool has_parameters; /* a ";" was read: some servers remove it and all that follows */
};

/* What is wrong with the name of a complete segment: a server may interpret it as "." or "..", or
 * skip it because it is empty. If the last segment is empty, the path merely ends in a slash. */
static enum syntax_path_fault name_fault(const struct segment *s, bool is_last) {
  if (s->size > 0) return s->is_dots && s->size <= 2 ? SYNTAX_PATH_DOT_SEGMENT : SYNTAX_PATH_OK;
  if (s->has_parameters) return SYNTAX_PATH_NO_NAME;
  return is_last ? SYNTAX_PATH_OK : SYNTAX_PATH_EMPTY_SEGMENT;
}

/* Adds a character, and returns what is wrong with it. */
static enum syntax_path_fault add_to_segment(struct segment *s, const unsigned char *character) {
  unsigned char c = *character;
  if (c == '/') return SYNTAX_PATH_ESCAPED_SLASH;
  if (c == '\\') return SYNTAX_PATH_BACKSLASH;
  if (c < 0x20 || c == 0x7f || is_c1_control(character)) return SYNTAX_PATH_CONTROL;
  if (s->has_parameters) return SYNTAX_PATH_OK;
  if (c == ';') {
    s->has_parameters = true;
    return name_fault(s, false);
  }
  s->is_dots = c == '.' && (s->is_dots || s->size == 0);
  s->size++;
  return SYNTAX_PATH_OK;
}

/* Returns why the path, percent-decoded `times` times, has not as many segments as before, or why
 * servers may read one of them differently. A "/" that was decoded is not allowed in a segment. */
static enum syntax_path_fault segments_fault(const char *text, size_t size, unsigned times) {
  struct segment segment = {0};
  size_t used;
  for (size_t i = 1; i < size; i += used) {
    unsigned char character[4] = {0};
    enum syntax_path_fault fault;
    used = decode_character(text + i, size - i, times, character);
    if (used == 0) return SYNTAX_PATH_NOT_UTF8;
    if (*character != '/' || used > 1) {
      fault = add_to_segment(&segment, character);
    } else {
      fault = name_fault(&segment, false);
      segment = (struct segment){0};
    }
    if (fault != SYNTAX_PATH_OK) return fault;
  }
  return name_fault(&segment, true);
}

/* Returns what is wrong with the character that `size` bytes begin with. */
static enum syntax_path_fault character_fault(const char *text, size_t size) {
  unsigned char c = (unsigned char)*text;
  if (c == '%') {
    bool is_escape = size >= 3 && is_hex((unsigned char)text[1]) && is_hex((unsigned char)text[2]);
    return is_escape ? SYNTAX_PATH_OK : SYNTAX_PATH_PERCENT;
  }
  if (syntax_is_path_byte(*text)) return SYNTAX_PATH_OK;
  if (c == '\\') return SYNTAX_PATH_BACKSLASH;
  if (c == '@') return SYNTAX_PATH_AT;
  return c < 0x20 || c == 0x7f ? SYNTAX_PATH_CONTROL : SYNTAX_PATH_UNESCAPED;
}

enum syntax_path_fault syntax_path_fault(const char *text, size_t size) {
  enum syntax_path_fault fault = SYNTAX_PATH_OK;
  if (size == 0 || text[0] != '/') return SYNTAX_PATH_RELATIVE;
  if (memchr(text, '#', size) != NULL) return SYNTAX_PATH_FRAGMENT;
  if (memchr(text, '?', size) != NULL) return SYNTAX_PATH_QUERY;
  for (size_t i = 1; i < size && fault == SYNTAX_PATH_OK; i++)
    fault = character_fault(text + i, size - i);
  for (unsigned times = 0; times <= MAX_DECODINGS && fault == SYNTAX_PATH_OK; times++)
    fault = segments_fault(text, size, times);
  return fault;
}

const char *syntax_path_fault_text(enum syntax_path_fault fault) {
  static const char *const texts[SYNTAX_PATH_FAULTS] = {
      [SYNTAX_PATH_RELATIVE] = "it does not begin with '/'",
      [SYNTAX_PATH_QUERY] = "it has a query ('?' and what follows)",
      [SYNTAX_PATH_FRAGMENT] = "a fragment ('#' and what follows) is never sent: leave it out",
      [SYNTAX_PATH_AT] = "'@' is refused",
      [SYNTAX_PATH_UNESCAPED] = "a character has to be escaped",
      [SYNTAX_PATH_PERCENT] = "'%' is not followed by two hexadecimal digits",
      [SYNTAX_PATH_BACKSLASH] = "a backslash is refused",
      [SYNTAX_PATH_CONTROL] = "it has a control character",
      [SYNTAX_PATH_ESCAPED_SLASH] = "an escaped slash (%2F) is refused",
      [SYNTAX_PATH_NOT_UTF8] = "it is not valid UTF-8",
      [SYNTAX_PATH_EMPTY_SEGMENT] = "it has an empty segment: '//'",
      [SYNTAX_PATH_NO_NAME] = "it has an empty segment: '/;'",
      [SYNTAX_PATH_DOT_SEGMENT] = "the segments '.' and '..' are refused",
  };
  return texts[fault];
}

bool syntax_is_path(const char *text, size_t size) {
  return syntax_path_fault(text, size) == SYNTAX_PATH_OK;
}

static char to_lower(char c) {
  return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool syntax_is_same(const char *a, const char *b, size_t max) {
  for (size_t i = 0; i < max; i++) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
    if (a[i] == '\0') break;
  }
  return true;
}

const char *syntax_url_path(const char *url) {
  static const char schemes[2][sizeof "https://"] = {"http://", "https://"};
  for (size_t i = 0; i < 2; i++) {
    size_t size = strlen(schemes[i]);
    if (!syntax_is_same(url, schemes[i], size)) continue;
    const char *path = url + size + strcspn(url + size, "/?");
    return path > url + size ? path : NULL;
  }
  return NULL;
}

const char *syntax_text_fault(const char *text, bool ends_only) {
  static const char *const boms[] = {"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"};
  for (size_t i = 0; i < sizeof boms / sizeof *boms; i++) {
    if (strncmp(text, boms[i], strlen(boms[i])) == 0) return "a byte order mark";
  }
  size_t size = strlen(text), begin = 0;
  if (ends_only) {
    begin = size;
    while (begin > 0 && (text[begin - 1] == '\n' || text[begin - 1] == '\r'))
      begin--;
  }
  for (size_t i = begin; i < size; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '\n') return "a line feed";
    if (c == '\r') return "a carriage return";
    if (c < 0x20 || c == 0x7f) return "a control character";
  }
  return NULL;
}

bool syntax_is_bearer_token(const char *text) {
  if (*text == '\0') return false;
  for (; *text != '\0'; text++) {
    if (*text < '!' || *text > '~') return false;
  }
  return true;
}

bool syntax_is_loopback(const char *host) {
  struct in_addr v4;
  struct in6_addr v6;
  if (inet_pton(AF_INET, host, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  if (inet_pton(AF_INET6, host, &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return syntax_is_same(host, "localhost", SIZE_MAX);
}

void syntax_make_printable(char *text) {
  unsigned char *p = (unsigned char *)text, *end = p + strlen(text);
  while (p < end) {
    size_t length = character_length(p, (size_t)(end - p));
    if (length == 0 || *p < 0x20 || *p == 0x7f) {
      *p++ = '?';
    } else if (is_c1_control(p)) {
      p[0] = p[1] = '?';
      p += 2;
    } else {
      p += length;
    }
  }
}
