/* What a response without a token means: how much it says about the credentials, and a message for
 * a person, with what to change. */
#ifndef PODERO_TOKEN_REFUSAL_H
#define PODERO_TOKEN_REFUSAL_H

#include <stdbool.h>

#include "core/buffer.h"
#include "core/failure.h"
#include "core/http/transfer.h"
#include "core/oauth2/token_response.h"

/* How much a response says, the most first. */
enum refusal_rank {
  REFUSAL_OF_CREDENTIALS, /* it judges the credentials: 401, or such an error code */
  REFUSAL_WITH_CODE,      /* another error code in the form of RFC 6749, section 5.2 */
  REFUSAL_OTHER
};

/* The request, as far as messages depend on it. Borrowed. */
struct refused_request {
  const char *url;
  bool is_password; /* password grant, or a refresh in its place; else client credentials */
  bool has_client;  /* client_id and client_secret are given */
  bool fixed_encoding, fixed_client_auth; /* options that are not "auto" */
  /* Appends the text to `out` without the secrets in it, as token_source_redact does. */
  void (*redact)(const void *context, const char *text, struct buffer *out);
  const void *context;
};

enum refusal_rank token_refusal_rank(const struct response *response,
                                     const struct token_response *token_response);

/* Returns whether the same request may succeed later. */
bool token_refusal_is_temporary(const struct response *response,
                                const struct token_response *token_response);

/* Returns whether the response is not a token endpoint's: an HTML page, a text, or the answer to a
 * path or method that the server does not have. */
bool token_refusal_is_foreign(const struct response *response,
                              const struct token_response *token_response);

/* Returns whether the server may have refused the request because of client_secret or password. */
bool token_refusal_is_about_credentials(const struct response *response,
                                        const struct token_response *token_response);

/* Sets kind and message of `failure`. The message is about the response alone, as in "HTTP 401
 * (check client_id and client_secret ...)": the caller puts the URL before it. The title of an HTML
 * page and the first line of a text are quoted, the target of a redirect is named; neither has
 * secrets, but they may have control characters, which the binding replaces. What JSON says is left
 * to the binding. */
void token_refusal_describe(const struct refused_request *request, const struct response *response,
                            const struct token_response *token_response, struct failure *failure);

#endif
