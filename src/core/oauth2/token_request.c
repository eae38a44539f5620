#include "core/oauth2/token_request.h"

#include <string.h>

static bool has_client_secret(const struct token_request_options *options) {
  return options->client_id != NULL && options->client_secret != NULL;
}

/* ---- requests ---- */

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
  /* Without a scope, a refresh asks for the one that was granted (RFC 6749, section 6), which may
   * be less. */
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
      .url = token_requester_url(requester),
      .authorization = requester->style.in_body ? NULL : requester->basic,
      .content_type = json ? "application/json" : "application/x-www-form-urlencoded",
      .body = body->data,
      .body_size = body->size,
      .loopback = options->loopback,
      /* libcurl may send a request over a reused connection twice, but a server may accept a
       * refresh token only once, and count wrong passwords. */
      .fresh_connection = true,
      /* With libcurl's HTTP/2, a response can be lost that arrives before all of the body was
       * sent. */
      .http_1_1 = true,
  };
  return !body->failed;
}

const char *token_requester_url(const struct token_requester *requester) {
  return requester->options.endpoints[requester->style.endpoint].url;
}

/* ---- auth style: what a response says ---- */

/* Whether the server objects to the format of the request, not to the credentials or the grant. */
static bool is_invalid_request(const struct response *response,
                               const struct token_response *token_response) {
  if (token_response->error != NULL)
    return token_response_has_error(token_response, "invalid_request");
  return response->status == 400 || response->status == 422;
}

/* Whether the client may have been refused because its credentials were not in the body. With the
 * password grant, a 401 counts only with RFC 6749's "invalid_client": otherwise it may mean a wrong
 * password, and sending that again would be another failed login. */
static bool wants_client_in_body(const struct token_requester *requester,
                                 const struct response *response,
                                 const struct token_response *token_response) {
  const struct token_request_options *options = &requester->options;
  if (options->client_auth != CLIENT_AUTH_AUTO) return false;
  if (requester->style.in_body || !has_client_secret(options)) return false;
  if (token_response_has_error(token_response, "invalid_client")) return true;
  if (is_invalid_request(response, token_response))
    return response_contains(response, "client_") && !response_contains(response, "grant_type");
  return token_response->error == NULL && response->status == 401 && options->username == NULL;
}

/* Whether the body says that a parameter is missing, or which encoding the server reads. */
static bool is_about_encoding(const struct response *response) {
  static const char *const words[] = {"grant_type", "required", "parse", "JSON", "json"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (response_contains(response, words[i])) return true;
  }
  return false;
}

/* Whether the server may have been unable to read the encoding of the body, and the options allow
 * the other one. With the password grant, a 400 or 422 without an OAuth error code counts only if
 * its body is about the encoding: otherwise it may mean a wrong password. */
static bool may_be_unread(const struct token_requester *requester, const struct response *response,
                          const struct token_response *token_response) {
  if (requester->options.encoding != ENCODING_AUTO) return false;
  if (response->status == 415) return true;
  if (token_response_has_error(token_response, "unsupported_grant_type")) return true;
  if (!is_invalid_request(response, token_response)) return false;
  return token_response->error != NULL || requester->options.username == NULL ||
         is_about_encoding(response);
}

/* Whether the response of an endpoint that has read the request may mean that another endpoint
 * grants the token: it is a 4xx status that neither judges the credentials nor asks to wait. */
static bool is_wrong_endpoint(const struct token_requester *requester,
                              const struct response *response,
                              const struct token_response *token_response) {
  if (requester->options.endpoint_count == 1) return false;
  switch (response->status) {
  case 401:
  case 407:
  case 408:
  case 429: return false;
  default: break;
  }
  return !token_response_has_error(token_response, "invalid_client") &&
         !token_response_has_error(token_response, "invalid_scope");
}

/* ---- auth style: changes ---- */

/* A detection changes the style at most this often, and so sends at most one request more. */
#define MAX_CHANGES 4

static struct auth_style initial_style(const struct token_requester *requester, unsigned endpoint) {
  const struct token_request_options *options = &requester->options;
  bool json_first = options->endpoints[endpoint].json_first;
  return (struct auth_style){
      .endpoint = endpoint,
      .json =
          options->encoding == ENCODING_JSON || (options->encoding == ENCODING_AUTO && json_first),
      .in_body = options->client_auth == CLIENT_AUTH_BODY,
  };
}

static bool is_same_style(const struct auth_style *a, const struct auth_style *b) {
  return a->endpoint == b->endpoint && a->json == b->json && a->in_body == b->in_body;
}

static bool is_first_style(const struct token_requester *requester) {
  struct auth_style first = initial_style(requester, 0);
  return is_same_style(&requester->style, &first);
}

static void begin_endpoint(struct token_requester *requester, unsigned endpoint) {
  requester->style = initial_style(requester, endpoint);
  requester->confirmed = requester->changed_encoding = false;
}

void token_requester_reset_style(struct token_requester *requester) {
  if (requester->confirmed) {
    requester->failed = requester->style;
    requester->has_failed = true;
  }
  begin_endpoint(requester, 0);
  requester->changes = 0;
}

void token_requester_confirm_style(struct token_requester *requester) {
  requester->confirmed = true;
  requester->has_failed = false;
  requester->changes = 0;
}

void token_requester_use_endpoint(struct token_requester *requester, unsigned endpoint) {
  if (requester->style.endpoint != endpoint) begin_endpoint(requester, endpoint);
}

