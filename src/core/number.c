#include "core/number.h"

#include <float.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

_Static_assert(FLT_RADIX == 2 && DBL_MANT_DIG == 53 && DBL_MAX_EXP == 1024 &&
                   sizeof(double) == sizeof(uint64_t),
               "double is binary64 (IEEE 754)");

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* ---- reading what fits into 64 bits ---- */

/* A number split into its parts: (-1)^negative * digits * 10^exponent. */
struct decimal {
  bool negative;
  bool whole; /* the text has no fraction and no exponent */
  bool exact; /* the text has at most 19 digits, so that `digits` cannot overflow */
  uint64_t digits;
  int64_t exponent;
};

/* Appends the digits at `text`, and returns where they end. */
static const char *add_digits(struct decimal *d, const char *text, const char *end) {
  uint64_t digits = d->digits; /* wraps around if there are too many */
  for (; text < end && is_digit(*text); text++)
    digits = digits * 10 + (uint64_t)(*text - '0');
  d->digits = digits;
  return text;
}

/* Reads an exponent such as "e-12" or "E+3". Returns 0 if `text` is at the end. Stops adding digits
 * at 2^40, far beyond any exponent that makes a difference. */
static int64_t read_exponent(const char *text, const char *end) {
  int64_t exponent = 0;
  if (text == end) return 0;
  bool negative = *++text == '-';
  if (negative || *text == '+') text++;
  for (; text < end; text++)
    if (exponent < INT64_C(1) << 40) exponent = exponent * 10 + (*text - '0');
  return negative ? -exponent : exponent;
}

static struct decimal split(const char *text, size_t size) {
  struct decimal d = {.whole = true};
  const char *end = text + size;
  d.negative = *text == '-';
  text += d.negative;
  const char *start = text;
  text = add_digits(&d, start, end);
  d.exact = text - start <= 19;
  if (text == end) return d;
  d.whole = false;
  if (*text == '.') {
    const char *fraction = text + 1;
    text = add_digits(&d, fraction, end);
    d.exponent = fraction - text;
    d.exact = text - start <= 19 + 1;
  }
  d.exponent += read_exponent(text, end);
  return d;
}

static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Computes the double if both the digits and the power of ten are exact as doubles: then a single
 * multiplication or division rounds only once, and so correctly (W. D. Clinger, How to Read
 * Floating Point Numbers Accurately, 1990). Otherwise returns false. */
static bool exact_double(const struct decimal *d, double *number) {
  if (!d->exact) return false;
  if (d->digits != 0 && d->exponent != 0) {
#if !defined(FLT_EVAL_METHOD) || FLT_EVAL_METHOD != 0
    return false; /* wider registers round twice */
#endif
    if (d->digits > UINT64_C(1) << 53 || d->exponent < -22 || d->exponent > 22) return false;
  }
  *number = (double)d->digits;
  if (d->digits != 0 && d->exponent < 0) *number /= tens[-d->exponent];
  if (d->digits != 0 && d->exponent > 0) *number *= tens[d->exponent];
  return true;
}

/* ---- reading the rest: an estimate, corrected by exact comparisons ---- */

/* A number halfway between two doubles has at most 767 significant digits. Of any further digits it
 * only matters whether they are all 0. */
#define MAX_DIGITS 768

/* Enough for both sides of a comparison, which have fewer than 2700 bits: an integer of MAX_DIGITS
 * + 1 digits has 2555 bits, a significand of 55 bits times 5^(MAX_DIGITS + 1 + 324) has 2593, and
 * the shift makes the shorter side about as long as the other. */
#define MAX_LIMBS 96

/* A natural number, in limbs of 32 bits, the lowest one first. */
struct natural {
  uint32_t limbs[MAX_LIMBS];
  unsigned count;
};

/* n = n * factor + addend */
static void multiply(struct natural *n, uint32_t factor, uint32_t addend) {
  uint64_t carry = addend;
  for (unsigned i = 0; i < n->count; i++) {
    carry += (uint64_t)n->limbs[i] * factor;
    n->limbs[i] = (uint32_t)carry;
    carry >>= 32;
  }
  if (carry != 0) n->limbs[n->count++] = (uint32_t)carry;
}

/* n = n * 5^power */
static void multiply_by_fives(struct natural *n, int power) {
  static const uint32_t fives[] = {1,       5,        25,        125,       625,
                                   3125,    15625,    78125,     390625,    1953125,
                                   9765625, 48828125, 244140625, 1220703125};
  for (; power > 13; power -= 13)
    multiply(n, fives[13], 0);
  multiply(n, fives[power], 0);
}

