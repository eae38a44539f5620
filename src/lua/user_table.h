/* Makes Lua tables of users that were read (lua/user_record.h). */
#ifndef PODERO_USER_TABLE_H
#define PODERO_USER_TABLE_H

#include <stdbool.h>

#include "lua/compat.h"
#include "lua/user_filter.h"
#include "lua/user_record.h"

/* Stack size that user_table_push needs, without that of nested values. */
#define USER_TABLE_SLOTS 8

/* Pushes a new state: a table with the strings of the schema, and those that many users of a list
 * share. It holds nothing of a user that is read only in part: any number of lists can use it.
 * [-0, +1, m] */
void user_table_push_state(lua_State *L);

/* Pushes the names of the fields from a state: USER_FIELD_COUNT values. [-0, +n, -] */
void user_table_push_names(lua_State *L, int state);

/* Pushes a user.
 *   state: stack index of a state
 *   names: stack index of the first value of user_table_push_names; 0: they are taken from the
 *     state, which takes longer
 *   filter: says which keys are delivered; NULL: all of them
 * Fields that are null are left out. Other keys may have any value: strings, numbers, booleans, and
 * tables, in which null members are left out and null elements are the lightuserdata NULL
 * (cjson.null), so that the other elements keep their index. Of equal keys the last one counts.
 * Returns false, and may have pushed values, if Lua has no room for the user.
 * [-0, +1, m] */
bool user_table_push(lua_State *L, int state, int names, const struct user_record *record,
                     const struct user_filter *filter);

#endif
