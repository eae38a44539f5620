/* Shared by the files of core/http. Other code must not include it.
 *
 *   transport.c          the multi handle, its callbacks, iterations, forks
 *   transfer.c           the beginning and the end of a transfer
 *   receive.c            header fields and body as libcurl delivers them
 *   handle.c             easy handles and their options
 *   connection.c         which connection a transfer uses, and what to do if it does not work
 *   connection_limit.c   max_connections
 *   openssl.c            what only OpenSSL itself can do */
#ifndef PODERO_HTTP_INTERNAL_H
#define PODERO_HTTP_INTERNAL_H

#include <curl/curl.h>

#include "core/http/sigpipe.h"
#include "core/http/sockets.h"
#include "core/http/transfer.h"
#include "core/http/transport.h"

/* CURLOPT_BUFFERSIZE. libcurl decodes all that it has read before it returns: with gzip up to a
 * thousand times as much, while other transfers wait. So the larger buffer, which takes fewer
 * system calls, is used only after a response without a content coding, and if no response of the
 * transport had one. */
#define SMALL_BUFFER_BYTES (8L * 1024)
#define LARGE_BUFFER_BYTES (32L * 1024)

/* How many header bytes are accepted of all responses to a request together, including 1xx
 * responses. */
#define MAX_HEADER_BYTES (256u * 1024)

/* How many bytes a single header field may have, with its name. */
#define MAX_FIELD_BYTES (64u * 1024)

/* How long the body of an error response is read after its header. */
#define MAX_ERROR_BODY_SECONDS 2.0

/* An iteration is stopped after this time if a peer prolongs it: when a connection is read that
 * delivers no response, or when a response is decoded after the transfer's deadline, since a few
 * compressed bytes can take minutes. Decoding what has merely waited for its caller takes less. */
#define MAX_ITERATION_SECONDS 0.1

/* How many easy handles are kept for further transfers. */
#define MAX_IDLE_HANDLES 16

/* Sets an option of the handle `easy`, unless an earlier option has failed: `code` is its error. */
#define SET_OPTION(option, value)                                                                  \
  (code == CURLE_OK ? code = curl_easy_setopt(easy, option, value) : code)

/* An easy handle, and what is set in it. */
struct handle {
  CURL *easy;
  long buffer_bytes;         /* CURLOPT_BUFFERSIZE; 0: not set */
  CURLU *url;                /* CURLOPT_CURLU */
  char *origin;              /* scheme, host and port of `url`, or NULL */
  struct curl_slist *fields; /* CURLOPT_HTTPHEADER */
  const char *authorization; /* value of the Authorization field among them, or NULL */
  bool plain;                /* `fields` are those of a GET request that adds none of its own */
  bool single_use;           /* options are set that the next request would not reset */
};

/* What the current call of libcurl reads; see openssl.c. */
struct reading {
  const void *connection; /* the one that was read last; NULL: none */
  unsigned records;       /* how many TLS records were read from it in a row */
  double began;           /* when the first of them had been read, monotonic seconds */
};

struct transport {
  struct watcher watcher; /* the first member, so that callbacks can cast it */
  struct reactor *reactor;
  const struct transport_options *options;
  CURLM *multi;               /* NULL if it could not be made: out of memory or descriptors */
  struct sockets sockets;     /* of `multi` */
  unsigned fork_count;        /* when `multi` was made */
  struct transfer *transfers; /* those that have not ended; doubly linked */
  size_t unsent;              /* how many of them have not sent their request */
  struct handle idle[MAX_IDLE_HANDLES];
  unsigned idle_count;
  bool tls_files_work;        /* an https response has arrived: the files need no further check */
  bool skip_idle_connection;  /* the next transfer opens a new connection: an idle one was dead */
  bool lacks_descriptors;     /* see transport_lacks_descriptors */
  bool asked_for_certificate; /* a server has asked for a client certificate (OpenSSL only) */

  /* Whether there were responses with and without a content coding: see SMALL_BUFFER_BYTES. */
  bool has_received_coded, has_received_uncoded;

  /* Timers, monotonic seconds. */
  double timer_at;       /* libcurl's timer; INFINITY: not set */
  double check_at;       /* when all transfers are checked, regardless of libcurl's timer */
  double check_interval; /* seconds, of the last check */
  double error_body_at;  /* when the first error body has taken too long; INFINITY: there is none */

  /* The current iteration, or the last one. It is one call of curl_multi_socket_action. */
  double iteration_began;
  size_t iteration_bytes; /* how many bytes of bodies were received */
  bool made_progress;     /* bytes of a response have arrived, or a transfer has ended */
  bool closed_socket;     /* in the current call of libcurl */
  bool read_too_long;     /* a connection was ended because reading it took too long */
  bool out_of_memory;
  struct reading reading;     /* of the current call of libcurl */
  struct transfer *connected; /* one that has opened a connection, or NULL */

