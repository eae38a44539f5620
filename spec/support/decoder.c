/* A test module with the JSON reader, the decoders and the redaction of secrets; not part of the
 * library.
 *
 *   decoder.decode(text [, validate [, pieces [, options]]])
 *       users, violations | nil, kind, message, offset, count, cut_short
 *   decoder.decode_any(text [, pieces [, options]])
 *       true, value | false, fault, message, offset, cut_short      null is the lightuserdata NULL
 *   decoder.value(text [, pieces [, options]])      decodes as client:get does
 *       true, value | false, kind, message, offset, cut_short
 *   decoder.value_at_once(text)      decodes as for err.detail: true, value | false
 *   decoder.number(x)           returns the text of a number
 *   decoder.redact(secrets, text)
 *   decoder.stream([validate [, limit]]), stream:feed(bytes, from), stream:finish(), stream:count()
 *   decoder.fail_after(n)       makes the n-th allocation in C from now on fail; 0: none
 *
 * `pieces`: nil, a size, or an array of sizes used in turn. `options`: copy (copies each piece to a
 * new block, which is overwritten afterwards), each (one user at a time), user_limit, depth, token,
 * max (bytes of the whole, with 16 for each value), reports (violations of the schema are
 * returned), and the library's fields, role, search, where and limit. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/casefold.h"
#include "core/failure.h"
#include "core/json.h"
#include "core/oauth2/redact.h"
#include "lua/argument.h"
#include "lua/collector.h"
#include "lua/compat.h"
#include "lua/json_value.h"
#include "lua/number_text.h"
#include "lua/text_buffer.h"
#include "lua/user_decoder.h"
#include "lua/user_table.h"

/* ---- failing allocations (linked with --wrap=malloc) ---- */

static long fail_countdown;
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size) {
  if (fail_countdown > 0 && --fail_countdown == 0) return NULL;
  return __real_malloc(size);
}

static int l_fail_after(lua_State *L) {
  fail_countdown = (long)luaL_checkinteger(L, 1);
  return 0;
}

/* ---- pieces ---- */

struct pieces {
  lua_State *L;
  int sizes;
  const char *text;
  size_t size, at, turn;
  bool copy;
};

static size_t option(lua_State *L, int options, const char *name) {
  if (lua_isnoneornil(L, options)) return 0;
  lua_getfield(L, options, name);
  size_t value = lua_isboolean(L, -1) ? (size_t)lua_toboolean(L, -1) : (size_t)lua_tonumber(L, -1);
  lua_pop(L, 1);
  return value;
}

static struct pieces pieces_of(lua_State *L, int sizes, int options) {
  struct pieces p = {.L = L, .sizes = sizes};
  p.text = luaL_checklstring(L, 1, &p.size);
  p.copy = option(L, options, "copy") != 0;
  return p;
}

/* Pushes one value that keeps the piece alive. */
static bool next_piece(struct pieces *p, const char **bytes, size_t *size) {
  if (p->at == p->size) return false;
  size_t rest = p->size - p->at, n = rest;
  if (lua_istable(p->L, p->sizes)) {
    lua_rawgeti(p->L, p->sizes, (int)(p->turn++ % lua_rawlen(p->L, p->sizes)) + 1);
    n = (size_t)lua_tonumber(p->L, -1);
    lua_pop(p->L, 1);
  } else if (lua_isnumber(p->L, p->sizes)) {
    n = (size_t)lua_tonumber(p->L, p->sizes);
  }
  *size = n < rest ? n : rest;
  *bytes = p->text + p->at;
  if (p->copy)
    *bytes = memcpy(lua_newuserdata(p->L, *size), *bytes, *size);
  else
    lua_pushnil(p->L);
  p->at += *size;
  return true;
}

static void spoil(const struct pieces *p, const char *bytes, size_t size) {
  if (p->copy && size > 0) memset((void *)(uintptr_t)bytes, 0xEE, size);
}

/* ---- any value ---- */

static int l_gc_reader(lua_State *L) {
  json_free(lua_touserdata(L, 1));
  return 0;
}

static int l_gc_decoder(lua_State *L) {
  user_decoder_free(lua_touserdata(L, 1));
  return 0;
}

