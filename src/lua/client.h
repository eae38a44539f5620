/* The client object and its methods. */
#ifndef PODERO_CLIENT_H
#define PODERO_CLIENT_H

#include "core/session.h"
#include "lua/compat.h"

/* Registers all metatables that clients and calls need, and pushes podero.waits. [-0, +1, e] */
void client_open(lua_State *L);

/* Returns the session of the client at `index`, which must be a client; it may be closed. Owned by
 * the client. NULL after the client's finalizer. [-0, +0, -] */
struct session *client_session(lua_State *L, int index);

/* podero.new([options]) -> client; or nil and an error object if a URL or a token is malformed, or
 * credentials are missing. Raises an error at unknown options and wrong types. [0.., +1|2, e] */
int client_new(lua_State *L);

#endif
