/* UserOutput and Role of openapi.yaml: the schema as one table of fields, and JSON values into
 * user tables. */
#ifndef PODERO_USER_H
#define PODERO_USER_H

#include "core/failure.h"
#include "lua/compat.h"

/* Prepares the field names for this Lua state. [-0, +0, m] */
void user_open(lua_State *L);

/* Pushes the Role table: read-only, and raising at names that it lacks. [-0, +1, m] */
void user_push_roles(lua_State *L);

/* Reads a list of users from `size` bytes of JSON. Pushes the array, or nothing where `failure`
 * is filled. Raises where memory is short. [-0, +1|0, m] */
void user_read_list(lua_State *L, const char *json, size_t size, bool validate,
                    struct failure *failure);

#endif
