#include "lua/user_decoder.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lua/json_value.h"
#include "lua/user_table.h"

#define UNKNOWN (-1)

_Static_assert(USER_FIELD_COUNT <= 64, "more fields than bits");
_Static_assert(USER_LIMIT_DEFAULT <= UINT32_MAX, "sizes in a record have 32 bits");

/* Where in the list the reader is: before it, between users, in a user, or in an array or object
 * inside a user. */
enum place { PLACE_START, PLACE_LIST, PLACE_USER, PLACE_NESTED };

/* One call of user_decode. */
struct run {
  lua_State *L;
  struct user_decoder *d;
  struct user_targets targets;
  int names; /* see user_table_push */
};

static bool is_in_user(const struct user_decoder *d) {
  return d->place == PLACE_USER || d->place == PLACE_NESTED;
}

/* Result of handling an event: continue with the next one, or return from user_decode. */
enum step { STEP_CONTINUE, STEP_MORE, STEP_READY, STEP_DONE, STEP_FAILED };

/* ---- errors ---- */

/* Sets `error`, see decode_error_set. Is STEP_FAILED. */
#define FAIL(d, ...) (decode_error_set(&(d)->error, __VA_ARGS__), STEP_FAILED)

static enum step memory_error(struct user_decoder *d) {
  decode_error_set_memory(&d->error, &d->reader);
  return STEP_FAILED;
}

/* Returns whether the current user would be too large if it reached to `offset`. (The reader limits
 * only the size of single strings and numbers.) */
static inline bool is_beyond_limit(const struct user_decoder *d, uint64_t offset) {
  return offset - d->user_offset >= d->options.limit;
}

static inline bool is_too_large(const struct user_decoder *d) {
  return is_beyond_limit(d, d->reader.token_offset);
}

static enum step too_large(struct user_decoder *d) {
  return FAIL(d, FAILURE_TOO_LARGE, d->user_offset, "[%" PRIu64 "]: more than %zu bytes",
              d->users + 1, d->options.limit);
}

static inline bool has_too_many_values(const struct user_decoder *d) {
  return d->reader.values > d->values_limit;
}

static enum step too_many_values(struct user_decoder *d) {
  uint64_t offset = d->reader.token_offset;
  if (d->reader.values > d->max_values)
    return FAIL(d, FAILURE_TOO_LARGE, offset, "%s", JSON_VALUE_TOO_MANY);
  return FAIL(d, FAILURE_TOO_LARGE, offset, "[%" PRIu64 "]: more than %d values", d->users + 1,
              USER_MAX_VALUES);
}

/* Sets `error` from the reader's error. If a user is both too large and malformed, this reports
 * that it is too large: which of the two is found first depends on where the pieces end. */
static enum step reader_error(struct user_decoder *d) {
  const struct json_reader *r = &d->reader;
  if (r->fault != JSON_FAULT_MEMORY && is_in_user(d) && is_beyond_limit(d, r->offset))
    return too_large(d);
  decode_error_set_from_reader(&d->error, r);
  return STEP_FAILED;
}

/* Returns JSON's name for the type of the value that an event begins. */
static const char *event_type(enum json_event event) {
  switch (event) {
  case JSON_NULL: return "null";
  case JSON_FALSE:
  case JSON_TRUE: return "boolean";
  case JSON_INTEGER:
  case JSON_DOUBLE: return "number";
  case JSON_ARRAY_BEGIN: return "array";
  case JSON_OBJECT_BEGIN: return "object";
  default: return "string";
  }
}

/* Formats the message about a value of the wrong type. */
static void format_wrong_type(const struct user_decoder *d, int field, enum json_event event,
                              char *message, size_t size) {
  const struct user_field *f = &user_fields[field];
  snprintf(message, size, "[%" PRIu64 "].%s: expected %s, got %s", d->users + 1, f->name,
           user_type_name((enum user_type)f->type), event_type(event));
}

/* Handles a value of the wrong type: fails, or marks the field for report_violations. */
static enum step wrong_type(struct user_decoder *d, enum json_event event) {
  char message[sizeof d->error.message];
  if (d->options.reports) {
    d->invalid |= user_field_bit(d->field);
    return STEP_CONTINUE;
  }
  format_wrong_type(d, d->field, event, message, sizeof message);
  return FAIL(d, FAILURE_SCHEMA, d->reader.token_offset, "%s", message);
}

