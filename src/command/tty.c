/* podero.command.tty: what the command needs of terminals and Lua lacks. (luaposix has neither
 * wcwidth nor the size of a terminal, and Debian 12 has it for Lua 5.1 to 5.3 only.)
 *
 *   kind(fd)               what a descriptor is
 *   columns(fd)            the width of a terminal
 *   width(text)            how many columns a text takes
 *   cut(text, columns)     the beginning of a text that fits
 *   printable(text)        a text for one line of a terminal
 *   cell(text)             a text for a cell of a table
 *   escaped(text)          several lines for a terminal
 *   clock(), poll(seconds [, fd])
 *   ask(question)          reads a line that is not echoed
 *
 * Text is UTF-8. Each byte that is no part of UTF-8 counts as a character. */
#define _GNU_SOURCE /* wcwidth NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif

#include "core/clock.h"
#include "core/utf8.h"
#include "lua/compat.h"

/* ---- descriptors ---- */

/* kind(fd): "terminal", "file" (a regular file), "pipe" (or a socket), "device" (or anything else);
 * nil if it is closed. */
static int tty_kind(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  struct stat status;
  if (fstat(fd, &status) != 0) return 0;
  const char *kind = "device";
  if (isatty(fd)) kind = "terminal";
  if (S_ISREG(status.st_mode)) kind = "file";
  if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) kind = "pipe";
  lua_pushstring(L, kind);
  return 1;
}

/* columns(fd): the width of the terminal; nil if the descriptor is no terminal, or if the terminal
 * does not tell its width. */
static int tty_columns(lua_State *L) {
  struct winsize size;
  if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 0;
  lua_pushinteger(L, size.ws_col);
  return 1;
}

/* ---- text ---- */

/* Returns the end of the character that begins at `p`, before `end`, and sets its code point:
 * UINT32_MAX for a byte that is no UTF-8. */
static const unsigned char *next_character(const unsigned char *p, const unsigned char *end,
                                           uint32_t *point) {
  *point = *p;
  if (*p < 0x80) return p + 1;
  const unsigned char *next = utf8_skip(p, end);
  *point = UINT32_MAX;
  if (next == NULL) return p + 1;
  *point = *p & (0x7Fu >> (next - p));
  while (++p < next)
    *point = *point << 6 | (*p & 0x3Fu);
  return next;
}

/* Returns a locale whose wcwidth knows Unicode, whatever the environment says; (locale_t)0 if the
 * system has none: then each character counts as one column. The userdata is an upvalue of the
 * functions that measure. */
static locale_t unicode_locale(lua_State *L) {
  return *(locale_t *)lua_touserdata(L, lua_upvalueindex(1));
}

static int free_locale(lua_State *L) {
  locale_t *locale = lua_touserdata(L, 1);
  if (*locale != (locale_t)0) freelocale(*locale);
  *locale = (locale_t)0;
  return 0;
}

static void push_locale(lua_State *L) {
  static const char *const names[] = {"C.UTF-8", "en_US.UTF-8", ""};
  locale_t *locale = lua_newuserdata(L, sizeof(locale_t));
  *locale = (locale_t)0;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, free_locale);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  for (size_t i = 0; i < sizeof names / sizeof *names && *locale == (locale_t)0; i++)
    *locale = newlocale(LC_CTYPE_MASK, names[i], (locale_t)0);
}

/* Returns the end of the longest beginning of the text that takes at most `limit` columns, and sets
 * how many it takes. Characters without a width, such as combining marks, stay with the one before
 * them. */
static const unsigned char *measure(locale_t locale, const unsigned char *p,
                                    const unsigned char *end, size_t limit, size_t *columns) {
  const unsigned char *text = p;
  while (p < end && *p < 0x80 && (size_t)(p - text) < limit)
    p++;
  *columns = (size_t)(p - text);
  if (p == end || *p < 0x80) return p;
  locale_t previous = locale != (locale_t)0 ? uselocale(locale) : (locale_t)0;
  while (p < end) {
    uint32_t point;
    const unsigned char *next = next_character(p, end, &point);
    int width = point < 0x80 || point == UINT32_MAX ? 1 : wcwidth((wchar_t)point);
    size_t taken = width < 0 ? 1 : (size_t)width; /* -1: a newer Unicode than libc's has it */
    if (taken > limit - *columns) break;
    *columns += taken;
    p = next;
  }
  if (locale != (locale_t)0) uselocale(previous);
  return p;
}

static const unsigned char *check_text(lua_State *L, const unsigned char **end) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  *end = (const unsigned char *)text + size;
  return (const unsigned char *)text;
}

static int tty_width(lua_State *L) {
  const unsigned char *end, *text = check_text(L, &end);
  size_t columns;
  measure(unicode_locale(L), text, end, SIZE_MAX, &columns);
  lua_pushinteger(L, (lua_Integer)columns);
  return 1;
}

/* cut(text, columns): the longest beginning that takes at most so many columns, and how many it
 * takes. */
