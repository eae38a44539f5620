#include "core/utf8.h"

size_t utf8_cut(const char *text, size_t max) {
  while (max > 0 && ((unsigned char)text[max] & 0xC0) == 0x80)
    max--;
  return max;
}

size_t utf8_encode(uint32_t point, unsigned char out[4]) {
  static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
  if (point < 0x80) {
    out[0] = (unsigned char)point;
    return 1;
  }
  size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  for (size_t i = size - 1; i > 0; i--) {
    out[i] = (unsigned char)(0x80 | (point & 0x3F));
    point >>= 6;
  }
  out[0] = (unsigned char)(leads[size] | point);
  return size;
}
