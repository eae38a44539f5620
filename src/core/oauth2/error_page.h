/* What to show of an error's body that is not JSON: web servers, proxies and frameworks answer with
 * HTML pages, or with text.
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

/* Appends what a person would read first of a body of `size` bytes: of an HTML page the text of
 * <title>, or else of <h1>; of other text the first line that is not blank. Appends 64 KB at
 * most, as it stands in the body except that white space and NULs become spaces; nothing if there
 * is nothing. Sets quote->failed if out of memory. It is to be redacted before it is shortened:
 * half a secret would not be found. */
void error_page_add_quote(const char *body, size_t size, struct buffer *quote);

/* Appends a text with the character references of HTML replaced that error pages have: decimal and
 * hexadecimal ones of ASCII characters, and &amp; &lt; &gt; &quot; &apos; &nbsp;. Others are
 * appended as they are. Sets decoded->failed if out of memory. */
void error_page_add_decoded(const char *text, struct buffer *decoded);

/* Cuts the text off after about 120 bytes, between two characters of UTF-8, and appends "..." if it
 * was longer. */
void error_page_shorten(char *text);

#endif
