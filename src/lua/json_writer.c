#include "lua/json_writer.h"

#include <math.h>

#include "core/utf8.h"
#include "lua/number_text.h"

/* How deeply tables may be nested. */
#define MAX_DEPTH 512

/* An array whose greatest index is above SPARSE_INDEX and above SPARSE_RATIO times the number of
 * its elements is not written, because its JSON may be far larger than the table. */
#define SPARSE_INDEX 10
#define SPARSE_RATIO 2

/* Keys in the registry. */
#define EMPTY_ARRAY "podero.empty_array"
#define EMPTY_ARRAY_METATABLE "podero.empty_array_mt"
#define ARRAY_METATABLE "podero.array_mt"

void json_writer_open(lua_State *L) {
  lua_getfield(L, -1, "empty_array");
  lua_setfield(L, LUA_REGISTRYINDEX, EMPTY_ARRAY);
  lua_getfield(L, -1, "empty_array_mt");
  lua_setfield(L, LUA_REGISTRYINDEX, EMPTY_ARRAY_METATABLE);
  lua_getfield(L, -1, "array_mt");
  lua_setfield(L, LUA_REGISTRYINDEX, ARRAY_METATABLE);
}

/* Returns whether the value on top, which is not nil, is the one stored in the registry under this
 * key. [-0, +0, m] */
static bool is_registered(lua_State *L, const char *key) {
  lua_getfield(L, LUA_REGISTRYINDEX, key);
  bool same = lua_rawequal(L, -1, -2) != 0;
  lua_pop(L, 1);
  return same;
}

/* The functions below append the value on top to `out`. They return what json_write does. */

/* ---- scalars ---- */

static bool is_utf8(const char *text, size_t size) {
  const unsigned char *p = (const unsigned char *)text, *end = p + size;
  while (p != NULL && p < end)
    p = *p < 0x80 ? p + 1 : utf8_skip(p, end);
  return p != NULL;
}

static const char *write_string(lua_State *L, struct buffer *out) {
  size_t size;
  const char *text = lua_tolstring(L, -1, &size);
  if (!is_utf8(text, size)) return "a string that is not UTF-8";
  buffer_add_json_text(out, text, size);
  return NULL;
}

static const char *write_number(lua_State *L, struct buffer *out) {
  char text[NUMBER_BYTES];
  lua_Number number = lua_tonumber(L, -1);
  if (!isfinite(number)) return isnan(number) ? "NaN" : "infinity";
  buffer_append(out, text, number_text_write(L, text));
  return NULL;
}

/* ---- tables ---- */

static const char *write_value(lua_State *L, struct buffer *out, int depth);

/* What a table is written as. */
enum shape { SHAPE_ARRAY, SHAPE_OBJECT, SHAPE_SPARSE };

/* Returns whether the table on top has one of lua-cjson's metatables for arrays. `empty`: whether
 * the table is empty. [-0, +0, m] */
static bool is_marked(lua_State *L, bool empty) {
  if (!lua_getmetatable(L, -1)) return false;
  bool marked =
      is_registered(L, ARRAY_METATABLE) || (empty && is_registered(L, EMPTY_ARRAY_METATABLE));
  lua_pop(L, 1);
  return marked;
}

/* Returns the shape of the table on top. Unless it is an object, sets `*length` to its greatest
 * index. [-0, +0, m] */
static enum shape find_shape(lua_State *L, int *length) {
  lua_Number greatest = 0, count = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    lua_Number key = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
    if (!(key >= 1 && floor(key) == key && key < INT_MAX)) {
      lua_pop(L, 2);
      return SHAPE_OBJECT;
    }
    count++;
    greatest = fmax(greatest, key);
  }
  *length = (int)greatest;
  if (count == 0) return is_marked(L, true) ? SHAPE_ARRAY : SHAPE_OBJECT;
  bool sparse = greatest > SPARSE_INDEX && greatest > count * SPARSE_RATIO;
  return sparse ? SHAPE_SPARSE : SHAPE_ARRAY;
}

static const char *write_array(lua_State *L, struct buffer *out, int length, int depth) {
  const char *wrong = NULL;
  buffer_add(out, "[");
  for (int i = 1; i <= length && wrong == NULL; i++) {
    if (i > 1) buffer_add(out, ",");
    lua_rawgeti(L, -1, i);
    wrong = write_value(L, out, depth);
    lua_pop(L, 1);
  }
  buffer_add(out, "]");
  return wrong;
}

/* Writes the key, which is below the value on top. Works on a copy, because lua_tolstring would
 * convert a number in place and confuse lua_next. */
static const char *write_key(lua_State *L, struct buffer *out) {
  const char *wrong = "a key that is neither a string nor a number";
  lua_pushvalue(L, -2);
  if (lua_type(L, -1) == LUA_TSTRING) {
    wrong = write_string(L, out);
  } else if (lua_type(L, -1) == LUA_TNUMBER) {
    buffer_add(out, "\"");
    wrong = write_number(L, out);
    buffer_add(out, "\"");
  }
  lua_pop(L, 1);
  return wrong;
}

static const char *write_object(lua_State *L, struct buffer *out, int depth) {
  const char *wrong = NULL, *separator = "";
  buffer_add(out, "{");
  lua_pushnil(L);
  while (wrong == NULL && lua_next(L, -2)) {
    buffer_add(out, separator);
    separator = ",";
    wrong = write_key(L, out);
    buffer_add(out, ":");
    if (wrong == NULL) wrong = write_value(L, out, depth);
    lua_pop(L, wrong == NULL ? 1 : 2);
  }
  buffer_add(out, "}");
  return wrong;
}

static const char *write_table(lua_State *L, struct buffer *out, int depth) {
  int length;
  if (depth > MAX_DEPTH) return "tables nested deeper than 512 levels";
  luaL_checkstack(L, 8, NULL);
  switch (find_shape(L, &length)) {
  case SHAPE_ARRAY: return write_array(L, out, length, depth);
  case SHAPE_OBJECT: return write_object(L, out, depth);
  case SHAPE_SPARSE: break;
  }
  return "an array that is mostly holes";
}

/* Writes the value on top, which is inside `depth` tables. */
static const char *write_value(lua_State *L, struct buffer *out, int depth) {
  switch (lua_type(L, -1)) {
  case LUA_TNIL: buffer_add(out, "null"); return NULL; /* a hole */
  case LUA_TBOOLEAN: buffer_add(out, lua_toboolean(L, -1) ? "true" : "false"); return NULL;
  case LUA_TNUMBER: return write_number(L, out);
  case LUA_TSTRING: return write_string(L, out);
  case LUA_TTABLE: return write_table(L, out, depth + 1);
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(L, -1) == NULL) {
      buffer_add(out, "null");
      return NULL;
    }
    if (is_registered(L, EMPTY_ARRAY)) {
      buffer_add(out, "[]");
      return NULL;
    }
    return "a userdata";
  case LUA_TUSERDATA: return "a userdata";
  case LUA_TFUNCTION: return "a function";
  case LUA_TTHREAD: return "a coroutine";
  default: return "a value of an unknown type"; /* LuaJIT's cdata */
  }
}

const char *json_write(lua_State *L, struct buffer *out) {
  luaL_checkstack(L, 8, NULL);
  return write_value(L, out, 0);
}
