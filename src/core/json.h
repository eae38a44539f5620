/* An incremental reader of JSON (RFC 8259): it is given the text in pieces of any size, and returns
 * events.
 *
 *   create  json_init, json_free
 *   input   json_feed, json_end, json_unread
 *   read    json_next, json_next_members, json_text_is_temporary, json_depth, json_in_array
 *
 *   json_init(&reader, 0, 0);
 *   json_feed(&reader, bytes, size);             for each piece
 *   while ((event = json_next(&reader)) > JSON_NEED_MORE)
 *     ...                                        use the event; stop at any time
 *   json_end(&reader);                           after the last piece; then json_next as before,
 *                                                until JSON_END or JSON_ERROR
 *   json_free(&reader);
 *
 * A piece may end anywhere: inside a number, an escape or a UTF-8 sequence. Events, errors and
 * offsets are the same however the text is cut into pieces.
 *
 * The reader is strict: the text is exactly one value, of any type, with optional white space
 * around it. It refuses a byte order mark, invalid UTF-8, a \u escape that is half of a surrogate
 * pair, control characters in strings, leading zeros, numbers too large for a double, and
 * everything else that is not in the grammar. It does not recurse. It allocates memory only for a
 * string that has escapes, and for a string or number that the end of a piece has cut; the token
 * limit bounds it. */
#ifndef PODERO_JSON_H
#define PODERO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

#define JSON_DEPTH_DEFAULT 512                        /* arrays and objects, nested */
#define JSON_DEPTH_MAX 1024                           /* the largest limit that can be set */
#define JSON_TOKEN_DEFAULT ((size_t)16 * 1024 * 1024) /* bytes of a string or number */

/* What json_next returns, in the order of the text. "Container" stands for array or object. */
enum json_event {
  JSON_ERROR,     /* see fault, message, offset; further calls return it again */
  JSON_END,       /* the value is complete and there is nothing behind it */
  JSON_NEED_MORE, /* the piece has been read: call json_feed or json_end */
  JSON_NULL,
  JSON_FALSE,
  JSON_TRUE,
  JSON_INTEGER, /* a number without fraction and exponent that int64_t can hold: `integer`; `text`
                   and `size` are the number as it is written */
  JSON_DOUBLE,  /* any other number, and -0: `number`; and `text` and `size` */
  JSON_STRING,  /* `text` and `size`, decoded */
  JSON_KEY,     /* the name of a member: `text` and `size`; its value follows */
  JSON_ARRAY_BEGIN,
  JSON_ARRAY_END,
  JSON_OBJECT_BEGIN,
  JSON_OBJECT_END
};

enum json_fault {
  JSON_FAULT_NONE,
  JSON_FAULT_SYNTAX,    /* not JSON: the byte at `offset` is not allowed there */
  JSON_FAULT_CUT_SHORT, /* the input ended before the value was complete */
  JSON_FAULT_RANGE,     /* a number beyond the largest double */
  JSON_FAULT_DEPTH,     /* containers are nested deeper than the limit */
  JSON_FAULT_TOKEN,     /* a string or number longer than the limit */
  JSON_FAULT_MEMORY     /* out of memory */
};

struct json_reader {
  /* May be set after json_init: accept any bytes from 0x80 on in strings, valid UTF-8 or not. */
  bool any_bytes;

  /* The last event's value. `text` is UTF-8, is not terminated by a NUL, may contain NULs, and lies
   * in the piece or in the reader's memory: it is valid until the next call of json_next,
   * json_feed or json_free. */
  const char *text;
  size_t size;
  int64_t integer;
  double number;
  uint64_t token_offset; /* of the last event's first byte, counted from the start of the input */
  uint64_t values;       /* how many have begun: scalars, arrays and objects, but not keys */

  /* After JSON_ERROR. */
  enum json_fault fault;
  const char *message; /* a string literal */
  uint64_t offset;     /* of the byte that is wrong, counted from the start of the input */

  /* Private from here on. */
  const unsigned char *at, *end; /* the unread part of the piece */
  uint64_t origin;               /* a byte's address plus this is its offset */
  unsigned char expect;          /* an enum expect: what the grammar allows next */
  unsigned char partial;         /* an enum partial: the token that the end of a piece has cut */
  unsigned char state; /* an enum string_state or number_state: how far that token has been read */
  bool in_array, ended;
  unsigned short depth, depth_limit;
  size_t token_limit;
  const char *literal;              /* the rest of a cut true, false or null */
  unsigned char literal_event;      /* and the event it will be */
  unsigned char pending, low, high; /* UTF-8 bytes that must follow, and bounds of the next one */
  unsigned char digits;             /* how many of a \u escape have been read */
  uint32_t unit, surrogate;         /* their value; the first half of a surrogate pair, or 0 */
  uint64_t escape_offset;           /* of the backslash of that escape or pair */
  char *scratch;                    /* the decoded part of a cut or escaped token */
  size_t scratch_size, scratch_capacity;
  unsigned char arrays[JSON_DEPTH_MAX / 8]; /* one bit per level: whether it is an array */
};

