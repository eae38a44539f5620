/* The access token of a client (RFC 6749): fetches it when it is needed, keeps it until it is about
 * to expire, and makes one request for all calls that wait. How a request is built is in
 * token_request.h.
 *
 *   lifetime    token_source_new, token_source_free
 *   token       token_source_token, token_source_expires_at, token_source_scope,
 *               token_source_reject, token_source_note_accepted
 *   secrets     token_source_lacks_key_password, token_source_key_password,
 *               token_source_reject_key_password, token_source_wants_credentials,
 *               token_source_awaits_credentials, token_source_awaited_credential,
 *               token_source_ask_credentials, token_source_release_credentials,
 *               token_source_is_asked, token_source_next_credential,
 *               token_source_give_credential, token_source_fail_credentials
 *   fetch       token_source_join, token_source_leave, token_source_run, token_source_due,
 *               token_source_is_ready, token_source_is_fetching, token_source_events,
 *               token_source_end_error_body, token_source_url
 *   store       token_source_import, token_source_is_dirty, token_source_take_dirty,
 *               token_source_store_check_due, token_source_begin_store_check
 *   redaction   token_source_find_secret, token_source_is_secret_number, token_source_redact
 *
 * A token is requested with a refresh token (section 6) if there is one. If there is none, or the
 * server refuses it, with username and password (section 4.3) if they are given, else with the
 * client's credentials (section 4.4). */
#ifndef PODERO_TOKEN_SOURCE_H
#define PODERO_TOKEN_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buffer.h"
#include "core/event.h"
#include "core/failure.h"
#include "core/http/transport.h"
#include "core/oauth2/credentials.h"
#include "core/oauth2/token_request.h"
#include "core/proxy_secrets.h"

/* Borrowed, with all it points to; must outlive the token source. */
struct token_source_options {
  struct token_endpoint endpoints[TOKEN_ENDPOINTS_MAX]; /* see struct token_request_options */
  unsigned endpoint_count;
  const char *client_id, *client_secret; /* NULL if not given, as are the next four */
  const char *username, *password;
  const char *access_token; /* given by the user: it is used as it is, and none is requested */
  const char *scope;        /* to be requested */
  unsigned supplied;        /* set of the credentials that are not given here, but supplied by the
                             * binding each time that they are needed; see core/oauth2/credentials.h */
  enum token_encoding encoding;
  enum client_auth client_auth;
  double timeout;     /* of a fetch, in seconds */
  bool loopback;      /* the endpoints are plain http to this machine, see url_check */
  bool record_events; /* see token_source_events */
  const struct proxy_secrets *proxy_secrets; /* for redaction */
};

struct token_source;

/* One fetch of a token. It sends more than one request if the first is sent to the wrong endpoint,
 * the server does not accept its encoding or client authentication, or refuses a refresh token. If
 * all are refused, the failure reports the first response that judged the credentials; else the
 * first with an error code of RFC 6749, section 5.2; else the first. Everyone who has joined it can
 * read here how it ended, even after another fetch has begun. Read only. */
struct token_fetch {
  bool ended;
  bool abandoned;    /* it has ended without success or refusal: its time was up, it was not
                      * needed any more, or the client was closed; `failure` is set then, too */
  bool unchanged;    /* the access token that was supplied is one that the API has refused */
  unsigned requests; /* sent so far */
  unsigned earlier;  /* requests, before this fetch, of the call that has started it */
  const char *url;   /* of the last request, or of the one that `failure` reports; borrowed from
                      * the options */
  struct failure failure;   /* once it has ended: why there is no token, or FAILURE_NONE */
  const char *not_supplied; /* the credential for which it was abandoned, static; or NULL */
  unsigned references;      /* private */
};

/* ---- Lifetime -------------------------------------------------------------------------------- */

/* Returns a new token source, to be freed with token_source_free before the transport. Returns NULL
 * on out of memory. */
struct token_source *token_source_new(const struct token_source_options *options,
                                      struct transport *transport);

/* Abandons a fetch that is in progress, and overwrites and frees all tokens. A struct token_fetch
 * stays valid until everyone who has joined it has left. NULL does nothing. */
void token_source_free(struct token_source *token_source);

/* ---- Token ----------------------------------------------------------------------------------- */

/* Returns the access token to use, or NULL if one has to be fetched. `just_fetched`: the caller has
 * waited for this token, and gets it even if it is about to expire. Valid until the next call of a
 * function here that does not take a const token source. `*generation` is set in any case: it
 * changes with each new token, see token_source_reject. */
