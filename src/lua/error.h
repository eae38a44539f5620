/* Error objects: what the second result of a failed call is. */
#ifndef PODERO_ERROR_H
#define PODERO_ERROR_H

#include "core/failure.h"
#include "core/session.h"
#include "lua/compat.h"

/* Registers the metatable. [-0, +0, m] */
void error_open(lua_State *L);

/* Pushes an error object. Whatever the server said is cleared of the session's secrets; `session`
 * may be NULL. The failure and its body must stay meanwhile, whatever finalizers do. [-0, +1, m] */
void error_push(lua_State *L, const struct failure *failure, struct session *session);

/* Sets the field url of the error object on top, cleared of the session's secrets. [-0, +0, m] */
void error_set_url(lua_State *L, const char *url, struct session *session);

/* In nginx, which prints only strings of what a handler raises: writes the error object on top to
 * its log. Does nothing elsewhere. [-0, +0, m] */
void error_log_in_nginx(lua_State *L);

/* podero.is_error(v): whether a value is an error object. [1.., +1] */
int error_is_error(lua_State *L);

#endif
