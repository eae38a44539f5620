/* Tokens that are shared with others through a store of the caller's (the option token_store). */
#ifndef PODERO_STORE_H
#define PODERO_STORE_H

#include "core/session.h"
#include "lua/compat.h"

/* Registers a metatable. [-0, +0, m] */
void store_open(lua_State *L);

/* Pushes the key under which the session's token lies in a store: by which grant it was given, what
 * it is for, and whose it is; no secrets. [-0, +1, m] */
void store_push_key(lua_State *L, const struct session_options *options);

/* Sets in the table on top what the loops of lua/methods need for it. [-0, +0, m]
 *   import(call, value) -> whether the call goes on: the store's value, of whatever type, has given
 *                         it a token, or it needs none any more
 *   is_fetching(call) -> whether the client is requesting a token
 *   fetch(call): have it request one, or wait along for the one that it requests
 *   postpone(call, seconds) -> whether the call waits so long, to ask again; else it has waited
 *                              enough for others
 *   take_dirty(call) -> a value for the store, and for how many seconds (nil: for good); nothing
 *                          where there is no new token */
void store_set_functions(lua_State *L);

#endif