const char *token_source_token(const struct token_source *token_source, bool just_fetched,
                               unsigned *generation);

/* Sets `*when` to the time at which the current token expires, in seconds since 1970. Returns false
 * if there is no token, or the server did not say when it expires. */
bool token_source_expires_at(const struct token_source *token_source, double *when);

/* Returns the scope of the current token: as the server has said, else as it was requested (RFC
 * 6749, section 5.1). NULL if neither is known. Valid as long as the token. */
const char *token_source_scope(const struct token_source *token_source);

/* Drops the token of this generation, which the API has refused. If another token has replaced it,
 * that one is kept. Returns false if no other token can be had, because the user has given the
 * token. */
bool token_source_reject(struct token_source *token_source, unsigned generation);

/* To be called when the API has accepted the token of this generation. If it refuses the first use
 * of a token that was issued for a refresh token, the next token is asked for with the first grant.
 */
void token_source_note_accepted(struct token_source *token_source, unsigned generation);

/* ---- Fetch ----------------------------------------------------------------------------------- */

/* Joins the fetch that is in progress, or starts one. `earlier`: how many requests of the caller
 * have brought no token before. A new one may have ended with a failure already. To be left with
 * token_source_leave, exactly once; the fetch may be freed then. Returns NULL on out of memory. */
struct token_fetch *token_source_join(struct token_source *token_source, unsigned earlier);

/* Leaves a fetch, for this reason, or FAILURE_NONE. A fetch that has not ended goes on without the
 * caller, so that later calls find its token. It is abandoned only if the client is being closed
 * (FAILURE_CLOSED), or if the caller has run out of time (FAILURE_TIMEOUT), nobody else has joined,
 * and the time of the fetch is up within 0.1 s: else a call that has started a fetch with the same
 * timeout would leave it behind for a moment. */
void token_source_leave(struct token_source *token_source, struct token_fetch *fetch,
                        enum failure_kind reason);

/* For a caller that has run out of time: if leaving the fetch would abandon it, but the token
 * endpoint has answered with an error whose body is still arriving, the body is not waited for any
 * more, and token_source_run processes the response. */
void token_source_end_error_body(struct token_source *token_source,
                                 const struct token_fetch *fetch);

/* Processes the response of the fetch that is in progress if it has arrived, and abandons the fetch
 * if its time is up. Never waits. To be called after the reactor has run. Returns true if it has
 * made progress. */
bool token_source_run(struct token_source *token_source);

/* Returns when the time of the fetch that is in progress is up, in monotonic seconds. Returns
 * INFINITY if there is none. */
double token_source_due(const struct token_source *token_source);

/* Whether this fetch, which the caller has joined, has ended, or token_source_run would make
 * progress with it. */
bool token_source_is_ready(const struct token_source *token_source,
                           const struct token_fetch *fetch);

/* Whether a fetch is in progress. */
bool token_source_is_fetching(const struct token_source *token_source);

/* Returns the URL of the request that is in progress, or else of the next one. Borrowed from the
 * options. */
const char *token_source_url(const struct token_source *token_source);

/* Returns the queue of the token requests that have ended, for event_move. The token source owns
 * it. It stays empty unless options.record_events is set. */
struct event_queue *token_source_events(struct token_source *token_source);

/* ---- Secrets that the binding supplies ------------------------------------------------------- */

/* A fetch that needs a credential of options.supplied waits until the binding has supplied it:
 * somebody asks with token_source_ask_credentials, and answers each token_source_next_credential
 * with token_source_give_credential or token_source_fail_credentials. All credentials that the
 * requests of a fetch need are supplied once. If the server refuses them, they are supplied once
 * more; if one has changed, another request is sent, else the fetch ends with the refusal.
 *
 * An access token is supplied to a fetch that sends no request: for the first call, and after
 * token_source_reject. The password of tls.key is supplied once, to a fetch of its own before
 * anything is sent, and again after token_source_reject_key_password.
 *
 * The time that the binding takes counts as the fetch's. Values are checked by credential_check. */

/* Returns whether the password of tls.key has yet to be supplied. Until then there is no token, and
 * the next fetch is for that password alone. */
bool token_source_lacks_key_password(const struct token_source *token_source);

/* Returns the password of tls.key, as it was supplied last; NULL if it was not. Valid until the
 * next one is supplied. */
const char *token_source_key_password(const struct token_source *token_source);

/* Says that the private key could not be used: its password is to be supplied again. */
void token_source_reject_key_password(struct token_source *token_source);

