/* Finds secrets in text that others have sent, such as error messages of a server, even if they are
 * encoded there.
 *
 *   redact_find, redact_is_number
 *
 * Secrets shorter than four bytes are not found: they would match everywhere. */
#ifndef PODERO_REDACT_H
#define PODERO_REDACT_H

#include <stdbool.h>
#include <stddef.h>

/* What callers write in place of a secret. */
#define REDACTED "***"

/* The maximum for `count` below. */
#define REDACT_SECRETS_MAX 64

/* Finds the first occurrence of a secret in `size` bytes of text. `secrets` has `count` entries, at
 * most REDACT_SECRETS_MAX; NULL entries are skipped. If there is an occurrence, sets `*start` and
 * `*length`, in bytes, and returns true.
 *
 * A secret is found as it is, percent-encoded (RFC 3986), form-encoded, with the escapes of a JSON
 * string (RFC 8259), or with both. If it has at least four ASCII characters, its other characters
 * may have been replaced by any non-ASCII ones, as happens if a server mistakes the character
 * encoding. The first 64 bytes of a longer secret are enough to find it. Of overlapping
 * occurrences, not all are found: search for the next one after the end of the first.
 *
 * Takes time linear in `size`, whatever the text and the secrets contain. So does a loop that finds
 * all occurrences, if each call starts where the last occurrence ends. */
bool redact_find(const char *const *secrets, size_t count, const char *text, size_t size,
                 size_t *start, size_t *length);

/* Returns whether one of `count` secrets (NULL entries are skipped) is a number with this value in
 * JSON's syntax, except that leading zeros are allowed. A server that reads a secret of digits as a
 * number may write it differently, so that redact_find does not find it. Secrets of more than 64
 * bytes are ignored. */
bool redact_is_number(const char *const *secrets, size_t count, double number);

#endif