/* n = n * 2^bits */
static void shift_left(struct natural *n, int bits) {
  unsigned limbs = (unsigned)bits / 32;
  if (n->count == 0) return;
  multiply(n, UINT32_C(1) << bits % 32, 0);
  if (limbs == 0) return;
  memmove(n->limbs + limbs, n->limbs, n->count * sizeof *n->limbs);
  memset(n->limbs, 0, limbs * sizeof *n->limbs);
  n->count += limbs;
}

/* Returns a number below, equal to or above 0 if a is below, equal to or above b. */
static int compare(const struct natural *a, const struct natural *b) {
  if (a->count != b->count) return a->count < b->count ? -1 : 1;
  for (unsigned i = a->count; i > 0; i--)
    if (a->limbs[i - 1] != b->limbs[i - 1]) return a->limbs[i - 1] < b->limbs[i - 1] ? -1 : 1;
  return 0;
}

/* The number digits * 10^exponent. If the text has more than MAX_DIGITS digits, and those after
 * them are not all 0, a last digit 1 stands for them. */
struct value {
  struct natural digits;
  int64_t exponent;
  int count;      /* how many digits there are */
  uint64_t first; /* the first 19 of them, or all if there are fewer */
};

/* Appends `count` digits, at most nine, whose value is `value`. */
static void append_digits(struct value *v, uint32_t value, int count) {
  static const uint32_t powers[] = {1,      10,      100,      1000,      10000,
                                    100000, 1000000, 10000000, 100000000, 1000000000};
  multiply(&v->digits, powers[count], value);
  v->count += count;
}

/* Reads a number without a sign. */
static void read_value(struct value *v, const char *text, const char *end) {
  uint32_t digits = 0; /* not appended yet */
  int count = 0;
  bool fraction = false, more = false;
  v->digits.count = 0;
  v->exponent = v->count = 0;
  v->first = 0;
  for (; text < end && *text != 'e' && *text != 'E'; text++) {
    if (*text == '.') {
      fraction = true;
    } else if (v->count + count == MAX_DIGITS) {
      more = more || *text != '0';
      v->exponent += !fraction;
    } else {
      v->exponent -= fraction;
      if (v->count + count == 0 && *text == '0') continue;
      if (v->count + count < 19) v->first = v->first * 10 + (uint64_t)(*text - '0');
      digits = digits * 10 + (uint32_t)(*text - '0');
      if (++count < 9) continue;
      append_digits(v, digits, count);
      digits = 0;
      count = 0;
    }
  }
  append_digits(v, digits, count);
  v->exponent += read_exponent(text, end);
  if (!more) return;
  append_digits(v, 1, 1);
  v->exponent--;
}

static void copy(struct natural *to, const struct natural *from) {
  to->count = from->count;
  memcpy(to->limbs, from->limbs, from->count * sizeof *from->limbs);
}

/* Compares v with significand * 2^exponent, and returns what compare does. Both sides are made
 * integers: powers of 5 and 2 that would divide one side multiply the other. */
static int compare_with(const struct value *v, uint64_t significand, int exponent) {
  struct natural left, right;
  int power = (int)v->exponent, shift = power - exponent;
  copy(&left, &v->digits);
  right.limbs[0] = (uint32_t)significand;
  right.limbs[1] = (uint32_t)(significand >> 32);
  right.count = right.limbs[1] != 0 ? 2 : 1;
  multiply_by_fives(power > 0 ? &left : &right, power > 0 ? power : -power);
  shift_left(shift > 0 ? &left : &right, shift > 0 ? shift : -shift);
  return compare(&left, &right);
}

/* Returns the bits of a double that is not negative, as an integer. Adding 1 gives the next larger
 * double. */
static uint64_t bits_of(double number) {
  uint64_t bits;
  memcpy(&bits, &number, sizeof bits);
  return bits;
}

static double from_bits(uint64_t bits) {
  double number;
  memcpy(&number, &bits, sizeof number);
  return number;
}

/* Compares v with the number halfway between the double with these bits and the next larger one. */
static int compare_with_middle(const struct value *v, uint64_t bits) {
  const uint64_t hidden = UINT64_C(1) << 52;
  int exponent = (int)(bits >> 52);
  uint64_t significand = bits & (hidden - 1);
  if (exponent > 0) significand |= hidden;
  return compare_with(v, 2 * significand + 1, (exponent > 0 ? exponent : 1) - 1076);
}

/* Returns a double within a few units in the last place of v. */
static double estimate(const struct value *v) {
  static const double squares[] = {1e16, 1e32, 1e64, 1e128, 1e256};
  double number = (double)v->first;
  int power = (int)v->exponent + (v->count > 19 ? v->count - 19 : 0),
      rest = power < 0 ? -power : power;
  number = power < 0 ? number / tens[rest % 16] : number * tens[rest % 16];
  rest /= 16;
  for (int i = 0; rest > 0 && i < 5; i++, rest /= 2)
    if (rest % 2 != 0) number = power < 0 ? number / squares[i] : number * squares[i];
  return fmin(number, DBL_MAX);
}

