#include "lua/argument.h"

#include <stdarg.h>
#include <string.h>

void argument_push_where(lua_State *L) {
  luaL_where(L, 1);
  for (int level = 2; strncmp(lua_tostring(L, -1), "podero:", 7) == 0; level++) {
    lua_pop(L, 1); /* a Lua file of this module made the call; use its caller */
    luaL_where(L, level);
  }
}

void argument_refuse_self(lua_State *L, const char *type, const char *method) {
  argument_push_where(L);
  lua_pushfstring(L, "%scalling '%s' on a bad self (%s expected, got %s; use client:%s(...))",
                  lua_tostring(L, -1), method, type, luaL_typename(L, 1), method);
  compat_error(L);
}

int argument_error(lua_State *L, int argument, const char *method, const char *format, ...) {
  argument_push_where(L);
  va_list arguments;
  va_start(arguments, format);
  lua_pushvfstring(L, format, arguments);
  va_end(arguments);
  lua_pushfstring(L, "%sbad argument #%d to '%s' (%s)", lua_tostring(L, -2), argument, method,
                  lua_tostring(L, -1));
  return lua_error(L);
}

void argument_refuse_surplus(lua_State *L, int last, int count, const char *method) {
  int top = lua_gettop(L);
  for (int i = last + 1; i <= top; i++) {
    if (!lua_isnil(L, i))
      argument_error(L, count + i - last, method, "no value expected, got %s", luaL_typename(L, i));
  }
}
