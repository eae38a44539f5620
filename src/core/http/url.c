#include "core/http/url.h"

#include <curl/curl.h>
#include <string.h>

#include "core/syntax.h"

/* A URL that is being checked. */
struct checked_url {
  CURLU *url;
  bool loopback; /* http to a loopback host */
  bool out_of_memory;
};

/* Returns a part of the URL, to be freed with curl_free, or NULL. */
static char *get_part(struct checked_url *c, CURLUPart part) {
  char *text = NULL;
  if (curl_url_get(c->url, part, &text, 0) == CURLUE_OUT_OF_MEMORY) c->out_of_memory = true;
  return text;
}

/* `host` is as curl_url_get returns it, with IPv6 addresses in brackets. It is modified. */
static bool is_loopback(char *host) {
  size_t size = strlen(host);
  bool bracketed = size > 2 && host[0] == '[' && host[size - 1] == ']';
  if (bracketed) host[size - 1] = '\0';
  return syntax_is_loopback(bracketed ? host + 1 : host);
}

/* Returns what is wrong with scheme and host, or NULL. */
static const char *check_host(struct checked_url *c, bool allow_http) {
  char *scheme = get_part(c, CURLUPART_SCHEME), *host = get_part(c, CURLUPART_HOST);
  const char *wrong = NULL;
  bool is_http = scheme != NULL && strcmp(scheme, "http") == 0;
  if (scheme == NULL || host == NULL || *host == '\0')
    wrong = "is not an absolute URL"; /* GCOVR_EXCL_LINE: only if out of memory */
  else if (is_http && !(c->loopback = is_loopback(host)) && !allow_http)
    wrong = "is plain http, which would send secrets in the clear; use https (or set allow_http)";
  curl_free(scheme);
  curl_free(host);
  return wrong;
}

/* Returns what is wrong with the URL, or NULL. */
static const char *check(struct checked_url *c, const char *text, bool allow_http) {
  static const char not_absolute[] = "is not an absolute URL that begins with https:// or http://";
  if (syntax_text_fault(text, false) != NULL) return "contains control characters";
  /* libcurl cannot be asked: it ignores an empty query or fragment. */
  if (strpbrk(text, "?#@\\ ") != NULL)
    return "contains a user name, a query, a fragment, a backslash or a space";
  /* libcurl also accepts one slash or three after the scheme, and decodes escapes in the host: then
   * part of the path would become the host. */
  const char *path = syntax_url_path(text);
  if (path == NULL) return not_absolute;
  if (memchr(text, '%', (size_t)(path - text)) != NULL) return "has a percent sign in its host";
  if (*path != '\0' && !syntax_is_path(path, strlen(path)))
    return "has a path with an empty or dot segment, or with characters that need escaping";
  c->url = curl_url();
  CURLUcode code = c->url == NULL ? CURLUE_OUT_OF_MEMORY
                                  : curl_url_set(c->url, CURLUPART_URL, text, CURLU_PATH_AS_IS);
  c->out_of_memory = code == CURLUE_OUT_OF_MEMORY;
  if (code == CURLUE_BAD_PORT_NUMBER) return "has a port that is not a number from 1 to 65535";
  return code == CURLUE_OK ? check_host(c, allow_http) : not_absolute;
}

bool url_check(const char *name, const char *url, bool allow_http, bool *loopback,
               struct failure *failure) {
  struct checked_url c = {0};
  const char *wrong = check(&c, url, allow_http);
  curl_url_cleanup(c.url);
  *loopback = c.loopback;
  if (c.out_of_memory)
    failure_set(failure, FAILURE_MEMORY, "out of memory while checking %s", name);
  else if (wrong != NULL)
    failure_set(failure, FAILURE_ARGUMENT, "%s %s", name, wrong);
  return failure->kind == FAILURE_NONE;
}

bool url_is_https(const char *url) {
  return syntax_is_same(url, "https:", 6);
}
