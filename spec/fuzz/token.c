/* The token response, and the quotation of a page in its place. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/json.h"
#include "core/oauth2/error_page.h"
#include "core/oauth2/token_response.h"
#include "core/syntax.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition) abort();
}

/* The last event of a JSON text. */
static enum json_event end_of(const char *text, size_t size, bool *is_object, bool *cut_short) {
  struct json_reader reader;
  json_init(&reader, 0, 0);
  json_feed(&reader, text, size);
  json_end(&reader);
  enum json_event event = json_next(&reader);
  *is_object = event == JSON_OBJECT_BEGIN;
  while (event > JSON_NEED_MORE)
    event = json_next(&reader);
  *cut_short = reader.fault == JSON_FAULT_CUT_SHORT;
  json_free(&reader);
  return event;
}

/* The body is followed by a NUL, as in a struct buffer. */
static void quote_page(const char *body, size_t size) {
  struct buffer copy = {0}, quote = {0}, decoded = {0};
  demand(buffer_append(&copy, body, size));
  error_page_is_html(copy.data, size);
  error_page_add_quote(copy.data, size, &quote);
  demand(quote.size <= size && !quote.failed);
  if (quote.data != NULL) {
    demand(strlen(quote.data) == quote.size && strchr(quote.data, '\n') == NULL);
    error_page_add_decoded(quote.data, &decoded);
    demand(decoded.size <= quote.size && !decoded.failed);
  }
  if (decoded.data != NULL) {
    error_page_shorten(decoded.data);
    demand(strlen(decoded.data) <= 120);
  }
  buffer_free(&copy);
  buffer_free(&quote);
  buffer_free(&decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *body = (const char *)data;
  struct token_response answer = {0};
  bool is_object, cut_short;
  demand(token_response_read(body, size, &answer));
  bool is_json = end_of(body, size, &is_object, &cut_short) == JSON_END;
  demand(answer.is_object == (is_json && is_object));
  demand(!answer.cut_short || cut_short);
  const char *texts[] = {answer.access_token, answer.token_type, answer.refresh_token, answer.scope,
                         answer.error};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    demand(texts[i] == NULL || (answer.is_object && strlen(texts[i]) <= size));
    demand(texts[i] == NULL || *texts[i] != '\0');
    if (texts[i] != NULL) syntax_is_bearer_token(texts[i]);
  }
  demand(answer.is_object || !answer.has_expires_in);
  demand(answer.expires_in == answer.expires_in);
  token_response_clear(&answer);
  if (size > 0) quote_page(body, size);
  return 0;
}
