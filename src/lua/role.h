/* podero.Role: the enum Role of openapi.yaml. */
#ifndef PODERO_ROLE_H
#define PODERO_ROLE_H

#include "lua/compat.h"

/* Pushes a read-only table { ADMIN = "admin", ... }, which raises an error for other keys.
 * [-0, +1, m] */
void role_push(lua_State *L);

#endif
