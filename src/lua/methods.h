/* The methods of a client: src/lua/methods.lua, compiled into the module. */
#ifndef PODERO_METHODS_H
#define PODERO_METHODS_H

#include "lua/compat.h"

/* Replaces the two tables on top, the functions that the loops use and those that begin calls, by
 * name, by the table of methods. [-2, +1, e] */
void methods_make(lua_State *L);

#endif
