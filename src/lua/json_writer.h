/* Writes Lua values as JSON (RFC 8259). */
#ifndef PODERO_JSON_WRITER_H
#define PODERO_JSON_WRITER_H

#include "core/buffer.h"
#include "lua/compat.h"

/* Appends the value on top of the stack to `out`. Tables are written as lua-cjson writes them: as
 * an array if all keys are integers from 1 on, with null for holes; otherwise as an object. An
 * empty table is an object. The values and metatables empty_array, empty_array_mt and array_mt of
 * lua-cjson, if it has them, make arrays. Metamethods are not used. cjson.null is written as null.
 * Numbers are written exactly, whatever the locale.
 *
 * Returns NULL on success. Otherwise returns what cannot be written, as a static string: a value of
 * another type, NaN, infinity, a string that is not UTF-8, an array that is mostly holes, or tables
 * nested deeper than 512 levels. On out of memory, `out` has failed (see core/buffer.h), or, if the
 * Lua stack cannot grow, this raises an error. [-0, +0, m] */
const char *json_write(lua_State *L, struct buffer *out);

/* Stores the values that lua-cjson has for arrays, for json_write. The table of lua-cjson is on
 * top. Call it once for each Lua state. [-0, +0, m] */
void json_writer_open(lua_State *L);

#endif
