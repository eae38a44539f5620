#include "lua/credential_options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/secret_file.h"
#include "core/syntax.h"
#include "lua/argument.h"
#include "lua/log.h"
#include "lua/options.h"

/* For each credential: the option for its text, and the variable for the path of its file. */
static const struct {
  size_t offset; /* in struct session_options, of a char * */
  const char *file_variable;
} credentials[CREDENTIAL_COUNT] = {
    {offsetof(struct session_options, client_secret), "PODERO_CLIENT_SECRET_FILE"},
    {offsetof(struct session_options, password), "PODERO_PASSWORD_FILE"},
    {offsetof(struct session_options, access_token), "PODERO_ACCESS_TOKEN_FILE"},
    {offsetof(struct session_options, key_password), NULL},
};

/* Returns whether the credential is given as a text. */
static bool has_text(const struct session_options *o, enum credential which) {
  return *(char *const *)(const void *)((const char *)o + credentials[which].offset) != NULL;
}

/* Returns whether the credential is given as a text, a function or a file. */
static bool has_credential(const struct session_options *o, enum credential which) {
  return has_text(o, which) || (o->supplied & CREDENTIAL_BIT(which)) != 0 ||
         o->files[which] != NULL;
}

/* Raises an error if both a credential and its file are given. [-0, +0, v] */
static void refuse_two_sources(lua_State *L, const struct session_options *o) {
  for (int i = 0; i < CREDENTIAL_COUNT; i++) {
    if (o->files[i] == NULL ||
        (!has_text(o, (enum credential)i) && (o->supplied & CREDENTIAL_BIT(i)) == 0))
      continue;
    argument_error(L, 1, "new", "options '%s' and '%s_file': only one of them can be given",
                   credential_name((enum credential)i), credential_name((enum credential)i));
  }
}

/* Reads the credentials from the environment, unless an option for one was given: the two are never
 * mixed. Raises an error on out of memory. [-0, +0, v] */
static void complete_credentials(lua_State *L, struct session_options *o) {
  if (o->client_id != NULL || o->username != NULL || has_credential(o, CREDENTIAL_CLIENT_SECRET) ||
      has_credential(o, CREDENTIAL_PASSWORD) || has_credential(o, CREDENTIAL_ACCESS_TOKEN))
    return;
  o->credentials_from_environment = true;
  for (int i = 0; i < CREDENTIAL_COUNT; i++) {
    if (credentials[i].file_variable != NULL)
      options_read_environment(L, &o->files[i], credentials[i].file_variable);
  }
  options_read_environment(L, &o->client_id, "PODERO_CLIENT_ID");
  options_read_environment(L, &o->client_secret, "PODERO_CLIENT_SECRET");
  options_read_environment(L, &o->username, "PODERO_USERNAME");
  options_read_environment(L, &o->password, "PODERO_PASSWORD");
  options_read_environment(L, &o->access_token, "PODERO_ACCESS_TOKEN");
}

void credential_options_complete(lua_State *L, struct session_options *o) {
  refuse_two_sources(L, o);
  complete_credentials(L, o);
}

/* ---- what is missing ---- */

/* nginx removes from its environment all variables that its configuration does not name. */
#define NGINX_HINT                                                                                 \
  "; nginx passes on only the variables that nginx.conf names at its top level: env "              \
  "PODERO_CLIENT_ID; env PODERO_CLIENT_SECRET;"

