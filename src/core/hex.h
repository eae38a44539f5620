/* Hexadecimal digits. */
#ifndef PODERO_HEX_H
#define PODERO_HEX_H

/* Returns the value of a hexadecimal digit, upper or lower case, or -1 if `c` is not one. */
static inline int hex_value(int c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
