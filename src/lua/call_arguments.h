/* Checks the arguments of the methods that make calls: for a client (client.c), and for a client of
 * podero.mock (mock.c), which refuses the same.
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
  const struct session_options *defaults; /* of the options of methods; not read if is_closed */
  bool is_closed;
  bool has_max_response_bytes; /* the option was given */
  bool has_headers;            /* index 1 has CLIENT_HEADERS */
};

/* "/api/partners/v2.0/org/", a UUID, "/users" and NUL. */
#define CALL_USERS_PATH_BYTES (23 + 36 + 6 + 1)

/* The arguments of one call. It must not be copied: `request` may refer to `users_path`. */
struct call_arguments {
  struct method_options options;
  struct call_request request; /* its texts belong to values on the stack, or to users_path */
  int opts;                    /* stack index of the options, as for call_push_new */
  int filter;                  /* the same of the filter */
  char users_path[CALL_USERS_PATH_BYTES];
};

/* Each of these reads the arguments of one method into `out`, leaves what that refers to on the
 * stack, and returns true. If the call cannot be made, pushes nil and an error object (the client
 * is closed, an id is not a UUID, a path cannot be requested), and returns false. [-0, +n, v]
 *
 * read_list reads (org_id [, where] [, opts]), and for METHOD_LIST_USERS_OF one id of
 * call_arguments_push_org_ids, (org_id, opts, fields, filter). */
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
