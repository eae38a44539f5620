#include "core/syntax.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

static bool is_digit(unsigned char c) {
  return c >= '0' && c <= '9';
}

static bool is_hex(unsigned char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool syntax_is_uuid(const char *text, size_t size) {
  if (size != 36) return false;
  for (size_t i = 0; i < size; i++) {
    bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    if (hyphen ? text[i] != '-' : !is_hex((unsigned char)text[i])) return false;
  }
  return true;
}

static bool is_path_character(unsigned char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c != '\0' && strchr("-._~!$&'()*+,;=:", c) != NULL);
}

static bool is_dot_segment(const char *segment, size_t size) {
  return (size == 1 && segment[0] == '.') || (size == 2 && segment[0] == '.' && segment[1] == '.');
}

bool syntax_is_path(const char *text, size_t size) {
  if (size == 0 || text[0] != '/') return false;
  size_t segment = 1;
  for (size_t i = 1; i <= size; i++) {
    if (i == size || text[i] == '/') {
      if (is_dot_segment(text + segment, i - segment)) return false;
      segment = i + 1;
    } else if (text[i] == '%') {
      if (size - i < 3 || !is_hex((unsigned char)text[i + 1]) ||
          !is_hex((unsigned char)text[i + 2]))
        return false;
    } else if (!is_path_character((unsigned char)text[i])) {
      return false;
    }
  }
  return true;
}

bool syntax_is_field_value(const char *text, size_t size) {
  for (size_t i = 0; i < size; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c < 0x20 || c == 0x7f) return false;
  }
  return true;
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
  return strcasecmp(host, "localhost") == 0;
}

/* The length of the valid UTF-8 sequence at `text` (RFC 3629, 4), or 0. */
static size_t utf8_length(const unsigned char *text) {
  unsigned char c = text[0];
  if (c < 0x80) return 1;
  unsigned char low = 0x80, high = 0xbf;
  size_t length;
  if (c >= 0xc2 && c <= 0xdf) {
    length = 2;
  } else if (c >= 0xe0 && c <= 0xef) {
    length = 3;
    if (c == 0xe0) low = 0xa0;
    if (c == 0xed) high = 0x9f;
  } else if (c >= 0xf0 && c <= 0xf4) {
    length = 4;
    if (c == 0xf0) low = 0x90;
    if (c == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (text[1] < low || text[1] > high) return 0;
  for (size_t i = 2; i < length; i++) {
    if (text[i] < 0x80 || text[i] > 0xbf) return 0;
  }
  return length;
}

/* U+0080 to U+009F: terminals take some of them for escape sequences. */
static bool is_c1_control(const unsigned char *text) {
  return text[0] == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f;
}

void syntax_make_printable(char *text) {
  unsigned char *p = (unsigned char *)text;
  while (*p != '\0') {
    size_t length = utf8_length(p);
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
