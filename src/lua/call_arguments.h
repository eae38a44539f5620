/* Checks the arguments of the methods that make calls, both for a client (client.c) and for a
 * client of podero.mock (mock.c), which refuses the same arguments.
 *
 *   call_arguments_read_list, call_arguments_read_get, call_arguments_read_request,
 *   call_arguments_read_token, call_arguments_push_org_ids
 *
 * The client is at index 1, the arguments are above it. Each function raises an error if an
 * argument has the wrong type. */
#ifndef PODERO_LUA_CALL_ARGUMENTS_H
#define PODERO_LUA_CALL_ARGUMENTS_H

#include <stdbool.h>

#include "core/session.h"
#include "lua/call_object.h"
#include "lua/compat.h"
#include "lua/options.h"

/* The client at index 1. */
struct call_client {
  struct session *session;                /* NULL for a client of podero.mock */
  const struct session_options *defaults; /* for options that are not given; unused if is_closed */
  bool is_closed;
  bool has_max_response_bytes; /* the option was given */
  bool has_headers;            /* index 1 has CLIENT_HEADERS */
};

/* "/api/partners/v2.0/org/", a UUID, "/users" and NUL. */
#define CALL_USERS_PATH_BYTES (23 + 36 + 6 + 1)

/* The arguments of one call. Do not copy it: `request` may refer to `users_path`. */
struct call_arguments {
  struct method_options options;
  struct call_request request; /* refers to values on the stack, and to users_path */
  int opts;                    /* stack index of the options, for call_push_new */
  int filter;                  /* stack index of the filter, or 0, for call_push_new */
  char users_path[CALL_USERS_PATH_BYTES];
};

/* Each of these functions reads the arguments of one method into `out`, leaves the values to which
 * it refers on the stack, and returns true. If the client is closed, the id is not a UUID or the
 * path cannot be used, returns false, with nil and an error object on top. [-0, +?, v]
 *
 * call_arguments_read_list reads (org_id [, opts]); for METHOD_FIND_USER (org_id, where [, opts]);
 * for METHOD_LIST_USERS_OF (org_id, opts, fields, filter), with one id of
 * call_arguments_push_org_ids. */
bool call_arguments_read_list(lua_State *L, const struct call_client *client, enum method method,
                              struct call_arguments *out);
bool call_arguments_read_get(lua_State *L, const struct call_client *client,
                             struct call_arguments *out);
bool call_arguments_read_request(lua_State *L, const struct call_client *client,
                                 struct call_arguments *out);
bool call_arguments_read_token(lua_State *L, const struct call_client *client,
                               struct call_arguments *out);

/* Reads the arguments of list_users_of, (org_ids [, opts]), which it removes from the stack
 * together with the client, and pushes:
 *   ids          array of the ids to request, without repeated ones, whatever their case
 *   concurrency  the option
 *   aliases      array of the ids that differ from one of `ids` only in case, each followed by that
 *                one
 *   fields       the header fields of all calls, in a text buffer, or nil
 *   filter       of all calls, see user_filter_push, or nil
 * Returns how many values it has pushed. [1.., +5, v] */
int call_arguments_push_org_ids(lua_State *L, const struct call_client *client);

#endif
