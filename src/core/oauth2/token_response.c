#include "core/oauth2/token_response.h"

#include <string.h>

#include "core/buffer.h"
#include "core/json.h"

static bool is_key(const struct json_reader *r, const char *name) {
  return r->size == strlen(name) && memcmp(r->text, name, r->size) == 0;
}

/* Where the text of the member goes whose key the reader is at; NULL: no text is wanted. */
static char **text_of_member(const struct json_reader *r, struct token_response *out) {
  if (is_key(r, "access_token")) return &out->access_token;
  if (is_key(r, "token_type")) return &out->token_type;
  if (is_key(r, "refresh_token")) return &out->refresh_token;
  if (is_key(r, "scope")) return &out->scope;
  return is_key(r, "error") ? &out->error : NULL;
}

/* Of equal keys the last one wins. An empty text counts as absent. NUL, which no text of OAuth2 may
 * hold and C would end at, becomes another control character. */
static bool take_text(const struct json_reader *r, enum json_event event, char **text) {
  struct buffer copy = {0};
  secret_free(*text);
  *text = NULL;
  if (event != JSON_STRING || r->size == 0) return true;
  buffer_append(&copy, r->text, r->size);
  for (size_t i = 0; i < copy.size; i++) {
    if (copy.data[i] == '\0') copy.data[i] = '\1';
  }
  *text = copy.data;
  return !copy.failed;
}

static bool take_number(const struct json_reader *r, enum json_event event, double *number) {
  if (event != JSON_INTEGER && event != JSON_DOUBLE) return false;
  *number = event == JSON_INTEGER ? (double)r->integer : r->number;
  return true;
}

/* A number, or a string that is one. */
static bool take_life(const struct json_reader *r, enum json_event event, double *seconds) {
  if (event != JSON_STRING) return take_number(r, event, seconds);
  struct json_reader text;
  json_init(&text, 0, 0);
  json_feed(&text, r->text, r->size);
  json_end(&text);
  bool found = take_number(&text, json_next(&text), seconds) && json_next(&text) == JSON_END;
  json_free(&text);
  return found;
}

/* Reads the members of the object that has begun; false when memory is short. */
__attribute__((nonnull)) static bool read_members(struct json_reader *r,
                                                  struct token_response *out) {
  char **text = NULL;
  bool is_life = false, ok = true;
  enum json_event event;
  while (ok && (event = json_next(r)) > JSON_NEED_MORE) {
    bool is_container = event == JSON_ARRAY_BEGIN || event == JSON_OBJECT_BEGIN;
    if (event == JSON_ARRAY_END || event == JSON_OBJECT_END) continue;
    if (json_depth(r) != (is_container ? 2 : 1)) continue;
    if (event == JSON_KEY) {
      text = text_of_member(r, out);
      is_life = is_key(r, "expires_in");
    } else if (text != NULL) {
      ok = take_text(r, event, text);
    } else if (is_life) {
      out->has_expires_in = take_life(r, event, &out->expires_in);
    }
  }
  return ok && r->fault != JSON_FAULT_MEMORY;
}

bool token_response_read(const char *body, size_t size, struct token_response *out) {
  struct json_reader reader;
  json_init(&reader, 0, 0);
  json_feed(&reader, body, size);
  json_end(&reader);
  bool ok = true;
  if (json_next(&reader) == JSON_OBJECT_BEGIN) {
    ok = read_members(&reader, out);
    if (reader.fault != JSON_FAULT_NONE) token_response_clear(out);
    out->is_object = reader.fault == JSON_FAULT_NONE;
  }
  out->cut_short = size > 0 && reader.fault == JSON_FAULT_CUT_SHORT;
  json_free(&reader);
  return ok;
}

void token_response_clear(struct token_response *answer) {
  secret_free(answer->access_token);
  secret_free(answer->token_type);
  secret_free(answer->refresh_token);
  secret_free(answer->scope);
  secret_free(answer->error);
  *answer = (struct token_response){0};
}
