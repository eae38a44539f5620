/* Decodes any JSON (RFC 8259) into Lua values, in pieces of any size or in one call.
 *
 * Objects and arrays become tables. An integer that fits into int64_t becomes an integer if this
 * Lua has integers; all other numbers become floats. null becomes the lightuserdata NULL
 * (cjson.null), also in objects. If an object has equal keys, the last one counts.
 *
 * A decoder has two parts. struct json_value owns the memory outside of Lua: put it into a userdata
 * whose __gc calls json_value_free. The state, a Lua table from json_value_push_state, has the Lua
 * values: keep it until the body is decoded, and use a new one for each body. */
#ifndef PODERO_JSON_VALUE_H
#define PODERO_JSON_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/json.h"
#include "lua/compat.h"
#include "lua/decode_error.h"
#include "lua/key_collisions.h"

/* Each JSON value counts as this many bytes towards the limit on a body: a scalar in a table takes
 * that much memory, even if its text is a single byte. */
#define JSON_VALUE_BYTES 16
#define JSON_VALUE_TOO_MANY                                                                        \
  "the response exceeds max_response_bytes, of which each JSON value counts 16"

/* Called for each string, key and number; `reader` has its text. Pushes a value that replaces it
 * and returns true, or returns false to keep it. Must not keep `reader`. [-0, +(0|1), m] */
typedef bool json_value_replace(lua_State *L, const struct json_reader *reader,
                                enum json_event event, void *context);

struct json_value {
  struct decode_error error; /* of any kind but FAILURE_SCHEMA */

  /* Private from here on. */
  struct json_reader reader;
  uint64_t max_values;
  json_value_replace *replace; /* or NULL */
  void *context;               /* argument of `replace` */
  uint64_t elements;           /* of the innermost array */
  struct key_collisions collisions;
  bool has_key; /* the state has a key whose value comes next */
  bool entered; /* json_value_decode or json_value_end is running, or has raised an error */
};

/* Initializes a decoder for one body; allocates nothing. The decoder fails if the body has more
 * than `max_bytes` / JSON_VALUE_BYTES values, or a string or number of more than `max_bytes`. */
void json_value_init(struct json_value *value, uint64_t max_bytes);

/* Frees what the decoder owns. May be called again, and for a struct that is all zero. */
void json_value_free(struct json_value *value);

/* Pushes a new state. [-0, +1, m] */
void json_value_push_state(lua_State *L);

/* Decodes the next `size` bytes, which must stay valid until this returns. `state`: stack index of
 * the state. Returns false, with `error` set, if they do not continue a JSON text or are above a
 * limit, and in every call after that. Call it in lua_pcall: it raises memory errors and errors of
 * finalizers. After such an error the decoder fails with FAILURE_MEMORY. [-0, +0, m] */
bool json_value_decode(lua_State *L, struct json_value *value, int state, const char *bytes,
                       size_t size);

/* Call it at the end of the input. Pushes its value and returns true, or returns false, with
 * `error` set, if the input is not complete. Raises errors as json_value_decode does.
 * [-0, +(0|1), m] */
bool json_value_end(lua_State *L, struct json_value *value, int state);

/* Pushes a number, a boolean or null, and returns true. Returns false for other events. Only the
 * value of a number is used: `integer` for JSON_INTEGER, `number` for JSON_DOUBLE.
 * [-0, +(0|1), -] */
static inline bool json_value_push_unless_text(lua_State *L, enum json_event event, int64_t integer,
                                               double number) {
  switch (event) {
  case JSON_FALSE: lua_pushboolean(L, 0); return true;
  case JSON_TRUE: lua_pushboolean(L, 1); return true;
  case JSON_INTEGER: compat_push_int64(L, integer); return true;
  case JSON_DOUBLE: lua_pushnumber(L, (lua_Number)number); return true;
  case JSON_NULL: lua_pushlightuserdata(L, NULL); return true;
  default: return false;
  }
}

/* Registers the metatable that json_value_push needs. [-0, +0, m] */
void json_value_open(lua_State *L);

/* Decodes the `size` bytes at `text`. Pushes the value and returns true, or returns false if they
 * are not JSON. Strings need not be UTF-8, as the bodies of error responses often are not. `text`
 * must stay valid until this returns or raises an error, even if finalizers run. `replace` may be
 * NULL; `context` is its argument. [-0, +(0|1), m] */
bool json_value_push(lua_State *L, const char *text, size_t size, json_value_replace *replace,
                     void *context);

#endif
