#include "core/oauth2.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/redact.h"
#include "core/retry.h"
#include "core/syntax.h"
#include "core/token_answer.h"

#define MAX_ANSWER_BYTES (1024u * 1024)

/* A token is renewed this long before it expires, or a tenth of its life where that is shorter. */
#define MARGIN_SECONDS 60.0

/* Longer lives are not believed: arithmetic with 1e300 seconds serves nobody. Ten years. */
#define MAX_LIFE_SECONDS 315360000.0

/* Tokens remembered after their use. */
#define RETIRED 4

struct oauth2 {
  const struct oauth2_options *options;
  struct transport *transport;
  char *basic; /* the Authorization value that authenticates the client, or NULL */

  char *access_token, *refresh_token;
  char *scope;            /* as the server said; NULL: as it was asked for (RFC 6749, 5.1) */
  char *retired[RETIRED]; /* tokens before: servers still echo them in errors */
  unsigned retired_next;
  unsigned generation;
  double renew_at, expires_at; /* monotonic, wall; infinite where not known */
  bool unstored;               /* see oauth2_take_unstored */

  /* How the server wants its requests, as far as is known. */
  bool json, in_body;
  bool known; /* it has worked like this */

  unsigned waiting;
  struct exchange *exchange; /* under way, or NULL */
  bool refreshing;           /* what is under way uses the refresh token */
  unsigned requests;         /* made for the last fetch */
  unsigned started, ended;   /* fetches; equal, or one is under way */
  struct failure failure;    /* of the last fetch that has ended */
  struct event_queue events;
};

/* ---- the token ---- */

/* Puts away a token that is not to be used any more, if there is one. */
static void retire_token(struct oauth2 *o, char **token) {
  if (*token == NULL) return;
  char **place = &o->retired[o->retired_next++ % RETIRED];
  secret_free(*place);
  *place = *token;
  *token = NULL;
}

const char *oauth2_token(const struct oauth2 *o, bool just_fetched, unsigned *generation) {
  *generation = o->generation;
  if (o->options->access_token != NULL) return o->options->access_token;
  if (just_fetched) return o->access_token;
  return clock_monotonic() < o->renew_at ? o->access_token : NULL;
}

bool oauth2_expires_at(const struct oauth2 *o, double *when) {
  *when = o->expires_at;
  return o->access_token != NULL && isfinite(o->expires_at);
}

const char *oauth2_scope(const struct oauth2 *o) {
  return o->scope != NULL ? o->scope : o->options->scope;
}

/* Takes over the text, or NULL. */
static void keep_scope(struct oauth2 *o, char *scope) {
  secret_free(o->scope);
  o->scope = scope;
}

bool oauth2_reject(struct oauth2 *o, unsigned generation) {
  if (o->options->access_token != NULL) return false;
  if (generation == o->generation) retire_token(o, &o->access_token);
  return true;
}

static void keep_token(struct oauth2 *o, struct token_answer *answer) {
  retire_token(o, &o->access_token);
  o->access_token = answer->access_token;
  answer->access_token = NULL;
  if (answer->refresh_token != NULL) { /* else the old one stays valid (RFC 6749, 6) */
    retire_token(o, &o->refresh_token);
    o->refresh_token = answer->refresh_token;
    answer->refresh_token = NULL;
  }
  keep_scope(o, answer->scope);
  answer->scope = NULL;
  failure_clear(&o->failure);
  o->generation++;
  o->unstored = true;
  o->renew_at = o->expires_at = INFINITY;
  if (answer->has_expires_in) {
    double life = fmin(fmax(answer->expires_in, 0), MAX_LIFE_SECONDS);
    o->renew_at = clock_monotonic() + life - fmin(MARGIN_SECONDS, life / 10);
    o->expires_at = clock_wall() + life;
  }
}

bool oauth2_is_fetching(const struct oauth2 *o) {
  return o->exchange != NULL;
}

static bool is_retired(const struct oauth2 *o, const char *token) {
  for (size_t i = 0; i < RETIRED; i++) {
    if (o->retired[i] != NULL && strcmp(o->retired[i], token) == 0) return true;
  }
  return false;
}