/* Formats the message about a missing field. */
static void format_missing(const struct user_decoder *d, int field, char *message, size_t size) {
  snprintf(message, size, "[%" PRIu64 "].%s: missing", d->users + 1, user_fields[field].name);
}

/* ---- a user's fields ---- */

/* Returns the field with this name, or UNKNOWN. Looks first at the fields after the last one, since
 * the API sends them in order. */
static int find_field(const struct user_decoder *d, const char *text, size_t size) {
  for (int i = d->next; i < USER_FIELD_COUNT; i++)
    if (user_field_is(i, text, size)) return i;
  for (int i = 0; i < d->next; i++)
    if (user_field_is(i, text, size)) return i;
  return UNKNOWN;
}

/* Handles the value of a field, a scalar. */
static inline enum step handle_field(struct user_decoder *d, enum json_event event) {
  bool is_typed = user_record_is_typed(d->field, &d->reader, event, d->options.validate);
  enum step step = STEP_CONTINUE;
  if (d->options.validate && !is_typed) step = wrong_type(d, event);
  if (step != STEP_CONTINUE || (d->needed & user_field_bit(d->field)) == 0) return step;
  bool ok = user_record_set(&d->record, d->field, &d->reader, event, is_typed);
  return ok ? STEP_CONTINUE : memory_error(d);
}

/* Handles the key of a field. */
static inline void expect_field(struct user_decoder *d, int field) {
  d->record.seen |= user_field_bit(field);
  d->invalid &= ~user_field_bit(field); /* if keys are equal, the last one counts */
  d->field = (signed char)field;
  d->next = (unsigned char)(field + 1);
}

static enum step add_to_record(struct user_decoder *d, enum json_event event) {
  return user_record_add(&d->record, &d->reader, event) ? STEP_CONTINUE : memory_error(d);
}

/* Adds a key to the record. `object` identifies the object that has it; 0 is the user. */
static enum step add_key(struct user_decoder *d, uintptr_t object) {
  const struct json_reader *r = &d->reader;
  if (!key_collisions_add(&d->collisions, object, r->text, r->size))
    return FAIL(d, FAILURE_TOO_LARGE, r->token_offset, "[%" PRIu64 "]: %s", d->users + 1,
                KEY_COLLISIONS_TOO_MANY);
  return add_to_record(d, JSON_KEY);
}

/* Handles a key of the user. */
static enum step handle_key(struct user_decoder *d) {
  const struct json_reader *r = &d->reader;
  int field = find_field(d, r->text, r->size);
  if (field != UNKNOWN) {
    expect_field(d, field);
    return STEP_CONTINUE;
  }
  d->field = UNKNOWN;
  d->skips = d->options.filter != NULL && !user_filter_needs(d->options.filter, r->text, r->size);
  return d->skips ? STEP_CONTINUE : add_key(d, 0);
}

/* A fast path: reads fields while they come in the order of the schema with values of its types.
 * Does nothing if a limit might be exceeded, or if a later field of the schema was already read, so
 * that a key might be repeated. */
static inline void read_fields(struct user_decoder *d) {
  struct user_record *record = &d->record;
  struct json_members members = {
      .expected = user_members,
      .values = record->fields,
      .count = USER_FIELD_COUNT,
      .next = d->next,
      .wanted = d->needed,
      .texts = &record->texts,
  };
  if (is_beyond_limit(d, json_end_of_piece(&d->reader)) ||
      d->reader.values + USER_FIELD_COUNT > d->values_limit || record->seen >> d->next != 0)
    return;
  json_next_members(&d->reader, &members);
  d->next = (unsigned char)members.next;
  record->seen |= members.read;
  record->present |= members.read & ~members.nulls & d->needed;
}

/* ---- users ---- */

static void begin_user(struct user_decoder *d) {
  user_record_begin(&d->record);
  d->place = PLACE_USER;
  d->user_offset = d->reader.token_offset;
  d->user_values = d->reader.values;
  d->values_limit = d->reader.values + USER_MAX_VALUES;
  if (d->values_limit > d->max_values) d->values_limit = d->max_values;
  d->next = 0;
  d->invalid = 0;
  if (d->collisions.keys > 0) d->collisions = (struct key_collisions){0};
}

