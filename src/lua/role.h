/* podero.Role: the enum Role of openapi.yaml. */
#ifndef PODERO_ROLE_H
#define PODERO_ROLE_H

#include "lua/compat.h"

/* Pushes podero.Role, a read-only table { ADMIN = "admin", ... }. Reading any other key raises an
 * error. [-0, +1, m] */
void role_push(lua_State *L);

#endif
