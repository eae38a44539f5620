#include "lua/user.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/syntax.h"
#include "lua/json.h"

/* ---- the schema ---- */

enum field_type { FIELD_STRING, FIELD_INTEGER, FIELD_NUMBER, FIELD_BOOLEAN };

struct field {
  const char *name;
  enum field_type type;
  bool required; /* the other fields are nullable, and may be absent */
};

static const struct field fields[] = {
    {"id", FIELD_STRING, true},
    {"organization_id", FIELD_STRING, true},
    {"external_user_id", FIELD_STRING, false},
    {"role", FIELD_STRING, true},
    {"email", FIELD_STRING, true},
    {"first_name", FIELD_STRING, false},
    {"last_name", FIELD_STRING, false},
    {"is_onboarded", FIELD_BOOLEAN, false},
    {"street_and_number", FIELD_STRING, false},
    {"street_add_info", FIELD_STRING, false},
    {"zip_code", FIELD_STRING, false},
    {"town", FIELD_STRING, false},
    {"country", FIELD_STRING, false},
    {"latitude", FIELD_NUMBER, false},
    {"longitude", FIELD_NUMBER, false},
    {"last_login", FIELD_STRING, false},
    {"num_inverters", FIELD_INTEGER, true},
    {"num_heat_pumps", FIELD_INTEGER, true},
    {"num_electric_vehicles", FIELD_INTEGER, true},
    {"num_wallboxes", FIELD_INTEGER, true},
    {"joined_at", FIELD_STRING, false},
};
#define FIELD_COUNT (sizeof fields / sizeof *fields)

/* Names in capitals are made from these. */
static const char *const roles[] = {"admin", "staff", "user", "guest"};

static const char *const type_names[] = {
    [FIELD_STRING] = "string",
    [FIELD_INTEGER] = "integer",
    [FIELD_NUMBER] = "number",
    [FIELD_BOOLEAN] = "boolean",
};

/* ---- Role ---- */

static int role_newindex(lua_State *L) {
  return luaL_error(L, "podero.Role cannot be changed");
}

static int role_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING)
    return luaL_error(L, "podero.Role has no key of type %s", luaL_typename(L, 2));
  return luaL_error(L, "podero.Role has no '%s'", lua_tostring(L, 2));
}

static int role_next(lua_State *L) {
  lua_settop(L, 2);
  return lua_next(L, 1) ? 2 : 0;
}

/* For __pairs: the table that users see is empty, so that writes are noticed. */
static int role_pairs(lua_State *L) {
  lua_pushcfunction(L, role_next);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushnil(L);
  return 3;
}

static void push_role_table(lua_State *L) {
  lua_newtable(L);
  for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
    luaL_Buffer name;
    luaL_buffinit(L, &name);
    for (const char *c = roles[i]; *c != '\0'; c++)
      luaL_addchar(&name, (char)(*c - 'a' + 'A'));
    luaL_pushresult(&name);
    lua_pushstring(L, roles[i]);
    lua_rawset(L, -3);
  }
}

void user_push_roles(lua_State *L) {
  lua_newtable(L);    /* proxy */
  lua_newtable(L);    /* metatable */
  push_role_table(L); /* roles */
  lua_newtable(L);    /* metatable of roles: names that it lacks */
  lua_pushcfunction(L, role_index);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, role_pairs, 1);
  lua_setfield(L, -3, "__pairs");
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, role_newindex);
  lua_setfield(L, -2, "__newindex");
  lua_pushboolean(L, false);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
}

/* ---- JSON values into users ---- */

static const char names_key; /* its address is the place of the name -> index table */

void user_open(lua_State *L) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)&names_key);
  lua_createtable(L, 0, (int)FIELD_COUNT);
  for (size_t i = 0; i < FIELD_COUNT; i++) {
    lua_pushinteger(L, (lua_Integer)i + 1);
    lua_setfield(L, -2, fields[i].name);
  }
  lua_rawset(L, LUA_REGISTRYINDEX);
}

struct reader {
  lua_State *L;
  int names;  /* stack index of the name -> index table */
  int number; /* of the user, from 1 */
  bool validate;
  struct failure *failure;
};

/* What the value on top is called in a message. [0, 0] */
static const char *type_name(lua_State *L) {
  if (json_is_null(L, -1)) return "null";
  if (!lua_istable(L, -1)) return luaL_typename(L, -1);
  lua_pushnil(L);
  if (!lua_next(L, -2)) return "object or array"; /* lua-cjson does not tell which, if empty */
  bool array = lua_type(L, -2) == LUA_TNUMBER;
  lua_pop(L, 2);
  return array ? "array" : "object";
}

static bool fail_type(struct reader *r, const char *field, const char *expected) {
  failure_set(r->failure, FAILURE_SCHEMA, "[%d]%s%s: expected %s, got %s", r->number,
              *field != '\0' ? "." : "", field, expected, type_name(r->L));
  return false;
}

/* Nulls are left out of objects, at any depth. In arrays they keep their place, since what follows
 * them would move. lua-cjson bounds the depth. [0, 0] */
static void drop_nulls(lua_State *L) {
  luaL_checkstack(L, 4, "value nested too deeply");
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    if (lua_istable(L, -1)) {
      drop_nulls(L);
    } else if (json_is_null(L, -1) && lua_type(L, -2) == LUA_TSTRING) {
      lua_pushvalue(L, -2);
      lua_pushnil(L);
      lua_rawset(L, -5);
    }
    lua_pop(L, 1);
  }
}

