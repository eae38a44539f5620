#define _GNU_SOURCE /* memmem */
#include "lua/user_filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/casefold.h"
#include "core/number.h"
#include "lua/argument.h"
#include "lua/number_text.h"
#include "lua/text_buffer.h"

/* A key that the schema lacks, named in the option `fields` or `where`. */
struct filter_key {
  const char *text;
  size_t size;
  bool is_delivered;
};

/* A condition of `where`: the field or key must have one of the values. */
struct filter_condition {
  int field; /* USER_FIELD_COUNT if the schema lacks `key` */
  const char *key;
  size_t key_size;
  size_t first, count; /* its values in filter->values, which are sorted */
};

struct filter_value {
  unsigned char
      event; /* JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_INTEGER, JSON_DOUBLE, JSON_STRING */
  union {
    const char *text;
    int64_t integer;
    double number; /* never integral: 1.0 becomes JSON_INTEGER, so that it equals 1 */
  };
  size_t size;
};

/* ---- comparing values ---- */

static struct filter_value value_of_integer(int64_t integer) {
  return (struct filter_value){.event = JSON_INTEGER, .integer = integer};
}

static struct filter_value value_of_number(double number) {
  int64_t integer;
  if (number_to_integer(number, &integer)) return value_of_integer(integer);
  return (struct filter_value){.event = JSON_DOUBLE, .number = number};
}

static struct filter_value value_of_text(const char *text, size_t size) {
  return (struct filter_value){.event = JSON_STRING, .text = text, .size = size};
}

/* Compares two values for qsort and bsearch. They are equal if they are equal in Lua. */
static int compare_values(const void *left, const void *right) {
  const struct filter_value *a = left, *b = right;
  if (a->event != b->event) return a->event < b->event ? -1 : 1;
  switch (a->event) {
  case JSON_INTEGER: return (a->integer > b->integer) - (a->integer < b->integer);
  case JSON_DOUBLE: return (a->number > b->number) - (a->number < b->number);
  case JSON_STRING:
    if (a->size != b->size) return a->size < b->size ? -1 : 1;
    return memcmp(a->text, b->text, a->size);
  default: return 0;
  }
}

/* ---- deciding ---- */

/* Returns the field's value, or NULL if it is null or absent. */
static const struct json_token *field_of(const struct user_record *record, int field) {
  return (record->present & user_field_bit(field)) != 0 ? &record->fields[field] : NULL;
}

static bool has_role(const struct user_filter *filter, const struct user_record *record) {
  const struct json_token *value = field_of(record, USER_FIELD_role);
  if (filter->roles == 0) return true;
  if (value == NULL || value->event != JSON_STRING) return false;
  int role = user_role_find(user_record_text(record, value), value->size);
  return (filter->roles & 1u << role) != 0; /* no bit is set for a role that the schema lacks */
}

/* Sets `*value` to the value that `read`, which may be NULL, will have in Lua. Returns false if it
 * is an array or object. */
static bool read_value(const struct user_record *record, const struct json_token *read,
                       struct filter_value *value) {
  *value = (struct filter_value){.event = JSON_NULL};
  if (read == NULL) return true;
  switch (read->event) {
  case JSON_NULL:
  case JSON_FALSE:
  case JSON_TRUE: value->event = read->event; return true;
  case JSON_INTEGER:
    /* A Lua without integers gets the nearest float. */
    *value = LUA_VERSION_NUM >= 503 ? value_of_integer(read->integer)
                                    : value_of_number((double)read->integer);
    return true;
  case JSON_DOUBLE: *value = value_of_number(read->number); return true;
  case JSON_STRING: *value = value_of_text(user_record_text(record, read), read->size); return true;
  default: return false;
  }
}

static bool meets(const struct user_filter *filter, const struct filter_condition *condition,
                  const struct user_record *record) {
  struct filter_value value;
  const struct json_token *read =
      condition->field < USER_FIELD_COUNT
          ? field_of(record, condition->field)
          : user_record_find(record, condition->key, condition->key_size);
  return read_value(record, read, &value) &&
         bsearch(&value, filter->values + condition->first, condition->count, sizeof value,
                 compare_values) != NULL;
}

