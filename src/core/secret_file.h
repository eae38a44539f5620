/* Reads a secret from the first line of a file. */
#ifndef PODERO_SECRET_FILE_H
#define PODERO_SECRET_FILE_H

#include <stdbool.h>

#include "core/buffer.h"
#include "core/failure.h"

/* The longest line that is accepted, in bytes. */
#define SECRET_FILE_MAX_BYTES ((size_t)64 * 1024)

/* Appends the first line of the file at `path` to `line`: without its line end (LF, CR LF or CR),
 * and without a UTF-8 byte order mark. Symbolic links are followed. Sets `*regular` to whether it
 * is a regular file; others, such as pipes, can be read once only. Waits for a pipe for at most
 * `pipe_seconds`, for other files as long as reading takes.
 *
 * Returns false if the line cannot be used, and sets `failure`: of `kind`, with `label` in its
 * message for the name of the file, or FAILURE_MEMORY. `line` is to be freed with buffer_free in
 * either case. */
bool secret_file_read(const char *path, const char *label, enum failure_kind kind,
                      double pipe_seconds, struct buffer *line, bool *regular,
                      struct failure *failure);

#endif
