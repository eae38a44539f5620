/* HTTP transfers: one request and its response.
 *
 *   request    struct request, transfer_start
 *   response   struct response, transfer_response, transfer_progress, transfer_report,
 *              transfer_was_sent, transfer_take_header, transfer_end_error_body,
 *              response_is_success, response_is_redirect, response_contains
 *   stream     transfer_bytes, transfer_take
 *   free       transfer_free
 *
 * Redirects are not followed. A transfer has no time limit of its own, except for connecting: free
 * it to stop it. */
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

/* What to send. Nothing has to live longer than the call of transfer_start. */
struct request {
  const char *url;           /* absolute, http or https; its base was accepted by url_check */
  const char *method;        /* NULL: GET, or POST if there is a body */
  const char *authorization; /* value of the Authorization field, or NULL */
  const char *fields;        /* NULL, or further header fields: texts "Name: value", each of them
                              * followed by a NUL, and one more NUL; none that is set otherwise */
  const char *content_type;  /* of the body; not NULL if there is one */
  const char *body;          /* NULL: there is none */
  size_t body_size;
  uint64_t max_response_bytes; /* limit of a 2xx body, after decoding */
  bool loopback;               /* as set by url_check: use no proxy of the environment */
  bool fresh_connection;       /* use a new connection, and never send the request again */
  bool http_1_1;               /* use HTTP/1.1, whatever the transport's options say */
  bool uncoded;                /* ask for a body without a content coding, and refuse one that has
                                * any: libcurl does not notice if what it decodes is cut short */
  bool streamed;               /* pass on a 2xx body as it arrives, see transfer_bytes */
  double deadline;             /* monotonic seconds; stops only decoding, which can take long */
};

/* What was received. It is owned by the transfer. */
struct response {
  long status;          /* HTTP status; 0: no response header has arrived */
  struct buffer header; /* its fields, as they were received: lines that each end in CR LF or LF */
  struct buffer body;   /* decoded; at most 64 KB of the body unless the status is 2xx */
  uint64_t bytes;       /* how many bytes of the body were received, after decoding */
  double seconds;       /* duration of the transfer */
  double first_byte;    /* seconds until the first byte arrived; 0 if none has. See
                         * transfer_report */
  bool reused;          /* an existing connection was used. See transfer_report */
  bool has_retry_after; /* the header had a valid Retry-After field */
  double retry_after;   /* its value: seconds from now, at least 0, at most a year */
  char *redirect;       /* absolute URL that a 3xx response redirects to, or NULL */
  bool is_html;         /* the header says so: its Content-Type is text/html */
  struct failure failure; /* FAILURE_NONE if a whole response was received with a 2xx status, or the
                           * header of one with another status: then `body` may be damaged */
};

static inline bool response_is_success(const struct response *response) {
  return response->status >= 200 && response->status < 300;
}

/* Not 304, which answers a field such as If-None-Match of the caller's. */
static inline bool response_is_redirect(const struct response *response) {
  return response->status >= 300 && response->status < 400 && response->status != 304;
}

/* Returns whether the body, up to a NUL, contains this text. */
static inline bool response_contains(const struct response *response, const char *text) {
  return response->body.data != NULL && strstr(response->body.data, text) != NULL;
}

/* Starts a transfer, to be freed with transfer_free before the transport. Does not wait. If the
 * request cannot be sent, the transfer has ended already, with a failure. Returns NULL if out of
 * memory.
 *
 * If the server has closed a reused connection before it could read the request, it is sent again
 * over another connection, once. This is not done if request->fresh_connection is set. */
struct transfer *transfer_start(struct transport *transport, const struct request *request);

/* Returns the response if the transfer has ended, otherwise NULL. The caller may take `header`,
 * `body` and `redirect` by setting them to zero. */
struct response *transfer_response(struct transfer *transfer);

/* Ends the transfer if the header of a response has arrived whose status is not 2xx: what is
 * missing of its body only tells more about the error. Such a transfer also ends by itself, 2
 * seconds after the header. */
void transfer_end_error_body(struct transfer *transfer);

/* Returns whether the server may have received the request, or a part of it. */
bool transfer_was_sent(const struct transfer *transfer);

/* Moves the fields of the response's header into `header`, which must be empty. They are incomplete
 * if the transfer has not ended. */
void transfer_take_header(struct transfer *transfer, struct buffer *header);

/* Returns what is known so far: `status`, `bytes` and `seconds`. */
const struct response *transfer_progress(struct transfer *transfer);

/* The same with `first_byte` and `reused`, for events. */
const struct response *transfer_report(struct transfer *transfer);

/* Returns the bytes of a streamed 2xx body that were received and not taken yet, or NULL if there
 * are none, and sets `*size`. They are valid until transfer_take is called, the reactor runs, or
 * the transfer is freed. The transfer pauses while more than 256 KB wait to be taken. */
const char *transfer_bytes(const struct transfer *transfer, size_t *size);

/* Removes the first `size` of these bytes. */
void transfer_take(struct transfer *transfer, size_t size);

/* Frees a transfer, which is stopped if it has not ended. NULL does nothing. */
void transfer_free(struct transfer *transfer);

#endif
