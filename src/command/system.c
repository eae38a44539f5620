/* The module podero.command.system: what the command needs of POSIX and Lua does not have.
 * Functions that fail return nil, a message without the name of a file, and errno, unless it says
 * otherwise. Descriptors are integers. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lua/compat.h"

/* The most that `read` returns. */
#define READ_MAX ((size_t)64 * 1024)

/* ---- results ---- */

/* Pushes nil, the message of `code`, and `code`. Returns 3. [-0, +3, m] */
static int push_failure(lua_State *L, int code) {
  lua_pushnil(L);
  lua_pushstring(L, strerror(code));
  lua_pushinteger(L, code);
  return 3;
}

/* Returns the result of a function of POSIX that returns 0 or, on failure, -1 and errno: pushes
 * true, or nil, a message and errno. [-0, +1|3, m] */
static int push_result(lua_State *L, int result) {
  if (result != 0) return push_failure(L, errno);
  lua_pushboolean(L, 1);
  return 1;
}

static int check_int(lua_State *L, int index) {
  return (int)luaL_checkinteger(L, index);
}

/* ---- signals ---- */

/* The signals that end a command from outside, or because nobody reads its output. */
static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE};
#define SIGNALS (sizeof signals / sizeof signals[0])

/* The file that the handler removes, or "". Changed only while `held` is set. */
static char temporary[PATH_MAX];
static volatile sig_atomic_t held, pending;

/* Removes the temporary file and ends the process by the same signal, unless signals are held. */
static void on_signal(int number) {
  if (held) {
    pending = number;
    return;
  }
  if (temporary[0] != '\0') unlink(temporary);
  signal(number, SIG_DFL);
  raise(number); /* SA_NODEFER: it is not blocked here */
}

/* Until `release`, signals are only noted. Any thread may receive them: blocking them in this one
 * is not enough. */
static void hold(void) {
  held = 1;
}

static void release(void) {
  held = 0;
  if (pending != 0) raise(pending);
}

/* hold(): delays the signals that `catch_signals` catches until release(). [0, +0, -] */
static int hold_signals(lua_State *L) {
  (void)L;
  hold();
  return 0;
}

/* release(): ends the process if it received a signal since hold(). [0, +0, -] */
static int release_signals(lua_State *L) {
  (void)L;
  release();
  return 0;
}

/* catch_signals(): from now on, signals that end the process remove the temporary file first.
 * Signals that are ignored (nohup) stay ignored, except for SIGINT, whose handler the interpreter
 * has replaced. [0, +0, -] */
static int catch_signals(lua_State *L) {
  (void)L;
  struct sigaction action = {.sa_flags = SA_NODEFER | SA_RESTART}, old;
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < SIGNALS; i++) {
    if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
      sigaction(signals[i], &action, NULL);
  }
  return 0;
}

/* die_of_interrupt(): removes the temporary file and ends the process by SIGINT. [0, +0, -] */
static int die_of_interrupt(lua_State *L) {
  (void)L;
  held = 0;
  on_signal(SIGINT);
  return 0;
}

/* ---- temporary files ---- */

/* Appends 22 random letters and digits, 131 bits of entropy. Returns false if there are no random
 * bytes. */
