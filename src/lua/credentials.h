/* Credentials that come from the caller's functions or from files: how lua/credentials.lua supplies
 * them to the token source (core/oauth2/token_source.h). */
#ifndef PODERO_LUA_CREDENTIALS_H
#define PODERO_LUA_CREDENTIALS_H

#include "core/session.h"
#include "lua/compat.h"

/* Pushes a table of what supplies the credentials of options->supplied, by their names: a function
 * of the options table at index 1, or a table with the `path` and `label` of a file. Pushes nil if
 * none are supplied. [-0, +1, e] */
void credentials_push(lua_State *L, const struct session_options *options);

/* Sets these functions in the table on top of the stack. Those with a ticket do nothing if it is
 * too late: if the token request has ended or was abandoned, or the client is closed. [-0, +0, m]
 *
 *   credentials_state(call) -> "wanted" if the call waits for credentials for which nobody has been
 *     asked, "asked" if somebody has been, else nil
 *   refuse_credentials(call)
 *     Makes a call fail that is in the state "asked", because it waits for itself.
 *   ask_credentials(client) -> ticket; nil if none are wanted. The caller is to supply them.
 *   is_asked(client, ticket) -> whether something is still to be supplied
 *   release_credentials(client, ticket)
 *     Says that nothing more will be supplied, so that somebody else is asked.
 *   next_credential(client, ticket) -> the name of the credential to be supplied next, or nil
 *   give_credential(client, ticket, ok, value, message)
 *     Supplies it. `ok`, `value`: what pcall has returned for the function; then its second result.
 *     If it was an error, `value` is its message.
 *   read_credential(client, ticket, path, label)
 *     Supplies it from a file. */
void credentials_set_functions(lua_State *L);

#endif
