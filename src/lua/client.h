/* The client object and its methods. */
#ifndef PODERO_CLIENT_H
#define PODERO_CLIENT_H

#include "core/session.h"
#include "lua/compat.h"

/* Registers the metatables of clients and calls, and pushes podero.waits. Call it once for each Lua
 * state. [-0, +1, e] */
void client_open(lua_State *L);

/* Returns the session of the client at `index`, which must be a client, or NULL after its
 * finalizer. The session may be closed. The client owns it. [-0, +0, -] */
struct session *client_session(lua_State *L, int index);

/* podero.new([options]) -> a client, or nil and an error object: of kind argument if a URL or token
 * is malformed, credentials are missing, or a setting of the environment cannot be used; of kind
 * memory if out of memory. Raises an error if an option is unknown or its value has the wrong type
 * or is out of range. [0.., +1|2, e] */
int client_new(lua_State *L);

#endif
