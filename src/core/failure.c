#include "core/failure.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const char *failure_name(enum failure_kind kind) {
  switch (kind) {
  case FAILURE_NONE: break; /* GCOVR_EXCL_LINE: it is not used */
  case FAILURE_ARGUMENT: return "argument";
  case FAILURE_AUTH: return "auth";
  case FAILURE_HTTP: return "http";
  case FAILURE_NETWORK: return "network";
  case FAILURE_TIMEOUT: return "timeout";
  case FAILURE_DECODE: return "decode";
  case FAILURE_SCHEMA: return "schema";
  case FAILURE_TOO_LARGE: return "too_large";
  case FAILURE_NOT_FOUND: return "not_found";
  case FAILURE_CLOSED: return "closed";
  case FAILURE_MEMORY: return "memory";
  }
  return "none"; /* GCOVR_EXCL_LINE */
}

void failure_set(struct failure *failure, enum failure_kind kind, const char *format, ...) {
  failure_clear(failure);
  failure->kind = kind;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(failure->message, sizeof failure->message, format, arguments);
  va_end(arguments);
}

void failure_copy(struct failure *to, const struct failure *from) {
  failure_clear(to);
  *to = *from;
  to->header = to->body = (struct buffer){0};
  if (from->header.size > 0) buffer_append(&to->header, from->header.data, from->header.size);
  if (from->body.size > 0) buffer_append(&to->body, from->body.data, from->body.size);
}

void failure_clear(struct failure *failure) {
  buffer_free(&failure->header);
  buffer_free(&failure->body);
  /* Only the first byte of the message is cleared, because this is called often. */
  memset(failure, 0, offsetof(struct failure, message) + 1);
}
