/* Tokens that were in use before. Servers may repeat them in error messages, and stores may still
 * contain them.
 *
 *   change   previous_tokens_add, previous_tokens_refuse, previous_tokens_remove,
 *            previous_tokens_clear
 *   read     previous_tokens_contain, previous_tokens_was_refused, previous_tokens_list */
#ifndef PODERO_PREVIOUS_TOKENS_H
#define PODERO_PREVIOUS_TOKENS_H

#include <stdbool.h>

/* How many tokens are remembered. */
#define PREVIOUS_TOKENS 4

/* Private. */
struct previous_token {
  char *text;          /* owned; NULL if the entry is empty */
  unsigned generation; /* of an access token; 0 for others */
  bool refused;        /* by the server, not just replaced */
};

/* Initialize with zeros, release with previous_tokens_clear. */
struct previous_tokens {
  struct previous_token entries[PREVIOUS_TOKENS];
  unsigned next; /* modulo PREVIOUS_TOKENS: the entry to overwrite */
};

/* Takes ownership of a token that is no longer in use. It replaces the oldest one if there are
 * PREVIOUS_TOKENS already. A token that is remembered already keeps its entry, and stays refused.
 * NULL does nothing. `generation` is that of an access token, and 0 for other tokens. `refused`
 * says that the server has refused the token, rather than that it was replaced. */
void previous_tokens_add(struct previous_tokens *tokens, char *text, unsigned generation,
                         bool refused);

/* Marks the access token of this generation as refused, if it is remembered. */
void previous_tokens_refuse(struct previous_tokens *tokens, unsigned generation);

/* Overwrites and frees this token, if it is remembered. */
void previous_tokens_remove(struct previous_tokens *tokens, const char *text);

/* Overwrites and frees all tokens. */
void previous_tokens_clear(struct previous_tokens *tokens);

/* Returns whether this token is remembered. */
bool previous_tokens_contain(const struct previous_tokens *tokens, const char *text);

/* Returns whether this token is remembered as refused. */
bool previous_tokens_was_refused(const struct previous_tokens *tokens, const char *text);

/* Sets the entries of `out` to the tokens, or to NULL if there are fewer. They are borrowed until
 * the next change. */
void previous_tokens_list(const struct previous_tokens *tokens, const char *out[PREVIOUS_TOKENS]);

#endif
