/* Finds secrets in what others sent, however a server may have written them. */
#ifndef PODERO_REDACT_H
#define PODERO_REDACT_H

#include <stdbool.h>
#include <stddef.h>

/* What stands in a secret's place. */
#define REDACTED "***"

/* How many secrets can be looked for at once. */
#define REDACT_SECRETS_MAX 64

/* Finds the first of `count` secrets (at most REDACT_SECRETS_MAX; NULL: none; shorter than four
 * bytes: not looked for, since they would be found everywhere) in the text: as it is, percent- or
 * form-encoded, or with the escapes of a JSON string, and whatever became of letters beyond ASCII.
 * Of a long secret, its first 64 bytes are enough. Of occurrences that overlap, as those of a
 * secret that repeats itself can, the first is found, and what follows it is looked at by itself.
 * Takes time linear in `size`, whatever text and secrets are; so do calls until the text's end is
 * reached, each of which goes on where the occurrence before ends. */
bool redact_find(const char *const *secrets, size_t count, const char *text, size_t size,
                 size_t *start, size_t *length);

/* Whether one of `count` secrets is a number, and this is its value: a server that takes digits for
 * a number may write it in another way. Secrets of more than 64 bytes are not considered. */
bool redact_is_number(const char *const *secrets, size_t count, double number);

#endif
