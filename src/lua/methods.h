/* The Lua files of this folder, which are compiled into the module: the methods of a client, and
 * what they wait with. */
#ifndef PODERO_METHODS_H
#define PODERO_METHODS_H

#include "lua/compat.h"

/* Replaces the two tables on top, the C functions that the Lua files use and those that begin
 * calls, by name, by the table of methods and that of ready-made waits (podero.waits).
 * [-2, +2, e] */
void methods_make(lua_State *L);

#endif
