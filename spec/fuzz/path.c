/* Paths of client:get and of base URLs: what is accepted has the same segments for every server,
 * however often a proxy or it decodes the path, and no server leaves a folder because of it. */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/syntax.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition) abort();
}

/* Percent-decodes a text in its place, in the way of a server that leaves alone what is no escape;
 * returns its size. */
static size_t decode(char *text, size_t size) {
  size_t to = 0;
  for (size_t from = 0; from < size; to++) {
    char digits[3] = {0};
    unsigned byte;
    if (text[from] == '%' && size - from > 2) memcpy(digits, text + from + 1, 2);
    if (strspn(digits, "0123456789abcdefABCDEF") == 2 && sscanf(digits, "%x", &byte) == 1) {
      text[to] = (char)byte;
      from += 3;
    } else {
      text[to] = text[from++];
    }
  }
  return to;
}

static size_t count_slashes(const char *text, size_t size) {
  size_t count = 0;
  for (size_t i = 0; i < size; i++)
    count += text[i] == '/';
  return count;
}

/* Some servers ignore what follows a ";". */
static void check_segment(const char *segment, size_t size, bool is_last) {
  const char *parameters = memchr(segment, ';', size);
  size_t name = parameters == NULL ? size : (size_t)(parameters - segment);
  demand(name > 0 || (is_last && size == 0));
  demand(!(name == 1 && segment[0] == '.'));
  demand(!(name == 2 && segment[0] == '.' && segment[1] == '.'));
}

/* No byte of a segment is one that ends it elsewhere. "\xc0" and "\xc1" begin overlong forms of
 * ASCII characters alone, "\xe0" and a byte below "\xa0" others. */
static void check_bytes(const char *text, size_t size) {
  for (size_t i = 0; i < size; i++) {
    unsigned char c = (unsigned char)text[i];
    demand(c >= 0x20 && c != 0x7f && c != '\\' && c != 0xc0 && c != 0xc1);
    demand(!(c == 0xe0 && i + 1 < size && (unsigned char)text[i + 1] < 0xa0));
  }
}

static void check_plain(const char *text, size_t size, size_t slashes) {
  demand(size > 0 && text[0] == '/' && count_slashes(text, size) == slashes);
  check_bytes(text, size);
  for (const char *segment = text + 1, *end = text + size; segment <= end;) {
    const char *slash = memchr(segment, '/', (size_t)(end - segment));
    if (slash == NULL) slash = end;
    check_segment(segment, (size_t)(slash - segment), slash == end);
    segment = slash + 1;
  }
}

/* libcurl finds no dots to remove, and reads the same path. */
static void check_libcurl(const char *text) {
  char whole[2048], *path = NULL;
  CURLU *url = curl_url();
  if (url == NULL) abort();
  if ((size_t)snprintf(whole, sizeof whole, "https://example.com%s", text) < sizeof whole) {
    demand(curl_url_set(url, CURLUPART_URL, whole, 0) == CURLUE_OK);
    demand(curl_url_get(url, CURLUPART_PATH, &path, 0) == CURLUE_OK);
    demand(strcasecmp(path, text) == 0);
  }
  curl_free(path);
  curl_url_cleanup(url);
}

/* Only words separated by single slashes, which has to be accepted. */
static bool is_simple(const char *text, size_t size) {
  static const char words[] = "/abcdefghijklmnopqrstuvwxyz0123456789-_~";
  return size > 1 && text[0] == '/' && strlen(text) == size && strspn(text, words) == size &&
         strstr(text, "//") == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  if (text == NULL) abort();
  if (size > 0) memcpy(text, data, size);
  text[size] = '\0';
  bool accepted = syntax_is_path(text, size);
  demand(accepted || !is_simple(text, size));
  if (accepted) {
    size_t slashes = count_slashes(text, size);
    demand(strlen(text) == size && strpbrk(text, "?#@ ") == NULL);
    check_libcurl(text);
    check_plain(text, size, slashes);
    for (int times = 0; times < 3; times++) {
      size = decode(text, size);
      check_plain(text, size, slashes);
    }
  }
  free(text);
  return 0;
}
