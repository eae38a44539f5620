/* Makes Lua tables of user records (lua/user_record.h). */
#ifndef PODERO_USER_TABLE_H
#define PODERO_USER_TABLE_H

#include <stdbool.h>

#include "lua/compat.h"
#include "lua/user_filter.h"
#include "lua/user_record.h"

/* How many stack slots user_table_push needs; it reserves those for nested values itself. */
#define USER_TABLE_SLOTS 8

/* Pushes a new state: a table with the strings of the schema, and strings that successive users
 * often share. Any number of lists can use it at the same time. [-0, +1, m] */
void user_table_push_state(lua_State *L);

/* Pushes the names of the fields from the state at `state`. [-0, +USER_FIELD_COUNT, -] */
void user_table_push_names(lua_State *L, int state);

/* Pushes a table for a user, and returns true. Returns false, and may have pushed any values, if
 * the stack cannot grow, or an array has too many elements for Lua. [-0, +?, m]
 *   state: stack index of a state
 *   names: stack index of the first of the names that user_table_push_names has pushed, or 0 to
 *     take them from the state, which is slower
 *   filter: decides which keys are delivered; NULL for all
 * Keys that are null are left out. Other keys than those of the schema may have any value. In their
 * objects, null members are left out; in their arrays, null elements are the lightuserdata NULL
 * (cjson.null), so that the other elements keep their index. If keys are equal, the last one
 * counts. */
bool user_table_push(lua_State *L, int state, int names, const struct user_record *record,
                     const struct user_filter *filter);

#endif
