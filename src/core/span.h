/* A part of a text, not terminated by a NUL.
 *
 *   span_trim, span_is */
#ifndef PODERO_SPAN_H
#define PODERO_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/syntax.h"

struct span {
  const char *start;
  size_t size;
};

static inline bool span_is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Returns the span without the white space at its ends. */
static inline struct span span_trim(struct span s) {
  for (; s.size > 0 && span_is_blank(*s.start); s.size--)
    s.start++;
  while (s.size > 0 && span_is_blank(s.start[s.size - 1]))
    s.size--;
  return s;
}

/* Returns whether the span is this text, ignoring the case of ASCII letters. */
static inline bool span_is(struct span s, const char *text) {
  return s.size == strlen(text) && syntax_is_same(s.start, text, s.size);
}

#endif
