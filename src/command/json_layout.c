/* podero.command.json_layout: JSON text (RFC 8259) as it came, for programs and for people. Numbers
 * and strings are not converted: large integers, 1e400, 1.0 and {} are left unchanged. core/json.h
 * is not used because it refuses what it cannot convert.
 *
 *   is_json(text)    whether a text is one JSON value
 *   lines(text)      the text with a line for each member, piece by piece */
#include <string.h>

#include "core/hex.h"
#include "lua/compat.h"

/* How deeply arrays and objects may be nested; the module has the same limit. */
#define MAX_DEPTH 512

/* A piece is complete at the first comma after so many bytes. */
#define PIECE_BYTES ((size_t)64 * 1024)

/* ---- tokens ---- */

/* These functions return the end of what begins at `p`, or NULL if it is not there. A string of Lua
 * ends in a NUL, which begins no token: so one byte may be read at `end`. */

static const char *skip_space(const char *p) {
  while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')
    p++;
  return p;
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* After a backslash. */
static const char *skip_escape(const char *p) {
  if (*p != 'u') return *p != '\0' && strchr("\"\\/bfnrt", *p) != NULL ? p + 1 : NULL;
  for (int i = 1; i <= 4; i++)
    if (hex_value(p[i]) < 0) return NULL;
  return p + 5;
}

static const char *skip_string(const char *p) {
  if (*p++ != '"') return NULL;
  while (p != NULL && *p != '"') {
    if ((unsigned char)*p < 0x20) return NULL; /* the end of the text, too */
    p = *p == '\\' ? skip_escape(p + 1) : p + 1;
  }
  return p != NULL ? p + 1 : NULL;
}

static const char *skip_digits(const char *p) {
  if (!is_digit(*p)) return NULL;
  while (is_digit(*p))
    p++;
  return p;
}

static const char *skip_number(const char *p) {
  if (*p == '-') p++;
  if (*p == '0' && is_digit(p[1])) return NULL;
  p = skip_digits(p);
  if (p != NULL && *p == '.') p = skip_digits(p + 1);
  if (p == NULL || (*p != 'e' && *p != 'E')) return p;
  p++;
  if (*p == '+' || *p == '-') p++;
  return skip_digits(p);
}

static const char *skip_literal(const char *p, const char *literal) {
  size_t size = strlen(literal);
  return strncmp(p, literal, size) == 0 ? p + size : NULL;
}

static const char *skip_scalar(const char *p) {
  switch (*p) {
  case '"': return skip_string(p);
  case 't': return skip_literal(p, "true");
  case 'f': return skip_literal(p, "false");
  case 'n': return skip_literal(p, "null");
  default: return skip_number(p);
  }
}

/* ---- the grammar ---- */

/* What is open: `closing` brackets, the innermost last. */
struct open {
  int depth;
  char closing[MAX_DEPTH];
};

/* Skips the key of a member and its colon, and spaces around them. */
static const char *skip_key(const char *p) {
  p = skip_string(p);
  if (p != NULL) p = skip_space(p);
  return p != NULL && *p == ':' ? skip_space(p + 1) : NULL;
}

/* Skips brackets that open, keys after them, and the scalar or the empty container that comes
 * then. */
static const char *skip_value(const char *p, struct open *open) {
  while (*p == '[' || *p == '{') {
    char closing = *p == '[' ? ']' : '}';
    p = skip_space(p + 1);
    if (open->depth == MAX_DEPTH) return NULL;
    if (*p == closing) return p + 1;
    open->closing[open->depth++] = closing;
    if (closing == '}') p = skip_key(p);
    if (p == NULL) return NULL;
  }
  return skip_scalar(p);
}

/* Returns whether a text is JSON. */
static bool is_json(const char *p, const char *end) {
  struct open open = {.depth = 0};
  p = skip_space(p);
  for (;;) {
    p = skip_value(p, &open);
    if (p == NULL) return false;
    for (p = skip_space(p); open.depth > 0 && *p == open.closing[open.depth - 1]; open.depth--)
      p = skip_space(p + 1);
    if (open.depth == 0) return p == end;
    if (*p != ',') return false;
    p = skip_space(p + 1);
    if (open.closing[open.depth - 1] == '}' && (p = skip_key(p)) == NULL) return false;
  }
}

/* is_json(text): whether the text is one JSON value. Strings need not be UTF-8. */
static int layout_is_json(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  lua_pushboolean(L, is_json(text, text + size));
  return 1;
}

/* ---- lines ---- */

static void add_line_end(luaL_Buffer *out, lua_Integer depth) {
  luaL_addchar(out, '\n');
  for (; depth > 0; depth--)
    luaL_addlstring(out, "  ", 2);
}

/* Returns the end of a string, number, true, false or null, which must be valid. */
static const char *end_of_scalar(const char *p) {
  if (*p != '"') return p + strcspn(p, ",]} \t\r\n");
  for (p++; *p != '"'; p++)
    if (*p == '\\') p++;
  return p + 1;
}

/* Appends the token at `p`, which is no space, and the line end and spaces that follow it. Returns
 * the end of the token. */
static const char *add_token(luaL_Buffer *out, const char *p, lua_Integer *depth) {
  const char *after = p + 1;
  switch (*p) {
  case '[':
  case '{':
    luaL_addchar(out, *p);
    after = skip_space(after);
    if (*after == ']' || *after == '}') {
      luaL_addchar(out, *after);
      return after + 1;
    }
    add_line_end(out, ++*depth);
    return after;
  case ']':
  case '}':
    add_line_end(out, --*depth);
    luaL_addchar(out, *p);
    return after;
  case ',':
    luaL_addchar(out, ',');
    add_line_end(out, *depth);
    return after;
  case ':': luaL_addlstring(out, ": ", 2); return after;
  default:
    after = end_of_scalar(p);
    luaL_addlstring(out, p, (size_t)(after - p));
    return after;
  }
}

/* The iterator of `lines`. Its upvalues: the text, the position of the next token, and how many
 * containers are open there. Returns the next piece, nil at the end. */
static int next_lines(lua_State *L) {
  size_t size;
  const char *text = lua_tolstring(L, lua_upvalueindex(1), &size), *end = text + size;
  const char *start = text + lua_tointeger(L, lua_upvalueindex(2)), *p = skip_space(start);
  lua_Integer depth = lua_tointeger(L, lua_upvalueindex(3));
  if (p == end) return 0;
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  while (p < end) {
    bool is_comma = *p == ',';
    p = skip_space(add_token(&out, p, &depth));
    if (is_comma && (size_t)(p - start) >= PIECE_BYTES) break;
  }
  luaL_pushresult(&out);
  lua_pushinteger(L, (lua_Integer)(p - text));
  lua_replace(L, lua_upvalueindex(2));
  lua_pushinteger(L, depth);
  lua_replace(L, lua_upvalueindex(3));
  return 1;
}

/* lines(text): an iterator over pieces of the text, which must be JSON, with a line for each member
 * and element. There is no line end at the end. */
static int layout_lines(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  luaL_argcheck(L, is_json(text, text + size), 1, "no JSON");
  lua_settop(L, 1);
  lua_pushinteger(L, 0);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_lines, 3);
  return 1;
}

/* ---- the module ---- */

static const luaL_Reg functions[] = {
    {"is_json", layout_is_json}, {"lines", layout_lines}, {NULL, NULL}};

PODERO_EXPORT int luaopen_podero_command_json_layout(lua_State *L);
int luaopen_podero_command_json_layout(lua_State *L) {
  lua_createtable(L, 0, 2);
  compat_setfuncs(L, functions);
  return 1;
}