  /* max_connections, see connection_limit.c. */
  struct transport *shared; /* of a private transport, otherwise NULL */
  bool admitted;            /* private: its connection is among those that are allowed */
  bool queued;              /* private: it waits to be admitted */
  struct transport *next;   /* private: in the queue */
  struct transport *queue, **queue_end; /* shared: private transports that wait */
  double collect_at;                    /* shared: when a garbage collection is asked for next */
  unsigned private_count;               /* shared: private transports that are admitted */
};

struct transfer {
  struct transport *transport;
  struct transfer *next, *previous; /* in transport.transfers */
  struct handle handle;             /* all zero once the transfer has ended */
  double started_at, deadline;      /* monotonic seconds */
  bool ended;

  /* The connection. */
  bool fresh_connection;          /* as in the request */
  bool restarted;                 /* the request is being sent a second time */
  bool repeated;                  /* libcurl has opened a socket to send it a second time */
  bool repeat_stopped;            /* connection_stops_repeat has returned true */
  bool shut_down;                 /* its connection was shut down by connection_shut_down */
  bool http2;                     /* its last connection used HTTP/2 */
  bool opened_socket;             /* a socket was opened for it */
  bool no_descriptor;             /* no socket could be opened: too many open files */
  struct socket_entry *opened;    /* the last one that was; NULL: none, or it was closed */
  struct socket_entry *socket;    /* of its connection; NULL: not known, see connection_socket */
  char proxy[SOCKETS_PEER_CHARS]; /* address of the proxy that responded to CONNECT, or "" */
  double sent_at;                 /* when the request was sent; 0: not yet, or not known */
  double received_at;             /* when response bytes last arrived; 0: never */
  double first_byte_at;           /* when the first one did; not of a response to CONNECT */
  bool was_sent;                  /* see transfer_was_sent; valid once the transfer has ended */

  /* The response. */
  uint64_t max_response_bytes; /* as in the request */
  size_t header_bytes;
  bool in_header;           /* the status line has arrived, but not the end of the header */
  bool header_complete;     /* also set for a 1xx response or a response to CONNECT */
  bool refused_coding;      /* the header names a coding that is not accepted; see receive.c */
  unsigned content_codings; /* how many the header names */
  char retry_after[64];     /* values of these fields; "": missing or too long */
  char date[64];
  double error_body_until; /* monotonic; INFINITY until the header of an error has arrived */
  uint64_t read_bytes;     /* see connection_count_read; valid once its socket was closed */
  bool uncoded;            /* as in the request */
  bool streamed, paused;
  size_t taken;                                 /* bytes of response.body removed by
                                                 * transfer_take */
  bool too_large, past_deadline, out_of_memory; /* why receiving was stopped */
  bool field_too_large;                         /* too_large is because of a single field */
  struct response response;

  struct buffer body; /* of the request; libcurl has no copy, so it can be wiped */
  char error_text[CURL_ERROR_SIZE];
};

/* ---- transport.c ---- */

/* Creates the multi handle. Returns false if out of memory or descriptors. */
bool transport_open(struct transport *transport);

/* Frees the multi handle and closes all its connections. */
void transport_close(struct transport *transport);

/* In a forked child: fails all transfers, and creates the multi handle again. Returns whether the
 * process was forked since the last call. */
bool transport_reset_after_fork(struct transport *transport);

/* Call the first before, and the second after, each call of libcurl that can use connections. They
 * protect the process from SIGPIPE, and from errors that libcurl leaves in OpenSSL's error
 * queue. */
void transport_enter(struct transport *transport, struct sigpipe_guard *guard);
void transport_leave(struct transport *transport, struct sigpipe_guard *guard);

/* Add a transfer to the transport's list when it starts, and remove it when it ends. */
void transport_add_transfer(struct transfer *transfer);
void transport_remove_transfer(struct transfer *transfer);

/* Hands the transfer's easy handle to libcurl, which starts it in the next iteration. Returns false
 * if out of memory. */
bool transport_submit(struct transfer *transfer);

/* Call this when the header of an error has arrived: at this time (monotonic seconds), the transfer
 * is stopped if it still reads the body. */
void transport_note_error_body(struct transport *transport, double until);

/* CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION. `user` is a transfer for the first,
 * and a transport for the second. */
curl_socket_t transport_open_socket(void *user, curlsocktype purpose,
                                    struct curl_sockaddr *address);
int transport_close_socket(void *user, curl_socket_t fd);

/* CURLOPT_PREREQFUNCTION, called when libcurl is about to send the request. `user` is a
 * transfer. */
