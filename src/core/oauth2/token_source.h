/* Gets the access token of a client (RFC 6749): fetches it when it is needed, keeps it until it is
 * about to expire, and makes one request for all calls that wait. token_request.h builds the
 * requests. "The binding" is the code in src/lua.
 *
 *   lifetime    token_source_new, token_source_free
 *   token       token_source_token, token_source_expires_at, token_source_scope,
 *               token_source_reject, token_source_note_accepted
 *   fetch       token_source_join, token_source_leave, token_source_run, token_source_due,
 *               token_source_is_ready, token_source_is_fetching, token_source_events,
 *               token_source_end_error_body, token_source_url
 *   secrets     token_source_lacks_key_password, token_source_key_password,
 *               token_source_reject_key_password, token_source_wants_credentials,
 *               token_source_awaits_credentials, token_source_awaited_credential,
 *               token_source_ask_credentials, token_source_release_credentials,
 *               token_source_is_asked, token_source_next_credential,
 *               token_source_give_credential, token_source_fail_credentials
 *   store       token_source_import, token_source_is_dirty, token_source_take_dirty,
 *               token_source_store_check_due, token_source_begin_store_check
 *   redaction   token_source_find_secret, token_source_is_secret_number, token_source_redact
 *
 * A token is requested with a refresh token (section 6) if there is one. If there is none, or the
 * server refuses it, the first grant is used: username and password (section 4.3) if they are
 * given, else the client's credentials (section 4.4). */
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
  struct token_request_options request;
  const char *access_token; /* given by the user: it is used, and none is requested; or NULL */
  unsigned supplied;        /* set of the credentials that are not given here, but supplied by the
                             * binding whenever they are needed; see core/oauth2/credentials.h */
  double timeout;           /* of a fetch, in seconds */
  bool record_events;       /* see token_source_events */
  const struct proxy_secrets *proxy_secrets; /* for redaction */
};

struct token_source;

/* One fetch of a token. It sends more than one request if the first goes to the wrong endpoint, or
 * if the server does not accept its encoding or client authentication, or refuses a refresh token.
 * If all are refused, the failure reports the first response that judged the credentials; else the
 * first with an error code of RFC 6749, section 5.2; else the first. Everyone who has joined the
 * fetch can read here how it ended, even after another fetch has begun. Read only. */
struct token_fetch {
  bool ended;
  bool abandoned;    /* it has ended without success or refusal, because its time was up, it was not
                      * needed any more, or the client was closed; `failure` is set, too */
  bool unchanged;    /* the access token that was supplied is one that the API refused before */
  unsigned requests; /* sent so far */
  unsigned earlier;  /* failed token requests, before this fetch, of the call that started it */
  const char *url;   /* of the last request, or of the one that `failure` reports; borrowed from the
                      * options */
  struct failure failure;   /* once it has ended: why there is no token, or FAILURE_NONE */
  const char *not_supplied; /* the credential whose lack made it end; static, or NULL */
  unsigned references;      /* private */
};

/* ---- lifetime ---- */

/* Returns a new token source. Free it with token_source_free, before the transport. Returns NULL if
 * out of memory. */
struct token_source *token_source_new(const struct token_source_options *options,
                                      struct transport *transport);

/* Abandons a fetch that is in progress, and overwrites and frees all tokens. A struct token_fetch
 * stays valid until everyone who has joined it has left. NULL does nothing. */
void token_source_free(struct token_source *token_source);

/* ---- token ---- */

/* Returns the access token to use, or NULL if one must be fetched. `just_fetched` says that the
 * caller has waited for this token, and gets it even if it is about to expire. The token is valid
 * until the next call of a function here that does not take a const token source. Always sets
 * `*generation`, which changes with each new token; see token_source_reject. */
const char *token_source_token(const struct token_source *token_source, bool just_fetched,
                               unsigned *generation);

/* Sets `*when` to the time at which the current token expires, in seconds since 1970. Returns false
 * if there is no token, or the server did not say when it expires. */
bool token_source_expires_at(const struct token_source *token_source, double *when);

/* Returns the scope of the current token: what the server has said, else what was requested (RFC
 * 6749, section 5.1). NULL if neither is known. Valid as long as the token. */
const char *token_source_scope(const struct token_source *token_source);

/* Drops the token of this generation, because the API has refused it. If another token has replaced
 * it, that one is kept. Returns false if there can be no other token, because the user has given
 * this one. */