static void *new_object(lua_State *L, size_t size, lua_CFunction gc) {
  void *object = memset(lua_newuserdata(L, size), 0, size);
  lua_newtable(L);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  return object;
}

static void any_push(lua_State *L, const struct json_reader *r, enum json_event event) {
  luaL_checkstack(L, 10, "depth");
  switch (event) {
  case JSON_FALSE: lua_pushboolean(L, 0); break;
  case JSON_TRUE: lua_pushboolean(L, 1); break;
  case JSON_INTEGER: compat_push_int64(L, r->integer); break;
  case JSON_DOUBLE: lua_pushnumber(L, r->number); break;
  case JSON_KEY:
  case JSON_STRING: lua_pushlstring(L, r->text, r->size); break;
  case JSON_ARRAY_BEGIN:
  case JSON_OBJECT_BEGIN: lua_newtable(L); break;
  default: lua_pushlightuserdata(L, NULL);
  }
}

/* `spare`: the stack index for the whole value. */
static void any_event(lua_State *L, const struct json_reader *r, enum json_event event, int spare) {
  if (event != JSON_ARRAY_END && event != JSON_OBJECT_END) any_push(L, r, event);
  if (event == JSON_KEY || event == JSON_ARRAY_BEGIN || event == JSON_OBJECT_BEGIN) return;
  if (json_depth(r) == 0)
    lua_replace(L, spare);
  else if (json_in_array(r))
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
  else
    lua_rawset(L, -3);
}

static int any_error(lua_State *L, const struct json_reader *r) {
  static const char *const names[] = {"none",  "syntax", "cut_short", "range",
                                      "depth", "token",  "memory"};
  lua_pushboolean(L, 0);
  lua_pushstring(L, names[r->fault]);
  lua_pushstring(L, r->message);
  lua_pushnumber(L, (lua_Number)r->offset);
  lua_pushboolean(L, r->fault == JSON_FAULT_CUT_SHORT);
  return 5;
}

static int l_decode_any(lua_State *L) {
  lua_settop(L, 3);
  struct pieces pieces = pieces_of(L, 2, 3);
  struct json_reader *r = new_object(L, sizeof *r, l_gc_reader);
  json_init(r, (unsigned)option(L, 3, "depth"), option(L, 3, "token"));
  lua_pushnil(L); /* 5: the piece */
  lua_pushnil(L); /* 6: the value */
  const char *bytes = NULL;
  size_t size = 0;
  enum json_event event;
  do {
    spoil(&pieces, bytes, size);
    size = 0;
    if (next_piece(&pieces, &bytes, &size)) {
      lua_replace(L, 5);
      json_feed(r, bytes, size);
    } else {
      json_end(r);
    }
    while ((event = json_next(r)) > JSON_NEED_MORE)
      any_event(L, r, event, 6);
  } while (event == JSON_NEED_MORE);
  if (event == JSON_ERROR) return any_error(L, r);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 6);
  return 2;
}

/* ---- values as client:get returns them ---- */

static int l_gc_value(lua_State *L) {
  json_value_free(lua_touserdata(L, 1));
  return 0;
}

static int value_error(lua_State *L, const struct json_value *v) {
  lua_pushboolean(L, 0);
  lua_pushstring(L, failure_name(v->error.kind));
  lua_pushstring(L, v->error.message);
  lua_pushnumber(L, (lua_Number)v->error.offset);
  lua_pushboolean(L, v->error.cut_short);
  return 5;
}

static int l_value(lua_State *L) {
  lua_settop(L, 3);
  struct pieces pieces = pieces_of(L, 2, 3);
  size_t max = option(L, 3, "max");
  struct json_value *v = new_object(L, sizeof *v, l_gc_value); /* 4 */
  json_value_init(v, max == 0 ? UINT64_MAX : max);
  json_value_push_state(L); /* 5 */
  const char *bytes;
  size_t size;
  while (next_piece(&pieces, &bytes, &size)) {
    bool ok = json_value_decode(L, v, 5, bytes, size);
    spoil(&pieces, bytes, size);
    if (!ok) return value_error(L, v);
    lua_settop(L, 5);
  }
  lua_pushboolean(L, 1);
  if (!json_value_end(L, v, 5)) return value_error(L, v);
  return 2;
}

