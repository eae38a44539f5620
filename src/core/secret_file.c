#include "core/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"

#define BOM "\xef\xbb\xbf"

/* Waits until the descriptor is readable. Returns false if the time `until` passes before. */
static bool wait_readable(int fd, double until) {
  double seconds = until - clock_monotonic();
  struct pollfd entry = {.fd = fd, .events = POLLIN};
  return seconds > 0 && poll(&entry, 1, (int)ceil(seconds * 1000)) != 0;
}

/* Reads at most `size` bytes. Returns how many were read, 0 at the end of the file, or -1 on
 * failure. */
static ssize_t read_piece(int fd, char *piece, size_t size, double until) {
  for (;;) {
    ssize_t got = read(fd, piece, size);
    if (got >= 0) return got;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_readable(fd, until)) {
        errno = ETIMEDOUT;
        return -1;
      }
    } else if (errno != EINTR) {
      return -1;
    }
  }
}

/* Appends bytes to `line` until a line end, the end of the file, or more than a line may have. The
 * line end, and bytes that follow it, may be appended, too. Returns an error message, or NULL. */
static const char *read_line(int fd, double pipe_seconds, struct buffer *line) {
  double until = clock_monotonic() + pipe_seconds;
  char piece[4096];
  const char *fault = NULL;
  ssize_t got;
  do {
    got = read_piece(fd, piece, sizeof piece, until);
    if (got < 0) fault = strerror(errno);
    if (got > 0) buffer_append(line, piece, (size_t)got);
  } while (got > 0 && !line->failed && memchr(piece, '\n', (size_t)got) == NULL &&
           line->size <= SECRET_FILE_MAX_BYTES + sizeof BOM);
  wipe(piece, sizeof piece);
  return fault;
}

/* Cuts `line` at its line end, and drops the byte order mark. Returns why the line cannot be used,
 * or NULL. */
static const char *trim_line(struct buffer *line) {
  if (line->size == 0) return "it is empty";
  char *end = memchr(line->data, '\n', line->size);
  size_t size = end != NULL ? (size_t)(end - line->data) : line->size, bom = sizeof BOM - 1;
  if (size > 0 && line->data[size - 1] == '\r') size--;
  if (size >= 2 &&
      (memcmp(line->data, "\xff\xfe", 2) == 0 || memcmp(line->data, "\xfe\xff", 2) == 0))
    return "it is in UTF-16: save it as UTF-8";
  if (size >= bom && memcmp(line->data, BOM, bom) == 0)
    memmove(line->data, line->data + bom, size -= bom);
  wipe(line->data + size, line->size - size);
  line->size = size;
  if (size == 0) return "its first line is empty";
  if (size > SECRET_FILE_MAX_BYTES) return "its first line is too long";
  return memchr(line->data, '\0', size) != NULL ? "its first line contains a NUL character" : NULL;
}

/* Returns why the line cannot be used, or NULL. */
static const char *read_path(const char *path, double pipe_seconds, struct buffer *line,
                             bool *regular) {
  struct stat status;
  /* O_NONBLOCK, so that opening a named pipe does not wait for its writer. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return strerror(errno);
  const char *fault = fstat(fd, &status) == 0 ? NULL : strerror(errno);
  if (fault == NULL) {
    *regular = S_ISREG(status.st_mode);
    fault = read_line(fd, pipe_seconds, line);
  }
  close(fd);
  return fault != NULL ? fault : trim_line(line);
}

bool secret_file_read(const char *path, const char *label, enum failure_kind kind,
                      double pipe_seconds, struct buffer *line, bool *regular,
                      struct failure *failure) {
  *regular = false;
  const char *fault = read_path(path, pipe_seconds, line, regular);
  if (line->failed)
    failure_set(failure, FAILURE_MEMORY, "out of memory while reading %s", label);
  else if (fault != NULL)
    failure_set(failure, kind, "%s cannot be used: %s", label, fault);
  return failure->kind == FAILURE_NONE;
}
