#include "core/oauth2/token_response.h"

#include <string.h>

#include "core/buffer.h"
#include "core/json.h"
#include "core/syntax.h"

#define MAX_TOKEN_BYTES (64u * 1024)

static bool is_key(const struct json_reader *r, const char *name) {
  return r->size == strlen(name) && memcmp(r->text, name, r->size) == 0;
}

/* Returns where to put the value of the current key, or NULL if it is not a string that is read. */
static char **string_member(const struct json_reader *r, struct token_response *out) {
  if (is_key(r, "access_token")) return &out->access_token;
  if (is_key(r, "token_type")) return &out->token_type;
  if (is_key(r, "refresh_token")) return &out->refresh_token;
  if (is_key(r, "scope")) return &out->scope;
  return is_key(r, "error") ? &out->error : NULL;
}

/* Reads a string, or frees it if the value is not a string or is empty. If a key is repeated, the
 * last value counts. A NUL, at which C strings end, is replaced by another control character: no
 * string of RFC 6749 (appendix A) may contain either. Returns false if out of memory. */
static bool read_string(const struct json_reader *r, enum json_event event, char **string) {
  struct buffer copy = {0};
  secret_free(*string);
  *string = NULL;
  if (event != JSON_STRING || r->size == 0) return true;
  buffer_append(&copy, r->text, r->size);
  for (size_t i = 0; i < copy.size; i++) {
    if (copy.data[i] == '\0') copy.data[i] = '\1';
  }
  *string = copy.data;
  return !copy.failed;
}

static bool read_number(const struct json_reader *r, enum json_event event, double *number) {
  if (event != JSON_INTEGER && event != JSON_DOUBLE) return false;
  *number = event == JSON_INTEGER ? (double)r->integer : r->number;
  return true;
}

/* Reads expires_in, which some servers send as a string. Returns false if it is not a number either
 * way. */
static bool read_expires_in(const struct json_reader *r, enum json_event event, double *seconds) {
  if (event != JSON_STRING) return read_number(r, event, seconds);
  struct json_reader string;
  json_init(&string, 0, 0);
  json_feed(&string, r->text, r->size);
  json_end(&string);
  bool found = read_number(&string, json_next(&string), seconds) && json_next(&string) == JSON_END;
  json_free(&string);
  return found;
}

/* Reads the members of the object that has begun, but not those of nested values. Returns false if
 * out of memory. */
__attribute__((nonnull)) static bool read_members(struct json_reader *r,
                                                  struct token_response *out) {
  char **string = NULL;
  bool is_expires_in = false, ok = true;
  enum json_event event;
  while (ok && (event = json_next(r)) > JSON_NEED_MORE) {
    bool is_container = event == JSON_ARRAY_BEGIN || event == JSON_OBJECT_BEGIN;
    if (event == JSON_ARRAY_END || event == JSON_OBJECT_END) continue;
    if (json_depth(r) != (is_container ? 2 : 1)) continue;
    if (event == JSON_KEY) {
      string = string_member(r, out);
      is_expires_in = is_key(r, "expires_in");
    } else if (string != NULL) {
      ok = read_string(r, event, string);
    } else if (is_expires_in) {
      out->has_expires_in = read_expires_in(r, event, &out->expires_in);
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

bool token_response_has_error(const struct token_response *response, const char *code) {
  return response->error != NULL && strcmp(response->error, code) == 0;
}

bool token_response_is_too_long(const char *token) {
  return token != NULL && strlen(token) > MAX_TOKEN_BYTES;
}

const char *token_response_fault(const struct token_response *response) {
  if (response->cut_short) return "the response is cut short";
  if (!response->is_object) return "the response is not a JSON object";
  if (response->access_token == NULL) return "the response has no access_token";
  if (token_response_is_too_long(response->access_token))
    return "the access_token is longer than 64 KB";
  if (token_response_is_too_long(response->refresh_token))
    return "the refresh_token is longer than 64 KB";
  if (!syntax_is_bearer_token(response->access_token))
    return "the access_token is empty or has characters that a header cannot carry";
  if (response->token_type != NULL && !syntax_is_same(response->token_type, "bearer", SIZE_MAX))
    return "the token_type is not Bearer";
  return NULL;
}

void token_response_clear(struct token_response *response) {
  secret_free(response->access_token);
  secret_free(response->token_type);
  secret_free(response->refresh_token);
  secret_free(response->scope);
  secret_free(response->error);
  *response = (struct token_response){0};
}
