/* Decodes a JSON list of users (lua/user_schema.h) into Lua tables, in pieces of any size.
 *
 * The decoder either appends the users to a table or returns them one by one. It has two parts.
 * struct user_decoder owns all memory outside of Lua: put it into a userdata whose __gc calls
 * user_decoder_free. The state, a Lua table of user_push_state, has the Lua values: keep it alive
 * until the list is decoded, for instance as a user value of that userdata.
 *
 * Fields of the schema: integers are integers if this Lua has them, coordinates always floats; a
 * field that is null is left out, so it reads as nil. Other keys may have any value: strings,
 * numbers (integers if the text is one and fits), booleans, and tables, in which null members are
 * left out and null elements are the lightuserdata NULL (cjson.null), so that the other elements
 * keep their index. Of equal keys the last one counts. */
#ifndef PODERO_USER_DECODER_H
#define PODERO_USER_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/json.h"
#include "lua/compat.h"
#include "lua/key_collisions.h"

#define USER_FIELDS_MAX 32 /* sets of fields have a bit for each */
#define USER_LIMIT_DEFAULT ((size_t)16 * 1024 * 1024)
#define USER_MAX_VALUES 65536 /* JSON values in one user, in keys that the schema does not have */

enum user_status {
  USER_MORE,  /* all bytes are used: call again with the next ones, or user_decode_end */
  USER_READY, /* a user was pushed; `*used` bytes are used, the others have to be passed again */
  USER_FAILED /* see `error`; every further call fails, too */
};

enum user_fault {
  USER_FAULT_NONE,
  USER_FAULT_DECODE,    /* not JSON, or cut short */
  USER_FAULT_SCHEMA,    /* JSON, but not of the schema */
  USER_FAULT_TOO_LARGE, /* a user, a string, a number or the list is above its limit, or too many
                           keys collide */
  USER_FAULT_MEMORY
};

struct user_error {
  enum user_fault fault;
  bool cut_short;    /* the input is the beginning of a list: a retry may help */
  uint64_t offset;   /* of the error, in bytes from the start of the input */
  char message[160]; /* one line */
};

struct user_decoder {
  uint64_t users; /* decoded so far */
  struct user_error error;

  /* Private from here on. */
  struct json_reader reader;
  bool validate;
  size_t limit;                     /* maximum size of a user in bytes */
  uint64_t user_offset;             /* where the current user begins */
  uint64_t max_values;              /* maximum number of values in the list */
  uint64_t values_limit;            /* maximum of reader.values in the current user */
  bool entered;                     /* user_decode is running, or has raised an error */
  unsigned char place;              /* enum place: where in the list the reader is */
  unsigned char next;               /* the field expected next */
  signed char field;                /* the field whose value comes next, or UNKNOWN */
  bool has_table;                   /* the current user has keys that the schema does not have */
  int saved;                        /* number of stack values that are saved in the state */
  int unknown, unknown_before;      /* number of such keys in this user, and in the last one */
  uint64_t required, seen;          /* sets of fields */
  struct key_collisions collisions; /* of the unknown keys of this user */
};

/* Initializes a decoder for one body; allocates nothing.
 *   validate: a missing required field or a value of a wrong type is an error; if false, such
 *     values are passed on as they are
 *   limit: maximum size of one user in bytes, which with USER_MAX_VALUES bounds its memory; 0 means
 *     USER_LIMIT_DEFAULT
 *   max_bytes: the decoder fails if the values of the list, JSON_VALUE_BYTES each, are more */
void user_decoder_init(struct user_decoder *decoder, bool validate, size_t limit,
                       uint64_t max_bytes);

/* Frees what the decoder owns. May be called again, and for a struct that is all zero. */
void user_decoder_free(struct user_decoder *decoder);

/* Pushes a new state, with the strings of the schema. It can be used again after a complete list,
 * but by one decoder at a time. [-0, +1, m] */
void user_push_state(lua_State *L);

/* Decodes `size` bytes.
 *   state: stack index of the state
 *   list: stack index of the table to which users are appended; 0: a user is pushed, and USER_READY
 *     returned, as soon as it is complete
 *   used: set to the number of bytes used
 * Raises only memory errors and errors of finalizers: call it in lua_pcall. After such an error the
 * decoder fails with USER_FAULT_MEMORY. [-0, +(1 if USER_READY), m] */
enum user_status user_decode(lua_State *L, struct user_decoder *decoder, int state, int list,
                             const char *bytes, size_t size, size_t *used);

/* To be called at the end of the input. Returns false, with `error` set, if the list is not
 * complete. Does not use Lua. */
bool user_decode_end(struct user_decoder *decoder);

#endif
