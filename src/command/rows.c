/* podero.command.rows: users as lines of text, for the command and for web sites, in nginx as well.
 *
 *   csv(settings)    a writer of CSV (RFC 4180) that is safe to open in a spreadsheet
 *   json(settings)   a writer of JSON (RFC 8259)
 *   encode(value)    any value as JSON on one line
 *   text(value)      the same, but a string as it is, and "" for nil
 *   guarded(text)    a text in which no spreadsheet finds a formula
 *   minute(text)     a date-time in UTC, to the minute
 *   schema()         the fields of a user
 *
 * A writer collects text, which is to be taken before it has become much:
 *   writer:add(user)   appends the line of a user; returns how many bytes there are to take
 *   writer:finish()    appends what follows the last line; to be called once
 *   writer:take()      returns the text, which the writer then no longer has
 * If `add` raises an error, nothing of that line is left. Metamethods of tables are not used.
 *
 * lua-cjson is not used, because it writes numbers with 14 digits and keys in no order; nor is
 * lua/json_writer.h, which does not escape what a terminal would obey. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/buffer.h"
#include "core/number.h"
#include "core/rfc3339.h"
#include "lua/compat.h"
#include "lua/user_schema.h"

/* How many tables may be nested. */
#define MAX_DEPTH 512

/* A buffer that has become larger than this is freed when it is empty. */
#define KEPT_BYTES ((size_t)512 * 1024)

#define TYPE_NAME "podero.command.rows"

struct writer {
  struct buffer out;      /* complete lines, and the one that is being written */
  size_t complete;        /* bytes of complete lines */
  struct buffer value;    /* CSV: the current field, if it is neither text nor number */
  struct buffer prefixes; /* JSON: the keys of all columns, such as `,"email":` */
  bool is_csv;
  bool is_array;
  bool adds_others;
  bool has_rows;
  char delimiter;
  int count;            /* of columns; their names are in the table that is the user value */
  size_t prefix_ends[]; /* by column, where its key ends in `prefixes` */
};

/* ---- sets of bytes ---- */

struct byte_set {
  uint64_t bits[4];
};

#define BIT(c) (UINT64_C(1) << ((c)&63))

static inline bool is_in(const struct byte_set *set, unsigned char c) {
  return (set->bits[c >> 6] >> (c & 63) & 1) != 0;
}

/* Returns the first byte of the set, or `end`. */
static inline const unsigned char *find(const struct byte_set *set, const unsigned char *p,
                                        const unsigned char *end) {
  while (p < end && !is_in(set, *p))
    p++;
  return p;
}

/* The first bytes of characters that are escaped in JSON: C0, quotes, backslashes, DEL, C1, and
 * those that change the direction of text. */
static const struct byte_set escaped = {
    {UINT64_C(0xFFFFFFFF) | BIT('"'), BIT('\\') | BIT(0x7F), 0, BIT(0xC2) | BIT(0xE2)}};

/* The characters that a spreadsheet may read as the end of a cell. */
static const struct byte_set breaks = {
    {BIT(',') | BIT(';') | BIT('\t') | BIT('\r') | BIT('\n'), 0, 0, 0}};

/* The characters that require quotes, besides the delimiter. */
static const struct byte_set quoted = {
    {BIT('"') | BIT(',') | BIT(';') | BIT('\t') | BIT('\r') | BIT('\n'), 0, 0, 0}};

/* The characters of ASCII that may precede a formula. */
static const struct byte_set blanks = {
    {BIT(' ') | BIT('\t') | BIT('\n') | BIT('\v') | BIT('\f') | BIT('\r') | BIT('"') | BIT('\''), 0,
     0, 0}};

/* The first bytes of formulas, and of characters that may precede a formula. */
static const struct byte_set formula_starts = {
    {BIT(' ') | BIT('\t') | BIT('\n') | BIT('\v') | BIT('\f') | BIT('\r') | BIT('"') | BIT('\'') |
         BIT('=') | BIT('+') | BIT('-'),
     BIT('@'), 0, BIT(0xC2) | BIT(0xE2) | BIT(0xE3) | BIT(0xEF)}};

