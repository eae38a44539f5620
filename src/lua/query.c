#include "lua/query.h"

#include <math.h>

#include "lua/argument.h"
#include "lua/number_text.h"
#include "lua/options.h"
#include "lua/text_buffer.h"

/* Converts the value of a query parameter, on top, to a string. Raises an error if it is not a
 * string, finite number or boolean. [-1, +1, v] */
static void value_to_string(lua_State *L, struct argument argument, const char *name) {
  int type = lua_type(L, -1);
  if (type == LUA_TBOOLEAN) {
    lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
    lua_replace(L, -2);
  } else if (type == LUA_TNUMBER) {
    if (!isfinite(lua_tonumber(L, -1)))
      argument_error(L, argument.number, argument.method,
                     "query parameter '%s': expected a finite number, got %s", name,
                     isnan(lua_tonumber(L, -1)) ? "NaN" : "infinity");
    number_to_text(L);
  } else if (type != LUA_TSTRING) {
    argument_error(L, argument.number, argument.method,
                   "query parameter '%s': expected a string, number, boolean or array, got %s",
                   name, luaL_typename(L, -1));
  }
}

/* Appends the encoded "name=value" for the value on top. [-1, +0, v] */
static void add_pair(lua_State *L, struct buffer *query, struct argument argument, const char *name,
                     size_t name_size) {
  size_t size;
  value_to_string(L, argument, name);
  const char *value = lua_tolstring(L, -1, &size);
  if (query->size > 0) buffer_add(query, "&");
  buffer_add_form_encoded(query, name, name_size);
  buffer_add(query, "=");
  buffer_add_form_encoded(query, value, size);
  lua_pop(L, 1);
}

/* Calls add_pair for each element of the array on top. Raises an error if it is empty or not an
 * array. [-1, +0, v] */
static void add_array(lua_State *L, struct buffer *query, struct argument argument,
                      const char *name, size_t name_size) {
  int count = (int)lua_rawlen(L, -1), members = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    members++;
  if (count == 0 || members != count)
    argument_error(L, argument.number, argument.method,
                   "query parameter '%s': expected an array of values, got %s", name,
                   members == 0 ? "an empty table" : "a table with other keys");
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    add_pair(L, query, argument, name, name_size);
  }
  lua_pop(L, 1);
}

void query_push(lua_State *L, int index, struct argument argument, const char *first) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  struct buffer *query = text_buffer_push(L);
  if (first != NULL) buffer_add(query, first);
  if (!lua_istable(L, index))
    argument_error(L, argument.number, argument.method, "query: table expected, got %s",
                   luaL_typename(L, index));
  lua_pushnil(L);
  while (lua_next(L, index)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      argument_error(L, argument.number, argument.method, "query: names must be strings, got %s",
                     luaL_typename(L, -2));
    size_t size;
    const char *name = lua_tolstring(L, -2, &size);
    if (lua_istable(L, -1))
      add_array(L, query, argument, name, size);
    else
      add_pair(L, query, argument, name, size);
  }
  text_buffer_to_string(L);
}
