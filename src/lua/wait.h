/* The methods, as loops that push calls forward and wait in between. */
#ifndef PODERO_WAIT_H
#define PODERO_WAIT_H

#include "lua/compat.h"

/* Replaces what lies on top, the functions that begin calls, by name, and the five functions of
 * lua/call, by the table of methods: each a loop in Lua that pushes calls forward until they have
 * ended. [-6, +1, m] */
void wait_make_methods(lua_State *L);

#endif
