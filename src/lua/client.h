/* The client object and its methods. */
#ifndef PODERO_CLIENT_H
#define PODERO_CLIENT_H

#include "lua/compat.h"

/* Registers the metatables of clients and calls. [-0, +0, m] */
void client_open(lua_State *L);

/* podero.new([options]) -> client, or nil, err for a URL or token that cannot be used. Raises at
 * unknown options, wrong types and missing credentials. [-0, +1|2, e] */
int client_new(lua_State *L);

#endif
