/* Sharing tokens with other clients through the user's store (option token_store): the key, the
 * value, and the functions with which lua/methods.lua uses the store. */
#ifndef PODERO_TOKEN_STORE_H
#define PODERO_TOKEN_STORE_H

#include "core/session.h"
#include "lua/compat.h"

/* Pushes the key of the client's token in a store. It names the grant, URLs, client_id, username
 * and scope, and contains no secret. [-0, +1, m] */
void token_store_push_key(lua_State *L, const struct session_options *options);

/* Sets these functions as fields of the table on top of the stack [-0, +0, m]:
 *
 *   import(call, value)      imports the token in a value from the store, of any type, as
 *                            call_import does. Returns true if the call goes on, because there is a
 *                            token now or the call has no use for one any more.
 *   is_fetching(call)        returns whether the client is fetching a token.
 *   fetch(call)              starts a fetch for the call, or joins the one in progress.
 *   postpone(call, seconds)  makes the call ask for a token again after `seconds`. Returns false if
 *                            it has waited for another client's fetch long enough.
 *   take_dirty(call)         returns the value to store and its lifetime in seconds, nil if it is
 *                            not limited. Returns nothing if no token was fetched since the last
 *                            call, or if it is about to expire. */
void token_store_set_functions(lua_State *L);

#endif