/* Whether a fetch waits for credentials for which nobody has been asked. */
bool token_source_wants_credentials(const struct token_source *token_source);

/* Whether this fetch waits for credentials for which somebody has been asked. */
bool token_source_awaits_credentials(const struct token_source *token_source,
                                     const struct token_fetch *fetch);

/* Returns the name of the credential for which this fetch waits, or was abandoned: a static string,
 * or NULL if there is none. */
const char *token_source_awaited_credential(const struct token_source *token_source,
                                            const struct token_fetch *fetch);

/* Returns a ticket for the functions below, or 0 if no credentials are wanted. The caller is to
 * supply them. It comes too late once the fetch has ended, or if the client is closed. */
unsigned token_source_ask_credentials(struct token_source *token_source);

/* For whoever holds the ticket and supplies nothing more: somebody else may be asked. */
void token_source_release_credentials(struct token_source *token_source, unsigned ticket);

/* Whether the holder of the ticket is still to supply something. */
bool token_source_is_asked(const struct token_source *token_source, unsigned ticket);

/* Sets `*which` to the credential to be supplied next. Returns false if there is none. */
bool token_source_next_credential(const struct token_source *token_source, unsigned ticket,
                                  enum credential *which);

/* Supplies the credential that token_source_next_credential has named, with a copy of `text`.
 * `label`: where it is from, for the message if it cannot be used. The fetch goes on once it has
 * all that it needs, and fails with FAILURE_AUTH if this one cannot be used. Does nothing if
 * it is too late. */
void token_source_give_credential(struct token_source *token_source, unsigned ticket,
                                  const char *text, const char *label);

/* Makes the fetch fail with this kind and message, in which secrets are redacted. Does
 * nothing if it is too late. */
void token_source_fail_credentials(struct token_source *token_source, unsigned ticket,
                                   enum failure_kind kind, const char *message);

/* ---- Store: tokens shared with other clients ------------------------------------------------- */

/* A token as it is stored. Strings are borrowed, and NULL if missing. Times are in seconds since
 * 1970, INFINITY if not known. */
struct stored_token {
  const char *access_token, *refresh_token;
  double renew_at, expires_at;
  struct auth_style_names style; /* how it was requested */
};

/* Imports a token from the store, with copies of its strings. Nothing is imported if the access
 * token is missing or has characters that a header field cannot have, if one of the two tokens is
 * longer than 64 KB, or if out of memory. Otherwise:
 *
 * The refresh token is imported unless the server has refused it, or it was replaced by the current
 * one; also if the access token is not. The access token is not imported if it is due for renewal,
 * or if the API has refused it and no server has issued it again since.
 *
 * The auth style is imported as by token_requester_import_style, unless a fetch goes on. A refresh
 * token belongs to the endpoint that the style names, or else to the first one.
 *
 * Returns true if there is an access token to use now, this one or one that was there already. If
 * it is this one, a fetch that is in progress is abandoned. */
bool token_source_import(struct token_source *token_source, const struct stored_token *token);

/* Whether there is a token that was fetched here and has not been taken for the store yet. */
bool token_source_is_dirty(const struct token_source *token_source);

/* Sets `*out` to that token, and marks it as taken. Its strings are valid as long as those of
 * token_source_token. Returns false, and leaves `*out` alone, if there is none. */
bool token_source_take_dirty(struct token_source *token_source, struct stored_token *out);

/* During a fetch, another client may store a token. Returns when the store should be checked next,
 * in monotonic seconds: 0.5 s after the fetch was started or the last check was announced. Returns
 * INFINITY if no fetch is in progress. */
double token_source_store_check_due(const struct token_source *token_source);

/* Announces that the store is being checked now: the next check is due in 0.5 s. */
void token_source_begin_store_check(struct token_source *token_source);

/* ---- Redaction ------------------------------------------------------------------------------- */

/* Finds the first secret in `size` bytes of text: credentials, secrets of proxy URLs, the current
 * tokens, the last eight credentials that were supplied before, and the last four tokens that were
 * replaced or refused. Sets `*start` and `*length` and returns true if there is one. See
 * redact_find. */
bool token_source_find_secret(const struct token_source *token_source, const char *text,
                              size_t size, size_t *start, size_t *length);

/* Whether one of these secrets is a number with this value. See redact_is_number. */
bool token_source_is_secret_number(const struct token_source *token_source, double number);

/* Appends the text to `out`, with "***" in place of each secret. Sets out->failed if out of memory.
 */
void token_source_redact(const struct token_source *token_source, const char *text,
                         struct buffer *out);

#endif
