#include "lua/text_buffer.h"

#define TYPE_NAME "podero.text"

/* __gc [1, +0] */
static int free_bytes(lua_State *L) {
  buffer_free(lua_touserdata(L, 1));
  return 0;
}

void text_buffer_open(lua_State *L) {
  compat_register_gc(L, TYPE_NAME, free_bytes);
}

struct buffer *text_buffer_push(lua_State *L) {
  struct buffer *buffer = lua_newuserdata(L, sizeof *buffer);
  *buffer = (struct buffer){0};
  luaL_getmetatable(L, TYPE_NAME);
  lua_setmetatable(L, -2);
  return buffer;
}

struct buffer *text_buffer_get(lua_State *L, int index) {
  return compat_testudata(L, index, TYPE_NAME);
}

void text_buffer_check(lua_State *L, const struct buffer *buffer) {
  if (buffer->failed) luaL_error(L, "not enough memory");
}

void text_buffer_to_string(lua_State *L) {
  struct buffer *buffer = lua_touserdata(L, -1);
  text_buffer_check(L, buffer);
  lua_pushlstring(L, buffer->data != NULL ? buffer->data : "", buffer->size);
  buffer_free(buffer);
  lua_remove(L, -2);
}
