/* How a call waits: the only place where anything blocks. */
#ifndef PODERO_WAIT_H
#define PODERO_WAIT_H

#include "lua/compat.h"

/* Pushes the function that turns `begin` into a method: it begins a call and pushes it forward
 * until it has ended, in Lua, since a C function cannot be resumed in its middle on Lua 5.1 and
 * LuaJIT. The functions on top are taken: step(call) -> ended, wait(call), finish(call) -> results.
 * [-3, +1, m] */
void wait_push_method_maker(lua_State *L);

#endif
