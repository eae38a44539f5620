#include "lua/decode_error.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void decode_error_set(struct decode_error *e, enum failure_kind kind, uint64_t offset,
                      const char *format, ...) {
  va_list arguments;
  e->kind = kind;
  e->offset = offset;
  va_start(arguments, format);
  vsnprintf(e->message, sizeof e->message, format, arguments);
  va_end(arguments);
}

void decode_error_set_memory(struct decode_error *e, const struct json_reader *r) {
  decode_error_set(e, FAILURE_MEMORY, r->token_offset, "out of memory");
}

void decode_error_set_from_reader(struct decode_error *e, const struct json_reader *r) {
  if (r->fault == JSON_FAULT_MEMORY) {
    decode_error_set_memory(e, r);
    return;
  }
  e->cut_short = r->fault == JSON_FAULT_CUT_SHORT;
  decode_error_set(e, r->fault == JSON_FAULT_TOKEN ? FAILURE_TOO_LARGE : FAILURE_DECODE, r->offset,
                   "%s at byte %" PRIu64, r->message, r->offset);
}
