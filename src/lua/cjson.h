/* lua-cjson, used only for its values for null and for arrays. This module reads JSON with
 * lua/json_value and writes it with lua/json_writer. */
#ifndef PODERO_CJSON_H
#define PODERO_CJSON_H

#include "lua/compat.h"

/* Loads lua-cjson, and stores its values for arrays. Raises an error if it is not installed.
 * [-0, +0, e] */
void cjson_open(lua_State *L);

/* Pushes podero.null, the lightuserdata NULL, which equals cjson.null and ngx.null. [-0, +1, -] */
void cjson_push_null(lua_State *L);

#endif