/* Makes `*slot` a copy of the text; what was there is retired. False when memory is short. */
static bool replace_token(struct oauth2 *o, char **slot, const char *text) {
  if (*slot != NULL && strcmp(*slot, text) == 0) return true;
  char *copy = text_copy(text);
  if (copy == NULL) return false;
  retire_token(o, slot);
  *slot = copy;
  return true;
}

enum adoption oauth2_adopt(struct oauth2 *o, const struct stored_token *token) {
  unsigned generation;
  if (oauth2_token(o, false, &generation) != NULL) return ADOPTION_TAKEN; /* fetched meanwhile */
  if (token->access_token == NULL || !syntax_is_bearer_token(token->access_token))
    return ADOPTION_UNFIT;
  if (token->refresh_token != NULL && !is_retired(o, token->refresh_token) &&
      !replace_token(o, &o->refresh_token, token->refresh_token))
    return ADOPTION_NO_MEMORY;
  if (is_retired(o, token->access_token)) return ADOPTION_REFUSED;
  double life = fmin(token->renew_at, token->expires_at) - clock_wall();
  if (!(life > 0)) return ADOPTION_UNFIT;
  if (!replace_token(o, &o->access_token, token->access_token)) return ADOPTION_NO_MEMORY;
  keep_scope(o, NULL);
  o->generation++;
  o->unstored = false;
  o->renew_at = clock_monotonic() + life;
  o->expires_at = token->expires_at;
  return ADOPTION_TAKEN;
}

bool oauth2_has_unstored(const struct oauth2 *o) {
  return o->unstored && o->access_token != NULL;
}

bool oauth2_take_unstored(struct oauth2 *o, struct stored_token *out) {
  if (!oauth2_has_unstored(o)) return false;
  o->unstored = false;
  *out = (struct stored_token){.access_token = o->access_token,
                               .refresh_token = o->refresh_token,
                               .renew_at = clock_wall() + (o->renew_at - clock_monotonic()),
                               .expires_at = o->expires_at};
  return true;
}

/* ---- requests ---- */

/* Parameters of a token request, in either encoding. */
struct parameters {
  bool json;
  struct buffer text;
};

static void add_parameter(struct parameters *p, const char *name, const char *value) {
  if (value == NULL) return;
  bool first = p->text.size == 0;
  if (p->json) {
    buffer_add(&p->text, first ? "{" : ",");
    buffer_add_json_string(&p->text, name);
    buffer_add(&p->text, ":");
    buffer_add_json_string(&p->text, value);
  } else {
    if (!first) buffer_add(&p->text, "&");
    buffer_add(&p->text, name);
    buffer_add(&p->text, "=");
    buffer_add_form_encoded(&p->text, value, strlen(value));
  }
}

static void add_grant(struct oauth2 *o, struct parameters *p) {
  const struct oauth2_options *options = o->options;
  if (o->refreshing) {
    add_parameter(p, "grant_type", "refresh_token");
    add_parameter(p, "refresh_token", o->refresh_token);
  } else if (options->username != NULL) {
    add_parameter(p, "grant_type", "password");
    add_parameter(p, "username", options->username);
    add_parameter(p, "password", options->password);
  } else {
    add_parameter(p, "grant_type", "client_credentials");
  }
  add_parameter(p, "scope", options->scope);
}

static bool has_secret(const struct oauth2 *o) {
  return o->options->client_id != NULL && o->options->client_secret != NULL;
}

static void start_request(struct oauth2 *o) {
  const struct oauth2_options *options = o->options;
  struct parameters p = {.json = o->json};
  add_grant(o, &p);
  if (!has_secret(o) || o->in_body) { /* a client without a secret only identifies itself */
    add_parameter(&p, "client_id", options->client_id);
    add_parameter(&p, "client_secret", options->client_secret);
  }
  if (p.json) buffer_add(&p.text, "}");
  struct request request = {
      .url = options->token_url,
      .authorization = o->in_body ? NULL : o->basic,
      .content_type = p.json ? "application/json" : "application/x-www-form-urlencoded",
      .body = p.text.data,
      .body_size = p.text.size,
      .max_response_bytes = MAX_ANSWER_BYTES,
      .local = options->local,
      .deadline = INFINITY, /* it waits for several calls, and is short */
  };
  if (!p.text.failed) o->exchange = exchange_start(o->transport, &request);
  if (o->exchange == NULL)
    failure_set(&o->failure, FAILURE_MEMORY, "out of memory while asking for a token");
  else
    o->requests++;
  buffer_free(&p.text);
}