/* Returns a message about a credential that is missing, a static string, or NULL if none is. */
static const char *find_missing(const struct session_options *o) {
  bool env = o->credentials_from_environment;
  bool has_secret = has_credential(o, CREDENTIAL_CLIENT_SECRET);
  bool has_password = has_credential(o, CREDENTIAL_PASSWORD);
  if (has_credential(o, CREDENTIAL_ACCESS_TOKEN)) return NULL;
  if (o->username == NULL && !has_password && o->client_id == NULL && !has_secret)
    return "no credentials: give client_id and client_secret, or username and password, or "
           "access_token (or set PODERO_CLIENT_ID and PODERO_CLIENT_SECRET, or PODERO_USERNAME "
           "and PODERO_PASSWORD, or PODERO_ACCESS_TOKEN)";
  if (o->username != NULL && !has_password)
    return env ? "PODERO_USERNAME is set without PODERO_PASSWORD"
               : "username is given without password";
  if (o->username == NULL && has_password)
    return env ? "PODERO_PASSWORD is set without PODERO_USERNAME"
               : "password is given without username";
  if (has_secret && o->client_id == NULL)
    return env ? "PODERO_CLIENT_SECRET is set without PODERO_CLIENT_ID"
               : "client_secret is given without client_id";
  if (!has_secret && o->username == NULL)
    return env ? "PODERO_CLIENT_ID is set without PODERO_CLIENT_SECRET"
               : "client_id is given without client_secret";
  return NULL;
}

/* ---- files ---- */

void credential_options_label(const struct session_options *o, enum credential which,
                              char out[CREDENTIAL_LABEL_BYTES]) {
  const char *path = o->files[which];
  if (o->credentials_from_environment)
    snprintf(out, CREDENTIAL_LABEL_BYTES, "%s (%.300s)", credentials[which].file_variable, path);
  else
    snprintf(out, CREDENTIAL_LABEL_BYTES, "%s_file (%.300s)", credential_name(which), path);
}

/* How long to wait for the line of a pipe. */
#define PIPE_SECONDS 5.0

/* Reads the file of a credential. If it is not a regular file, its text becomes the option. Returns
 * false and fills `failure` if that fails. */
static bool read_file(struct session_options *o, enum credential which, struct failure *failure) {
  char label[CREDENTIAL_LABEL_BYTES];
  struct buffer line = {0};
  bool regular;
  credential_options_label(o, which, label);
  bool usable = secret_file_read(o->files[which], label, FAILURE_ARGUMENT, PIPE_SECONDS, &line,
                                 &regular, failure) &&
                credential_check(which, line.data, label, FAILURE_ARGUMENT, failure);
  if (usable && regular) {
    o->supplied |= CREDENTIAL_BIT(which);
  } else if (usable) {
    *(char **)(void *)((char *)o + credentials[which].offset) = line.data;
    line = (struct buffer){0};
  }
  buffer_free(&line);
  return usable;
}

/* Returns whether the variable with the path of a file can be used. If not, fills `failure`. */
static bool check_file_variable(const struct session_options *o, enum credential which,
                                struct failure *failure) {
  const char *variable = credentials[which].file_variable;
  const char *fault = syntax_text_fault(o->files[which], false);
  if (has_text(o, which))
    failure_set(failure, FAILURE_ARGUMENT, "%s and %.*s are both set: unset one of them", variable,
                (int)(strlen(variable) - strlen("_FILE")), variable);
  else if (fault != NULL)
    failure_set(failure, FAILURE_ARGUMENT, "%s contains %s: remove it from the variable", variable,
                fault);
  return failure->kind == FAILURE_NONE;
}

/* Reads the files of all credentials. Returns false and fills `failure` if one cannot be used. */
static bool read_files(struct session_options *o, struct failure *failure) {
  for (int i = 0; i < CREDENTIAL_COUNT; i++) {
    if (o->files[i] == NULL) continue;
    if (o->credentials_from_environment && !check_file_variable(o, (enum credential)i, failure))
      return false;
    if (!read_file(o, (enum credential)i, failure)) return false;
  }
  return true;
}

bool credential_options_check(lua_State *L, struct session_options *o, struct failure *failure) {
  const char *missing = find_missing(o);
  if (missing == NULL) return read_files(o, failure);
  failure_set(failure, FAILURE_ARGUMENT, "%s%s", missing,
              o->credentials_from_environment && log_is_in_nginx(L) ? NGINX_HINT : "");
  return false;
}