/* ---- JSON ---- */

/* If the character at `p` is escaped in JSON, returns its code point and sets how many bytes it
 * has; otherwise returns UINT32_MAX. Besides what RFC 8259 demands, DEL, C1, and characters that
 * change the direction of text on a terminal are escaped (U+200E, U+200F, U+202A to U+202E, U+2066
 * to U+2069). */
static uint32_t find_escape(const unsigned char *p, const unsigned char *end, size_t *size) {
  *size = 1;
  if (*p < 0x80) return *p;
  *size = *p == 0xC2 ? 2 : 3;
  if ((size_t)(end - p) < *size) return UINT32_MAX;
  if (*p == 0xC2) return p[1] >= 0x80 && p[1] < 0xA0 ? p[1] : UINT32_MAX;
  unsigned char last = p[2];
  bool reorders = p[1] == 0x80   ? last == 0x8E || last == 0x8F || (last >= 0xAA && last <= 0xAE)
                  : p[1] == 0x81 ? last >= 0xA6 && last <= 0xA9
                                 : false;
  return reorders ? 0x2000u + (p[1] & 0x3Fu) * 64 + (last & 0x3Fu) : UINT32_MAX;
}

static void add_escape(struct buffer *out, uint32_t point) {
  static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt", digits[] = "0123456789abcdef";
  for (const char *name = names; *name != '\0'; name += 2) {
    if ((unsigned char)*name != point) continue;
    buffer_append(out, (const char[]){'\\', name[1]}, 2);
    return;
  }
  const char text[] = {'\\',
                       'u',
                       digits[point >> 12],
                       digits[point >> 8 & 15],
                       digits[point >> 4 & 15],
                       digits[point & 15]};
  buffer_append(out, text, sizeof text);
}

/* Appends a text in quotes. */
static void add_quoted(struct buffer *out, const char *text, size_t size) {
  const unsigned char *start = (const unsigned char *)text, *p = start, *end = start + size;
  buffer_append(out, "\"", 1);
  while ((p = find(&escaped, p, end)) < end) {
    uint32_t point = find_escape(p, end, &size);
    if (point == UINT32_MAX) {
      p++;
      continue;
    }
    buffer_append(out, start, (size_t)(p - start));
    add_escape(out, point);
    start = p += size;
  }
  buffer_append(out, start, (size_t)(end - start));
  buffer_append(out, "\"", 1);
}

/* Writes the number on top, with the fewest digits that read back as the same number. Returns the
 * length of the text. */
static size_t write_number(lua_State *L, char text[NUMBER_BYTES]) {
#if LUA_VERSION_NUM >= 503
  if (lua_isinteger(L, -1)) return number_write_integer((int64_t)lua_tointeger(L, -1), text);
#endif
  double number = (double)lua_tonumber(L, -1) + 0.0; /* -0 becomes 0 */
  if (isfinite(number)) return number_write(number, text);
  return (size_t)snprintf(text, NUMBER_BYTES, "%g", number);
}

static void add_number(lua_State *L, struct buffer *out) {
  char text[NUMBER_BYTES];
  buffer_append(out, text, write_number(L, text));
}

struct key {
  const char *text;
  size_t size;
  int index; /* in the table that holds all of them */
};

static int compare_keys(const void *a, const void *b) {
  const struct key *left = a, *right = b;
  size_t size = left->size < right->size ? left->size : right->size;
  int order = memcmp(left->text, right->text, size);
  return order != 0 ? order : (left->size > right->size) - (left->size < right->size);
}

/* Pushes a table with the keys of the table at `table`, but for those that the one at `known` has,
 * if that is not 0; and a userdata, to which `*keys` points, with these keys in their order.
 * Returns how many there are. Raises an error if one is no string. [-0, +2, v] */
