#define _GNU_SOURCE /* RTLD_DEFAULT */
#include "core/http/openssl.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

#include "core/clock.h"
#include "core/http/internal.h"

/* From <openssl/ssl.h> and <openssl/crypto.h>. */
struct ssl_st;
struct ssl_ctx_st;
enum {
  SSL_CTRL_SET_MSG_CALLBACK_ARG = 16,
  SSL3_RT_HANDSHAKE = 22,
  SSL3_RT_HEADER = 256,
  SSL3_MT_CERTIFICATE_REQUEST = 13,
  SSL_SENT_SHUTDOWN = 1,
  SSL_RECEIVED_SHUTDOWN = 2,
  OPENSSL_VERSION = 0
};
typedef void message_callback(int is_sent, int version, int type, const void *bytes, size_t size,
                              struct ssl_st *ssl, void *user);

/* All NULL if OpenSSL was not found. */
static struct {
  const char *(*version)(int part);
  void (*clear_errors)(void);
  void (*set_shutdown)(struct ssl_st *ssl, int state);
  void (*set_callback)(struct ssl_ctx_st *context, message_callback *callback);
  long (*control)(struct ssl_ctx_st *context, int command, long number, void *pointer);
} openssl;

/* ---- look up ---- */

/* Looks a function up. `function` points to the function pointer to set. Returns false, and sets it
 * to NULL, if the function is not found. */
static bool find(const char *name, void *function) {
  void *symbol = dlsym(RTLD_DEFAULT, name);
  memcpy(function, &symbol, sizeof symbol);
  return symbol != NULL;
}

/* Whether this is the OpenSSL that libcurl uses: whether both name the same version. libcurl's text
 * is like "OpenSSL/3.0.15", OpenSSL's like "OpenSSL 3.0.15 3 Sep 2024". */
static bool is_libcurls(const char *text) {
  static const char name[] = "OpenSSL";
  const char *own = openssl.version(OPENSSL_VERSION);
  size_t size = sizeof name - 1;
  if (text == NULL || strncmp(text, name, size) != 0 || strncmp(own, name, size) != 0) return false;
  if (text[size] != '/' || own[size] != ' ') return false;
  text += size + 1;
  own += size + 1;
  size = strcspn(text, " ");
  return strncmp(text, own, size) == 0 && own[size] == ' ';
}

/* libcurl is in this module's scope, so dlsym finds the same symbols as libcurl's own
 * references. */
void openssl_find(const char *ssl_version) {
  bool found = find("OpenSSL_version", &openssl.version) &&
               find("ERR_clear_error", &openssl.clear_errors) &&
               find("SSL_set_shutdown", &openssl.set_shutdown) &&
               find("SSL_CTX_set_msg_callback", &openssl.set_callback) &&
               find("SSL_CTX_ctrl", &openssl.control);
  if (!found || !is_libcurls(ssl_version)) memset(&openssl, 0, sizeof openssl);
}

/* ---- what is received ---- */

/* How many TLS records (of at most 16 KB) are read before the clock is checked. libcurl reads fewer
 * of a response before it returns. */
#define RECORDS 64u

/* Counts a TLS record. While HTTP/2 frames that are not part of a response arrive as fast as they
 * are read, libcurl does not return, and calls no function but this one (see quirks.c). So this
 * tells OpenSSL that the server has closed the connection; OpenSSL then reads no more of it. */
static void record_received(struct transport *t, struct ssl_st *ssl) {
  struct reading *r = &t->reading;
  if (ssl != r->connection) *r = (struct reading){.connection = ssl};
  if (++r->records % RECORDS != 0) return;
  double now = clock_monotonic();
  if (r->records == RECORDS) r->began = now;
  if (now - r->began <= MAX_ITERATION_SECONDS) return;
  openssl.set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  t->read_too_long = true;
}

/* OpenSSL's message callback. It is called for each TLS record and for each handshake message,
 * whose first byte is its type, among others. */
static void message_received(int is_sent, int version, int type, const void *bytes, size_t size,
                             struct ssl_st *ssl, void *user) {
  struct transport *t = user;
  const unsigned char *message = bytes;
  (void)version;
  if (is_sent) return;
  if (type == SSL3_RT_HEADER) record_received(t, ssl);
  if (type == SSL3_RT_HANDSHAKE && size > 0 && *message == SSL3_MT_CERTIFICATE_REQUEST)
    t->asked_for_certificate = true;
}

/* CURLOPT_SSL_CTX_FUNCTION. `user` is a transport. */
static CURLcode context_created(CURL *easy, void *context, void *user) {
  (void)easy;
  openssl.set_callback(context, message_received);
  openssl.control(context, SSL_CTRL_SET_MSG_CALLBACK_ARG, 0, user);
  return CURLE_OK;
}

CURLcode openssl_observe(CURL *easy, struct transport *t) {
  CURLcode code = CURLE_OK;
  if (openssl.set_callback == NULL) return code;
  SET_OPTION(CURLOPT_SSL_CTX_FUNCTION, context_created);
  SET_OPTION(CURLOPT_SSL_CTX_DATA, t);
  return code;
}

/* ---- errors ---- */

void openssl_clear_errors(void) {
  if (openssl.clear_errors != NULL) openssl.clear_errors();
}