unsigned oauth2_join(struct oauth2 *o) {
  o->waiting++;
  if (o->exchange != NULL) return o->started;
  o->started++;
  o->requests = 0;
  o->refreshing = o->refresh_token != NULL;
  start_request(o);
  if (o->exchange == NULL) o->ended = o->started;
  return o->started;
}

static void record(struct oauth2 *o, const struct response *r, enum failure_kind error_kind) {
  struct event event = {
      .for_token = true,
      .method = "POST",
      .url = (char *)o->options->token_url,
      .status = r->status,
      .attempt = o->requests,
      .seconds = r->seconds,
      .bytes = r->bytes,
      .error_kind = error_kind,
  };
  event_add(&o->events, &event);
}

static void end_request(struct oauth2 *o, enum failure_kind error_kind) {
  record(o, exchange_progress(o->exchange), error_kind);
  exchange_free(o->exchange);
  o->exchange = NULL;
}

void oauth2_leave(struct oauth2 *o, enum failure_kind reason) {
  o->waiting--;
  if (o->waiting == 0 && o->exchange != NULL) end_request(o, reason);
}

/* ---- how the server wants it ---- */

static void forget_form(struct oauth2 *o) {
  o->json = o->options->encoding == ENCODING_JSON;
  o->in_body = o->options->client_auth == CLIENT_AUTH_BODY;
  o->known = false;
}

static bool is_error(const struct token_answer *answer, const char *code) {
  return answer->error != NULL && strcmp(answer->error, code) == 0;
}

static bool mentions(const struct response *r, const char *word) {
  return r->body.data != NULL && strstr(r->body.data, word) != NULL;
}

/* An answer that finds the request itself wanting, and not what it asks for. */
static bool complains_of_request(const struct response *r, const struct token_answer *answer) {
  if (answer->error != NULL) return is_error(answer, "invalid_request");
  return r->status == 400 || r->status == 422;
}

/* The client was refused for where it put its credentials, or may have been. Where a person's
 * password is at stake, only RFC 6749's own word for it counts: a bare 401 may mean the password,
 * and another try would be another wrong one. */
static bool wants_client_in_body(const struct oauth2 *o, const struct response *r,
                                 const struct token_answer *answer) {
  if (o->options->client_auth != CLIENT_AUTH_AUTO || o->in_body || !has_secret(o)) return false;
  if (is_error(answer, "invalid_client")) return true;
  if (complains_of_request(r, answer)) return mentions(r, "client_") && !mentions(r, "grant_type");
  return answer->error == NULL && r->status == 401 && o->options->username == NULL;
}

/* Signs that the form was not read, beyond the status: the server misses what it held, or says
 * what it would read. */
static bool names_the_form(const struct response *r) {
  static const char *const words[] = {"grant_type", "required", "parse", "JSON", "json"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (mentions(r, words[i])) return true;
  }
  return false;
}

/* The server could not read the form: it says so (415), or has not seen what the form held. Where a
 * person's password is at stake, an answer has to name the form: it may mean the password. */
static bool wants_json(const struct oauth2 *o, const struct response *r,
                       const struct token_answer *answer) {
  if (o->options->encoding != ENCODING_AUTO || o->json) return false;
  if (r->status == 415 || is_error(answer, "unsupported_grant_type")) return true;
  if (!complains_of_request(r, answer)) return false;
  return answer->error != NULL || o->options->username == NULL || names_the_form(r);
}

/* Changes the form of the next request according to the refusal. False when no form is left, or
 * none would help; each form is tried once, since neither change is taken back. */
static bool change_form(struct oauth2 *o, const struct response *r,
                        const struct token_answer *answer) {
  if (o->known || r->status < 400 || r->status >= 500) return false;
  if (wants_client_in_body(o, r, answer)) return o->in_body = true;
  if (wants_json(o, r, answer)) return o->json = true;
  return false;
}

/* ---- answers ---- */

