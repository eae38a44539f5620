/* Reads and checks the options of podero.new and of the methods.
 *
 *   read          options_read_client, options_read_method, options_method_name
 *   environment   options_read_environment */

#ifndef PODERO_OPTIONS_H
#define PODERO_OPTIONS_H

#include "core/session.h"
#include "lua/compat.h"
#include "lua/log.h"

/* Options of podero.new. */
struct client_options {
  struct session_options session; /* owns its strings; free them with session_options_clear */
  bool validate;
  bool has_max_response_bytes; /* the option was given */
  /* Options that stay in the options table, as functions. */
  bool has_wait;
  bool has_headers; /* a function or a table */
  bool has_on_event;
  bool has_log_function;
  enum log_level log; /* LOG_DEBUG if has_log_function is true */
};

/* Default of the option max_response_bytes. */
#define OPTIONS_MAX_RESPONSE_BYTES (UINT64_C(256) * 1024 * 1024)

enum method {
  METHOD_LIST_USERS,
  METHOD_EACH_USER,
  METHOD_FIND_USER,
  METHOD_LIST_USERS_OF,
  METHOD_AUTHORIZE, /* the token request with which list_users_of begins */
  METHOD_GET,
  METHOD_REQUEST,
  METHOD_TOKEN
};

/* Returns the name that the method has in Lua, a static string. */
const char *options_method_name(enum method method);

/* Options of a method, from its argument `opts`. */
struct method_options {
  bool include_deleted;
  double timeout;
  unsigned max_retries;
  uint64_t max_response_bytes;
  unsigned concurrency;
  bool raw;
  /* Options that stay in the options table. */
  bool has_on_progress, has_on_invalid, has_headers, has_query, has_body, has_content_type;
  bool has_filter; /* at least one of those that user_filter_push reads */
};

/* Reads the options table at `index`, which may be nil or absent, and the environment into `out`,
 * which must be all zero. The caller has to clear out->session, even if this raises an error or
 * returns false. If the table has an __index, the value at `index` is replaced by a plain table
 * with all options, from which the caller can get functions and objects.
 *
 * Returns false and fills `failure` (FAILURE_ARGUMENT) if credentials are missing, the file of one
 * cannot be read, or PODERO_LOG is not a level. Raises an error that names the option if it is
 * unknown or its value has the wrong type or is out of range, and on out of memory. session_new
 * checks URLs, tokens and texts that are sent. [-0, +0, v] */
bool options_read_client(lua_State *L, int index, struct client_options *out,
                         struct failure *failure);

/* Reads the options table at `index`, which may be nil or absent, into `out`. Options that it lacks
 * are taken from `defaults`. Replaces a table that has an __index, and raises errors, as
 * options_read_client does. [-0, +0, v] */
void options_read_method(lua_State *L, int index, enum method method,
                         const struct session_options *defaults, struct method_options *out);

/* Sets `*text`, if it is NULL, to a copy of an environment variable, which the caller frees. An
 * empty variable counts as unset. Returns whether `*text` was set. Raises an error on out of
 * memory. [-0, +0, v] */
bool options_read_environment(lua_State *L, char **text, const char *variable);

#endif
