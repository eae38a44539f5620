/* What is lua-cjson's here: its null. JSON is read by a reader of our own, see lua/json_value. */
#ifndef PODERO_CJSON_H
#define PODERO_CJSON_H

#include "lua/compat.h"

/* Loads lua-cjson, so that its absence shows at once. Raises if it is missing. [-0, +0, e] */
void cjson_open(lua_State *L);

/* Pushes what stands for JSON's null: lua-cjson's, and ngx.null. [-0, +1, -] */
void cjson_push_null(lua_State *L);

#endif
