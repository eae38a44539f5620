/* Method and body of client:request. */
#ifndef PODERO_REQUEST_BODY_H
#define PODERO_REQUEST_BODY_H

#include "lua/compat.h"

/* Returns the method at the stack index `index`, as a static string. Raises an error if the API has
 * no such method. [-0, +0, v] */
const char *request_method(lua_State *L, int index);

/* Pushes the body that the options at `opts` give, as a text buffer (lua/text_buffer.h), and its
 * content type, as a string; or nil twice if there is none. Raises an error if it cannot be sent.
 * `has_body`, `has_content_type`: which of the options there are; `method`: the HTTP method.
 * [-0, +2, v] */
void request_body_push(lua_State *L, int opts, bool has_body, bool has_content_type,
                       const char *method);

#endif
