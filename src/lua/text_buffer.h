/* Buffers of the core that belong to Lua, for texts that are made of Lua values: they are freed,
 * and overwritten, even if an error is raised meanwhile.
 *
 *   text_buffer_open, text_buffer_push, text_buffer_get, text_buffer_check, text_buffer_to_string
 */
#ifndef PODERO_TEXT_BUFFER_H
#define PODERO_TEXT_BUFFER_H

#include "core/buffer.h"
#include "lua/compat.h"

/* Registers the metatable of these userdata. [-0, +0, m] */
void text_buffer_open(lua_State *L);

/* Pushes a userdata with an empty buffer, and returns that. Its bytes are freed when Lua collects
 * the userdata, or by buffer_free before. [-0, +1, m] */
struct buffer *text_buffer_push(lua_State *L);

/* Returns the buffer at `index`; NULL if there is something else. [-0, +0, -] */
struct buffer *text_buffer_get(lua_State *L, int index);

/* Raises an error if the buffer has failed to allocate memory. [-0, +0, v] */
void text_buffer_check(lua_State *L, const struct buffer *buffer);

/* Replaces the userdata on top by a string with the bytes of its buffer, which are freed at once.
 * Raises an error if the buffer has failed to allocate memory. [-1, +1, v] */
void text_buffer_to_string(lua_State *L);

#endif
