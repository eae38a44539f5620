/* What texts from outside must look like before they become part of a request. */
#ifndef PODERO_SYNTAX_H
#define PODERO_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

/* A UUID in its text form (RFC 9562, 4), in either case; OpenAPI's `format: uuid`. */
bool syntax_is_uuid(const char *text, size_t size);

/* An absolute path that can be put behind a host as it is, and that every server reads alike: "/"
 * and segments of RFC 3986's pchar without "@", escapes well formed. As it stands, and after being
 * percent-decoded once, twice or three times, it has the same segments, and none of them is "." or
 * "..", even if parameters (";...") were dropped, or empty, but for the last one; or has a "\" or a
 * control character, or is no UTF-8 (overlong forms of "." and "/" are none). */
bool syntax_is_path(const char *text, size_t size);

/* Where the path of an absolute http or https URL begins: at its first "/" or "?" after the host
 * and port, or at its end. NULL if the text does not begin with "http://" or "https://", in any
 * case, and something before that: what follows is not looked at. */
const char *syntax_url_path(const char *url);

/* What a text on one line should not have, such as "a line feed": line ends, other control
 * characters, or a byte order mark at its beginning. `ends_only`: control characters may be inside,
 * so that only what an editor or a shell has left at either end counts. NULL if it has none. */
const char *syntax_text_fault(const char *text, bool ends_only);

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
