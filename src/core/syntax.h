/* Checks of text that comes from outside, before it becomes part of a request or a message. Nothing
 * here allocates memory. Text ends with a NUL unless a size is given. */
#ifndef PODERO_SYNTAX_H
#define PODERO_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

/* Returns whether the text is a UUID (RFC 9562, section 4; OpenAPI's `format: uuid`), in upper or
 * lower case. */
bool syntax_is_uuid(const char *text, size_t size);

/* Returns whether the text is an absolute path that can follow a host as it is, and that means the
 * same to every server and proxy. Such a path
 *   - begins with "/" and consists of "/" and of pchar (RFC 3986, section 3.3) without "@";
 *   - has no segment that is "." or "..", with or without parameters (";..."), and no empty one
 *     except for the last;
 *   - contains no "\" and no control character, and is valid UTF-8.
 * The last two are true, and the segments the same, also after the path has been percent-decoded
 * once, twice or three times, as proxies and servers may do. */
bool syntax_is_path(const char *text, size_t size);

/* Returns where the path of an absolute URL begins: at the first "/" or "?" after host and port, or
 * at the end of the text. Returns NULL if the text does not begin with "http://" or "https://", in
 * upper or lower case, or if no host follows. The rest of the URL is not checked. */
const char *syntax_url_path(const char *url);

/* Returns the name of the first thing in the text that a value on one line should not contain, such
 * as "a line feed": a control character, or a byte order mark (of UTF-8 or UTF-16) at the
 * beginning. Returns NULL if there is none. With `ends_only`, only what editors and shells add is
 * looked for: byte order marks at the beginning, and line ends at the end. */
const char *syntax_text_fault(const char *text, bool ends_only);

/* Returns whether the text can be the value of a header field (RFC 9110, section 5.5): it contains
 * no control characters. It may be empty. */
bool syntax_is_field_value(const char *text, size_t size);

/* Returns whether the text can be a token in an Authorization field: one or more characters of
 * visible ASCII. RFC 6749, A.12 allows spaces as well, but RFC 6750, section 2.1 does not. */
bool syntax_is_bearer_token(const char *text);

/* Returns whether a host name or address, without brackets, is this machine: localhost, 127.0.0.0/8
 * or ::1. Names that end in ".localhost" (RFC 6761, section 6.3) are not accepted, since some
 * resolvers ask name servers for them. */
bool syntax_is_loopback(const char *host);

/* Replaces control characters, and bytes that are not valid UTF-8, by "?", so that text from a
 * server can be shown to a person. */
void syntax_make_printable(char *text);

#endif
