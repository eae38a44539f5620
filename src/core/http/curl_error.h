/* What each CURLcode means for a transfer.
 *
 *   curl_error_find */
#ifndef PODERO_CURL_ERROR_H
#define PODERO_CURL_ERROR_H

#include <curl/curl.h>
#include <stdbool.h>

#include "core/failure.h"

/* What else a code can mean, or requires. */
enum {
  /* Also returned if no socket could be opened because the process had no descriptor left. */
  CURL_ERROR_SOCKET = 1,
  /* Also returned if libcurl could not open a file or a pipe for the same reason. */
  CURL_ERROR_FILE = 2,
  /* Returned if the server had closed a reused connection when the request was sent. */
  CURL_ERROR_LOST = 4,
  /* The same, but only if the connection was shut down here. */
  CURL_ERROR_LOST_STREAM = 8,
  /* libcurl may use the connection again although it has failed. */
  CURL_ERROR_BROKEN = 16
};

struct curl_error {
  CURLcode code;
  enum failure_kind kind;
  bool retryable;   /* another attempt, over another connection, can succeed */
  unsigned flags;   /* of CURL_ERROR_... */
  const char *text; /* for the message, static; NULL: use libcurl's own */
};

/* Returns the meaning of a code: static, and never NULL. A code that is not in the table is
 * FAILURE_NETWORK, not retryable and without flags. */
const struct curl_error *curl_error_find(CURLcode code);

#endif
