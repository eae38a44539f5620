/* An incremental JSON reader (RFC 8259): the caller feeds it text in pieces of any size, and gets
 * events.
 *
 *   create  json_init, json_free
 *   input   json_feed, json_end, json_unread, json_end_of_piece
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
 * offsets do not depend on how the text is split into pieces.
 *
 * The reader is strict: the text must be exactly one value, of any type, with optional white space
 * around it. It refuses a byte order mark, invalid UTF-8, a \u escape that is half of a surrogate
 * pair, control characters in strings, leading zeros, numbers too large for a double, and
 * everything else that is not in the grammar.
 *
 * It does not recurse. It allocates memory only for strings with escapes, and for strings and
 * numbers that are split between pieces; the token limit bounds how much. */
#ifndef PODERO_JSON_H
#define PODERO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

#define JSON_DEPTH_DEFAULT 512                        /* levels of arrays and objects */
#define JSON_DEPTH_MAX 1024                           /* the largest limit that can be set */
#define JSON_TOKEN_DEFAULT ((size_t)16 * 1024 * 1024) /* bytes of a string or number */

/* What json_next returns, in the order of the text. A "container" is an array or an object. */
enum json_event {
  JSON_ERROR,     /* see fault, message, offset; further calls return it again */
  JSON_END,       /* the value is complete and nothing follows it */
  JSON_NEED_MORE, /* the piece has been read: call json_feed or json_end */
  JSON_NULL,
  JSON_FALSE,
  JSON_TRUE,
  JSON_INTEGER, /* a number without fraction and exponent that fits an int64_t: see `integer`.
                 * `text` and `size` are the number as written */
  JSON_DOUBLE,  /* any other number, and -0: see `number`; `text` and `size` as above */
  JSON_STRING,  /* see `text` and `size`: the decoded string */
  JSON_KEY,     /* the name of a member, in `text` and `size`; its value follows */
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
  /* Set this after json_init to accept any bytes above 0x7F in strings, valid UTF-8 or not. */
  bool any_bytes;

  /* The value of the last event. `text` is UTF-8 (unless any_bytes is set), does not end in a NUL,
   * and may contain NULs. It points into the piece or into the reader's memory, and is valid until
   * the next call of json_next, json_feed or json_free. */
  const char *text;
  size_t size;
  int64_t integer;
  double number;
  uint64_t token_offset; /* of the last event's first byte, counted from the start of the input */
  uint64_t values;       /* how many have begun: scalars, arrays and objects, but not keys */

  /* After JSON_ERROR. */
  enum json_fault fault;
  const char *message; /* a string literal */
  uint64_t offset;     /* of the wrong byte, counted from the start of the input */

  /* Private from here on. */
  const unsigned char *at, *end; /* the unread part of the piece */
  uint64_t origin;               /* the offset of a byte is its address plus this */
  unsigned char expect;          /* an enum expect: what the grammar allows next */
  unsigned char partial;         /* an enum partial: which token is split at the end of a piece */
  unsigned char state; /* an enum string_state or number_state: how far that token has been read */
  bool in_array, ended;
  unsigned short depth, depth_limit;
  size_t token_limit;
  const char *literal;              /* the rest of a split true, false or null */
  unsigned char literal_event;      /* and the event that it becomes */
  unsigned char pending, low, high; /* UTF-8 bytes that must follow, and bounds of the next one */
  unsigned char digits;             /* how many of a \u escape have been read */
  uint32_t unit, surrogate;         /* their value; the first half of a surrogate pair, or 0 */
  uint64_t escape_offset;           /* of the backslash of that escape or pair */
  char *scratch;                    /* the decoded part of a split or escaped token */
  size_t scratch_size, scratch_capacity;
  unsigned char arrays[JSON_DEPTH_MAX / 8]; /* one bit per level: whether it is an array */
};