int transport_request_callback(void *user, char *remote, char *local, int remote_port,
                               int local_port);

/* ---- transfer.c ---- */

/* Ends a transfer with this result. */
void transfer_end(struct transfer *transfer, CURLcode code);

/* Returns the code that libcurl should have reported instead of this one. */
CURLcode transfer_correct_code(const struct transfer *transfer, CURLcode code);

/* Returns whether a transfer with this result has failed because memory could not be allocated.
 * libcurl also returns CURLE_OUT_OF_MEMORY for other reasons. */
bool transfer_is_out_of_memory(const struct transfer *transfer, CURLcode code);

/* Ends a transfer as if libcurl had reported a timeout. Its connection is then kept, discarded or
 * shut down, see connection_after_stop. */
void transfer_stop(struct transfer *transfer);

/* ---- receive.c ---- */

/* CURLOPT_HEADERFUNCTION and CURLOPT_WRITEFUNCTION. `user` is a transfer. */
size_t receive_field(char *bytes, size_t one, size_t size, void *user);
size_t receive_body(char *bytes, size_t one, size_t size, void *user);

/* ---- handle.c ---- */

/* Gives the transfer an easy handle with the options of the request. Returns CURLE_OK or an error;
 * transfer_end releases the handle in either case. */
CURLcode handle_acquire(struct transfer *transfer, const struct request *request);

/* Takes the transfer's handle, and keeps it for further transfers or frees it. `succeeded`: the
 * transfer has succeeded, so that the handle can be used again. */
void handle_release(struct transfer *transfer, bool succeeded);

/* Overwrites and frees the handle's header fields. */
void handle_free_fields(struct handle *handle);

void handle_free(struct handle handle);

/* ---- connection.c ---- */

/* Returns the socket of the transfer's connection, or NULL if it is not known. */
struct socket_entry *connection_socket(struct transfer *transfer);

/* Call the first when a request is about to be sent over the connection, and the second when the
 * transfer has received a whole response. They count the bytes of earlier responses for
 * connection_count_read. */
void connection_note_request(struct socket_entry *socket);
void connection_note_response(struct transfer *transfer);

/* Returns when the request was sent, in monotonic seconds; 0 if it was not sent. */
double connection_sent_at(const struct transfer *transfer);

/* Returns how many bytes were read from the transfer's connection since its request was sent. This
 * can include a few KB of earlier responses. Returns 0 if it is not known. */
uint64_t connection_count_read(const struct transfer *transfer);

/* Call this when bytes of the transfer's response arrive. */
void connection_note_bytes(struct transfer *transfer);

/* Call this when the header of a response begins. Notes the proxy's address if it is a response to
 * CONNECT. */
void connection_note_proxy(struct transfer *transfer);

/* Call this before a socket is closed: makes transfers forget it. */
void connection_detach(struct transport *transport, const struct socket_entry *socket);

/* What to do with the connection of a transfer that is about to be stopped. */
enum connection_action {
  CONNECTION_KEEP,     /* nothing: it works, or others use it */
  CONNECTION_DISCARD,  /* set CURLOPT_FORBID_REUSE */
  CONNECTION_SHUT_DOWN /* call connection_shut_down */
};
enum connection_action connection_after_stop(struct transfer *transfer);

/* Ends a connection that other transfers use. libcurl then reports an error for these, and they are
 * restarted. */
void connection_shut_down(struct transport *transport, const struct socket_entry *socket);

/* Call this when a socket is opened for the transfer. */
void connection_note_socket(struct transfer *transfer);

/* Call this when libcurl is about to send the request. Returns true if it must not, for one of two
 * reasons. Either libcurl has sent the request before, over an idle connection that was closed, and
 * would try another idle one, which may be closed as well. Or it has sent the request as often as
 * allowed. Then the transfer fails, and connection_retry sends the request over a new connection if
 * it may be sent again. */
bool connection_stops_repeat(struct transfer *transfer);

/* Call this when a transfer has failed. Returns true if it was started again over another
 * connection. */
bool connection_retry(struct transfer *transfer, CURLcode code);

/* Lets transfers that wait for the connection of `connected`, because they have the same origin,
 * open their own instead. Returns false if out of memory. */
bool connection_release_waiting(struct transfer *connected);

/* ---- connection_limit.c ---- */

/* Sets libcurl's limits for the multi handle. */
void connection_limit_apply(struct transport *transport);

/* Lets a private transport hand its transfer to libcurl: at once, or as soon as it is allowed a
 * connection. */
void connection_limit_enter(struct transport *private);

/* Call this when a private transport is freed. */
void connection_limit_leave(struct transport *private);

/* Admits waiting private transports, as far as there is room for their connections. */
void connection_limit_admit(struct transport *shared);

#endif
