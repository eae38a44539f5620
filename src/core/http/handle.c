#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/http/internal.h"
#include "core/http/libcurl.h"
#include "core/http/openssl.h"
#include "core/http/tls.h"
#include "core/http/url.h"
#include "core/syntax.h"

/* ---- options of the transport ---- */

static CURLcode set_behaviour(CURL *easy) {
  CURLcode code = CURLE_OK;
  /* When the handle is freed, do not wait for a thread that resolves a name. */
  if (libcurl_quirks.has_quick_exit) SET_OPTION((CURLoption)QUIRKS_CURLOPT_QUICK_EXIT, 1L);
  SET_OPTION(CURLOPT_FOLLOWLOCATION, 0L);
  SET_OPTION(CURLOPT_NOSIGNAL, 1L);
  SET_OPTION(CURLOPT_ACCEPT_ENCODING, ""); /* decode responses; set_fields sets the field */
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

/* Creates a handle with the options that all transfers share. If this fails, the handle still has
 * to be freed. */
static CURLcode create(struct transport *t, struct handle *h) {
  CURL *easy = h->easy = curl_easy_init();
  h->url = curl_url();
  if (easy == NULL || h->url == NULL) return CURLE_OUT_OF_MEMORY;
  CURLcode code = set_behaviour(easy);
  SET_OPTION(CURLOPT_CONNECTTIMEOUT_MS, (long)fmin(t->options->connect_timeout * 1000 + 1, 1e9));
  if (code == CURLE_OK) code = tls_set_options(easy, t->options);
  if (code == CURLE_OK) code = openssl_observe(easy, t);
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

/* Replaces the path and query of a URL. Returns false if the whole URL must be set instead; then
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

/* Sets the URL. Most have the same origin as the one before, and need not be parsed again. */
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
  h->plain = false;
}

/* Frees the fields of a handle that is kept. */
static void drop_fields(struct handle *h) {
  curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, NULL);
  handle_free_fields(h);
}

/* Adds a header field. `name` includes what separates it from the value. Returns false if out of
 * memory. */
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

/* Adds the Authorization field. Must be called first: the field must be the first in the list. */
static bool add_authorization(struct handle *h, const char *value) {
  static const char name[] = "Authorization: ";
  if (!add_field(h, name, value)) return false;
  h->authorization = h->fields->data + sizeof name - 1;
  return true;
}

/* Adds the request's own fields. "Name: " would tell libcurl to remove a field of its own; "Name;"
 * makes it send a field without a value. Returns false if out of memory. */
static bool add_own_fields(struct handle *h, const char *fields) {
  for (; fields != NULL && *fields != '\0'; fields += strlen(fields) + 1) {
    size_t size = strlen(fields);
    bool empty = size >= 2 && fields[size - 1] == ' ' && fields[size - 2] == ':';
    struct buffer name = {0};
    if (empty) buffer_append(&name, fields, size - 2);
    bool ok = !name.failed && (empty ? add_field(h, name.data, ";") : add_field(h, fields, ""));
    buffer_free(&name);
    if (!ok) return false;
  }
  return true;
}

/* Returns whether the request has a field of this name, which includes the colon, among its own. */
static bool has_own_field(const char *fields, const char *name) {
  for (; fields != NULL && *fields != '\0'; fields += strlen(fields) + 1) {
    if (syntax_is_same(fields, name, strlen(name))) return true;
  }
  return false;
}

/* Adds the fields about the body. Without a body, libcurl must not add the Content-Type of a form.
 * Returns false if out of memory. */
static bool add_body_fields(struct handle *h, const struct request *request) {
  if (request->body == NULL) return request->method == NULL || add_field(h, "Content-Type:", "");
  return add_field(h, "Content-Type: ", request->content_type) && add_field(h, "Expect:", "");
}

/* Sets the header fields. Most requests have the same fields as the one before, which are then
 * kept. Returns false if out of memory. */
static bool set_fields(struct handle *h, const struct request *request, const char *user_agent) {
  bool plain = request->body == NULL && request->method == NULL && request->fields == NULL &&
               !request->uncoded;
  if (plain && h->plain && h->authorization != NULL && request->authorization != NULL &&
      strcmp(h->authorization, request->authorization) == 0)
    return true;
  handle_free_fields(h);
  bool ok = request->authorization == NULL || add_authorization(h, request->authorization);
  if (!has_own_field(request->fields, "Accept:"))
    ok = ok && add_field(h, "Accept: ", "application/json");
  ok = ok &&
       add_field(h, "Accept-Encoding: ", request->uncoded ? "identity" : libcurl_accept_encoding);
  if (user_agent != NULL) ok = ok && add_field(h, "User-Agent: ", user_agent);
  ok = ok && add_own_fields(h, request->fields) && add_body_fields(h, request);
  h->plain = plain;
  return ok && curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->fields) == CURLE_OK;
}

/* ---- the request ---- */

/* Sets HTTP/1.1, or libcurl's default: HTTP/2 over TLS if the server and libcurl support it, else
 * HTTP/1.1.
 *
 * A connection that was made for HTTP/1.1 is closed after the request if others may use HTTP/2:
 * libcurl would reuse it for them. */
