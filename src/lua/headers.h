/* Header fields of requests and responses.
 *
 *   request    headers_check, headers_push, headers_is_value
 *   response   headers_push_response */
#ifndef PODERO_HEADERS_H
#define PODERO_HEADERS_H

#include <stddef.h>

#include "lua/compat.h"

/* Checks the value of the option `headers` of podero.new, on top. Replaces a table by a string that
 * headers_push understands; leaves a function as it is. Raises an error at what cannot be sent.
 * [-1, +1, v] */
void headers_check(lua_State *L);

/* Pushes a text buffer (lua/text_buffer.h) with the header fields of one call, as struct request
 * has them; or nil if there are none. Those of the call's option replace those of the client's, the
 * value that headers_check left, at stack index `client`; 0 for none. `opts`: stack index of the
 * method's options, which have a field `headers`; 0 for none. Calls functions among them once,
 * which may do anything but yield, and raises their errors; raises an error at what cannot be sent.
 * `method`: its name, for messages. [-0, +1, v] */
void headers_push(lua_State *L, int client, int opts, const char *method);

/* Returns whether the text is a field value (RFC 9110, section 5.5): no control characters but
 * tabs, and no blanks at its ends. */
bool headers_is_value(const char *text, size_t size);

/* Replaces a text on the way into the table of headers_push_response: pushes another one and
 * returns true, or returns false. `text` must stay valid. [-0, +(0|1), m] */
typedef bool headers_replace(lua_State *L, const char *text, size_t size, void *context);

/* Pushes a table of the fields of a response (see struct response): names in lower case, repeated
 * fields joined with ", ", without Set-Cookie. `header` must stay valid until this returns or
 * raises, even if finalizers run. `replace` is called with each name and value, NULL: with none.
 * [-0, +1, m] */
void headers_push_response(lua_State *L, const char *header, size_t size, headers_replace *replace,
                           void *context);

#endif
