/* Lua numbers as text, independent of the locale. */
#ifndef PODERO_NUMBER_TEXT_H
#define PODERO_NUMBER_TEXT_H

#include "core/number.h"
#include "lua/compat.h"

/* Writes the number on top, which must be finite, and a NUL: an integer with all digits, a float
 * with the fewest that convert back to the same number. Returns the length of the text without the
 * NUL. [-0, +0, -] */
static inline size_t number_text_write(lua_State *L, char text[NUMBER_BYTES]) {
#if LUA_VERSION_NUM >= 503
  if (lua_isinteger(L, -1)) return number_write_integer((int64_t)lua_tointeger(L, -1), text);
#endif
  return number_write((double)lua_tonumber(L, -1), text);
}

/* Replaces the number on top by its text, see number_text_write. [-1, +1, m] */
static inline void number_to_text(lua_State *L) {
  char text[NUMBER_BYTES];
  size_t size = number_text_write(L, text);
  lua_pushlstring(L, text, size);
  lua_replace(L, -2);
}

#endif