static int tty_cut(lua_State *L) {
  const unsigned char *end, *text = check_text(L, &end);
  lua_Integer limit = luaL_checkinteger(L, 2);
  size_t columns;
  const unsigned char *cut =
      measure(unicode_locale(L), text, end, limit < 0 ? 0 : (size_t)limit, &columns);
  lua_pushlstring(L, (const char *)text, (size_t)(cut - text));
  lua_pushinteger(L, (lua_Integer)columns);
  return 2;
}

/* Returns whether a terminal may obey a character instead of showing it: control characters (C0,
 * DEL, C1), line separators, and characters that change the direction of the text around them
 * (Unicode Standard Annex 9, 2.1 to 2.6, and the deprecated ones up to U+206F). */
static bool is_unsafe(uint32_t point) {
  if (point < 0x20 || (point >= 0x7F && point < 0xA0)) return true;
  if (point == 0x61C || point == 0x200E || point == 0x200F) return true;
  return (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x206F);
}

/* Returns the end of the characters from `p` on that are safe. */
static const unsigned char *skip_safe(const unsigned char *p, const unsigned char *end) {
  while (p < end) {
    uint32_t point;
    const unsigned char *next = next_character(p, end, &point);
    if (point == UINT32_MAX || is_unsafe(point)) break;
    p = next;
  }
  return p;
}

/* Returns the end of the unsafe character, or byte that is no UTF-8, at `p`. */
static const unsigned char *skip_unsafe(const unsigned char *p, const unsigned char *end) {
  uint32_t point;
  return next_character(p, end, &point);
}

/* printable(text): each unsafe character, and each byte that is no UTF-8, as "?". */
static int tty_printable(lua_State *L) {
  const unsigned char *end, *p = check_text(L, &end), *safe = skip_safe(p, end);
  lua_settop(L, 1);
  if (safe == end) return 1;
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  for (;;) {
    luaL_addlstring(&buffer, (const char *)p, (size_t)(safe - p));
    if (safe == end) break;
    luaL_addchar(&buffer, '?');
    p = skip_unsafe(safe, end);
    safe = skip_safe(p, end);
  }
  luaL_pushresult(&buffer);
  return 1;
}

/* Returns whether a text has spaces at its beginning or end, or two in a row. */
static bool has_idle_spaces(const char *text, size_t size) {
  if (size > 0 && (text[0] == ' ' || text[size - 1] == ' ')) return true;
  const char *space = text, *end = text + size;
  while ((space = memchr(space, ' ', (size_t)(end - space))) != NULL)
    if (*++space == ' ') return true;
  return false;
}

/* cell(text): the same as `printable`, without spaces at both ends, and with single spaces: two
 * separate the cells of a table. "-" if nothing is left. */
static int tty_cell(lua_State *L) {
  tty_printable(L);
  size_t size;
  const char *text = lua_tolstring(L, -1, &size), *end = text + size;
  bool was_space = true;
  if (size > 0 && !has_idle_spaces(text, size)) return 1;
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  while (end > text && end[-1] == ' ')
    end--;
  if (end == text) luaL_addchar(&buffer, '-');
  for (; text < end; text++) {
    bool is_space = *text == ' ';
    if (!is_space || !was_space) luaL_addchar(&buffer, *text);
    was_space = is_space;
  }
  luaL_pushresult(&buffer);
  return 1;
}

/* Returns whether the character at `p` is a tab or part of a line end. A lone carriage return is
 * neither: the text after it would hide the text before it. */
static bool is_layout(const unsigned char *p, const unsigned char *end) {
  return *p == '\n' || *p == '\t' || (*p == '\r' && end - p > 1 && p[1] == '\n');
}

/* escaped(text): unsafe characters, except for line ends and tabs, as \uXXXX: in valid JSON they
 * occur only in strings. Bytes that are no UTF-8 become U+FFFD. */
static int tty_escaped(lua_State *L) {
  const unsigned char *end, *p = check_text(L, &end);
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  while (p < end) {
    const unsigned char *safe = skip_safe(p, end);
    luaL_addlstring(&buffer, (const char *)p, (size_t)(safe - p));
    if (safe == end) break;
    uint32_t point;
    p = next_character(safe, end, &point);
    if (point == UINT32_MAX) {
      luaL_addstring(&buffer, "\xEF\xBF\xBD");
    } else if (is_layout(safe, end)) {
      luaL_addchar(&buffer, (char)*safe);
    } else {
      char escape[8];
      snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(point & 0xFFFF));
      luaL_addstring(&buffer, escape);
    }
  }
  luaL_pushresult(&buffer);
  return 1;
}

/* ---- time ---- */

/* clock(): seconds since an arbitrary point in the past, which never go back. */
static int tty_clock(lua_State *L) {
  lua_pushnumber(L, clock_monotonic());
  return 1;
}

/* poll(seconds [, fd]): returns after so many seconds, or earlier if the descriptor is readable or
 * a signal came. */
static int tty_poll(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  struct pollfd entry = {.fd = (int)luaL_optinteger(L, 2, -1), .events = POLLIN};
  if (!(seconds > 0)) seconds = 0;
  if (seconds > 3600) seconds = 3600;
  poll(&entry, 1, (int)ceil(seconds * 1000));
  return 0;
}