bool token_source_reject(struct token_source *token_source, unsigned generation);

/* Call this when the API has accepted the token of this generation. If the API refuses a token that
 * came from a refresh before it has accepted it once, token_source_reject drops the refresh token,
 * too, and the next request uses the first grant. */
void token_source_note_accepted(struct token_source *token_source, unsigned generation);

/* ---- fetch ---- */

/* Joins the fetch that is in progress, or starts one, which may have failed already. `earlier` is
 * how many token requests of the caller have failed before. The caller must leave the fetch exactly
 * once, with token_source_leave, which may free it. Returns NULL if out of memory. */
struct token_fetch *token_source_join(struct token_source *token_source, unsigned earlier);

/* Leaves a fetch. `reason` is why the caller gives up, or FAILURE_NONE. A fetch that has not ended
 * continues without the caller, so that later calls find its token. It is abandoned only in two
 * cases: the client is being closed (FAILURE_CLOSED); or the caller has run out of time
 * (FAILURE_TIMEOUT), nobody else has joined, and the fetch times out within 0.1 s. The second case
 * is for the call that started the fetch, which has the same timeout: the fetch would otherwise
 * outlive it by a moment. */
void token_source_leave(struct token_source *token_source, struct token_fetch *fetch,
                        enum failure_kind reason);

/* For a caller that has run out of time, before it leaves. If leaving would abandon the fetch, but
 * the header of an error from the token endpoint has arrived, its body is not waited for any more,
 * and token_source_run processes the response. */
void token_source_end_error_body(struct token_source *token_source,
                                 const struct token_fetch *fetch);

/* Processes the response of the fetch that is in progress if it has arrived, and abandons the fetch
 * if its time is up. Never waits. Call it after the reactor has run. Returns whether it made
 * progress. */
bool token_source_run(struct token_source *token_source);

/* Returns when the fetch that is in progress times out, in monotonic seconds; INFINITY if there is
 * none. */
double token_source_due(const struct token_source *token_source);

/* Returns whether this fetch, which the caller has joined, has ended, or token_source_run would
 * make progress with it. */
bool token_source_is_ready(const struct token_source *token_source,
                           const struct token_fetch *fetch);

/* Returns whether a fetch is in progress. */
bool token_source_is_fetching(const struct token_source *token_source);

/* Returns the URL of the request that is in progress, or else of the next one. Borrowed from the
 * options. */
const char *token_source_url(const struct token_source *token_source);

/* Returns the queue with the events of token requests that have ended, for event_move. The token
 * source owns it. It stays empty unless options.record_events is set. */
struct event_queue *token_source_events(struct token_source *token_source);

/* ---- secrets that the binding supplies ---- */

/* A fetch that needs a credential of options.supplied waits until the binding has supplied it:
 * somebody calls token_source_ask_credentials and then, for each token_source_next_credential,
 * token_source_give_credential or token_source_fail_credentials. All credentials that the requests
 * of a fetch need are supplied once. If the server refuses them, they are supplied once more; if
 * one of them has changed, another request is sent, else the fetch ends with the refusal.
 *
 * If the access token itself is supplied, its fetch sends no request. There is one for the first
 * call, and one after each token_source_reject. The password of tls.key is supplied once, to a
 * fetch of its own before anything is sent, and again after token_source_reject_key_password.
 *
 * The time that the binding takes counts as part of the fetch. Values are checked by
 * credential_check. */

/* Returns whether the password of tls.key has yet to be supplied. Until then there is no token, and
 * the next fetch is for that password alone. */
bool token_source_lacks_key_password(const struct token_source *token_source);

/* Returns the password of tls.key that was supplied last, or NULL if none was. Valid until the next
 * one is supplied. */
const char *token_source_key_password(const struct token_source *token_source);

/* Call this when the private key could not be used: its password must be supplied again. */
void token_source_reject_key_password(struct token_source *token_source);

/* Returns whether a fetch waits for credentials that nobody has been asked for yet. */
bool token_source_wants_credentials(const struct token_source *token_source);

/* Returns whether this fetch waits for credentials that somebody has been asked for. */
bool token_source_awaits_credentials(const struct token_source *token_source,
                                     const struct token_fetch *fetch);