static int push_keys(lua_State *L, int table, int known, const struct key **keys) {
  int count = 0;
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, table);) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "a table has a key that is not a string");
    if (known != 0) {
      lua_pushvalue(L, -1);
      lua_rawget(L, known);
      bool is_known = !lua_isnil(L, -1);
      lua_pop(L, 1);
      if (is_known) continue;
    }
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, ++count);
  }
  struct key *list = lua_newuserdata(L, (size_t)(count + 1) * sizeof *list);
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, -2, i + 1);
    list[i].text = lua_tolstring(L, -1, &list[i].size);
    list[i].index = i + 1;
    lua_pop(L, 1);
  }
  if (count > 1) qsort(list, (size_t)count, sizeof *list, compare_keys);
  *keys = list;
  return count;
}

static void add_value(lua_State *L, struct buffer *out, int depth);

/* Appends members of the table at `table`: those with keys that the one at `known` lacks. Each has
 * a comma before it, but for the first one if there is no `known`. */
static void add_members(lua_State *L, struct buffer *out, int table, int known, int depth) {
  const struct key *keys;
  int count = push_keys(L, table, known, &keys);
  for (int i = 0; i < count; i++) {
    if (i > 0 || known != 0) buffer_append(out, ",", 1);
    add_quoted(out, keys[i].text, keys[i].size);
    buffer_append(out, ":", 1);
    lua_rawgeti(L, -2, keys[i].index);
    lua_rawget(L, table);
    add_value(L, out, depth);
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

/* Appends the table on top. An empty one may have been an array or an object: it is written as an
 * array, which is more likely. */
static void add_table(lua_State *L, struct buffer *out, int depth) {
  if (depth > MAX_DEPTH) luaL_error(L, "tables are nested deeper than 512 levels");
  luaL_checkstack(L, 12, NULL);
  int table = lua_gettop(L);
  lua_pushnil(L);
  bool is_array = lua_next(L, table) == 0;
  lua_settop(L, table);
  lua_rawgeti(L, table, 1);
  if (!is_array && lua_isnil(L, -1)) {
    buffer_append(out, "{", 1);
    add_members(L, out, table, 0, depth);
    buffer_append(out, "}", 1);
  } else {
    buffer_append(out, "[", 1);
    for (int i = 1; !lua_isnil(L, -1); i++) {
      if (i > 1) buffer_append(out, ",", 1);
      add_value(L, out, depth);
      lua_pop(L, 1);
      lua_rawgeti(L, table, i + 1);
    }
    buffer_append(out, "]", 1);
  }
  lua_settop(L, table);
}

/* Appends the result of Lua's tostring for the value on top, except that LuaJIT's has other texts
 * for built-in functions. */
static void add_other(lua_State *L, struct buffer *out) {
  if (!luaL_callmeta(L, -1, "__tostring"))
    lua_pushfstring(L, "%s: %p", luaL_typename(L, -1), lua_topointer(L, -1));
  size_t size;
  const char *text = lua_tolstring(L, -1, &size);
  if (text == NULL) luaL_error(L, "'__tostring' must return a string");
  buffer_append(out, text, size);
  lua_pop(L, 1);
}

/* Appends the value on top as JSON; it is `depth` tables deep. Values that JSON lacks are written
 * as tostring has them. Raises an error if tables are nested too deeply. [-0, +0, v] */
static void add_value(lua_State *L, struct buffer *out, int depth) {
  size_t size;
  const char *text;
  switch (lua_type(L, -1)) {
  case LUA_TSTRING:
    text = lua_tolstring(L, -1, &size);
    add_quoted(out, text, size);
    return;
  case LUA_TNUMBER: add_number(L, out); return;
  case LUA_TBOOLEAN: buffer_add(out, lua_toboolean(L, -1) ? "true" : "false"); return;
  case LUA_TNIL: buffer_add(out, "null"); return;
  case LUA_TTABLE: add_table(L, out, depth + 1); return;
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(L, -1) == NULL) { /* podero.null */
      buffer_add(out, "null");
      return;
    }
    break;
  }
  add_other(L, out);
}

/* ---- CSV ---- */

/* Returns the end of the blank or quote at `p`, before `end`; NULL if there is none. Not in ASCII:
 * U+00A0, U+2000 to U+200F, U+202F, U+205F to U+2064, U+3000, U+FEFF. */
static const unsigned char *skip_blank(const unsigned char *p, const unsigned char *end) {
  if (is_in(&blanks, *p)) return p + 1;
  if (*p < 0x80 || end - p < 2) return NULL;
  if (p[0] == 0xC2) return p[1] == 0xA0 ? p + 2 : NULL;
  if (end - p < 3) return NULL;
  bool is_blank = (p[0] == 0xE2 && p[1] == 0x80 && ((p[2] & 0xF0) == 0x80 || p[2] == 0xAF)) ||
                  (p[0] == 0xE2 && p[1] == 0x81 && p[2] >= 0x9F && p[2] <= 0xA4) ||
                  (p[0] == 0xE3 && p[1] == 0x80 && p[2] == 0x80) ||
                  (p[0] == 0xEF && p[1] == 0xBB && p[2] == 0xBF);
  return is_blank ? p + 3 : NULL;
}

/* Returns whether a spreadsheet may read a cell that begins with this text as a formula: whether it
 * begins with one of = + - @ (OWASP, "CSV Injection"), in ASCII or in the fullwidth forms that
 * Japanese spreadsheets accept, possibly after blanks and quotes. */
static bool is_formula(const unsigned char *p, const unsigned char *end) {
  const unsigned char *next;
  while (p < end && (next = skip_blank(p, end)) != NULL)
    p = next;
  if (p >= end) return false;
  if (*p == '=' || *p == '+' || *p == '-' || *p == '@') return true;
  return end - p >= 3 && p[0] == 0xEF && p[1] == 0xBC &&
         (p[2] == 0x8B || p[2] == 0x8D || p[2] == 0x9D || p[2] == 0xA0);
}

/* Appends bytes; with `doubles`, each quote twice. */
static void add_bytes(struct buffer *out, const unsigned char *p, const unsigned char *end,
                      bool doubles) {
  const unsigned char *quote;
  while (doubles && p < end && (quote = memchr(p, '"', (size_t)(end - p))) != NULL) {
    buffer_append(out, p, (size_t)(quote + 1 - p));
    buffer_append(out, "\"", 1);
    p = quote + 1;
  }
  buffer_append(out, p, (size_t)(end - p));
}

/* Appends a text with an apostrophe before it if it is a formula, and before each formula after a
 * comma, semicolon, tab or line end: a spreadsheet may use any of them as the delimiter. Removing
 * one apostrophe before each formula restores the text. */
static void add_guarded(struct buffer *out, const unsigned char *text, const unsigned char *end,
                        bool doubles) {
  const unsigned char *p = text;
  while (p < end && *p == '\'')
    p++;
  bool begins_with_break = p < end && (*p == '\t' || *p == '\r' || *p == '\n');
  if (begins_with_break || is_formula(text, end)) buffer_append(out, "'", 1);
  for (p = text; p < end;) {
    const unsigned char *stop = find(&breaks, p, end);
    if (p > text && is_formula(p, stop)) buffer_append(out, "'", 1);
    if (stop < end) stop++;
    add_bytes(out, p, stop, doubles);
    p = stop;
  }
}

/* Appends a text as a field: guarded, and in quotes if it has to be. */
static void add_text_field(struct writer *w, const char *text, size_t size) {
  const unsigned char *p = (const unsigned char *)text, *end = p + size;
  bool is_quoted = find(&quoted, p, end) < end || memchr(p, w->delimiter, size) != NULL;
  if (!is_quoted && (size == 0 || !is_in(&formula_starts, *p))) {
    buffer_append(&w->out, text, size);
    return;
  }
  if (is_quoted) buffer_append(&w->out, "\"", 1);
  add_guarded(&w->out, p, end, is_quoted);
  if (is_quoted) buffer_append(&w->out, "\"", 1);
}

/* Appends the value on top as a field. Numbers are not guarded: -9.139337 is a longitude. */
static void add_field(lua_State *L, struct writer *w) {
  size_t size;
  const char *text;
  switch (lua_type(L, -1)) {
  case LUA_TNIL: return;
  case LUA_TNUMBER: add_number(L, &w->out); return;
  case LUA_TBOOLEAN: add_value(L, &w->out, 0); return;
  case LUA_TSTRING: text = lua_tolstring(L, -1, &size); break;
  default:
    w->value.size = 0;
    add_value(L, &w->value, 0);
    text = w->value.data;
    size = w->value.size;
  }
  if (size > 0) add_text_field(w, text, size);
}

/* ---- writers ---- */

static void free_writer_buffers(struct writer *w) {
  buffer_free(&w->out);
  buffer_free(&w->value);
  buffer_free(&w->prefixes);
}

/* __gc [1, 0] */
static int writer_gc(lua_State *L) {
  free_writer_buffers(lua_touserdata(L, 1));
  return 0;
}

/* Pushes a writer with room for so many columns. [-0, +1, m] */
static struct writer *push_writer(lua_State *L, int count) {
  size_t size = sizeof(struct writer) + (size_t)count * sizeof(size_t);
  struct writer *w = lua_newuserdata(L, size);
  memset(w, 0, size);
  w->count = count;
  luaL_getmetatable(L, TYPE_NAME);
  lua_setmetatable(L, -2);
  return w;
}

/* Raises an error if one of the buffers could not be enlarged; then it can be used again. */
static void check_memory(lua_State *L, struct writer *w) {
  if (!w->out.failed && !w->value.failed && !w->prefixes.failed) return;
  w->out.failed = w->value.failed = w->prefixes.failed = false;
  luaL_error(L, "not enough memory");
}

/* Frees a buffer that has become large. */
static void trim(struct buffer *buffer) {
  if (buffer->capacity > KEPT_BYTES) buffer_free(buffer);
}

/* To be called when a line has been written. Returns the number of results. [-0, +1, v] */
static int complete_line(lua_State *L, struct writer *w) {
  check_memory(L, w);
  trim(&w->value);
  w->complete = w->out.size;
  lua_pushinteger(L, (lua_Integer)w->complete);
  return 1;
}

/* Pushes the names of the schema's fields. [-0, +1, m] */
static void push_schema_names(lua_State *L) {
  lua_createtable(L, USER_FIELD_COUNT, 1);
  for (int i = 0; i < USER_FIELD_COUNT; i++) {
    lua_pushlstring(L, user_fields[i].name, user_fields[i].size);
    lua_rawseti(L, -2, i + 1);
  }
}

/* Pushes a writer for settings.columns, or the schema's fields; settings are the first argument.
 * Its user value is a table that has the names of the columns from 1 on, and `true` by name.
 * [-0, +1, v] */
static struct writer *push_writer_for(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_getfield(L, 1, "columns");
  bool has_columns = !lua_isnil(L, -1);
  if (!has_columns) push_schema_names(L);
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_replace(L, 1);
  lua_settop(L, 1);
  int count = (int)lua_rawlen(L, 1);
  struct writer *w = push_writer(L, count);
  w->adds_others = !has_columns;
  lua_createtable(L, count, count);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, 1, i);
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "the name of a column is not a string");
    lua_pushvalue(L, -1);
    lua_rawseti(L, 3, i);
    lua_pushboolean(L, 1);
    lua_rawset(L, 3);
  }
  lua_setuservalue(L, 2);
  return w;
}

