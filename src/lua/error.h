/* Error objects: what the second result of a failed call is. */
#ifndef PODERO_ERROR_H
#define PODERO_ERROR_H

#include "core/agent.h"
#include "core/failure.h"
#include "lua/compat.h"

/* Registers the metatable. [-0, +0, m] */
void error_open(lua_State *L);

/* Pushes an error object. Whatever the server said is cleared of the agent's secrets; `agent` may
 * be NULL. The failure and its body must stay meanwhile, whatever finalizers do. [-0, +1, m] */
void error_push(lua_State *L, const struct failure *failure, struct agent *agent);

#endif
