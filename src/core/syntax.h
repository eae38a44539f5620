/* Checks strings that come from the caller, the environment or a server, before they become part of
 * a request or a message.
 *
 *   requests   syntax_is_uuid, syntax_path_fault, syntax_is_path, syntax_is_bearer_token
 *   URLs       syntax_url_path, syntax_is_loopback
 *   messages   syntax_text_fault, syntax_make_printable
 *   all        syntax_is_same
 *
 * No function allocates memory. A `text` without a `size` ends in a NUL. */
#ifndef PODERO_SYNTAX_H
#define PODERO_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns whether the text is a UUID, in upper or lower case (RFC 9562, section 4). */
bool syntax_is_uuid(const char *text, size_t size);

/* What is wrong with a path. */
enum syntax_path_fault {
  SYNTAX_PATH_OK,
  SYNTAX_PATH_RELATIVE,      /* it does not begin with "/" */
  SYNTAX_PATH_QUERY,         /* it has a "?" */
  SYNTAX_PATH_FRAGMENT,      /* it has a "#" */
  SYNTAX_PATH_AT,            /* it has an "@" */
  SYNTAX_PATH_UNESCAPED,     /* it has a character that is allowed only if it is percent-encoded */
  SYNTAX_PATH_PERCENT,       /* a "%" is not followed by two hexadecimal digits */
  SYNTAX_PATH_BACKSLASH,     /* it has a backslash, also after decoding */
  SYNTAX_PATH_CONTROL,       /* it has a control character, also after decoding */
  SYNTAX_PATH_ESCAPED_SLASH, /* it has more "/" after decoding */
  SYNTAX_PATH_NOT_UTF8,      /* it is not valid UTF-8 after decoding */
  SYNTAX_PATH_EMPTY_SEGMENT, /* a segment other than the last one is empty */
  SYNTAX_PATH_NO_NAME,       /* a segment consists of parameters only (";...") */
  SYNTAX_PATH_DOT_SEGMENT,   /* a segment is "." or ".." */
  SYNTAX_PATH_FAULTS         /* how many values there are */
};

/* Returns SYNTAX_PATH_OK if the text is an absolute path that can be appended to a URL unchanged,
 * and that means the same to every server and proxy. Otherwise, returns what is wrong with it: one
 * fault, if there are several.
 *
 * Such a path begins with "/", and consists of "/" and the characters that RFC 3986 calls pchar,
 * except "@"; two hexadecimal digits follow each "%". All of the following is true of the path as
 * it is, and after it was percent-decoded once, twice and three times:
 * - it has the same number of "/";
 * - no segment but the last is empty;
 * - no segment is "." or "..", with or without parameters (";...");
 * - it contains no backslash and no control character;
 * - it is valid UTF-8, so that it has no overlong encodings of "." and "/". */
enum syntax_path_fault syntax_path_fault(const char *text, size_t size);

/* Returns a fault in words, such as "a backslash is refused", a static string. NULL for
 * SYNTAX_PATH_OK. */
const char *syntax_path_fault_text(enum syntax_path_fault fault);

/* Returns whether a byte may be in a path as it is: "/", "%" and pchar without "@". */
bool syntax_is_path_byte(char c);

/* Returns whether syntax_path_fault finds no fault. */
bool syntax_is_path(const char *text, size_t size);

/* Returns where the path of an absolute http or https URL begins: at the first "/" or "?" after
 * host and port, or at the terminating NUL. Returns NULL if the URL does not begin with "http://"
 * or "https://", in upper or lower case, or if nothing is between that and the path. Host, port and
 * path are not checked. */
const char *syntax_url_path(const char *url);

/* Looks for what a one-line text must not contain: line ends, other control characters, and a byte
 * order mark at its beginning. If `ends_only` is true, of these only a byte order mark and line
 * ends at the end of the text count. Returns the name of the first one, such as "a line feed", a
 * static string; NULL if there is none. */
const char *syntax_text_fault(const char *text, bool ends_only);

/* Returns whether the text can be sent as a bearer token: it is not empty, and has only visible
 * ASCII characters. RFC 6749, appendix A.12, allows spaces, but RFC 6750, section 2.1, does not. */
bool syntax_is_bearer_token(const char *text);

/* Returns whether a host name, or an address without brackets, is certain to mean this machine:
 * "localhost" (in upper or lower case), 127.0.0.0/8 or ::1. Names below "localhost" (RFC 6761,
 * section 6.3) are not accepted, because some resolvers ask name servers for them. */
bool syntax_is_loopback(const char *host);

/* Replaces each byte that is part of a control character (C0, DEL or C1) or of invalid UTF-8 with
 * "?", in place, so that text from a server can be shown on one line of a terminal. */
void syntax_make_printable(char *text);

/* Returns whether two texts, or their first `max` bytes (SIZE_MAX for all), are equal, ignoring the
 * case of ASCII letters. Bytes after a NUL are not compared. Unlike strcasecmp, this does not
 * depend on the locale: in a Turkish one, "I" and "i" differ. */
bool syntax_is_same(const char *a, const char *b, size_t max);

#endif
