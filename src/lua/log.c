#include "lua/log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/buffer.h"
#include "core/number.h"
#include "core/oauth2/redact.h"
#include "core/oauth2/token_source.h"
#include "core/session.h"
#include "core/syntax.h"
#include "core/utf8.h"
#include "lua/call_object.h"
#include "lua/user_value.h"

/* Key in the registry: the global `ngx` as it was when the module was loaded. */
#define NGX_NAME "podero.ngx"

const char *log_level_name(enum log_level level) {
  return level == LOG_INFO ? "info" : "debug";
}

/* ---- pairs ---- */

/* Appends as many of the bytes as fit. */
static void add(struct log_line *line, const char *bytes, size_t size) {
  size_t room = sizeof line->text - 1 - line->size;
  if (size > room) size = room; /* GCOVR_EXCL_LINE: LOG_LINE_BYTES is enough */
  memcpy(line->text + line->size, bytes, size);
  line->size += size;
  line->text[line->size] = '\0';
}

static void add_key(struct log_line *line, const char *key) {
  if (line->size > 0) add(line, " ", 1);
  add(line, key, strlen(key));
  add(line, "=", 1);
}

/* Adds a pair whose value needs no quotes. */
static void add_word(struct log_line *line, const char *key, const char *word) {
  add_key(line, key);
  add(line, word, strlen(word));
}

static void add_quoted(struct log_line *line, const char *text) {
  add(line, "\"", 1);
  for (; *text != '\0'; text++) {
    if (*text == '"' || *text == '\\') add(line, "\\", 1);
    add(line, text, 1);
  }
  add(line, "\"", 1);
}

/* Adds a pair whose value is any text. If it is longer than `max` bytes (LOG_MESSAGE_BYTES at
 * most), it is cut, but not within a UTF-8 character. */
static void add_text(struct log_line *line, const char *key, const char *text, size_t max) {
  char value[LOG_MESSAGE_BYTES + sizeof "..."];
  size_t size = strlen(text);
  bool too_long = size > max;
  if (too_long) size = utf8_cut(text, max);
  memcpy(value, text, size);
  strcpy(value + size, too_long ? "..." : "");
  syntax_make_printable(value);
  add_key(line, key);
  if (*value == '\0' || strpbrk(value, " \"=\\") != NULL)
    add_quoted(line, value);
  else
    add(line, value, strlen(value));
}

static void add_integer(struct log_line *line, const char *key, int64_t integer) {
  char digits[NUMBER_BYTES];
  number_write_integer(integer, digits);
  add_word(line, key, digits);
}

/* Adds seconds with six digits after the point, whatever the locale. */
static void add_seconds(struct log_line *line, const char *key, double seconds) {
  char digits[64];
  long long microseconds = llround(fmin(fmax(seconds, 0), 1e9) * 1e6);
  snprintf(digits, sizeof digits, "%lld.%06lld", microseconds / 1000000, microseconds % 1000000);
  add_word(line, key, digits);
}

static void add_boolean(struct log_line *line, const char *key, bool value) {
  add_word(line, key, value ? "true" : "false");
}

/* ---- lines ---- */

/* Begins a line. Returns false if the log of the client at `index` does not want lines of this
 * level. [-0, +0, -] */
static bool begin(lua_State *L, int index, struct log_line *line, enum log_level level,
                  const char *event) {
  line->level = level;
  line->size = 0;
  user_value_get(L, index, CLIENT_LOG);
  bool wanted =
      lua_isfunction(L, -1) || (lua_isnumber(L, -1) && lua_tointeger(L, -1) >= (lua_Integer)level);
  lua_pop(L, 1);
  if (!wanted) return false;
  add_word(line, "level", log_level_name(level));
  add_word(line, "source", "podero");
  add_word(line, "event", event);
  return true;
}

static const char *purpose_of(const struct event *e) {
  return e->for_token ? "token" : "api";
}

static void add_exchange(struct log_line *line, const struct event *e) {
  add_word(line, "purpose", purpose_of(e));
  add_word(line, "method", e->method);
  add_text(line, "url", e->url, LOG_URL_BYTES);
  if (e->status != 0) add_integer(line, "status", e->status);
  add_integer(line, "attempt", (int64_t)e->attempt);
  add_seconds(line, "seconds", e->seconds);
  if (e->status != 0) add_seconds(line, "seconds_to_first_byte", e->seconds_to_first_byte);
  add_integer(line, "bytes", (int64_t)e->bytes);
  add_boolean(line, "reused", e->reused);
}

static void add_retry(struct log_line *line, const struct event *e) {
  add_word(line, "purpose", purpose_of(e));
  if (e->status != 0) add_integer(line, "status", e->status);
  add_integer(line, "attempt", (int64_t)e->attempt);
  add_seconds(line, "pause", e->pause);
}

void log_format_event(lua_State *L, int index, struct log_line *line, const struct event *e) {
  bool is_exchange = e->type == EVENT_EXCHANGE;
  bool got_token = e->for_token && e->error_kind == FAILURE_NONE;
  enum log_level level = is_exchange && !got_token ? LOG_DEBUG : LOG_INFO;
  if (!begin(L, index, line, level, is_exchange ? "exchange" : "retry")) return;
  if (is_exchange)
    add_exchange(line, e);
  else
    add_retry(line, e);
  if (e->error_kind != FAILURE_NONE) add_word(line, "error_kind", failure_name(e->error_kind));
}