static bool add_random(char *name) {
  static const char digits[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
  unsigned char bytes[22];
  if (getentropy(bytes, sizeof bytes) != 0) return false;
  size_t size = strlen(name);
  for (size_t i = 0; i < sizeof bytes; i++)
    name[size++] = digits[bytes[i] % 64];
  name[size] = '\0';
  return true;
}

/* create_temporary(folder) -> descriptor, name
 *   Creates a file of an unpredictable name and mode 0600, open for reading and writing.
 * catch_signals removes it until `forget_temporary`. There can be one only. [1, +2|3, v] */
static int create_temporary(lua_State *L) {
  const char *folder = luaL_checkstring(L, 1);
  static char name[PATH_MAX];
  int size = snprintf(name, sizeof name, "%s/.podero-", strcmp(folder, "/") == 0 ? "" : folder);
  if (size < 0 || (size_t)size + 64 > sizeof name) return push_failure(L, ENAMETOOLONG);
  if (!add_random(name)) return push_failure(L, errno);
  hold();
  int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  int code = errno;
  if (fd >= 0) memcpy(temporary, name, sizeof name);
  release();
  if (fd < 0) return push_failure(L, code);
  lua_pushinteger(L, fd);
  lua_pushstring(L, name);
  return 2;
}

/* forget_temporary(): signals no longer remove the temporary file. [0, +0, -] */
static int forget_temporary(lua_State *L) {
  (void)L;
  hold();
  temporary[0] = '\0';
  release();
  return 0;
}

/* ---- files ---- */

/* How files may be opened. */
static const char *const modes[] = {"read", "write", "private", NULL};
static const int mode_flags[] = {
    O_RDONLY | O_CLOEXEC | O_NOCTTY,
    O_WRONLY | O_CLOEXEC | O_NOCTTY,
    O_RDWR | O_CLOEXEC | O_NOCTTY | O_CREAT | O_NOFOLLOW | O_NONBLOCK,
};

/* open(name, mode) -> descriptor
 *   "read" and "write" open what exists, and wait for the other end of a named pipe. "private"
 * opens a file for reading and writing, creates it with mode 0600, and follows no symbolic link
 * (ELOOP). [2, +1|3, v] */
static int open_file(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  int fd, flags = mode_flags[luaL_checkoption(L, 2, NULL, modes)];
  do
    fd = open(name, flags, 0600);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return push_failure(L, errno);
  lua_pushinteger(L, fd);
  return 1;
}

/* connect(name) -> descriptor of a stream connected to this Unix-domain socket. [1, +1|3, v] */
static int connect_socket(lua_State *L) {
  size_t size;
  const char *name = luaL_checklstring(L, 1, &size);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (size >= sizeof address.sun_path) return push_failure(L, ENAMETOOLONG);
  memcpy(address.sun_path, name, size + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return push_failure(L, errno);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    int code = errno;
    close(fd);
    return push_failure(L, code);
  }
  lua_pushinteger(L, fd);
  return 1;
}

/* duplicate(descriptor) -> another descriptor of the same open file. [1, +1|3, v] */
static int duplicate(lua_State *L) {
  int fd = fcntl(check_int(L, 1), F_DUPFD_CLOEXEC, 3);
  if (fd < 0) return push_failure(L, errno);
  lua_pushinteger(L, fd);
  return 1;
}

static int close_file(lua_State *L) {
  return push_result(L, close(check_int(L, 1)));
}

/* Waits until a descriptor that does not block can be used. */
static void wait_for(int fd, short events) {
  struct pollfd entry = {.fd = fd, .events = events};
  poll(&entry, 1, -1);
}

/* write(descriptor, text) -> true, after all of it was written. [2, +1|3, v] */
static int write_file(lua_State *L) {
  int fd = check_int(L, 1);
  size_t size;
  const char *text = luaL_checklstring(L, 2, &size);
  while (size > 0) {
    ssize_t written = write(fd, text, size);
    if (written >= 0) {
      text += written;
      size -= (size_t)written;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      wait_for(fd, POLLOUT);
    } else if (errno != EINTR) {
      return push_failure(L, errno);
    }
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* read(descriptor) -> text, at most 64 KB of it; "" at the end. [1, +1|3, v] */
static int read_file(lua_State *L) {
  static char text[READ_MAX];
  int fd = check_int(L, 1);
  for (;;) {
    ssize_t got = read(fd, text, sizeof text);
    if (got >= 0) {
      lua_pushlstring(L, text, (size_t)got);
      return 1;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      wait_for(fd, POLLIN);
    else if (errno != EINTR)
      return push_failure(L, errno);
  }
}

/* seek(descriptor, position) -> true. [2, +1|3, v] */
static int seek(lua_State *L) {
  off_t position = (off_t)luaL_checknumber(L, 2);
  return push_result(L, lseek(check_int(L, 1), position, SEEK_SET) == position ? 0 : -1);
}

/* truncate(descriptor, size) -> true. [2, +1|3, v] */
static int truncate_file(lua_State *L) {
  return push_result(L, ftruncate(check_int(L, 1), (off_t)luaL_checknumber(L, 2)));
}

/* sync(descriptor) -> true, once everything written is on the disk, or if this kind of file cannot
 * be synced. */
static int sync_file(lua_State *L) {
  int result = fsync(check_int(L, 1));
  return push_result(L, result != 0 && (errno == EINVAL || errno == ENOTSUP) ? 0 : result);
}

/* lock(descriptor) -> true, or nil if another process has locked the file. Does not wait. The lock
 * ends when a descriptor of this file is closed. [1, +1|3, v] */
static int lock(lua_State *L) {
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return push_result(L, fcntl(check_int(L, 1), F_SETLK, &whole));
}

/* change_mode(descriptor, mode) -> true. [2, +1|3, v] */
static int change_mode(lua_State *L) {
  return push_result(L, fchmod(check_int(L, 1), (mode_t)check_int(L, 2)));
}

/* change_owner(descriptor, user, group) -> true. [3, +1|3, v] */
static int change_owner(lua_State *L) {
  uid_t owner = (uid_t)luaL_checknumber(L, 2);
  return push_result(L, fchown(check_int(L, 1), owner, (gid_t)luaL_checknumber(L, 3)));
}

static int rename_file(lua_State *L) {
  const char *from = luaL_checkstring(L, 1);
  return push_result(L, rename(from, luaL_checkstring(L, 2)));
}

static int unlink_file(lua_State *L) {
  return push_result(L, unlink(luaL_checkstring(L, 1)));
}

/* read_link(name) -> where the symbolic link leads to. [1, +1|3, v] */
static int read_link(lua_State *L) {
  char target[PATH_MAX];
  ssize_t size = readlink(luaL_checkstring(L, 1), target, sizeof target);
  if (size < 0) return push_failure(L, errno);
  lua_pushlstring(L, target, (size_t)size);
  return 1;
}

/* real_path(name) -> the same without symbolic links, from the root. [1, +1|3, v] */
static int real_path(lua_State *L) {
  char target[PATH_MAX];
  if (realpath(luaL_checkstring(L, 1), target) == NULL) return push_failure(L, errno);
  lua_pushstring(L, target);
  return 1;
}

static const char *type_name(mode_t mode) {
  if (S_ISREG(mode)) return "file";
  if (S_ISDIR(mode)) return "directory";
  if (S_ISSOCK(mode)) return "socket";
  return S_ISFIFO(mode) ? "pipe" : "device";
}

static void set_number(lua_State *L, const char *name, double value) {
  compat_push_int64(L, (int64_t)value);
  lua_setfield(L, -2, name);
}

/* status(name or descriptor) -> a table: `type` ("file", "directory", "pipe", "socket" or
 * "device"), `mode` (without the type), `user`, `group`, `size`. Follows symbolic links. [1, +1|3,
 * v] */
static int status(lua_State *L) {
  struct stat s;
  int result =
      lua_type(L, 1) == LUA_TNUMBER ? fstat(check_int(L, 1), &s) : stat(luaL_checkstring(L, 1), &s);
  if (result != 0) return push_failure(L, errno);
  lua_createtable(L, 0, 5);
  lua_pushstring(L, type_name(s.st_mode));
  lua_setfield(L, -2, "type");
  set_number(L, "mode", s.st_mode & 07777);
  set_number(L, "user", s.st_uid);
  set_number(L, "group", s.st_gid);
  set_number(L, "size", (double)s.st_size);
  return 1;
}

/* is_terminal(descriptor) -> boolean. [1, +1, v] */
static int is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty(check_int(L, 1)));
  return 1;
}

/* is_open(descriptor) -> boolean. [1, +1, v] */
static int is_open(lua_State *L) {
  lua_pushboolean(L, fcntl(check_int(L, 1), F_GETFD) >= 0);
  return 1;
}

/* user() -> the number of the user that the process acts as. [0, +1, -] */
static int user(lua_State *L) {
  compat_push_int64(L, (int64_t)geteuid());
  return 1;
}

/* sleep(seconds): at most a second. A signal may end it early. [1, +0, v] */
static int sleep_for(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  if (seconds > 0) poll(NULL, 0, seconds < 1 ? (int)(seconds * 1000) : 1000);
  return 0;
}

/* ---- the module ---- */

/* Puts the numbers of errors into the table on top. [-0, +0, m] */
static void set_errors(lua_State *L) {
  static const struct {
    const char *name;
    int code;
  } errors[] = {{"EPIPE", EPIPE},   {"ENOENT", ENOENT}, {"ELOOP", ELOOP},
                {"EAGAIN", EAGAIN}, {"EACCES", EACCES}, {"EISDIR", EISDIR}};
  for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
    lua_pushinteger(L, errors[i].code);
    lua_setfield(L, -2, errors[i].name);
  }
}

PODERO_EXPORT int luaopen_podero_command_system(lua_State *L);

/* SIGXFSZ is ignored: `write` returns an error if a file exceeds a limit (ulimit -f).
 * [-0, +1, m] */
int luaopen_podero_command_system(lua_State *L) {
  static const luaL_Reg functions[] = {{"hold", hold_signals},
                                       {"release", release_signals},
                                       {"catch_signals", catch_signals},
                                       {"die_of_interrupt", die_of_interrupt},
                                       {"create_temporary", create_temporary},
                                       {"forget_temporary", forget_temporary},
                                       {"open", open_file},
                                       {"connect", connect_socket},
                                       {"duplicate", duplicate},
                                       {"close", close_file},
                                       {"write", write_file},
                                       {"read", read_file},
                                       {"seek", seek},
                                       {"truncate", truncate_file},
                                       {"sync", sync_file},
                                       {"lock", lock},
                                       {"change_mode", change_mode},
                                       {"change_owner", change_owner},
                                       {"rename", rename_file},
                                       {"unlink", unlink_file},
                                       {"read_link", read_link},
                                       {"real_path", real_path},
                                       {"status", status},
                                       {"is_terminal", is_terminal},
                                       {"is_open", is_open},
                                       {"user", user},
                                       {"sleep", sleep_for},
                                       {NULL, NULL}};
  signal(SIGXFSZ, SIG_IGN);
  lua_createtable(L, 0, 40);
  compat_setfuncs(L, functions);
  set_errors(L);
  return 1;
}
