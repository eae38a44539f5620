#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/http/internal.h"
#include "core/http/libcurl.h"
#include "core/http/tls.h"
#include "core/syntax.h"

/* ---- options of the transport ---- */

static CURLcode set_behaviour(CURL *easy) {
  CURLcode code = CURLE_OK;
  /* Do not wait for a thread that resolves a name when the handle is freed. */
  if (libcurl_quirks.has_quick_exit) SET_OPTION((CURLoption)QUIRKS_CURLOPT_QUICK_EXIT, 1L);
  SET_OPTION(CURLOPT_FOLLOWLOCATION, 0L);
  SET_OPTION(CURLOPT_NOSIGNAL, 1L);
  SET_OPTION(CURLOPT_ACCEPT_ENCODING, ""); /* decode; the field is set by set_fields */
  return code;
}

static CURLcode set_callbacks(CURL *easy, struct transport *t) {
  CURLcode code = CURLE_OK;
  SET_OPTION(CURLOPT_WRITEFUNCTION, receive_body);
  SET_OPTION(CURLOPT_HEADERFUNCTION, receive_field);
  SET_OPTION(CURLOPT_OPENSOCKETFUNCTION, transport_open_socket);
  SET_OPTION(CURLOPT_CLOSESOCKETFUNCTION, transport_close_socket);
  SET_OPTION(CURLOPT_CLOSESOCKETDATA, t);
  if (libcurl_quirks.has_prereq)
    SET_OPTION((CURLoption)QUIRKS_CURLOPT_PREREQFUNCTION, transport_request_callback);
  return code;
}

/* Creates a handle with the options that are the same for all transfers. If it fails, the handle
 * has to be freed nevertheless. */
static CURLcode create(struct transport *t, struct handle *h) {
  CURL *easy = h->easy = curl_easy_init();
  h->url = curl_url();
  if (easy == NULL || h->url == NULL) return CURLE_OUT_OF_MEMORY;
  CURLcode code = set_behaviour(easy);
  SET_OPTION(CURLOPT_CONNECTTIMEOUT_MS, (long)fmin(t->options->connect_timeout * 1000 + 1, 1e9));
  if (code == CURLE_OK) code = tls_set_options(easy, t->options);
  if (code == CURLE_OK) code = set_callbacks(easy, t);
  SET_OPTION(CURLOPT_CURLU, h->url);
  return code;
}

/* ---- the URL ---- */

/* Returns a copy of `size` bytes with a NUL after them, to be freed, or NULL if out of memory. */
static char *copy_bytes(const char *bytes, size_t size) {
  char *copy = malloc(size + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, bytes, size);
  copy[size] = '\0';
  return copy;
}

/* Replaces path and query of a URL. Returns false if the whole URL has to be set instead; then
 * these parts are undefined. */
static bool set_path(CURLU *url, const char *path) {
  size_t size = strcspn(path, "?");
  const char *query = path[size] == '?' ? path + size + 1 : NULL;
  /* curl_url_set would change the hexadecimal digits of escapes to lower case. */
  if (*path != '/' || strchr(path, '%') != NULL) return false;
  char *copy = copy_bytes(path, size);
  bool ok = copy != NULL && curl_url_set(url, CURLUPART_PATH, copy, 0) == CURLUE_OK &&
            curl_url_set(url, CURLUPART_QUERY, query, 0) == CURLUE_OK;
  free(copy);
  return ok;
}

/* Most URLs have the same origin as the one before, and are not parsed again. */
static CURLcode set_url(struct handle *h, const char *url) {
  const char *path = syntax_url_path(url);
  if (path == NULL) return CURLE_URL_MALFORMAT; /* GCOVR_EXCL_LINE: url_check has accepted it */
  size_t size = (size_t)(path - url);
  if (h->origin != NULL && strlen(h->origin) == size && memcmp(h->origin, url, size) == 0 &&
      set_path(h->url, url + size))
    return CURLE_OK;
  free(h->origin);
  h->origin = NULL;
  CURLUcode code = curl_url_set(h->url, CURLUPART_URL, url, CURLU_PATH_AS_IS);
  if (code == CURLUE_OUT_OF_MEMORY) return CURLE_OUT_OF_MEMORY;
  if (code != CURLUE_OK) return CURLE_URL_MALFORMAT;
  h->origin = copy_bytes(url, size);
  return CURLE_OK;
}

/* ---- header fields ---- */

void handle_free_fields(struct handle *h) {
  for (struct curl_slist *field = h->fields; field != NULL; field = field->next)
    wipe(field->data, strlen(field->data));
  curl_slist_free_all(h->fields);
  h->fields = NULL;
  h->authorization = NULL;
}

/* `name` includes what separates it from the value. Returns false if out of memory. */
static bool add_field(struct handle *h, const char *name, const char *value) {
  struct buffer line = {0};
  buffer_add(&line, name);
  buffer_add(&line, value);
  struct curl_slist *fields = line.failed ? NULL : curl_slist_append(h->fields, line.data);
  buffer_free(&line);
  if (fields == NULL) return false;
  h->fields = fields;
  return true;
}

/* To be called first, so that the field is the first of the list. */
static bool add_authorization(struct handle *h, const char *value) {
  static const char name[] = "Authorization: ";
  if (!add_field(h, name, value)) return false;
  h->authorization = h->fields->data + sizeof name - 1;
  return true;
}

/* Most requests have the same fields as the one before, which are kept. Returns false if out of
 * memory. */
