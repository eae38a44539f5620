/* Uses OpenSSL directly, for what libcurl does not offer. OpenSSL is looked up at run time. If
 * libcurl uses another TLS library, or the OpenSSL that is found is not libcurl's, these functions
 * do nothing.
 *
 *   openssl_find, openssl_observe, openssl_clear_errors */
#ifndef PODERO_OPENSSL_H
#define PODERO_OPENSSL_H

#include <curl/curl.h>

struct transport;

/* Looks OpenSSL up. `ssl_version` is libcurl's name of its TLS library, or NULL if it has none. To
 * be called once, before the other functions. */
void openssl_find(const char *ssl_version);

/* Sets options of the handle so that the TLS connections that it makes are observed. A connection
 * that is read for more than 0.1 seconds between transport_enter and transport_leave is ended, as
 * if the server had closed it, and transport->read_too_long is set. If the server asks for a client
 * certificate, transport->asked_for_certificate is set. Returns CURLE_OK, or libcurl's error if out
 * of memory. */
CURLcode openssl_observe(CURL *easy, struct transport *transport);

/* Empties OpenSSL's error queue of this thread. */
void openssl_clear_errors(void);

#endif
