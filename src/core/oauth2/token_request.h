/* Builds the requests to the token endpoint: the grant (RFC 6749, sections 4.3, 4.4 and 6), the
 * encoding of the body, and client authentication (section 2.3). Detects what the server accepts.
 *
 *   lifetime    token_requester_init, token_requester_set_secrets, token_requester_clear
 *   requests    token_request_build
 *   auth style  token_requester_change_style, token_requester_confirm_style,
 *               token_requester_reset_style */
#ifndef PODERO_TOKEN_REQUEST_H
#define PODERO_TOKEN_REQUEST_H

#include <stdbool.h>

#include "core/buffer.h"
#include "core/http/transfer.h"
#include "core/oauth2/token_response.h"

/* How the body is encoded. AUTO is the form of RFC 6749, then JSON if the server does not read the
 * form. */
enum token_encoding { ENCODING_AUTO, ENCODING_FORM, ENCODING_JSON };

/* Where client_id and client_secret are sent: in the Authorization field (HTTP Basic), or in the
 * body (RFC 6749, section 2.3.1). AUTO is Basic, then the body if the server refuses Basic. */
enum client_auth { CLIENT_AUTH_AUTO, CLIENT_AUTH_BASIC, CLIENT_AUTH_BODY };

/* Strings are borrowed and must outlive the requester. All but token_url can be NULL. */
struct token_request_options {
  const char *token_url;
  const char *client_id, *client_secret;
  const char *username, *password; /* if set, for the password grant; else client credentials */
  const char *scope;               /* to be requested */
  enum token_encoding encoding;
  enum client_auth client_auth;
  bool loopback; /* token_url is plain http to this machine, see url_check */
};

/* How the next request authenticates and is encoded. */
struct auth_style {
  bool json;      /* the body is JSON, else a form */
  bool in_body;   /* client_id and client_secret are in the body, else in Authorization */
  bool confirmed; /* the server has accepted a request in this style */
};

struct token_requester {
  struct token_request_options options;
  struct auth_style style;
  char *basic; /* value of the Authorization field, secret; NULL without a client secret */
};

/* Initializes a requester with a copy of `options`. Returns false if out of memory. To be cleared
 * with token_requester_clear in either case. */
bool token_requester_init(struct token_requester *requester,
                          const struct token_request_options *options);

/* Sets secrets that may be missing from the options: strings that are borrowed and must outlive the
 * requester, or NULL. Sets `*old_basic` to the value of `basic` until now, if that has changed;
 * then it belongs to the caller. Sets it to NULL otherwise. Returns false, and changes nothing, if
 * out of memory. */
bool token_requester_set_secrets(struct token_requester *requester, const char *client_secret,
                                 const char *password, char **old_basic);

/* Overwrites and frees what the requester owns. */
void token_requester_clear(struct token_requester *requester);

/* Builds a token request: with the refresh token if that is not NULL, else with the password grant
 * if there is a username, else with client credentials. Sets `*request`, except for
 * max_response_bytes and deadline, and appends its body to `body`. The request borrows from `body`
 * and from the requester. Returns false if out of memory; `body` is to be freed in either case. */
bool token_request_build(const struct token_requester *requester, const char *refresh_token,
                         struct buffer *body, struct request *request);

/* Changes the auth style if the response (and what token_response_read made of its body) says that
 * the server did not accept the current one. Returns true if the request is to be sent again.
 * Returns false if the response has another reason, the style is confirmed, or there is nothing
 * left to try: each of the two changes is made once at most until the style is reset. */
bool token_requester_change_style(struct token_requester *requester,
                                  const struct response *response,
                                  const struct token_response *token_response);

/* Keeps the current auth style until token_requester_reset_style: it is known to work. */
void token_requester_confirm_style(struct token_requester *requester);

/* Returns to the auth style that the options begin with. */
void token_requester_reset_style(struct token_requester *requester);

#endif
