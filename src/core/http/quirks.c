#include "core/http/quirks.h"

/* All workarounds for libcurl: versions, symptom, what is done about it, and the spec that holds
 * it. Those marked * depend on the version at run time; the others do no harm with any version, and
 * are always in place. The versions are those where it was seen or read in the source; there may be
 * more.
 *
 * until 7.79 *: No CURLOPT_PREREQFUNCTION: when a request was sent is not known, and its
 * transfer's beginning is taken for it (sent_at). connections_spec: "whose connection goes
 * silent".
 *
 * until 7.86 *: A write to a TLS connection that is closed raises SIGPIPE, which would end the
 * process: it is held back meanwhile (hold_sigpipe). connections_spec: "has been idle until the
 * server closed".
 *
 * until 7.86 *: No CURLOPT_QUICK_EXIT: the end of a client waits for a slow name server.
 *
 * until 8.5 *: A header field of more than 100 KB, and more than 64 MB unpacked for a paused
 * transfer, are called a lack of memory, later CURLE_TOO_LARGE: is_beyond_libcurl. faults_spec: "a
 * header field without end", "a gzip bomb in a gzip bomb".
 *
 * until 8.5: After a transfer that has failed, a handle refuses CURLOPT_BUFFERSIZE: only those of
 * good transfers are used again (give_handle_back). faults_spec: the good call after each fault.
 *
 * 7.88 to 8.1 *: A socket that never became a connection is closed without the close callback. Its
 * number stays registered, and comes to mean another file; if a child has inherited the socket, it
 * may be ready for ever. So until it is a connection, a copy is registered (REACTOR_COPY), and for
 * no longer than libcurl waits for it (watch_socket). connections_spec: "is not harmed by a
 * connection that never came about", "waits without turning".
 *
 * 7.88 to 8.1: The next address may be tried on a socket that gets the number of the one before,
 * and then the socket callback is not called again: reactor_replace. reactor_spec: "waits on a new
 * file of a number as it did on the one before".
 *
 * from 8.6 *: With CURLOPT_PIPEWAIT, transfers wait for the end of the first one of their host if
 * its connection turns out to take one at a time: release_followers. connections_spec: "makes
 * connections for all calls over TLS".
 *
 * all: A timer that is due within a millisecond of another is lost (7.88), and an error of HTTP/2
 * is told when a far timer is run (8.14): all transfers are looked at from time to time,
 * whatever the timer (FIRST_CHECK_SECONDS). With 8.5 some errors of HTTP/2 are never told:
 * these calls end at their deadlines. faults_spec: "silent in the TLS handshake", "a frame beyond
 * all sizes", "a header that cannot be unpacked".
 *
 * all: A TLS connection that the server has ended with close_notify is taken for alive; a request
 * is tried on six of these, and fails: begin_again. connections_spec: "has been idle until the
 * server closed".
 *
 * until 8.13: GOAWAY just as a request is sent fails the request: begin_again. faults_spec: "with
 * GOAWAY just as the second request arrives".
 *
 * from 8.0: A connection of HTTP/2 that has failed may be used again: end_failed_connection.
 * faults_spec: the good call after "SETTINGS without end".
 *
 * all: A request over a kept connection is sent again over another if the connection ends without
 * a byte, even a POST that was read: request.fresh_connection. connections_spec: "sends a refresh
 * token once".
 *
 * all: CURLOPT_FORBID_REUSE does not keep others off a connection of HTTP/2 that is in use:
 * judge_connection. connections_spec: "whose connection goes silent".
 *
 * all: What was read is unpacked to its end, into memory if the transfer is paused:
 * RECEIVE_BUFFER_BYTES. connections_spec: "lets others have their turn within 50 ms".
 *
 * 7.88: After a lack of memory connections stay that are never used again, and for which others
 * wait: all is begun anew (renew_after_out_of_memory). memory_spec.
 *
 * 7.88: The decoders of brotli and zstd do not pass on that the write callback has ended the
 * transfer: end_transfer asks the transfer. faults_spec: "a gzip bomb".
 *
 * 7.88: A connection that is closed between two header fields makes a response without a body:
 * end_transfer. faults_spec: "closed between two header fields".
 *
 * 7.88: Which decoders there are is worked out anew for each request, and a URL given as a text is
 * parsed twice: accepted_encodings, set_url. Only time is lost.
 */
struct quirks quirks_of(unsigned version) {
  return (struct quirks){
      .raises_sigpipe = version < 0x075700,
      .has_prereq = version >= 0x075000,
      .has_quick_exit = version >= 0x075700,
      .skips_close_callback = version >= 0x075800 && version < 0x080200,
      .pipewait_waits_for_transfer = version >= 0x080600,
      .reports_size_as_memory = version < 0x080600,
  };
}
