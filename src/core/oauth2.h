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
#include "core/proxy_secrets.h"
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
  bool local; /* as transport_check_url says of token_url */
  bool record_events;
  const struct proxy_secrets *proxy_secrets; /* to be found by oauth2_find_secret, too */
};

struct oauth2;

/* A new source of tokens, or NULL when memory is short. */
struct oauth2 *oauth2_new(const struct oauth2_options *options, struct transport *transport);

/* Ends a request under way, wipes the tokens and frees. NULL is fine. */
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

/* Waits for a token along with others; the first to come starts the request. Returns a ticket for
 * that request, whose outcome is the waiter's, whatever others ask for after it. Each join is
 * undone by one leave; when nobody waits any more, a request under way is given up, and its event
 * tells `reason`. */
unsigned oauth2_join(struct oauth2 *oauth2);
void oauth2_leave(struct oauth2 *oauth2, enum failure_kind reason);

/* Pushes a request for a token forward. True when that of the ticket has ended: then oauth2_failure
 * says why no token came, or is FAILURE_NONE, and oauth2_requests how many requests it took. */
bool oauth2_step(struct oauth2 *oauth2, unsigned ticket);

/* Whether oauth2_step would find something to do, or the end. */
bool oauth2_is_ready(const struct oauth2 *oauth2, unsigned ticket);

const struct failure *oauth2_failure(const struct oauth2 *oauth2);
unsigned oauth2_requests(const struct oauth2 *oauth2);

/* Whether a token is being requested. */
bool oauth2_is_fetching(const struct oauth2 *oauth2);

/* ---- tokens that are shared with others ---- */

/* What a store holds. Texts are borrowed, and NULL where absent; times are seconds since 1970, and
 * INFINITY where not known. */
struct stored_token {
  const char *access_token, *refresh_token;
  double renew_at, expires_at;
};

enum adoption {
  ADOPTION_TAKEN,   /* there is a token to use now: this one, or a better one */
  ADOPTION_UNFIT,   /* no token, or one that is to be renewed; its refresh token may serve */
  ADOPTION_REFUSED, /* the API has refused it, or it was replaced: to be removed from the store */
  ADOPTION_NO_MEMORY
};

/* Takes over a token that somebody else has fetched. */
enum adoption oauth2_adopt(struct oauth2 *oauth2, const struct stored_token *token);

/* Whether there is a token that was fetched here, and is not in the store yet; and that token,
 * once. Valid until the next call of a function here. */
bool oauth2_has_unstored(const struct oauth2 *oauth2);
bool oauth2_take_unstored(struct oauth2 *oauth2, struct stored_token *out);

/* The API has refused the token of this generation. True when another can be had. */
bool oauth2_reject(struct oauth2 *oauth2, unsigned generation);

/* Exchanges of the token endpoint that nobody has collected yet. */
struct event_queue *oauth2_events(struct oauth2 *oauth2);

/* Finds the first text that must not be seen by others: secrets, and tokens that are, or were until
 * lately, in use. See redact_find. */
bool oauth2_find_secret(const struct oauth2 *oauth2, const char *text, size_t size, size_t *start,
                        size_t *length);

/* Whether one of these texts is a number, and this is its value. See redact_is_number. */
bool oauth2_is_secret_number(const struct oauth2 *oauth2, double number);

/* Appends the text to `out` without these. Where memory is short, `out` has failed. */
void oauth2_redact(const struct oauth2 *oauth2, const char *text, struct buffer *out);

#endif
