/* HTTP connections, made with libcurl. A transport has the connections that its transfers share;
 * see transfer.h for transfers.
 *
 *   create        struct transport_options, transport_new, transport_new_private, transport_free
 *   descriptors   transport_lacks_descriptors
 *
 * A transport runs while its reactor runs. It makes progress, as reactor_run reports, if bytes of a
 * response arrive or a transfer ends.
 *
 * After a fork, the child's transport has no connections, and can be used as before; transfers that
 * were running have failed in the child. The parent's connections are not affected. */
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

/* The strings are not copied, and must stay valid until the transport is freed. NULL stands for
 * libcurl's default.
 *
 * If `ca_file` or `ca_path` is given, no other authorities are trusted, neither for the server nor
 * for a proxy with TLS. TLS files are opened by each transfer: a transfer to an https URL fails
 * with FAILURE_ARGUMENT if a file cannot be used. Nothing ever asks for a password on the
 * terminal. */
struct transport_options {
  const char *ca_file, *ca_path; /* a PEM file; a folder of PEM files with hashed names */
  const char *cert, *key;        /* the client's certificate and private key, PEM files */
  const char *key_password;      /* of `key`, or of `cert` if that contains the key; or NULL. Read
                                  * when a transfer begins, so it may change between transfers */
  bool verify;                   /* verify the server's certificate and host name */
  const char *proxy;
  const char *user_agent;
  enum http_version http_version; /* unless the request asks for HTTP/1.1 */
  double connect_timeout;         /* seconds */
  unsigned max_connections; /* at least 1; for the transport and its private transports together */
};

/* Returns a new transport that uses the reactor for its sockets and timers. Free it with
 * transport_free, after its transfers and before the reactor. `options` is not copied, and must
 * stay valid as long. Returns NULL if out of memory. */
struct transport *transport_new(const struct transport_options *options, struct reactor *reactor);

/* Returns a new transport with the options and the reactor of `shared`. It has a connection of its
 * own, and can run one transfer at a time. Free it before `shared`. Returns NULL if out of memory.
 *
 * If `shared` and its private transports have max_connections already, the first transfer waits for
 * a connection, and idle connections of `shared` are closed to make room. One connection is always
 * left to `shared`. So if max_connections is 1, there can be two: one of `shared` and a private
 * one. */
struct transport *transport_new_private(struct transport *shared);

/* Frees a transport and closes its connections. NULL does nothing. */
void transport_free(struct transport *transport);

/* Returns whether a transfer has failed since the last call because the process had no descriptor
 * left. Also returns true from time to time while private transports wait for a connection (see
 * max_connections). Private transports report both through their shared transport. */
bool transport_lacks_descriptors(struct transport *transport);

#endif
