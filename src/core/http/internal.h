/* What the files of core/http share. Not to be included from elsewhere.
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

/* CURLOPT_BUFFERSIZE. libcurl decodes all that it has read before it returns, up to a thousand
 * times as much with gzip, which blocks other transfers meanwhile. So the larger buffer, which
 * takes fewer system calls, is used only if no response of the transport had a content coding. */
#define SMALL_BUFFER_BYTES (8L * 1024)
#define LARGE_BUFFER_BYTES (32L * 1024)

/* How many header bytes are accepted, of all responses to a request (1xx, for example). */
#define MAX_HEADER_BYTES (256u * 1024)

/* How many bytes a single header field may have, with its name. */
#define MAX_FIELD_BYTES (64u * 1024)

/* How long the body of an error is read after its header. */
#define MAX_ERROR_BODY_SECONDS 2.0

/* An iteration is stopped after this time if it is a peer that makes it last: while a connection
 * that brings no response is read, and, if the transfer's deadline has passed, while a response is
 * decoded. A few compressed bytes can take minutes. What has only waited for its caller is decoded
 * in less. */
#define MAX_ITERATION_SECONDS 0.1

/* How many easy handles are kept for further transfers. */
#define MAX_IDLE_HANDLES 16

/* Sets an option of the handle `easy`, unless `code` is an error of an option before. */
#define SET_OPTION(option, value)                                                                  \
  (code == CURLE_OK ? code = curl_easy_setopt(easy, option, value) : code)

/* An easy handle and what is set in it. */
struct handle {
  CURL *easy;
  long buffer_bytes;         /* CURLOPT_BUFFERSIZE; 0: not set */
  CURLU *url;                /* CURLOPT_CURLU */
  char *origin;              /* scheme, host and port of `url`, or NULL */
  struct curl_slist *fields; /* CURLOPT_HTTPHEADER */
  const char *authorization; /* value of the Authorization field among them, or NULL */
  bool plain;                /* `fields` are those of a GET request without fields of its own */
  bool single_use;           /* options are set that other requests do not reset */
};

/* What the current call of libcurl reads, see openssl.c. */
struct reading {
  const void *connection; /* the one that was read last; NULL: none */
  unsigned records;       /* how many TLS records were read from it, and from no other meanwhile */
  double began;           /* when the first of them had been read, monotonic seconds */
};

struct transport {
  struct watcher watcher; /* the first member, so that callbacks can cast it */
  struct reactor *reactor;
  const struct transport_options *options;
  CURLM *multi;               /* NULL if it could not be made: out of memory or descriptors */
  struct sockets sockets;     /* of `multi` */
  unsigned fork_count;        /* when `multi` was made */
  struct transfer *transfers; /* that have not ended; doubly linked */
  size_t unsent;              /* how many of them have not sent their request */
  struct handle idle[MAX_IDLE_HANDLES];
  unsigned idle_count;
  bool tls_files_work;        /* a TLS response has arrived: they need no further check */
  bool skip_idle_connection;  /* the next transfer opens a connection: an idle one was dead */
  bool lacks_descriptors;     /* see transport_lacks_descriptors */
  bool asked_for_certificate; /* a server has asked for a client certificate (OpenSSL only) */

  /* Whether there were responses with and without a content coding: see SMALL_BUFFER_BYTES. */
  bool has_received_coded, has_received_uncoded;

  /* Timers, monotonic seconds. */
  double timer_at;       /* libcurl's timer; INFINITY: not set */
  double check_at;       /* when all transfers are checked, whatever libcurl's timer is */
  double check_interval; /* seconds, of the last check */
  double error_body_at;  /* when the body of an error has taken too long; INFINITY: there is none */

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
  double collect_at;      /* shared: when transport_lacks_descriptors returns true if any wait */
  unsigned private_count; /* shared: private transports that are admitted */
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
  char proxy[SOCKETS_PEER_CHARS]; /* that has responded to CONNECT; "": none, or not known */
  double sent_at;                 /* when the request was sent; 0: not yet, or not known */
  double received_at;             /* when response bytes last arrived; 0: never */
  double first_byte_at;           /* when the first one did; not of a response to CONNECT */
  bool was_sent;                  /* see transfer_was_sent; valid once the transfer has ended */

  /* The response. */
  uint64_t max_response_bytes; /* as in the request */
  size_t header_bytes;
  bool in_header;           /* its status line has arrived, and not its end */
  bool header_complete;     /* that of a response to CONNECT or of a 1xx response, too */
  bool refused_coding;      /* the header names a coding that is not accepted, see receive.c */
  unsigned content_codings; /* how many it names */
  char retry_after[64];     /* values of these fields; "" if they are missing or too long */
  char date[64];
  double error_body_until; /* monotonic; INFINITY until the header of an error has arrived */
  uint64_t read_bytes;     /* see connection_count_read; valid once its socket was closed */
  bool uncoded;            /* as in the request */
  bool streamed, paused;
  size_t taken;                                 /* bytes of response.body, by transfer_take */
  bool too_large, past_deadline, out_of_memory; /* why receiving was stopped */
  bool field_too_large;                         /* too_large is about a single field */
  struct response response;

  struct buffer body; /* of the request; libcurl has no copy, so it can be wiped */
  char error_text[CURL_ERROR_SIZE];
};

/* ---- transport.c ---- */

/* Creates the multi handle. Returns false if out of memory or descriptors. */
bool transport_open(struct transport *transport);

/* Frees the multi handle and closes all its connections. */
void transport_close(struct transport *transport);

/* In a forked child: fails all transfers, and creates the multi handle again. Returns true if the
 * process was forked since the last call. */
bool transport_reset_after_fork(struct transport *transport);

