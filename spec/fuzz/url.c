/* Fuzzes url_check, syntax_is_path and the other functions of syntax.h. A URL that is accepted has
 * the host that every reader of URLs sees in it, and keeps it when a path is appended. */
#include <curl/curl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/http/url.h"
#include "core/syntax.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition) abort();
}

static char *part_of(CURLU *url, CURLUPart part) {
  char *text = NULL;
  curl_url_get(url, part, &text, 0);
  return text;
}

static CURLU *parse(const char *text) {
  CURLU *url = curl_url();
  if (url == NULL) abort();
  demand(curl_url_set(url, CURLUPART_URL, text, CURLU_PATH_AS_IS) == CURLUE_OK);
  return url;
}

/* Both are URLs with the same scheme, host and port. The second has no user, query or fragment. */
static void demand_same_server(const char *one, const char *other) {
  static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
  static const CURLUPart absent[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
                                     CURLUPART_FRAGMENT};
  CURLU *first = parse(one), *second = parse(other);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    char *a = part_of(first, parts[i]), *b = part_of(second, parts[i]);
    demand(a == NULL ? b == NULL : b != NULL && strcmp(a, b) == 0);
    curl_free(a);
    curl_free(b);
  }
  for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
    demand(part_of(second, absent[i]) == NULL);
  curl_url_cleanup(first);
  curl_url_cleanup(second);
}

/* The URL is a scheme, "://", a host that is not empty and has no escapes, and a path or nothing:
 * no parser can find another host in it. */
static void demand_plain_form(const char *text) {
  const char *host = strstr(text, "://");
  demand(host != NULL && (host - text == 4 || host - text == 5));
  demand(strncasecmp(text, "https", (size_t)(host - text)) == 0);
  host += 3;
  size_t size = strcspn(host, "/");
  demand(size > 0 && *host != ':' && memchr(host, '%', size) == NULL);
  demand(host[size] == '\0' || syntax_is_path(host + size, strlen(host + size)));
  demand(syntax_url_path(text) == host + size);
}

static void check_url(const char *text, const char *path) {
  struct failure failure = {0};
  bool loopback = false, loopback_with_http = false;
  bool accepted = url_check("url", text, false, &loopback, &failure);
  demand(accepted == (failure.kind == FAILURE_NONE));
  failure_clear(&failure);
  demand(!accepted || url_check("url", text, true, &loopback_with_http, &failure));
  failure_clear(&failure);
  if (!accepted) return;
  demand(loopback == loopback_with_http);
  demand(loopback == (strncasecmp(text, "http:", 5) == 0));
  demand(syntax_text_fault(text, false) == NULL && strpbrk(text, "@?#\\ ") == NULL);
  demand_plain_form(text);
  size_t size = strlen(text);
  while (size > 0 && text[size - 1] == '/') /* as base_url is stored */
    size--;
  char *whole = malloc(size + strlen(path) + 1);
  if (whole == NULL) abort();
  memcpy(whole, text, size);
  strcpy(whole + size, path);
  demand_same_server(text, whole);
  free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  if (text == NULL) abort();
  if (size > 0) memcpy(text, data, size);
  text[size] = '\0';
  bool is_path = syntax_is_path(text, size);
  demand(!is_path || (text[0] == '/' && strlen(text) == size));
  if (is_path) check_url("https://example.com:8443/prefix", text);
  if (strlen(text) == size) check_url(text, "/api/partners/v2.0/org/x/users");
  const char *url_path = strlen(text) == size ? syntax_url_path(text) : NULL;
  demand(url_path == NULL || (url_path > text && url_path <= text + size));
  syntax_is_uuid(text, size);
  syntax_make_printable(text);
  for (const char *p = text; *p != '\0'; p++)
    demand((unsigned char)*p >= 0x20 && *p != 0x7f);
  free(text);
  return 0;
}
