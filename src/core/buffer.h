/* A growable array of bytes, and strings that may be secret.
 *
 *   append    buffer_reserve, buffer_append, buffer_add, buffer_add_form_encoded,
 *             buffer_add_json_string, buffer_add_json_text, buffer_add_base64
 *   free      buffer_free
 *   encode    form_encode
 *   strings   text_copy, secret_free, wipe
 *
 * Buffers hold credentials and tokens: all memory is overwritten before it is freed. */
#ifndef PODERO_BUFFER_H
#define PODERO_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Overwrites memory with zeros. Unlike memset, it is not optimized away if the memory is freed
 * right after. */
static inline void wipe(void *memory, size_t size) {
  memset(memory, 0, size);
  __asm__ volatile("" : : "r"(memory) : "memory");
}

/* Initialize with zeros, which makes an empty buffer; release with buffer_free. `data` is owned by
 * the buffer. It is NULL, or followed by a NUL that `size` does not count. It moves when bytes are
 * added. */
struct buffer {
  char *data;
  size_t size;
  size_t capacity;
  bool failed; /* an allocation has failed, and nothing more is added */
};

/* Makes room for `more` bytes and a NUL after those that the buffer has, without changing `size`.
 * There may be no NUL until bytes are appended. Returns false if out of memory: then the buffer is
 * unchanged, and `failed` is not set. */
bool buffer_reserve(struct buffer *buffer, size_t more);

/* Appends `size` bytes. Returns false if out of memory: then the buffer keeps its bytes, `failed`
 * is set, and all further calls fail. So it is enough to check `failed` once, after several
 * calls. */
bool buffer_append(struct buffer *buffer, const void *bytes, size_t size);

/* Appends a NUL-terminated string. Sets `failed` if out of memory, as do the functions below. */
void buffer_add(struct buffer *buffer, const char *text);

/* Writes one byte in application/x-www-form-urlencoded to `out`: as it is, as "+" or as "%XX"
 * (WHATWG URL, section 5.2; RFC 6749, appendix B). This is also valid in the query of a URL.
 * Returns how many bytes were written, 1 or 3. */
size_t form_encode(char byte, char out[3]);

/* Appends `size` bytes, each encoded by form_encode. */
void buffer_add_form_encoded(struct buffer *buffer, const char *bytes, size_t size);

/* Appends a NUL-terminated UTF-8 string as a JSON string, in quotes (RFC 8259, section 7). */
void buffer_add_json_string(struct buffer *buffer, const char *text);

/* Does the same with `size` bytes, which need not end in a NUL. */
void buffer_add_json_text(struct buffer *buffer, const char *text, size_t size);

/* Appends `size` bytes in base64 with padding (RFC 4648, section 4). */
void buffer_add_base64(struct buffer *buffer, const char *bytes, size_t size);

/* Overwrites and frees the bytes. The buffer is then empty and can be used again. */
void buffer_free(struct buffer *buffer);

/* Returns a copy of a string, to be freed with secret_free, or with free if it is not secret.
 * Returns NULL if `text` is NULL or if out of memory. */
char *text_copy(const char *text);

/* Overwrites a string with zeros and frees it. NULL does nothing. */
void secret_free(char *text);

#endif
