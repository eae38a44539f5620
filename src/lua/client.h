/* The client object and its methods. */
#ifndef PODERO_CLIENT_H
#define PODERO_CLIENT_H

#include "core/session.h"
#include "lua/compat.h"

/* Registers the metatables of clients and calls, and pushes podero.waits. [-0, +1, m] */
void client_open(lua_State *L);

/* The session of the client at `index`, which must be one; NULL if it has none any more. It may be
 * closed. [-0, +0, -] */
struct session *client_session(lua_State *L, int index);

/* podero.new([options]) -> client, or nil, err for a URL or token that cannot be used. Raises at
 * unknown options, wrong types and missing credentials. [-0, +1|2, e] */
int client_new(lua_State *L);

#endif