/* Like token_requester_change_style, for a style that is not confirmed. */
static bool try_next_style(struct token_requester *requester, const struct response *response,
                           const struct token_response *token_response, bool is_refresh) {
  unsigned next = requester->style.endpoint + 1;
  if (requester->changes == MAX_CHANGES) return false;
  if (wants_client_in_body(requester, response, token_response)) {
    requester->style.in_body = true;
  } else if (!requester->changed_encoding && may_be_unread(requester, response, token_response)) {
    requester->style.json = !requester->style.json;
    requester->changed_encoding = true;
  } else if (!is_refresh && next < requester->options.endpoint_count &&
             is_wrong_endpoint(requester, response, token_response)) {
    begin_endpoint(requester, next);
  } else {
    return false;
  }
  requester->changes++;
  return true;
}

bool token_requester_change_style(struct token_requester *requester,
                                  const struct response *response,
                                  const struct token_response *token_response, bool is_refresh) {
  if (response->status < 400 || response->status >= 500) return false;
  /* The server has read the request, and refused the password or the refresh token. */
  if (token_response_has_error(token_response, "invalid_grant")) return false;
  if (requester->confirmed) {
    bool works = !may_be_unread(requester, response, token_response) &&
                 !is_wrong_endpoint(requester, response, token_response);
    if (is_refresh || works) return false;
    bool is_first = is_first_style(requester);
    token_requester_reset_style(requester);
    if (!is_first) {
      requester->changes++;
      return true;
    }
  }
  return try_next_style(requester, response, token_response, is_refresh);
}

/* ---- store ---- */

struct auth_style_names token_requester_name_style(const struct token_requester *requester) {
  const struct auth_style *style = &requester->style;
  if (!requester->confirmed || is_first_style(requester)) return (struct auth_style_names){0};
  return (struct auth_style_names){
      .endpoint = requester->options.endpoints[style->endpoint].name,
      .encoding = style->json ? "json" : "form",
      .client_auth = style->in_body ? "body" : "basic",
  };
}

static bool is_endpoint(const struct token_endpoint *endpoint, const char *name) {
  if (endpoint->name == NULL || name == NULL) return endpoint->name == name;
  return strcmp(endpoint->name, name) == 0;
}

/* Returns the index of the endpoint with this name; endpoint_count if there is none. */
static unsigned find_endpoint(const struct token_request_options *options, const char *name) {
  unsigned i = 0;
  while (i < options->endpoint_count && !is_endpoint(&options->endpoints[i], name))
    i++;
  return i;
}

/* Sets `*flag` to whether `name` is `yes`. Returns false if it is neither `yes` nor `no`. */
static bool read_name(const char *name, const char *no, const char *yes, bool *flag) {
  if (name == NULL) return false;
  *flag = strcmp(name, yes) == 0;
  return *flag || strcmp(name, no) == 0;
}

/* Whether the options would not try this style. */
static bool contradicts_options(const struct token_request_options *options,
                                const struct auth_style *style) {
  return (options->encoding != ENCODING_AUTO &&
          style->json != (options->encoding == ENCODING_JSON)) ||
         (options->client_auth != CLIENT_AUTH_AUTO &&
          style->in_body != (options->client_auth == CLIENT_AUTH_BODY));
}

void token_requester_import_style(struct token_requester *requester,
                                  const struct auth_style_names *names) {
  const struct token_request_options *options = &requester->options;
  struct auth_style style = {.endpoint = find_endpoint(options, names->endpoint)};
  if (requester->confirmed) return;
  if (!read_name(names->encoding, "form", "json", &style.json) ||
      !read_name(names->client_auth, "basic", "body", &style.in_body))
    return;
  if (style.endpoint == options->endpoint_count || contradicts_options(options, &style)) return;
  if (requester->has_failed && is_same_style(&style, &requester->failed)) return;
  requester->style = style;
  requester->confirmed = true;
  requester->changes = 0;
}

unsigned token_requester_find_endpoint(const struct token_requester *requester, const char *name) {
  unsigned endpoint = find_endpoint(&requester->options, name);
  return endpoint < requester->options.endpoint_count ? endpoint : 0;
}

/* ---- lifetime ---- */

/* Appends the client id or secret for HTTP Basic. According to RFC 6749, section 2.3.1, both are
 * form-encoded first, and the server decodes them; but many servers do not decode, and many clients
 * do not encode. So this encodes only the bytes that decoding would change or lose ("%" and "+"), a
 * ":" in the id, which would end it, control characters, and whatever is not ASCII. All other bytes
 * decode to themselves.
 *
 * So a server that decodes can read every id and secret, and a server that does not decode can read
 * those without such bytes, as most are. For the others, CLIENT_AUTH_AUTO tries the body next. */
static void add_for_basic(struct buffer *pair, const char *text, bool is_id) {
  for (; *text != '\0'; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '%' || c == '+' || (c == ':' && is_id) || c < 0x20 || c >= 0x7f) {
      char encoded[3];
      buffer_append(pair, encoded, form_encode(*text, encoded));
    } else {
      buffer_append(pair, text, 1);
    }
  }
}

/* Returns the Authorization value for HTTP Basic (RFC 7617) with client_id and client_secret, to be
 * freed with secret_free. Returns NULL if out of memory. */
static char *basic_authorization(const struct token_request_options *options) {
  struct buffer pair = {0}, value = {0};
  add_for_basic(&pair, options->client_id, true);
  buffer_add(&pair, ":");
  add_for_basic(&pair, options->client_secret, false);
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
