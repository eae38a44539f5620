/* Tokens that are shared with others through a store of the caller's (the option token_store). */
#ifndef PODERO_STORE_H
#define PODERO_STORE_H

#include "core/agent.h"
#include "lua/compat.h"

/* Registers a metatable. [-0, +0, m] */
void store_open(lua_State *L);

/* Pushes the key under which the agent's token lies in a store: by which grant it was given, what
 * it is for, and whose it is; no secrets. [-0, +1, m] */
void store_push_key(lua_State *L, const struct agent_options *options);

/* Sets in the table on top what the loops of lua/methods need for it. [-0, +0, m]
 *   adopt(call, value) -> "taken", "refused" or "unfit": whether the store's value, of whatever
 *                         type, serves the call
 *   is_fetching(call) -> whether the client is requesting a token
 *   fetch(call): have it request one
 *   postpone(call, seconds): ask again after that time
 *   take_unstored(call) -> a value for the store, and for how many seconds (nil: for good); nothing
 *                          where there is no new token */
void store_set_functions(lua_State *L);

#endif