/* To be called before and after each call of libcurl that can use connections. They keep from the
 * process what libcurl does to it: SIGPIPE, and what it leaves in OpenSSL's queue of errors. */
void transport_enter(struct transport *transport, struct sigpipe_guard *guard);
void transport_leave(struct transport *transport, struct sigpipe_guard *guard);

/* A transfer is in the transport's list from its start to its end. */
void transport_add_transfer(struct transfer *transfer);
void transport_remove_transfer(struct transfer *transfer);

/* Hands the transfer's easy handle to libcurl, which starts in the next iteration. Returns false if
 * out of memory. */
bool transport_submit(struct transfer *transfer);

/* Has the transfer ended at this time (monotonic seconds) if it still reads the body of an error.
 */
void transport_note_error_body(struct transport *transport, double until);

/* CURLOPT_OPENSOCKETFUNCTION with a transfer, CURLOPT_CLOSESOCKETFUNCTION with a transport. */
curl_socket_t transport_open_socket(void *user, curlsocktype purpose,
                                    struct curl_sockaddr *address);
int transport_close_socket(void *user, curl_socket_t fd);

/* CURLOPT_PREREQFUNCTION with a transfer: libcurl is about to send the request. */
int transport_request_callback(void *user, char *remote, char *local, int remote_port,
                               int local_port);

/* ---- transfer.c ---- */

/* Ends a transfer with this result. */
void transfer_end(struct transfer *transfer, CURLcode code);

/* Returns the code that libcurl should have reported for a transfer, in place of this one. */
CURLcode transfer_correct_code(const struct transfer *transfer, CURLcode code);

/* Returns whether a transfer of this result has failed because memory could not be allocated.
 * libcurl returns CURLE_OUT_OF_MEMORY for other reasons, too. */
bool transfer_is_out_of_memory(const struct transfer *transfer, CURLcode code);

/* Ends a transfer as if libcurl had reported a timeout, and sees to its connection. */
void transfer_stop(struct transfer *transfer);

/* ---- receive.c ---- */

/* CURLOPT_HEADERFUNCTION and CURLOPT_WRITEFUNCTION with a transfer. */
size_t receive_field(char *bytes, size_t one, size_t size, void *user);
size_t receive_body(char *bytes, size_t one, size_t size, void *user);

/* ---- handle.c ---- */

/* Gives the transfer an easy handle in which the request is set. */
CURLcode handle_acquire(struct transfer *transfer, const struct request *request);

/* Takes the transfer's handle away, and keeps it for further transfers or frees it. `succeeded`:
 * the transfer has, so that the handle can be used again. */
void handle_release(struct transfer *transfer, bool succeeded);

/* Overwrites and frees the header fields. */
void handle_free_fields(struct handle *handle);

void handle_free(struct handle handle);

/* ---- connection.c ---- */

/* Returns the socket of the transfer's connection, or NULL if that is not known. */
struct socket_entry *connection_socket(struct transfer *transfer);

/* To be called when a request is about to be sent over the connection, and when the transfer has
 * received a whole response: they count what earlier responses had for connection_count_read. */
void connection_note_request(struct socket_entry *socket);
void connection_note_response(struct transfer *transfer);

/* Returns when the request was sent, in monotonic seconds; 0 if it was not. */
double connection_sent_at(const struct transfer *transfer);

/* Returns how many bytes were read from the transfer's connection since its request was sent over
 * it. Up to a few KB of earlier responses can be among them. Returns 0 if that is not known. */
uint64_t connection_count_read(const struct transfer *transfer);

/* To be called when bytes of the transfer's response arrive. */
void connection_note_bytes(struct transfer *transfer);

/* To be called when the header of a response begins: notes the address of a proxy that responds to
 * CONNECT. */
void connection_note_proxy(struct transfer *transfer);

/* To be called before a socket is closed: transfers do not refer to it any more. */
void connection_detach(struct transport *transport, const struct socket_entry *socket);

/* Returns what to do with the connection of a transfer that is about to be stopped. */
enum connection_action {
  CONNECTION_KEEP,     /* nothing: it works, or others use it */
  CONNECTION_DISCARD,  /* set CURLOPT_FORBID_REUSE */
  CONNECTION_SHUT_DOWN /* call connection_shut_down */
};
enum connection_action connection_after_stop(struct transfer *transfer);

/* Ends a connection that others use. libcurl will report an error for their transfers, which are
 * then restarted. */
void connection_shut_down(struct transport *transport, const struct socket_entry *socket);

/* To be called when a socket is opened for the transfer. */
void connection_note_socket(struct transfer *transfer);

/* To be called when libcurl is about to send the request. Returns true if it must not: libcurl has
 * sent it before, on a connection that was closed, and would send it on another idle one, which may
 * be closed as well; or it has sent it as often as it may be sent. Then the transfer fails, and
 * connection_retry sends it on a new connection, if it may be sent again. */
bool connection_stops_repeat(struct transfer *transfer);

/* To be called when a transfer has failed. Returns true if it was started again, over another
 * connection. */
bool connection_retry(struct transfer *transfer, CURLcode code);

/* Transfers to the same origin as `connected` that wait for its connection do not wait any more.
 * Returns false if out of memory. */
bool connection_release_waiting(struct transfer *connected);

/* ---- connection_limit.c ---- */

/* Sets libcurl's limits for the multi handle. */
void connection_limit_apply(struct transport *transport);

/* Lets a private transport hand its transfer to libcurl, at once or as soon as it may have a
 * connection. */
void connection_limit_enter(struct transport *private);

/* To be called when a private transport is freed. */
void connection_limit_leave(struct transport *private);

/* Admits private transports that wait, if there is room for their connections. */
void connection_limit_admit(struct transport *shared);

#endif
