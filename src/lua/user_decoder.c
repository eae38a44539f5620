#include "lua/user_decoder.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lua/compat.h"
#include "lua/json_value.h"
#include "lua/user_schema.h"

#define UNKNOWN (-1)

_Static_assert(USER_FIELD_COUNT <= USER_FIELDS_MAX, "more fields than bits");

/* Elements of the state: the names of the fields; the roles; the last values of fields that repeat;
 * and between two calls of user_decode the values from the stack. */
enum { STATE_NAMES = 1 };
#define STATE_ROLES (STATE_NAMES + USER_FIELD_COUNT)
#define STATE_LAST (STATE_ROLES + USER_ROLE_COUNT)
#define STATE_SAVED (STATE_LAST + USER_FIELD_COUNT)

static uint64_t bit_of(int field) {
  return UINT64_C(1) << field;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

enum place { PLACE_START, PLACE_LIST, PLACE_USER, PLACE_NESTED };

/* One call of user_decode. While a user is read, the stack holds, from index `base` on:
 *   the user's table, or nil while it has only keys of the schema;
 *   pairs of a key and its value, for fields of the schema;
 *   an unknown key, while its value is read;
 *   the nested tables of that value, each object followed by the key whose value is read.
 * A user without unknown keys gets its table in finish_user, when its size is known: then Lua need
 * not grow it. */
struct run {
  lua_State *L;
  struct user_decoder *d;
  int state, list, base;
  int names; /* stack index of the first name of a field; 0: the names are not on the stack */
};

/* Result of handling an event: go on with the next one, or return. */
enum step { STEP_CONTINUE, STEP_MORE, STEP_READY, STEP_FAILED };

/* Stack size that reading a user needs, including temporary values. */
#define USER_SLOTS (1 + 2 * USER_FIELD_COUNT + 10)

/* Sets `error`; the message is formatted as by printf. Returns STEP_FAILED. */
__attribute__((format(printf, 4, 5))) static enum step
fail(struct user_decoder *d, enum user_fault fault, uint64_t offset, const char *format, ...) {
  va_list arguments;
  d->error.fault = fault;
  d->error.offset = offset;
  va_start(arguments, format);
  vsnprintf(d->error.message, sizeof d->error.message, format, arguments);
  va_end(arguments);
  return STEP_FAILED;
}

static enum step memory_error(struct user_decoder *d) {
  return fail(d, USER_FAULT_MEMORY, d->reader.token_offset, "out of memory");
}

/* The reader limits the size of one string or number; this limits that of a user. */
static inline bool is_beyond_limit(const struct user_decoder *d, uint64_t offset) {
  return offset - d->user_offset >= d->limit;
}

static inline bool is_too_large(const struct user_decoder *d) {
  return is_beyond_limit(d, d->reader.token_offset);
}

static enum step too_large(struct user_decoder *d) {
  return fail(d, USER_FAULT_TOO_LARGE, d->user_offset, "[%" PRIu64 "]: more than %zu bytes",
              d->users + 1, d->limit);
}

static inline bool has_too_many_values(const struct user_decoder *d) {
  return d->reader.values > d->values_limit;
}

static enum step too_many_values(struct user_decoder *d) {
  uint64_t offset = d->reader.token_offset;
  if (d->reader.values > d->max_values)
    return fail(d, USER_FAULT_TOO_LARGE, offset, "%s", JSON_VALUE_TOO_MANY);
  return fail(d, USER_FAULT_TOO_LARGE, offset, "[%" PRIu64 "]: more than %d values", d->users + 1,
              USER_MAX_VALUES);
}

/* Sets `error` from the reader's. If a user is both too large and malformed, it is always reported
 * as too large: which of the two is found first depends on where the pieces end. */
static enum step reader_error(struct user_decoder *d) {
  const struct json_reader *r = &d->reader;
  enum user_fault fault = USER_FAULT_DECODE;
  if (r->fault == JSON_FAULT_MEMORY) return memory_error(d);
  bool in_user = d->place == PLACE_USER || d->place == PLACE_NESTED;
  if (in_user && is_beyond_limit(d, r->offset)) return too_large(d);
  if (r->fault == JSON_FAULT_TOKEN) fault = USER_FAULT_TOO_LARGE;
  d->error.cut_short = r->fault == JSON_FAULT_CUT_SHORT;
  return fail(d, fault, r->offset, "%s at byte %" PRIu64, r->message, r->offset);
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

static enum step wrong_type(struct user_decoder *d, enum json_event event) {
  const struct user_field *f = &user_fields[d->field];
  return fail(d, USER_FAULT_SCHEMA, d->reader.token_offset, "[%" PRIu64 "].%s: expected %s, got %s",
              d->users + 1, f->name, user_type_name(f->type), event_type(event));
}

/* Pushes a field's name. [-0, +1, -] */
static inline void push_name(const struct run *run, int field) {
  if (run->names > 0)
    lua_pushvalue(run->L, run->names + field);
  else
    lua_rawgeti(run->L, run->state, STATE_NAMES + field);
}

/* ---- Scalars --------------------------------------------------------------------------------- */

/* Pushes a role. The known ones are taken from the state, which saves Lua hashing them.
 * [-0, +1, m] */
static void push_role(const struct run *run, const struct json_reader *r) {
  for (int i = 0; i < USER_ROLE_COUNT; i++) {
    if (strlen(user_roles[i]) == r->size && memcmp(user_roles[i], r->text, r->size) == 0) {
      lua_rawgeti(run->L, run->state, STATE_ROLES + i);
      return;
    }
  }
  lua_pushlstring(run->L, r->text, r->size);
}

/* Pushes the string of a field with USER_REPEATS: comparing it to that of the user before is faster
 * than having Lua find the string. [-0, +1, m] */
static void push_repeating(const struct run *run, const struct json_reader *r, int field) {
  lua_State *L = run->L;
  size_t size;
  lua_rawgeti(L, run->state, STATE_LAST + field);
  const char *last = lua_tolstring(L, -1, &size);
  if (last != NULL && size == r->size && memcmp(last, r->text, size) == 0) return;
  lua_pop(L, 1);
  lua_pushlstring(L, r->text, r->size);
  lua_pushvalue(L, -1);
  lua_rawseti(L, run->state, STATE_LAST + field);
}

/* Returns whether a double is an integer, as 2.0 is, and sets `*integer`. */
static bool to_integer(double number, int64_t *integer) {
  const double limit = 9223372036854775808.0; /* 2^63 */
  if (!(number >= -limit && number < limit)) return false;
  *integer = (int64_t)number;
  return (double)*integer == number;
}

/* Pushes a scalar of a field with the type that the schema has. Returns false, and pushes nothing,
 * if it is of another type. [-0, +(0|1), m] */
static bool push_typed(const struct run *run, enum json_event event) {
  lua_State *L = run->L;
  const struct json_reader *r = &run->d->reader;
  const struct user_field *f = &user_fields[run->d->field];
  int64_t integer;
  switch (event) {
  case JSON_STRING:
    if (f->type == USER_ROLE) {
      push_role(run, r);
    } else if (f->type != USER_STRING) {
      return false;
    } else if ((f->flags & USER_REPEATS) != 0) {
      push_repeating(run, r, run->d->field);
    } else {
      lua_pushlstring(L, r->text, r->size);
    }
    return true;
  case JSON_INTEGER:
    if (f->type == USER_INTEGER)
      compat_push_int64(L, r->integer);
    else if (f->type == USER_NUMBER)
      lua_pushnumber(L, (lua_Number)r->integer);
    else
      return false;
    return true;
  case JSON_DOUBLE:
    if (f->type == USER_NUMBER)
      lua_pushnumber(L, (lua_Number)r->number);
    else if (f->type == USER_INTEGER && to_integer(r->number, &integer))
      compat_push_int64(L, integer);
    else
      return false;
    return true;
  case JSON_FALSE:
  case JSON_TRUE:
    if (f->type != USER_BOOLEAN) return false;
    lua_pushboolean(L, event == JSON_TRUE);
    return true;
  default: return false;
  }
}

/* ---- A user's fields ------------------------------------------------------------------------- */

static bool field_is(int field, const char *text, size_t size) {
  return user_fields[field].size == size && memcmp(user_fields[field].name, text, size) == 0;
}

/* Returns the field of that name, or UNKNOWN. Begins with the field after the last one, since the
 * API sends them in order. */
static int find_field(const struct user_decoder *d, const char *text, size_t size) {
  for (int i = d->next; i < USER_FIELD_COUNT; i++)
    if (field_is(i, text, size)) return i;
  for (int i = 0; i < d->next; i++)
    if (field_is(i, text, size)) return i;
  return UNKNOWN;
}

/* Pushes the field whose value is the scalar of this event. [-0, +(0|2), m] */
static enum step handle_field(const struct run *run, enum json_event event) {
  struct user_decoder *d = run->d;
  if (event == JSON_NULL) {
    if (d->validate && (user_fields[d->field].flags & USER_NULLABLE) == 0)
      return wrong_type(d, event);
    return STEP_CONTINUE;
  }
  push_name(run, d->field);
  if (!push_typed(run, event)) {
    if (d->validate) return wrong_type(d, event);
    json_value_push_scalar(run->L, &d->reader, event);
  }
  return STEP_CONTINUE;
}

/* Stores an unknown key and its value, both on top, in the user's table, which is made if
 * necessary.
 * [-2, +0, m] */
static void store_unknown(const struct run *run) {
  struct user_decoder *d = run->d;
  if (!d->has_table) {
    int more = d->unknown_before > 0 ? d->unknown_before : 1;
    lua_createtable(run->L, 0, USER_FIELD_COUNT + more);
    lua_replace(run->L, run->base);
    d->has_table = true;
  }
  lua_rawset(run->L, run->base);
  d->unknown++;
}

/* Stores the unknown key on top with the scalar of this event. [-1, +0, m] */
static void handle_unknown(const struct run *run, enum json_event event) {
  if (event != JSON_NULL) {
    json_value_push_scalar(run->L, &run->d->reader, event);
    store_unknown(run);
  } else if (run->d->has_table) { /* an equal key before may have had a value */
    lua_pushnil(run->L);
    lua_rawset(run->L, run->base);
  } else {
    lua_pop(run->L, 1);
  }
}

/* Removes the pair of a field from the stack, if there is one: the field comes for the second time,
 * and the last one counts. [-(0|2), +0, -] */
static void remove_pair(const struct run *run, int field) {
  push_name(run, field);
  int top = lua_gettop(run->L);
  for (int i = run->base + 1; i < top; i += 2) {
    if (!lua_rawequal(run->L, i, top)) continue;
    lua_remove(run->L, i);
    lua_remove(run->L, i);
    break;
  }
  lua_pop(run->L, 1);
}

/* Handles the key of a field. [-(0|2), +0, -] */
static inline void expect_field(const struct run *run, int field) {
  struct user_decoder *d = run->d;
  if ((d->seen & bit_of(field)) != 0) remove_pair(run, field);
  d->seen |= bit_of(field);
  d->field = (signed char)field;
  d->next = (unsigned char)(field + 1);
}

/* Pushes an unknown key of the user (`object` is 0) or of a nested object, which `object`
 * identifies.
 * [-0, +1, m] */
static enum step push_key(const struct run *run, uintptr_t object) {
  struct user_decoder *d = run->d;
  const struct json_reader *r = &d->reader;
  if (!key_collisions_add(&d->collisions, object, r->text, r->size))
    return fail(d, USER_FAULT_TOO_LARGE, r->token_offset, "[%" PRIu64 "]: %s", d->users + 1,
                KEY_COLLISIONS_TOO_MANY);
  lua_pushlstring(run->L, r->text, r->size);
  return STEP_CONTINUE;
}

/* Handles a key of the user. [-0, +(0|1), m] */
static enum step handle_key(const struct run *run) {
  const struct json_reader *r = &run->d->reader;
  int field = find_field(run->d, r->text, r->size);
  if (field != UNKNOWN) {
    expect_field(run, field);
    return STEP_CONTINUE;
  }
  run->d->field = UNKNOWN;
  return push_key(run, 0);
}

/* Returns the reader's next event in a user. If the next key is the one expected, which takes one
 * comparison, handles it, and returns the event of its value. */
static inline enum json_event next_in_user(const struct run *run) {
  struct user_decoder *d = run->d;
  const struct user_field *f = &user_fields[d->next];
  if (d->next == USER_FIELD_COUNT) return json_next(&d->reader);
  enum json_event event = json_next_member(&d->reader, f->key, f->key_size);
  if (d->reader.key_matched) expect_field(run, d->next);
  return event;
}

/* ---- Users ----------------------------------------------------------------------------------- */

/* [-0, +1, -] */
static void begin_user(const struct run *run) {
  struct user_decoder *d = run->d;
  lua_pushnil(run->L);
  d->place = PLACE_USER;
  d->user_offset = d->reader.token_offset;
  d->values_limit = d->reader.values + USER_MAX_VALUES;
  if (d->values_limit > d->max_values) d->values_limit = d->max_values;
  d->next = 0;
  d->unknown = 0;
  d->has_table = false;
  d->seen = 0;
  if (d->collisions.keys > 0) d->collisions = (struct key_collisions){0};
}

static enum step check_required(struct user_decoder *d) {
  if ((d->required & ~d->seen) == 0) return STEP_CONTINUE;
  int field = 0;
  while ((d->required & ~d->seen & bit_of(field)) == 0)
    field++;
  return fail(d, USER_FAULT_SCHEMA, d->reader.token_offset, "[%" PRIu64 "].%s: missing",
              d->users + 1, user_fields[field].name);
}

/* Makes the user from the values on the stack, and appends it to the list or pushes it.
 * [-(1 + 2 * pairs), +(0|1), m] */
static enum step finish_user(const struct run *run) {
  struct user_decoder *d = run->d;
  lua_State *L = run->L;
  if (d->validate && check_required(d) == STEP_FAILED) return STEP_FAILED;
  int pairs = (lua_gettop(L) - run->base) / 2;
  if (!d->has_table) {
    lua_createtable(L, 0, pairs);
    lua_replace(L, run->base);
  }
  for (int i = 0; i < pairs; i++)
    lua_rawset(L, run->base);
  d->unknown_before = d->unknown;
  d->users++;
  d->place = PLACE_LIST;
  if (run->list == 0) return STEP_READY;
  return compat_set_element(L, run->list, d->users) ? STEP_CONTINUE : memory_error(d);
}

/* ---- Arrays and objects inside a user -------------------------------------------------------- */

/* [-0, +1, m] */
static bool push_container(lua_State *L) {
  if (!lua_checkstack(L, 6)) return false;
  lua_newtable(L);
  return true;
}

/* Begins an array or object that is the value of the current key. [-0, +(1|2), m] */
static enum step begin_nested(const struct run *run, enum json_event event) {
  struct user_decoder *d = run->d;
  if (d->field != UNKNOWN) {
    if (d->validate) return wrong_type(d, event);
    push_name(run, d->field);
  }
  d->place = PLACE_NESTED;
  return push_container(run->L) ? STEP_CONTINUE : memory_error(d);
}

/* Stores the value on top in the array or object below it. [-(1|2), +0, m] */
static enum step store(const struct run *run) {
  lua_State *L = run->L;
  if (json_in_array(&run->d->reader))
    return compat_set_element(L, -2, lua_rawlen(L, -2) + 1) ? STEP_CONTINUE : memory_error(run->d);
  lua_rawset(L, -3);
  return STEP_CONTINUE;
}

static enum step store_scalar(const struct run *run, enum json_event event) {
  if (event == JSON_NULL && !json_in_array(&run->d->reader))
    lua_pushnil(run->L);
  else
    json_value_push_scalar(run->L, &run->d->reader, event);
  return store(run);
}

/* Ends the array or object on top. */
static enum step end_nested(const struct run *run) {
  struct user_decoder *d = run->d;
  if (json_depth(&d->reader) > 2) return store(run);
  d->place = PLACE_USER;
  if (d->field == UNKNOWN) store_unknown(run);
  return STEP_CONTINUE;
}

static enum step nested_step(const struct run *run, enum json_event event) {
  struct user_decoder *d = run->d;
  if (is_too_large(d)) return too_large(d);
  if (has_too_many_values(d)) return too_many_values(d);
  switch (event) {
  case JSON_KEY: return push_key(run, (uintptr_t)lua_topointer(run->L, -1));
  case JSON_ARRAY_BEGIN:
  case JSON_OBJECT_BEGIN: return push_container(run->L) ? STEP_CONTINUE : memory_error(d);
  case JSON_ARRAY_END:
  case JSON_OBJECT_END: return end_nested(run);
  default: return store_scalar(run, event);
  }
}

/* ---- The list -------------------------------------------------------------------------------- */

static enum step user_step(const struct run *run, enum json_event event) {
  switch (event) {
  case JSON_KEY: return handle_key(run);
  case JSON_OBJECT_END: return finish_user(run);
  case JSON_ARRAY_BEGIN:
  case JSON_OBJECT_BEGIN: return begin_nested(run, event);
  default:
    if (run->d->field != UNKNOWN) return handle_field(run, event);
    handle_unknown(run, event);
    return STEP_CONTINUE;
  }
}

/* Handles an event outside of a user. */
static enum step list_step(const struct run *run, enum json_event event) {
  struct user_decoder *d = run->d;
  if (d->reader.values > d->max_values) return too_many_values(d);
  if (d->place == PLACE_START && event == JSON_ARRAY_BEGIN) {
    d->place = PLACE_LIST;
    return STEP_CONTINUE;
  }
  if (d->place == PLACE_LIST && event == JSON_ARRAY_END) return STEP_CONTINUE;
  if (d->place == PLACE_LIST && event == JSON_OBJECT_BEGIN) {
    begin_user(run);
    return STEP_CONTINUE;
  }
  uint64_t offset = d->reader.token_offset;
  if (d->place == PLACE_START)
    return fail(d, USER_FAULT_SCHEMA, offset, "expected an array of users, got %s",
                event_type(event));
  return fail(d, USER_FAULT_SCHEMA, offset, "[%" PRIu64 "]: expected object, got %s", d->users + 1,
              event_type(event));
}

/* Handles JSON_NEED_MORE, JSON_END and JSON_ERROR. */
static enum step no_event(struct user_decoder *d, enum json_event event) {
  return event == JSON_ERROR ? reader_error(d) : STEP_MORE;
}

static enum step read_user(const struct run *run) {
  enum step step;
  do {
    enum json_event event = next_in_user(run);
    if (event <= JSON_NEED_MORE) return no_event(run->d, event);
    if (is_too_large(run->d)) return too_large(run->d);
    if (has_too_many_values(run->d)) return too_many_values(run->d);
    step = user_step(run, event);
  } while (step == STEP_CONTINUE && run->d->place == PLACE_USER);
  return step;
}

static enum step read_events(const struct run *run) {
  struct user_decoder *d = run->d;
  enum step step = STEP_CONTINUE;
  while (step == STEP_CONTINUE) {
    if (d->place == PLACE_USER) {
      step = read_user(run);
      continue;
    }
    enum json_event event = json_next(&d->reader);
    if (event <= JSON_NEED_MORE) return no_event(d, event);
    step = d->place == PLACE_NESTED ? nested_step(run, event) : list_step(run, event);
  }
  return step;
}

/* ---- Between calls --------------------------------------------------------------------------- */

/* Moves the values of an incomplete user from the stack to the state. [-n, +0, m] */
static void save_stack(const struct run *run) {
  struct user_decoder *d = run->d;
  d->saved = lua_gettop(run->L) - run->base + 1;
  for (int i = d->saved; i > 0; i--)
    lua_rawseti(run->L, run->state, STATE_SAVED + i - 1);
}

/* Pushes the values that save_stack has saved, and removes them from the state: else it would keep
 * long strings alive. Returns false on out of memory. [-0, +n, m] */
static bool restore_stack(struct run *run) {
  struct user_decoder *d = run->d;
  if (!lua_checkstack(run->L, USER_FIELD_COUNT + d->saved + USER_SLOTS)) return false;
  if (run->list != 0) { /* many users in one call: pushing a name from the stack is faster */
    run->names = run->base;
    for (int i = 0; i < USER_FIELD_COUNT; i++)
      lua_rawgeti(run->L, run->state, STATE_NAMES + i);
    run->base += USER_FIELD_COUNT;
  }
  for (int i = 0; i < d->saved; i++) {
    lua_rawgeti(run->L, run->state, STATE_SAVED + i);
    lua_pushnil(run->L);
    lua_rawseti(run->L, run->state, STATE_SAVED + i);
  }
  d->saved = 0;
  return true;
}

void user_push_state(lua_State *L) {
  lua_createtable(L, STATE_SAVED + 2 * USER_FIELD_COUNT + 2, 0);
  for (int i = 0; i < USER_FIELD_COUNT; i++) {
    lua_pushlstring(L, user_fields[i].name, user_fields[i].size);
    lua_rawseti(L, -2, STATE_NAMES + i);
  }
  for (int i = 0; i < USER_ROLE_COUNT; i++) {
    lua_pushstring(L, user_roles[i]);
    lua_rawseti(L, -2, STATE_ROLES + i);
  }
}

void user_decoder_init(struct user_decoder *d, bool validate, size_t limit, uint64_t max_bytes) {
  memset(d, 0, sizeof *d);
  d->validate = validate;
  d->max_values = max_bytes / JSON_VALUE_BYTES;
  d->limit = limit == 0 ? USER_LIMIT_DEFAULT : limit;
  json_init(&d->reader, 0, d->limit);
  for (int i = 0; i < USER_FIELD_COUNT; i++)
    if ((user_fields[i].flags & USER_REQUIRED) != 0) d->required |= bit_of(i);
}

void user_decoder_free(struct user_decoder *d) {
  json_free(&d->reader);
}

enum user_status user_decode(lua_State *L, struct user_decoder *d, int state, int list,
                             const char *bytes, size_t size, size_t *used) {
  int top = lua_gettop(L);
  struct run run = {L,       d, lua_absindex(L, state), list == 0 ? 0 : lua_absindex(L, list),
                    top + 1, 0};
  enum step step = STEP_FAILED;
  *used = 0;
  if (d->entered) memory_error(d); /* the last call has raised a Lua error */
  if (d->error.fault != USER_FAULT_NONE) return USER_FAILED;
  d->entered = true;
  json_feed(&d->reader, bytes, size);
  step = restore_stack(&run) ? read_events(&run) : memory_error(d);
  *used = size - json_unread(&d->reader);
  json_feed(&d->reader, NULL, 0); /* the bytes are valid only during this call */
  if (step == STEP_MORE) save_stack(&run);
  if (step != STEP_READY) lua_settop(L, top);
  d->entered = false;
  return step == STEP_MORE ? USER_MORE : step == STEP_READY ? USER_READY : USER_FAILED;
}

bool user_decode_end(struct user_decoder *d) {
  if (d->entered) memory_error(d);
  if (d->error.fault != USER_FAULT_NONE) return false;
  json_end(&d->reader);
  enum json_event event = json_next(&d->reader);
  if (event == JSON_END) return true;
  if (event == JSON_ERROR) {
    reader_error(d);
    return false;
  }
  /* An input that is only a number is complete first at its end: an error of the schema. */
  struct run run = {.d = d};
  list_step(&run, event);
  return false;
}
