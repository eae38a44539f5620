/* One API call as a state machine that anyone may push forward and that never waits:
 * token -> request -> (pause, another attempt | renewed token) -> outcome. */
#ifndef PODERO_CALL_H
#define PODERO_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/agent.h"
#include "core/event.h"
#include "core/failure.h"
#include "core/oauth2.h"
#include "core/reactor.h"

struct call;

/* How a call hands over a 2xx body. */
enum call_mode {
  CALL_TOKEN_ONLY, /* there is none: only a token is wanted */
  CALL_WHOLE,      /* at once, at the end: `accept` */
  CALL_STREAMED,   /* in pieces, as they arrive: `begin`, `feed`, `end` */
  CALL_PULLED      /* the binding takes the bytes itself: `begin`, call_bytes, call_take, `end` */
};

/* The binding's part, called from call_step alone and handed its `environment`; which of it, the
 * mode says. It must neither raise nor wait. A `failure` is filled where the body is not what the
 * call wants. */
struct call_binding {
  void (*accept)(void *environment, const char *body, size_t size, struct failure *failure);
  /* An attempt has begun: its request is under way, bytes may have arrived, and whatever an earlier
   * attempt has left is to be forgotten. */
  void (*begin)(void *environment, struct failure *failure);
  void (*feed)(void *environment, const char *bytes, size_t size, struct failure *failure);
  void (*end)(void *environment, struct failure *failure);
};

/* Borrowed until call_new returns, `binding` apart, which must outlive the call. */
struct call_options {
  const struct call_binding *binding;
  enum call_mode mode;
  const char *path;  /* on base_url, in its final form */
  const char *query; /* encoded, without "?"; NULL or "": none */
  double timeout;    /* seconds, for the whole call; see call_commit */
  unsigned max_retries;
  uint64_t max_response_bytes;
};

/* A new call, or NULL when memory is short or the agent closed. It holds a reference to the agent.
 */
struct call *call_new(struct agent *agent, const struct call_options *options);

/* Ends the call, if it still runs, and frees it. NULL is fine. */
void call_free(struct call *call);

/* Moves on as far as possible without waiting, for about `seconds` at the most. True when the call
 * has ended; then call_failure tells how. `drive`: runs the agent's sockets and timers as well;
 * else somebody else does (agent_drive), and only what this call has begun is sent off. */
bool call_step(struct call *call, void *environment, double seconds, bool drive);

/* The failure, or NULL: the call has succeeded, or still runs. */
const struct failure *call_failure(const struct call *call);

/* Ends the call as having failed. Nothing happens where it has ended already. */
void call_end_closed(struct call *call);

/* Whether there is something to do for call_step; then, how many bytes wait to be read. */
bool call_is_ready(const struct call *call, size_t *bytes);

/* Seconds until the end of a pause or the deadline, whatever arrives. */
double call_due(const struct call *call);

/* Blocks until there is something to do for the call or the agent, or for a minute. */
void call_block(struct call *call);

/* The bell that is to be rung when the call has something to do, or NULL. The call holds a
 * reference until it ends. */
void call_set_bell(struct call *call, struct bell *bell);
void call_ring(struct call *call);

/* Bytes of the response's body that have arrived in this attempt. */
uint64_t call_received(const struct call *call);

/* CALL_PULLED: the bytes that wait to be taken, valid until the next call of a function here; and
 * to take the first `size` of them away. */
const char *call_bytes(const struct call *call, size_t *size);
void call_take(struct call *call, size_t size);

/* CALL_PULLED: part of the body was handed on. From now on nothing is retried, and the timeout
 * counts from the last byte, or from when the binding came back for more, whichever was later. */
void call_commit(struct call *call);

/* CALL_PULLED: the bytes are not what the call wants. Takes over what `failure` owns. */
void call_refuse(struct call *call, struct failure *failure);

/* ---- a store of tokens that is shared with others, where agent_options.has_store says so ---- */

/* The call wants a token from the store: it waits for one of call_adopt, call_fetch and
 * call_postpone. It does so before one is requested, and now and then while a request stays silent.
 */
bool call_wants_token(const struct call *call);

/* Imports a token from the store, see oauth2_adopt. Returns whether the call goes on, as do all
 * that wait for a token then; or it has gone on already. */
bool call_adopt(struct call *call, const struct stored_token *token);

/* Has the token requested, or waits along with others for one that is; goes on waiting, if it does.
 */
void call_fetch(struct call *call);

/* Wants a token again after `seconds`, while somebody else has the store's lock. False if the call
 * has waited for that long enough, 5 s or half of the time that it had left: the token is to be
 * requested anyway. */
bool call_postpone(struct call *call, double seconds);

/* The next exchange that on_event is to be told of, to be freed with event_free; or NULL. */
struct event *call_take_event(struct call *call);

/* For the agent's list. */
struct call_link {
  struct call *next, *previous;
};
struct call_link *call_link(struct call *call);

#endif
