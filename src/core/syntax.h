/* What texts from outside must look like before they become part of a request. */
#ifndef PODERO_SYNTAX_H
#define PODERO_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

/* A UUID in its text form (RFC 9562, 4), in either case; OpenAPI's `format: uuid`. */
bool syntax_is_uuid(const char *text, size_t size);

/* An absolute path that can be put behind a host as it is: "/" and segments of RFC 3986's pchar
 * without "@"; no empty query or fragment, no "." or ".." segment, escapes well formed. */
bool syntax_is_path(const char *text, size_t size);

/* A field value without control characters (RFC 9110, 5.5), "" included. */
bool syntax_is_field_value(const char *text, size_t size);

/* A token that fits into an Authorization field: visible ASCII, at least one character (RFC 6749,
 * A.12 allows spaces too; RFC 6750, 2.1 does not). */
bool syntax_is_bearer_token(const char *text);

/* A host name or address, without brackets, that stays on this machine: localhost, 127.0.0.0/8 and
 * ::1. Names below localhost (RFC 6761, 6.3) are left to name servers by some resolvers. */
bool syntax_is_loopback(const char *host);

/* Overwrites control characters, and bytes that are no part of valid UTF-8, with "?": what others
 * sent can go into a line for a person. */
void syntax_make_printable(char *text);

#endif
