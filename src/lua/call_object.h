/* A call as Lua sees it: the userdata that the loops of lua/methods push forward. */
#ifndef PODERO_LUA_CALL_H
#define PODERO_LUA_CALL_H

#include "core/call.h"
#include "core/session.h"
#include "lua/compat.h"
#include "lua/options.h"

/* Beside a client. */
enum {
  CLIENT_ON_EVENT = 1,
  CLIENT_BASE_URL, /* for __tostring */
  CLIENT_STATE,    /* of user_push_state, while no call uses it */
  CLIENT_SHARED,   /* a table of what its methods share: see lua/methods */
  CLIENT_REUSABLE, /* a call that has been finished, for the next; or nil */
  CLIENT_VALUES = CLIENT_REUSABLE
};

/* Registers the metatable. [-0, +0, m] */
void call_open(lua_State *L);

/* Pushes a new call of the client at index 1, or nil and an error object. The path is on base_url,
 * the query encoded; `options` at the stack index `opts` hold on_progress, where there is one.
 * [-0, +1|2, m] */
int call_push_new(lua_State *L, struct session *session, enum method method, bool validate,
                  const char *path, const char *query, const struct method_options *options,
                  int opts);

/* Pushes nil and an error object. `session` may be NULL. [-0, +2, m] */
int call_push_failure(lua_State *L, struct session *session, enum failure_kind kind,
                      const char *message);

/* Calls are handed to C functions one by one or as a list. How many `index` holds, and the nth of
 * them; NULL where it has ended. [-0, +0, -] */
int calls_count(lua_State *L, int index);
struct call *calls_get(lua_State *L, int index, int n);

/* The session of a call, ended or not; of a list, that of its first, or NULL. [-0, +0, -] */
struct session *calls_session(lua_State *L, int index);

/* Sets in the table on top what the loops push calls forward with. [-0, +0, m]
 *   step(call, seconds, drive) -> whether it has ended, whether it wants a token from the store
 *   attend(call, seconds) -> whether it has ended; blocks, and asks no store
 *   finish(call, reusable) -> the results of the method; nil and an error of kind closed if the
 * call was stopped before it was completed. `reusable`: nobody else has the call, and another may
 * be made of it take(call) -> the next user of each_user, or nil where step comes first stop(calls)
 */
void call_set_functions(lua_State *L);

#endif