static int l_value_at_once(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  lua_pushboolean(L, 1);
  if (json_value_push(L, text, size, NULL, NULL)) return 2;
  lua_pushboolean(L, 0);
  return 1;
}

static int l_number(lua_State *L) {
  luaL_checknumber(L, 1);
  lua_settop(L, 1);
  number_to_text(L);
  return 1;
}

static int l_redact(lua_State *L) {
  const char *secrets[REDACT_SECRETS_MAX];
  size_t count = (size_t)lua_rawlen(L, 1), size, start, length;
  const char *text = luaL_checklstring(L, 2, &size);
  luaL_checkstack(L, (int)count + 10, NULL);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 1, (int)i + 1);
    secrets[i] = lua_tostring(L, -1);
  }
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  while (redact_find(secrets, count, text, size, &start, &length)) {
    luaL_addlstring(&out, text, start);
    luaL_addlstring(&out, REDACTED, strlen(REDACTED));
    text += start + length;
    size -= start + length;
  }
  luaL_addlstring(&out, text, size);
  luaL_pushresult(&out);
  return 1;
}

/* casefold(text): the folded text, how many bytes it might have had, and the seconds of processor
 * time that folding takes in memory that has been used before: what the system needs to supply it
 * is no part of them. Both texts are in blocks of exactly their size, so that a sanitizer sees what
 * is read or written beyond them. */
static int l_casefold(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  char *in = memcpy(lua_newuserdata(L, size), text, size);
  char *out = lua_newuserdata(L, CASEFOLD_BYTES(size));
  lua_pushlstring(L, out, casefold(out, in, size));
  lua_pushnumber(L, (lua_Number)CASEFOLD_BYTES(size));
  clock_t start = clock();
  casefold(out, in, size);
  lua_pushnumber(L, (lua_Number)(clock() - start) / CLOCKS_PER_SEC);
  return 3;
}

/* ---- users ---- */

static int user_failure(lua_State *L, const struct user_decoder *d) {
  lua_pushnil(L);
  lua_pushstring(L, failure_name(d->error.kind));
  lua_pushstring(L, d->error.message);
  lua_pushnumber(L, (lua_Number)d->error.offset);
  lua_pushnumber(L, (lua_Number)d->users);
  lua_pushboolean(L, d->error.cut_short);
  return 6;
}

static const struct user_targets list_targets = {.state = 6, .list = 7, .violations = 9};
static const struct user_targets each_targets = {.state = 6, .violations = 9};

/* Appends users to the list at 7, as the library does. */
static enum user_status decode_list(lua_State *L, struct user_decoder *d, const char *bytes,
                                    size_t size) {
  size_t used;
  bool held = collector_hold(L, d->reader.token_offset + size);
  enum user_status status = user_decode(L, d, list_targets, bytes, size, &used);
  if (held) collector_release(L);
  return status;
}

/* Sets users in the list at 7, one by one. */
static enum user_status decode_each(lua_State *L, struct user_decoder *d, const char *bytes,
                                    size_t size) {
  size_t used, done = 0;
  enum user_status status;
  while ((status = user_decode(L, d, each_targets, bytes + done, size - done, &used)) ==
         USER_READY) {
    done += used;
    lua_rawseti(L, 7, (int)d->delivered);
    if (user_decoder_is_done(d)) return USER_DONE;
  }
  return status;
}

/* Pushes the filter of the options, or nil. */
static void push_filter(lua_State *L, int options) {
  static const char *const names[] = {"fields", "role", "search", "where", "limit"};
  bool given = false;
  for (size_t i = 0; i < sizeof names / sizeof *names && lua_istable(L, options); i++) {
    lua_getfield(L, options, names[i]);
    given = given || !lua_isnil(L, -1);
    lua_pop(L, 1);
  }
  if (given)
    user_filter_push(L, options, 0, (struct argument){options, "decode"});
  else
    lua_pushnil(L);
}

