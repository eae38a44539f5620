/* Checks of strings that come from the caller, the environment or a server, before they become part
 * of a request or of a message.
 *
 *   requests   syntax_is_uuid, syntax_is_path, syntax_is_bearer_token
 *   URLs       syntax_url_path, syntax_is_loopback
 *   messages   syntax_text_fault, syntax_make_printable
 *   all        syntax_is_same
 *
 * None of them allocates memory. A `text` without a `size` ends in a NUL. */
#ifndef PODERO_SYNTAX_H
#define PODERO_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns whether the text is a UUID in either case (RFC 9562, section 4). */
bool syntax_is_uuid(const char *text, size_t size);

/* Returns whether the text is an absolute path that can be appended to a URL as it is, and that
 * means the same to every server and proxy.
 *
 * It consists of "/" and the characters that RFC 3986 calls pchar, except "@"; each "%" is followed
 * by two hexadecimal digits. All of the following is true of the path as it is, and of the path
 * after it was percent-decoded once, twice and three times:
 * - it has the same number of "/";
 * - no segment but the last is empty;
 * - no segment is "." or "..", with or without parameters (";...");
 * - it contains no backslash and no control character;
 * - it is valid UTF-8, so that it has no overlong encodings of "." and "/". */
bool syntax_is_path(const char *text, size_t size);

/* Returns where the path of an absolute http or https URL begins: at the first "/" or "?" after
 * host and port, or at the terminating NUL. Returns NULL if the URL does not begin with "http://"
 * or "https://", in any case, or if nothing is between that and the path. Host, port and path are
 * not checked. */
const char *syntax_url_path(const char *url);

/* Looks for what a one-line text should not contain: line ends, other control characters, and a
 * byte order mark at its beginning. If `ends_only` is true, control characters other than trailing
 * line ends are allowed. Returns the name of what was found first, such as "a line feed", as a
 * static string, or NULL. */
const char *syntax_text_fault(const char *text, bool ends_only);

/* Returns whether the text can be sent as a bearer token: it has at least one character, and only
 * visible ASCII characters. RFC 6749, appendix A.12, allows spaces, RFC 6750, section 2.1, does
 * not. */
bool syntax_is_bearer_token(const char *text);

/* Returns whether a host name or address, without brackets, is on this machine for certain:
 * "localhost" in any case, 127.0.0.0/8 or ::1. Names below "localhost" (RFC 6761, section 6.3) are
 * not accepted, because some resolvers ask name servers for them. */
bool syntax_is_loopback(const char *host);

/* Replaces control characters and bytes that are not valid UTF-8 with "?", so that text from a
 * server can be shown on one line of a terminal. */
void syntax_make_printable(char *text);

/* Returns whether two texts, or their first `max` bytes, are the same but for the case of ASCII
 * letters. strcasecmp depends on the locale: in a Turkish one, "I" and "i" differ. Bytes after a
 * NUL are not compared. `max`: SIZE_MAX for all. */
bool syntax_is_same(const char *a, const char *b, size_t max);

#endif
