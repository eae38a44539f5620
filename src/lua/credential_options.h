/* The options of podero.new for credentials (texts, functions and files), and the environment
 * variables that replace them.
 *
 *   credential_options_complete, credential_options_check, credential_options_label */
#ifndef PODERO_CREDENTIAL_OPTIONS_H
#define PODERO_CREDENTIAL_OPTIONS_H

#include "core/session.h"
#include "lua/compat.h"

/* Reads the credentials from the environment if the options have none. Raises an error if the
 * options have both a credential and its file, and on out of memory. [-0, +0, v] */
void credential_options_complete(lua_State *L, struct session_options *options);

/* Checks that no credential is missing, and reads the files of credentials once. The credential of
 * a regular file is added to options->supplied, so that the file is read again when it is needed.
 * Any other file, such as a pipe, can be read only once, so its text becomes the option. Returns
 * false and fills `failure` (FAILURE_ARGUMENT, FAILURE_MEMORY) if a credential is missing, or a
 * file cannot be read or used. [-0, +0, e] */
bool credential_options_check(lua_State *L, struct session_options *options,
                              struct failure *failure);

/* Size of the text of credential_options_label. */
#define CREDENTIAL_LABEL_BYTES 400

/* Writes the source of a credential from a file, for messages: "client_secret_file (PATH)" or
 * "PODERO_CLIENT_SECRET_FILE (PATH)". A long path is cut. */
void credential_options_label(const struct session_options *options, enum credential which,
                              char out[CREDENTIAL_LABEL_BYTES]);

#endif