static enum step check_required(struct user_decoder *d) {
  char message[sizeof d->error.message];
  uint64_t missing = d->required & ~d->record.seen;
  if (missing == 0 || d->options.reports) return STEP_CONTINUE;
  int field = 0;
  while ((missing & user_field_bit(field)) == 0)
    field++;
  format_missing(d, field, message, sizeof message);
  return FAIL(d, FAILURE_SCHEMA, d->reader.token_offset, "%s", message);
}

/* Appends a violation to targets.violations. [-0, +0, m] */
static void report(const struct run *run, const char *message) {
  lua_State *L = run->L;
  int count = (int)lua_rawlen(L, run->targets.violations);
  lua_pushstring(L, message);
  lua_rawseti(L, run->targets.violations, count + 1);
  compat_push_int64(L, (int64_t)run->d->users + 1);
  lua_rawseti(L, run->targets.violations, count + 2);
}

/* Reports all violations of the current user. [-0, +0, m] */
static void report_violations(const struct run *run) {
  const struct user_decoder *d = run->d;
  char message[sizeof d->error.message];
  uint64_t missing = d->required & ~d->record.seen;
  for (int field = 0; field < USER_FIELD_COUNT; field++) {
    enum json_event event = (enum json_event)d->record.fields[field].event;
    if (((missing | d->invalid) & user_field_bit(field)) == 0) continue;
    if ((missing & user_field_bit(field)) != 0)
      format_missing(d, field, message, sizeof message);
    else
      format_wrong_type(d, field, event, message, sizeof message);
    report(run, message);
  }
}

/* Returns the size in bytes of the keys and values of these `fields` and of all other keys in the
 * record. Adds the number of values to `*values`. */
static uint64_t measure(const struct user_record *record, uint64_t fields, uint64_t *values) {
  uint64_t bytes = 0;
  for (int i = 0; i < USER_FIELD_COUNT; i++) {
    if ((record->present & fields & user_field_bit(i)) == 0) continue;
    bytes += (uint64_t)user_members[i].size + record->fields[i].size;
    ++*values;
  }
  for (size_t i = 0; i < record->count; i++) {
    bytes += record->others[i].size;
    *values += record->others[i].event != JSON_KEY;
  }
  return bytes;
}

/* Counts a user that is delivered. Returns false if delivered_bytes exceeds max_bytes. */
static bool count_bytes(struct user_decoder *d) {
  const struct user_filter *filter = d->options.filter;
  if (filter == NULL) return true; /* max_values limits the list */
  uint64_t values = 1, bytes;
  if (filter->all_keys) {
    values += d->reader.values - d->user_values;
    bytes = d->reader.token_offset + 1 - d->user_offset;
  } else {
    bytes = measure(&d->record, filter->fields, &values);
  }
  if (bytes < values * JSON_VALUE_BYTES) bytes = values * JSON_VALUE_BYTES;
  d->delivered_bytes += bytes;
  return d->delivered_bytes <= d->options.max_bytes;
}

/* Makes the user's table, and appends it to the list or pushes it. [-0, +?, m] */
static enum step deliver(const struct run *run) {
  struct user_decoder *d = run->d;
  const struct user_targets *t = &run->targets;
  if (!count_bytes(d)) return FAIL(d, FAILURE_TOO_LARGE, d->user_offset, "%s", JSON_VALUE_TOO_MANY);
  if (!user_table_push(run->L, t->state, run->names, &d->record, d->options.filter))
    return memory_error(d);
  d->delivered++;
  if (t->list == 0) return STEP_READY;
  if (!compat_set_element(run->L, t->list, d->delivered)) return memory_error(d);
  return user_decoder_is_done(d) ? STEP_DONE : STEP_CONTINUE;
}

/* Handles the end of a user: validates it, and delivers it if the filter accepts it.
 * [-0, +?, m] */
