/* Finds secrets in text that others have sent, such as error messages of a server, in whatever
 * encoding they are repeated there.
 *
 * Secrets shorter than four bytes are not found: they would match everywhere. */
#ifndef PODERO_REDACT_H
#define PODERO_REDACT_H

#include <stdbool.h>
#include <stddef.h>

/* To be put in place of a secret. */
#define REDACTED "***"

/* The maximum for `count` below. */
#define REDACT_SECRETS_MAX 64

/* Finds the first occurrence of a secret in `size` bytes of text. `secrets` has `count` entries, at
 * most REDACT_SECRETS_MAX; those that are NULL are skipped. Sets `*start` and `*length` and returns
 * true if there is one.
 *
 * A secret is found as it is, percent-encoded (RFC 3986), form-encoded, with the escapes of a JSON
 * string (RFC 8259), or with both. If it has at least four ASCII characters, its other characters
 * may have been replaced by any that are not ASCII, as happens if a server mistakes the character
 * encoding. The first 64 bytes of a longer secret are enough to find it. Occurrences that overlap
 * are not all found: the search for the next one starts after the end of the first.
 *
 * Takes time linear in `size`, whatever text and secrets contain. So does a loop that finds all
 * occurrences, each call starting where the last occurrence ends. */
bool redact_find(const char *const *secrets, size_t count, const char *text, size_t size,
                 size_t *start, size_t *length);

/* Returns whether one of `count` secrets is a number in JSON's syntax, apart from leading zeros,
 * with this value. A server that reads a secret of digits as a number may write it differently, so
 * that redact_find does not find it. Secrets of more than 64 bytes are not considered. */
bool redact_is_number(const char *const *secrets, size_t count, double number);

#endif