/* Separates the texts that are searched. UTF-8 never has this byte. */
#define SEPARATOR 0xFF

/* The fields that are searched. A space joins the last two into one text, "first last". */
static const unsigned char searched[] = {USER_FIELD_email, USER_FIELD_external_user_id,
                                         USER_FIELD_first_name, USER_FIELD_last_name};

/* Returns the field's value, or NULL if it is not a string. */
static const struct json_token *searched_value(const struct user_record *record, int field) {
  const struct json_token *value = field_of(record, field);
  return value != NULL && value->event == JSON_STRING ? value : NULL;
}

/* Searches all texts at once: writes them, folded and separated, to `scratch`. */
static enum filter_result search(const struct user_filter *filter, const struct user_record *record,
                                 struct buffer *scratch) {
  size_t bytes = 0;
  for (size_t i = 0; i < sizeof searched; i++) {
    const struct json_token *value = searched_value(record, searched[i]);
    if (value != NULL) bytes += CASEFOLD_BYTES((size_t)value->size) + 1;
  }
  scratch->size = 0;
  if (!buffer_reserve(scratch, bytes)) return FILTER_OUT_OF_MEMORY;
  char *out = scratch->data;
  for (size_t i = 0; i < sizeof searched; i++) {
    const struct json_token *value = searched_value(record, searched[i]);
    if (value == NULL) continue;
    bool has_last_name = searched_value(record, USER_FIELD_last_name) != NULL;
    out += casefold(out, user_record_text(record, value), value->size);
    *out++ = searched[i] == USER_FIELD_first_name && has_last_name ? ' ' : (char)SEPARATOR;
  }
  size_t size = (size_t)(out - scratch->data);
  return memmem(scratch->data, size, filter->search, filter->search_size) != NULL ? FILTER_ACCEPTS
                                                                                  : FILTER_REFUSES;
}

enum filter_result user_filter_accepts(const struct user_filter *filter,
                                       const struct user_record *record, struct buffer *scratch) {
  if (!has_role(filter, record)) return FILTER_REFUSES;
  for (size_t i = 0; i < filter->condition_count; i++)
    if (!meets(filter, &filter->conditions[i], record)) return FILTER_REFUSES;
  if (filter->search == NULL) return FILTER_ACCEPTS;
  return filter->finds_nothing ? FILTER_REFUSES : search(filter, record, scratch);
}

static const struct filter_key *find_key(const struct user_filter *filter, const char *key,
                                         size_t size) {
  for (size_t i = 0; i < filter->key_count; i++) {
    const struct filter_key *k = &filter->keys[i];
    if (k->size == size && memcmp(k->text, key, size) == 0) return k;
  }
  return NULL;
}

bool user_filter_needs(const struct user_filter *filter, const char *key, size_t size) {
  return filter->all_keys || find_key(filter, key, size) != NULL;
}

bool user_filter_delivers(const struct user_filter *filter, const char *key, size_t size) {
  if (filter->all_keys) return true;
  const struct filter_key *k = find_key(filter, key, size);
  return k != NULL && k->is_delivered;
}

/* ---- reading the options ---- */

/* Elements of the table that user_filter_push pushes: the userdata with the filter, the buffers
 * with its arrays, and then all strings that these refer to. */
enum { HELD_FILTER = 1, HELD_KEYS, HELD_CONDITIONS, HELD_VALUES, HELD_BUFFERS = HELD_VALUES };

struct maker {
  lua_State *L;
  struct argument argument;
  int held; /* stack index of the table */
  struct user_filter *filter;
  struct buffer *keys, *conditions, *values;
};

/* Returns a new buffer, which the table keeps alive. [-0, +0, m] */
static struct buffer *new_array(const struct maker *m, int element) {
  struct buffer *buffer = text_buffer_push(m->L);
  lua_rawseti(m->L, m->held, element);
  return buffer;
}

/* Appends an element to an array. [-0, +0, v] */
static void append(const struct maker *m, struct buffer *array, const void *element, size_t size) {
  buffer_append(array, element, size);
  text_buffer_check(m->L, array);
}

