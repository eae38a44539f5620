/* Reads a response of the token endpoint (RFC 6749, sections 5.1 and 5.2). Its strings are kept in
 * memory that is overwritten before it is freed: a token becomes a Lua string only if the user asks
 * for it.
 *
 *   token_response_read, token_response_has_error, token_response_is_too_long,
 *   token_response_fault, token_response_clear */
#ifndef PODERO_TOKEN_RESPONSE_H
#define PODERO_TOKEN_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

/* Initialize with zeros, release with token_response_clear. Strings are owned; NULL if the member
 * is missing, empty or not a string. */
struct token_response {
  bool is_object; /* the body is a JSON object; if not, only cut_short can be set */
  bool cut_short; /* the body is an incomplete JSON value */
  char *access_token, *token_type, *refresh_token, *scope;
  char *error; /* an error code of section 5.2 */
  bool has_expires_in;
  double expires_in; /* seconds, as the server sent it: any number except NaN */
};

/* Sets `out`, which must be zero, from a body of `size` bytes. A body that is not JSON is not a
 * failure, see is_object. Returns false if out of memory. Clear `out` in either case. */
bool token_response_read(const char *body, size_t size, struct token_response *out);

/* Returns whether the server has sent this error code, such as "invalid_grant". */
bool token_response_has_error(const struct token_response *response, const char *code);

/* Returns whether an access token or refresh token is longer than 64 KB. Such a token is not
 * accepted. NULL is not too long. */
bool token_response_is_too_long(const char *token);

/* Returns why no token can be taken from the body of a successful response (section 5.1), as a
 * static string that begins with "the response", "the access_token" or the like. Returns NULL if
 * one can. */
const char *token_response_fault(const struct token_response *response);

/* Overwrites and frees the strings, and makes the response zero. */
void token_response_clear(struct token_response *response);

#endif