/* ---- a line that is not echoed ---- */

/* The longest line of a terminal (Linux: 4,095 bytes). */
#define LINE_BYTES 4096

/* Signals that end or stop the program, which would leave the terminal without echo. */
static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
#define SIGNALS (sizeof signals / sizeof *signals)

static volatile sig_atomic_t caught_signal;

static void catch_signal(int number) {
  caught_signal = number;
}

struct prompt {
  struct termios settings; /* of the terminal, before */
  struct sigaction actions[SIGNALS];
  sigset_t mask;
  char line[LINE_BYTES];
  size_t size;
};

/* Catches the signals, but only in pselect, and turns off the echo. */
static void prompt_open(struct prompt *prompt) {
  sigset_t blocked;
  sigemptyset(&blocked);
  caught_signal = 0;
  for (size_t i = 0; i < SIGNALS; i++)
    sigaddset(&blocked, signals[i]);
  sigprocmask(SIG_BLOCK, &blocked, &prompt->mask);
  struct sigaction action = {.sa_handler = catch_signal};
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < SIGNALS; i++) {
    sigaction(signals[i], NULL, &prompt->actions[i]);
    if (prompt->actions[i].sa_handler != SIG_IGN) sigaction(signals[i], &action, NULL);
  }
  struct termios silent = prompt->settings;
  silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
}

/* Restores terminal and signals. TCSAFLUSH: what was typed to an interrupted prompt is not for the
 * shell. */
static void prompt_close(struct prompt *prompt) {
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &prompt->settings);
  for (size_t i = 0; i < SIGNALS; i++)
    sigaction(signals[i], &prompt->actions[i], NULL);
  sigprocmask(SIG_SETMASK, &prompt->mask, NULL);
}

/* Waits for input or a signal. Returns whether there is input. */
static bool prompt_wait(struct prompt *prompt) {
  while (caught_signal == 0) {
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(STDIN_FILENO, &readable);
    if (pselect(STDIN_FILENO + 1, &readable, NULL, NULL, NULL, &prompt->mask) > 0) return true;
    if (errno != EINTR) return false;
  }
  return false;
}

/* Reads up to the end of the line, or of the input. Returns false if it is too long. */
static bool prompt_read(struct prompt *prompt) {
  size_t size = 0; /* a variable, so that compilers see that it does not exceed the line */
  bool ended = false;
  while (!ended && size < sizeof prompt->line) {
    char *start = prompt->line + size, *end = NULL;
    ssize_t count = prompt_wait(prompt) ? read(STDIN_FILENO, start, sizeof prompt->line - size) : 0;
    if (count > 0) end = memchr(start, '\n', (size_t)count);
    ended = count <= 0 || end != NULL;
    if (count > 0) size += end != NULL ? (size_t)(end - start) : (size_t)count;
  }
  prompt->size = size;
  return ended;
}

static void prompt_wipe(struct prompt *prompt) {
  volatile char *p = prompt->line;
  for (size_t i = 0; i < sizeof prompt->line; i++)
    p[i] = 0;
}

static int fail(lua_State *L, const char *message) {
  lua_pushnil(L);
  lua_pushstring(L, message);
  return 2;
}

/* ask(question): writes the question to standard error, reads a line of standard input, which must
 * be a terminal, with the echo turned off, and returns it; nil and a message if that fails. After a
 * signal, the terminal is restored before the signal is raised again; if that does not end the
 * program, returns nil and "interrupted". After SIGTSTP and SIGCONT, asks again. */
static int tty_ask(lua_State *L) {
  const char *question = luaL_checkstring(L, 1), *message = NULL;
  struct prompt prompt;
  if (tcgetattr(STDIN_FILENO, &prompt.settings) != 0) return fail(L, strerror(errno));
  do {
    prompt_open(&prompt);
    fputs(question, stderr);
    fflush(stderr);
    message = prompt_read(&prompt) ? NULL : "the line is too long";
    int number = caught_signal;
    prompt_close(&prompt);
    fputs("\n", stderr);
    fflush(stderr);
    if (number != 0) {
      message = "interrupted";
      kill(getpid(), number);
    }
  } while (caught_signal == SIGTSTP);
  if (message == NULL) lua_pushlstring(L, prompt.line, prompt.size);
  prompt_wipe(&prompt);
  return message == NULL ? 1 : fail(L, message);
}

/* ---- the module ---- */

static const luaL_Reg functions[] = {
    {"kind", tty_kind}, {"columns", tty_columns}, {"printable", tty_printable},
    {"cell", tty_cell}, {"escaped", tty_escaped}, {"clock", tty_clock},
    {"poll", tty_poll}, {"ask", tty_ask},         {NULL, NULL}};

PODERO_EXPORT int luaopen_podero_command_tty(lua_State *L);
int luaopen_podero_command_tty(lua_State *L) {
  lua_createtable(L, 0, 10);
  compat_setfuncs(L, functions);
  push_locale(L);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, tty_width, 1);
  lua_setfield(L, -3, "width");
  lua_pushcclosure(L, tty_cut, 1);
  lua_setfield(L, -2, "cut");
  return 1;
}
