/* Loads the Lua files of this folder, which are compiled into the module. */
#ifndef PODERO_METHODS_H
#define PODERO_METHODS_H

#include "lua/compat.h"

/* Replaces the two tables on top of the stack by the table of a client's methods and podero.waits.
 * The lower of the two has the C functions that the Lua files call (see call_object.h, wait.h,
 * token_store.h, credentials.h, client.c), to which `raise`, `raise_failure` and `protected_call`
 * are added; the upper one has the functions that begin a call, by the names of the methods.
 * [-2, +2, e] */
void methods_make(lua_State *L);

#endif
