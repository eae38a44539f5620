/* Decodes a JSON list of users (lua/user_schema.h) into Lua tables, in pieces of any size.
 *
 * The decoder either appends the users to a table or pushes them one by one. It reads each user
 * into a record first, and makes a table of it (lua/user_table.h) if the filter accepts the user.
 *
 * Fields of the schema: integers are integers if this Lua has them, coordinates are always floats,
 * and a number becomes its text if the schema has a string there. A field that is null is left out,
 * so it reads as nil. Under other keys, a number is an integer if its text is one and fits into
 * int64_t. */
#ifndef PODERO_USER_DECODER_H
#define PODERO_USER_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/json.h"
#include "lua/compat.h"
#include "lua/decode_error.h"
#include "lua/key_collisions.h"
#include "lua/user_filter.h"
#include "lua/user_record.h"

#define USER_LIMIT_DEFAULT ((size_t)16 * 1024 * 1024)
#define USER_MAX_VALUES 65536 /* JSON values in one user */

enum user_status {
  USER_MORE,  /* all bytes were used: pass the next ones, or call user_decode_end */
  USER_READY, /* a user was pushed; `*used` bytes were used, pass the others again */
  USER_DONE,  /* the filter's limit is reached: pass no more bytes */
  USER_FAILED /* see `error`; every further call fails, too */
};

/* How to decode. */
struct user_decoder_options {
  bool validate;      /* fail if a required field is missing or a value has the wrong type; if
                       * false, values are passed on as they are */
  bool reports;       /* with `validate`: report such violations instead, and pass on the user as it
                       * is; see struct user_targets */
  size_t limit;       /* maximum size of one user in bytes; 0 means USER_LIMIT_DEFAULT */
  uint64_t max_bytes; /* limit on the list, where each value counts as JSON_VALUE_BYTES. With a
                       * filter: limit on what is delivered, where a user counts as its bytes, or
                       * as JSON_VALUE_BYTES for each of its values if that is more */
  const struct user_filter *filter; /* borrowed; NULL: all users are delivered with all keys */
};

/* Put it into a userdata whose __gc calls user_decoder_free. */
struct user_decoder {
  uint64_t users;     /* number of users read so far */
  uint64_t delivered; /* number of users delivered so far */
  struct decode_error error;

  /* Private from here on. */
  struct json_reader reader;
  struct user_decoder_options options;
  struct user_record record;        /* of the current user */
  struct buffer scratch;            /* for user_filter_accepts */
  uint64_t needed;                  /* the fields that the record must have; bit n is field n */
  uint64_t required;                /* the fields that each user must have */
  uint64_t invalid;                 /* the fields of the current user with a wrong type */
  uint64_t user_offset;             /* where the current user begins */
  uint64_t user_values;             /* reader.values before the current user */
  uint64_t max_values;              /* maximum of reader.values in the list */
  uint64_t values_limit;            /* maximum of reader.values in the current user */
  uint64_t delivered_bytes;         /* counted as max_bytes says, with a filter */
  bool entered;                     /* user_decode is running, or has raised an error */
  bool skips;                       /* the current value is not needed */
  unsigned char place;              /* enum place: where in the list the reader is */
  unsigned char next;               /* the field expected next */
  signed char field;                /* the field whose value comes next; -1: not in the schema */
  struct key_collisions collisions; /* of the current user's keys that the schema lacks */
};

/* Initializes a decoder for one body; allocates nothing. `options` is copied; its filter must
 * outlive the decoder. */
void user_decoder_init(struct user_decoder *decoder, const struct user_decoder_options *options);

/* Frees what the decoder owns. May be called again, and for a struct that is all zero. */
void user_decoder_free(struct user_decoder *decoder);

/* Stack indices of tables that user_decode uses. */
struct user_targets {
  int state;      /* a state from user_table_push_state */
  int list;       /* the array to which users are appended; 0: push each user as soon as it is
                   * complete, and return USER_READY */
  int violations; /* if options.reports is set: the array to which each violation appends two
                   * elements: the message, and the user's position in the list, from 1 on */
};

/* Decodes the next `size` bytes, which must stay valid until this returns, and sets `*used` to the
 * number of bytes used. Call it in lua_pcall: it raises memory errors and errors of finalizers.
 * After such an error the decoder fails with FAILURE_MEMORY. Pushes a user if it returns
 * USER_READY, else nothing. [-0, +(0|1), m] */
enum user_status user_decode(lua_State *L, struct user_decoder *decoder,
                             struct user_targets targets, const char *bytes, size_t size,
                             size_t *used);

/* Returns whether the filter's limit on the number of users is reached. */
static inline bool user_decoder_is_done(const struct user_decoder *decoder) {
  const struct user_filter *filter = decoder->options.filter;
  return filter != NULL && decoder->delivered >= filter->limit;
}

/* Call it at the end of the input. Returns false, with `error` set, if the list is not complete.
 * Does not use Lua. */
bool user_decode_end(struct user_decoder *decoder);

#endif
