/* Queries of URLs. */
#ifndef PODERO_QUERY_H
#define PODERO_QUERY_H

#include "lua/argument.h"
#include "lua/compat.h"

/* Pushes a query as a string, encoded as application/x-www-form-urlencoded: `first`, then the
 * parameters of the table at `index`, in the order of lua_next. [-0, +1, v]
 *   first: a parameter, encoded, or NULL for none
 *   argument: the argument that the table is, or is part of, for messages
 * Raises an error if there is no table at `index`, or a value in it is not a string, a finite
 * number, a boolean or an array of these. */
void query_push(lua_State *L, int index, struct argument argument, const char *first);

#endif
