/* Error objects: the second result of a failed call.
 *
 *   push   error_open, error_push, error_push_headers, error_set_url
 *   use    error_is_error, error_raise, error_log_in_nginx */
#ifndef PODERO_ERROR_H
#define PODERO_ERROR_H

#include <stdbool.h>

#include "core/failure.h"
#include "core/session.h"
#include "lua/compat.h"

/* Registers the metatable of error objects. [-0, +0, m] */
void error_open(lua_State *L);

/* Pushes an error object made from `failure`, which is copied. The secrets of `session` are
 * redacted in the message and in the response's header and body. Header and body are left out if
 * `session` is NULL or closed. `failure` and what it owns must stay valid until this returns or
 * raises an error, even if a finalizer that runs meanwhile stops the call. [-0, +1, m] */
void error_push(lua_State *L, const struct failure *failure, struct session *session);

/* Pushes a table of a response's header fields (see headers_push_response) with the session's
 * secrets redacted, and returns true. Pushes nothing and returns false if `header` is empty, or if
 * `session` is NULL or closed, since its secrets are not known then. `header` must stay valid as
 * for error_push. [-0, +(0|1), m] */
bool error_push_headers(lua_State *L, const struct buffer *header, struct session *session);

/* Sets the field `url` of the error object on top, with the session's secrets redacted. `url` must
 * stay valid as for error_push. [-0, +0, m] */
void error_set_url(lua_State *L, const char *url, struct session *session);

/* Writes the error object on top to nginx's log, at level ERR. Does nothing outside of nginx. For
 * errors that are raised: nginx itself logs a raised error only if it is a string. [-0, +0, e] */
void error_log_in_nginx(lua_State *L);

/* raise_failure(err): raises an error object, which in nginx is logged first. [1, +0, v] */
int error_raise(lua_State *L);

/* podero.is_error(v) -> whether v is an error object [1.., +1] */
int error_is_error(lua_State *L);

#endif
