/* Chooses what to show of an error's body that is not JSON: web servers, proxies and frameworks
 * answer with HTML pages or with plain text.
 *
 *   kind     error_page_is_html
 *   quote    error_page_add_quote, error_page_add_decoded, error_page_shorten */
#ifndef PODERO_ERROR_PAGE_H
#define PODERO_ERROR_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buffer.h"

/* Returns whether a body of `size` bytes is an HTML page: one of its first tags is <html>, <head>,
 * <title>, <body> or <!doctype html>. */
bool error_page_is_html(const char *body, size_t size);

/* Appends what a person would read first in a body of `size` bytes: in an HTML page the text of
 * <title>, or else of <h1>; in other text the first line that is not blank. Appends nothing if
 * there is no such text, and at most 64 KB. White space and NULs become spaces; nothing else is
 * changed. Sets quote->failed if out of memory. Redact the text before it is shortened: half a
 * secret would not be found. */
void error_page_add_quote(const char *body, size_t size, struct buffer *quote);

/* Appends a text, with the HTML character references that error pages use decoded: numeric ones of
 * ASCII characters, and &amp; &lt; &gt; &quot; &apos; &nbsp;. Others are appended unchanged. Sets
 * decoded->failed if out of memory. */
void error_page_add_decoded(const char *text, struct buffer *decoded);

/* Cuts the text after about 120 bytes, between two UTF-8 characters, and appends "..." if it was
 * longer. */
void error_page_shorten(char *text);

#endif