static enum step finish_user(const struct run *run) {
  struct user_decoder *d = run->d;
  enum filter_result result = FILTER_ACCEPTS;
  if (d->options.validate && check_required(d) == STEP_FAILED) return STEP_FAILED;
  if (d->options.reports) report_violations(run);
  if (d->options.filter != NULL)
    result = user_filter_accepts(d->options.filter, &d->record, &d->scratch);
  if (result == FILTER_OUT_OF_MEMORY) return memory_error(d);
  d->place = PLACE_LIST;
  enum step step = result == FILTER_ACCEPTS ? deliver(run) : STEP_CONTINUE;
  if (step != STEP_FAILED) d->users++;
  return step;
}

/* ---- arrays and objects inside a user ---- */

/* Begins an array or object that is the value of the current key. */
static enum step begin_nested(struct user_decoder *d, enum json_event event) {
  if (d->field != UNKNOWN) {
    if (d->options.validate && wrong_type(d, event) == STEP_FAILED) return STEP_FAILED;
    d->skips = (d->needed & user_field_bit(d->field)) == 0;
    if (!d->skips) user_record_set_container(&d->record, d->field, event);
  }
  d->place = PLACE_NESTED;
  return d->skips ? STEP_CONTINUE : add_to_record(d, event);
}

/* Handles an event inside a nested array or object. */
static enum step nested_step(struct user_decoder *d, enum json_event event) {
  if (is_too_large(d)) return too_large(d);
  if (has_too_many_values(d)) return too_many_values(d);
  if (json_depth(&d->reader) == 2 && (event == JSON_ARRAY_END || event == JSON_OBJECT_END))
    d->place = PLACE_USER;
  if (d->skips) return STEP_CONTINUE;
  /* The index of the object, plus 1, identifies it. */
  return event == JSON_KEY ? add_key(d, d->record.open + 1) : add_to_record(d, event);
}

/* ---- the list ---- */

/* Handles an event at the top level of a user. [-0, +?, m] */
static inline enum step user_step(const struct run *run, enum json_event event) {
  struct user_decoder *d = run->d;
  switch (event) {
  case JSON_KEY: return handle_key(d);
  case JSON_OBJECT_END: return finish_user(run);
  case JSON_ARRAY_BEGIN:
  case JSON_OBJECT_BEGIN: return begin_nested(d, event);
  default:
    if (d->field != UNKNOWN) return handle_field(d, event);
    return d->skips ? STEP_CONTINUE : add_to_record(d, event);
  }
}

/* Handles an event outside of users. */
static enum step list_step(struct user_decoder *d, enum json_event event) {
  if (d->reader.values > d->max_values) return too_many_values(d);
  if (d->place == PLACE_START && event == JSON_ARRAY_BEGIN) {
    d->place = PLACE_LIST;
    return STEP_CONTINUE;
  }
  if (d->place == PLACE_LIST && event == JSON_ARRAY_END) return STEP_CONTINUE;
  if (d->place == PLACE_LIST && event == JSON_OBJECT_BEGIN) {
    begin_user(d);
    return STEP_CONTINUE;
  }
  uint64_t offset = d->reader.token_offset;
  if (d->place == PLACE_START)
    return FAIL(d, FAILURE_SCHEMA, offset, "expected an array of users, got %s", event_type(event));
  return FAIL(d, FAILURE_SCHEMA, offset, "[%" PRIu64 "]: expected object, got %s", d->users + 1,
              event_type(event));
}

/* Handles JSON_NEED_MORE, JSON_END and JSON_ERROR. */
static enum step no_event(struct user_decoder *d, enum json_event event) {
  return event == JSON_ERROR ? reader_error(d) : STEP_MORE;
}

/* Handles events until the user ends, or an array or object begins in it. [-0, +?, m] */
static enum step read_user(const struct run *run) {
  struct user_decoder *d = run->d;
  enum step step;
  do {
    if (d->next < USER_FIELD_COUNT) read_fields(d);
    enum json_event event = json_next(&d->reader);
    if (event <= JSON_NEED_MORE) return no_event(d, event);
    if (is_too_large(d)) return too_large(d);
    if (has_too_many_values(d)) return too_many_values(d);
    step = user_step(run, event);
  } while (step == STEP_CONTINUE && d->place == PLACE_USER);
  return step;
}

/* Handles events until the reader has no more bytes, a user is ready, or the list is done.
 * [-0, +?, m] */