/* Moves the value on top into the table, which keeps it alive. [-1, +0, m] */
static void hold(const struct maker *m) {
  lua_rawseti(m->L, m->held, (int)lua_rawlen(m->L, m->held) + 1);
}

/* Raises an error about an option. `format` has one "%s" for `text`. Does not return.
 * [-0, +0, v] */
static void fail(const struct maker *m, const char *option, const char *format, const char *text) {
  lua_pushfstring(m->L, format, text);
  argument_error(m->L, m->argument.number, m->argument.method, "%s: %s", option,
                 lua_tostring(m->L, -1));
}

/* Returns the number of elements of the table on top. Raises an error if it is not an array, is
 * empty, or has an __index, since this would ignore it. `what`: what is expected, for messages.
 * [-0, +0, v] */
static int check_array(const struct maker *m, const char *option, const char *what) {
  lua_State *L = m->L;
  int count = 0;
  lua_Number greatest = 0;
  if (luaL_getmetafield(L, -1, "__index")) fail(m, option, "expected %s without a metatable", what);
  lua_pushnil(L);
  for (; lua_next(L, -2); count++) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TNUMBER)
      fail(m, option, "expected an array, got a table with a key of type %s", luaL_typename(L, -1));
    greatest = fmax(greatest, lua_tonumber(L, -1));
  }
  if (count == 0) fail(m, option, "expected %s that is not empty", what);
  if (greatest != count) fail(m, option, "expected %s without holes", what);
  return count;
}

/* Returns the field with this name, or USER_FIELD_COUNT if the schema lacks it. */
static int find_field(const char *name, size_t size) {
  int field = 0;
  while (field < USER_FIELD_COUNT && !user_field_is(field, name, size))
    field++;
  return field;
}

/* Adds a field or key to those that are needed, and, if `is_delivered`, to those that are
 * delivered. The caller keeps `name` alive, see hold. [-0, +0, v] */
static void add_key(const struct maker *m, int field, const char *name, size_t size,
                    bool is_delivered) {
  if (field < USER_FIELD_COUNT) {
    m->filter->needed |= user_field_bit(field);
    if (is_delivered) m->filter->fields |= user_field_bit(field);
    return;
  }
  struct filter_key *keys = (struct filter_key *)(void *)m->keys->data;
  for (size_t i = 0; i < m->filter->key_count; i++) {
    if (keys[i].size != size || memcmp(keys[i].text, name, size) != 0) continue;
    keys[i].is_delivered = keys[i].is_delivered || is_delivered;
    return;
  }
  struct filter_key key = {.text = name, .size = size, .is_delivered = is_delivered};
  append(m, m->keys, &key, sizeof key);
  m->filter->key_count++;
}

/* The functions read_... below read the option's value on top, and raise an error if it is not
 * valid. [-0, +0, v] */

static void read_fields(const struct maker *m, const char *option) {
  lua_State *L = m->L;
  if (!lua_istable(L, -1))
    fail(m, option, "expected an array of names, got %s", luaL_typename(L, -1));
  int count = check_array(m, option, "an array of names");
  m->filter->all_keys = false;
  m->filter->fields = 0;
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    if (lua_type(L, -1) != LUA_TSTRING)
      fail(m, option, "names must be strings, got %s", luaL_typename(L, -1));
    size_t size;
    const char *name = lua_tolstring(L, -1, &size);
    add_key(m, find_field(name, size), name, size, true);
    hold(m);
  }
}

/* Adds one role. */
static void read_role(const struct maker *m, const char *option) {
  static const char expected[] = "expected \"admin\", \"staff\", \"user\" or \"guest\"";
  if (lua_type(m->L, -1) != LUA_TSTRING)
    fail(m, option, "expected a role, got %s", luaL_typename(m->L, -1));
  size_t size;
  const char *role = lua_tolstring(m->L, -1, &size);
  int i = user_role_find(role, size);
  if (i == USER_ROLE_COUNT) fail(m, option, "%s; where = { role = ... } finds others", expected);
  m->filter->roles |= 1u << i;
}

static void read_roles(const struct maker *m, const char *option) {
  m->filter->needed |= user_field_bit(USER_FIELD_role);
  if (!lua_istable(m->L, -1)) {
    read_role(m, option);
    return;
  }
  int count = check_array(m, option, "a role or an array of roles");
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(m->L, -1, i);
    read_role(m, option);
    lua_pop(m->L, 1);
  }
}