/* A scalar, or another event, apart from the reader that has read it. */
struct json_token {
  union {
    const char *text; /* of a string or number; in the piece */
    size_t at;        /* if is_kept: where it begins in a buffer */
  };
  union {
    int64_t integer; /* JSON_INTEGER */
    double number;   /* JSON_DOUBLE */
    size_t next;     /* for whoever keeps arrays and objects: another token that belongs to it */
  };
  uint32_t size;       /* of the text, in bytes */
  unsigned char event; /* enum json_event */
  bool is_kept;
};

/* A member that is expected in an object, whose value is a scalar. */
struct json_member {
  const char *key;       /* as it would be written: quotes, a text without escapes, and the colon */
  unsigned char size;    /* of the key, in bytes; 4 to JSON_KEY_MAX */
  unsigned short events; /* bit n: the value may be event n of enum json_event */
};

#define JSON_KEY_MAX 48
#define JSON_MEMBERS_MAX 64

/* What json_next_members is to read, and what it has read. */
struct json_members {
  const struct json_member *expected; /* in the order in which they are most likely to come */
  struct json_token *values;          /* for the value of each of them */
  unsigned count;                     /* of them, JSON_MEMBERS_MAX at most */
  unsigned next;                      /* the first one that may come next; below `count` */
  uint64_t wanted;                    /* bit n: the value of member n is wanted */
  struct buffer *texts;               /* wanted strings that have escapes are appended to it */
  uint64_t read, nulls;               /* bit n: member n was read; it was, and is null */
};

/* Initializes a reader for one input. Allocates nothing. `depth_limit` is how deep containers may
 * be nested, JSON_DEPTH_MAX at most; `token_limit` is how many bytes a decoded string or a number
 * may have. 0 stands for JSON_DEPTH_DEFAULT and JSON_TOKEN_DEFAULT. */
void json_init(struct json_reader *reader, unsigned depth_limit, size_t token_limit);

/* Overwrites and frees the memory of the reader. Fine for a reader that is all zero, and for one
 * that has been freed. */
void json_free(struct json_reader *reader);

/* Sets the piece to read next, which replaces the one before. It is borrowed until json_next
 * returns JSON_NEED_MORE or json_feed is called again. To stop in the middle of a piece and go on
 * later, keep the last json_unread() bytes of it, at the same address or another one, and pass them
 * to json_feed first. Must not be called after json_end. */
void json_feed(struct json_reader *reader, const char *bytes, size_t size);

/* Says that there are no more pieces. */
void json_end(struct json_reader *reader);

/* Reads up to the next event, and returns it. */
enum json_event json_next(struct json_reader *reader);

/* Reads members of an object at once, in the order in which they are expected; any may be missing.
 * Stops at the first one that is not expected, or whose value is of another type or is not read
 * here: an array or object, a number with an exponent or more than 15 digits, a string with an
 * escape of a surrogate, a token that the end of the piece has cut or is near, an error. Nothing of
 * that one is read: json_next goes on there. So it does if the reader is not at the beginning of a
 * member. Adds to `values` of the reader, and sets `next`, `read`, `nulls` and the values of the
 * members that were read. Strings that are not wanted may have no text. The value of the member at
 * which it stops may have changed. */
void json_next_members(struct json_reader *reader, struct json_members *members);

/* Returns how many bytes of the piece have not been read. */
static inline size_t json_unread(const struct json_reader *reader) {
  return (size_t)(reader->end - reader->at);
}

/* Returns the offset of the end of the piece, in bytes from the start of the input. */
static inline uint64_t json_end_of_piece(const struct json_reader *reader) {
  return (uint64_t)(uintptr_t)reader->end + reader->origin;
}

/* Returns whether `text` of the last event lies in the reader's own memory. Otherwise it stays
 * valid as long as the piece does. */
static inline bool json_text_is_temporary(const struct json_reader *reader) {
  return reader->text == reader->scratch;
}

/* Returns how many containers are open: 1 after the first JSON_ARRAY_BEGIN or JSON_OBJECT_BEGIN. */
static inline unsigned json_depth(const struct json_reader *reader) {
  return reader->depth;
}

/* Returns whether the innermost open container is an array. */
static inline bool json_in_array(const struct json_reader *reader) {
  return reader->in_array;
}

#endif
