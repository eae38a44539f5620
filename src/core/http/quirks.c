#include "core/http/quirks.h"

/* Workarounds for libcurl, all of them. Those marked * depend on the version at run time; the
 * others are harmless with every version, and are always in place. "from" and "until" are the
 * versions where this was seen or read in the source, not the only ones.
 *
 * versions        symptom; what is done about it; the spec that holds it
 *
 * until 7.86 *    A write to a closed TLS connection raises SIGPIPE, which ends the process: the
 *                 signal is held around libcurl (hold_sigpipe).
 * until 7.79 *    No CURLOPT_PREREQFUNCTION: when a request was sent is not known exactly, and the
 *                 transfer's start is taken for it (transfer.sent_at).
 * until 7.86 *    No CURLOPT_QUICK_EXIT: the end of a client waits for a slow name server.
 * until 8.5 *     A header field of more than 100 KB, and more than 64 MB unpacked for a paused
 *                 transfer, are called a lack of memory: is_beyond_libcurl tells them apart.
 *                 faults_spec: "a header field without end", "a gzip bomb in a gzip bomb".
 * until 8.5       After a transfer that failed, CURLOPT_BUFFERSIZE is refused: only handles of good
 *                 transfers are used again (give_handle_back). faults_spec: the good call after
 *                 each fault.
 * 7.88 to 8.1 *   A socket that never became a connection is closed without the close callback. Its
 *                 number stays registered, and comes to mean another file; if a child has inherited
 *                 the socket, it is ready for ever: until it is a connection, a copy is registered
 *                 (REACTOR_DUP), and not for longer than libcurl waits for it (watch_socket).
 *                 connections_spec: "is not harmed by a connection that never came about", "waits
 *                 without turning".
 * 7.88 to 8.1     A second address is tried on a socket with the number of the first one, and the
 *                 socket callback is not called again: reactor_replace. connections_spec: "tries
 * the next address". until 8.23      A timer that is due within a millisecond of another is lost;
 * an error in HTTP/2 is told only when a far timer is run: all transfers are looked at from time to
 *                 time (FIRST_CHECK_SECONDS). faults_spec: "silent in the TLS handshake", "a frame
 *                 beyond all sizes", "a header that cannot be unpacked".
 * until 8.23      A TLS connection that the server has closed with close_notify is taken for alive;
 *                 a request is tried on six of them, and fails: begin_again. connections_spec:
 * "that has been idle until the server closed it". until 8.13      GOAWAY just as a request is sent
 * fails it: begin_again. faults_spec: "with GOAWAY just as the second request arrives". all A
 * request that was sent over a kept connection is sent again over another if the connection ends
 * without a byte, even a POST: request.fresh_connection. connections_spec: "sends a refresh token
 * once". all             CURLOPT_FORBID_REUSE does not keep others off an HTTP/2 connection that is
 * in use: distrust_connection. connections_spec: "whose connection goes silent". 7.88 After a lack
 * of memory connections stay that are never used again, and for which others wait: all is begun
 * anew (renew_after_out_of_memory). memory_spec. 7.88            The decoders of brotli and zstd do
 * not pass on that the write callback has ended the transfer: end_transfer asks the transfer.
 * faults_spec: "a gzip bomb". 7.88            A connection that is closed between two header fields
 * makes a response without a body: end_transfer. faults_spec: "closed between two header fields".
 * 7.88            Whether a decoder exists is worked out anew for each request, and a URL given as
 * a text is parsed twice: accepted_encodings, set_url. Time only.
 */
struct quirks quirks_of(unsigned version) {
  return (struct quirks){
      .raises_sigpipe = version < 0x075700,
      .has_prereq = version >= 0x075000,
      .has_quick_exit = version >= 0x075700,
      .closes_silently = version >= 0x075800 && version < 0x080200,
      .calls_size_memory = version < 0x080600,
  };
}
