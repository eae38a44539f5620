#include "lua/headers.h"

#include <string.h>

#include "core/span.h"
#include "lua/argument.h"
#include "lua/options.h"
#include "lua/text_buffer.h"

/* Limit on the fields of a request, in bytes. Most servers accept less. */
#define MAX_REQUEST_BYTES (64u * 1024)

/* ---- the fields of a request ---- */

/* Raises an error about the fields. `argument`: the argument that has them; if its number is 0, the
 * function given to podero.new has returned them. `format`: as for lua_pushfstring, with one "%s"
 * for `text`. Does not return. [-0, +0, v] */
static void fail(lua_State *L, struct argument argument, const char *format, const char *text) {
  lua_pushfstring(L, format, text);
  const char *message = lua_tostring(L, -1);
  if (argument.number > 0)
    argument_error(L, argument.number, argument.method, "option 'headers': %s", message);
  argument_push_where(L);
  lua_pushfstring(L, "%sfunction in option 'headers' of podero.new: %s", lua_tostring(L, -1),
                  message);
  lua_error(L);
}

/* Returns whether the text is a field name (a token, RFC 9110, section 5.1). */
static bool is_name(const char *text, size_t size) {
  static const char others[] = "!#$%&'*+-.^_`|~";
  for (size_t i = 0; i < size; i++) {
    char c = text[i];
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!is_letter && !(c >= '0' && c <= '9') && (c == '\0' || strchr(others, c) == NULL))
      return false;
  }
  return size > 0;
}

bool headers_is_value(const char *text, size_t size) {
  static const char blanks[] = {' ', '\t'};
  if (size > 0 && (memchr(blanks, *text, 2) != NULL || memchr(blanks, text[size - 1], 2) != NULL))
    return false;
  for (size_t i = 0; i < size; i++) {
    unsigned char c = (unsigned char)text[i];
    if ((c < 0x20 && c != '\t') || c == 0x7F) return false;
  }
  return true;
}

/* Returns whether only this library or libcurl may set this field. */
static bool is_reserved(const char *name) {
  static const char *const reserved[] = {
      "Authorization", "Host",       "Content-Length",  "Content-Type", "Transfer-Encoding",
      "Connection",    "Keep-Alive", "Accept-Encoding", "TE",           "Trailer",
      "Upgrade",       "Expect",     "Cookie",          "User-Agent"};
  if (syntax_is_same(name, "Proxy-", 6)) return true;
  for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
    if (syntax_is_same(name, reserved[i], SIZE_MAX)) return true;
  }
  return false;
}

/* Returns whether one of the fields, each followed by a NUL, has this name. */
static bool has_field(const char *fields, size_t size, const char *name, size_t name_size) {
  if (size == 0) return false;
  for (const char *end = fields + size; fields < end; fields += strlen(fields) + 1) {
    if (syntax_is_same(fields, name, name_size) && fields[name_size] == ':') return true;
  }
  return false;
}

/* Appends the field whose name and value are on top. Raises an error if it cannot be sent.
 * [-0, +0, v] */
static void add_field(lua_State *L, struct buffer *fields, struct argument argument) {
  if (lua_type(L, -2) != LUA_TSTRING)
    fail(L, argument, "names must be strings, got %s", luaL_typename(L, -2));
  size_t name_size, value_size;
  const char *name = lua_tolstring(L, -2, &name_size);
  if (!is_name(name, name_size)) fail(L, argument, "'%s' is not a field name", name);
  if (is_reserved(name)) fail(L, argument, "'%s' cannot be set: the library sets it", name);
  if (lua_type(L, -1) != LUA_TSTRING) {
    lua_pushfstring(L, "field '%s': expected a string, got %s", name, luaL_typename(L, -1));
    fail(L, argument, "%s", lua_tostring(L, -1));
  }
  const char *value = lua_tolstring(L, -1, &value_size);
  if (!headers_is_value(value, value_size))
    fail(L, argument,
         "field '%s': expected a value without control characters or blanks at its ends", name);
  if (has_field(fields->data, fields->size, name, name_size))
    fail(L, argument, "field '%s' is given twice", name);
  buffer_append(fields, name, name_size);
  buffer_append(fields, ": ", 2);
  buffer_append(fields, value, value_size + 1);
  if (fields->size > MAX_REQUEST_BYTES) fail(L, argument, "more than 64 KB in %s", "total");
}

/* Appends the fields of the table on top. Raises an error if it has an __index, whose fields cannot
 * be listed. [-1, +0, v] */
static void add_table(lua_State *L, struct buffer *fields, struct argument argument) {
  luaL_checkstack(L, 8, NULL);
  if (!lua_istable(L, -1)) fail(L, argument, "expected a table, got %s", luaL_typename(L, -1));
  if (luaL_getmetafield(L, -1, "__index"))
    fail(L, argument, "expected a table without %s", "__index");
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    add_field(L, fields, argument);
  lua_pop(L, 1);
  text_buffer_check(L, fields);
}

/* Appends the fields of the table on top, or of the table that a function on top returns; it may
 * return nil for none. [-1, +0, e] */
static void add_given(lua_State *L, struct buffer *fields, struct argument argument) {
  if (lua_isfunction(L, -1)) {
    lua_call(L, 0, 1);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      return;
    }
  }
  add_table(L, fields, argument);
}

/* Appends those fields of `more` whose names `fields` does not have. */
static void add_missing(struct buffer *fields, const struct buffer *more) {
  size_t own = fields->size;
  if (more->size == 0) return;
  for (const char *field = more->data; field < more->data + more->size;
       field += strlen(field) + 1) {
    if (!has_field(fields->data, own, field, strcspn(field, ":")))
      buffer_append(fields, field, strlen(field) + 1);
  }
}

