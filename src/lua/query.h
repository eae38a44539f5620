/* Queries of URLs. */
#ifndef PODERO_QUERY_H
#define PODERO_QUERY_H

#include "lua/argument.h"
#include "lua/compat.h"

/* Pushes the encoded query (application/x-www-form-urlencoded) for the table at the stack index
 * `index`: `first`, an encoded parameter, or NULL for none; and then the table's parameters, in the
 * order of lua_next. `argument`: the one that it is, or is part of. Raises an error if it is no
 * table, or a value is no string, finite number, boolean or array of these. [-0, +1, v] */
void query_push(lua_State *L, int index, struct argument argument, const char *first);

#endif
