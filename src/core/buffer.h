/* A growable run of bytes, and the few ways in which texts are put together from it. */
#ifndef PODERO_BUFFER_H
#define PODERO_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Overwrites memory that is about to be freed, in a way that no compiler takes away. */
static inline void wipe(void *memory, size_t size) {
  memset(memory, 0, size);
  __asm__ volatile("" : : "r"(memory) : "memory");
}

/* All zero is an empty buffer. `data` is NULL or ends in a NUL that `size` does not count. */
struct buffer {
  char *data;
  size_t size;
  size_t capacity;
  bool failed; /* an allocation failed: what was to be added is missing */
};

/* Appends `size` bytes. False when memory is short; the buffer then keeps what it had, and
 * `failed` stays set, so that a chain of appends needs one check at its end. */
bool buffer_append(struct buffer *buffer, const void *bytes, size_t size);

/* Appends a NUL-terminated text. */
void buffer_add(struct buffer *buffer, const char *text);

/* Encodes one byte as in application/x-www-form-urlencoded (WHATWG URL, 5.2; RFC 6749, appendix
 * B), which is also valid in a URL's query. Returns how many bytes it has become. */
size_t form_encode(char byte, char out[3]);

/* Appends a text encoded like that. */
void buffer_add_form_encoded(struct buffer *buffer, const char *bytes, size_t size);

/* Appends a text as a JSON string with its quotes (RFC 8259, 7). */
void buffer_add_json_string(struct buffer *buffer, const char *text);

/* Appends bytes in base64 (RFC 4648, 4). */
void buffer_add_base64(struct buffer *buffer, const char *bytes, size_t size);

/* Overwrites the bytes, frees them and leaves an empty buffer. */
void buffer_free(struct buffer *buffer);

/* A copy of a text, or NULL: no text, or no memory. To be freed with secret_free or free. */
char *text_copy(const char *text);

/* Overwrites a text of our own with zeros, and frees it. NULL is fine. */
void secret_free(char *text);

#endif
