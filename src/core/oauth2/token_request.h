/* Builds the requests to the token endpoint: the grant (RFC 6749, sections 4.3, 4.4 and 6), the
 * encoding of the body, and client authentication (section 2.3). Detects which endpoint grants the
 * token, and what it accepts.
 *
 *   lifetime    token_requester_init, token_requester_set_secrets, token_requester_clear
 *   requests    token_request_build, token_requester_url
 *   auth style  token_requester_change_style, token_requester_confirm_style,
 *               token_requester_reset_style, token_requester_use_endpoint
 *   store       token_requester_name_style, token_requester_import_style,
 *               token_requester_find_endpoint
 *
 * A detection sends at most five requests. After each response it changes one thing, if the
 * response gives a reason for it: where the client's credentials are, the encoding or, last, the
 * endpoint, where it starts over. */
#ifndef PODERO_TOKEN_REQUEST_H
#define PODERO_TOKEN_REQUEST_H

#include <stdbool.h>

#include "core/buffer.h"
#include "core/http/transfer.h"
#include "core/oauth2/token_response.h"

/* How the body is encoded. AUTO is a form, as in RFC 6749, then JSON if the server does not read
 * the form; or JSON first, see struct token_endpoint. */
enum token_encoding { ENCODING_AUTO, ENCODING_FORM, ENCODING_JSON };

/* Where client_id and client_secret are sent: in the Authorization field (HTTP Basic), or in the
 * body (RFC 6749, section 2.3.1). AUTO is Basic, then the body if the server refuses Basic. */
enum client_auth { CLIENT_AUTH_AUTO, CLIENT_AUTH_BASIC, CLIENT_AUTH_BODY };

/* A token endpoint. Strings are borrowed. */
struct token_endpoint {
  const char *url;  /* absolute; was accepted by url_check */
  const char *name; /* its name in token stores; NULL if the user has given the URL */
  bool json_first;  /* ENCODING_AUTO tries JSON, then the form if the server does not read JSON */
};

#define TOKEN_ENDPOINTS_MAX 2

/* Strings are borrowed and must outlive the requester. All except the endpoints' URLs can be
 * NULL. */
struct token_request_options {
  struct token_endpoint endpoints[TOKEN_ENDPOINTS_MAX]; /* in the order in which they are tried */
  unsigned endpoint_count;                              /* at least 1 */
  const char *client_id, *client_secret;
  const char *username, *password; /* if set, the password grant is used; else client credentials */
  const char *scope;               /* to be requested */
  enum token_encoding encoding;
  enum client_auth client_auth;
  bool loopback; /* the endpoints are plain http to this machine, see url_check */
};

/* Where the next request is sent, how it authenticates and how it is encoded. */
struct auth_style {
  unsigned endpoint; /* index in the options */
  bool json;         /* the body is JSON, else a form */
  bool in_body;      /* client_id and client_secret are in the body, else in Authorization */
};

struct token_requester {
  struct token_request_options options;
  struct auth_style style;
  bool confirmed;           /* the endpoint has accepted a request in this style */
  bool changed_encoding;    /* both encodings have been tried at this endpoint */
  unsigned changes;         /* how often the style was changed since it was reset or confirmed */
  struct auth_style failed; /* a style that was confirmed and has stopped working */
  bool has_failed;          /* `failed` is set */
  char *basic; /* value of the Authorization field, secret; NULL without a client secret */
};

/* Initializes a requester with a copy of `options`. Returns false if out of memory. Clear the
 * requester with token_requester_clear in either case. */
bool token_requester_init(struct token_requester *requester,
                          const struct token_request_options *options);

/* Sets the client secret and the password, in place of those in the options. They are borrowed and
 * must outlive the requester; either can be NULL. If this changes `basic`, sets `*old_basic` to its
 * old value, which the caller then owns; otherwise to NULL. Returns false, and changes nothing, if
 * out of memory. */
bool token_requester_set_secrets(struct token_requester *requester, const char *client_secret,
                                 const char *password, char **old_basic);

/* Overwrites and frees what the requester owns. */
void token_requester_clear(struct token_requester *requester);

/* ---- requests ---- */

/* Builds a token request: with the refresh token if it is not NULL, else with the password grant if
 * there is a username, else with client credentials. Sets `*request`, except for max_response_bytes
 * and deadline, and appends its body to `body`, which must be empty. The request borrows from
 * `body` and from the requester. Returns false if out of memory. Free `body` in either case. */
bool token_request_build(const struct token_requester *requester, const char *refresh_token,
                         struct buffer *body, struct request *request);

/* Returns the URL that the next request goes to. Borrowed from the options. */
const char *token_requester_url(const struct token_requester *requester);

/* ---- auth style ---- */

/* Changes the auth style if the response (with what token_response_read made of its body) says that
 * the server did not accept the current one, or that the endpoint is not the right one. Returns
 * true if the request should be sent again. Returns false if the response has another reason, or if
 * there is nothing left to try.
 *
 * A confirmed style that no longer works is forgotten, and the detection starts over; but it is
 * kept if the credentials were refused. `is_refresh` says that the request had a refresh token.
 * Such a request is not sent to another endpoint, and keeps a confirmed style. */
bool token_requester_change_style(struct token_requester *requester,
                                  const struct response *response,
                                  const struct token_response *token_response, bool is_refresh);

/* Confirms the current auth style: it has worked, and is kept until it no longer does. */
void token_requester_confirm_style(struct token_requester *requester);

/* Returns to the initial auth style of the options. If the current style was confirmed, it is
 * marked as one that has stopped working. */
void token_requester_reset_style(struct token_requester *requester);

/* Makes the endpoint with this index the one for the next request. If it is not the current one,
 * the style becomes the initial one for that endpoint. */
void token_requester_use_endpoint(struct token_requester *requester, unsigned endpoint);

/* ---- store ---- */

/* An auth style as it is named in token stores. Strings are borrowed. */
struct auth_style_names {
  const char *endpoint;    /* name of a struct token_endpoint, or NULL */
  const char *encoding;    /* "form" or "json"; NULL: there is no style */
  const char *client_auth; /* "basic" or "body" */
};

/* Returns the names of the current style, static or borrowed from the options. They are NULL if
 * there is nothing to store: if the style is not confirmed, or is the initial one. */
struct auth_style_names token_requester_name_style(const struct token_requester *requester);

/* Makes this style the current one, and confirmed. Does nothing if there is a confirmed style
 * already, if a name is not known or contradicts the options, or if the style has stopped working
 * before. */
void token_requester_import_style(struct token_requester *requester,
                                  const struct auth_style_names *names);

/* Returns the index of the endpoint with this name; 0 if it is NULL or not known. */
unsigned token_requester_find_endpoint(const struct token_requester *requester, const char *name);

#endif
