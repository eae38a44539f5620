/* A call as Lua sees it: the userdata that the loops in lua/wait push forward. */
#ifndef PODERO_LUA_CALL_H
#define PODERO_LUA_CALL_H

#include "core/agent.h"
#include "lua/compat.h"
#include "lua/options.h"

/* Beside a client. */
enum {
  CLIENT_ON_EVENT = 1,
  CLIENT_BASE_URL, /* for __tostring */
  CLIENT_STATE,    /* of user_push_state, while no call uses it */
  CLIENT_SLOTS = CLIENT_STATE
};

/* Registers the metatable. [-0, +0, m] */
void call_open(lua_State *L);

/* Pushes a new call of the client at index 1, or nil and an error object. The path is on base_url,
 * the query encoded; `options` at the stack index `opts` hold on_progress, where there is one.
 * [-0, +1|2, m] */
int call_push_new(lua_State *L, struct agent *agent, enum method method, bool validate,
                  const char *path, const char *query, const struct method_options *options,
                  int opts);

/* Pushes nil and an error object. `agent` may be NULL. [-0, +2, m] */
int call_push_failure(lua_State *L, struct agent *agent, enum failure_kind kind,
                      const char *message);

/* Pushes what the loops are made of: step, wait, finish, take, stop. [-0, +5, m] */
void call_push_functions(lua_State *L);

#endif