/* Returns the double nearest to the number, which has no sign, or INFINITY if it is too large. */
static double nearest_double(const char *text, const char *end) {
  struct value v;
  read_value(&v, text, end);
  /* v is below 10^magnitude, and at least a tenth of that. */
  int64_t magnitude = v.exponent + v.count;
  if (v.count == 0 || magnitude < -323) return 0;
  if (magnitude > 309) return INFINITY;
  uint64_t bits = bits_of(estimate(&v)), infinite = bits_of(INFINITY);
  for (;;) {
    int above = compare_with_middle(&v, bits);
    if (above > 0 || (above == 0 && bits % 2 != 0)) {
      if (++bits == infinite) return INFINITY;
      continue;
    }
    if (bits == 0) return 0;
    int below = compare_with_middle(&v, bits - 1);
    if (below > 0 || (below == 0 && bits % 2 == 0)) return from_bits(bits);
    bits--;
  }
}

enum number_type number_read(const char *text, size_t size, int64_t *integer, double *number) {
  struct decimal d = split(text, size);
  bool minus_zero = d.negative && d.digits == 0; /* as an integer it would be 0 */
  if (d.whole && d.exact && !minus_zero && d.digits <= (uint64_t)INT64_MAX + d.negative) {
    /* The smallest integer has no positive counterpart, so it is not negated in one step. */
    *integer = d.negative ? -(int64_t)(d.digits - 1) - 1 : (int64_t)d.digits;
    return NUMBER_IS_INTEGER;
  }
  if (!exact_double(&d, number)) *number = nearest_double(text + d.negative, text + size);
  if (isinf(*number)) return NUMBER_IS_TOO_LARGE;
  if (d.negative) *number = -*number;
  return NUMBER_IS_DOUBLE;
}

const char *number_read_short(const char *text, const char *end, enum number_type *type,
                              int64_t *integer, double *number) {
  struct decimal d = {.negative = *text == '-', .exact = true};
  const char *start = text + d.negative, *stop = add_digits(&d, start, end);
  if (stop == start || (*start == '0' && stop > start + 1)) return NULL;
  d.whole = stop == end || *stop != '.';
  if (!d.whole) {
    const char *fraction = stop + 1;
    stop = add_digits(&d, fraction, end);
    d.exponent = fraction - stop;
    if (stop == fraction) return NULL;
  }
  if (stop - start > 15 + !d.whole || (d.negative && d.digits == 0)) return NULL;
  *type = d.whole ? NUMBER_IS_INTEGER : NUMBER_IS_DOUBLE;
  if (d.whole)
    *integer = d.negative ? -(int64_t)d.digits : (int64_t)d.digits;
  else if (!exact_double(&d, number))
    return NULL;
  else if (d.negative)
    *number = -*number;
  return stop;
}

/* ---- writing ---- */

_Static_assert(NUMBER_BYTES >= 1 + 17 + MB_LEN_MAX + sizeof "e-308",
               "too short for printf's %.17g in some locale");

size_t number_write_integer(int64_t integer, char out[NUMBER_BYTES]) {
  return (size_t)snprintf(out, NUMBER_BYTES, "%" PRId64, integer);
}

/* Replaces the decimal point of the locale, which may have several bytes, with ".". Returns the
 * length of the text. */
static size_t use_point(char *text) {
  size_t begin = strspn(text, "-0123456789"), end = begin;
  while (text[end] != '\0' && text[end] != 'e' && !is_digit(text[end]))
    end++;
  if (end > begin) {
    text[begin] = '.';
    memmove(text + begin + 1, text + end, strlen(text + end) + 1);
  }
  return strlen(text);
}

static bool reads_back(const char *text, size_t size, double number) {
  int64_t integer;
  double read;
  enum number_type type = number_read(text, size, &integer, &read);
  return type == NUMBER_IS_INTEGER ? (double)integer == number
                                   : type == NUMBER_IS_DOUBLE && read == number;
}

size_t number_write(double number, char out[NUMBER_BYTES]) {
  int64_t integer;
  bool is_negative_zero = number == 0 && signbit(number);
  if (!is_negative_zero && number_to_integer(number, &integer))
    return number_write_integer(integer, out);
  /* Any text of up to 15 digits survives conversion to a double and back. So if such a text exists
   * for this number, %.15g writes it, without zeros at the end. Subnormal numbers are less
   * precise. */
  int precision = fabs(number) < DBL_MIN ? 1 : 15;
  size_t size;
  do {
    snprintf(out, NUMBER_BYTES, "%.*g", precision, number);
    size = use_point(out);
  } while (precision++ < 17 && !reads_back(out, size, number));
  return size;
}
