/* Method and body of client:request. */
#ifndef PODERO_REQUEST_BODY_H
#define PODERO_REQUEST_BODY_H

#include "lua/compat.h"

/* Returns the HTTP method at `index`, as a static string. Raises an error if client:request does
 * not support it. [-0, +0, v] */
const char *request_method(lua_State *L, int index);

/* Pushes the request's body, as a text buffer (lua/text_buffer.h), and its content type, as a
 * string; or nil twice if there is no body. Raises an error if the body cannot be sent.
 * [-0, +2, v]
 *   opts: stack index of the options of client:request
 *   has_body, has_content_type: whether they have the options `body` and `content_type`
 *   method: the HTTP method */
void request_body_push(lua_State *L, int opts, bool has_body, bool has_content_type,
                       const char *method);

#endif
