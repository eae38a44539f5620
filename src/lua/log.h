/* The log: the option `log` of podero.new, and PODERO_LOG. The only place where its lines are
 * built.
 *
 *   levels   log_level_name
 *   lines    log_format_event, log_format_failure, log_format_store
 *   write    log_write
 *   texts    log_clean
 *   nginx    log_open, log_is_in_nginx, log_in_nginx
 *
 * A line is logfmt: `key=value` pairs with one space between two of them. A value that is empty or
 * contains a space, `"`, `=` or a backslash is in double quotes, and has a backslash before each
 * `"` and backslash. Control characters are replaced with "?", secrets with "***", and long values
 * are cut, which "..." shows. Pairs without a value are left out. */
#ifndef PODERO_LOG_H
#define PODERO_LOG_H

#include "core/event.h"
#include "lua/compat.h"

struct session;

/* LOG_INFO: token requests that had success, retries, and failures of calls and of the token store.
 * LOG_DEBUG: also all other HTTP transfers. */
enum log_level { LOG_OFF, LOG_INFO, LOG_DEBUG };

/* Returns the name of LOG_INFO or LOG_DEBUG, a static string. */
const char *log_level_name(enum log_level level);

/* Enough for all pairs of a line: of the two that may be long, each byte may need a backslash. */
#define LOG_URL_BYTES 400
#define LOG_MESSAGE_BYTES 1000
#define LOG_LINE_BYTES (2 * (LOG_URL_BYTES + LOG_MESSAGE_BYTES) + 400)

struct log_line {
  enum log_level level;
  size_t size; /* without the NUL; 0: the client's log does not want it, so it was not built */
  char text[LOG_LINE_BYTES];
};

/* Functions that build a line if the log of the client at `index` wants it. They run no Lua code of
 * the program. [-0, +0, -] */

void log_format_event(lua_State *L, int index, struct log_line *line, const struct event *event);

/* A call that has failed. `method`: its method's name. `error`: index of its error object.
 * `session`: of the client, for log_clean. [-0, +0, m] */
void log_format_failure(lua_State *L, int index, struct log_line *line, const char *method,
                        int error, struct session *session);

/* A failure of the token store. `message` is a text from log_clean. */
void log_format_store(lua_State *L, int index, struct log_line *line, const char *operation,
                      const char *message);

/* Writes a line to the log of the client at `index`: calls its function, or writes to nginx's log
 * (level NOTICE) or, outside of nginx, with the time to standard error. Does nothing if the line is
 * empty. Errors of the function are ignored, and yielding is one; lines about calls of the client
 * that it makes are not written. The function may close the client and free its calls.
 * [-0, +0, m] */
void log_write(lua_State *L, int index, const struct log_line *line);

/* Copies a text with its secrets replaced, see token_source_redact, and its control characters,
 * into `out`; what exceeds `size` bytes, which include the NUL, is cut. If the session is closed,
 * the secrets are not known: then the text is REDACTED. */
void log_clean(struct session *session, const char *text, char *out, size_t size);

/* Stores the global `ngx` for the functions below. [-0, +0, m] */
void log_open(lua_State *L);

/* Returns whether this Lua state is one of nginx's: the global `ngx`, as it was when the module was
 * loaded, is that of its Lua module. [-0, +0, e] */
bool log_is_in_nginx(lua_State *L);

/* Writes the string on top to nginx's log. `level`: name of a constant, "ERR" for instance. Returns
 * false if that failed, or outside of nginx. [-1, +0, m] */
bool log_in_nginx(lua_State *L, const char *level);

#endif
