#include "core/buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Does not use realloc, which may move the bytes and leave secrets in the memory that it frees. */
bool buffer_reserve(struct buffer *buffer, size_t more) {
  if (more < buffer->capacity - buffer->size) return true;
  if (more > SIZE_MAX / 2 - buffer->size - 1) return false;
  size_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity;
  while (capacity <= buffer->size + more)
    capacity *= 2;
  char *data = malloc(capacity);
  if (data == NULL) return false;
  if (buffer->data != NULL) {
    memcpy(data, buffer->data, buffer->size);
    wipe(buffer->data, buffer->size);
    free(buffer->data);
  }
  buffer->data = data;
  buffer->capacity = capacity;
  return true;
}

bool buffer_append(struct buffer *buffer, const void *bytes, size_t size) {
  if (buffer->failed) return false;
  if (!buffer_reserve(buffer, size)) {
    buffer->failed = true;
    return false;
  }
  if (size > 0) memcpy(buffer->data + buffer->size, bytes, size);
  buffer->size += size;
  buffer->data[buffer->size] = '\0';
  return true;
}

void buffer_add(struct buffer *buffer, const char *text) {
  buffer_append(buffer, text, strlen(text));
}

size_t form_encode(char byte, char out[3]) {
  static const char digits[] = "0123456789ABCDEF";
  unsigned char c = (unsigned char)byte;
  bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c != '\0' && strchr("*-._", c) != NULL);
  out[0] = safe ? byte : c == ' ' ? '+' : '%';
  if (out[0] != '%') return 1;
  out[1] = digits[c >> 4];
  out[2] = digits[c & 15];
  return 3;
}

void buffer_add_form_encoded(struct buffer *buffer, const char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) {
    char place[3];
    buffer_append(buffer, place, form_encode(bytes[i], place));
  }
}

void buffer_add_json_string(struct buffer *buffer, const char *text) {
  buffer_add_json_text(buffer, text, strlen(text));
}

void buffer_add_json_text(struct buffer *buffer, const char *text, size_t size) {
  static const char digits[] = "0123456789abcdef";
  buffer_append(buffer, "\"", 1);
  for (const char *p = text; p < text + size; p++) {
    unsigned char c = (unsigned char)*p;
    if (c == '"' || c == '\\') {
      char escape[2] = {'\\', *p};
      buffer_append(buffer, escape, sizeof escape);
    } else if (c < 0x20) {
      char escape[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
      buffer_append(buffer, escape, sizeof escape);
    } else {
      buffer_append(buffer, p, 1);
    }
  }
  buffer_append(buffer, "\"", 1);
}

void buffer_add_base64(struct buffer *buffer, const char *bytes, size_t size) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < size; i += 3) {
    size_t left = size - i;
    uint32_t group = (uint32_t)(unsigned char)bytes[i] << 16;
    if (left > 1) group |= (uint32_t)(unsigned char)bytes[i + 1] << 8;
    if (left > 2) group |= (uint32_t)(unsigned char)bytes[i + 2];
    char quartet[4] = {digits[group >> 18], digits[group >> 12 & 63],
                       left > 1 ? digits[group >> 6 & 63] : '=',
                       left > 2 ? digits[group & 63] : '='};
    buffer_append(buffer, quartet, sizeof quartet);
  }
}

void buffer_free(struct buffer *buffer) {
  if (buffer->data != NULL) wipe(buffer->data, buffer->size);
  free(buffer->data);
  *buffer = (struct buffer){0};
}

char *text_copy(const char *text) {
  return text == NULL ? NULL : strdup(text);
}

void secret_free(char *text) {
  if (text == NULL) return;
  wipe(text, strlen(text));
  free(text);
}
