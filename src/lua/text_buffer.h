/* Buffers (core/buffer.h) in userdata, for texts that are made from Lua values. Their bytes are
 * overwritten and freed even if an error is raised meanwhile.
 *
 *   text_buffer_open, text_buffer_push, text_buffer_get, text_buffer_check, text_buffer_to_string
 */
#ifndef PODERO_TEXT_BUFFER_H
#define PODERO_TEXT_BUFFER_H

#include "core/buffer.h"
#include "lua/compat.h"

/* Registers the metatable of these userdata. [-0, +0, m] */
void text_buffer_open(lua_State *L);

/* Pushes a userdata with an empty buffer, and returns the buffer, which is valid until Lua collects
 * the userdata. Its bytes are freed then, or earlier by buffer_free. [-0, +1, m] */
struct buffer *text_buffer_push(lua_State *L);

/* Returns the buffer at `index`, or NULL if there is something else. [-0, +0, -] */
struct buffer *text_buffer_get(lua_State *L, int index);

/* Raises Lua's "not enough memory" if the buffer has failed to allocate memory. [-0, +0, v] */
void text_buffer_check(lua_State *L, const struct buffer *buffer);

/* Replaces the userdata on top by a string with the bytes of its buffer, and frees them. Raises an
 * error as text_buffer_check does. [-1, +1, v] */
void text_buffer_to_string(lua_State *L);

#endif