static int l_decode(lua_State *L) {
  lua_settop(L, 4);
  struct pieces pieces = pieces_of(L, 3, 4);
  bool each = option(L, 4, "each") != 0;
  bool validate = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
  struct user_decoder *d = new_object(L, sizeof *d, l_gc_decoder); /* 5 */
  size_t max = option(L, 4, "max");
  struct user_decoder_options options = {
      .validate = validate,
      .reports = option(L, 4, "reports") != 0,
      .limit = option(L, 4, "user_limit"),
      .max_bytes = max == 0 ? UINT64_MAX : max,
  };
  user_table_push_state(L); /* 6 */
  lua_newtable(L);          /* 7 */
  push_filter(L, 4);        /* 8 */
  lua_newtable(L);          /* 9: violations */
  options.filter = user_filter_get(L, 8);
  user_decoder_init(d, &options);
  const char *bytes;
  size_t size;
  while (next_piece(&pieces, &bytes, &size)) {
    enum user_status status =
        each ? decode_each(L, d, bytes, size) : decode_list(L, d, bytes, size);
    spoil(&pieces, bytes, size);
    if (status == USER_FAILED) return user_failure(L, d);
    if (status == USER_DONE) break;
    lua_settop(L, 9);
  }
  if (!user_decode_end(d)) return user_failure(L, d);
  lua_pushvalue(L, 7);
  lua_pushvalue(L, 9);
  return 2;
}

static int l_stream(lua_State *L) {
  bool validate = lua_isnoneornil(L, 1) || lua_toboolean(L, 1);
  size_t limit = (size_t)luaL_optnumber(L, 2, 0);
  struct user_decoder *d = lua_newuserdata(L, sizeof *d);
  user_decoder_init(d, &(struct user_decoder_options){
                           .validate = validate, .limit = limit, .max_bytes = UINT64_MAX});
  luaL_getmetatable(L, "decoder.stream");
  lua_setmetatable(L, -2);
  user_table_push_state(L);
#if LUA_VERSION_NUM >= 502
  lua_setuservalue(L, -2);
#else
  lua_setfenv(L, -2);
#endif
  return 1;
}

/* stream:feed(bytes [, from]): "more" | "user", next, user | "failed", nil, kind, message, … */
static int l_feed(lua_State *L) {
  struct user_decoder *d = luaL_checkudata(L, 1, "decoder.stream");
  size_t size, used;
  const char *bytes = luaL_checklstring(L, 2, &size);
  size_t from = (size_t)luaL_optnumber(L, 3, 1) - 1;
#if LUA_VERSION_NUM >= 502
  lua_getuservalue(L, 1);
#else
  lua_getfenv(L, 1);
#endif
  struct user_targets targets = {.state = lua_gettop(L)};
  switch (user_decode(L, d, targets, bytes + from, size - from, &used)) {
  case USER_MORE: lua_pushliteral(L, "more"); return 1;
  case USER_READY:
  case USER_DONE: break;
  case USER_FAILED: lua_pushliteral(L, "failed"); return 1 + user_failure(L, d);
  }
  lua_pushliteral(L, "user");
  lua_insert(L, -2);
  lua_pushnumber(L, (lua_Number)(from + used + 1));
  lua_insert(L, -2);
  return 3;
}

static int l_finish(lua_State *L) {
  struct user_decoder *d = luaL_checkudata(L, 1, "decoder.stream");
  if (!user_decode_end(d)) return user_failure(L, d);
  lua_pushboolean(L, 1);
  return 1;
}

static int l_count(lua_State *L) {
  struct user_decoder *d = luaL_checkudata(L, 1, "decoder.stream");
  lua_pushnumber(L, (lua_Number)d->users);
  return 1;
}

int luaopen_decoder(lua_State *L);

static void set_functions(lua_State *L, const luaL_Reg *f) {
  for (; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
}

int luaopen_decoder(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"feed", l_feed}, {"finish", l_finish}, {"count", l_count}, {"__gc", l_gc_decoder}, {0}};
  static const luaL_Reg functions[] = {
      {"decode", l_decode},         {"decode_any", l_decode_any},
      {"value", l_value},           {"value_at_once", l_value_at_once},
      {"number", l_number},         {"redact", l_redact},
      {"casefold", l_casefold},     {"stream", l_stream},
      {"fail_after", l_fail_after}, {0}};
  json_value_open(L);
  text_buffer_open(L);
  luaL_newmetatable(L, "decoder.stream");
  set_functions(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_newtable(L);
  set_functions(L, functions);
  return 1;
}
