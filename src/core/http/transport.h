/* HTTP connections, by libcurl. A transport has the connections that its transfers share; see
 * transfer.h for these.
 *
 *   create        struct transport_options, transport_new, transport_new_private, transport_free
 *   descriptors   transport_lacks_descriptors
 *
 * A transport runs while its reactor runs, which also tells whether it made progress: whether bytes
 * of a response have arrived, or a transfer has ended.
 *
 * After a fork, the child's transport has no connections and can be used as before. Transfers that
 * were running have failed there. The parent's connections are not affected. */
#ifndef PODERO_TRANSPORT_H
#define PODERO_TRANSPORT_H

#include <stdbool.h>

#include "core/loop/reactor.h"

struct transport;

/* Which versions of HTTP may be used. */
enum http_version {
  HTTP_VERSION_AUTO, /* HTTP/2 over TLS if the server offers it, otherwise HTTP/1.1 */
  HTTP_VERSION_1_1
};

/* The strings are not copied, and have to live until the transport is freed. NULL is libcurl's
 * default.
 *
 * If `ca_file` or `ca_path` is given, no other authorities are trusted, for the server and for a
 * proxy with TLS. TLS files are opened by transfers: a transfer to an https URL fails with
 * FAILURE_ARGUMENT if a file cannot be used. Passwords are never asked for on a terminal. */
struct transport_options {
  const char *ca_file, *ca_path; /* PEM file; folder of PEM files with hashed names */
  const char *cert, *key;        /* the client's certificate and private key, PEM files */
  const char *key_password;      /* of `key`, or of `cert` if that contains the key; or NULL. Read
                                  * by each transfer that begins, so it may change in between */
  bool verify;                   /* verify the server's certificate and host name */
  const char *proxy;
  const char *user_agent;
  enum http_version http_version; /* of requests that do not ask for HTTP/1.1 */
  double connect_timeout;         /* seconds */
  unsigned max_connections; /* at least 1; of the transport and its private transports together */
};

/* Returns a new transport that uses the reactor's sockets and timers, to be freed with
 * transport_free: after its transfers and before the reactor. `options` is not copied. Returns NULL
 * if out of memory. */
struct transport *transport_new(const struct transport_options *options, struct reactor *reactor);

/* Returns a new transport with the options and the reactor of `shared`. It has a connection of its
 * own and can run one transfer at a time. To be freed before `shared`. Returns NULL if out of
 * memory.
 *
 * If `shared` and its private transports together have max_connections already, the first transfer
 * waits: idle connections of `shared` are closed for it. One connection is always left to `shared`,
 * except with a max_connections of 1: then there can be two, one of `shared` and one private. */
struct transport *transport_new_private(struct transport *shared);

/* Frees a transport and closes its connections. NULL does nothing. */
void transport_free(struct transport *transport);

/* Returns whether a transfer has failed since the last call because the process had no descriptor
 * left; also true, from time to time, while private transports wait for connections
 * (max_connections). A private transport reports both through its shared transport. */
bool transport_lacks_descriptors(struct transport *transport);

#endif
