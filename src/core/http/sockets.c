#include "core/http/sockets.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct socket_entry *sockets_find(const struct sockets *sockets, int fd) {
  struct socket_entry *s = sockets->buckets[(unsigned)fd % SOCKETS_BUCKETS];
  while (s != NULL && s->fd != fd)
    s = s->next;
  return s;
}

struct socket_entry *sockets_add(struct sockets *sockets, int fd) {
  struct socket_entry *s = sockets_find(sockets, fd);
  if (s == NULL) {
    struct socket_entry **bucket = &sockets->buckets[(unsigned)fd % SOCKETS_BUCKETS];
    s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->next = *bucket;
    *bucket = s;
  }
  struct socket_entry *next = s->next;
  *s = (struct socket_entry){.next = next, .fd = fd, .open = true, .identity = fork_file_id(fd)};
  return s;
}

/* Calls `visit` for each open socket. */
static void for_each_open(const struct sockets *sockets,
                          void (*visit)(struct socket_entry *s, void *user), void *user) {
  for (size_t i = 0; i < SOCKETS_BUCKETS; i++) {
    for (struct socket_entry *s = sockets->buckets[i]; s != NULL; s = s->next) {
      if (s->open) visit(s, user);
    }
  }
}

/* ---- addresses ---- */

union address {
  struct sockaddr any;
  struct sockaddr_in ip4;
  struct sockaddr_in6 ip6;
};

void sockets_write_peer(const struct socket_entry *s, char peer[SOCKETS_PEER_CHARS]) {
  union address address = {.any.sa_family = AF_UNSPEC};
  socklen_t size = sizeof address;
  char host[SOCKETS_PEER_CHARS - sizeof "[]:65535"], port[sizeof "65535"];
  *peer = '\0';
  if (getpeername(s->fd, &address.any, &size) != 0) return;
  bool ip6 = address.any.sa_family == AF_INET6;
  if (!ip6 && address.any.sa_family != AF_INET) return;
  if (getnameinfo(&address.any, size, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) == 0)
    snprintf(peer, SOCKETS_PEER_CHARS, ip6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* Returns the local port, or 0 if the socket is not connected over IP. */
static int get_local_port(const struct socket_entry *s) {
  union address address = {.any.sa_family = AF_UNSPEC};
  socklen_t size = sizeof address;
  if (!s->connected || getsockname(s->fd, &address.any, &size) != 0) return 0;
  if (address.any.sa_family == AF_INET) return ntohs(address.ip4.sin_port);
  return address.any.sa_family == AF_INET6 ? ntohs(address.ip6.sin6_port) : 0;
}

struct port_search {
  long port;
  struct socket_entry *found; /* the last one that has the port */
  unsigned count;
};

static void compare_port(struct socket_entry *s, void *user) {
  struct port_search *search = user;
  if (s->local_port == 0) s->local_port = get_local_port(s);
  if (s->local_port == 0 || s->local_port != search->port) return;
  search->found = s;
  search->count++;
}

struct socket_entry *sockets_find_by_port(struct sockets *sockets, long port) {
  struct port_search search = {.port = port};
  for_each_open(sockets, compare_port, &search);
  return search.count == 1 ? search.found : NULL;
}

/* ---- count ---- */

static void count_socket(struct socket_entry *s, void *user) {
  unsigned *count = user;
  if (s->connected || s->watched) ++*count;
}

unsigned sockets_count(const struct sockets *sockets) {
  unsigned count = 0;
  for_each_open(sockets, count_socket, &count);
  return count;
}

uint64_t sockets_count_received(const struct socket_entry *s) {
  uint64_t received = 0;
#if defined(__linux__) && defined(TCP_INFO)
  /* Where tcpi_bytes_received is. The C library's struct tcp_info can be older than the
   * kernel's. */
  enum { OFFSET = 128 };
  char info[OFFSET + sizeof received];
  socklen_t size = sizeof info;
  if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, info, &size) != 0 || size < sizeof info) return 0;
  memcpy(&received, info + OFFSET, sizeof received);
#else
  (void)s;
#endif
  return received;
}

uint64_t sockets_count_read(const struct socket_entry *s) {
  int unread = 0;
  if (ioctl(s->fd, FIONREAD, &unread) != 0 || unread < 0) return 0;
  /* Asked for last: bytes that arrive in between count as read, and are not subtracted. */
  uint64_t received = sockets_count_received(s);
  return (uint64_t)unread < received ? received - (uint64_t)unread : 0;
}

/* ---- fork ---- */

struct disowning {
  int null_fd;
  bool all_kept; /* the child has closed none of the sockets */
};

static void disown_socket(struct socket_entry *s, void *user) {
  struct disowning *d = user;
  s->open = fork_is_same_file(s->fd, s->identity);
  d->all_kept = d->all_kept && s->open;
  if (!s->open || (d->null_fd >= 0 && dup2(d->null_fd, s->fd) >= 0)) return;
  close(s->fd);
  s->open = false;
}

bool sockets_disown(struct sockets *sockets) {
  struct disowning d = {.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), .all_kept = true};
  for_each_open(sockets, disown_socket, &d);
  if (d.null_fd >= 0) close(d.null_fd);
  return d.all_kept;
}

static void close_socket(struct socket_entry *s, void *user) {
  (void)user;
  close(s->fd);
  s->open = false;
}

void sockets_close(struct sockets *sockets) {
  for_each_open(sockets, close_socket, NULL);
}

/* ---- free ---- */

void sockets_free(struct sockets *sockets) {
  for (size_t i = 0; i < SOCKETS_BUCKETS; i++) {
    while (sockets->buckets[i] != NULL) {
      struct socket_entry *s = sockets->buckets[i];
      sockets->buckets[i] = s->next;
      free(s);
    }
  }
}
