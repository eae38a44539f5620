#include "lua/json_value.h"

#include <string.h>

#define TYPE_NAME "podero.json_value"

/* Elements of the state: a key whose value comes next; then, from STATE_VALUE on, the open arrays
 * and objects, the innermost last. The first of these is the whole value. An array or object is
 * stored in the one around it when it begins, so nothing else has to be kept between pieces. */
enum { STATE_KEY = 1, STATE_VALUE = 2 };

/* ---- errors ---- */

/* These set `error`, and return false. */

static bool memory_error(struct json_value *v) {
  decode_error_set_memory(&v->error, &v->reader);
  return false;
}

static bool too_large(struct json_value *v, const char *message) {
  decode_error_set(&v->error, FAILURE_TOO_LARGE, v->reader.token_offset, "%s", message);
  return false;
}

static bool reader_error(struct json_value *v) {
  decode_error_set_from_reader(&v->error, &v->reader);
  return false;
}

/* ---- values ---- */

/* One call of json_value_decode. Meanwhile the stack has from index `base` on: the innermost open
 * array or object, or nil; then, in an object, the key whose value comes next. */
struct run {
  lua_State *L;
  struct json_value *v;
  int state, base;
};

/* Returns the index in the state of the innermost array or object. */
static int innermost_index(const struct json_value *v) {
  return STATE_VALUE + (int)json_depth(&v->reader) - 1;
}

/* Stores the value on top: in the innermost object, under the key below it on the stack, in the
 * innermost array, or as the whole value. Returns false if an array has too many elements for Lua.
 * [-(0..2), +0, m] */
static bool store(const struct run *run) {
  lua_State *L = run->L;
  if (lua_gettop(L) == run->base + 2)
    lua_rawset(L, run->base);
  else if (!lua_isnil(L, run->base))
    return compat_set_element(L, run->base, ++run->v->elements);
  else
    lua_rawseti(L, run->state, STATE_VALUE);
  return true;
}

/* Makes a table for an array or object that begins, stores it, and makes it the innermost one.
 * Returns false if the array around it has too many elements for Lua. [-(0|1), +(0|1), m] */
static bool begin_container(const struct run *run) {
  lua_State *L = run->L;
  int index = innermost_index(run->v);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawseti(L, run->state, index);
  if (!store(run)) return false;
  lua_rawgeti(L, run->state, index);
  lua_replace(L, run->base);
  run->v->elements = 0;
  return true;
}

/* Makes the array or object around the one that ends the innermost one. [-0, +0, -] */
static void end_container(const struct run *run) {
  lua_State *L = run->L;
  if (json_depth(&run->v->reader) == 0) {
    lua_pushnil(L);
  } else {
    lua_rawgeti(L, run->state, innermost_index(run->v));
    if (json_in_array(&run->v->reader)) run->v->elements = lua_rawlen(L, -1);
  }
  lua_replace(L, run->base);
}

/* Pushes a scalar or a key, or the value that replaces it. [-0, +1, m] */
static void push_scalar(const struct run *run, enum json_event event) {
  const struct json_value *v = run->v;
  const struct json_reader *r = &v->reader;
  if (json_has_text(event) && v->replace != NULL && v->replace(run->L, r, event, v->context))
    return;
  if (!json_value_push_unless_text(run->L, event, r->integer, r->number))
    lua_pushlstring(run->L, r->text, r->size);
}

/* Pushes a key. Returns false, with `error` set, if too many keys collide. [-0, +(0|1), m] */
static bool handle_key(const struct run *run) {
  struct json_value *v = run->v;
  uintptr_t object = (uintptr_t)lua_topointer(run->L, run->base);
  if (!key_collisions_add(&v->collisions, object, v->reader.text, v->reader.size))
    return too_large(v, KEY_COLLISIONS_TOO_MANY);
  push_scalar(run, JSON_KEY);
  return true;
}

/* Handles one event of the reader. Returns false, with `error` set, on failure.
 * [-(0|1), +(0|1), m] */
