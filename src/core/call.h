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
#include "core/wakeup.h"

struct call;

/* How a call hands over a 2xx body. */
enum call_mode {
  CALL_TOKEN_ONLY, /* there is none: only a token is wanted */
  CALL_STREAMED,   /* in pieces, as they arrive: `begin`, `feed`, `end` */
  CALL_WHOLE,      /* the same, but the transfer keeps them all and never pauses: for what is small
                      enough. A paused one unpacks what it has into libcurl's memory. */
  CALL_PULLED      /* the binding takes the bytes itself: `begin`, call_bytes, call_take, `end` */
};

/* The binding's part, called from call_step alone and handed its `environment`; which of it, the
 * mode says. It must neither raise nor wait. A `failure` is filled where the body is not what the
 * call wants. */
struct call_binding {
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
 * has ended; then call_result tells how. `drive`: runs the agent's sockets and timers as well; else
 * somebody else does (agent_drive), and only what this call has begun is sent. */
bool call_step(struct call *call, void *environment, double seconds, bool drive);

/* A call succeeds only by being stepped to its end; whatever else ends it makes it fail. */
enum call_result { CALL_RUNNING, CALL_SUCCEEDED, CALL_FAILED };
enum call_result call_result(const struct call *call);

/* Why the call failed, or NULL if it has not. */
const struct failure *call_failure(const struct call *call);

/* Fails the call because the client was closed. Does nothing if the call has ended. */
void call_end_closed(struct call *call);

/* Fails the call if its time is up at `now` (monotonic): for calls that nobody steps any more. */
void call_end_overdue(struct call *call, double now);

/* When the call's time is up (monotonic). INFINITY if it is not waiting: it has ended, was not
 * stepped yet, its response has arrived whole, or (CALL_PULLED) the binding is using a piece of the
 * body. */
double call_deadline(const struct call *call);

/* Whether there is something to do for call_step; then, how many bytes wait to be read. */
bool call_is_ready(const struct call *call, size_t *bytes);

/* Seconds until the end of a pause or the deadline, whatever arrives. */
double call_due(const struct call *call);

/* Blocks until there is something to do for the call or the agent, or for a minute. */
void call_block(struct call *call);

/* The wakeup to signal when the call has something to do, or NULL. The call holds a reference until
 * it ends. call_signal signals it if that is so now. */
void call_set_wakeup(struct call *call, struct wakeup *wakeup);
void call_signal(struct call *call);

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

/* The call wants a token: it waits for one of call_adopt, call_fetch and call_postpone. */
bool call_wants_token(const struct call *call);

/* Takes over a token from the store, see oauth2_adopt. When it serves, the call goes on. */
enum adoption call_adopt(struct call *call, const struct stored_token *token);

/* Has the token requested, or waits along with others for one that is. */
void call_fetch(struct call *call);

/* Wants a token again after `seconds`. */
void call_postpone(struct call *call, double seconds);

/* The next exchange that on_event is to be told of, to be freed with event_free; or NULL. */
struct event *call_take_event(struct call *call);

/* For the agent's list. */
struct call_link {
  struct call *next, *previous;
};
struct call_link *call_link(struct call *call);

#endif
