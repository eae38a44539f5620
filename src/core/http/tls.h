/* The option `tls`: the caller's certificates and keys.
 *
 *   tls_set_options   for libcurl
 *   tls_check_files   before a transfer
 *   tls_describe, tls_describe_refusal   after it */
#ifndef PODERO_TLS_H
#define PODERO_TLS_H

#include <curl/curl.h>
#include <stdbool.h>

#include "core/failure.h"
#include "core/http/transport.h"

/* Sets the TLS options of a handle, with TLS 1.2 as the minimum. Returns CURLE_OK or libcurl's
 * error. */
CURLcode tls_set_options(CURL *easy, const struct transport_options *options);

/* Returns whether all files and folders that are given can be read. Otherwise sets `failure`, which
 * must be FAILURE_NONE before, to FAILURE_ARGUMENT with a message that names the option. Their
 * content is not checked. */
bool tls_check_files(const struct transport_options *options, struct failure *failure);

/* Returns the beginning of a message that says which option is wrong: a static string that ends in
 * ": ". `code` is CURLE_SSL_CACERT_BADFILE or CURLE_SSL_CERTPROBLEM, `text` is libcurl's
 * message. */
const char *tls_describe(const struct transport_options *options, CURLcode code, const char *text);

/* Does the same for a connection that the server has ended before its response, after asking for a
 * client certificate. `text` is libcurl's message. */
const char *tls_describe_refusal(const struct transport_options *options, const char *text);

#endif
