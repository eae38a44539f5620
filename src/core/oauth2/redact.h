/* Finds secrets in what others sent, however a server may have written them. */
#ifndef PODERO_REDACT_H
#define PODERO_REDACT_H

#include <stdbool.h>
#include <stddef.h>

/* What stands in a secret's place. */
#define REDACTED "***"

/* Finds the first of `count` secrets (NULL: none; shorter than four bytes: not looked for, since
 * they would be found everywhere) in the text: as it is, percent- or form-encoded, or with the
 * escapes of a JSON string, and whatever became of letters beyond ASCII. Of a long secret, its
 * first 64 bytes are enough. Of occurrences that overlap, as those of a secret that repeats itself
 * can, the first is found, and what follows it is looked at by itself. */
bool redact_find(const char *const *secrets, size_t count, const char *text, size_t size,
                 size_t *start, size_t *length);

#endif
