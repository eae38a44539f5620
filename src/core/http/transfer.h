/* HTTP transfers: one request and its response.
 *
 *   request    struct request, transfer_start
 *   response   struct response, transfer_response, transfer_progress, transfer_report,
 *              transfer_was_sent, transfer_take_header, transfer_end_error_body,
 *              response_is_success, response_is_redirect, response_contains
 *   stream     transfer_bytes, transfer_take
 *   free       transfer_free
 *
 * Redirects are not followed. A transfer has no time limit of its own, except for connecting and
 * for the body of an error: free it to stop it. */
#ifndef PODERO_TRANSFER_H
#define PODERO_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/buffer.h"
#include "core/failure.h"

struct transport;
struct transfer;

/* What to send. Borrowed until transfer_start returns. */
struct request {
  const char *url;           /* absolute, http or https; url_check has accepted its base */
  const char *method;        /* NULL: GET, or POST if there is a body */
  const char *authorization; /* value of the Authorization field, or NULL */
  const char *fields;        /* further header fields, or NULL: strings "Name: value", each ended by
                              * a NUL, and another NUL at the end. Must not include fields that are
                              * set otherwise */
  const char *content_type;  /* of the body; NULL only if there is none */
  const char *body;          /* NULL: there is none */
  size_t body_size;
  uint64_t max_response_bytes; /* limit of a 2xx body, after decoding */
  bool loopback;               /* as set by url_check: do not use a proxy from the environment */
  bool fresh_connection;       /* use a new connection, and never send the request again */
  bool http_1_1;               /* use HTTP/1.1, whatever the transport's options say */
  bool uncoded;                /* ask for a body without a content coding, and refuse any other:
                                * libcurl does not notice if encoded content is cut short */
  bool streamed;               /* pass on a 2xx body as it arrives, see transfer_bytes */
  double deadline;             /* monotonic seconds; limits only decoding, which can take long */
};

/* What was received. Owned by the transfer. */
struct response {
  long status;            /* HTTP status; 0: no response header has arrived */
  struct buffer header;   /* status line and fields as received: lines that end in CR LF or LF */
  struct buffer body;     /* decoded; at most 64 KB of the body unless the status is 2xx */
  uint64_t bytes;         /* how many bytes of the body were received, after decoding */
  double seconds;         /* duration of the transfer */
  double first_byte;      /* seconds until the first byte arrived; 0 if none has; see
                           * transfer_report */
  bool reused;            /* an existing connection was used; see transfer_report */
  bool has_retry_after;   /* the header had a valid Retry-After field */
  double retry_after;     /* its value: seconds from now, at least 0, at most a year */
  char *redirect;         /* absolute URL that a 3xx response redirects to, or NULL */
  bool is_html;           /* the Content-Type is HTML or XHTML */
  struct failure failure; /* FAILURE_NONE if a whole 2xx response was received, or at least the
                           * header of one with another status, whose `body` may be incomplete or
                           * damaged */
};

static inline bool response_is_success(const struct response *response) {
  return response->status >= 200 && response->status < 300;
}

/* 304 is no redirect: it answers a conditional request, which the caller's own fields can make. */
static inline bool response_is_redirect(const struct response *response) {
  return response->status >= 300 && response->status < 400 && response->status != 304;
}

/* Returns whether the body, up to a NUL, contains this text. */
static inline bool response_contains(const struct response *response, const char *text) {
  return response->body.data != NULL && strstr(response->body.data, text) != NULL;
}

/* Starts a transfer, to be freed with transfer_free before the transport. Does not wait. If the
 * request cannot be sent, the returned transfer has ended already, with a failure. Returns NULL if
 * out of memory.
 *
 * If the server closes a reused connection before it has read the request, the request is sent
 * again over another connection, once, unless request->fresh_connection is set. */
struct transfer *transfer_start(struct transport *transport, const struct request *request);

/* Returns the response if the transfer has ended, otherwise NULL. The caller may take `header`,
 * `body` and `redirect` by setting them to zero. */
struct response *transfer_response(struct transfer *transfer);

/* Ends the transfer if the header of a response with a status other than 2xx has arrived: the rest
 * of its body would only tell more about the error. Such a transfer also ends by itself, 2 seconds
 * after the header. */
void transfer_end_error_body(struct transfer *transfer);

/* Returns whether the server may have received the request, or a part of it. */
bool transfer_was_sent(const struct transfer *transfer);

/* Moves the response's header into `header`, which must be empty. It is incomplete if the transfer
 * has not ended. */
void transfer_take_header(struct transfer *transfer, struct buffer *header);

/* Returns the response so far. Until the transfer ends, only `status`, `body`, `bytes` and
 * `seconds` are up to date. */
const struct response *transfer_progress(struct transfer *transfer);

/* Does the same, and updates `first_byte` and `reused`, too. */
const struct response *transfer_report(struct transfer *transfer);

/* Returns the bytes of a streamed 2xx body that were received and not taken yet, and sets `*size`;
 * NULL and 0 if there are none. They are valid until transfer_take is called, the reactor runs, or
 * the transfer is freed. The transfer pauses while 256 KB or more wait to be taken. */
const char *transfer_bytes(const struct transfer *transfer, size_t *size);

/* Removes the first `size` of these bytes. Resumes a paused transfer once less than 128 KB are
 * left. */
void transfer_take(struct transfer *transfer, size_t size);

/* Stops a transfer if it has not ended, and frees it. NULL does nothing. */
void transfer_free(struct transfer *transfer);

#endif
