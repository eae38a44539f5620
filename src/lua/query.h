/* Queries of URLs. */
#ifndef PODERO_QUERY_H
#define PODERO_QUERY_H

#include "lua/compat.h"

/* Who has given a query, for messages. */
struct query_giver {
  int argument;       /* number of the argument that it is, or is part of */
  const char *method; /* name of the method */
};

/* Pushes the encoded query (application/x-www-form-urlencoded) for the table at the stack index
 * `index`: `first`, an encoded parameter, or NULL for none; and then the table's parameters, in the
 * order of lua_next. Raises an error if it is no table, or a value is no string, finite number,
 * boolean or array of these. [-0, +1, v] */
void query_push(lua_State *L, int index, struct query_giver giver, const char *first);

#endif
