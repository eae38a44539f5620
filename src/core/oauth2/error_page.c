#include "core/oauth2/error_page.h"

#include <string.h>

#include "core/hex.h"
#include "core/syntax.h"
#include "core/utf8.h"

/* Only this much of a page is searched for a title, and at most this much of a title or line is
 * quoted. */
#define MAX_QUOTE_BYTES ((size_t)64 * 1024)

#define MAX_SHOWN_BYTES 120

/* ---- HTML ---- */

/* Whether the text begins with the name of a tag, in upper or lower case, and the name ends
 * there. */
static bool is_tag(const char *text, const char *end, const char *name) {
  size_t size = strlen(name);
  if ((size_t)(end - text) <= size || !syntax_is_same(text, name, size)) return false;
  return strchr(" \t\r\n/>", text[size]) != NULL && text[size] != '\0';
}

/* Returns where the content of the first element of this name begins, or NULL. */
static const char *find_element(const char *body, size_t size, const char *name) {
  const char *end = body + (size < MAX_QUOTE_BYTES ? size : MAX_QUOTE_BYTES);
  const char *at = memchr(body, '<', (size_t)(end - body));
  while (at != NULL && !is_tag(at + 1, end, name))
    at = memchr(at + 1, '<', (size_t)(end - at - 1));
  if (at == NULL) return NULL;
  const char *close = memchr(at, '>', (size_t)(end - at));
  return close == NULL ? NULL : close + 1;
}

bool error_page_is_html(const char *body, size_t size) {
  static const char *const names[] = {"!doctype html", "html", "head", "title", "body"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (find_element(body, size < 1024 ? size : 1024, names[i]) != NULL) return true;
  }
  return false;
}

/* ---- quotes ---- */

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f' || c == '\0';
}

/* Appends the text up to `stop`, without white space at its ends. */
static void add_up_to(const char *text, const char *end, char stop, struct buffer *quote) {
  while (text < end && is_space(*text))
    text++;
  const char *close = memchr(text, stop, (size_t)(end - text));
  if (close != NULL) end = close;
  if ((size_t)(end - text) > MAX_QUOTE_BYTES) end = text + MAX_QUOTE_BYTES;
  while (end > text && is_space(end[-1]))
    end--;
  size_t start = quote->size;
  if (!buffer_append(quote, text, (size_t)(end - text))) return;
  for (size_t i = start; i < quote->size; i++) {
    if (is_space(quote->data[i])) quote->data[i] = ' ';
  }
}

void error_page_add_quote(const char *body, size_t size, struct buffer *quote) {
  const char *end = body + size;
  if (!error_page_is_html(body, size)) {
    add_up_to(body, end, '\n', quote);
    return;
  }
  const char *content = find_element(body, size, "title");
  if (content == NULL) content = find_element(body, size, "h1");
  if (content != NULL) add_up_to(content, end, '<', quote);
}

/* Reads the digits of a numeric character reference, "38;" or "x26;". Returns the ASCII character
 * and sets `*next`, or returns -1. */
static int read_reference(const char *text, const char **next) {
  int base = *text == 'x' || *text == 'X' ? 16 : 10, code = 0;
  const char *at = base == 16 ? text + 1 : text;
  for (; *at != ';'; at++) {
    int digit = hex_value((unsigned char)*at);
    if (digit < 0 || digit >= base || code > 0x7f) return -1;
    code = code * base + digit;
  }
  *next = at + 1;
  return code > 0 && code <= 0x7f ? code : -1;
}

/* Like read_reference, for the text after "&"; also reads "amp;" and the like. */
static int read_entity(const char *text, const char **next) {
  static const struct {
    const char *name;
    char c;
  } entities[] = {{"amp;", '&'},  {"lt;", '<'},    {"gt;", '>'},
                  {"quot;", '"'}, {"apos;", '\''}, {"nbsp;", ' '}};
  if (*text == '#') return read_reference(text + 1, next);
  for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
    size_t size = strlen(entities[i].name);
    if (strncmp(text, entities[i].name, size) != 0) continue;
    *next = text + size;
    return entities[i].c;
  }
  return -1;
}

void error_page_add_decoded(const char *text, struct buffer *decoded) {
  while (*text != '\0') {
    const char *next = text + 1;
    int c = *text == '&' ? read_entity(text + 1, &next) : -1;
    char byte = c < 0 ? *text : (char)c;
    buffer_append(decoded, &byte, 1);
    text = next;
  }
}

void error_page_shorten(char *text) {
  if (strlen(text) <= MAX_SHOWN_BYTES) return;
  memcpy(text + utf8_cut(text, MAX_SHOWN_BYTES - 3), "...", 4);
}