void headers_check(lua_State *L) {
  if (lua_isfunction(L, -1)) return;
  struct buffer *fields = text_buffer_push(L);
  lua_insert(L, -2);
  add_table(L, fields, (struct argument){1, "new"});
  text_buffer_to_string(L);
}

/* Appends the fields of the client to those of the call. [-0, +0, e] */
static void add_client_fields(lua_State *L, struct buffer *fields, int client) {
  struct buffer *more = text_buffer_push(L);
  lua_pushvalue(L, client);
  if (lua_isfunction(L, -1)) {
    add_given(L, more, (struct argument){0, NULL});
  } else {
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    buffer_append(more, text, size);
    lua_pop(L, 1);
  }
  text_buffer_check(L, more);
  add_missing(fields, more);
  buffer_free(more);
  lua_pop(L, 1);
}

void headers_push(lua_State *L, int client, int opts, const char *method) {
  luaL_checkstack(L, 8, NULL);
  if (client == 0 && opts == 0) {
    lua_pushnil(L);
    return;
  }
  struct buffer *fields = text_buffer_push(L);
  if (opts != 0) {
    lua_getfield(L, opts, "headers");
    add_given(L, fields, (struct argument){opts - 1, method});
  }
  if (client != 0) add_client_fields(L, fields, client);
  text_buffer_check(L, fields);
}

/* ---- the fields of a response ---- */

/* Removes the first line from `rest` and returns it, together with the lines that continue it (RFC
 * 9112, section 5.2). */
static struct span next_line(struct span *rest) {
  const char *start = rest->start, *end = start + rest->size, *next = start;
  do {
    const char *feed = memchr(next, '\n', (size_t)(end - next));
    next = feed != NULL ? feed + 1 : end;
  } while (next < end && (*next == ' ' || *next == '\t'));
  *rest = (struct span){next, (size_t)(end - next)};
  return (struct span){start, (size_t)(next - start)};
}

/* Pushes the text, or the one that replaces it. [-0, +1, m] */
static void push_text(lua_State *L, struct span s, headers_replace *replace, void *context) {
  if (replace == NULL || !replace(L, s.start, s.size, context)) lua_pushlstring(L, s.start, s.size);
}

/* Pushes the value of a field, with line ends replaced by spaces. [-0, +1, m] */
static void push_value(lua_State *L, struct span s, headers_replace *replace, void *context) {
  if (memchr(s.start, '\n', s.size) == NULL) {
    push_text(L, s, replace, context);
    return;
  }
  luaL_Buffer line;
  luaL_buffinit(L, &line);
  for (size_t i = 0; i < s.size; i++)
    luaL_addchar(&line, (char)(s.start[i] == '\r' || s.start[i] == '\n' ? ' ' : s.start[i]));
  luaL_pushresult(&line);
  size_t size;
  const char *text = lua_tolstring(L, -1, &size);
  push_text(L, (struct span){text, size}, replace, context);
  lua_remove(L, -2);
}

/* Pushes the name of a field in lower case. [-0, +1, m] */
static void push_name(lua_State *L, struct span s, headers_replace *replace, void *context) {
  luaL_Buffer lower;
  push_text(L, s, replace, context);
  size_t size;
  const char *name = lua_tolstring(L, -1, &size);
  luaL_buffinit(L, &lower);
  for (size_t i = 0; i < size; i++)
    luaL_addchar(&lower, (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]));
  luaL_pushresult(&lower);
  lua_remove(L, -2);
}

/* table[name] = value, for the table at `table` and name and value on top. If the table has the
 * name already, it gets an array of the values: joining them one by one would take quadratic time.
 * [-2, +0, m] */
static void add_value(lua_State *L, int table) {
  lua_pushvalue(L, -2);
  lua_rawget(L, table); /* name, value, earlier */
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_rawset(L, table);
    return;
  }
  if (!lua_istable(L, -1)) {
    lua_createtable(L, 4, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1); /* name, value, array */
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -2);
    lua_rawset(L, table);
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
  lua_pop(L, 2);
}

/* Replaces the array of values on top by one text. [-1, +1, m] */
static void join_values(lua_State *L) {
  int values = lua_gettop(L), count = (int)lua_rawlen(L, values);
  luaL_Buffer joined;
  luaL_buffinit(L, &joined);
  for (int i = 1; i <= count; i++) {
    if (i > 1) luaL_addlstring(&joined, ", ", 2);
    lua_rawgeti(L, values, i);
    luaL_addvalue(&joined);
  }
  luaL_pushresult(&joined);
  lua_replace(L, values);
}

/* Joins the values of all repeated fields. [-0, +0, m] */
static void join_repeated(lua_State *L, int table) {
  for (lua_pushnil(L); lua_next(L, table);) {
    if (!lua_istable(L, -1)) {
      lua_pop(L, 1);
      continue;
    }
    join_values(L);
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, table); /* the key exists, so lua_next can continue */
  }
}

void headers_push_response(lua_State *L, const char *header, size_t size, headers_replace *replace,
                           void *context) {
  struct span rest = {header, size};
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_createtable(L, 0, 8);
  int table = lua_gettop(L);
  while (rest.size > 0) {
    struct span line = next_line(&rest);
    const char *colon = memchr(line.start, ':', line.size);
    if (colon == NULL) continue;
    size_t name_size = (size_t)(colon - line.start);
    struct span name = span_trim((struct span){line.start, name_size});
    struct span value = span_trim((struct span){colon + 1, line.size - name_size - 1});
    if (span_is(name, "set-cookie") || span_is(name, "set-cookie2")) continue;
    push_name(L, name, replace, context);
    push_value(L, value, replace, context);
    add_value(L, table);
  }
  join_repeated(L, table);
}
