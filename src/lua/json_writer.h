/* Writes Lua values as JSON (RFC 8259). */
#ifndef PODERO_JSON_WRITER_H
#define PODERO_JSON_WRITER_H

#include "core/buffer.h"
#include "lua/compat.h"

/* Appends the value on top of the stack to `out`. Tables are written as lua-cjson does: an array if
 * all keys are integers from 1 on, with null for what is missing, else an object; an empty table is
 * an object, and the values and metatables empty_array, empty_array_mt and array_mt of a lua-cjson
 * that has them make arrays. Metamethods are not used. cjson.null is null. Numbers are written
 * exactly, whatever the locale.
 *
 * Returns NULL, or a message about what cannot be written: a value of another type, NaN, infinity,
 * a text that is not UTF-8, an array that is mostly holes, tables inside each other at more than
 * 512 levels. Allocates memory of Lua for the stack only. `out` has failed if out of memory.
 * [-0, +0, m] */
const char *json_write(lua_State *L, struct buffer *out);

/* Stores lua-cjson's values for empty arrays; the table of lua-cjson is on top. [-0, +0, m] */
void json_writer_open(lua_State *L);

#endif
