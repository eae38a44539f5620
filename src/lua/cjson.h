/* JSON through an instance of lua-cjson of our own, so that neither side's settings touch the
 * other's. */
#ifndef PODERO_CJSON_H
#define PODERO_CJSON_H

#include "lua/compat.h"

/* Makes the instance for this Lua state. Raises where lua-cjson is missing. [-0, +0, e] */
void cjson_open(lua_State *L);

/* Pushes what stands for JSON's null. [-0, +1, -] */
void cjson_push_null(lua_State *L);

/* Decodes the string on top, and replaces it by the value, or by a message. True for a value.
 * Raises where memory is short. [-1, +1, m] */
bool cjson_decode(lua_State *L);

#endif