static enum step read_events(const struct run *run) {
  struct user_decoder *d = run->d;
  enum step step = user_decoder_is_done(d) ? STEP_DONE : STEP_CONTINUE;
  while (step == STEP_CONTINUE) {
    if (d->place == PLACE_USER) {
      step = read_user(run);
      continue;
    }
    enum json_event event = json_next(&d->reader);
    if (event <= JSON_NEED_MORE) return no_event(d, event);
    step = d->place == PLACE_NESTED ? nested_step(d, event) : list_step(d, event);
  }
  return step;
}

/* ---- between calls ---- */

void user_decoder_init(struct user_decoder *d, const struct user_decoder_options *options) {
  memset(d, 0, sizeof *d);
  d->options = *options;
  if (d->options.limit == 0) d->options.limit = USER_LIMIT_DEFAULT;
  d->options.reports = options->reports && options->validate;
  d->max_values = options->filter != NULL ? UINT64_MAX : options->max_bytes / JSON_VALUE_BYTES;
  d->needed = UINT64_MAX;
  /* Reports need the values of all fields, whether they are delivered or not. */
  if (options->filter != NULL && !d->options.reports) d->needed = options->filter->needed;
  json_init(&d->reader, 0, d->options.limit);
  for (int i = 0; i < USER_FIELD_COUNT; i++)
    if ((user_fields[i].flags & USER_REQUIRED) != 0) d->required |= user_field_bit(i);
}

void user_decoder_free(struct user_decoder *d) {
  json_free(&d->reader);
  user_record_free(&d->record);
  buffer_free(&d->scratch);
}

/* Prepares the stack, and reads the bytes that the reader was given. If they end within a user,
 * copies what the record has borrowed from them. [-0, +?, m] */
static enum step read_piece(struct run *run) {
  struct user_decoder *d = run->d;
  lua_State *L = run->L;
  if (!lua_checkstack(L, USER_FIELD_COUNT + USER_TABLE_SLOTS)) return memory_error(d);
  if (run->targets.list != 0) { /* one call decodes many users: names on the stack are faster */
    run->names = lua_gettop(L) + 1;
    user_table_push_names(L, run->targets.state);
  }
  enum step step = read_events(run);
  if (step == STEP_MORE && is_in_user(d) && !user_record_keep(&d->record)) return memory_error(d);
  return step;
}

/* Returns the absolute index; 0 stays 0. */
static int absolute(lua_State *L, int index) {
  return index == 0 ? 0 : lua_absindex(L, index);
}

enum user_status user_decode(lua_State *L, struct user_decoder *d, struct user_targets targets,
                             const char *bytes, size_t size, size_t *used) {
  static const enum user_status results[] = {
      [STEP_CONTINUE] = USER_FAILED, [STEP_MORE] = USER_MORE,     [STEP_READY] = USER_READY,
      [STEP_DONE] = USER_DONE,       [STEP_FAILED] = USER_FAILED,
  };
  int top = lua_gettop(L);
  struct run run = {.L = L, .d = d};
  run.targets.state = absolute(L, targets.state);
  run.targets.list = absolute(L, targets.list);
  run.targets.violations = absolute(L, targets.violations);
  *used = 0;
  if (d->entered) memory_error(d); /* the last call raised a Lua error */
  if (d->error.kind != FAILURE_NONE) return USER_FAILED;
  d->entered = true;
  json_feed(&d->reader, bytes, size);
  enum step step = read_piece(&run);
  *used = size - json_unread(&d->reader);
  json_feed(&d->reader, NULL, 0); /* the bytes are valid only during this call */
  if (step != STEP_READY) lua_settop(L, top);
  d->entered = false;
  return results[step];
}

bool user_decode_end(struct user_decoder *d) {
  if (d->entered) memory_error(d);
  if (d->error.kind != FAILURE_NONE) return false;
  if (user_decoder_is_done(d)) return true;
  json_end(&d->reader);
  enum json_event event = json_next(&d->reader);
  if (event == JSON_END) return true;
  if (event == JSON_ERROR)
    reader_error(d);
  else /* a lone number is complete only at the end of the input; it violates the schema */
    list_step(d, event);
  return false;
}
