#include "core/oauth2/token_request.h"

#include <string.h>

static bool has_client_secret(const struct token_request_options *options) {
  return options->client_id != NULL && options->client_secret != NULL;
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void add_parameter(struct buffer *body, bool json, const char *name, const char *value) {
  if (value == NULL) return;
  bool is_first = body->size == 0;
  if (json) {
    buffer_add(body, is_first ? "{" : ",");
    buffer_add_json_string(body, name);
    buffer_add(body, ":");
    buffer_add_json_string(body, value);
  } else {
    if (!is_first) buffer_add(body, "&");
    buffer_add(body, name);
    buffer_add(body, "=");
    buffer_add_form_encoded(body, value, strlen(value));
  }
}

static void add_grant(struct buffer *body, bool json, const struct token_request_options *options,
                      const char *refresh_token) {
  if (refresh_token != NULL) {
    add_parameter(body, json, "grant_type", "refresh_token");
    add_parameter(body, json, "refresh_token", refresh_token);
  } else if (options->username != NULL) {
    add_parameter(body, json, "grant_type", "password");
    add_parameter(body, json, "username", options->username);
    add_parameter(body, json, "password", options->password);
  } else {
    add_parameter(body, json, "grant_type", "client_credentials");
  }
  /* A refresh asks for the scope that was granted (RFC 6749, section 6), which may be less. */
  if (refresh_token == NULL) add_parameter(body, json, "scope", options->scope);
}

/* A client without a secret still identifies itself by its client_id (RFC 6749, section 3.2.1). */
static void add_client(struct buffer *body, const struct token_requester *requester) {
  const struct token_request_options *options = &requester->options;
  if (has_client_secret(options) && !requester->style.in_body) return;
  add_parameter(body, requester->style.json, "client_id", options->client_id);
  add_parameter(body, requester->style.json, "client_secret", options->client_secret);
}

bool token_request_build(const struct token_requester *requester, const char *refresh_token,
                         struct buffer *body, struct request *request) {
  const struct token_request_options *options = &requester->options;
  bool json = requester->style.json;
  add_grant(body, json, options, refresh_token);
  add_client(body, requester);
  if (json) buffer_add(body, "}");
  *request = (struct request){
      .url = options->token_url,
      .authorization = requester->style.in_body ? NULL : requester->basic,
      .content_type = json ? "application/json" : "application/x-www-form-urlencoded",
      .body = body->data,
      .body_size = body->size,
      .loopback = options->loopback,
      /* libcurl may send a request on a kept connection twice: a server may accept a refresh token
       * once only, and count wrong passwords. */
      .fresh_connection = true,
  };
  return !body->failed;
}

/* ---- Auth style ------------------------------------------------------------------------------ */

void token_requester_reset_style(struct token_requester *requester) {
  requester->style = (struct auth_style){
      .json = requester->options.encoding == ENCODING_JSON,
      .in_body = requester->options.client_auth == CLIENT_AUTH_BODY,
  };
}

void token_requester_confirm_style(struct token_requester *requester) {
  requester->style.confirmed = true;
}

static bool body_contains(const struct response *response, const char *word) {
  return response->body.data != NULL && strstr(response->body.data, word) != NULL;
}

/* Whether the server objects to the request's form, not to the credentials or the grant. */
static bool is_invalid_request(const struct response *response,
                               const struct token_response *token_response) {
  if (token_response->error != NULL)
    return token_response_has_error(token_response, "invalid_request");
  return response->status == 400 || response->status == 422;
}

/* Whether the client may have been refused because its credentials were not in the body. With the
 * password grant, a 401 without RFC 6749's "invalid_client" does not count: it may mean a wrong
 * password, and sending that again would be another failed login. */
static bool wants_client_in_body(const struct token_requester *requester,
                                 const struct response *response,
                                 const struct token_response *token_response) {
  const struct token_request_options *options = &requester->options;
  if (options->client_auth != CLIENT_AUTH_AUTO) return false;
  if (requester->style.in_body || !has_client_secret(options)) return false;
  if (token_response_has_error(token_response, "invalid_client")) return true;
  if (is_invalid_request(response, token_response))
    return body_contains(response, "client_") && !body_contains(response, "grant_type");
  return token_response->error == NULL && response->status == 401 && options->username == NULL;
}

/* Whether the body says that a parameter is missing, or which encoding the server reads. */
static bool is_about_encoding(const struct response *response) {
  static const char *const words[] = {"grant_type", "required", "parse", "JSON", "json"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (body_contains(response, words[i])) return true;
  }
  return false;
}

/* Whether the server may have been unable to read the form. With the password grant, a 400 or 422
 * without an OAuth2 error code counts only if its body is about the encoding: it may mean a wrong
 * password, too. */
static bool wants_json(const struct token_requester *requester, const struct response *response,
                       const struct token_response *token_response) {
  if (requester->options.encoding != ENCODING_AUTO || requester->style.json) return false;
  if (response->status == 415) return true;
  if (token_response_has_error(token_response, "unsupported_grant_type")) return true;
  if (!is_invalid_request(response, token_response)) return false;
  return token_response->error != NULL || requester->options.username == NULL ||
         is_about_encoding(response);
}

bool token_requester_change_style(struct token_requester *requester,
                                  const struct response *response,
                                  const struct token_response *token_response) {
  struct auth_style *style = &requester->style;
  if (style->confirmed || response->status < 400 || response->status >= 500) return false;
  /* The server has read the request, and refused the password or the refresh token. */
  if (token_response_has_error(token_response, "invalid_grant")) return false;
  if (wants_client_in_body(requester, response, token_response)) return style->in_body = true;
  if (wants_json(requester, response, token_response)) return style->json = true;
  return false;
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

/* HTTP Basic (RFC 7617) with client_id and client_secret form-encoded first (RFC 6749, section
 * 2.3.1). Returns NULL on out of memory. */
static char *basic_authorization(const struct token_request_options *options) {
  struct buffer pair = {0}, value = {0};
  buffer_add_form_encoded(&pair, options->client_id, strlen(options->client_id));
  buffer_add(&pair, ":");
  buffer_add_form_encoded(&pair, options->client_secret, strlen(options->client_secret));
  buffer_add(&value, "Basic ");
  if (!pair.failed) buffer_add_base64(&value, pair.data, pair.size);
  bool failed = pair.failed || value.failed;
  buffer_free(&pair);
  if (failed) buffer_free(&value);
  return value.data;
}

bool token_requester_init(struct token_requester *requester,
                          const struct token_request_options *options) {
  *requester = (struct token_requester){.options = *options};
  token_requester_reset_style(requester);
  if (!has_client_secret(options)) return true;
  requester->basic = basic_authorization(options);
  return requester->basic != NULL;
}

bool token_requester_set_secrets(struct token_requester *requester, const char *client_secret,
                                 const char *password, char **old_basic) {
  struct token_request_options options = requester->options;
  options.client_secret = client_secret;
  options.password = password;
  char *basic = has_client_secret(&options) ? basic_authorization(&options) : NULL;
  *old_basic = NULL;
  if (basic == NULL && has_client_secret(&options)) return false;
  requester->options = options;
  if (basic != NULL && requester->basic != NULL && strcmp(basic, requester->basic) == 0) {
    secret_free(basic);
  } else {
    *old_basic = requester->basic;
    requester->basic = basic;
  }
  return true;
}

void token_requester_clear(struct token_requester *requester) {
  secret_free(requester->basic);
  requester->basic = NULL;
}