/* What is wrong with a successful answer, or NULL. */
static const char *check_answer(const struct token_answer *answer) {
  if (answer->cut_short) return "the answer is cut short";
  if (!answer->is_object) return "the answer is not a JSON object";
  if (answer->access_token == NULL) return "the answer holds no access_token";
  if (!syntax_is_bearer_token(answer->access_token))
    return "the access_token is empty or has characters that a header cannot carry";
  if (answer->token_type != NULL && strcasecmp(answer->token_type, "bearer") != 0)
    return "the token_type is not Bearer";
  return NULL;
}

static const char *advice(const struct oauth2 *o, const struct response *r,
                          const struct token_answer *answer) {
  if (is_error(answer, "invalid_grant") && o->options->username != NULL)
    return " (check username and password)";
  if (r->status >= 500 || retry_is_worthwhile(r->status)) return "";
  return o->options->username != NULL
             ? " (check the credentials, and token_url if they belong to another endpoint)"
             : " (check client_id and client_secret, and token_url if they belong to another "
               "endpoint)";
}

static void describe_redirect(struct oauth2 *o, const struct response *r) {
  struct buffer target = {0};
  oauth2_redact(o, r->redirect != NULL ? r->redirect : "nowhere", &target);
  failure_set(&o->failure, FAILURE_HTTP,
              "token_url %.400s answered HTTP %ld, a redirect to %.400s, which is not followed",
              o->options->token_url, r->status, target.data != NULL ? target.data : "?");
  buffer_free(&target);
}

/* What the server says itself lies in the body, and is left to the binding. */
static void fail_with_answer(struct oauth2 *o, struct response *r, struct token_answer *answer) {
  struct failure *f = &o->failure;
  bool success = response_is_success(r);
  if (response_is_redirect(r))
    describe_redirect(o, r);
  else if (success && answer->error == NULL)
    failure_set(f, FAILURE_AUTH, "no token from token_url %.400s: HTTP %ld, but %s",
                o->options->token_url, r->status, check_answer(answer));
  else
    failure_set(f, FAILURE_AUTH, "no token from token_url %.400s: HTTP %ld%s",
                o->options->token_url, r->status, advice(o, r, answer));
  f->status = r->status;
  f->retryable = (retry_is_worthwhile(r->status) && !is_error(answer, "invalid_grant")) ||
                 (success && answer->cut_short);
  f->has_retry_after = r->has_retry_after;
  f->retry_after = r->retry_after;
  if (success && answer->error == NULL) return; /* the body may hold a token */
  retire_token(o, &answer->access_token);       /* so may this one: it is to be redacted */
  retire_token(o, &answer->refresh_token);
  f->body = r->body;
  r->body = (struct buffer){0};
}

/* Nothing whole came back. */
static void fail_with_transport(struct oauth2 *o, const struct response *r) {
  failure_set(&o->failure, r->failure.kind, "no token from token_url %.400s: %.400s",
              o->options->token_url, r->failure.message);
  o->failure.retryable = r->failure.retryable;
  o->failure.status = r->status;
}

/* A refresh token that gave no token is dropped, and the first grant is used. */
static bool fall_back(struct oauth2 *o, const struct response *r,
                      const struct token_answer *answer) {
  if (!o->refreshing) return false;
  if (retry_is_worthwhile(r->status) && !is_error(answer, "invalid_grant")) return false;
  retire_token(o, &o->refresh_token);
  o->refreshing = false;
  return true;
}

/* Does what the answer asks for; true when another request is to be made. */
static bool handle_answer(struct oauth2 *o, struct response *r, struct token_answer *answer) {
  bool success = response_is_success(r) && answer->error == NULL;
  if (success && check_answer(answer) == NULL) {
    keep_token(o, answer);
    o->known = true;
    return false;
  }
  if (!is_error(answer, "invalid_grant") && change_form(o, r, answer)) return true;
  if (fall_back(o, r, answer)) return true;
  fail_with_answer(o, r, answer);
  if (is_error(answer, "invalid_grant"))
    o->known = true; /* it was read, and the client accepted */
  else if (!o->failure.retryable)
    forget_form(o);
  return false;
}

/* What the exchange by itself has come to, for on_event. */
static enum failure_kind kind_of(const struct response *r, bool got_token) {
  if (r->failure.kind != FAILURE_NONE) return r->failure.kind;
  if (got_token) return FAILURE_NONE;
  return response_is_redirect(r) ? FAILURE_HTTP : FAILURE_AUTH;
}