/* Adds the number `key` of the error object at `error`, if it has one. [-0, +0, m] */
static void add_integer_field(lua_State *L, struct log_line *line, int error, const char *key) {
  lua_getfield(L, error, key);
  if (lua_isnumber(L, -1)) add_integer(line, key, (int64_t)lua_tonumber(L, -1));
  lua_pop(L, 1);
}

/* The same for a text, with the session's secrets replaced. [-0, +0, m] */
static void add_text_field(lua_State *L, struct log_line *line, int error, const char *key,
                           size_t max, struct session *session) {
  lua_getfield(L, error, key);
  if (lua_type(L, -1) == LUA_TSTRING) {
    char text[LOG_MESSAGE_BYTES + 1];
    log_clean(session, lua_tostring(L, -1), text, sizeof text);
    add_text(line, key, text, max);
  }
  lua_pop(L, 1);
}

void log_format_failure(lua_State *L, int index, struct log_line *line, const char *method,
                        int error, struct session *session) {
  if (!begin(L, index, line, LOG_INFO, "failure")) return;
  add_word(line, "call", method);
  lua_getfield(L, error, "kind");
  bool was_closed = strcmp(lua_tostring(L, -1), failure_name(FAILURE_CLOSED)) == 0;
  add_word(line, "kind", lua_tostring(L, -1));
  lua_pop(L, 1);
  add_integer_field(L, line, error, "status");
  add_integer_field(L, line, error, "attempts");
  lua_getfield(L, error, "retryable");
  add_boolean(line, "retryable", lua_toboolean(L, -1));
  lua_pop(L, 1);
  if (was_closed) { /* the session has forgotten its secrets, and this message has none */
    lua_getfield(L, error, "message");
    add_text(line, "message", lua_tostring(L, -1), LOG_MESSAGE_BYTES);
    lua_pop(L, 1);
    return;
  }
  add_text_field(L, line, error, "url", LOG_URL_BYTES, session);
  add_text_field(L, line, error, "message", LOG_MESSAGE_BYTES, session);
}

void log_format_store(lua_State *L, int index, struct log_line *line, const char *operation,
                      const char *message) {
  if (!begin(L, index, line, LOG_INFO, "store")) return;
  add_word(line, "operation", operation);
  add_text(line, "message", message, LOG_MESSAGE_BYTES);
}

void log_clean(struct session *session, const char *text, char *out, size_t size) {
  struct token_source *token_source = session_token_source(session);
  struct buffer redacted = {0};
  if (token_source != NULL)
    token_source_redact(token_source, text, &redacted);
  else
    buffer_add(&redacted, REDACTED);
  snprintf(out, size, "%s", redacted.data != NULL && !redacted.failed ? redacted.data : "");
  syntax_make_printable(out);
  buffer_free(&redacted);
}

/* ---- writing ---- */

void log_open(lua_State *L) {
  lua_getglobal(L, "ngx");
  lua_setfield(L, LUA_REGISTRYINDEX, NGX_NAME);
}

bool log_is_in_nginx(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, NGX_NAME);
  bool found = false;
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "get_phase");
    found = lua_isfunction(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return found;
}

bool log_in_nginx(lua_State *L, const char *level) {
  bool written = false;
  int text = lua_gettop(L);
  luaL_checkstack(L, 4, NULL);
  lua_getfield(L, LUA_REGISTRYINDEX, NGX_NAME);
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "log");
    lua_getfield(L, -2, level);
    lua_pushvalue(L, text);
    written = lua_pcall(L, 2, 0, 0) == 0; /* an error there cannot be reported */
  }
  lua_settop(L, text - 1);
  return written;
}

/* Writes the line with one call of fwrite, so that lines of several processes do not mix. */
static void write_to_standard_error(const struct log_line *line) {
  char text[LOG_LINE_BYTES + 64];
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  size_t size = strftime(text, 64, "time=%Y-%m-%dT%H:%M:%S", &utc);
  int more = snprintf(text + size, sizeof text - size, ".%03dZ %s\n", (int)(now.tv_nsec / 1000000),
                      line->text);
  fwrite(text, 1, size + (size_t)more, stderr);
}

/* Calls the function on top, which is the log of the client at `index`. Errors are ignored.
 * [-1, +0, m] */
static void call_function(lua_State *L, int index, const struct log_line *line) {
  int function = lua_gettop(L);
  lua_pushvalue(L, function);
  lua_pushstring(L, log_level_name(line->level));
  lua_pushlstring(L, line->text, line->size);
  lua_pushnil(L);
  user_value_set(L, index, CLIENT_LOG); /* so that calls made by the function are not logged */
  lua_pcall(L, 2, 0, 0);
  lua_settop(L, function);
  user_value_set(L, index, CLIENT_LOG);
}

void log_write(lua_State *L, int index, const struct log_line *line) {
  if (line->size == 0) return;
  luaL_checkstack(L, 8, NULL);
  index = lua_absindex(L, index);
  user_value_get(L, index, CLIENT_LOG);
  if (lua_isfunction(L, -1)) {
    call_function(L, index, line);
    return;
  }
  lua_pop(L, 1);
  lua_pushlstring(L, line->text, line->size);
  if (!log_in_nginx(L, "NOTICE")) write_to_standard_error(line);
}
