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
  struct session_options session; /* owns its texts; freed with session_options_clear */
  bool validate;
  bool has_max_response_bytes; /* the option was given */
  bool has_wait;    /* there is a function in the options table, as with the next three */
  bool has_headers; /* or a table */
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
  METHOD_AUTHORIZE, /* the token request of list_users_of */
  METHOD_GET,
  METHOD_REQUEST,
  METHOD_TOKEN
};

/* Returns the name of the method in Lua, a static string. */
const char *options_method_name(enum method method);

/* Options of a method, its argument `opts`. */
struct method_options {
  bool include_deleted;
  double timeout;
  unsigned max_retries;
  uint64_t max_response_bytes;
  unsigned concurrency;
  bool raw;
  /* Which of these options are in the options table. */
  bool has_on_progress, has_on_invalid, has_headers, has_query, has_body, has_content_type;
  bool has_filter; /* one of those that user_filter_push reads */
};

/* Reads the options table at `index`, which may be absent or nil, and the environment into `out`,
 * which must be all zero. The caller has to clear out->session, even if this raises or returns
 * false. A table with an __index is replaced on the stack by a plain one with all options that were
 * read, so that functions and objects among them can be got from there.
 *
 * Returns false, with `failure` filled, if credentials are missing, a file of one cannot be read,
 * or PODERO_LOG is no level. Raises an error that names the option if one is unknown or its value
 * has a wrong type or is out of range, and on out of memory. URLs, tokens and header values are
 * checked by session_new. [-0, +0, v] */
bool options_read_client(lua_State *L, int index, struct client_options *out,
                         struct failure *failure);

/* Reads the options table at `index`, which may be absent or nil, into `out`; `defaults` has what
 * it lacks. Replaces a table with an __index, and raises errors, as options_read_client does.
 * [-0, +0, v] */
void options_read_method(lua_State *L, int index, enum method method,
                         const struct session_options *defaults, struct method_options *out);

/* Sets `*text` to a copy of an environment variable, if it is NULL and the variable is set and not
 * empty. Returns whether it has done so. Raises an error on out of memory. [-0, +0, v] */
bool options_read_environment(lua_State *L, char **text, const char *variable);

#endif
