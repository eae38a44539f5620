/* Decodes a JSON list of users (lua/user_schema.h) into Lua tables, in pieces of any size.
 *
 * The decoder either appends the users to a table or returns them one by one. It reads each user
 * into a record first, and makes a table of it (lua/user_table.h) if the filter accepts it.
 *
 * Fields of the schema: integers are integers if this Lua has them, coordinates always floats, and
 * numbers that are strings in the schema become their text; a field that is null is left out, so it
 * reads as nil. Numbers of other keys are integers if the text is one and fits. */
#ifndef PODERO_USER_DECODER_H
#define PODERO_USER_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/json.h"
#include "lua/compat.h"
#include "lua/key_collisions.h"
#include "lua/user_filter.h"
#include "lua/user_record.h"

#define USER_LIMIT_DEFAULT ((size_t)16 * 1024 * 1024)
#define USER_MAX_VALUES 65536 /* JSON values in one user */

enum user_status {
  USER_MORE,  /* all bytes are used: call again with the next ones, or user_decode_end */
  USER_READY, /* a user was pushed; `*used` bytes are used, the others have to be passed again */
  USER_DONE,  /* as many users as the filter's limit says were delivered: pass no more bytes */
  USER_FAILED /* see `error`; every further call fails, too */
};

enum user_fault {
  USER_FAULT_NONE,
  USER_FAULT_DECODE,    /* not JSON, or cut short */
  USER_FAULT_SCHEMA,    /* JSON, but not of the schema */
  USER_FAULT_TOO_LARGE, /* a user, a string, a number or what is delivered is above its limit, or
                           too many keys collide */
  USER_FAULT_MEMORY
};

struct user_error {
  enum user_fault fault;
  bool cut_short;    /* the input is the beginning of a list: a retry may help */
  uint64_t offset;   /* of the error, in bytes from the start of the input */
  char message[160]; /* one line */
};

/* How to decode. */
struct user_decoder_options {
  bool validate;      /* a missing required field or a value of a wrong type is an error; if false,
                       * values are passed on as they are */
  bool reports;       /* with `validate`: such a violation is no error but is reported, and the user
                       * is passed on as it is; see struct user_targets */
  size_t limit;       /* maximum size of one user in bytes; 0 means USER_LIMIT_DEFAULT */
  uint64_t max_bytes; /* the decoder fails if the values of the list, JSON_VALUE_BYTES each, are
                       * more; with a filter, if the users that are delivered are more, each its
                       * bytes or that many for each of its values, whichever is more */
  const struct user_filter *filter; /* borrowed; NULL: all users are delivered whole */
};

/* Put it into a userdata whose __gc calls user_decoder_free. */
struct user_decoder {
  uint64_t users;     /* read so far */
  uint64_t delivered; /* how many of them were delivered */
  struct user_error error;

  /* Private from here on. */
  struct json_reader reader;
  struct user_decoder_options options;
  struct user_record record;        /* of the current user */
  struct buffer scratch;            /* for user_filter_accepts */
  uint64_t needed;                  /* the fields that the record has to have; bit n is field n */
  uint64_t required;                /* those that each user must have */
  uint64_t invalid;                 /* those of the current user whose value has a wrong type */
  uint64_t user_offset;             /* where the current user begins */
  uint64_t user_values;             /* reader.values before it */
  uint64_t max_values;              /* maximum of reader.values in the list */
  uint64_t values_limit;            /* and in the current user */
  uint64_t delivered_bytes;         /* see max_bytes */
  bool entered;                     /* user_decode is running, or has raised an error */
  bool skips;                       /* the current value, which the schema lacks, is not needed */
  unsigned char place;              /* enum place: where in the list the reader is */
  unsigned char next;               /* the field expected next */
  signed char field;                /* the field whose value comes next, or UNKNOWN */
  struct key_collisions collisions; /* of the keys of this user that the schema lacks */
};

/* Initializes a decoder for one body; allocates nothing. */
void user_decoder_init(struct user_decoder *decoder, const struct user_decoder_options *options);

/* Frees what the decoder owns. May be called again, and for a struct that is all zero. */
void user_decoder_free(struct user_decoder *decoder);

/* Stack indices of what user_decode works on. */
struct user_targets {
  int state;      /* of user_table_push_state */
  int list;       /* the table to which users are appended; 0: a user is pushed, and USER_READY
                   * returned, as soon as it is complete */
  int violations; /* if options.reports is set: the table to which are appended, for each violation,
                   * the message and the position of the user in the list, from 1 on */
};

/* Decodes `size` bytes; sets `*used` to the number of bytes used. Raises only memory errors and
 * errors of finalizers: call it in lua_pcall. After such an error the decoder fails with
 * USER_FAULT_MEMORY. [-0, +(1 if USER_READY), m] */
enum user_status user_decode(lua_State *L, struct user_decoder *decoder,
                             struct user_targets targets, const char *bytes, size_t size,
                             size_t *used);

/* Returns whether as many users were delivered as the filter's limit says. */
static inline bool user_decoder_is_done(const struct user_decoder *decoder) {
  const struct user_filter *filter = decoder->options.filter;
  return filter != NULL && decoder->delivered >= filter->limit;
}

/* To be called at the end of the input. Returns false, with `error` set, if the list is not
 * complete. Does not use Lua. */
bool user_decode_end(struct user_decoder *decoder);

#endif
