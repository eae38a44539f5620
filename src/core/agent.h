/* What the calls of one client share: its options, connections and token. */
#ifndef PODERO_AGENT_H
#define PODERO_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/failure.h"
#include "core/oauth2.h"
#include "core/reactor.h"
#include "core/transport.h"

/* Texts are owned by the struct, and NULL where not given. */
struct agent_options {
  char *base_url; /* without a slash at its end */
  char *token_url;
  char *client_id, *client_secret;
  char *username, *password;
  char *access_token;
  char *scope;
  enum token_encoding token_encoding;
  enum client_auth client_auth;
  double timeout, connect_timeout; /* seconds */
  unsigned max_retries;
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
void agent_options_clear(struct agent_options *options);

struct agent;
struct call;

/* A new agent that owns `options`, which is emptied; it starts with one reference. NULL, with
 * `failure` filled, where an option is no URL, no token or no field value, or memory is short. */
struct agent *agent_new(struct agent_options *options, struct failure *failure);

/* Ends every call with FAILURE_CLOSED, and frees connections and tokens. While a call is being
 * pushed forward (in a finalizer, say) this is put off until that has returned. */
void agent_close(struct agent *agent);

/* The client and each of its calls hold one reference. The last one frees the agent. */
void agent_retain(struct agent *agent);
void agent_release(struct agent *agent);

bool agent_is_closed(const struct agent *agent);
const struct agent_options *agent_options(const struct agent *agent);

/* As transport_check_url says of base_url. */
bool agent_is_local(const struct agent *agent);

/* NULL once closed. */
struct reactor *agent_reactor(struct agent *agent);
struct transport *agent_transport(struct agent *agent);
struct oauth2 *agent_oauth2(struct agent *agent);

/* Another transport with the same options, owned by the caller; NULL when memory is short. */
struct transport *agent_new_transport(struct agent *agent);

/* Runs the sockets and timers of all calls, without waiting, and stops at about the time `until`
 * (monotonic); fails the calls whose time is up. True if bytes have arrived, or an exchange has
 * ended. The binding is not called. Only between agent_enter and agent_leave. */
bool agent_run(struct agent *agent, double until);

/* The same for about `seconds`, from outside of any call. */
bool agent_drive(struct agent *agent, double seconds);

/* Seconds until agent_run has something to do, whatever arrives; INFINITY if no call is waiting for
 * anything. */
double agent_due(struct agent *agent);

/* Around whatever may call back into the binding. False: a call is being pushed forward already,
 * and the binding has come back from its own callback. */
bool agent_enter(struct agent *agent);
void agent_leave(struct agent *agent);

/* Whether no descriptor was left for a connection since this was asked for the last time. */
bool agent_lacks_descriptors(struct agent *agent);

/* How many calls have not ended. */
unsigned agent_count_calls(const struct agent *agent);

/* Signals the wakeups of calls that have something to do, but for this one's. */
void agent_signal(struct agent *agent, const struct call *except);

/* A call lists itself, to be told of the closing. */
void agent_add_call(struct agent *agent, struct call *call);
void agent_remove_call(struct agent *agent, struct call *call);

#endif
