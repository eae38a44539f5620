#include "lua/query.h"

#include <math.h>

#include "core/buffer.h"
#include "lua/number_text.h"
#include "lua/options.h"

/* Form-encodes the text (application/x-www-form-urlencoded). [-0, +0, m] */
static void add_form_encoded(luaL_Buffer *buffer, const char *text, size_t size) {
  for (size_t i = 0; i < size; i++) {
    char encoded[3];
    luaL_addlstring(buffer, encoded, form_encode(text[i], encoded));
  }
}

/* Replaces the value of a query parameter on top by its text. Raises an error if it is no string,
 * number or boolean. [-1, +1, v] */
static void value_to_string(lua_State *L, struct query_giver giver, const char *name) {
  int type = lua_type(L, -1);
  if (type == LUA_TBOOLEAN) {
    lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
    lua_replace(L, -2);
  } else if (type == LUA_TNUMBER) {
    if (!isfinite(lua_tonumber(L, -1)))
      options_argument_error(L, giver.argument, giver.method,
                             "query parameter '%s': %s is not a number to be sent", name,
                             isnan(lua_tonumber(L, -1)) ? "NaN" : "infinity");
    number_to_text(L);
  } else if (type != LUA_TSTRING) {
    options_argument_error(
        L, giver.argument, giver.method,
        "query parameter '%s': expected a string, number, boolean or array, got %s", name,
        luaL_typename(L, -1));
  }
}

/* Appends the encoded "name=value", for the value on top, to the array at `pairs`. [-1, +0, v] */
static void add_pair(lua_State *L, int pairs, struct query_giver giver, const char *name,
                     size_t name_size) {
  size_t size;
  value_to_string(L, giver, name);
  const char *value = lua_tolstring(L, -1, &size);
  luaL_Buffer pair;
  luaL_buffinit(L, &pair);
  if (lua_rawlen(L, pairs) > 0) luaL_addchar(&pair, '&');
  add_form_encoded(&pair, name, name_size);
  luaL_addchar(&pair, '=');
  add_form_encoded(&pair, value, size);
  luaL_pushresult(&pair);
  lua_rawseti(L, pairs, (int)lua_rawlen(L, pairs) + 1);
  lua_pop(L, 1);
}

/* Calls add_pair for each element of the array on top. Raises an error if it is empty or no
 * array. [-1, +0, v] */
static void add_array(lua_State *L, int pairs, struct query_giver giver, const char *name,
                      size_t name_size) {
  int count = (int)lua_rawlen(L, -1), members = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    members++;
  if (count == 0 || members != count)
    options_argument_error(L, giver.argument, giver.method,
                           "query parameter '%s': expected an array of values, got %s", name,
                           members == 0 ? "an empty table" : "a table with other keys");
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    add_pair(L, pairs, giver, name, name_size);
  }
  lua_pop(L, 1);
}

/* Pushes the concatenation of the array of strings on top. [-0, +1, m] */
static void push_concatenation(lua_State *L) {
  int pairs = lua_gettop(L), count = (int)lua_rawlen(L, pairs);
  luaL_Buffer query;
  luaL_buffinit(L, &query);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, pairs, i);
    luaL_addvalue(&query);
  }
  luaL_pushresult(&query);
}

void query_push(lua_State *L, int index, struct query_giver giver, const char *first) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_newtable(L);
  int pairs = lua_gettop(L);
  if (first != NULL) {
    lua_pushstring(L, first);
    lua_rawseti(L, pairs, 1);
  }
  if (!lua_istable(L, index))
    options_argument_error(L, giver.argument, giver.method, "query: table expected, got %s",
                           luaL_typename(L, index));
  lua_pushnil(L);
  while (lua_next(L, index)) { /* pairs, name, value */
    if (lua_type(L, -2) != LUA_TSTRING)
      options_argument_error(L, giver.argument, giver.method, "query: names are strings, not %s",
                             luaL_typename(L, -2));
    size_t size;
    const char *name = lua_tolstring(L, -2, &size);
    if (lua_istable(L, -1))
      add_array(L, pairs, giver, name, size);
    else
      add_pair(L, pairs, giver, name, size);
  }
  push_concatenation(L);
  lua_remove(L, pairs);
}
