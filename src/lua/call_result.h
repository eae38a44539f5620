/* The results of a call: what the method returns to Lua. */
#ifndef PODERO_LUA_CALL_RESULT_H
#define PODERO_LUA_CALL_RESULT_H

#include "lua/call_private.h"
#include "lua/compat.h"

/* Stores the results of the call at index 1, which call_step must have ended, in VALUE_RESULT and
 * the next two user values, and sets `completed`. Call it before any function of the caller runs:
 * that function may close the client, which frees what the results are made from. Nothing else
 * makes results, so a call that ends in any other way has none. [-0, +0, m] */
void call_result_store(lua_State *L, struct call_object *object);

/* Pushes nil and an error object made from `failure`, which is copied. The error has the URL that
 * the call requested last, unless the call was freed. [-0, +2, m] */
void call_result_push_failure(lua_State *L, const struct call_object *object,
                              const struct failure *failure);

#endif
