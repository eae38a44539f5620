/* Loads the Lua files of this folder, which are compiled into the module. */
#ifndef PODERO_METHODS_H
#define PODERO_METHODS_H

#include "lua/compat.h"

/* Replaces the two tables on top of the stack by two others: the methods of a client and, on top,
 * podero.waits. [-2, +2, e]
 *
 * The upper table given has the functions that begin a call, by the names of the methods. The lower
 * one has the C functions that the Lua files call (see call_object.h, wait.h, token_store.h,
 * credentials.h and client.c). This adds three: raise(err), raise_failure(err) and
 * protected_call(f, ...), see methods.c. */
void methods_make(lua_State *L);

#endif