/* Replaces the field's value by the one on top. Stack: user, name, value, new. [-1, +0] */
static void replace_value(lua_State *L) {
  lua_pushvalue(L, -3);
  lua_insert(L, -2);
  lua_rawset(L, -5);
}

static bool fits(lua_State *L, enum field_type type) {
  switch (type) {
  case FIELD_STRING: return lua_type(L, -1) == LUA_TSTRING;
  case FIELD_BOOLEAN: return lua_isboolean(L, -1);
  case FIELD_NUMBER: return lua_type(L, -1) == LUA_TNUMBER && isfinite(lua_tonumber(L, -1));
  case FIELD_INTEGER: {
    if (lua_type(L, -1) != LUA_TNUMBER) return false;
    lua_Number n = lua_tonumber(L, -1);
    return n >= -9223372036854775808.0 && n < 9223372036854775808.0 && floor(n) == n;
  }
  }
  return false;
}

/* Gives the number on top the type in Lua that the schema has for it. [0, 0] */
static void convert_number(lua_State *L, enum field_type type) {
  lua_Number n = lua_tonumber(L, -1);
  if (type == FIELD_INTEGER)
    compat_pushinteger(L, (int64_t)n);
  else
    lua_pushnumber(L, n);
  replace_value(L);
}

/* Checks one field of the schema. Stack: user, name, value. [0, 0] */
static bool read_field(struct reader *r, const struct field *field) {
  lua_State *L = r->L;
  if (fits(L, field->type)) {
    if (field->type == FIELD_INTEGER || field->type == FIELD_NUMBER) convert_number(L, field->type);
    return true;
  }
  bool null = json_is_null(L, -1);
  if (r->validate && !(null && !field->required))
    return fail_type(r, field->name, type_names[field->type]);
  if (null) {
    lua_pushnil(L);
    replace_value(L);
  } else if (lua_istable(L, -1)) {
    drop_nulls(L);
  }
  return true;
}

/* A key that the schema lacks. Stack: user, name, value. [0, 0] */
static void read_extra(struct reader *r) {
  if (lua_istable(r->L, -1)) {
    drop_nulls(r->L);
  } else if (json_is_null(r->L, -1)) {
    lua_pushnil(r->L);
    replace_value(r->L);
  }
}

static bool check_required(struct reader *r, uint32_t seen) {
  for (size_t i = 0; i < FIELD_COUNT; i++) {
    if (!fields[i].required || (seen >> i & 1) != 0) continue;
    failure_set(r->failure, FAILURE_SCHEMA, "[%d].%s: missing", r->number, fields[i].name);
    return false;
  }
  return true;
}

/* Turns the object on top into a user. [0, 0] */
static bool read_user(struct reader *r) {
  lua_State *L = r->L;
  if (!lua_istable(L, -1)) return fail_type(r, "", "object");
  uint32_t seen = 0;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_pushvalue(L, -2);
    lua_rawget(L, r->names);
    size_t index = (size_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (index == 0) {
      read_extra(r);
    } else {
      seen |= UINT32_C(1) << (index - 1);
      if (!read_field(r, &fields[index - 1])) return false;
    }
    lua_pop(L, 1);
  }
  return !r->validate || check_required(r, seen);
}

/* The first byte that is not white space, or NUL. */
static char first_byte(const char *json, size_t size) {
  size_t i = 0;
  while (i < size && strchr(" \t\r\n", json[i]) != NULL && json[i] != '\0')
    i++;
  return i < size ? json[i] : '\0';
}

static bool ends_in(const char *json, size_t size, char last) {
  while (size > 0 && strchr(" \t\r\n", json[size - 1]) != NULL && json[size - 1] != '\0')
    size--;
  return size > 0 && json[size - 1] == last;
}

/* Pushes the decoded array, or fails. [0, +1|0] */
static bool decode_list(lua_State *L, const char *json, size_t size, struct failure *failure) {
  lua_pushlstring(L, json != NULL ? json : "", size);
  if (!json_decode(L)) {
    bool list = first_byte(json, size) == '[';
    bool cut = list && !ends_in(json, size, ']');
    failure_set(failure, FAILURE_DECODE, "the response is %s: %.200s",
                size == 0 ? "empty"
                : cut     ? "cut short"
                          : "not JSON",
                lua_tostring(L, -1));
    failure->retryable = cut;
    return false;
  }
  if (first_byte(json, size) == '[') return true;
  failure_set(failure, FAILURE_SCHEMA, "expected an array of users, got %s",
              first_byte(json, size) == '{' ? "object" : type_name(L));
  return false;
}

void user_read_list(lua_State *L, const char *json, size_t size, bool validate,
                    struct failure *failure) {
  struct reader r = {.L = L, .names = lua_gettop(L) + 1, .validate = validate, .failure = failure};
  lua_pushlightuserdata(L, (void *)(uintptr_t)&names_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  bool ok = decode_list(L, json, size, failure);
  int count = ok ? (int)lua_rawlen(L, -1) : 0;
  for (r.number = 1; ok && r.number <= count; r.number++) {
    lua_rawgeti(L, r.names + 1, r.number);
    ok = read_user(&r);
    if (ok) lua_pop(L, 1);
  }
  lua_settop(L, ok ? r.names + 1 : r.names - 1);
  if (ok) lua_remove(L, r.names);
  syntax_make_printable(failure->message);
}
