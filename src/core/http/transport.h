/* HTTP transfers: the only room that knows libcurl. All transfers of a transport run on one multi
 * handle and share its connections; the reactor drives them. */
#ifndef PODERO_TRANSPORT_H
#define PODERO_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/failure.h"
#include "core/loop/reactor.h"

struct transport;
struct transfer;

/* The texts are borrowed and must outlive the transport; NULL is libcurl's default. If one of
 * `ca_file` and `ca_path` is given, no authorities but theirs are trusted, and a proxy with TLS is
 * held to them, too. Files are opened by the first transfer with TLS, not before; one that cannot
 * be used makes it fail with FAILURE_ARGUMENT. Nothing ever asks for a password. */
struct transport_options {
  const char *ca_file, *ca_path; /* PEM file, folder of hashed PEM files */
  const char *cert, *key;        /* the client's, PEM files */
  const char *key_password;      /* of `key`, or of `cert` if that holds the key; NULL: none */
  bool verify;                   /* check the server's certificate and its name */
  const char *proxy;
  const char *user_agent;
  double connect_timeout;   /* seconds */
  unsigned max_connections; /* at least 1; of the transport, and of all private ones beside it */
};

/* What is sent. Everything is borrowed until transfer_start returns. */
struct request {
  const char *url;
  const char *authorization; /* the field's whole value, or NULL */
  const char *content_type;  /* of the body */
  const char *body;          /* NULL: GET; else POST */
  size_t body_size;
  uint64_t max_response_bytes; /* of a decoded 2xx body */
  bool loopback;               /* see url_check: not to be sent to a proxy */
  bool fresh_connection;       /* never over a kept one, and never sent again by itself */
  bool streamed;               /* a 2xx body is taken while it arrives; see transfer_bytes */
  double deadline; /* monotonic seconds: a body that takes a turn beyond it is cut off */
};

/* What came back. Texts live as long as the transfer. */
struct response {
  long status;            /* 0: no header arrived */
  struct buffer body;     /* decoded; of an error status, its beginning */
  uint64_t bytes;         /* decoded bytes of the body that arrived */
  double seconds;         /* from start to end */
  bool has_retry_after;   /* as below */
  double retry_after;     /* seconds from now, never negative */
  char *redirect;         /* where a 3xx points, as an absolute URL, or NULL */
  struct failure failure; /* kind is none when a whole response arrived, whatever its status */
};

static inline bool response_is_success(const struct response *response) {
  return response->status >= 200 && response->status < 300;
}

static inline bool response_is_redirect(const struct response *response) {
  return response->status >= 300 && response->status < 400;
}

/* A new transport whose sockets and timers are the reactor's, or NULL when memory is short. To be
 * freed after its transfers and before the reactor. The reactor tells that a transport has got
 * further when bytes have arrived or a transfer has ended. */
struct transport *transport_new(const struct transport_options *options, struct reactor *reactor);
void transport_free(struct transport *transport);

/* A transport of the same options and reactor, for one transfer after the other, with a connection
 * of its own; NULL when memory is short. To be freed before `shared`. Where that and the private
 * ones beside it have max_connections already, its first transfer waits until there is a place: the
 * idle connections of `shared` make room. All but one of the places can be had by private
 * transports (with max_connections of 1: that one, and `shared` may have another). */
struct transport *transport_new_private(struct transport *shared);

/* Whether, since this was asked last, a transfer has failed because the process has no descriptor
 * left. */
bool transport_lacks_descriptors(struct transport *transport);

/* Begins a transfer, which the caller owns; NULL when memory is short. One that cannot even
 * begin has ended at once. */
struct transfer *transfer_start(struct transport *transport, const struct request *request);

/* The response once the transfer has ended, else NULL. */
struct response *transfer_response(struct transfer *transfer);

/* What is known of the response so far: status, bytes, seconds. */
const struct response *transfer_progress(struct transfer *transfer);

/* The bytes of a streamed 2xx body that have arrived and were not taken yet. They stay where they
 * are until transfer_take is called or the reactor runs. Beyond a window of some hundred kilobytes
 * the transfer pauses. */
const char *transfer_bytes(const struct transfer *transfer, size_t *size);

/* Takes the first `size` of those bytes away. */
void transfer_take(struct transfer *transfer, size_t size);

/* Ends the transfer, if it still runs, and frees it. NULL is fine. */
void transfer_free(struct transfer *transfer);

#endif