static bool get_flag(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  bool flag = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return flag;
}

/* csv(settings): a writer whose text begins with the names of the columns. Lines end in CR LF; a
 * field is empty if it is nil, and other fields are left out. Settings, all of which may be left
 * out:
 *   columns     names of the fields of a user; default: those of the API's schema
 *   delimiter   a character between the fields; default: a comma
 *   bom         begin with a byte order mark, by which spreadsheets recognize UTF-8 */
static int rows_csv(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  bool bom = get_flag(L, "bom");
  size_t size;
  lua_getfield(L, 1, "delimiter");
  const char *delimiter = luaL_optlstring(L, -1, ",", &size);
  luaL_argcheck(L, size == 1, 1, "the delimiter is not one character");
  char separator = *delimiter;
  struct writer *w = push_writer_for(L);
  w->is_csv = true;
  w->delimiter = separator;
  if (bom) buffer_add(&w->out, "\xEF\xBB\xBF");
  for (int i = 1; i <= w->count; i++) {
    if (i > 1) buffer_append(&w->out, &w->delimiter, 1);
    lua_rawgeti(L, 1, i);
    add_field(L, w);
    lua_pop(L, 1);
  }
  buffer_add(&w->out, "\r\n");
  complete_line(L, w);
  lua_pop(L, 1);
  return 1;
}

