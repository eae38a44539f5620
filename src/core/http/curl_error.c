#include "core/http/curl_error.h"

#include <stddef.h>

#include "core/http/quirks.h"

enum { FINAL = 0, RETRYABLE = 1 };

#define SOCKET CURL_ERROR_SOCKET
#define FILE_OR_SOCKET (CURL_ERROR_SOCKET | CURL_ERROR_FILE)
#define LOST CURL_ERROR_LOST
#define LOST_STREAM CURL_ERROR_LOST_STREAM
#define BROKEN CURL_ERROR_BROKEN

/* The codes in the order of <curl/curl.h>. What depends on more than the code is decided in
 * transfer.c. */
static const struct curl_error errors[] = {
    {CURLE_FAILED_INIT, FAILURE_NETWORK, FINAL, FILE_OR_SOCKET, NULL},
    {CURLE_COULDNT_RESOLVE_PROXY, FAILURE_NETWORK, RETRYABLE, FILE_OR_SOCKET, NULL},
    {CURLE_COULDNT_RESOLVE_HOST, FAILURE_NETWORK, RETRYABLE, FILE_OR_SOCKET, NULL},
    {CURLE_COULDNT_CONNECT, FAILURE_NETWORK, RETRYABLE, SOCKET, NULL},
    {CURLE_HTTP2, FAILURE_NETWORK, RETRYABLE, LOST | BROKEN, NULL},
    {CURLE_PARTIAL_FILE, FAILURE_DECODE, RETRYABLE, LOST, NULL},
    /* If receive_body refused the bytes, transfer.c reports the reason. Otherwise it was one of
     * libcurl's decoders. */
    {CURLE_WRITE_ERROR, FAILURE_DECODE, FINAL, 0, "there are bytes after the compressed response"},
    {CURLE_OUT_OF_MEMORY, FAILURE_MEMORY, FINAL, FILE_OR_SOCKET, "out of memory"},
    {CURLE_OPERATION_TIMEDOUT, FAILURE_TIMEOUT, RETRYABLE, 0, NULL},
    {CURLE_SSL_CONNECT_ERROR, FAILURE_NETWORK, RETRYABLE, 0, NULL},
    /* Used by transport.c after a fork. libcurl returns it only if transport_request_callback stops
     * a transfer, which transfer.c recognizes by repeat_stopped. */
    {CURLE_ABORTED_BY_CALLBACK, FAILURE_NETWORK, RETRYABLE, 0,
     "the process was forked during the transfer"},
    {CURLE_GOT_NOTHING, FAILURE_NETWORK, RETRYABLE, LOST, NULL},
    {CURLE_SEND_ERROR, FAILURE_NETWORK, RETRYABLE, LOST | BROKEN, NULL},
    {CURLE_RECV_ERROR, FAILURE_NETWORK, RETRYABLE, LOST | BROKEN, NULL},
    {CURLE_SSL_CERTPROBLEM, FAILURE_ARGUMENT, FINAL, FILE_OR_SOCKET, NULL},
    {CURLE_BAD_CONTENT_ENCODING, FAILURE_DECODE, FINAL, 0, NULL},
    {CURLE_SSL_CACERT_BADFILE, FAILURE_ARGUMENT, FINAL, FILE_OR_SOCKET, NULL},
    {CURLE_HTTP2_STREAM, FAILURE_NETWORK, RETRYABLE, LOST_STREAM, NULL},
    /* Also if too much was decoded at once, or for too many fields: see describe_code in
     * transfer.c. */
    {(CURLcode)QUIRKS_CURLE_TOO_LARGE, FAILURE_TOO_LARGE, FINAL, 0,
     "the header has a field that is too long"},
};

const struct curl_error *curl_error_find(CURLcode code) {
  static const struct curl_error other = {CURLE_OK, FAILURE_NETWORK, FINAL, 0, NULL};
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    if (errors[i].code == code) return &errors[i];
  }
  return &other;
}
