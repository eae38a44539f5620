/* The access token: where it comes from, how long it serves, and one request for it however many
 * calls wait (RFC 6749). Two grants: the resource owner's password (4.3) where a user name is
 * given, else the client's credentials (4.4); a refresh token (6) comes first where there is one.
 */
#ifndef PODERO_OAUTH2_H
#define PODERO_OAUTH2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/event.h"
#include "core/failure.h"
#include "core/transport.h"

enum token_encoding { ENCODING_AUTO, ENCODING_FORM, ENCODING_JSON };
enum client_auth { CLIENT_AUTH_AUTO, CLIENT_AUTH_BASIC, CLIENT_AUTH_BODY };

/* Borrowed; must outlive the oauth2. */
struct oauth2_options {
  const char *token_url;
  const char *client_id, *client_secret; /* either NULL where there is none */
  const char *username, *password;
  const char *access_token; /* the caller's own: no token is ever requested */
  const char *scope;        /* to ask for; NULL: none is named */
  enum token_encoding encoding;
  enum client_auth client_auth;
  double timeout; /* seconds that one fetch may take */
  bool local;     /* as transport_check_url says of token_url */
  bool record_events;
};

struct oauth2;

/* One fetch of a token: a request, or several where encodings are tried or a refresh token is
 * refused. Who waits for it holds a reference, see oauth2_join, and reads from it how it has ended,
 * whatever was fetched after it. Not to be written to from outside. */
struct token_fetch {
  bool ended;
  bool abandoned;    /* it ended without an outcome: its time was up, or it was made needless */
  unsigned requests; /* sent for it so far */
  struct failure failure; /* once ended, why no token came; FAILURE_NONE if one has */
  unsigned references;
};

/* A new source of tokens, or NULL when memory is short. */
struct oauth2 *oauth2_new(const struct oauth2_options *options, struct transport *transport);

/* Ends a fetch under way, wipes the tokens and frees. NULL is fine. */
void oauth2_free(struct oauth2 *oauth2);

/* The token to use, or NULL where one has to be fetched. `just_fetched`: the caller has waited for
 * it, so that it serves even if it expires at once. Valid until the next call of a function here.
 * `generation` tells this token from others. */
const char *oauth2_token(const struct oauth2 *oauth2, bool just_fetched, unsigned *generation);

/* When the current token expires, seconds since 1970; false where that is not known. */
bool oauth2_expires_at(const struct oauth2 *oauth2, double *when);

/* What the current token is good for, scopes with spaces between (RFC 6749, 3.3); NULL where that
 * is not known. Valid as long as the token is. */
const char *oauth2_scope(const struct oauth2 *oauth2);

/* Waits for a token along with others: returns the fetch that is under way, or starts one. NULL
 * when memory is short. Each join is undone by one leave, after which the fetch may be gone. */
struct token_fetch *oauth2_join(struct oauth2 *oauth2);

/* Stops waiting for the fetch, for this reason, or FAILURE_NONE. It goes on by itself, for those
 * who come later, until its own time is up. It ends here only if the client is being closed
 * (FAILURE_CLOSED), or if the time of its last waiter is up (FAILURE_TIMEOUT) and its own is about
 * to be: a call and the fetch that it has started end together. */
void oauth2_leave(struct oauth2 *oauth2, struct token_fetch *fetch, enum failure_kind reason);

/* Lets the fetch under way make progress, if there is one: handles an answer that has arrived, and
 * abandons the fetch when its time is up. Never waits. To be called after the reactor has run, by
 * whoever runs it. Returns whether it has made progress. */
bool oauth2_run(struct oauth2 *oauth2);

/* When the time of the fetch under way is up, monotonic seconds; INFINITY if there is none. */
double oauth2_due(const struct oauth2 *oauth2);

/* Whether the fetch has ended, or oauth2_run would make progress. */
bool oauth2_is_ready(const struct oauth2 *oauth2, const struct token_fetch *fetch);

/* Whether a token is being fetched. */
bool oauth2_is_fetching(const struct oauth2 *oauth2);

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
bool oauth2_adopt(struct oauth2 *oauth2, const struct stored_token *token);

/* While a token is being fetched, one may appear elsewhere. When to look there next, monotonic
 * seconds: 0.5 s after the fetch has begun, and then every 0.5 s, whoever looks; INFINITY if none
 * is being fetched. And to say that somebody looks now. */
double oauth2_look_due(const struct oauth2 *oauth2);
void oauth2_put_off_look(struct oauth2 *oauth2);

/* Whether there is a token that was fetched here, and is not in the store yet; and that token,
 * once. Valid until the next call of a function here. */
bool oauth2_has_unstored(const struct oauth2 *oauth2);
bool oauth2_take_unstored(struct oauth2 *oauth2, struct stored_token *out);

/* The API has refused the token of this generation, which is dropped; not one that has replaced it.
 * True when another can be had. */
bool oauth2_reject(struct oauth2 *oauth2, unsigned generation);

/* Exchanges of the token endpoint that nobody has collected yet. */
struct event_queue *oauth2_events(struct oauth2 *oauth2);

/* Finds the first text that must not be seen by others: secrets, and tokens that are, or were until
 * lately, in use. See redact_find. */
bool oauth2_find_secret(const struct oauth2 *oauth2, const char *text, size_t size, size_t *start,
                        size_t *length);

/* Appends the text to `out` without these. Where memory is short, `out` has failed. */
void oauth2_redact(const struct oauth2 *oauth2, const char *text, struct buffer *out);

#endif
