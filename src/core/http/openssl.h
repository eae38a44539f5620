/* OpenSSL itself, for what libcurl does not offer. It is looked up at run time: if libcurl uses
 * another TLS library, or the OpenSSL that is found is not libcurl's, these functions do nothing.
 *
 *   openssl_find, openssl_observe, openssl_clear_errors */
#ifndef PODERO_OPENSSL_H
#define PODERO_OPENSSL_H

#include <curl/curl.h>

struct transport;

/* Looks OpenSSL up. `ssl_version` is what libcurl calls its TLS library; NULL if it has none. To be
 * called once. */
void openssl_find(const char *ssl_version);

/* Sets options of the handle, for the connections that are made with it. One that is read for more
 * than 0.1 seconds in one call of libcurl is ended, as if the server had closed it; see
 * transport_enter. If the server asks for a client certificate, transport->asked_for_certificate is
 * set. Returns libcurl's error if it is out of memory. */
CURLcode openssl_observe(CURL *easy, struct transport *transport);

/* Empties this thread's queue of errors. */
void openssl_clear_errors(void);

#endif
