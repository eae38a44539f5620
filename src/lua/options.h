/* The options of podero.new and of the methods: checked once, at the door. */
#ifndef PODERO_OPTIONS_H
#define PODERO_OPTIONS_H

#include "core/session.h"
#include "lua/compat.h"

#define PODERO_PRODUCTION "https://app.podero.com"
#define PODERO_SANDBOX "https://sandbox-app.podero.com"

/* What podero.new is given beside what the core wants. */
struct client_options {
  struct session_options session; /* texts are owned by this struct */
  bool validate;
  bool has_max_response_bytes; /* it was given */
  bool has_wait; /* a function; it stays in the options table, as a token_store does */
};

enum method {
  METHOD_LIST_USERS,
  METHOD_EACH_USER,
  METHOD_LIST_USERS_OF,
  METHOD_AUTHORIZE, /* list_users_of's first step */
  METHOD_GET,
  METHOD_TOKEN
};

/* The name that users know the method by. */
const char *options_method_name(enum method method);

/* What a method is given in its `opts`. */
struct method_options {
  bool include_deleted;
  double timeout;
  unsigned max_retries;
  uint64_t max_response_bytes;
  unsigned concurrency;
  bool has_on_progress; /* a function; it stays in the options table */
};

/* Reads the table at `index` (or none or nil) and the environment into `out`, which must be all
 * zero, and is to be cleared by its owner even if this raises or fails. A table with an __index is
 * replaced by a plain one with all that was read. Raises an error that names the option if one is
 * unknown or has a wrong type or an impossible value, and if memory is short. False, with `failure`
 * filled, if credentials are missing; texts are checked by session_new. [-0, +0, e] */
bool options_read_client(lua_State *L, int index, struct client_options *out,
                         struct failure *failure);

/* Reads the table at `index` (or none or nil) into `out`; what it lacks is taken from the client's
 * options. A table with an __index is replaced as above. Raises in the name of the method.
 * [-0, +0, e] */
void options_read_method(lua_State *L, int index, enum method method,
                         const struct session_options *defaults, struct method_options *out);

/* Pushes "file:line: " of the Lua code that called the function or method of ours that runs.
 * [-0, +1, m] */
void options_push_where(lua_State *L);

/* Raises if there is an argument that is not nil above the stack index `last`. `count` is how many
 * the function or method takes, the client itself not counted. [-0, +0, e] */
void options_refuse_surplus(lua_State *L, int last, int count, const char *method);

/* Raises "bad argument #n to 'method' (...)" with the place of the call. */
int options_argument_error(lua_State *L, int argument, const char *method, const char *format, ...);

#endif
