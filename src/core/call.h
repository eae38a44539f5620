/* One API call, as a state machine: it gets a token, sends the request and receives the response;
 * then it ends, or retries after a pause, or retries with a new token. The caller steps it until it
 * ends; call_step never blocks. "The binding" is the code in src/lua that makes calls and uses
 * their results.
 *
 *   create   call_new, call_free
 *   run      call_step, call_is_ready, call_due, call_block, call_set_wakeup,
 *            call_wants_credentials, call_awaits_credentials, call_refuse_credentials
 *   result   call_result, call_failure, call_status, call_header, call_body, call_requested_url,
 *            call_received, call_take_event
 *   pull     call_bytes, call_take, call_commit, call_accept_body, call_reject_body
 *   store    call_wants_token, call_import, call_request_token, call_wait_for_lock
 *
 * Like the session, to be used by one thread at a time. */
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

/* How the binding gets the body of a 2xx response. */
enum call_mode {
  CALL_TOKEN_ONLY, /* not at all: only a token is wanted, and no request is sent to the API */
  CALL_STREAMED,   /* in pieces, as they arrive: `begin`, `feed`, `end` */
  CALL_WHOLE,      /* the same, but the transfer keeps the whole body and never pauses: for small
                    * bodies. While a transfer is paused, libcurl keeps what it has decoded */
  CALL_PULLED      /* the binding takes the bytes itself: `begin`, call_bytes, call_take, `end` */
};

/* Functions of the binding. Only call_step calls them, with its argument `environment`; which of
 * them depends on the mode. They must neither raise a Lua error nor wait. They set `failure` if the
 * body is not acceptable or if out of memory: then the call fails, or is retried if the failure is
 * retryable. */
struct call_binding {
  /* The request of an attempt was started, and parts of its response may have arrived. What an
   * earlier attempt has left must be discarded. */
  void (*begin)(void *environment, struct failure *failure);
  /* Handles the next bytes of the body, which are valid until it returns. Returns whether more are
   * wanted; if not, the transfer is stopped, and the call succeeds. */
  bool (*feed)(void *environment, const char *bytes, size_t size, struct failure *failure);
  /* The body is complete. Not called if `feed` has returned false. */
  void (*end)(void *environment, struct failure *failure);
};

/* The options of a call. Borrowed until call_new returns, except for `binding` and `method`, which
 * must outlive the call. */
struct call_options {
  const struct call_binding *binding;
  enum call_mode mode;
  const char *path;   /* appended to base_url as it is; see syntax_is_path */
  const char *query;  /* encoded, without "?"; NULL or "" for none */
  const char *method; /* HTTP method, static; NULL for GET. See call_new */
  /* call_new takes the bytes of the next two and leaves the buffers empty, unless it returns NULL
   * or the mode is CALL_TOKEN_ONLY. */
  struct buffer *fields;    /* of the request's header, see struct request; NULL for none */
  struct buffer *body;      /* of the request; its `data` is not NULL; NULL for none */
  const char *content_type; /* of that body */
  double timeout;           /* seconds for the whole call; see call_commit */
  unsigned max_retries;
  uint64_t max_response_bytes;
  bool uncoded; /* as in struct request */
};

/* Returns a new call, to be freed with call_free. It holds a reference to the session. Returns NULL
 * if out of memory or if the session is closed. The timeout begins with the first call_step.
 *
 * POST and PATCH requests use a connection of their own. They are sent again only if the server
 * cannot have received them (RFC 9110, section 9.2.2), after a 429, after a 503 with Retry-After,
 * and once with a new token after a 401. All other failures of theirs are not retryable. */
struct call *call_new(struct session *session, const struct call_options *options);

/* Cancels the call if it has not ended, and frees it. NULL does nothing. */
void call_free(struct call *call);

/* Runs the call until it would have to wait, or for about `seconds`. Returns whether it has ended;
 * see call_result. If `run_session` is true, this also runs the sockets and timers of the whole
 * session. Otherwise the caller must run these with session_run_for, and call_step only runs timers
 * that have expired, which starts the call's own request.
 *
 * A call whose deadline has passed fails with FAILURE_TIMEOUT, unless its response has arrived and
 * can be read within another 0.2 seconds. A call that is stepped while the session is in use, by a
 * finalizer for example, fails with FAILURE_ARGUMENT. */
bool call_step(struct call *call, void *environment, double seconds, bool run_session);

