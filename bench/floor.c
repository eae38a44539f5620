/* The floor of decoding, as a Lua module: makes the tables of a list from values that are ready in
 * memory, without reading JSON.
 *
 *   make = floor.prepare(users, names)      make() returns a list that equals `users`
 *
 * Only the keys in `names` are made. As the library does, this pushes keys from the stack, makes
 * each table at its final size, and stops the collector meanwhile. Unlike the library, it knows the
 * length of the list. */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#endif

enum kind { TEXT, NUMBER, INTEGER, BOOLEAN };

struct value {
  enum kind kind;
  int name; /* stack index of the key in make() */
  size_t size;
  char *text;
  lua_Number number;
  lua_Integer integer; /* 0 or 1 for a boolean */
};

/* Upvalue 1 of make(); upvalue 2 is the array of names. Its memory is never freed: a program calls
 * prepare() only once. */
struct list {
  int users, names;
  int *counts;         /* the number of values of each user */
  struct value *value; /* the values of all users */
};

/* Stack indices in prepare(). */
enum { USERS = 1, NAMES };

/* Returns `memory`; raises an error if it is NULL. */
static void *checked(lua_State *L, void *memory) {
  if (memory == NULL) luaL_error(L, "out of memory");
  return memory;
}

/* Copies the value on top to `v`. Its key is names[name]. */
static void keep(lua_State *L, struct value *v, int name) {
  v->name = name;
  switch (lua_type(L, -1)) {
  case LUA_TNUMBER: v->kind = NUMBER; v->number = lua_tonumber(L, -1);
#if LUA_VERSION_NUM >= 503
    if (lua_isinteger(L, -1)) v->kind = INTEGER;
#endif
    v->integer = lua_tointeger(L, -1);
    break;
  case LUA_TBOOLEAN:
    v->kind = BOOLEAN;
    v->integer = lua_toboolean(L, -1);
    break;
  default:
    v->kind = TEXT;
    const char *text = luaL_checklstring(L, -1, &v->size);
    v->text = checked(L, malloc(v->size + 1));
    memcpy(v->text, text, v->size);
  }
}

/* make() -> a list [0, +1] */
static int l_make(lua_State *L) {
  const struct list *list = lua_touserdata(L, lua_upvalueindex(1));
  luaL_checkstack(L, list->names + 10, NULL);
  lua_gc(L, LUA_GCSTOP, 0);
  for (int i = 1; i <= list->names; i++)
    lua_rawgeti(L, lua_upvalueindex(2), i);
  lua_createtable(L, list->users, 0);
  const struct value *v = list->value;
  for (int i = 0; i < list->users; i++) {
    lua_createtable(L, 0, list->counts[i]);
    for (const struct value *end = v + list->counts[i]; v < end; v++) {
      lua_pushvalue(L, v->name);
      switch (v->kind) {
      case TEXT: lua_pushlstring(L, v->text, v->size); break;
      case NUMBER: lua_pushnumber(L, v->number); break;
      case INTEGER: lua_pushinteger(L, v->integer); break;
      case BOOLEAN: lua_pushboolean(L, (int)v->integer); break;
      }
      lua_rawset(L, -3);
    }
    lua_rawseti(L, -2, i + 1);
  }
  lua_gc(L, LUA_GCRESTART, 0);
  return 1;
}

/* prepare(users, names) -> make [2, +1] */
static int l_prepare(lua_State *L) {
  lua_settop(L, NAMES);
  struct list *list = lua_newuserdata(L, sizeof *list);
  list->users = (int)lua_rawlen(L, USERS);
  list->names = (int)lua_rawlen(L, NAMES);
  list->counts = checked(L, calloc((size_t)list->users, sizeof *list->counts));
  list->value = checked(L, calloc((size_t)list->users * (size_t)list->names, sizeof *list->value));
  struct value *next = list->value;
  for (int i = 0; i < list->users; i++) {
    lua_rawgeti(L, USERS, i + 1);
    for (int name = 1; name <= list->names; name++) {
      lua_rawgeti(L, NAMES, name);
      lua_rawget(L, -2);
      if (!lua_isnil(L, -1)) {
        keep(L, next++, name);
        list->counts[i]++;
      }
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  lua_pushvalue(L, NAMES);
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
