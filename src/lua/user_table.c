#include "lua/user_table.h"

#include <string.h>

#include "lua/json_value.h"
#include "lua/user_schema.h"

/* First indices of the state's elements: the names of the fields, the roles, and for each field
 * with USER_REPEATS its last value. */
enum {
  STATE_NAMES = 1,
  STATE_ROLES = STATE_NAMES + USER_FIELD_COUNT,
  STATE_LAST = STATE_ROLES + USER_ROLE_COUNT
};

void user_table_push_state(lua_State *L) {
  lua_createtable(L, STATE_LAST + USER_FIELD_COUNT - 1, 0);
  for (int i = 0; i < USER_FIELD_COUNT; i++) {
    lua_pushlstring(L, user_fields[i].name, user_fields[i].size);
    lua_rawseti(L, -2, STATE_NAMES + i);
  }
  for (int i = 0; i < USER_ROLE_COUNT; i++) {
    lua_pushstring(L, user_roles[i]);
    lua_rawseti(L, -2, STATE_ROLES + i);
  }
}

void user_table_push_names(lua_State *L, int state) {
  for (int i = 0; i < USER_FIELD_COUNT; i++)
    lua_rawgeti(L, state, STATE_NAMES + i);
}

/* One call of user_table_push. */
struct maker {
  lua_State *L;
  int state, names; /* see user_table_push */
  const struct user_record *record;
};

/* ---- scalars ---- */

/* Pushes a role. Those of the schema come from the state, so that Lua need not hash them.
 * [-0, +1, m] */
static void push_role(const struct maker *m, const char *text, size_t size) {
  int role = user_role_find(text, size);
  if (role < USER_ROLE_COUNT)
    lua_rawgeti(m->L, m->state, STATE_ROLES + role);
  else
    lua_pushlstring(m->L, text, size);
}

/* Pushes the string of a field with USER_REPEATS. It is often that of the previous user: comparing
 * the two is faster than having Lua look up the string. [-0, +1, m] */
static void push_repeating(const struct maker *m, int field, const char *text, size_t size) {
  lua_State *L = m->L;
  size_t last_size;
  lua_rawgeti(L, m->state, STATE_LAST + field);
  const char *last = lua_tolstring(L, -1, &last_size);
  if (last != NULL && last_size == size && memcmp(last, text, size) == 0) return;
  lua_pop(L, 1);
  lua_pushlstring(L, text, size);
  lua_pushvalue(L, -1);
  lua_rawseti(L, m->state, STATE_LAST + field);
}

/* Pushes a scalar or a key. [-0, +1, m] */
static void push_scalar(const struct maker *m, const struct json_token *value) {
  enum json_event event = (enum json_event)value->event;
  if (!json_value_push_unless_text(m->L, event, value->integer, value->number))
    lua_pushlstring(m->L, user_record_text(m->record, value), value->size);
}

/* Pushes the scalar of a field. [-0, +1, m] */
static inline void push_field_scalar(const struct maker *m, int field) {
  const struct json_token *value = &m->record->fields[field];
  if (value->event != JSON_STRING) {
    push_scalar(m, value);
    return;
  }
  const char *text = user_record_text(m->record, value);
  if (user_fields[field].type == USER_ROLE)
    push_role(m, text, value->size);
  else if ((user_fields[field].flags & USER_REPEATS) != 0)
    push_repeating(m, field, text, value->size);
  else
    lua_pushlstring(m->L, text, value->size);
}

/* ---- arrays and objects ---- */

/* Stores the value on top: in the array below it, or under the key below it in the object below
 * both. Returns false if an array has too many elements for Lua. [-(0..2), +0, m] */
static bool store(lua_State *L, bool in_array) {
  if (in_array) return compat_set_element(L, -2, lua_rawlen(L, -2) + 1);
  lua_rawset(L, -3);
  return true;
}

