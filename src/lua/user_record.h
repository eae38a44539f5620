/* The JSON values of one user, kept outside of Lua until it is decided whether the user is
 * delivered, and with which keys.
 *
 *   fill    user_record_begin, user_record_set, user_record_add, user_record_keep
 *   read    user_record_text, user_record_next, user_record_find
 *   free    user_record_free
 *
 * Each field of the schema has one place. All other keys and values are in one array, in the order
 * in which they were read. So are arrays and objects that are values of fields, against the
 * schema. */
#ifndef PODERO_USER_RECORD_H
#define PODERO_USER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/json.h"
#include "lua/user_schema.h"

/* An index that means no value. */
#define RECORD_NONE SIZE_MAX

/* The fields of the schema for json_next_members, each with the events whose values Lua gets
 * without a conversion. */
extern const struct json_member user_members[USER_FIELD_COUNT];

/* Initialize with zeros. */
struct user_record {
  uint64_t seen;    /* the fields whose key was read; bit n is field n */
  uint64_t present; /* those of them that have a value in `fields`, other than null */
  struct json_token fields[USER_FIELD_COUNT];

  /* All other keys, values, and beginnings and ends of arrays and objects. At the top level, each
   * key is followed by its value. An array or object without a key before it is the value of a
   * field, and `next` in the field's place is its index. `next` of the beginning of an array or
   * object is the index after its end; `next` of the end is the index of the array or object around
   * it, or RECORD_NONE. */
  struct json_token *others; /* owned */
  size_t count;              /* of `others` */

  /* Private. */
  size_t capacity;     /* of `others` */
  size_t kept;         /* the first so many of `others` have no borrowed text */
  size_t open;         /* index of the innermost array or object that has not ended */
  struct buffer texts; /* copies of texts */
};

/* Parts of the inline functions below, not for other files. */
bool user_record_is_convertible(enum user_type type, const struct json_reader *reader,
                                enum json_event event, bool takes_numbers);
void user_record_convert(struct json_token *value, enum user_type type);
bool user_record_keep_text(struct user_record *record, struct json_token *value);

/* Empties the record for the next user. Keeps its memory for reuse, unless it is large. */
void user_record_begin(struct user_record *record);

/* Frees what the record owns, and overwrites its texts. May be called again. */
void user_record_free(struct user_record *record);

/* Returns whether the scalar that the reader has read last, `event`, has the field's type in the
 * schema, or can be converted to it, see user_record_set. `takes_numbers`: whether a number can be
 * converted to a string. */
static inline bool user_record_is_typed(int field, const struct json_reader *reader,
                                        enum json_event event, bool takes_numbers) {
  if ((user_members[field].events >> event & 1) != 0) return true;
  return user_record_is_convertible((enum user_type)user_fields[field].type, reader, event,
                                    takes_numbers);
}

/* Fills a value from the reader, whose text it borrows. Returns false if that text cannot be
 * borrowed: then the caller has to copy it at once, with user_record_keep_text. */
static inline bool token_fill(struct json_token *value, const struct json_reader *reader,
                              enum json_event event) {
  value->event = (unsigned char)event;
  value->is_kept = false;
  value->text = reader->text;
  value->size = (uint32_t)reader->size;
  if (event == JSON_DOUBLE)
    value->number = reader->number;
  else
    value->integer = reader->integer;
  return !json_text_is_temporary(reader);
}

/* Sets a field to the scalar that was read last. `is_typed`: what user_record_is_typed returned; if
 * true, a number is converted to the field's type: a string, an integer or a float. If keys are
 * equal, the last one counts. Returns false on out of memory. */
static inline bool user_record_set(struct user_record *record, int field,
                                   const struct json_reader *reader, enum json_event event,
                                   bool is_typed) {
  struct json_token *value = &record->fields[field];
  uint64_t bit = user_field_bit(field);
  record->present |= bit;
  bool is_borrowed = token_fill(value, reader, event);
  if (event == JSON_NULL) record->present &= ~bit;
  if (is_typed && (event == JSON_INTEGER || event == JSON_DOUBLE))
    user_record_convert(value, (enum user_type)user_fields[field].type);
  return is_borrowed || user_record_keep_text(record, value);
}

/* Sets a field to an array or object. `event` is its beginning, which the caller adds next, with
 * user_record_add. */
void user_record_set_container(struct user_record *record, int field, enum json_event event);

/* Appends the event that was read last to `others`. Returns false on out of memory. */
bool user_record_add(struct user_record *record, const struct json_reader *reader,
                     enum json_event event);

/* Copies all borrowed texts. Call it before the piece of the body that has them becomes invalid.
 * Returns false on out of memory. */
bool user_record_keep(struct user_record *record);

/* Returns the text of a string, key or number of the record, without a NUL at its end. Valid until
 * the record changes or the piece of the body becomes invalid. */
static inline const char *user_record_text(const struct user_record *record,
                                           const struct json_token *value) {
  return value->is_kept ? record->texts.data + value->at : value->text;
}

/* Returns whether the value is the beginning of an array or object. */
static inline bool token_is_container(const struct json_token *value) {
  return value->event == JSON_ARRAY_BEGIN || value->event == JSON_OBJECT_BEGIN;
}

/* Returns the index in `others` after the value at `index`. If that value is the beginning of an
 * array or object, it is the index after its end. */
static inline size_t user_record_next(const struct user_record *record, size_t index) {
  const struct json_token *value = &record->others[index];
  return token_is_container(value) ? value->next : index + 1;
}

/* Returns the value of this key at the top level of `others`, or NULL if there is none. If keys are
 * equal, the last one counts. Valid until the record changes. */
const struct json_token *user_record_find(const struct user_record *record, const char *key,
                                          size_t size);

#endif
