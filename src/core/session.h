/* What the calls of one client share: its options, connections and token. */
#ifndef PODERO_SESSION_H
#define PODERO_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/failure.h"
#include "core/http/transport.h"
#include "core/loop/reactor.h"
#include "core/oauth2/token_source.h"

/* Texts are owned by the struct, and NULL where not given. */
struct session_options {
  char *base_url; /* without a slash at its end */
  char *token_url;
  char *client_id, *client_secret;
  char *username, *password;
  char *access_token;
  char *scope;
  enum token_encoding token_encoding;
  enum client_auth client_auth;
  double timeout, connect_timeout; /* seconds */
  unsigned max_retries, max_connections;
  uint64_t max_response_bytes;
  char *ca_file, *ca_path, *cert, *key, *key_password;
  bool verify; /* the server's certificate and name */
  char *proxy;
  char *user_agent;
  bool allow_http;
  /* Which of them come from the environment, for messages: credentials do so as a whole. */
  bool base_url_from_environment, token_url_from_environment, credentials_from_environment;
  bool record_events; /* there is an on_event */
  bool has_store;     /* tokens are shared through a store of the binding's; see core/call.h */
};

/* Wipes and frees the texts. */
void session_options_clear(struct session_options *options);

struct session;

/* What a session knows of a call that has not ended: functions that the call gives it, and its
 * place in the list of calls. Embedded in the call, and the first member there. */
struct session_call {
  const struct session_call_functions *functions;
  struct session_call *next, *previous; /* the session's */
};

/* None of them may free the call or step it. */
struct session_call_functions {
  /* Fails the call because the session is being closed. */
  void (*close)(struct session_call *call);
  /* When the call's time is up (monotonic seconds); INFINITY if it is not waiting. */
  double (*deadline)(const struct session_call *call);
  /* Fails the call if its time is up at `now`: somebody may have stopped stepping it. */
  void (*end_overdue)(struct session_call *call, double now);
  /* Wakes whoever waits for the call if that has something to do. */
  void (*signal)(struct session_call *call);
};

/* A new session that owns `options`, which is emptied; it starts with one reference. NULL, with
 * `failure` filled, where an option is no URL, no token or no field value, or memory is short. */
struct session *session_new(struct session_options *options, struct failure *failure);

/* Ends every call with FAILURE_CLOSED, and frees connections and tokens. While a call is being
 * pushed forward (in a finalizer, say) this is put off until that has returned. */
void session_close(struct session *session);

/* The client and each of its calls hold one reference. The last one frees the session. */
void session_retain(struct session *session);
void session_release(struct session *session);

bool session_is_closed(const struct session *session);
const struct session_options *session_options(const struct session *session);

/* As url_check says of base_url. */
bool session_is_loopback(const struct session *session);

/* NULL once closed. */
struct reactor *session_reactor(struct session *session);
struct transport *session_transport(struct session *session);
struct token_source *session_token_source(struct session *session);

/* Another transport with the same options, owned by the caller; NULL when memory is short. */
struct transport *session_new_transport(struct session *session);

/* Runs the sockets and timers of all calls, without waiting, and stops at about the time `until`
 * (monotonic); fails the calls whose time is up. True if bytes have arrived, or a transfer has
 * ended. The binding is not called. Only between session_enter and session_leave. */
bool session_run(struct session *session, double until);

/* The same for about `seconds`, from outside of any call. */
bool session_run_alone(struct session *session, double seconds);

/* Seconds until session_run has something to do, whatever arrives; INFINITY if no call is waiting
 * for anything, and no token is being fetched. */
double session_due(struct session *session);

/* Around whatever may call back into the binding. False: a call is being pushed forward already,
 * and the binding has come back from its own callback. */
bool session_enter(struct session *session);
void session_leave(struct session *session);

/* Whether no descriptor was left for a connection since this was asked for the last time. */
bool session_lacks_descriptors(struct session *session);

/* Says so for a transport of session_new_transport's. */
void session_note_lack(struct session *session);

/* How many calls have not ended. */
unsigned session_count_calls(const struct session *session);

/* Wakes those who wait for calls that have something to do, but for this call. */
void session_signal(struct session *session, const struct session_call *except);

/* A call is in the session's list from its beginning to its end; it is not owned. */
void session_add_call(struct session *session, struct session_call *call);
void session_remove_call(struct session *session, struct session_call *call);

#endif