static bool handle_event(const struct run *run, enum json_event event) {
  struct json_value *v = run->v;
  bool stored = true;
  if (v->reader.values > v->max_values) return too_large(v, JSON_VALUE_TOO_MANY);
  switch (event) {
  case JSON_KEY: return handle_key(run);
  case JSON_ARRAY_BEGIN:
  case JSON_OBJECT_BEGIN: stored = begin_container(run); break;
  case JSON_ARRAY_END:
  case JSON_OBJECT_END: end_container(run); break;
  default: push_scalar(run, event); stored = store(run);
  }
  return stored || memory_error(v);
}

/* Handles events until the reader has no more bytes or the text ends. Returns false, with `error`
 * set, on failure. [-?, +?, m] */
static bool read_events(const struct run *run) {
  enum json_event event;
  while ((event = json_next(&run->v->reader)) > JSON_NEED_MORE)
    if (!handle_event(run, event)) return false;
  return event != JSON_ERROR || reader_error(run->v);
}

/* ---- pieces ---- */

/* Pushes what the stack had at the end of the last piece, see struct run. [-0, +(1|2), -] */
static void push_saved(const struct run *run) {
  const struct json_value *v = run->v;
  if (json_depth(&v->reader) > 0)
    lua_rawgeti(run->L, run->state, innermost_index(v));
  else
    lua_pushnil(run->L);
  if (v->has_key) lua_rawgeti(run->L, run->state, STATE_KEY);
}

/* Reads the bytes that the reader was given, or handles the end of the input. [-0, +0, m] */
static bool read_piece(lua_State *L, struct json_value *v, int state) {
  int top = lua_gettop(L);
  struct run run = {L, v, lua_absindex(L, state), top + 1};
  if (v->entered) memory_error(v); /* the last call raised a Lua error */
  if (v->error.kind != FAILURE_NONE) return false;
  v->entered = true;
  bool ok = lua_checkstack(L, 6) ? true : memory_error(v);
  if (ok) {
    push_saved(&run);
    ok = read_events(&run);
    v->has_key = lua_gettop(L) == run.base + 1;
    if (ok && v->has_key) lua_rawseti(L, run.state, STATE_KEY);
  }
  lua_settop(L, top);
  v->entered = false;
  return ok;
}

void json_value_init(struct json_value *v, uint64_t max_bytes) {
  memset(v, 0, sizeof *v);
  v->max_values = max_bytes / JSON_VALUE_BYTES;
  json_init(&v->reader, 0, max_bytes < SIZE_MAX ? (size_t)max_bytes : SIZE_MAX);
}

void json_value_free(struct json_value *v) {
  json_free(&v->reader);
}

void json_value_push_state(lua_State *L) {
  lua_createtable(L, STATE_VALUE + 6, 0);
}

bool json_value_decode(lua_State *L, struct json_value *v, int state, const char *bytes,
                       size_t size) {
  json_feed(&v->reader, bytes, size);
  bool ok = read_piece(L, v, state);
  json_feed(&v->reader, NULL, 0); /* the bytes are valid only during this call */
  return ok;
}

bool json_value_end(lua_State *L, struct json_value *v, int state) {
  state = lua_absindex(L, state);
  json_end(&v->reader);
  if (!read_piece(L, v, state)) return false;
  lua_rawgeti(L, state, STATE_VALUE);
  return true;
}

/* ---- in one call ---- */

/* __gc, for the decoder of a json_value_push that raised an error. [1, +0] */
static int collect(lua_State *L) {
  json_value_free(lua_touserdata(L, 1));
  return 0;
}

void json_value_open(lua_State *L) {
  compat_register_gc(L, TYPE_NAME, collect);
}

bool json_value_push(lua_State *L, const char *text, size_t size, json_value_replace *replace,
                     void *context) {
  int top = lua_gettop(L);
  struct json_value *v = lua_newuserdata(L, sizeof *v);
  json_value_init(v, UINT64_MAX);
  v->reader.any_bytes = true;
  v->replace = replace;
  v->context = context;
  luaL_getmetatable(L, TYPE_NAME);
  lua_setmetatable(L, -2);
  json_value_push_state(L);
  bool ok = json_value_decode(L, v, -1, text, size) && json_value_end(L, v, -1);
  bool out_of_memory = v->error.kind == FAILURE_MEMORY;
  json_value_free(v);
  if (out_of_memory) luaL_error(L, "not enough memory");
  if (ok) lua_replace(L, top + 1);
  lua_settop(L, top + ok);
  return ok;
}
