/* The sockets that a transport has opened, and what is known about their connections.
 *
 *   entries   sockets_add, sockets_find, sockets_find_by_port, sockets_count
 *   state     sockets_count_received, sockets_count_read, sockets_write_peer
 *   fork      sockets_disown, sockets_close
 *   free      sockets_free
 *
 * Entries are found by descriptor. They live until sockets_free, because libcurl can return an
 * entry (see curl_multi_assign) after its socket was closed. If another socket gets the same
 * descriptor, it uses the same entry. */
#ifndef PODERO_SOCKETS_H
#define PODERO_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fork.h"

struct socket_entry {
  struct socket_entry *next; /* in its bucket */
  int fd;
  bool open;
  bool watched;            /* libcurl waits for events on it */
  bool connected;          /* libcurl has waited for it to become readable, so it was connected */
  bool http2;              /* the connection uses HTTP/2; known from the first response on */
  int local_port;          /* 0: not known yet */
  double received_at;      /* when response bytes last arrived, monotonic seconds; 0: never */
  double silent_since;     /* when the longest waiting request was sent; valid if it is after
                            * received_at */
  uint64_t read_before;    /* how many bytes of earlier responses, see connection_count_read */
  uint64_t uncounted;      /* how many of them are counted from the responses alone */
  struct file_id identity; /* to find out after a fork whether the descriptor is still this
                            * socket */
};

#define SOCKETS_BUCKETS 64u

/* Initialize with zeros. */
struct sockets {
  struct socket_entry *buckets[SOCKETS_BUCKETS];
};

/* Returns the entry for a socket that was just opened. Returns NULL if out of memory. */
struct socket_entry *sockets_add(struct sockets *sockets, int fd);

/* Returns the entry of a descriptor, whether or not its socket is still open. Returns NULL if it
 * was never a socket of the transport. */
struct socket_entry *sockets_find(const struct sockets *sockets, int fd);

/* Returns the open socket that is connected from this local port. Returns NULL if there is none or
 * more than one: connections to different servers can have the same local port. */
struct socket_entry *sockets_find_by_port(struct sockets *sockets, long port);

/* Returns how many sockets are open and are connected or being connected. */
unsigned sockets_count(const struct sockets *sockets);

/* Return how many bytes an open socket has received since it was connected, before decryption, and
 * how many of these were read. Return 0 if the system cannot tell. */
uint64_t sockets_count_received(const struct socket_entry *socket);
uint64_t sockets_count_read(const struct socket_entry *socket);

/* Enough for any text of sockets_write_peer: an IPv6 address in brackets, with a scope and a
 * port. */
#define SOCKETS_PEER_CHARS 96u

/* Writes the address and port that an open socket is connected to, such as "127.0.0.1:3128" or
 * "[::1]:3128". Writes "" if it is not connected over IP. */
void sockets_write_peer(const struct socket_entry *socket, char peer[SOCKETS_PEER_CHARS]);

/* Call this once in a forked child. Makes the descriptors of all sockets refer to /dev/null, so
 * that libcurl can close its connections without sending anything to the parent's servers. Leaves
 * descriptors alone that the child has closed or reused. Returns false if there are any: then the
 * child may also have closed other descriptors of libcurl's. */
bool sockets_disown(struct sockets *sockets);

/* Closes all sockets that are open. */
void sockets_close(struct sockets *sockets);

/* Frees the entries. Does not close the sockets. */
void sockets_free(struct sockets *sockets);

#endif
