/* Why a call failed. The Lua binding (src/lua) makes an error object of it.
 *
 *   set     failure_set, failure_copy, failure_clear
 *   name    failure_name */
#ifndef PODERO_FAILURE_H
#define PODERO_FAILURE_H

#include <stdbool.h>

#include "core/buffer.h"

/* The kinds of the Lua interface; docs/reference/errors.md describes them. */
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
  FAILURE_NOT_FOUND, /* set by the binding only: the response lacks what was looked for */
  FAILURE_CLOSED,
  FAILURE_MEMORY
};

/* Initialize with zeros, which means no failure. The message is part of the struct, so that an
 * out-of-memory failure needs no memory. */
struct failure {
  enum failure_kind kind;
  bool retryable;       /* the same call may succeed later */
  bool has_retry_after; /* the response had a valid Retry-After field */
  double retry_after;   /* its value in seconds */
  long status;          /* HTTP status, or 0 */
  unsigned attempts;    /* how many API requests were sent; token requests if there was no token */
  struct buffer header; /* of the response, see struct response; owned; empty if there was none */
  struct buffer body;   /* of the error response, or its beginning; owned */
  char message[1024];   /* one line for a person, without credentials or tokens */
};

/* Returns the name of the kind in the Lua interface, a static string. */
const char *failure_name(enum failure_kind kind);

/* Clears the failure, as failure_clear does, and sets its kind and message. The message is
 * formatted as by printf, and truncated if it is too long. */
void failure_set(struct failure *failure, enum failure_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes `to` a copy of `from`, after freeing what `to` owns. If out of memory, the copy lacks its
 * header or its body. */
void failure_copy(struct failure *to, const struct failure *from);

/* Frees what the failure owns, and makes it FAILURE_NONE. It can be used again. */
void failure_clear(struct failure *failure);

#endif