/* json(settings): a writer of a line for each user. Settings, all of which may be left out:
 *   columns    names of the fields, null if a user lacks them; default: those of the API's schema,
 *              and then the others that the user has, sorted by name
 *   is_array   all lines are one array. Without `finish` its end is missing, so that no reader
 *              accepts it */
static int rows_json(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  bool is_array = get_flag(L, "is_array");
  struct writer *w = push_writer_for(L);
  w->is_array = is_array;
  for (int i = 0; i < w->count; i++) {
    size_t size;
    lua_rawgeti(L, 1, i + 1);
    const char *name = lua_tolstring(L, -1, &size);
    if (i > 0) buffer_append(&w->prefixes, ",", 1);
    add_quoted(&w->prefixes, name, size);
    buffer_append(&w->prefixes, ":", 1);
    w->prefix_ends[i] = w->prefixes.size;
    lua_pop(L, 1);
  }
  check_memory(L, w);
  return 1;
}

/* Appends the user at index 2; the columns are at index 3. */
static void add_csv(lua_State *L, struct writer *w) {
  for (int i = 0; i < w->count; i++) {
    if (i > 0) buffer_append(&w->out, &w->delimiter, 1);
    lua_rawgeti(L, 3, i + 1);
    lua_rawget(L, 2);
    add_field(L, w);
    lua_pop(L, 1);
  }
  buffer_append(&w->out, "\r\n", 2);
}

