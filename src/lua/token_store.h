/* Sharing tokens with other clients through the option token_store: key and value of a token in the
 * store, and the functions with which lua/methods.lua uses it. */
#ifndef PODERO_TOKEN_STORE_H
#define PODERO_TOKEN_STORE_H

#include "core/session.h"
#include "lua/compat.h"

/* Pushes the key of the client's token in a store, a string. It is made of the grant, the URLs,
 * client_id, username and scope, and contains no secret. [-0, +1, m] */
void token_store_push_key(lua_State *L, const struct session_options *options);

/* Sets these functions as fields of the table on top of the stack [-0, +0, m]:
 *
 *   import(call, value)
 *     Imports the token from a value of the store, which may be of any type, as call_import does.
 *     Returns true if there is a token now, or if the call no longer waits for one.
 *   is_fetching(call) -> whether the client is fetching a token
 *   fetch(call)
 *     Starts a fetch for the call, or joins the one in progress.
 *   postpone(call, seconds)
 *     Makes the call wait for `seconds` before the store is checked again. Returns false if the
 *     call has waited long enough for another client's fetch.
 *   take_dirty(call) -> the value to store, and its lifetime in seconds, nil for unlimited
 *     Returns nothing if no token was fetched since the last time, or if it is about to expire. */
void token_store_set_functions(lua_State *L);

#endif
