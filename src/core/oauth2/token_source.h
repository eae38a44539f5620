/* The access token: where it comes from, how long it serves, and one request for it however many
 * calls wait (RFC 6749). Two grants: the resource owner's password (4.3) where a user name is
 * given, else the client's credentials (4.4); a refresh token (6) comes first where there is one.
 */
#ifndef PODERO_TOKEN_SOURCE_H
#define PODERO_TOKEN_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/event.h"
#include "core/failure.h"
#include "core/http/transport.h"
#include "core/proxy_secrets.h"

enum token_encoding { ENCODING_AUTO, ENCODING_FORM, ENCODING_JSON };
enum client_auth { CLIENT_AUTH_AUTO, CLIENT_AUTH_BASIC, CLIENT_AUTH_BODY };

/* Borrowed; must outlive the oauth2. */
struct token_source_options {
  const char *token_url;
  const char *client_id, *client_secret; /* either NULL where there is none */
  const char *username, *password;
  const char *access_token; /* the caller's own: no token is ever requested */
  const char *scope;        /* to ask for; NULL: none is named */
  enum token_encoding encoding;
  enum client_auth client_auth;
  double timeout; /* seconds that one fetch may take */
  bool loopback;  /* as url_check says of token_url */
  bool record_events;
  const struct proxy_secrets *proxy_secrets; /* to be found by token_source_find_secret, too */
};

struct token_source;

/* One fetch of a token: a request, or several where encodings are tried or a refresh token is
 * refused. Who waits for it holds a reference, see token_source_join, and reads from it how it has
 * ended, whatever was fetched after it. Not to be written to from outside. */
struct token_fetch {
  bool ended;
  bool abandoned;    /* it ended without an outcome: its time was up, or it was made needless */
  unsigned requests; /* sent for it so far */
  struct failure failure; /* once ended, why no token came; FAILURE_NONE if one has */
  unsigned references;
};

/* A new source of tokens, or NULL when memory is short. */
struct token_source *token_source_new(const struct token_source_options *options,
                                      struct transport *transport);

/* Ends a fetch under way, wipes the tokens and frees. NULL is fine. */
void token_source_free(struct token_source *token_source);

/* The token to use, or NULL where one has to be fetched. `just_fetched`: the caller has waited for
 * it, so that it serves even if it expires at once. Valid until the next call of a function here.
 * `generation` tells this token from others. */
const char *token_source_token(const struct token_source *token_source, bool just_fetched,
                               unsigned *generation);

/* When the current token expires, seconds since 1970; false where that is not known. */
bool token_source_expires_at(const struct token_source *token_source, double *when);

/* What the current token is good for, scopes with spaces between (RFC 6749, 3.3); NULL where that
 * is not known. Valid as long as the token is. */
const char *token_source_scope(const struct token_source *token_source);

/* Waits for a token along with others: returns the fetch that is under way, or starts one. NULL
 * when memory is short. Each join is undone by one leave, after which the fetch may be gone. */
struct token_fetch *token_source_join(struct token_source *token_source);

/* Stops waiting for the fetch, for this reason, or FAILURE_NONE. It goes on by itself, for those
 * who come later, until its own time is up. It ends here only if the client is being closed
 * (FAILURE_CLOSED), or if the time of its last waiter is up (FAILURE_TIMEOUT) and its own is about
 * to be: a call and the fetch that it has started end together. */
void token_source_leave(struct token_source *token_source, struct token_fetch *fetch,
                        enum failure_kind reason);

/* Lets the fetch under way make progress, if there is one: handles an answer that has arrived, and
 * abandons the fetch when its time is up. Never waits. To be called after the reactor has run, by
 * whoever runs it. Returns whether it has made progress. */
bool token_source_run(struct token_source *token_source);

/* When the time of the fetch under way is up, monotonic seconds; INFINITY if there is none. */
double token_source_due(const struct token_source *token_source);

/* Whether the fetch has ended, or token_source_run would make progress. */
bool token_source_is_ready(const struct token_source *token_source,
                           const struct token_fetch *fetch);

/* Whether a token is being fetched. */
bool token_source_is_fetching(const struct token_source *token_source);

/* ---- tokens that are shared with others ---- */

/* What a store holds. Texts are borrowed, and NULL where absent; times are seconds since 1970, and
 * INFINITY where not known. */
struct stored_token {
  const char *access_token, *refresh_token;
  double renew_at, expires_at;
};

/* Imports a token that somebody else has fetched, which may be one that was used here before.
 * Returns whether there is a token to use now, this one or a better one; a fetch under way is
 * needless then, and abandoned. Not taken is an access token that is to be renewed, or that the API
 * has refused here, unless a server has handed it out once more since. A refresh token may serve
 * even so; not one that was refused, or that was replaced by the present one. If memory is short,
 * the token is left alone. */
bool token_source_import(struct token_source *token_source, const struct stored_token *token);

/* While a token is being fetched, one may appear elsewhere. When to look there next, monotonic
 * seconds: 0.5 s after the fetch has begun, and then every 0.5 s, whoever looks; INFINITY if none
 * is being fetched. And to say that somebody looks now. */
double token_source_look_due(const struct token_source *token_source);
void token_source_postpone_look(struct token_source *token_source);

/* Whether there is a token that was fetched here, and is not in the store yet; and that token,
 * once. Valid until the next call of a function here. */
bool token_source_is_dirty(const struct token_source *token_source);
bool token_source_take_dirty(struct token_source *token_source, struct stored_token *out);

/* The API has refused the token of this generation, which is dropped; not one that has replaced it.
 * True when another can be had. */
bool token_source_reject(struct token_source *token_source, unsigned generation);

/* Transfers of the token endpoint that nobody has collected yet. */
struct event_queue *token_source_events(struct token_source *token_source);

/* Finds the first text that must not be seen by others: secrets, and tokens that are, or were until
 * lately, in use. See redact_find. */
bool token_source_find_secret(const struct token_source *token_source, const char *text,
                              size_t size, size_t *start, size_t *length);

/* Whether one of these texts is a number, and this is its value. See redact_is_number. */
bool token_source_is_secret_number(const struct token_source *token_source, double number);

/* Appends the text to `out` without these. Where memory is short, `out` has failed. */
void token_source_redact(const struct token_source *token_source, const char *text,
                         struct buffer *out);

#endif
