/* What becomes of a response's body: the callbacks that the core calls with it.
 *
 *   of a call       call_body_binding, call_body_run, call_body_push_targets
 *   of any decoder  call_body_set_users_failure, call_body_set_value_failure, call_body_end_users
 */
#ifndef PODERO_LUA_CALL_BODY_H
#define PODERO_LUA_CALL_BODY_H

#include "lua/call_private.h"
#include "lua/compat.h"

/* The binding of every call. Its environment is the lua_State that runs call_step; there the call
 * object must be at index 1 and call_body_run at index 2, and four more values must fit on the
 * stack. The callbacks raise no Lua error: one that is raised inside is stored in VALUE_RAISED, and
 * the call fails. */
extern const struct call_binding call_body_binding;

/* lua_CFunction that the binding runs with lua_pcall; its argument is the call object. Push it
 * before call_step, so that the callbacks allocate nothing outside of lua_pcall. [1, +0] */
int call_body_run(lua_State *L);

/* Pushes what the user decoder of the call at index 1 works on. [-0, +(1..3), -] */
struct user_targets call_body_push_targets(lua_State *L, const struct call_object *object);

/* Fills `failure` with the error of a user decoder, if it has one. */
void call_body_set_users_failure(const struct user_decoder *decoder, struct failure *failure);

/* To be called at the end of a list: fills `failure` if the list is not complete, or if `finds` is
 * true and no user was delivered. */
void call_body_end_users(struct user_decoder *decoder, bool finds, struct failure *failure);

/* Fills `failure` with the error of a decoder of any JSON, if it has one. */
void call_body_set_value_failure(const struct json_value *value, struct failure *failure);

#endif
