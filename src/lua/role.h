/* podero.Role: the enum Role of openapi.yaml. */
#ifndef PODERO_ROLE_H
#define PODERO_ROLE_H

#include "lua/compat.h"

/* Pushes the table: read-only, and raising at names that it lacks. [-0, +1, m] */
void role_push(lua_State *L);

#endif
