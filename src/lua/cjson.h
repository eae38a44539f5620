/* lua-cjson, of which only the values for null and empty arrays are used: this module reads JSON
 * with lua/json_value, and writes it with lua/json_writer. */
#ifndef PODERO_CJSON_H
#define PODERO_CJSON_H

#include "lua/compat.h"

/* Loads lua-cjson. Raises an error if it is not installed. [-0, +0, e] */
void cjson_open(lua_State *L);

/* Pushes the value for JSON's null, the lightuserdata NULL: equal to cjson.null and ngx.null.
 * [-0, +1, -] */
void cjson_push_null(lua_State *L);

#endif
