/* Interprets a response without a token: how much it says about the credentials, and a message for
 * a person that says what to change.
 *
 *   token_refusal_rank, token_refusal_is_temporary, token_refusal_is_foreign,
 *   token_refusal_is_about_credentials, token_refusal_describe */
#ifndef PODERO_TOKEN_REFUSAL_H
#define PODERO_TOKEN_REFUSAL_H

#include <stdbool.h>

#include "core/buffer.h"
#include "core/failure.h"
#include "core/http/transfer.h"
#include "core/oauth2/token_response.h"

/* How much a response says about the credentials, in descending order. */
enum refusal_rank {
  REFUSAL_OF_CREDENTIALS, /* it judges them: status 401, or an error code that does */
  REFUSAL_WITH_CODE,      /* another error code in the form of RFC 6749, section 5.2 */
  REFUSAL_OTHER
};

/* What messages tell about the request. Borrowed. */
struct refused_request {
  const char *url;
  bool is_password; /* password grant, or a refresh instead of it; else client credentials */
  bool has_client;  /* client_id and client_secret are given */
  bool fixed_encoding, fixed_client_auth; /* options that are not "auto" */
  /* Appends the text to `out` without the secrets in it, as token_source_redact does. */
  void (*redact)(const void *context, const char *text, struct buffer *out);
  const void *context;
};

/* Returns how much the response says about the credentials. */
enum refusal_rank token_refusal_rank(const struct response *response,
                                     const struct token_response *token_response);

/* Returns whether the same request may succeed later. */
bool token_refusal_is_temporary(const struct response *response,
                                const struct token_response *token_response);

/* Returns whether the response is not from a token endpoint: it is an HTML page or a text, or says
 * that the server does not have this path or method. */
bool token_refusal_is_foreign(const struct response *response,
                              const struct token_response *token_response);

/* Returns whether the server may have refused the request because of client_secret or password. */
bool token_refusal_is_about_credentials(const struct response *response,
                                        const struct token_response *token_response);

/* Sets the kind and message of `failure`. The message is about the response alone, as in "HTTP 401
 * (check client_id and client_secret ...)"; the caller puts the URL before it. It quotes the title
 * of an HTML page or the first line of a text, and names the target of a redirect. Secrets in these
 * are redacted, but they may contain control characters, which the binding replaces. What a JSON
 * body says is left to the binding. */
void token_refusal_describe(const struct refused_request *request, const struct response *response,
                            const struct token_response *token_response, struct failure *failure);

#endif
