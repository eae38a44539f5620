/* Lua numbers as text, independent of the locale. */
#ifndef PODERO_NUMBER_TEXT_H
#define PODERO_NUMBER_TEXT_H

#include "core/number.h"
#include "lua/compat.h"

/* Replaces the number on top, which must be finite, by its text: for an integer all digits, for a
 * float the shortest text that converts back to the same number. [-1, +1, m] */
static inline void number_to_text(lua_State *L) {
  char text[NUMBER_BYTES];
#if LUA_VERSION_NUM >= 503
  size_t size = lua_isinteger(L, -1) ? number_write_integer((int64_t)lua_tointeger(L, -1), text)
                                     : number_write((double)lua_tonumber(L, -1), text);
#else
  size_t size = number_write((double)lua_tonumber(L, -1), text);
#endif
  lua_pushlstring(L, text, size);
  lua_replace(L, -2);
}

#endif
