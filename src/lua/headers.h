/* Header fields of requests and responses.
 *
 *   request    headers_check, headers_push, headers_is_value
 *   response   headers_push_response */
#ifndef PODERO_HEADERS_H
#define PODERO_HEADERS_H

#include <stddef.h>

#include "lua/compat.h"

/* Checks the value on top, the option `headers` of podero.new, which must be a table or a function.
 * Replaces a table by a string for headers_push, and leaves a function as it is. Raises an error if
 * a field cannot be sent. [-1, +1, v] */
void headers_check(lua_State *L);

/* Pushes a text buffer (lua/text_buffer.h) with the header fields of one call, as struct request
 * needs them, or nil if both indices are 0. A field of the call replaces the client's field of the
 * same name. [-0, +1, e]
 *   client: stack index of the value that headers_check left, or 0 for none
 *   opts: stack index of the method's options, with the option `headers`, or 0 for none
 *   method: its name, for messages
 * If an option is a function, calls it once. The function may close the client, but not yield; its
 * errors are raised. Raises an error if a field cannot be sent. */
void headers_push(lua_State *L, int client, int opts, const char *method);

/* Returns whether the text can be sent as a field value (RFC 9110, section 5.5): it has no control
 * characters other than tabs, and no spaces or tabs at its beginning or end. */
bool headers_is_value(const char *text, size_t size);

/* Called by headers_push_response for each name and value. Pushes a string that replaces the text
 * and returns true, or returns false to keep the text. [-0, +(0|1), m] */
typedef bool headers_replace(lua_State *L, const char *text, size_t size, void *context);

/* Pushes a table of the header fields of a response: names in lower case, the values of repeated
 * fields joined with ", ", without Set-Cookie. `header` has the fields as in struct response; it
 * must stay valid until this returns or raises an error, even if finalizers run. `replace` may be
 * NULL; `context` is its argument. [-0, +1, m] */
void headers_push_response(lua_State *L, const char *header, size_t size, headers_replace *replace,
                           void *context);

#endif
