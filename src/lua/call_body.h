/* The callbacks through which the core hands the body of a response to the binding.
 *
 *   calls     call_body_binding, call_body_run, call_body_push_targets
 *   decoders  call_body_set_users_failure, call_body_end_users, call_body_set_value_failure */
#ifndef PODERO_LUA_CALL_BODY_H
#define PODERO_LUA_CALL_BODY_H

#include "lua/call_private.h"
#include "lua/compat.h"

/* The binding of every call. Its environment is the lua_State that runs call_step. There the call
 * object must be at index 1 and call_body_run at index 2, and four more values must fit on the
 * stack. The callbacks raise no Lua error. If one occurs inside them, the call fails: with
 * FAILURE_MEMORY if it is a memory error; otherwise `raised` is set, and VALUE_RAISED holds the
 * error. */
extern const struct call_binding call_body_binding;

/* lua_CFunction that the callbacks run with lua_pcall; its argument is the call object. Push it
 * before call_step: lua_pushcfunction may allocate memory, which the callbacks must not do outside
 * of lua_pcall. [1, +0] */
int call_body_run(lua_State *L);

/* Pushes what the user decoder of the call at index 1 works on, and returns the stack indices of
 * these values. [-0, +(1..3), -] */
struct user_targets call_body_push_targets(lua_State *L, const struct call_object *object);

/* Fills `failure` if the user decoder has an error; otherwise does nothing. */
void call_body_set_users_failure(const struct user_decoder *decoder, struct failure *failure);

/* Ends a list: fills `failure` if it is not complete, or if `finds` is true and no user was
 * delivered. */
void call_body_end_users(struct user_decoder *decoder, bool finds, struct failure *failure);

/* Fills `failure` if the decoder of any JSON value has an error; otherwise does nothing. */
void call_body_set_value_failure(const struct json_value *value, struct failure *failure);

#endif