/* Returns whether the user has more fields than `present`. */
static bool has_more(lua_State *L, int present) {
  for (lua_pushnil(L); lua_next(L, 2);) {
    lua_pop(L, 1);
    if (present-- > 0) continue;
    lua_pop(L, 1);
    return true;
  }
  return false;
}

static void add_json(lua_State *L, struct writer *w) {
  size_t start = 0;
  int present = 0;
  if (w->is_array) buffer_append(&w->out, w->has_rows ? ",\n" : "[\n", 2);
  buffer_append(&w->out, "{", 1);
  for (int i = 0; i < w->count; i++) {
    buffer_append(&w->out, w->prefixes.data + start, w->prefix_ends[i] - start);
    start = w->prefix_ends[i];
    lua_rawgeti(L, 3, i + 1);
    lua_rawget(L, 2);
    present += !lua_isnil(L, -1);
    add_value(L, &w->out, 0);
    lua_pop(L, 1);
  }
  if (w->adds_others && has_more(L, present)) add_members(L, &w->out, 2, 3, 0);
  buffer_append(&w->out, "}\n", w->is_array ? 1 : 2);
}

static struct writer *check_writer(lua_State *L) {
  return luaL_checkudata(L, 1, TYPE_NAME);
}

static int writer_add(lua_State *L) {
  struct writer *w = check_writer(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_getuservalue(L, 1);
  w->out.size = w->complete; /* an error may have left a part of a line */
  if (w->is_csv)
    add_csv(L, w);
  else
    add_json(L, w);
  int results = complete_line(L, w);
  w->has_rows = true;
  return results;
}

static int writer_finish(lua_State *L) {
  struct writer *w = check_writer(L);
  w->out.size = w->complete;
  if (w->is_array) buffer_add(&w->out, w->has_rows ? "\n]\n" : "[]\n");
  return complete_line(L, w);
}

static int writer_take(lua_State *L) {
  struct writer *w = check_writer(L);
  lua_pushlstring(L, w->out.data != NULL ? w->out.data : "", w->complete);
  w->out.size = w->complete = 0;
  trim(&w->out);
  return 1;
}

/* ---- the module ---- */

static int rows_encode(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  struct writer *w = push_writer(L, 0);
  lua_pushvalue(L, 1);
  add_value(L, &w->out, 0);
  check_memory(L, w);
  lua_pushlstring(L, w->out.data, w->out.size);
  free_writer_buffers(w);
  return 1;
}

static int rows_text(lua_State *L) {
  char text[NUMBER_BYTES];
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  switch (lua_type(L, 1)) {
  case LUA_TSTRING: return 1;
  case LUA_TNIL: lua_pushliteral(L, ""); return 1;
  case LUA_TNUMBER: lua_pushlstring(L, text, write_number(L, text)); return 1;
  default: return rows_encode(L);
  }
}

/* guarded(text): see add_guarded. */
static int rows_guarded(lua_State *L) {
  size_t size;
  const unsigned char *text = (const unsigned char *)luaL_checklstring(L, 1, &size);
  struct writer *w = push_writer(L, 0);
  add_guarded(&w->out, text, text + size, false);
  check_memory(L, w);
  lua_pushlstring(L, w->out.data != NULL ? w->out.data : "", w->out.size);
  free_writer_buffers(w);
  return 1;
}

/* minute(text): a date-time (RFC 3339) in UTC, such as 2026-01-31 23:59; nil if the text is none.
 */
static int rows_minute(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  char minute[32];
  struct instant instant;
  struct tm tm;
  if (rfc3339_parse(text, size, &instant) != NULL) return 0;
  time_t seconds = (time_t)instant.seconds;
  if (gmtime_r(&seconds, &tm) == NULL) return 0;
  lua_pushlstring(L, minute, strftime(minute, sizeof minute, "%Y-%m-%d %H:%M", &tm));
  return 1;
}

/* schema(): the names of the fields of a user, in the order in which the API sends them, and in
 * `types` the type of each by its name: "string", "integer", "number", "boolean", or "enum" for a
 * string of a fixed set. */
static int rows_schema(lua_State *L) {
  push_schema_names(L);
  lua_createtable(L, 0, USER_FIELD_COUNT);
  for (int i = 0; i < USER_FIELD_COUNT; i++) {
    enum user_type type = user_fields[i].type;
    lua_pushstring(L, type == USER_ROLE ? "enum" : user_type_name(type));
    lua_setfield(L, -2, user_fields[i].name);
  }
  lua_setfield(L, -2, "types");
  return 1;
}

static const luaL_Reg functions[] = {{"csv", rows_csv},         {"json", rows_json},
                                     {"encode", rows_encode},   {"text", rows_text},
                                     {"guarded", rows_guarded}, {"minute", rows_minute},
                                     {"schema", rows_schema},   {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"add", writer_add}, {"finish", writer_finish}, {"take", writer_take}, {NULL, NULL}};

PODERO_EXPORT int luaopen_podero_command_rows(lua_State *L);
int luaopen_podero_command_rows(lua_State *L) {
  luaL_newmetatable(L, TYPE_NAME);
  lua_pushcfunction(L, writer_gc);
  lua_setfield(L, -2, "__gc");
  lua_createtable(L, 0, 3);
  compat_setfuncs(L, methods);
  lua_setfield(L, -2, "__index");
  lua_createtable(L, 0, 7);
  compat_setfuncs(L, functions);
  return 1;
}