/* Returns the name of the credential that somebody has been asked for and this fetch waits for, or
 * whose lack made it end. A static string, or NULL if there is none. */
const char *token_source_awaited_credential(const struct token_source *token_source,
                                            const struct token_fetch *fetch);

/* Asks the caller for the credentials that are wanted. Returns a ticket for the functions below, or
 * 0 if none are wanted or somebody has been asked already. The ticket becomes invalid when the
 * fetch ends; the functions below then do nothing. */
unsigned token_source_ask_credentials(struct token_source *token_source);

/* Gives the ticket back, for a holder who will supply nothing more: somebody else can then be
 * asked. */
void token_source_release_credentials(struct token_source *token_source, unsigned ticket);

/* Returns whether the ticket is valid, so that its holder must still supply something. */
bool token_source_is_asked(const struct token_source *token_source, unsigned ticket);

/* Sets `*which` to the credential to supply next. Returns false if there is none. */
bool token_source_next_credential(const struct token_source *token_source, unsigned ticket,
                                  enum credential *which);

/* Supplies the credential that token_source_next_credential has named, with a copy of `text`.
 * `label` says where it comes from, for the message if it cannot be used: then the fetch fails with
 * FAILURE_AUTH. Otherwise the fetch continues once it has all that it needs. */
void token_source_give_credential(struct token_source *token_source, unsigned ticket,
                                  const char *text, const char *label);

/* Makes the fetch fail with this kind and message, in which secrets are redacted. */
void token_source_fail_credentials(struct token_source *token_source, unsigned ticket,
                                   enum failure_kind kind, const char *message);

/* ---- store: tokens shared with other clients ---- */

/* A token as it is stored. Strings are borrowed, and NULL if missing. Times are in seconds since
 * 1970, or INFINITY if not known. */
struct stored_token {
  const char *access_token, *refresh_token;
  double renew_at, expires_at;
  struct auth_style_names style; /* how it was requested */
};

/* Imports a token from the store, with copies of its strings. Imports nothing if the access token
 * is missing or has characters that are not allowed in a header field, if one of the two tokens is
 * longer than 64 KB, or if out of memory. Otherwise:
 *
 * The refresh token is imported unless the server has refused it, or the current one has replaced
 * it. The access token is imported unless it is due for renewal, or the API has refused it and no
 * server has issued it again since.
 *
 * The auth style is imported as by token_requester_import_style, unless a fetch is in progress and
 * continues. A refresh token belongs to the endpoint that the style names, or else to the first
 * one.
 *
 * Returns true if there is an access token to use now, this one or one that was there before. If it
 * is this one, a fetch that is in progress is abandoned. */
bool token_source_import(struct token_source *token_source, const struct stored_token *token);

/* Returns whether there is a token that was fetched here and has not been taken for the store
 * yet. */
bool token_source_is_dirty(const struct token_source *token_source);

/* Sets `*out` to that token, and marks it as taken. The refresh token is left out if it is of
 * another endpoint than the style: whoever imports it would send it to the wrong one. The strings
 * are valid as long as those of token_source_token. Returns false, and leaves `*out` unchanged, if
 * there is none. */
bool token_source_take_dirty(struct token_source *token_source, struct stored_token *out);

/* Returns when the store should be checked next, in monotonic seconds, because another client may
 * store a token during a fetch: 0.5 s after the fetch was started or token_source_begin_store_check
 * was called. INFINITY if no fetch is in progress. */
double token_source_store_check_due(const struct token_source *token_source);

/* Call this when the store is being checked: the next check is due 0.5 s later. */
void token_source_begin_store_check(struct token_source *token_source);

/* ---- redaction ---- */

/* Finds the first secret in `size` bytes of text: credentials, secrets of proxy URLs, the current
 * tokens, the last eight credentials that were replaced, and the last four tokens that were
 * replaced or refused. If there is one, sets `*start` and `*length`, in bytes, and returns true.
 * See redact_find. */
bool token_source_find_secret(const struct token_source *token_source, const char *text,
                              size_t size, size_t *start, size_t *length);

/* Returns whether one of these secrets is a number with this value. See redact_is_number. */
bool token_source_is_secret_number(const struct token_source *token_source, double number);

/* Appends the text to `out`, with each secret replaced by "***". Sets out->failed if out of
 * memory. */
void token_source_redact(const struct token_source *token_source, const char *text,
                         struct buffer *out);

#endif