/* Does what the exchange's end asks for; true when another request is to be made. */
static bool conclude(struct oauth2 *o, struct response *r) {
  bool again = false;
  struct token_answer answer = {0};
  if (r->failure.kind != FAILURE_NONE)
    fail_with_transport(o, r);
  else if (token_answer_read(r->body.data, r->body.size, &answer))
    again = handle_answer(o, r, &answer);
  else
    failure_set(&o->failure, FAILURE_MEMORY, "out of memory while reading a token");
  token_answer_clear(&answer);
  return again;
}

bool oauth2_step(struct oauth2 *o, unsigned ticket) {
  struct response *r = o->exchange == NULL ? NULL : exchange_response(o->exchange);
  if (r != NULL) {
    unsigned generation = o->generation;
    bool again = conclude(o, r);
    end_request(o, kind_of(r, o->generation != generation));
    if (again) start_request(o);
    if (o->exchange == NULL) o->ended = o->started;
  }
  return ticket <= o->ended;
}

bool oauth2_is_ready(const struct oauth2 *o, unsigned ticket) {
  return ticket <= o->ended || o->exchange == NULL || exchange_response(o->exchange) != NULL;
}

const struct failure *oauth2_failure(const struct oauth2 *o) {
  return &o->failure;
}

unsigned oauth2_requests(const struct oauth2 *o) {
  return o->requests;
}

struct event_queue *oauth2_events(struct oauth2 *o) {
  return &o->events;
}

/* ---- the object ---- */

/* "Basic" credentials with id and secret form-encoded first (RFC 6749, 2.3.1; RFC 7617). */
static char *basic_credentials(const struct oauth2_options *options) {
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

struct oauth2 *oauth2_new(const struct oauth2_options *options, struct transport *transport) {
  struct oauth2 *o = calloc(1, sizeof *o);
  if (o == NULL) return NULL;
  o->options = options;
  o->transport = transport;
  o->events.recording = options->record_events;
  forget_form(o);
  if (!has_secret(o)) return o;
  o->basic = basic_credentials(options);
  if (o->basic != NULL) return o;
  oauth2_free(o);
  return NULL;
}

void oauth2_free(struct oauth2 *o) {
  if (o == NULL) return;
  exchange_free(o->exchange);
  secret_free(o->basic);
  secret_free(o->access_token);
  secret_free(o->refresh_token);
  secret_free(o->scope);
  for (size_t i = 0; i < RETIRED; i++)
    secret_free(o->retired[i]);
  failure_clear(&o->failure);
  event_clear(&o->events);
  free(o);
}

#define SECRETS_MAX (6 + RETIRED + PROXY_SECRETS_MAX)
_Static_assert(SECRETS_MAX <= REDACT_SECRETS_MAX, "more than redact_find takes");

static void list_secrets(const struct oauth2 *o, const char *secrets[SECRETS_MAX]) {
  size_t count = 0;
  secrets[count++] = o->options->client_secret;
  secrets[count++] = o->options->password;
  secrets[count++] = o->options->access_token;
  secrets[count++] = o->access_token;
  secrets[count++] = o->refresh_token;
  secrets[count++] = o->basic == NULL ? NULL : o->basic + sizeof "Basic " - 1;
  for (size_t i = 0; i < RETIRED; i++)
    secrets[count++] = o->retired[i];
  for (size_t i = 0; i < PROXY_SECRETS_MAX; i++)
    secrets[count++] = o->options->proxy_secrets->texts[i];
}

bool oauth2_find_secret(const struct oauth2 *o, const char *text, size_t size, size_t *start,
                        size_t *length) {
  const char *secrets[SECRETS_MAX];
  list_secrets(o, secrets);
  return redact_find(secrets, SECRETS_MAX, text, size, start, length);
}

bool oauth2_is_secret_number(const struct oauth2 *o, double number) {
  const char *secrets[SECRETS_MAX];
  list_secrets(o, secrets);
  return redact_is_number(secrets, SECRETS_MAX, number);
}

void oauth2_redact(const struct oauth2 *o, const char *text, struct buffer *out) {
  size_t start, length;
  while (oauth2_find_secret(o, text, strlen(text), &start, &length)) {
    buffer_append(out, text, start);
    buffer_add(out, REDACTED);
    text += start + length;
  }
  buffer_add(out, text);
}