/* A call succeeds in call_step or call_accept_body. If anything else ends it, it has failed. */
enum call_result { CALL_RUNNING, CALL_SUCCEEDED, CALL_FAILED };
enum call_result call_result(const struct call *call);

/* Returns why the call failed, or NULL if it has not failed. Valid until call_free. */
const struct failure *call_failure(const struct call *call);

/* Return the status and the header (see struct response) of the response if the call has succeeded
 * and its mode is CALL_WHOLE; otherwise 0 and an empty buffer. Valid until call_free. */
long call_status(const struct call *call);
const struct buffer *call_header(const struct call *call);

/* For `end` in CALL_WHOLE: returns the body, valid until `end` returns, and sets `*size`. Can be
 * NULL if `*size` is 0. */
const char *call_body(const struct call *call, size_t *size);

/* Returns the URL that was requested last, of the API or of the token endpoint, even if there was
 * no response. Returns NULL if nothing was requested, or if the last request was for a token and
 * the client is closed. Valid until the call is freed or the client is closed. */
const char *call_requested_url(const struct call *call);

/* Returns whether call_step has something to do now. Sets `*bytes` to how many bytes of the body
 * are waiting to be read. */
bool call_is_ready(const struct call *call, size_t *bytes);

/* Returns the seconds until call_step has something to do even if nothing arrives: until the end of
 * a pause, the next check of the store, or the deadline. Never negative. */
double call_due(const struct call *call);

/* Blocks the thread until the call or the session has something to do, but at most for a minute.
 * Returns at once if the call has ended. */
void call_block(struct call *call);

/* Sets the wakeup to signal when the call has something to do; NULL for none. The call holds a
 * reference to the wakeup until it ends. */
void call_set_wakeup(struct call *call, struct wakeup *wakeup);

/* Returns whether the call waits for credentials that the binding must supply, and nobody has been
 * asked for them yet; see core/oauth2/token_source.h. */
bool call_wants_credentials(const struct call *call);

/* Returns whether the call waits for credentials that somebody has been asked for. */
bool call_awaits_credentials(const struct call *call);

/* Fails the call with FAILURE_ARGUMENT. For a call that awaits credentials, and was made by the
 * very function that supplies them: it would wait for itself. */
void call_refuse_credentials(struct call *call);

/* Returns how many bytes of the body, after decoding, have arrived in this attempt. */
uint64_t call_received(const struct call *call);

/* Returns the next event to report, or NULL. The caller frees it with event_free. */
struct event *call_take_event(struct call *call);

/* CALL_PULLED: returns the bytes that have arrived and were not taken, and sets `*size`. Returns
 * NULL if there are none. Valid until the next call of any function here for the same session. */
const char *call_bytes(const struct call *call, size_t *size);

/* CALL_PULLED: discards the first `size` of those bytes. */
void call_take(struct call *call, size_t size);

/* CALL_PULLED: says that part of the body has reached the user. From now on nothing is retried, and
 * the timeout limits only how long the binding waits for a byte: it counts from the last byte that
 * arrived, or from the first call_step after call_take, whichever is later. */
void call_commit(struct call *call);

/* CALL_PULLED: says that no more of the body is wanted. Stops the transfer; the call succeeds. */
void call_accept_body(struct call *call);

/* CALL_PULLED: rejects the body for this reason; the call takes what `failure` owns. Like any other
 * failure, it ends the call, or leads to a retry if it is retryable. */
void call_reject_body(struct call *call, struct failure *failure);

/* ---- a shared store of tokens: only if session_options.has_store is set ---- */

/* Returns whether the binding must check the store now, and then call one of call_import,
 * call_request_token and call_wait_for_lock. This is so before a token is requested, and every half
 * second during a token request. */
bool call_wants_token(const struct call *call);

/* Imports a token from the store, see token_source_import. Returns true if there is a token now,
 * and all calls that wait for one can continue; also if this call no longer waits for one. */
bool call_import(struct call *call, const struct stored_token *token);

/* Requests a token, or joins the request that is in progress. Does nothing if the call has joined
 * one already. The call fails if out of memory. */
void call_request_token(struct call *call);

/* Makes call_wants_token false for `seconds`, because another client holds the store's lock.
 * Returns false if the call has waited long enough for the lock: 5 seconds, or half of the time
 * that it had left, whichever is less. Then request the token without the lock. */
bool call_wait_for_lock(struct call *call, double seconds);

#endif
