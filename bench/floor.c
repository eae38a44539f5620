/* The floor of decoding: makes the tables of a list from values that stand ready in memory, and reads no JSON. A Lua
 * module.
 *
 *   make = floor.prepare(users, names, repeating)      make() returns a list that equals `users`
 *
 * The keys are those of `names`. As the library does, it pushes keys from the stack, makes each table at its final
 * size, and lets the collector rest meanwhile; unlike the library it knows the length of the list, and what is equal
 * from user to user, the values of the fields `repeating`, which it pushes from the stack. */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#endif

enum kind { TEXT, KEPT, NUMBER, INTEGER, BOOLEAN };

struct value {
  enum kind kind;
  int name; /* stack index of the key */
  int slot; /* KEPT: stack index of the value; BOOLEAN: the value */
  size_t size;
  char *text;
  lua_Number number;
  lua_Integer integer;
};

/* Upvalue 1 of make(); upvalue 2 are KEPT_STRINGS. */
struct list {
  int users, kept;     /* how many users, and how many KEPT_STRINGS */
  int *counts;         /* how many values each user has */
  struct value *value; /* of all users */
};

/* Stack of prepare(). KEPT_STRINGS are the strings that make() pushes first, the names before all others; SLOTS has the
 * index of each. Memory is never freed: a program prepares once. */
enum { USERS = 1, NAMES, REPEATING, KEPT_STRINGS, SLOTS };

static void *checked(lua_State *L, void *memory) {
  if (memory == NULL) luaL_error(L, "out of memory");
  return memory;
}

/* The stack index that make() has for the string on top, which it pops. */
static int slot_of(lua_State *L, struct list *list) {
  lua_pushvalue(L, -1);
  lua_rawget(L, SLOTS);
  int slot = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (slot == 0) {
    slot = ++list->kept;
    lua_pushvalue(L, -1);
    lua_rawseti(L, KEPT_STRINGS, slot);
    lua_pushvalue(L, -1);
    lua_pushinteger(L, slot);
    lua_rawset(L, SLOTS);
  }
  lua_pop(L, 1);
  return slot;
}

/* Copies the value on top, whose key is the name of this number, and pops it. */
static void keep(lua_State *L, struct list *list, struct value *v, int name) {
  v->name = name;
  switch (lua_type(L, -1)) {
  case LUA_TNUMBER:
    v->kind = NUMBER;
    v->number = lua_tonumber(L, -1);
#if LUA_VERSION_NUM >= 503
    if (lua_isinteger(L, -1)) v->kind = INTEGER;
#endif
    v->integer = lua_tointeger(L, -1);
    break;
  case LUA_TBOOLEAN:
    v->kind = BOOLEAN;
    v->slot = lua_toboolean(L, -1);
    break;
  default:
    lua_rawgeti(L, NAMES, name);
    lua_rawget(L, REPEATING);
    v->kind = lua_toboolean(L, -1) ? KEPT : TEXT;
    lua_pop(L, 1);
    if (v->kind == KEPT) {
      v->slot = slot_of(L, list);
      return;
    }
    const char *text = luaL_checklstring(L, -1, &v->size);
    v->text = checked(L, malloc(v->size + 1));
    memcpy(v->text, text, v->size);
  }
  lua_pop(L, 1);
}

static int l_make(lua_State *L) {
  const struct list *list = lua_touserdata(L, lua_upvalueindex(1));
  luaL_checkstack(L, list->kept + 10, NULL);
  lua_gc(L, LUA_GCSTOP, 0);
  for (int i = 1; i <= list->kept; i++)
    lua_rawgeti(L, lua_upvalueindex(2), i);
  lua_createtable(L, list->users, 0);
  const struct value *v = list->value;
  for (int i = 0; i < list->users; i++) {
    lua_createtable(L, 0, list->counts[i]);
    for (const struct value *end = v + list->counts[i]; v < end; v++) {
      lua_pushvalue(L, v->name);
      switch (v->kind) {
      case TEXT: lua_pushlstring(L, v->text, v->size); break;
      case KEPT: lua_pushvalue(L, v->slot); break;
      case NUMBER: lua_pushnumber(L, v->number); break;
      case INTEGER: lua_pushinteger(L, v->integer); break;
      case BOOLEAN: lua_pushboolean(L, v->slot); break;
      }
      lua_rawset(L, -3);
    }
    lua_rawseti(L, -2, i + 1);
  }
  lua_gc(L, LUA_GCRESTART, 0);
  return 1;
}

static int l_prepare(lua_State *L) {
  lua_settop(L, REPEATING);
  lua_newtable(L); /* KEPT_STRINGS */
  lua_newtable(L); /* SLOTS */
  struct list *list = lua_newuserdata(L, sizeof *list);
  memset(list, 0, sizeof *list);
  int names = (int)lua_rawlen(L, NAMES);
  list->users = (int)lua_rawlen(L, USERS);
  list->counts = checked(L, calloc((size_t)list->users, sizeof *list->counts));
  list->value = checked(L, calloc((size_t)list->users * (size_t)names, sizeof *list->value));
  struct value *next = list->value;
  for (int name = 1; name <= names; name++) {
    lua_rawgeti(L, NAMES, name);
    slot_of(L, list); /* the slot of a name is its number */
  }
  for (int i = 0; i < list->users; i++) {
    lua_rawgeti(L, USERS, i + 1);
    for (int name = 1; name <= names; name++) {
      lua_rawgeti(L, NAMES, name);
      lua_rawget(L, -2);
      if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        continue;
      }
      keep(L, list, next++, name);
      list->counts[i]++;
    }
    lua_pop(L, 1);
  }
  lua_pushvalue(L, KEPT_STRINGS);
  lua_pushcclosure(L, l_make, 2);
  return 1;
}

int luaopen_floor(lua_State *L);

int luaopen_floor(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, l_prepare);
  lua_setfield(L, -2, "prepare");
  return 1;
}
