/* From JSON of any kind (RFC 8259) to Lua values, in pieces of any size or in one go.
 *
 * Objects and arrays become tables; integers become integers if Lua has them and int64_t can hold
 * them, all other numbers floats; null is the lightuserdata NULL (lua-cjson's null), in objects,
 * too. Of equal keys the last one wins.
 *
 * A json_value is fed the body in pieces. It has two halves: `struct json_value` owns all memory
 * that is not Lua's, and lies in a userdata whose __gc calls json_value_free; and a Lua table ("the
 * state"), new for each body, which the caller keeps alive meanwhile. */
#ifndef PODERO_JSON_VALUE_H
#define PODERO_JSON_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/json.h"
#include "lua/compat.h"
#include "lua/key_collisions.h"

/* What a JSON value counts against a limit on bytes, at least: a scalar in a table takes as much,
 * though its text may have a single byte. */
#define JSON_VALUE_BYTES 16
#define JSON_VALUE_TOO_MANY                                                                        \
  "the response exceeds max_response_bytes, of which each JSON value counts 16"

enum json_value_fault {
  JSON_VALUE_FAULT_NONE,
  JSON_VALUE_FAULT_DECODE,    /* not JSON, cut short, or nested too deeply */
  JSON_VALUE_FAULT_TOO_LARGE, /* above the limit; or too many keys that collide */
  JSON_VALUE_FAULT_MEMORY
};

struct json_value_error {
  enum json_value_fault fault;
  bool cut_short;    /* the input ended too early, but was right so far: another try may help */
  uint64_t offset;   /* bytes from the start of the input to what is wrong */
  char message[128]; /* one line */
};

/* May push something in the place of a string, a key or a number, and return true; `reader` holds
 * the text. It must not keep the reader. [-0, +(0|1), m] */
typedef bool json_value_replace(lua_State *L, const struct json_reader *reader,
                                enum json_event event, void *context);

struct json_value {
  struct json_value_error error;

  /* Private from here on. */
  struct json_reader reader;
  uint64_t max_values;
  json_value_replace *replace; /* or NULL */
  void *context;
  uint64_t elements; /* of the innermost array */
  struct key_collisions collisions;
  bool has_key; /* between two calls: a key was read, and lies in the state */
  bool entered; /* a call is at work, or was left by a Lua error */
};

/* Makes a decoder for one body; allocates nothing. `max_bytes`: it fails if the values in the body
 * count more, see JSON_VALUE_BYTES. */
void json_value_init(struct json_value *value, uint64_t max_bytes);

/* Frees what the decoder owns. All zero, or freed before, is fine. */
void json_value_free(struct json_value *value);

/* Pushes a new table for what lies half done between two calls. [-0, +1, m] */
void json_value_push_state(lua_State *L);

/* Decodes the next `size` bytes; `state`: the stack index of the decoder's state. False, and
 * `error` is set, if they are not what a value goes on with; then it is to be freed. May raise
 * memory errors (and what finalizers raise), and only those: call it inside a lua_pcall; afterwards
 * the decoder fails with JSON_VALUE_FAULT_MEMORY. [-0, +0, m] */
bool json_value_decode(lua_State *L, struct json_value *value, int state, const char *bytes,
                       size_t size);

/* Says that the input has ended, and pushes its value; or pushes nothing, sets `error` and returns
 * false. [-0, +(0|1), m] */
bool json_value_end(lua_State *L, struct json_value *value, int state);

/* Registers a metatable that json_value_push needs. [-0, +0, m] */
void json_value_open(lua_State *L);

/* Pushes the value that `size` bytes at `text` are; or pushes nothing and returns false if they are
 * not JSON, but for bytes in strings that are no UTF-8: what goes wrong is not always encoded well.
 * The text must stay until this returns or raises, whatever finalizers do. `replace` is called for
 * each string, key and number (NULL: for none). [-0, +(0|1), m] */
bool json_value_push(lua_State *L, const char *text, size_t size, json_value_replace *replace,
                     void *context);

#endif
