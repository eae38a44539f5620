/* The options of podero.new about credentials, and the environment variables for those that were
 * not given: texts, functions and files.
 *
 *   credential_options_complete, credential_options_check, credential_options_label */
#ifndef PODERO_CREDENTIAL_OPTIONS_H
#define PODERO_CREDENTIAL_OPTIONS_H

#include "core/session.h"
#include "lua/compat.h"

/* Reads the credentials from the environment, unless the options have any. Raises an error if a
 * credential is given both by itself and as a file. [-0, +0, v] */
void credential_options_complete(lua_State *L, struct session_options *options);

/* Checks that no credential is missing, and that those from files can be read, which are added to
 * options->supplied. What is no regular file, such as a pipe, can be read only this once: its text
 * becomes the option. Returns false, with `failure` filled, if that is not so. [-0, +0, e] */
bool credential_options_check(lua_State *L, struct session_options *options,
                              struct failure *failure);

/* Size of the text of credential_options_label. */
#define CREDENTIAL_LABEL_BYTES 400

/* Writes where a credential that is supplied from a file comes from, for messages:
 * "client_secret_file (PATH)" or "PODERO_CLIENT_SECRET_FILE (PATH)". */
void credential_options_label(const struct session_options *options, enum credential which,
                              char out[CREDENTIAL_LABEL_BYTES]);

#endif
