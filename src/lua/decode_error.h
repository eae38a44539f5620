/* What is wrong with a body, for the decoders: decode_error_set, decode_error_set_memory,
 * decode_error_set_from_reader. */
#ifndef PODERO_DECODE_ERROR_H
#define PODERO_DECODE_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/failure.h"
#include "core/json.h"

/* Initialize with zeros. */
struct decode_error {
  /* FAILURE_NONE; FAILURE_DECODE: not JSON; FAILURE_SCHEMA: JSON, but not of the schema;
   * FAILURE_TOO_LARGE: above a limit; or FAILURE_MEMORY */
  enum failure_kind kind;
  bool cut_short;    /* the input is the beginning of a JSON text: a retry may help */
  uint64_t offset;   /* of the error, in bytes from the start of the input */
  char message[160]; /* one line */
};

/* Sets the error, except cut_short. The message is formatted as by printf, and truncated if it is
 * too long. */
void decode_error_set(struct decode_error *error, enum failure_kind kind, uint64_t offset,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Sets the error to FAILURE_MEMORY, at the last event of the reader. */
void decode_error_set_memory(struct decode_error *error, const struct json_reader *reader);

/* Sets the error from that of the reader, which has returned JSON_ERROR. */
void decode_error_set_from_reader(struct decode_error *error, const struct json_reader *reader);

#endif
