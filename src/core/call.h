/* One API call, as a state machine: get a token, send the request, receive the response, then end,
 * or pause and retry, or get a new token and retry. It never blocks: the caller steps it until
 * it ends.
 *
 *   create   call_new, call_free
 *   run      call_step, call_is_ready, call_due, call_block, call_set_wakeup,
 *            call_wants_credentials, call_awaits_credentials, call_refuse_credentials
 *   result   call_result, call_failure, call_status, call_header, call_body, call_requested_url,
 *            call_received, call_take_event
 *   pull     call_bytes, call_take, call_commit, call_accept_body, call_reject_body
 *   store    call_wants_token, call_import, call_request_token, call_wait_for_lock */
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
                      bodies. While a transfer is paused, libcurl buffers what it has decompressed. */
  CALL_PULLED      /* the binding takes the bytes itself: `begin`, call_bytes, call_take, `end` */
};

/* Functions of the binding, which only call_step calls, with its argument `environment`. The mode
 * says which of them. They must neither raise a Lua error nor wait. They fill `failure` if the body
 * is not acceptable, or on out of memory: the call then ends, or is retried if the failure
 * is retryable. */
struct call_binding {
  /* An attempt's request has been started, and parts of the response may have arrived. Whatever an
   * earlier attempt has left is to be discarded. */
  void (*begin)(void *environment, struct failure *failure);
  /* Handles the next bytes of the body, which are valid until it returns. Returns whether more are
   * wanted: if not, the transfer is stopped, and the call succeeds. */
  bool (*feed)(void *environment, const char *bytes, size_t size, struct failure *failure);
  /* The body is complete. Not called if `feed` has returned false. */
  void (*end)(void *environment, struct failure *failure);
};

/* Borrowed until call_new returns, except for `binding`, which must outlive the call. */
struct call_options {
  const struct call_binding *binding;
  enum call_mode mode;
  const char *path;   /* appended to base_url as it is; see syntax_is_path */
  const char *query;  /* encoded, without "?"; NULL or "" for none */
  const char *method; /* HTTP method, static; NULL for GET. See call_new */
  /* The next two are taken over, and empty then, unless call_new returns NULL. */
  struct buffer *fields;    /* of the request's header, see struct request; NULL for none */
  struct buffer *body;      /* of the request, with `data` not NULL; NULL for none */
  const char *content_type; /* of that body */
  double timeout;           /* seconds for the whole call; see call_commit */
  unsigned max_retries;
  uint64_t max_response_bytes;
  bool uncoded; /* as in struct request */
};

/* Returns a new call, which the caller owns; it holds a reference to the session. Returns NULL on
 * out of memory or if the session is closed. The timeout begins with the first call_step.
 *
 * Requests of the methods POST and PATCH use a separate connection, and are sent again only if
 * the server cannot have received them (RFC 9110, section 9.2.2), or after 429, after 503 with
 * Retry-After, and once with a new token after 401. Other failures of theirs are not retryable. */
struct call *call_new(struct session *session, const struct call_options *options);

/* Cancels the call if it has not ended, and frees it. NULL is fine. */
void call_free(struct call *call);

/* Runs the call without waiting, until it has to wait or for about `seconds`. Returns whether it
 * has ended; then see call_result. If `run_session` is true, this also runs the sockets and timers
 * of the whole session. Otherwise these have to be run apart from it, with session_run_for, and
 * this only sends what the call itself has started. A call whose deadline has passed fails with
 * FAILURE_TIMEOUT, unless its response has arrived and is read within 0.2 seconds more. */
bool call_step(struct call *call, void *environment, double seconds, bool run_session);

/* A call succeeds only in call_step. Whatever else ends it makes it fail. */
enum call_result { CALL_RUNNING, CALL_SUCCEEDED, CALL_FAILED };
enum call_result call_result(const struct call *call);

/* Returns why the call failed, or NULL if it has not failed. Valid until call_free. */
const struct failure *call_failure(const struct call *call);