static CURLcode set_http_version(CURL *easy, const struct transport_options *o,
                                 const struct request *request) {
  CURLcode code = CURLE_OK;
  bool others_may = o->http_version == HTTP_VERSION_AUTO && url_is_https(request->url);
  bool may = others_may && !request->http_1_1; /* use HTTP/2 */
  SET_OPTION(CURLOPT_HTTP_VERSION, (long)(may ? CURL_HTTP_VERSION_NONE : CURL_HTTP_VERSION_1_1));
  SET_OPTION(CURLOPT_FORBID_REUSE, others_may && !may ? 1L : 0L);
  /* Wait for a connection that is being made: it may use HTTP/2, and so serve this transfer, too.
   * Without TLS it does not, but libcurl would know that only after the first response. */
  SET_OPTION(CURLOPT_PIPEWAIT, may ? 1L : 0L);
  return code;
}

/* Sets the method and the body. POST, PUT and PATCH without a body get a Content-Length of 0. */
static CURLcode set_method(struct transfer *x, const struct request *request) {
  CURL *easy = x->handle.easy;
  CURLcode code = CURLE_OK;
  const char *method = request->method;
  bool is_head = method != NULL && strcmp(method, "HEAD") == 0;
  bool has_length =
      request->body != NULL || (method != NULL && !is_head && strcmp(method, "DELETE") != 0);
  x->handle.single_use = method != NULL || has_length;
  if (request->body != NULL && !buffer_append(&x->body, request->body, request->body_size))
    return CURLE_OUT_OF_MEMORY;
  if (has_length) {
    SET_OPTION(CURLOPT_POST, 1L);
    SET_OPTION(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body.size);
    SET_OPTION(CURLOPT_POSTFIELDS, x->body.data != NULL ? x->body.data : "");
  }
  if (is_head)
    SET_OPTION(CURLOPT_NOBODY, 1L);
  else if (method != NULL)
    SET_OPTION(CURLOPT_CUSTOMREQUEST, method);
  return code;
}

/* Sets the options that differ from one transfer to the next. */
static CURLcode set_request(struct transfer *x, const struct request *request) {
  struct transport *t = x->transport;
  CURL *easy = x->handle.easy;
  CURLcode code = set_url(&x->handle, request->url);
  const char *proxy = t->options->proxy;
  SET_OPTION(CURLOPT_URL, request->url); /* CURLINFO_REDIRECT_URL is resolved against this one */
  if (code == CURLE_OK) code = set_http_version(easy, t->options, request);
  SET_OPTION(CURLOPT_PROXY, proxy == NULL && request->loopback ? "" : proxy);
  if (t->options->key_password != NULL) SET_OPTION(CURLOPT_KEYPASSWD, t->options->key_password);
  SET_OPTION(CURLOPT_FRESH_CONNECT, x->fresh_connection || t->skip_idle_connection ? 1L : 0L);
  t->skip_idle_connection = false;
  if (code == CURLE_OK) code = set_method(x, request);
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

void handle_free(struct handle h) {
  curl_easy_cleanup(h.easy);
  curl_url_cleanup(h.url);
  free(h.origin);
  handle_free_fields(&h);
}

static CURLcode set_buffer_size(struct transport *t, struct handle *h) {
  bool expects_uncoded = t->has_received_uncoded && !t->has_received_coded;
  long bytes = expects_uncoded ? LARGE_BUFFER_BYTES : SMALL_BUFFER_BYTES;
  if (h->buffer_bytes == bytes) return CURLE_OK;
  CURLcode code = curl_easy_setopt(h->easy, CURLOPT_BUFFERSIZE, bytes);
  if (code == CURLE_OK) h->buffer_bytes = bytes;
  return code;
}

/* Takes an idle handle, or creates one if there is none or if it refuses the buffer size (see
 * quirks.c). */
static CURLcode get_handle(struct transport *t, struct handle *h) {
  if (t->idle_count > 0) {
    *h = t->idle[--t->idle_count];
    if (set_buffer_size(t, h) == CURLE_OK) return CURLE_OK;
    handle_free(*h);
    *h = (struct handle){0};
  }
  CURLcode code = create(t, h);
  return code == CURLE_OK ? set_buffer_size(t, h) : code;
}

CURLcode handle_acquire(struct transfer *x, const struct request *request) {
  CURLcode code = get_handle(x->transport, &x->handle);
  return code == CURLE_OK ? set_request(x, request) : code;
}

/* Frees the fields of the idle handles if they have a different token, which is not used any more.
 * All idle handles that have fields have the same token, that of the last transfer that
 * succeeded. */
static void drop_other_fields(struct transport *t, const char *authorization) {
  const char *other = NULL;
  for (unsigned i = t->idle_count; i > 0 && other == NULL; i--)
    other = t->idle[i - 1].authorization;
  if (other == NULL || (authorization != NULL && strcmp(other, authorization) == 0)) return;
  for (unsigned i = 0; i < t->idle_count; i++)
    drop_fields(&t->idle[i]);
}

/* Frees handles that must not be used again. After a failure, a handle may have state that no
 * option resets; after a request with a body, its buffers may contain credentials and a token. A
 * request's own fields may be secret, and are not needed again. */
void handle_release(struct transfer *x, bool succeeded) {
  struct transport *t = x->transport;
  if (!succeeded || x->restarted || x->handle.single_use || t->idle_count == MAX_IDLE_HANDLES) {
    handle_free(x->handle);
  } else {
    curl_easy_setopt(x->handle.easy, CURLOPT_ERRORBUFFER, NULL);
    drop_other_fields(t, x->handle.authorization);
    if (!x->handle.plain) drop_fields(&x->handle);
    t->idle[t->idle_count++] = x->handle;
  }
  x->handle = (struct handle){0};
}
