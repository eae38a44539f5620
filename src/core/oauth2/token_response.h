/* What the token endpoint answers (RFC 6749, 5.1 and 5.2), from JSON into memory that is wiped: no
 * token becomes a Lua string unless the user asks for one. */
#ifndef PODERO_TOKEN_RESPONSE_H
#define PODERO_TOKEN_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty answer. Texts are owned, and NULL if absent, empty or not a string. */
struct token_response {
  bool is_object; /* the body is a JSON object; else nothing but cut_short is set */
  bool cut_short; /* the body is the beginning of a JSON value */
  char *access_token, *token_type, *refresh_token, *scope;
  char *error;
  bool has_expires_in;
  double expires_in; /* seconds, as the server said: any number but NaN */
};

/* Fills `out`, which must be all zero, from a body of `size` bytes. False when memory is short. In
 * either case `out` is to be cleared by its owner. */
bool token_response_read(const char *body, size_t size, struct token_response *out);

/* Wipes and frees the texts, and leaves an empty answer. */
void token_response_clear(struct token_response *answer);

#endif
