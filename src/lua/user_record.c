#include "lua/user_record.h"

#include <stdlib.h>
#include <string.h>

#include "core/number.h"

/* When the next user begins, memory above these sizes is freed. */
#define KEEP_VALUES ((size_t)1024)
#define KEEP_BYTES ((size_t)256 * 1024)

#define EVENT(event) (1u << JSON_##event)
#define EVENTS_STRING EVENT(STRING)
#define EVENTS_ROLE EVENT(STRING)
#define EVENTS_INTEGER EVENT(INTEGER)
#define EVENTS_NUMBER EVENT(DOUBLE)
#define EVENTS_BOOLEAN (EVENT(TRUE) | EVENT(FALSE))
#define EVENTS(type, flags) (EVENTS_##type | (((flags)&USER_NULLABLE) != 0 ? EVENT(NULL) : 0u))
#define MEMBER(name, type, flags) {"\"" #name "\":", sizeof #name + 2, EVENTS(type, flags)},

#define CHECK(name, type, flags)                                                                   \
  _Static_assert(sizeof #name + 2 <= JSON_KEY_MAX, "a key is too long for json_next_members");
USER_FIELDS(CHECK)

const struct json_member user_members[USER_FIELD_COUNT] = {USER_FIELDS(MEMBER)};

#undef EVENT
#undef CHECK

void user_record_begin(struct user_record *record) {
  record->seen = record->present = 0;
  record->count = record->kept = 0;
  record->open = RECORD_NONE;
  record->texts.size = 0;
  if (record->texts.capacity > KEEP_BYTES) buffer_free(&record->texts);
  if (record->capacity <= KEEP_VALUES) return;
  free(record->others);
  record->others = NULL;
  record->capacity = 0;
}

void user_record_free(struct user_record *record) {
  buffer_free(&record->texts);
  free(record->others);
  *record = (struct user_record){0};
}

/* ---- texts ---- */

/* Copies the text of a value, if it is borrowed. Returns false on out of memory. */
bool user_record_keep_text(struct user_record *record, struct json_token *value) {
  if (value->is_kept || !json_has_text((enum json_event)value->event)) return true;
  size_t at = record->texts.size;
  if (!buffer_append(&record->texts, value->text, value->size)) return false;
  value->at = at;
  value->is_kept = true;
  return true;
}

bool user_record_keep(struct user_record *record) {
  for (int i = 0; i < USER_FIELD_COUNT; i++) {
    if ((record->present & user_field_bit(i)) != 0 &&
        !user_record_keep_text(record, &record->fields[i]))
      return false;
  }
  for (; record->kept < record->count; record->kept++)
    if (!user_record_keep_text(record, &record->others[record->kept])) return false;
  return true;
}

/* ---- fields ---- */

/* Returns whether a scalar of another type can be converted to `type`, see user_record_convert. */
bool user_record_is_convertible(enum user_type type, const struct json_reader *reader,
                                enum json_event event, bool takes_numbers) {
  int64_t integer;
  bool is_number = event == JSON_INTEGER || event == JSON_DOUBLE;
  if (type == USER_STRING || type == USER_ROLE) return takes_numbers && is_number;
  if (type == USER_NUMBER) return event == JSON_INTEGER;
  return type == USER_INTEGER && event == JSON_DOUBLE &&
         number_to_integer(reader->number, &integer);
}

/* Converts a number to the type that the schema has, if user_record_is_convertible says that it can
 * be converted. */
void user_record_convert(struct json_token *value, enum user_type type) {
  int64_t integer = value->integer;
  bool is_integer = value->event == JSON_INTEGER;
  if (type == USER_STRING || type == USER_ROLE) {
    value->event = JSON_STRING;
  } else if (type == USER_NUMBER && is_integer) {
    value->event = JSON_DOUBLE;
    value->number = (double)integer;
  } else if (type == USER_INTEGER && !is_integer && number_to_integer(value->number, &integer)) {
    value->event = JSON_INTEGER;
    value->integer = integer;
  }
}

void user_record_set_container(struct user_record *record, int field, enum json_event event) {
  record->present |= user_field_bit(field);
  record->fields[field] = (struct json_token){.event = (unsigned char)event, .next = record->count};
}

/* ---- other values ---- */

static bool grow(struct user_record *record) {
  size_t capacity = record->capacity == 0 ? 16 : record->capacity * 2;
  struct json_token *grown = realloc(record->others, capacity * sizeof *grown);
  if (grown == NULL) return false;
  record->others = grown;
  record->capacity = capacity;
  return true;
}

bool user_record_add(struct user_record *record, const struct json_reader *reader,
                     enum json_event event) {
  if (record->count == record->capacity && !grow(record)) return false;
  size_t index = record->count++;
  struct json_token *value = &record->others[index];
  if (!token_fill(value, reader, event) && !user_record_keep_text(record, value)) return false;
  if (event == JSON_ARRAY_BEGIN || event == JSON_OBJECT_BEGIN) {
    value->next = record->open; /* until its end is read: the array or object around it */
    record->open = index;
  } else if (event == JSON_ARRAY_END || event == JSON_OBJECT_END) {
    size_t around = record->others[record->open].next;
    value->next = around;
    record->others[record->open].next = index + 1;
    record->open = around;
  }
  return true;
}

static bool is_key(const struct user_record *record, const struct json_token *value,
                   const char *key, size_t size) {
  return value->event == JSON_KEY && value->size == size &&
         memcmp(user_record_text(record, value), key, size) == 0;
}

const struct json_token *user_record_find(const struct user_record *record, const char *key,
                                          size_t size) {
  const struct json_token *found = NULL;
  for (size_t i = 0; i < record->count; i = user_record_next(record, i))
    if (is_key(record, &record->others[i], key, size)) found = &record->others[i + 1];
  return found;
}
