/* The results of a call: what the method returns to Lua. */
#ifndef PODERO_LUA_CALL_RESULT_H
#define PODERO_LUA_CALL_RESULT_H

#include "lua/call_private.h"
#include "lua/compat.h"

/* Stores the results of the call at index 1, which must have ended by itself, in VALUE_RESULT and
 * the two user values that follow, and sets `completed`. To be called before any function of the
 * caller runs: that may close the client, and so free what the results are made from. No other
 * function makes results: a call that ends in any other way has none. [-0, +0, m] */
void call_result_store(lua_State *L, struct call_object *object);

/* Pushes nil and an error object made from `failure`, with the URL that the call requested last,
 * if it has not been freed. [-0, +2, m] */
void call_result_push_failure(lua_State *L, const struct call_object *object,
                              const struct failure *failure);

#endif
