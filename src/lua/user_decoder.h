/* From the bytes of a list of users (user_schema) to Lua tables.
 *
 * A user_decoder is fed the body in pieces, and either appends the users to a table, or hands out
 * one at a time and can be left alone in between for as long as one likes. It has two halves:
 * `struct user_decoder` owns all memory that is not Lua's and lies in a userdata of the caller's,
 * whose __gc calls user_decoder_free; and a Lua table ("the state"), made by user_push_state, which
 * the caller keeps alive, for instance as that userdata's user value.
 *
 * Values: `lua_Integer` for integers where Lua has them; coordinates always floats; null left out,
 * so that the field is nil. Keys that the schema lacks: strings, numbers (an integer if the text is
 * one and fits), booleans, and tables, in which null members are left out, and null elements are
 * the lightuserdata NULL (lua-cjson's null), so that positions hold. Of equal keys the last one
 * wins. */
#ifndef PODERO_USER_DECODER_H
#define PODERO_USER_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/json.h"
#include "lua/compat.h"
#include "lua/key_collisions.h"

#define USER_FIELDS_MAX 32 /* a bit each in user_decoder's sets */
#define USER_LIMIT_DEFAULT ((size_t)16 * 1024 * 1024)
#define USER_MAX_VALUES 65536 /* in one user: the keys that the schema lacks can hold anything */

enum user_status {
  USER_MORE,  /* all bytes are used: call again with the next ones, or user_decode_end */
  USER_READY, /* a user lies on the top of the stack, and `*used` tells how far the bytes are used
               */
  USER_FAILED /* see `error`; every further call says so again */
};

enum user_fault {
  USER_FAULT_NONE,
  USER_FAULT_DECODE,    /* not JSON, or cut short */
  USER_FAULT_SCHEMA,    /* not the schema's */
  USER_FAULT_TOO_LARGE, /* a user, a string or number in one, or the list, above its limit; or too
                           many keys that collide */
  USER_FAULT_MEMORY
};

struct user_error {
  enum user_fault fault;
  bool cut_short;    /* the input ended too early, but was right so far: another try may help */
  uint64_t offset;   /* bytes from the start of the input to what is wrong */
  char message[160]; /* one line */
};

struct user_decoder {
  uint64_t users; /* finished so far */
  struct user_error error;

  /* Private from here on. */
  struct json_reader reader;
  bool validate;
  size_t limit;                     /* bytes of one user */
  uint64_t user_offset;             /* where the user begins */
  uint64_t max_values;              /* in the list */
  uint64_t values_limit;            /* what reader.values may come to in this user */
  bool entered;                     /* a call is at work, or was left by a Lua error */
  unsigned char place;              /* enum place: where in the list the reader is */
  unsigned char next;               /* the field expected next */
  signed char field;                /* whose value comes next, or UNKNOWN */
  bool has_table;                   /* the user has keys that the schema lacks */
  int saved;                        /* stack slots that lie in the state meanwhile */
  int unknown, unknown_before;      /* keys the schema lacks: in this user, in the last */
  uint64_t required, seen;          /* sets of fields */
  struct key_collisions collisions; /* of keys the schema lacks, in this user */
};

/* Makes a decoder for one body; allocates nothing. `validate`: a missing required field, or a value
 * of the wrong type, is an error; else such values pass as they came. `limit`: how many bytes of
 * the body one user may take, which with USER_MAX_VALUES bounds the memory it takes; 0 stands for
 * USER_LIMIT_DEFAULT. `max_bytes`: it fails if the values of the whole list count more, see
 * JSON_VALUE_BYTES. */
void user_decoder_init(struct user_decoder *decoder, bool validate, size_t limit,
                       uint64_t max_bytes);

/* Frees what the decoder owns. All zero, or freed before, is fine. */
void user_decoder_free(struct user_decoder *decoder);

/* Pushes a new table that holds the schema's strings, and what lies half done between two calls of
 * user_decode. One decoder at a time uses it. [-0, +1, m] */
void user_push_state(lua_State *L);

/* Decodes `size` bytes. `state`: the stack index of the decoder's state. `list`: that of a table to
 * which users are appended, after the users that the decoder finished before; or 0, to have each
 * user pushed, and USER_READY returned. `*used`: how many of the bytes were used; the others are to
 * be passed again. May raise memory errors, and only those: call it inside a lua_pcall; afterwards
 * the decoder fails with USER_FAULT_MEMORY, and can but be freed. [-0, +(1 if USER_READY), m] */
enum user_status user_decode(lua_State *L, struct user_decoder *decoder, int state, int list,
                             const char *bytes, size_t size, size_t *used);

/* Says that the input has ended. False, and an error, if the list is not complete. Needs no Lua. */
bool user_decode_end(struct user_decoder *decoder);

#endif
