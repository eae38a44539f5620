/* Credentials from the caller's functions or from files. lua/credentials.lua supplies them to the
 * token source (core/oauth2/token_source.h) with the functions below. */
#ifndef PODERO_LUA_CREDENTIALS_H
#define PODERO_LUA_CREDENTIALS_H

#include "core/session.h"
#include "lua/compat.h"

/* Pushes a table that maps the name of each credential in options->supplied to its source: a
 * function from the options table at index 1, or a table with the `path` and `label` of a file.
 * Pushes nil if there are none. [-0, +1, e] */
void credentials_push(lua_State *L, const struct session_options *options);

/* Sets these functions in the table on top of the stack. A ticket is the task of supplying the
 * credentials that a client wants. Functions that take one do nothing if the token request has
 * ended or was abandoned, or if the client is closed. [-0, +0, m]
 *
 *   credentials_state(call) -> "wanted", "asked" or nil
 *     "wanted": the call waits for credentials, and there is no ticket for them. "asked": there is
 *     one. nil: it does not wait for credentials.
 *   refuse_credentials(call)
 *     Makes a call in the state "asked" fail, because it would wait for itself.
 *   ask_credentials(client) -> a ticket, or nothing if no credentials are wanted
 *     The caller has to supply them.
 *   is_asked(client, ticket) -> whether credentials are still to be supplied
 *   release_credentials(client, ticket)
 *     Returns the ticket without supplying more, so that another caller can get one.
 *   next_credential(client, ticket) -> the name of the next credential to supply, or nothing
 *   give_credential(client, ticket, ok, value, message)
 *     Supplies that credential: ok, value and message are what pcall has returned for its function.
 *     If ok is false, value is the text of the error, or nil.
 *   read_credential(client, ticket, path, label)
 *     Supplies that credential from a file. label: see credential_options_label. */
void credentials_set_functions(lua_State *L);

#endif