/* Return status and header (see struct response) of the response, if the call has succeeded; 0 and
 * the empty text otherwise, or if the mode is not CALL_WHOLE. Valid until call_free. */
long call_status(const struct call *call);
const struct buffer *call_header(const struct call *call);

/* CALL_WHOLE, in `end`: returns the body, valid until `end` returns, and sets `*size`. */
const char *call_body(const struct call *call, size_t *size);

/* Returns the URL that was requested last, the API's or the token endpoint's, even if no response
 * came. Returns NULL if nothing has been requested, or if the last request was for a token and the
 * client is closed. Valid until the call is freed or the client is closed. */
const char *call_requested_url(const struct call *call);

/* Returns whether call_step has something to do now, and sets `*bytes` to how many bytes of the
 * body are waiting to be read. */
bool call_is_ready(const struct call *call, size_t *bytes);

/* Returns in how many seconds call_step has something to do even if nothing arrives: at the end of
 * a pause, when the store is to be checked, or at the deadline. Never negative. */
double call_due(const struct call *call);

/* Blocks the thread until the call or the session has something to do, for a minute at most.
 * Returns at once if the call has ended. */
void call_block(struct call *call);

/* Sets the wakeup to signal when the call has something to do; NULL for none. The call holds a
 * reference to it until it ends. */
void call_set_wakeup(struct call *call, struct wakeup *wakeup);

/* Returns whether the call waits for credentials that the binding is to supply, and for which
 * nobody has been asked; see core/oauth2/token_source.h. */
bool call_wants_credentials(const struct call *call);

/* Returns whether the call waits for credentials for which somebody has been asked. */
bool call_awaits_credentials(const struct call *call);

/* Makes a call of which call_awaits_credentials is true fail with FAILURE_ARGUMENT, because it was
 * made by the function that supplies them, and would wait for itself. */
void call_refuse_credentials(struct call *call);

/* Returns how many bytes of the body, decompressed, have arrived in this attempt. */
uint64_t call_received(const struct call *call);

/* Returns the next event to report, or NULL. The caller frees it with event_free. */
struct event *call_take_event(struct call *call);

/* CALL_PULLED: returns the bytes that have arrived and were not taken, or NULL if there are none.
 * Valid until the next call of a function of this file. */
const char *call_bytes(const struct call *call, size_t *size);

/* CALL_PULLED: discards the first `size` of those bytes. */
void call_take(struct call *call, size_t size);

/* CALL_PULLED: says that part of the body has reached the user. From now on nothing is retried, and
 * the timeout limits only how long the binding waits for a byte: it counts from the last byte that
 * arrived, or from the first call_step after call_take, whichever was later. */
void call_commit(struct call *call);

/* CALL_PULLED: says that no more of the body is wanted. The transfer is stopped, and the call
 * succeeds. */
void call_accept_body(struct call *call);

/* CALL_PULLED: rejects the body. Takes over what `failure` owns.
 * Like any other failure, it ends the call, or leads to a retry if it is retryable. */
void call_reject_body(struct call *call, struct failure *failure);

/* ---- a shared store of tokens: only if session_options.has_store is set ---- */

/* Returns whether the binding is to check the store, and then to call one of call_import,
 * call_request_token and call_wait_for_lock. That is so before a token is requested, and every half
 * second while a token request gets no answer. */
bool call_wants_token(const struct call *call);

/* Imports a token from the store, see token_source_import. Returns true if there is a token now, so
 * that all calls that wait for one go on, or if this call no longer waits for one. */
bool call_import(struct call *call, const struct stored_token *token);

/* Requests a token, or joins the request that is under way. Does nothing if the call has joined one
 * already. */
void call_request_token(struct call *call);

/* Makes call_wants_token false for `seconds`, because another client holds the store's lock.
 * Returns false if the call has waited long enough for the lock: 5 seconds, or half of the time
 * that it had left. Then request the token without the lock. */
bool call_wait_for_lock(struct call *call, double seconds);

#endif
