/* An incremental reader of JSON (RFC 8259): bytes go in, in pieces of any size; events come out.
 *
 *   json_init(&reader, 0, 0);
 *   json_feed(&reader, bytes, size);             for each piece
 *   while ((event = json_next(&reader)) > JSON_NEED_MORE)
 *     ...                                        use the event; stop at any time
 *   json_end(&reader);                           after the last piece; then json_next as before,
 *                                                until JSON_END or JSON_ERROR
 *   json_free(&reader);
 *
 * A piece may end anywhere: inside a number, an escape, a UTF-8 sequence. What the reader says does
 * not depend on where the pieces end, errors and their offsets included.
 *
 * It is strict: exactly one value, of any type, between optional white space. Refused are a byte
 * order mark, invalid UTF-8, escapes that are half of a surrogate pair, raw control characters in
 * strings, leading zeros, numbers too large for a double, and all that the grammar does not have.
 * It does not recurse. Its memory is bounded by the token limit, and it allocates only for a string
 * that has escapes or is cut by the end of a piece, and for a number so cut. */
#ifndef PODERO_JSON_H
#define PODERO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_DEFAULT 512                        /* containers inside each other */
#define JSON_DEPTH_MAX 1024                           /* the highest limit that can be set */
#define JSON_TOKEN_DEFAULT ((size_t)16 * 1024 * 1024) /* bytes of one string or number */

/* What json_next found. Values and the ends of containers come in the order of the text. */
enum json_event {
  JSON_ERROR,     /* see fault, message, offset; every further call says so again */
  JSON_END,       /* the value is complete, and so is the input */
  JSON_NEED_MORE, /* the piece is used up: json_feed or json_end */
  JSON_NULL,
  JSON_FALSE,
  JSON_TRUE,
  JSON_INTEGER, /* integer: a number without fraction and exponent that int64_t can hold; and
                   text, size: as it stands there */
  JSON_DOUBLE,  /* number: any other number, among them -0; and text, size */
  JSON_STRING,  /* text, size */
  JSON_KEY,     /* text, size: a member's name; its value follows */
  JSON_ARRAY_BEGIN,
  JSON_ARRAY_END,
  JSON_OBJECT_BEGIN,
  JSON_OBJECT_END
};

enum json_fault {
  JSON_FAULT_NONE,
  JSON_FAULT_SYNTAX,    /* not JSON: the text at `offset` cannot stand there */
  JSON_FAULT_CUT_SHORT, /* JSON so far, but the input ended too early */
  JSON_FAULT_RANGE,     /* a number beyond the largest double */
  JSON_FAULT_DEPTH,     /* more containers inside each other than the limit */
  JSON_FAULT_TOKEN,     /* a string or number longer than the limit */
  JSON_FAULT_MEMORY     /* an allocation failed */
};

struct json_reader {
  /* May be set after json_init: in strings, bytes from 0x80 on are taken as they are, whether they
   * are UTF-8 or not. */
  bool any_bytes;

  /* The last event's value. `text` is UTF-8 without a closing NUL, may hold NULs, and lies in the
   * piece or in the reader: it is valid until the next call of json_next or json_feed. */
  const char *text;
  size_t size;
  int64_t integer;
  double number;
  bool guessed;          /* see json_next_member */
  uint64_t token_offset; /* where the last event's token begins, in bytes from the input's start */
  uint64_t values;       /* that have begun: scalars, arrays and objects, but not keys */

  /* The error, after JSON_ERROR. */
  enum json_fault fault;
  const char *message; /* a static text */
  uint64_t offset;     /* of the byte that is wrong, in bytes from the input's start */

  /* Private from here on. */
  const unsigned char *at, *end; /* what of the piece is unread */
  uint64_t origin;               /* a byte's address plus this is its offset */
  unsigned char expect;          /* enum expect: what the grammar allows next */
  unsigned char partial;         /* enum partial: the token that a piece's end has cut */
  unsigned char state;           /* how far into that token */
  bool in_array, ended;
  unsigned short depth, depth_limit;
  size_t token_limit;
  const char *literal;              /* what remains of a cut true, false or null */
  unsigned char literal_event;      /* and its event */
  unsigned char pending, low, high; /* UTF-8 bytes that must follow; bounds of the next one */
  unsigned char digits;             /* read of a \u escape */
  uint32_t unit, surrogate;         /* that escape's value; the first half of a pair */
  uint64_t escape_offset;           /* where that escape, or pair, begins */
  char *scratch;                    /* the decoded part of a cut or escaped token */
  size_t scratch_size, scratch_capacity;
  unsigned char arrays[JSON_DEPTH_MAX / 8]; /* a bit a level: is the container an array? */
};

/* Makes a reader for one input; allocates nothing. `depth_limit`: how many containers may lie
 * inside each other, at most JSON_DEPTH_MAX. `token_limit`: bytes of a decoded string, or of a
 * number. 0 stands for the default of either. */
void json_init(struct json_reader *reader, unsigned depth_limit, size_t token_limit);

/* Frees what the reader owns. A reader of zeros, or one that was freed, may be freed (again). */
void json_free(struct json_reader *reader);

/* Lends the reader the next bytes of the input; they must stay until json_next has returned
 * JSON_NEED_MORE, or until they are fed again. To stop in the middle of a piece, keep the last
 * json_unread bytes of it, and feed those, wherever they lie then, to go on: bytes not read are
 * forgotten by this call. Not to be called after json_end. */
void json_feed(struct json_reader *reader, const char *bytes, size_t size);

/* Says that no more bytes will come. */
void json_end(struct json_reader *reader);

/* Reads on to the next event. */
enum json_event json_next(struct json_reader *reader);

/* As json_next, with a guess at the next member's key: if it is written exactly as `key` (`size`
 * bytes: the text between quotes, without escapes, the quotes, and a colon), it is skipped,
 * `guessed` is true, and the event is that of the value, as if JSON_KEY had come before. The
 * value's event may be JSON_NEED_MORE or JSON_ERROR, too. */
enum json_event json_next_member(struct json_reader *reader, const char *key, size_t size);

/* Bytes of the piece that are not read yet. */
static inline size_t json_unread(const struct json_reader *reader) {
  return (size_t)(reader->end - reader->at);
}

/* Containers that are open: 1 after the first begin. */
static inline unsigned json_depth(const struct json_reader *reader) {
  return reader->depth;
}

/* Whether the innermost open container is an array. */
static inline bool json_in_array(const struct json_reader *reader) {
  return reader->in_array;
}

#endif
