#include "core/http/quirks.h"

/* All workarounds for faults and limits of libcurl. The versions are those in which the fault was
 * seen, or found in the source; others may have it, too. Workarounds marked with * depend on the
 * version at run time; the others are always active. quirks_spec checks that the specs exist.
 *
 * up to 7.76.0 *
 *   While an HTTP/2 transfer is paused, its response is read into memory (7.68 to 7.74: 60 MB), and
 *   a response with nested codings can take gigabytes. No client is made (libcurl_check in
 *   libcurl.c).
 *   Spec: quirks_spec "is refused by podero.new"
 *
 * up to 7.79 *
 *   There is no CURLOPT_PREREQFUNCTION, which tells when a request is sent. The start of the
 *   transfer is used instead (connection_sent_at in connection.c).
 *   Spec: connections_spec "opens another HTTP/2 connection"
 *
 * up to 7.86 *
 *   Writing to a TLS connection that was closed raises SIGPIPE, which would end the process. The
 *   signal is blocked (sigpipe.c).
 *   Spec: connections_spec "after the server has closed 40 idle connections"
 *
 * up to 7.86 *
 *   There is no CURLOPT_QUICK_EXIT, so freeing a handle can wait for a slow name server. There is
 *   no workaround.
 *   Spec: none, it needs a slow name server
 *
 * up to 8.5 *
 *   A header field of more than 100 KB, and more than 64 MB that are decoded for a paused
 *   transfer, are reported as CURLE_OUT_OF_MEMORY; from 8.6 on as CURLE_TOO_LARGE
 *   (is_too_large_for_libcurl in transfer.c). A long field must not end other transfers. It is
 *   recognized by the number of bytes that were read, on Linux only (has_long_field in transfer.c).
 *   Spec: faults_spec "an endless header field", status_spec "fails that call only"
 *
 * all
 *   The codings of a body are decoded however long that takes, without a call of receive_body while
 *   nothing comes out. Only one is accepted (note_codings in receive.c).
 *   Spec: status_spec "two codings, in two fields"
 *
 * all
 *   The body of a proxy's response to CONNECT is read byte by byte, and libcurl does not return
 *   while bytes arrive. A transfer whose tunnel is refused ends at the header (is_tunnel_refused in
 *   receive.c).
 *   Spec: status_spec "does not read the proxy's body, however long"
 *
 * all
 *   libcurl does not notice if encoded content is cut short, so the body of a response with a
 *   content coding may be incomplete. The JSON reader notices; a body that is passed on unread must
 *   not have a coding (request.uncoded).
 *   Spec: status_spec "gzip that is cut short"
 *
 * all
 *   Bytes after a compressed body are reported as CURLE_WRITE_ERROR (describe_code in transfer.c).
 *   Spec: status_spec "a line feed"
 *
 * up to 8.5
 *   A handle refuses CURLOPT_BUFFERSIZE after a transfer that has failed, or that has ended while
 *   others used its HTTP/2 connection. Only handles of transfers that have succeeded are used
 *   again (handle_release in handle.c), and one that refuses is replaced (get_handle in
 *   handle.c).
 *   Spec: faults_spec "reset in the body", connections_spec "makes many calls at a time"
 *
 * 7.88 to 8.1 *
 *   A socket that was never connected is closed without CURLOPT_CLOSESOCKETFUNCTION. It stays
 *   registered with the reactor, and its number can be given to another file; if a child process
 *   has inherited the socket, epoll can report it forever. Until it is connected, a duplicate is
 *   registered (REACTOR_DUP), and only while libcurl waits for it (socket_callback in
 *   transport.c).
 *   Spec: connections_spec "is not harmed by a connection that was never established",
 *   "waits without using the processor"
 *
 * 7.88 to 8.1
 *   The socket for the next address can get the number of the previous one. Then libcurl does not
 *   call CURLMOPT_SOCKETFUNCTION, as if nothing had changed. The new socket is registered when it
 *   is opened (transport_open_socket in transport.c).
 *   Spec: reactor_spec "watches the new file of a reused number"
 *
 * from 8.6 *
 *   With CURLOPT_PIPEWAIT, transfers wait for a connection to their host that is being made. If it
 *   does not use HTTP/2, they also wait for the end of its first transfer
 *   (connection_release_waiting in connection.c).
 *   Spec: connections_spec "opens a connection for each call over TLS"
 *
 * all
 *   A timer that expires within a millisecond of another is lost (7.88), and an HTTP/2 error is
 *   only reported when a later timer expires (8.14). All transfers are checked at intervals,
 *   regardless of the timer (FIRST_CHECK_SECONDS in transport.c). 8.5 never reports some HTTP/2
 *   errors: the calls end at their deadlines.
 *   Spec: faults_spec "silent in the TLS handshake", "a frame that is too large", "a header that
 *   cannot be decompressed"
 *
 * all
 *   An idle TLS connection that the server has closed with close_notify is used again. libcurl
 *   tries six of them before the request fails; here one is tried, and then a new connection
 *   (connection_stops_repeat and connection_retry in connection.c).
 *   Spec: connections_spec "after the server has closed 40 idle connections"
 *
 * up to 8.13
 *   A request that is being sent fails when GOAWAY arrives. It is sent again (connection_retry in
 *   connection.c).
 *   Spec: faults_spec "with GOAWAY just as the second request arrives"
 *
 * from 8.0
 *   An HTTP/2 connection that has failed can be used again. It is shut down
 *   (end_broken_connection in connection.c).
 *   Spec: faults_spec "endless SETTINGS"
 *
 * all
 *   A request over a reused connection is sent again if the connection is closed without a
 *   response, even a POST that the server has read; and over any HTTP/2 connection, five times, if
 *   the server resets its stream with REFUSED_STREAM or HTTP_1_1_REQUIRED. A request that must not
 *   be repeated gets a new connection (request.fresh_connection). Others are repeated once
 *   (connection_stops_repeat in connection.c).
 *   Spec: connections_spec "sends a refresh token once", "resends a lost request once"
 *
 * all
 *   CURLOPT_FORBID_REUSE does not keep other transfers off an HTTP/2 connection that is in use. If
 *   it is silent, it is shut down (connection_after_stop in connection.c).
 *   Spec: connections_spec "opens another HTTP/2 connection"
 *
 * 8.23
 *   If an HTTP/2 connection that several transfers use is shut down here, libcurl repeats the
 *   request of one itself, and reports the others as failed. They wait for the connection that it
 *   makes for that one (has_restarted_another in connection.c).
 *   Spec: connections_spec "sends the requests of waiting calls"
 *
 * all
 *   All bytes that were read are decoded before libcurl returns; into memory if the transfer is
 *   paused. So only a few are read at a time (SMALL_BUFFER_BYTES in internal.h).
 *   Spec: connections_spec "calls wait every 50 ms"
 *
 * from 7.88
 *   While HTTP/2 frames that are not part of a response arrive as fast as they are read, libcurl
 *   does not return, and calls none of its callbacks. From 8.7 on, this needs a connection without
 *   an open stream, as after GOAWAY. If libcurl uses OpenSSL, a callback of OpenSSL's ends the
 *   connection (record_received in openssl.c). With other TLS libraries there is no workaround.
 *   Spec: http2_spec "cannot hold a call"
 *
 * 7.88
 *   A TLS handshake that fails leaves an error in the thread's OpenSSL error queue, where others
 *   find it: nginx logs it for the next TLS request that it serves. The queue is emptied
 *   (transport_leave in transport.c).
 *   Spec: nginx_spec "a later TLS connection is not logged for a failed call"
 *
 * 7.88
 *   Over HTTP/2, a response that arrives before the whole body of its request was sent can be lost,
 *   and the request hangs. Token requests, which have a body, use HTTP/1.1 (token_request_build).
 *   Spec: http2_spec "and not for token requests"
 *
 * all
 *   An HTTP/1.1 connection is used again for requests that may use HTTP/2, which then never do. The
 *   connection of a token request is closed (set_http_version in handle.c).
 *   Spec: http2_spec "and not for token requests"
 *
 * 7.88
 *   After running out of memory, libcurl keeps connections that are never used or closed, and for
 *   which other transfers wait. The multi handle is replaced (reset_after_out_of_memory in
 *   transport.c).
 *   Spec: memory_spec "when an allocation by libcurl fails"
 *
 * from 8.12
 *   If the text of the URL cannot be allocated, CURLE_URL_MALFORMAT is reported, and that there is
 *   no URL (transfer_correct_code in transfer.c).
 *   Spec: memory_spec "when an allocation by libcurl fails"
 *
 * all
 *   Until a tunnel is established, CURLINFO_PRIMARY_IP is the proxy's (7.88), or empty (8.14). The
 *   socket is asked for its peer instead (connection_note_proxy in connection.c).
 *   Spec: status_spec "whose proxy answers CONNECT with"
 *
 * from 8.16
 *   A private key that cannot be read is reported as CURLE_BAD_FUNCTION_ARGUMENT
 *   (transfer_correct_code in transfer.c).
 *   Spec: curl_error_spec "a certificate without its key"
 *
 * from 8.20
 *   If no descriptor is left, no multi handle can be made. It is made when the next transfer begins
 *   (begin in transfer.c).
 *   Spec: connections_spec "made when no descriptor is left"
 *
 * from 8.21
 *   The host "127.0.0.1." is the address 127.0.0.1, so plain http to it is accepted; before, it is
 *   a name. url_check asks libcurl, which connects to the same (check_host in url.c).
 *   Spec: options_spec "may not be plain http, unless the host is loopback"
 *
 * from 8.14
 *   A response may have 5,000 header fields. More are reported as CURLE_TOO_LARGE, like a field
 *   that is too long (has_too_many_fields in transfer.c).
 *   Spec: headers_spec "join many repeated fields"
 *
 * 7.88
 *   If the connection is closed between two header fields, libcurl reports a complete response
 *   (transfer_end in transfer.c).
 *   Spec: faults_spec "closed between two header fields"
 *
 * 7.88
 *   The value of Accept-Encoding is built again for each request, and a URL given as a string is
 *   parsed twice (libcurl_accept_encoding in libcurl.c, set_url in handle.c).
 *   Spec: none, it only takes time */
struct quirks quirks_of(unsigned version) {
  return (struct quirks){
      .is_too_old = version < QUIRKS_OLDEST_VERSION,
      .raises_sigpipe = version < 0x075700,
      .has_prereq = version >= 0x075000,
      .has_quick_exit = version >= 0x075700,
      .skips_close_callback = version >= 0x075800 && version < 0x080200,
      .pipewait_waits_for_transfer = version >= 0x080600,
      .reports_size_as_memory = version < 0x080600,
  };
}
