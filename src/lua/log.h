/* The log: the option `log` of podero.new, and PODERO_LOG. All log lines are built here.
 *
 *   levels   log_level_name
 *   lines    log_format_event, log_format_failure, log_format_store
 *   write    log_write
 *   texts    log_clean
 *   nginx    log_open, log_is_in_nginx, log_in_nginx
 *
 * A line is in the format logfmt: `key=value` pairs separated by spaces. A value that is empty or
 * contains a space, `"`, `=` or a backslash is in double quotes, with a backslash before each `"`
 * and backslash. Control characters are replaced by "?", secrets by "***"; long values are cut and
 * end in "...". Pairs without a value are left out. */
#ifndef PODERO_LOG_H
#define PODERO_LOG_H

#include "core/event.h"
#include "lua/compat.h"

struct session;

/* LOG_INFO: successful token requests, retries, and failures of calls and of the token store.
 * LOG_DEBUG: all other HTTP transfers, too. */
enum log_level { LOG_OFF, LOG_INFO, LOG_DEBUG };

/* Returns the name of LOG_INFO or LOG_DEBUG, a static string. */
const char *log_level_name(enum log_level level);

/* A line has at most one URL and one message. Each of their bytes may need a backslash. */
#define LOG_URL_BYTES 400
#define LOG_MESSAGE_BYTES 1000
#define LOG_LINE_BYTES (2 * (LOG_URL_BYTES + LOG_MESSAGE_BYTES) + 400)

struct log_line {
  enum log_level level;
  size_t size; /* without the NUL; 0 if the client's log does not want the line */
  char text[LOG_LINE_BYTES];
};

/* The functions log_format_... build a line if the log of the client at `index` wants it; otherwise
 * they set its size to 0. They call no function of the program. */

/* A transfer or a retry. [-0, +0, -] */
void log_format_event(lua_State *L, int index, struct log_line *line, const struct event *event);

/* A call that has failed. `method`: the name of its method. `error`: stack index of its error
 * object. `session`: of the client, for log_clean. [-0, +0, m] */
void log_format_failure(lua_State *L, int index, struct log_line *line, const char *method,
                        int error, struct session *session);

/* A failure of the token store. `operation`: the method of the store. `message`: a text from
 * log_clean. [-0, +0, -] */
void log_format_store(lua_State *L, int index, struct log_line *line, const char *operation,
                      const char *message);

/* Writes a line to the log of the client at `index`: calls its function, or writes to nginx's log
 * at level NOTICE or, outside of nginx, to standard error, after the time. Does nothing if the line
 * is empty. The function may close the client and free its calls. Errors that it raises are
 * ignored, and it cannot yield. Calls that it makes with the same client are not logged.
 * [-0, +0, m] */
void log_write(lua_State *L, int index, const struct log_line *line);

/* Copies a text to `out`, with secrets (see token_source_redact) and control characters replaced.
 * The text is cut if it does not fit into `size` bytes, including the NUL. If the session is
 * closed, its secrets are not known, and `out` is REDACTED alone. On out of memory, `out` is
 * empty. */
void log_clean(struct session *session, const char *text, char *out, size_t size);

/* Stores the global `ngx` for the functions below. Call it when the module is loaded.
 * [-0, +0, e] */
void log_open(lua_State *L);

/* Returns whether nginx runs this Lua state: whether the global `ngx` was that of nginx's Lua
 * module when this module was loaded. [-0, +0, e] */
bool log_is_in_nginx(lua_State *L);

/* Writes the string on top to nginx's log. `level`: the name of a constant of `ngx`, such as "ERR".
 * Returns false on failure, or outside of nginx. [-1, +0, e] */
bool log_in_nginx(lua_State *L, const char *level);

#endif