static bool set_fields(struct handle *h, const struct request *request, const char *user_agent) {
  if (h->authorization != NULL && request->authorization != NULL && request->body == NULL &&
      strcmp(h->authorization, request->authorization) == 0)
    return true;
  handle_free_fields(h);
  bool ok = request->authorization == NULL || add_authorization(h, request->authorization);
  ok = ok && add_field(h, "Accept: ", "application/json") &&
       add_field(h, "Accept-Encoding: ", libcurl_accept_encoding);
  if (user_agent != NULL) ok = ok && add_field(h, "User-Agent: ", user_agent);
  if (request->body != NULL)
    ok = ok && add_field(h, "Content-Type: ", request->content_type) && add_field(h, "Expect:", "");
  return ok && curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->fields) == CURLE_OK;
}

/* ---- the request ---- */

/* Sets the options that differ from one transfer to the next. */
static CURLcode set_request(struct transfer *x, const struct request *request) {
  struct transport *t = x->transport;
  CURL *easy = x->handle.easy;
  CURLcode code = set_url(&x->handle, request->url);
  const char *proxy = t->options->proxy;
  SET_OPTION(CURLOPT_URL, request->url); /* CURLINFO_REDIRECT_URL is relative to this one */
  /* Wait for a connection that is being made, because it may be HTTP/2 and serve this transfer,
   * too. Without TLS it is not, and libcurl would only know after the first response. */
  SET_OPTION(CURLOPT_PIPEWAIT, strncasecmp(request->url, "https:", 6) == 0 ? 1L : 0L);
  SET_OPTION(CURLOPT_PROXY, proxy == NULL && request->loopback ? "" : proxy);
  SET_OPTION(CURLOPT_FRESH_CONNECT, x->fresh_connection || t->skip_idle_connection ? 1L : 0L);
  t->skip_idle_connection = false;
  if (request->body != NULL) {
    if (!buffer_append(&x->body, request->body, request->body_size)) return CURLE_OUT_OF_MEMORY;
    SET_OPTION(CURLOPT_POST, 1L);
    SET_OPTION(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body.size);
    SET_OPTION(CURLOPT_POSTFIELDS, x->body.data);
  }
  if (libcurl_quirks.has_prereq) SET_OPTION((CURLoption)QUIRKS_CURLOPT_PREREQDATA, x);
  SET_OPTION(CURLOPT_OPENSOCKETDATA, x);
  SET_OPTION(CURLOPT_WRITEDATA, x);
  SET_OPTION(CURLOPT_HEADERDATA, x);
  SET_OPTION(CURLOPT_ERRORBUFFER, x->error_text);
  SET_OPTION(CURLOPT_PRIVATE, x);
  if (code == CURLE_OK && !set_fields(&x->handle, request, t->options->user_agent))
    code = CURLE_OUT_OF_MEMORY;
  return code;
}

/* ---- acquire and release ---- */

/* Returns false if libcurl refuses it, see quirks.c. */
static bool set_buffer(const struct transport *t, struct handle *h) {
  bool expects_uncoded = t->has_received_uncoded && !t->has_received_coded;
  long bytes = expects_uncoded ? LARGE_BUFFER_BYTES : SMALL_BUFFER_BYTES;
  if (h->buffer_bytes == bytes) return true;
  if (curl_easy_setopt(h->easy, CURLOPT_BUFFERSIZE, bytes) != CURLE_OK) return false;
  h->buffer_bytes = bytes;
  return true;
}

CURLcode handle_acquire(struct transfer *x, const struct request *request) {
  struct transport *t = x->transport;
  CURLcode code = CURLE_OK;
  if (t->idle_count > 0) x->handle = t->idle[--t->idle_count];
  if (x->handle.easy != NULL && !set_buffer(t, &x->handle)) {
    handle_free(x->handle);
    x->handle = (struct handle){0};
  }
  if (x->handle.easy == NULL) {
    code = create(t, &x->handle);
    if (code == CURLE_OK && !set_buffer(t, &x->handle)) code = CURLE_OUT_OF_MEMORY;
  }
  return code == CURLE_OK ? set_request(x, request) : code;
}

void handle_free(struct handle h) {
  curl_easy_cleanup(h.easy);
  curl_url_cleanup(h.url);
  free(h.origin);
  handle_free_fields(&h);
}

/* All idle handles have the fields of the same token, that of the last transfer that succeeded.
 * Fields with another token are freed: that is not used any more. */
static void drop_other_fields(struct transport *t, const char *authorization) {
  const char *other = t->idle_count > 0 ? t->idle[t->idle_count - 1].authorization : NULL;
  if (other == NULL || (authorization != NULL && strcmp(other, authorization) == 0)) return;
  for (unsigned i = 0; i < t->idle_count; i++) {
    curl_easy_setopt(t->idle[i].easy, CURLOPT_HTTPHEADER, NULL);
    handle_free_fields(&t->idle[i]);
  }
}

/* After a failure, a handle may have state that no option resets. After a POST, its buffers may
 * contain credentials and a token. */
void handle_release(struct transfer *x, bool succeeded) {
  struct transport *t = x->transport;
  if (!succeeded || x->restarted || x->body.data != NULL || t->idle_count == MAX_IDLE_HANDLES) {
    handle_free(x->handle);
  } else {
    curl_easy_setopt(x->handle.easy, CURLOPT_ERRORBUFFER, NULL);
    drop_other_fields(t, x->handle.authorization);
    t->idle[t->idle_count++] = x->handle;
  }
  x->handle = (struct handle){0};
}
