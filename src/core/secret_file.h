/* Reads a secret from the first line of a file. */
#ifndef PODERO_SECRET_FILE_H
#define PODERO_SECRET_FILE_H

#include <stdbool.h>

#include "core/buffer.h"
#include "core/failure.h"

/* The longest line that is accepted, in bytes. */
#define SECRET_FILE_MAX_BYTES ((size_t)64 * 1024)

/* Reads the first line of the file at `path` into `line`, which must be empty. The line end (LF or
 * CR LF, or CR at the end of the file) and a UTF-8 byte order mark are dropped. Symbolic links are
 * followed. Sets `*regular` to whether it is a regular file: others, such as pipes, can only be
 * read once. Waits at most `pipe_seconds` for a pipe, and as long as reading takes for other files.
 *
 * Returns false if the line cannot be used, and sets `failure`, which must be FAILURE_NONE before,
 * to FAILURE_MEMORY or to `kind`. Its message names the file as `label`. Free `line` with
 * buffer_free in either case. */
bool secret_file_read(const char *path, const char *label, enum failure_kind kind,
                      double pipe_seconds, struct buffer *line, bool *regular,
                      struct failure *failure);

#endif
