/* One API call as a state machine that anyone may push forward and that never waits:
 * token -> request -> (pause, another attempt | renewed token) -> outcome. */
#ifndef PODERO_CALL_H
#define PODERO_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/event.h"
#include "core/failure.h"
#include "core/loop/wakeup.h"
#include "core/oauth2/token_source.h"
#include "core/session.h"

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

/* A new call, or NULL when memory is short or the session closed. It holds a reference to the
 * session.
 */
struct call *call_new(struct session *session, const struct call_options *options);

/* Ends the call, if it still runs, and frees it. NULL is fine. */
void call_free(struct call *call);

/* Moves on as far as possible without waiting, for about `seconds` at the most. True when the call
 * has ended; then call_result tells how. `drive`: runs the session's sockets and timers as well;
 * else somebody else does (session_run_alone), and only what this call has begun is sent. */
bool call_step(struct call *call, void *environment, double seconds, bool drive);

/* A call succeeds only by being stepped to its end; whatever else ends it makes it fail. */
enum call_result { CALL_RUNNING, CALL_SUCCEEDED, CALL_FAILED };
enum call_result call_result(const struct call *call);

/* Why the call failed, or NULL if it has not. */
const struct failure *call_failure(const struct call *call);

/* The URL that was requested last, of the API or of the token endpoint, whether an answer came or
 * not. NULL if nothing was requested yet, or the client is closed. Valid until the call is freed or
 * the client closed. */
const char *call_requested_url(const struct call *call);

/* Whether there is something to do for call_step; then, how many bytes wait to be read. */
bool call_is_ready(const struct call *call, size_t *bytes);

/* Seconds until the end of a pause or the deadline, whatever arrives. */
double call_due(const struct call *call);

/* Blocks until there is something to do for the call or the session, or for a minute. */
void call_block(struct call *call);

/* The wakeup to signal when the call has something to do, or NULL. The call holds a reference until
 * it ends. */
void call_set_wakeup(struct call *call, struct wakeup *wakeup);

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

/* ---- a store of tokens that is shared with others, where session_options.has_store says so ----
 */

/* The call wants a token from the store: it waits for one of call_import, call_fetch and
 * call_postpone. It does so before one is requested, and now and then while a request stays silent.
 */
bool call_wants_token(const struct call *call);

/* Imports a token from the store, see token_source_import. Returns whether the call goes on, as do
 * all that wait for a token then; or it has gone on already. */
bool call_import(struct call *call, const struct stored_token *token);

/* Has the token requested, or waits along with others for one that is; goes on waiting, if it does.
 */
void call_fetch(struct call *call);

/* Wants a token again after `seconds`, while somebody else has the store's lock. False if the call
 * has waited for that long enough, 5 s or half of the time that it had left: the token is to be
 * requested anyway. */
bool call_postpone(struct call *call, double seconds);

/* The next transfer that on_event is to be told of, to be freed with event_free; or NULL. */
struct event *call_take_event(struct call *call);

#endif
