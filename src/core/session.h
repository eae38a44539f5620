/* A session is what all calls of one client share: its options, its connections and its token.
 *
 *   options   session_options_clear
 *   create    session_new, session_close, session_retain, session_release
 *   read      session_options, session_is_closed, session_is_loopback
 *   parts     session_reactor, session_transport, session_token_source
 *   run       session_enter, session_leave, session_run, session_run_for, session_due
 *   secrets   session_wants_credentials, session_give_credential, session_fail_credentials,
 *             session_release_credentials
 *   calls     session_add_call, session_remove_call, session_count_calls, session_signal
 *   shortage  session_lacks_descriptors
 *
 * To be used by one thread at a time. "The binding" is the code in src/lua. */
#ifndef PODERO_SESSION_H
#define PODERO_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/failure.h"
#include "core/http/transport.h"
#include "core/loop/reactor.h"
#include "core/oauth2/token_source.h"

/* Podero's own base URLs. */
#define PODERO_PRODUCTION "https://app.podero.com"
#define PODERO_SANDBOX "https://sandbox-app.podero.com"

/* The token_url that means both of Podero's token endpoints. */
#define TOKEN_URL_AUTO "auto"

/* Strings are owned by the struct, and NULL if not given. */
struct session_options {
  char *base_url;  /* without a slash at its end */
  char *token_url; /* absolute, or TOKEN_URL_AUTO */
  char *client_id, *client_secret;
  char *username, *password;
  char *access_token;
  unsigned supplied; /* set of the credentials that the binding supplies from functions or files,
                      * see core/oauth2/credentials.h; the texts of these are NULL */
  char *files[CREDENTIAL_COUNT]; /* for the binding: paths of those that it supplies from files */
  char *scope;
  enum token_encoding token_encoding;
  enum client_auth client_auth;
  double timeout, connect_timeout; /* seconds */
  unsigned max_retries, max_connections;
  uint64_t max_response_bytes;
  char *ca_file, *ca_path, *cert, *key, *key_password;
  enum http_version http_version; /* of API requests; token requests use HTTP/1.1 */
  bool verify;                    /* check the server's certificate and host name */
  char *proxy;
  char *user_agent;
  bool allow_http;
  /* Which options come from environment variables, for error messages. All credentials come from
   * the same place. */
  bool base_url_from_environment, token_url_from_environment, credentials_from_environment;
  bool record_events; /* there is an on_event function, or a log */
  bool has_store;     /* the binding has a token_store; see the end of core/call.h */
};

/* Overwrites and frees the strings, and sets everything to zero. */
void session_options_clear(struct session_options *options);

struct session;

/* A call that has not ended, as the session sees it: functions that the call provides, and links in
 * the session's list of calls. The first member of struct call. */
struct session_call {
  const struct session_call_functions *functions;
  struct session_call *next, *previous; /* used by the session */
};

/* None of these functions may free or step the call. */
struct session_call_functions {
  /* Fails the call because the session is being closed. */
  void (*close)(struct session_call *call);
  /* Returns the call's deadline in monotonic seconds; INFINITY if it has none at present. */
  double (*deadline)(const struct session_call *call);
  /* Fails the call if its deadline is at or before `now`, because nobody may be stepping it. */
  void (*fail_if_overdue)(struct session_call *call, double now);
  /* Signals the call's wakeup if call_step has something to do. */
  void (*signal)(struct session_call *call);
};

/* Returns a new session with one reference. It takes the strings of `options`, which becomes zero.
 * On failure it returns NULL and sets `failure`, which must be FAILURE_NONE before: to
 * FAILURE_MEMORY if out of memory (the strings may have been taken and freed anyway), or to
 * FAILURE_ARGUMENT if libcurl is too old, or if an option is not valid: a URL (see url_check), a
 * token, or a text with control characters or a byte order mark. */
struct session *session_new(struct session_options *options, struct failure *failure);

/* Fails all calls with FAILURE_CLOSED, and frees connections, tokens and options. If the session is
 * entered, as it is when a finalizer closes it during a step, session_leave does this instead.
 * Further calls do nothing. */
void session_close(struct session *session);

/* The client and each call hold a reference. Releasing the last one closes and frees the
 * session. */
void session_retain(struct session *session);
void session_release(struct session *session);

/* Returns whether session_close has been called, even if session_leave has yet to do the work. */
bool session_is_closed(const struct session *session);

/* Returns the options, which the session owns. They are zero once it is closed. */
const struct session_options *session_options(const struct session *session);

/* Returns whether base_url is plain http to this machine, see url_check. */
bool session_is_loopback(const struct session *session);

/* Return parts of the session, which owns them; NULL once it is closed. */
struct reactor *session_reactor(struct session *session);
struct transport *session_transport(struct session *session);
struct token_source *session_token_source(struct session *session);

/* Marks the session as in use, until session_leave: neither a callback of the binding nor a
 * finalizer can step a call or close the session. Returns false if it is in use already; then do
 * not call session_leave. */
bool session_enter(struct session *session);
void session_leave(struct session *session);

/* Runs the sockets and timers of all calls and the token request, without waiting, until about
 * `until` (monotonic seconds), and fails the calls whose deadline has passed. Returns whether bytes
 * have arrived, or a transfer or token request has ended. Calls no function of the binding. Must be
 * called between session_enter and session_leave. */
bool session_run(struct session *session, double until);

/* Enters the session, does the same for about `seconds`, and leaves it. Returns false at once if
 * the session is closed or entered already. */
bool session_run_for(struct session *session, double seconds);

/* Returns the seconds until session_run must be called even if nothing arrives; INFINITY if no call
 * has a deadline and no token is being requested. Never negative. */
double session_due(struct session *session);

/* Returns whether a fetch of the token waits for credentials that nobody has been asked for yet. */
bool session_wants_credentials(const struct session *session);

/* Like the functions of the token source with these names, but may be called at any time, even if
 * the session is closed. They signal the calls that then have something to do. While the session is
 * entered, session_give_credential supplies nothing: the credentials are wanted again. */
void session_give_credential(struct session *session, unsigned ticket, const char *text,
                             const char *label);
void session_fail_credentials(struct session *session, unsigned ticket, enum failure_kind kind,
                              const char *message);
void session_release_credentials(struct session *session, unsigned ticket);

/* Adds a new call, and removes one that has ended. The session does not own calls. */
void session_add_call(struct session *session, struct session_call *call);
void session_remove_call(struct session *session, struct session_call *call);

/* Returns how many calls have not ended. */
unsigned session_count_calls(const struct session *session);

/* Signals the wakeups of all calls that have something to do, except for `except`, which may be
 * NULL. */
void session_signal(struct session *session, const struct session_call *except);

/* Returns whether, since the last call of this function, a connection has failed for lack of a file
 * descriptor, or calls have waited because of max_connections. Then a garbage collection may help:
 * calls that nobody refers to any more may hold descriptors or connections. */
bool session_lacks_descriptors(struct session *session);

#endif