/* An event and its value, stored apart from the reader. */
struct json_token {
  union {
    const char *text; /* of a string or number; points into the piece */
    size_t at;        /* if is_kept: its offset in a buffer of the caller's */
  };
  union {
    int64_t integer; /* JSON_INTEGER */
    double number;   /* JSON_DOUBLE */
    size_t next;     /* for the caller's use with containers: the index of a related token */
  };
  uint32_t size;       /* of the text, in bytes */
  unsigned char event; /* enum json_event */
  bool is_kept;
};

/* A member that is expected in an object and has a scalar value. */
struct json_member {
  const char *key;       /* as written in JSON: in quotes, without escapes, and with the colon */
  unsigned char size;    /* of the key, in bytes; 4 to JSON_KEY_MAX */
  unsigned short events; /* bit n: the value may be event n of enum json_event */
};

#define JSON_KEY_MAX 48
#define JSON_MEMBERS_MAX 64

/* What json_next_members should read, and what it has read. */
struct json_members {
  const struct json_member *expected; /* in their most likely order */
  struct json_token *values;          /* receives the value of each of them */
  unsigned count;                     /* of them, JSON_MEMBERS_MAX at most */
  unsigned next;                      /* index of the first one to look for, below `count`; set to
                                       * one past the last that was read */
  uint64_t wanted;                    /* bit n: the value of member n is wanted */
  struct buffer *texts;               /* wanted strings with escapes are decoded and appended to
                                       * it */
  uint64_t read, nulls;               /* bit n: member n was read; it was read and is null */
};

/* Initializes a reader for one input, to be freed with json_free. Allocates nothing. `depth_limit`
 * is how many levels of containers are accepted, at most JSON_DEPTH_MAX; `token_limit` is how many
 * bytes a decoded string or a number may have. 0 stands for JSON_DEPTH_DEFAULT and
 * JSON_TOKEN_DEFAULT. */
void json_init(struct json_reader *reader, unsigned depth_limit, size_t token_limit);

/* Overwrites and frees the reader's memory. The reader may be all zero, or freed already. */
void json_free(struct json_reader *reader);

/* Sets the next piece to read, in place of the previous one. It is borrowed until json_next returns
 * JSON_NEED_MORE or json_feed is called again. To stop in the middle of a piece and continue later,
 * keep its last json_unread() bytes, at any address, and pass them to json_feed first. Must not be
 * called after json_end. */
void json_feed(struct json_reader *reader, const char *bytes, size_t size);

/* Tells the reader that there are no more pieces. */
void json_end(struct json_reader *reader);

/* Reads up to the next event, and returns it. */
enum json_event json_next(struct json_reader *reader);

/* Reads several members of an object at once, in the order in which they are expected; any of them
 * may be missing. Stops before the first member that is not expected, whose value has another type,
 * or whose value needs json_next: a container, -0, a number with an exponent or more than 15
 * digits, a string with a surrogate escape, a token that is split or close to the end of the piece,
 * or an error. Nothing of that member is consumed: json_next reads it. Reads nothing if the reader
 * is not before a member of an object, or if more than the token limit is unread.
 *
 * Adds to the reader's `values`, and sets `next`, `read`, `nulls` and the values of the members
 * that were read. Strings that are not wanted may have no text. The value of the member at which it
 * stops is undefined. */
void json_next_members(struct json_reader *reader, struct json_members *members);

/* Returns how many bytes of the piece have not been read. */
static inline size_t json_unread(const struct json_reader *reader) {
  return (size_t)(reader->end - reader->at);
}

/* Returns the offset of the end of the piece, in bytes from the start of the input. */
static inline uint64_t json_end_of_piece(const struct json_reader *reader) {
  return (uint64_t)(uintptr_t)reader->end + reader->origin;
}

/* Returns whether the event has a `text`. */
static inline bool json_has_text(enum json_event event) {
  return event == JSON_STRING || event == JSON_KEY || event == JSON_INTEGER || event == JSON_DOUBLE;
}

/* Returns whether `text` of the last event points into the reader's own memory. If not, it stays
 * valid as long as the piece. */
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
