/* Numbers as text and back, against the C library. The input is a text to be read, and, if it has
 * eight bytes, the bits of a double to be written. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/number.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition) abort();
}

static bool is_number(const char *text, size_t size) {
  struct json_reader reader;
  json_init(&reader, 0, 0);
  json_feed(&reader, text, size);
  json_end(&reader);
  enum json_event event = json_next(&reader);
  bool found = event == JSON_INTEGER || event == JSON_DOUBLE || reader.fault == JSON_FAULT_RANGE;
  found = found && strspn(text, "0123456789+-.eE") == size; /* no white space around it */
  json_free(&reader);
  return found;
}

static bool same(double a, double b) {
  return memcmp(&a, &b, sizeof a) == 0;
}

static void check_reading(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1), *exact = malloc(size + (size == 0)); /* no byte more to be read */
  if (text == NULL || exact == NULL) abort();
  if (size > 0) memcpy(text, data, size);
  text[size] = '\0';
  memcpy(exact, text, size);
  int64_t integer;
  double number, expected = strtod(text, NULL); /* in the C locale */
  if (is_number(text, size)) {
    switch (number_read(exact, size, &integer, &number)) {
    case NUMBER_IS_INTEGER:
      demand(strpbrk(text, ".eE") == NULL && integer == strtoll(text, NULL, 10));
      break;
    case NUMBER_IS_DOUBLE: demand(same(number, expected)); break;
    case NUMBER_IS_TOO_LARGE: demand(isinf(expected)); break;
    }
  }
  free(text);
  free(exact);
}

static void check_writing(double number) {
  char text[NUMBER_BYTES], other[64];
  if (!isfinite(number)) return;
  size_t size = number_write(number, text);
  demand(size == strlen(text) && is_number(text, size) && same(strtod(text, NULL), number));
  for (int precision = 1; precision < 17 && strpbrk(text, ".e") != NULL; precision++) {
    snprintf(other, sizeof other, "%.*g", precision, number);
    demand(strlen(other) >= size || strtod(other, NULL) != number);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  double number;
  int64_t integer;
  char text[NUMBER_BYTES];
  check_reading(data, size);
  if (size != sizeof number) return 0;
  memcpy(&number, data, sizeof number);
  memcpy(&integer, data, sizeof integer);
  check_writing(number);
  check_writing((double)integer);
  demand(number_write_integer(integer, text) == strlen(text));
  demand(strtoll(text, NULL, 10) == integer);
  return 0;
}
