#include "core/rfc3339.h"

/* The text that has not been read yet. */
struct cursor {
  const char *at;
  const char *end;
};

/* Reads exactly `count` digits. */
static bool read_number(struct cursor *c, int count, int *out) {
  if (c->end - c->at < count) return false;
  int value = 0;
  for (int i = 0; i < count; i++) {
    char digit = *c->at++;
    if (digit < '0' || digit > '9') return false;
    value = value * 10 + (digit - '0');
  }
  *out = value;
  return true;
}

/* Reads one character, which must be `either` or `other`. */
static bool read_character(struct cursor *c, char either, char other) {
  if (c->at == c->end || (*c->at != either && *c->at != other)) return false;
  c->at++;
  return true;
}

static int days_in_month(int year, int month) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* Days since 1970-01-01. Years begin in March here, so that a leap day is the last day of its
 * year. */
static int64_t days_since_epoch(int year, int month, int day) {
  static const int before[] = {306, 337, 0, 31, 61, 92, 122, 153, 184, 214, 245, 275};
  /* 400 years, which are 146097 days, are added so that y is not negative. */
  int64_t y = year - (month <= 2 ? 1 : 0) + 400;
  return y * 365 + y / 4 - y / 100 + y / 400 + before[month - 1] + day - 1 - 146097 - 719468;
}

/* These functions return NULL, or what is wrong with the text. */
static const char *read_date(struct cursor *c, int64_t *days) {
  int year, month, day;
  if (!read_number(c, 4, &year) || !read_character(c, '-', '-') || !read_number(c, 2, &month) ||
      !read_character(c, '-', '-') || !read_number(c, 2, &day))
    return "expected a date as in 2026-01-31T08:30:00Z";
  if (month < 1 || month > 12) return "the month is not between 01 and 12";
  if (day < 1 || day > days_in_month(year, month)) return "the month does not have this day";
  *days = days_since_epoch(year, month, day);
  return NULL;
}

static const char *read_time(struct cursor *c, struct instant *out, bool *leap) {
  int hour, minute, second;
  if (!read_number(c, 2, &hour) || !read_character(c, ':', ':') || !read_number(c, 2, &minute) ||
      !read_character(c, ':', ':') || !read_number(c, 2, &second))
    return "expected a time as in 2026-01-31T08:30:00Z";
  if (hour > 23 || minute > 59 || second > 60) return "the time of day does not exist";
  out->seconds = hour * 3600 + minute * 60 + second;
  *leap = second == 60;
  return NULL;
}

static const char *read_fraction(struct cursor *c, struct instant *out) {
  out->has_fraction = read_character(c, '.', '.');
  out->fraction = 0;
  if (!out->has_fraction) return NULL;
  const char *first = c->at;
  int64_t digits = 0, scale = 1;
  for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
    if (scale < INT64_C(1000000000000000)) { /* further digits exceed the precision of a double */
      digits = digits * 10 + (*c->at - '0');
      scale *= 10;
    }
  }
  if (c->at == first) return "expected digits after the point";
  out->fraction = (double)digits / (double)scale;
  return NULL;
}

static const char *read_offset(struct cursor *c, int *minutes) {
  *minutes = 0;
  if (read_character(c, 'Z', 'z')) return NULL;
  int sign = read_character(c, '-', '-') ? -1 : 1;
  if (sign == 1 && !read_character(c, '+', '+'))
    return "expected Z or an offset such as +02:00 at the end";
  int hour, minute;
  if (!read_number(c, 2, &hour) || !read_character(c, ':', ':') || !read_number(c, 2, &minute))
    return "expected Z or an offset such as +02:00 at the end";
  if (hour > 23 || minute > 59) return "the offset from UTC does not exist";
  *minutes = sign * (hour * 60 + minute);
  return NULL;
}

/* Leap seconds are inserted only at the end of a UTC day. */
static bool ends_utc_day(const struct instant *local, int offset_minutes) {
  return (local->seconds - offset_minutes * 60) % 86400 == 0;
}

const char *rfc3339_parse(const char *text, size_t size, struct instant *out) {
  struct cursor c = {text, text + size};
  int64_t days = 0;
  int offset = 0;
  bool leap = false;
  const char *wrong = read_date(&c, &days);
  if (wrong == NULL && !read_character(&c, 'T', 't') && !read_character(&c, ' ', ' '))
    wrong = "expected T between the date and the time";
  if (wrong == NULL) wrong = read_time(&c, out, &leap);
  if (wrong == NULL) wrong = read_fraction(&c, out);
  if (wrong == NULL) wrong = read_offset(&c, &offset);
  if (wrong == NULL && c.at != c.end) wrong = "text after the date-time";
  if (wrong != NULL) return wrong;
  if (leap && !ends_utc_day(out, offset))
    return "a leap second is only possible at the end of a UTC day";
  out->seconds += days * 86400 - offset * 60;
  return NULL;
}
