/* Why a call failed: what the binding turns into an error object. */
#ifndef PODERO_FAILURE_H
#define PODERO_FAILURE_H

#include <stdbool.h>

#include "core/buffer.h"

enum failure_kind {
  FAILURE_NONE,
  FAILURE_ARGUMENT,
  FAILURE_AUTH,
  FAILURE_HTTP,
  FAILURE_NETWORK,
  FAILURE_TIMEOUT,
  FAILURE_DECODE,
  FAILURE_SCHEMA,
  FAILURE_TOO_LARGE,
  FAILURE_CLOSED,
  FAILURE_MEMORY
};

/* All zero means no failure. The message lies inside, so that telling of a failure needs no memory
 * when memory is what failed. */
struct failure {
  enum failure_kind kind;
  bool retryable;       /* the same call may succeed later */
  bool has_retry_after; /* the server sent a Retry-After that could be read */
  double retry_after;   /* seconds */
  long status;          /* HTTP status, or 0 */
  unsigned attempts;    /* requests sent: to the API, or, where no token was to be had, for one */
  struct buffer body;   /* the error body, perhaps cut off; owned */
  char message[1024];   /* for a person: one line, no secrets of ours */
};

/* The kind's name in the Lua interface. */
const char *failure_name(enum failure_kind kind);

/* Sets kind and message (as printf), and forgets what was there before. */
void failure_set(struct failure *failure, enum failure_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes `to` a copy of `from`. Where memory does not suffice for the body, the copy has none. */
void failure_copy(struct failure *to, const struct failure *from);

/* Frees what the failure owns, and makes it FAILURE_NONE. */
void failure_clear(struct failure *failure);

#endif