static bool is_array(const struct user_record *record, size_t index) {
  return index != RECORD_NONE && record->others[index].event == JSON_ARRAY_BEGIN;
}

/* Pushes the array or object that begins at `index` of record->others. Returns false as
 * user_table_push does. [-0, +?, m] */
static bool push_container(const struct maker *m, size_t index) {
  lua_State *L = m->L;
  const struct user_record *r = m->record;
  size_t end = r->others[index].next;
  bool in_array = false;
  for (size_t i = index; i < end; i++) {
    const struct json_token *value = &r->others[i];
    switch (value->event) {
    case JSON_ARRAY_BEGIN:
    case JSON_OBJECT_BEGIN:
      if (!lua_checkstack(L, USER_TABLE_SLOTS)) return false;
      lua_newtable(L);
      in_array = value->event == JSON_ARRAY_BEGIN;
      break;
    case JSON_ARRAY_END:
    case JSON_OBJECT_END:
      in_array = is_array(r, value->next);
      if (i + 1 < end && !store(L, in_array)) return false;
      break;
    case JSON_KEY: push_scalar(m, value); break;
    default:
      if (value->event == JSON_NULL && !in_array)
        lua_pushnil(L);
      else
        push_scalar(m, value);
      if (!store(L, in_array)) return false;
    }
  }
  return true;
}

/* ---- the user ---- */

/* Sets a field in the table on top. Returns false as user_table_push does. [-0, +?, m] */
static inline bool set_field(const struct maker *m, int field) {
  const struct json_token *value = &m->record->fields[field];
  if (m->names > 0)
    lua_pushvalue(m->L, m->names + field);
  else
    lua_rawgeti(m->L, m->state, STATE_NAMES + field);
  if (!token_is_container(value))
    push_field_scalar(m, field);
  else if (!push_container(m, value->next))
    return false;
  lua_rawset(m->L, -3);
  return true;
}

static bool is_delivered(const struct maker *m, const struct user_filter *filter,
                         const struct json_token *key) {
  return filter == NULL ||
         user_filter_delivers(filter, user_record_text(m->record, key), key->size);
}

/* Sets the key at `index` of record->others in the table on top. Returns false as user_table_push
 * does. [-0, +?, m] */
static bool set_other(const struct maker *m, size_t index) {
  const struct json_token *value = &m->record->others[index + 1];
  push_scalar(m, &m->record->others[index]);
  if (value->event == JSON_NULL)
    lua_pushnil(m->L); /* an earlier equal key may have had a value */
  else if (!token_is_container(value))
    push_scalar(m, value);
  else if (!push_container(m, index + 1))
    return false;
  lua_rawset(m->L, -3);
  return true;
}

/* Sets all keys of record->others that are delivered. Returns false as user_table_push does.
 * [-0, +?, m] */
static bool set_others(const struct maker *m, const struct user_filter *filter) {
  const struct user_record *r = m->record;
  for (size_t i = 0; i < r->count; i = user_record_next(r, i)) {
    const struct json_token *value = &r->others[i];
    if (value->event == JSON_KEY && is_delivered(m, filter, value) && !set_other(m, i))
      return false;
  }
  return true;
}

/* Returns the maximum number of keys in the user's table. */
static int count_members(const struct user_record *record, uint64_t fields) {
  int members = __builtin_popcountll(fields);
  for (size_t i = 0; i < record->count; i = user_record_next(record, i))
    members += record->others[i].event == JSON_KEY;
  return members;
}

bool user_table_push(lua_State *L, int state, int names, const struct user_record *record,
                     const struct user_filter *filter) {
  struct maker m = {.L = L, .state = state, .names = names, .record = record};
  uint64_t fields = filter == NULL ? record->present : record->present & filter->fields;
  lua_createtable(L, 0, count_members(record, fields));
  for (int field = 0; fields != 0; field++, fields >>= 1)
    if ((fields & 1) != 0 && !set_field(&m, field)) return false;
  return record->count == 0 || set_others(&m, filter);
}
