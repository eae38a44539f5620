/* A user as it was read: the JSON values of one user, kept outside of Lua until it is decided
 * whether the user is delivered, and which of its values.
 *
 *   fill    user_record_begin, user_record_set, user_record_add, user_record_keep
 *   read    user_record_text, user_record_next, user_record_find
 *   free    user_record_free
 *
 * Values of the schema's fields have a place each. All others are in one array, in the order in
 * which they were read; so are arrays and objects that a field has against the schema. */
#ifndef PODERO_USER_RECORD_H
#define PODERO_USER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/json.h"
#include "lua/user_schema.h"

/* Index of no value. */
#define RECORD_NONE SIZE_MAX

/* The fields as members of a user in JSON, each with the values that Lua gets as they are. */
extern const struct json_member user_members[USER_FIELD_COUNT];

/* Initialize with zeros. */
struct user_record {
  uint64_t seen;    /* the fields whose key was read; bit n is field n */
  uint64_t present; /* those of them that are not null */
  struct json_token fields[USER_FIELD_COUNT];

  /* The other values, keys, and beginnings and ends of arrays and objects: at the top level each
   * key is followed by its value; an array or object without a key before it is a field's, whose
   * place has its index in `next`. The end of an array or object has in `next` the index of what is
   * around it, or RECORD_NONE. */
  struct json_token *others; /* owned */
  size_t count;              /* of them */

  /* Private. */
  size_t capacity, kept; /* of `others`; how many of the first of them have no borrowed text */
  size_t open;           /* index of the innermost array or object that has not ended */
  struct buffer texts;
};

/* Parts of the inline functions below. */
bool user_record_is_convertible(enum user_type type, const struct json_reader *reader,
                                enum json_event event, bool takes_numbers);
void user_record_convert(struct json_token *value, enum user_type type);
bool user_record_keep_text(struct user_record *record, struct json_token *value);

/* Empties the record for the next user. Keeps memory for reuse, unless it is much. */
void user_record_begin(struct user_record *record);

/* Frees what the record owns, and overwrites texts. May be called again. */
void user_record_free(struct user_record *record);

/* Returns whether the event, a scalar, is of the type that the schema has for the field.
 * `takes_numbers`: a number is taken for a string, see user_record_set. */
static inline bool user_record_is_typed(int field, const struct json_reader *reader,
                                        enum json_event event, bool takes_numbers) {
  if ((user_members[field].events >> event & 1) != 0) return true;
  return user_record_is_convertible((enum user_type)user_fields[field].type, reader, event,
                                    takes_numbers);
}

/* Fills a value from the reader. Returns false if its text cannot be borrowed. */
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

/* Sets a field to the scalar that was read last, with the type that it has in Lua:
 *   is_typed: the value is of the schema's type. A number becomes a string if the schema has one
 *     there, an integer if it has an integer, and a float if it has a number. Otherwise the value
 *     stays as it is.
 * Of equal keys the last one counts. Returns false if out of memory. */
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

/* Sets a field to the array or object that begins with the value that is added next. */
void user_record_set_container(struct user_record *record, int field, enum json_event event);

/* Appends the event that was read last to the other values. Returns false if out of memory. */
bool user_record_add(struct user_record *record, const struct json_reader *reader,
                     enum json_event event);

/* Copies all texts that are borrowed, before the piece that they are in goes away. Takes time for
 * those only. Returns false if out of memory. */
bool user_record_keep(struct user_record *record);

/* Returns the text of a string, key or number of the record; no NUL ends it. Valid until the record
 * changes or the piece goes away. */
static inline const char *user_record_text(const struct user_record *record,
                                           const struct json_token *value) {
  return value->is_kept ? record->texts.data + value->at : value->text;
}

/* Returns whether the value is the beginning of an array or object. */
static inline bool token_is_container(const struct json_token *value) {
  return value->event == JSON_ARRAY_BEGIN || value->event == JSON_OBJECT_BEGIN;
}

/* Returns the index of what follows the value at `index` of `others`: if that is the beginning of
 * an array or object, of what follows its end. */
static inline size_t user_record_next(const struct user_record *record, size_t index) {
  const struct json_token *value = &record->others[index];
  return token_is_container(value) ? value->next : index + 1;
}

/* Returns the value of the key at the top level of `others`, the last one of equal keys; NULL if
 * there is none. */
const struct json_token *user_record_find(const struct user_record *record, const char *key,
                                          size_t size);

#endif
