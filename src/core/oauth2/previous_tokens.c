#include "core/oauth2/previous_tokens.h"

#include <stddef.h>
#include <string.h>

#include "core/buffer.h"

/* Returns the index of this token; PREVIOUS_TOKENS if it is not remembered. */
static size_t find(const struct previous_tokens *tokens, const char *text) {
  size_t i = 0;
  while (i < PREVIOUS_TOKENS &&
         (tokens->entries[i].text == NULL || strcmp(tokens->entries[i].text, text) != 0))
    i++;
  return i;
}

static void clear_entry(struct previous_token *entry) {
  secret_free(entry->text);
  *entry = (struct previous_token){0};
}

void previous_tokens_add(struct previous_tokens *tokens, char *text, unsigned generation,
                         bool refused) {
  if (text == NULL) return;
  size_t i = find(tokens, text);
  if (i < PREVIOUS_TOKENS)
    refused = refused || tokens->entries[i].refused;
  else
    i = tokens->next++ % PREVIOUS_TOKENS;
  clear_entry(&tokens->entries[i]);
  tokens->entries[i] =
      (struct previous_token){.text = text, .generation = generation, .refused = refused};
}

void previous_tokens_refuse(struct previous_tokens *tokens, unsigned generation) {
  for (size_t i = 0; i < PREVIOUS_TOKENS; i++) {
    if (tokens->entries[i].generation == generation) tokens->entries[i].refused = true;
  }
}

void previous_tokens_remove(struct previous_tokens *tokens, const char *text) {
  size_t i = find(tokens, text);
  if (i < PREVIOUS_TOKENS) clear_entry(&tokens->entries[i]);
}

void previous_tokens_clear(struct previous_tokens *tokens) {
  for (size_t i = 0; i < PREVIOUS_TOKENS; i++)
    clear_entry(&tokens->entries[i]);
}

bool previous_tokens_contain(const struct previous_tokens *tokens, const char *text) {
  return find(tokens, text) < PREVIOUS_TOKENS;
}

bool previous_tokens_was_refused(const struct previous_tokens *tokens, const char *text) {
  size_t i = find(tokens, text);
  return i < PREVIOUS_TOKENS && tokens->entries[i].refused;
}

void previous_tokens_list(const struct previous_tokens *tokens, const char *out[PREVIOUS_TOKENS]) {
  for (size_t i = 0; i < PREVIOUS_TOKENS; i++)
    out[i] = tokens->entries[i].text;
}
