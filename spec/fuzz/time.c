/* podero.time, against the C library's calendar. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/rfc3339.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition) abort();
}

/* Whether the C library's time_t, which may have 32 bits, has this value. */
static bool is_time(int64_t seconds) {
  return (int64_t)(time_t)seconds == seconds;
}

/* Seconds since 1970 of a text that is known to be valid. */
static int64_t expected(const char *text) {
  struct tm tm = {0};
  int used = 0, hours = 0, minutes = 0;
  char sign = '+';
  demand(sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) == 6);
  tm.tm_year -= 1900;
  tm.tm_mon--;
  text += used;
  if (*text == '.') text += 1 + strspn(text + 1, "0123456789");
  if (*text != 'Z' && *text != 'z') demand(sscanf(text, "%c%2d:%2d", &sign, &hours, &minutes) == 3);
  int64_t offset = (hours * 60 + minutes) * 60;
  return (int64_t)timegm(&tm) - (sign == '-' ? -offset : offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char text[256];
  struct instant instant;
  char *exact = malloc(size + (size == 0)); /* no byte more to be read */
  if (exact == NULL) abort();
  if (size > 0) memcpy(exact, data, size);
  const char *wrong = rfc3339_parse(exact, size, &instant);
  free(exact);
  if (wrong != NULL || size >= sizeof text) return 0;
  memcpy(text, data, size);
  text[size] = '\0';
  demand(strlen(text) == size);
  if (is_time(instant.seconds)) demand(instant.seconds == expected(text));
  demand(instant.has_fraction == (strchr(text, '.') != NULL));
  demand(instant.fraction >= 0 && instant.fraction < 1);
  if (instant.has_fraction) /* cut after fifteen digits, and rounded */
    demand(fabs(instant.fraction - strtod(strchr(text, '.'), NULL)) < 1.5e-15);
  return 0;
}