static void read_search(const struct maker *m, const char *option) {
  lua_State *L = m->L;
  if (lua_type(L, -1) != LUA_TSTRING)
    fail(m, option, "expected a string, got %s", luaL_typename(L, -1));
  size_t size;
  const char *text = lua_tolstring(L, -1, &size);
  if (size == 0) return;
  char *folded = lua_newuserdata(L, CASEFOLD_BYTES(size));
  m->filter->search_size = casefold(folded, text, size);
  m->filter->search = folded;
  m->filter->finds_nothing = memchr(text, SEPARATOR, size) != NULL;
  hold(m);
  for (size_t i = 0; i < sizeof searched; i++)
    m->filter->needed |= user_field_bit(searched[i]);
}

static void read_limit(const struct maker *m, const char *option) {
  static const char expected[] = "a positive integer";
  if (lua_type(m->L, -1) != LUA_TNUMBER)
    fail(m, option, "expected an integer, got %s", luaL_typename(m->L, -1));
  lua_Number limit = lua_tonumber(m->L, -1);
  if (!(limit >= 1 && floor(limit) == limit)) fail(m, option, "expected %s", expected);
  m->filter->limit = limit < 9e15 ? (uint64_t)limit : UINT64_MAX;
}

/* Adds a value to those of a condition. [-0, +0, v] */
static void add_value(const struct maker *m, struct filter_condition *condition,
                      struct filter_value value) {
  append(m, m->values, &value, sizeof value);
  condition->count++;
}

/* Adds the string on top to the values of a condition, and keeps it alive. [-1, +0, v] */
static void add_text(const struct maker *m, struct filter_condition *condition) {
  size_t size;
  const char *text = lua_tolstring(m->L, -1, &size);
  add_value(m, condition, value_of_text(text, size));
  hold(m);
}

static bool is_text_field(int field) {
  return field < USER_FIELD_COUNT &&
         (user_fields[field].type == USER_STRING || user_fields[field].type == USER_ROLE);
}

/* Adds the number on top. If the schema has a string there, numbers in JSON become their text, so
 * this adds the number's text, too. [-0, +0, v] */
static void add_number(const struct maker *m, const char *option,
                       struct filter_condition *condition) {
  lua_Number number = lua_tonumber(m->L, -1);
  if (!isfinite(number)) fail(m, option, "%s", "JSON has neither NaN nor infinity");
#if LUA_VERSION_NUM >= 503
  if (lua_isinteger(m->L, -1))
    add_value(m, condition, value_of_integer((int64_t)lua_tointeger(m->L, -1)));
  else
#endif
    add_value(m, condition, value_of_number((double)number));
  if (!is_text_field(condition->field)) return;
  lua_pushvalue(m->L, -1);
  number_to_text(m->L);
  add_text(m, condition);
}

/* Adds the value on top to those of a condition. */
static void read_condition_value(const struct maker *m, const char *option,
                                 struct filter_condition *condition) {
  lua_State *L = m->L;
  switch (lua_type(L, -1)) {
  case LUA_TSTRING:
    lua_pushvalue(L, -1);
    add_text(m, condition);
    return;
  case LUA_TNUMBER: add_number(m, option, condition); return;
  case LUA_TBOOLEAN:
    add_value(m, condition,
              (struct filter_value){.event = lua_toboolean(L, -1) ? JSON_TRUE : JSON_FALSE});
    return;
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(L, -1) == NULL) { /* podero.null */
      add_value(m, condition, (struct filter_value){.event = JSON_NULL});
      return;
    }
    break;
  default: break;
  }
  fail(m, option, "expected a string, number, boolean, podero.null or an array of these, got %s",
       luaL_typename(L, -1));
}

/* Adds the condition whose value, or array of values, is on top, and whose key is below it. */
static void read_condition(const struct maker *m, const char *option) {
  lua_State *L = m->L;
  if (lua_type(L, -2) != LUA_TSTRING)
    fail(m, option, "field names must be strings, got %s", luaL_typename(L, -2));
  struct filter_condition condition = {.first = m->values->size / sizeof(struct filter_value)};
  condition.key = lua_tolstring(L, -2, &condition.key_size);
  condition.field = find_field(condition.key, condition.key_size);
  lua_pushvalue(L, -2);
  hold(m);
  add_key(m, condition.field, condition.key, condition.key_size, false);
  lua_pushfstring(L, "%s, field '%s'", option, condition.key);
  const char *name = lua_tostring(L, -1);
  lua_insert(L, -2);
  if (lua_istable(L, -1)) {
    int count = check_array(m, name, "an array of values");
    for (int i = 1; i <= count; i++) {
      lua_rawgeti(L, -1, i);
      read_condition_value(m, name, &condition);
      lua_pop(L, 1);
    }
  } else {
    read_condition_value(m, name, &condition);
  }
  lua_remove(L, -2);
  append(m, m->conditions, &condition, sizeof condition);
  m->filter->condition_count++;
}

/* Refuses a table without conditions, which would find any user: most likely the value of a
 * condition is nil by mistake. */
static void read_where(const struct maker *m, const char *option) {
  lua_State *L = m->L;
  if (!lua_istable(L, -1)) fail(m, option, "expected a table, got %s", luaL_typename(L, -1));
  if (luaL_getmetafield(L, -1, "__index"))
    fail(m, option, "expected %s", "a table without a metatable");
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    read_condition(m, option);
    lua_pop(L, 1);
  }
  if (m->filter->condition_count == 0) fail(m, option, "expected %s", "at least one field");
}

/* Reads an option with `read`, if the table at `opts` has it. [-0, +0, v] */
static void read_option(const struct maker *m, int opts, const char *name,
                        void (*read)(const struct maker *m, const char *option)) {
  lua_getfield(m->L, opts, name);
  lua_pushfstring(m->L, "option '%s'", name);
  lua_insert(m->L, -2);
  if (!lua_isnil(m->L, -1)) read(m, lua_tostring(m->L, -2));
  lua_pop(m->L, 2);
}

/* Sorts the values of each condition, and lets the filter refer to the arrays. */
static void complete(const struct maker *m) {
  struct user_filter *f = m->filter;
  f->keys = (const struct filter_key *)(const void *)m->keys->data;
  f->conditions = (const struct filter_condition *)(const void *)m->conditions->data;
  f->values = (const struct filter_value *)(const void *)m->values->data;
  struct filter_value *values = (struct filter_value *)(void *)m->values->data;
  for (size_t i = 0; i < f->condition_count; i++)
    qsort(values + f->conditions[i].first, f->conditions[i].count, sizeof *values, compare_values);
}

void user_filter_push(lua_State *L, int opts, int where, struct argument argument) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  struct maker m = {.L = L, .argument = argument};
  lua_createtable(L, HELD_BUFFERS, 0);
  m.held = lua_gettop(L);
  m.filter = lua_newuserdata(L, sizeof *m.filter);
  lua_rawseti(L, m.held, HELD_FILTER);
  m.keys = new_array(&m, HELD_KEYS);
  m.conditions = new_array(&m, HELD_CONDITIONS);
  m.values = new_array(&m, HELD_VALUES);
  uint64_t all = user_field_bit(USER_FIELD_COUNT) - 1;
  *m.filter = (struct user_filter){.fields = all, .limit = UINT64_MAX, .all_keys = true};
  if (where != 0) {
    lua_pushvalue(L, where);
    read_where(&m, "where");
    lua_pop(L, 1);
    m.argument.number++;
    m.filter->limit = 1;
  }
  if (opts != 0) {
    read_option(&m, opts, "fields", read_fields);
    read_option(&m, opts, "role", read_roles);
    read_option(&m, opts, "search", read_search);
    if (where == 0) {
      read_option(&m, opts, "where", read_where);
      read_option(&m, opts, "limit", read_limit);
    }
  }
  m.filter->needed |= m.filter->fields;
  complete(&m);
}

const struct user_filter *user_filter_get(lua_State *L, int index) {
  if (!lua_istable(L, index)) return NULL;
  lua_rawgeti(L, index, HELD_FILTER);
  const struct user_filter *filter = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return filter;
}
