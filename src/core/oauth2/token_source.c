#include "core/oauth2/token_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/fork.h"
#include "core/http/transfer.h"
#include "core/oauth2/redact.h"
#include "core/oauth2/token_response.h"
#include "core/retry.h"
#include "core/syntax.h"

#define MAX_ANSWER_BYTES (1024u * 1024)

/* A token is renewed this long before it expires, or a tenth of its life where that is shorter. */
#define MARGIN_SECONDS 60.0

/* Longer lives are not believed: arithmetic with 1e300 seconds serves nobody. Ten years. */
#define MAX_LIFE_SECONDS 315360000.0

/* Tokens remembered after their use. */
#define PREVIOUS 4

/* How often it is looked elsewhere for a token while one is being fetched. */
#define LOOK_SECONDS 0.5

/* A fetch begins a little later than the call that starts it, and has the same time as a rule: it
 * ends with that call if no more than this is left. */
#define TOGETHER_SECONDS 0.1

/* A token that was in use before: servers still echo it in errors, and stores still have it. */
struct previous {
  char *text;          /* NULL: none */
  unsigned generation; /* of an access token; 0: a refresh token */
  bool refused;        /* not merely replaced */
};

struct token_source {
  const struct token_source_options *options;
  struct transport *transport;
  char *basic; /* the Authorization value that authenticates the client, or NULL */

  char *access_token, *refresh_token;
  char *scope; /* as the server said; NULL: as it was asked for (RFC 6749, 5.1) */
  struct previous previous[PREVIOUS];
  unsigned previous_next;
  unsigned generation;
  double renew_at, expires_at; /* monotonic, wall; infinite where not known */
  bool dirty;                  /* see token_source_take_dirty */

  /* How the server wants its requests, as far as is known. */
  bool json, in_body;
  bool known; /* it has worked like this */

  struct token_fetch *fetch; /* under way, or NULL; this is one of its references */
  struct transfer *transfer; /* under way for it */
  char *sent;                /* the refresh token that this uses, or NULL: the first grant */
  double deadline;           /* of the fetch, monotonic */
  double look_at;            /* see token_source_look_due */
  unsigned forks;            /* fork_count when it began */
  struct event_queue events;
};

/* ---- the token ---- */

static struct previous *find_previous(struct token_source *o, const char *text) {
  for (size_t i = 0; i < PREVIOUS; i++) {
    if (o->previous[i].text != NULL && strcmp(o->previous[i].text, text) == 0)
      return &o->previous[i];
  }
  return NULL;
}

static void forget(struct previous *previous) {
  secret_free(previous->text);
  *previous = (struct previous){0};
}

/* Remembers a token that is not to be used any more, and takes it over; NULL is fine. A second time
 * the same text adds what is new about it. */
static void remember(struct token_source *o, char *text, unsigned generation, bool refused) {
  if (text == NULL) return;
  struct previous *p = find_previous(o, text);
  if (p != NULL) {
    refused = refused || p->refused;
  } else {
    p = &o->previous[o->previous_next++ % PREVIOUS];
  }
  forget(p);
  *p = (struct previous){.text = text, .generation = generation, .refused = refused};
}

/* Puts a token to use, and takes its text over; the one before it is remembered. A text that was in
 * use before is good again. */
static void use_token(struct token_source *o, char **place, char *text) {
  struct previous *again = find_previous(o, text);
  if (again != NULL) forget(again);
  if (*place != NULL && strcmp(*place, text) == 0)
    secret_free(*place);
  else
    remember(o, *place, place == &o->access_token ? o->generation : 0, false);
  *place = text;
}

const char *token_source_token(const struct token_source *o, bool just_fetched,
                               unsigned *generation) {
  *generation = o->generation;
  if (o->options->access_token != NULL) return o->options->access_token;
  if (just_fetched) return o->access_token;
  return clock_monotonic() < o->renew_at ? o->access_token : NULL;
}

bool token_source_expires_at(const struct token_source *o, double *when) {
  *when = o->expires_at;
  return o->access_token != NULL && isfinite(o->expires_at);
}

const char *token_source_scope(const struct token_source *o) {
  return o->scope != NULL ? o->scope : o->options->scope;
}

/* Takes over the text, or NULL. */
static void keep_scope(struct token_source *o, char *scope) {
  secret_free(o->scope);
  o->scope = scope;
}

bool token_source_reject(struct token_source *o, unsigned generation) {
  if (o->options->access_token != NULL) return false;
  if (generation == o->generation) {
    remember(o, o->access_token, generation, true);
    o->access_token = NULL;
    return true;
  }
  for (size_t i = 0; i < PREVIOUS; i++) {
    if (o->previous[i].generation == generation) o->previous[i].refused = true;
  }
  return true;
}

static void keep_token(struct token_source *o, struct token_response *answer) {
  use_token(o, &o->access_token, answer->access_token);
  answer->access_token = NULL;
  if (answer->refresh_token != NULL) /* else the old one stays valid (RFC 6749, 6) */
    use_token(o, &o->refresh_token, answer->refresh_token);
  answer->refresh_token = NULL;
  keep_scope(o, answer->scope);
  answer->scope = NULL;
  o->generation++;
  o->dirty = true;
  o->renew_at = o->expires_at = INFINITY;
  if (answer->has_expires_in) {
    double life = fmin(fmax(answer->expires_in, 0), MAX_LIFE_SECONDS);
    o->renew_at = clock_monotonic() + life - fmin(MARGIN_SECONDS, life / 10);
    o->expires_at = clock_wall() + life;
  }
}

/* ---- the fetch under way ---- */

static void release(struct token_fetch *fetch) {
  if (--fetch->references > 0) return;
  failure_clear(&fetch->failure);
  free(fetch);
}

static void end_fetch(struct token_source *o) {
  o->fetch->ended = true;
  release(o->fetch);
  o->fetch = NULL;
}

static void record(struct token_source *o, const struct response *r, enum failure_kind error_kind) {
  struct event event = {
      .for_token = true,
      .method = "POST",
      .url = (char *)o->options->token_url,
      .status = r->status,
      .attempt = o->fetch->requests,
      .seconds = r->seconds,
      .bytes = r->bytes,
      .error_kind = error_kind,
  };
  event_add(&o->events, &event);
}

static void end_request(struct token_source *o, enum failure_kind error_kind) {
  record(o, transfer_progress(o->transfer), error_kind);
  transfer_free(o->transfer);
  o->transfer = NULL;
  secret_free(o->sent);
  o->sent = NULL;
}

/* Ends the fetch without an outcome; `reason` is what on_event is told. */
static void abandon(struct token_source *o, enum failure_kind reason) {
  failure_set(&o->fetch->failure, FAILURE_TIMEOUT, "no token from token_url %.600s within %g s",
              o->options->token_url, o->options->timeout);
  o->fetch->failure.retryable = true;
  o->fetch->abandoned = true;
  if (o->transfer != NULL) end_request(o, reason);
  end_fetch(o);
}

bool token_source_is_fetching(const struct token_source *o) {
  return o->fetch != NULL;
}

double token_source_due(const struct token_source *o) {
  return o->fetch != NULL ? o->deadline : INFINITY;
}

double token_source_look_due(const struct token_source *o) {
  return o->fetch != NULL ? o->look_at : INFINITY;
}

void token_source_postpone_look(struct token_source *o) {
  o->look_at = clock_monotonic() + LOOK_SECONDS;
}

/* ---- tokens that are shared with others ---- */

/* Copies a text, and puts it to use. False when memory is short. */
static bool import_text(struct token_source *o, char **place, const char *text) {
  char *copy = text_copy(text);
  if (copy == NULL) return false;
  use_token(o, place, copy);
  return true;
}

/* What was replaced here is older than what has replaced it, but better than nothing. */
static bool is_refresh_token_wanted(struct token_source *o, const char *text) {
  if (text == NULL) return false;
  const struct previous *p = find_previous(o, text);
  return p == NULL || (!p->refused && o->refresh_token == NULL);
}

static bool was_refused(struct token_source *o, const char *text) {
  const struct previous *p = find_previous(o, text);
  return p != NULL && p->refused;
}

bool token_source_import(struct token_source *o, const struct stored_token *token) {
  unsigned generation;
  if (token_source_token(o, false, &generation) != NULL) return true; /* fetched meanwhile */
  if (token->access_token == NULL || !syntax_is_bearer_token(token->access_token)) return false;
  if (is_refresh_token_wanted(o, token->refresh_token) &&
      !import_text(o, &o->refresh_token, token->refresh_token))
    return false;
  double life = fmin(token->renew_at, token->expires_at) - clock_wall();
  if (!(life > 0) || was_refused(o, token->access_token)) return false;
  if (!import_text(o, &o->access_token, token->access_token)) return false;
  keep_scope(o, NULL);
  o->generation++;
  o->dirty = false;
  o->renew_at = clock_monotonic() + life;
  o->expires_at = token->expires_at;
  if (o->fetch != NULL) abandon(o, FAILURE_TIMEOUT);
  return true;
}

bool token_source_is_dirty(const struct token_source *o) {
  return o->dirty && o->access_token != NULL;
}

bool token_source_take_dirty(struct token_source *o, struct stored_token *out) {
  if (!token_source_is_dirty(o)) return false;
  o->dirty = false;
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

static void add_grant(struct token_source *o, struct parameters *p) {
  const struct token_source_options *options = o->options;
  if (o->sent != NULL) {
    add_parameter(p, "grant_type", "refresh_token");
    add_parameter(p, "refresh_token", o->sent);
  } else if (options->username != NULL) {
    add_parameter(p, "grant_type", "password");
    add_parameter(p, "username", options->username);
    add_parameter(p, "password", options->password);
  } else {
    add_parameter(p, "grant_type", "client_credentials");
  }
  add_parameter(p, "scope", options->scope);
}

static bool has_secret(const struct token_source *o) {
  return o->options->client_id != NULL && o->options->client_secret != NULL;
}

/* What is asked for a token with, but the grant itself: the client's credentials, if they belong in
 * the body. */
static void add_client(struct token_source *o, struct parameters *p) {
  if (has_secret(o) && !o->in_body) return;
  add_parameter(p, "client_id", o->options->client_id); /* without a secret, it says who it is */
  add_parameter(p, "client_secret", o->options->client_secret);
}

/* Sends a request for a token: with the refresh token, if there is one. Without a transfer after
 * it, memory is short, as the fetch's failure says. */
static void start_request(struct token_source *o) {
  struct parameters p = {.json = o->json};
  o->sent = text_copy(o->refresh_token);
  bool copied = o->sent != NULL || o->refresh_token == NULL;
  add_grant(o, &p);
  add_client(o, &p);
  if (p.json) buffer_add(&p.text, "}");
  struct request request = {
      .url = o->options->token_url,
      .authorization = o->in_body ? NULL : o->basic,
      .content_type = p.json ? "application/json" : "application/x-www-form-urlencoded",
      .body = p.text.data,
      .body_size = p.text.size,
      .max_response_bytes = MAX_ANSWER_BYTES,
      .loopback = o->options->loopback,
      .fresh_connection = o->sent != NULL, /* a server may take a refresh token only once */
      .deadline = o->deadline,
  };
  if (copied && !p.text.failed) o->transfer = transfer_start(o->transport, &request);
  buffer_free(&p.text);
  if (o->transfer != NULL) {
    o->fetch->requests++;
    return;
  }
  secret_free(o->sent);
  o->sent = NULL;
  failure_set(&o->fetch->failure, FAILURE_MEMORY, "out of memory while asking for a token");
}

/* In a forked child, a fetch of its parent's has no connection. True if there was one. */
static bool abandon_parents_fetch(struct token_source *o) {
  if (o->fetch == NULL || o->forks == fork_count()) return false;
  abandon(o, FAILURE_NETWORK);
  return true;
}

struct token_fetch *token_source_join(struct token_source *o) {
  abandon_parents_fetch(o);
  struct token_fetch *fetch = o->fetch;
  if (fetch != NULL) {
    fetch->references++;
    return fetch;
  }
  fetch = calloc(1, sizeof *fetch);
  if (fetch == NULL) return NULL;
  fetch->references = 1;
  o->fetch = fetch;
  o->forks = fork_count();
  o->deadline = clock_monotonic() + o->options->timeout;
  token_source_postpone_look(o);
  start_request(o);
  if (o->transfer != NULL) {
    fetch->references++; /* ours, until it ends */
  } else {
    fetch->ended = true;
    o->fetch = NULL;
  }
  return fetch;
}

/* Whether a fetch ends because somebody leaves who has waited for it. */
static bool ends_with(const struct token_source *o, const struct token_fetch *fetch,
                      enum failure_kind reason) {
  if (fetch->ended) return false;
  if (reason == FAILURE_CLOSED) return true;
  bool is_last = fetch->references == 2;
  return reason == FAILURE_TIMEOUT && is_last && o->deadline - clock_monotonic() < TOGETHER_SECONDS;
}

void token_source_leave(struct token_source *o, struct token_fetch *fetch,
                        enum failure_kind reason) {
  if (ends_with(o, fetch, reason)) abandon(o, reason);
  release(fetch);
}

/* ---- how the server wants it ---- */

static void forget_style(struct token_source *o) {
  o->json = o->options->encoding == ENCODING_JSON;
  o->in_body = o->options->client_auth == CLIENT_AUTH_BODY;
  o->known = false;
}

static bool is_error(const struct token_response *answer, const char *code) {
  return answer->error != NULL && strcmp(answer->error, code) == 0;
}

static bool mentions(const struct response *r, const char *word) {
  return r->body.data != NULL && strstr(r->body.data, word) != NULL;
}

/* An answer that finds the request itself wanting, and not what it asks for. */
static bool complains_of_request(const struct response *r, const struct token_response *answer) {
  if (answer->error != NULL) return is_error(answer, "invalid_request");
  return r->status == 400 || r->status == 422;
}

/* The client was refused for where it put its credentials, or may have been. Where a person's
 * password is at stake, only RFC 6749's own word for it counts: a bare 401 may mean the password,
 * and another try would be another wrong one. */
static bool wants_client_in_body(const struct token_source *o, const struct response *r,
                                 const struct token_response *answer) {
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
static bool wants_json(const struct token_source *o, const struct response *r,
                       const struct token_response *answer) {
  if (o->options->encoding != ENCODING_AUTO || o->json) return false;
  if (r->status == 415 || is_error(answer, "unsupported_grant_type")) return true;
  if (!complains_of_request(r, answer)) return false;
  return answer->error != NULL || o->options->username == NULL || names_the_form(r);
}

/* Changes the form of the next request according to the refusal. False when no form is left, or
 * none would help; each form is tried once, since neither change is taken back. */
static bool change_style(struct token_source *o, const struct response *r,
                         const struct token_response *answer) {
  if (o->known || r->status < 400 || r->status >= 500) return false;
  if (wants_client_in_body(o, r, answer)) return o->in_body = true;
  if (wants_json(o, r, answer)) return o->json = true;
  return false;
}

/* ---- answers ---- */

/* What is wrong with a successful answer, or NULL. */
static const char *check_answer(const struct token_response *answer) {
  if (answer->cut_short) return "the answer is cut short";
  if (!answer->is_object) return "the answer is not a JSON object";
  if (answer->access_token == NULL) return "the answer holds no access_token";
  if (!syntax_is_bearer_token(answer->access_token))
    return "the access_token is empty or has characters that a header cannot carry";
  if (answer->token_type != NULL && strcasecmp(answer->token_type, "bearer") != 0)
    return "the token_type is not Bearer";
  return NULL;
}

static const char *advice(const struct token_source *o, const struct response *r,
                          const struct token_response *answer) {
  if (is_error(answer, "invalid_grant") && o->options->username != NULL)
    return " (check username and password)";
  if (r->status >= 500 || retry_is_worthwhile(r->status)) return "";
  return o->options->username != NULL
             ? " (check the credentials, and token_url if they belong to another endpoint)"
             : " (check client_id and client_secret, and token_url if they belong to another "
               "endpoint)";
}

static void describe_redirect(struct token_source *o, const struct response *r) {
  struct buffer target = {0};
  token_source_redact(o, r->redirect != NULL ? r->redirect : "nowhere", &target);
  failure_set(&o->fetch->failure, FAILURE_HTTP,
              "token_url %.400s answered HTTP %ld, a redirect to %.400s, which is not followed",
              o->options->token_url, r->status, target.data != NULL ? target.data : "?");
  buffer_free(&target);
}

/* What the server says itself lies in the body, and is left to the binding. */
static void fail_with_answer(struct token_source *o, struct response *r,
                             struct token_response *answer) {
  struct failure *f = &o->fetch->failure;
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
  remember(o, answer->access_token, 0, false);  /* so may this one: it is to be redacted */
  remember(o, answer->refresh_token, 0, false);
  answer->access_token = answer->refresh_token = NULL;
  f->body = r->body;
  r->body = (struct buffer){0};
}

/* Nothing whole came back. */
static void fail_with_transport(struct token_source *o, const struct response *r) {
  struct failure *f = &o->fetch->failure;
  failure_set(f, r->failure.kind, "no token from token_url %.400s: %.400s", o->options->token_url,
              r->failure.message);
  f->retryable = r->failure.retryable;
  f->status = r->status;
}

/* A refresh token that gave no token is dropped, and the first grant is used, or another refresh
 * token that has been imported meanwhile. */
static bool fall_back(struct token_source *o, const struct response *r,
                      const struct token_response *answer) {
  if (o->sent == NULL) return false;
  if (retry_is_worthwhile(r->status) && !is_error(answer, "invalid_grant")) return false;
  if (o->refresh_token != NULL && strcmp(o->refresh_token, o->sent) == 0) {
    secret_free(o->refresh_token);
    o->refresh_token = NULL;
  }
  remember(o, o->sent, 0, true);
  o->sent = NULL;
  return true;
}

/* Does what the answer asks for; true when another request is to be made. */
static bool handle_answer(struct token_source *o, struct response *r,
                          struct token_response *answer) {
  bool success = response_is_success(r) && answer->error == NULL;
  if (success && check_answer(answer) == NULL) {
    keep_token(o, answer);
    o->known = true;
    return false;
  }
  if (!is_error(answer, "invalid_grant") && change_style(o, r, answer)) return true;
  if (fall_back(o, r, answer)) return true;
  fail_with_answer(o, r, answer);
  if (is_error(answer, "invalid_grant"))
    o->known = true; /* it was read, and the client accepted */
  else if (!o->fetch->failure.retryable)
    forget_style(o);
  return false;
}

/* What the transfer by itself has come to, for on_event. */
static enum failure_kind kind_of(const struct response *r, bool got_token) {
  if (r->failure.kind != FAILURE_NONE) return r->failure.kind;
  if (got_token) return FAILURE_NONE;
  return response_is_redirect(r) ? FAILURE_HTTP : FAILURE_AUTH;
}

/* Does what the transfer's end asks for; true when another request is to be made. */
static bool conclude(struct token_source *o, struct response *r) {
  bool again = false;
  struct token_response answer = {0};
  if (r->failure.kind != FAILURE_NONE)
    fail_with_transport(o, r);
  else if (token_response_read(r->body.data, r->body.size, &answer))
    again = handle_answer(o, r, &answer);
  else
    failure_set(&o->fetch->failure, FAILURE_MEMORY, "out of memory while reading a token");
  token_response_clear(&answer);
  return again;
}

/* Does what the end of the transfer asks for: sends another request, or ends the fetch. */
static void handle_response(struct token_source *o, struct response *r, bool is_late) {
  unsigned generation = o->generation;
  bool again = conclude(o, r);
  end_request(o, kind_of(r, o->generation != generation));
  if (again && is_late)
    abandon(o, FAILURE_TIMEOUT);
  else if (again)
    start_request(o);
  if (o->fetch != NULL && o->transfer == NULL) end_fetch(o);
}

bool token_source_run(struct token_source *o) {
  if (abandon_parents_fetch(o)) return true;
  if (o->fetch == NULL) return false;
  bool is_late = clock_monotonic() >= o->deadline;
  struct response *r = transfer_response(o->transfer);
  if (is_late && (r == NULL || r->failure.kind == FAILURE_TIMEOUT))
    abandon(o, FAILURE_TIMEOUT);
  else if (r != NULL)
    handle_response(o, r, is_late);
  else
    return false;
  return true;
}

bool token_source_is_ready(const struct token_source *o, const struct token_fetch *fetch) {
  return fetch->ended || clock_monotonic() >= o->deadline || transfer_response(o->transfer) != NULL;
}

struct event_queue *token_source_events(struct token_source *o) {
  return &o->events;
}

/* ---- the object ---- */

/* "Basic" credentials with id and secret form-encoded first (RFC 6749, 2.3.1; RFC 7617). */
static char *basic_credentials(const struct token_source_options *options) {
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

struct token_source *token_source_new(const struct token_source_options *options,
                                      struct transport *transport) {
  struct token_source *o = calloc(1, sizeof *o);
  if (o == NULL) return NULL;
  o->options = options;
  o->transport = transport;
  o->events.recording = options->record_events;
  forget_style(o);
  if (!has_secret(o)) return o;
  o->basic = basic_credentials(options);
  if (o->basic != NULL) return o;
  token_source_free(o);
  return NULL;
}

void token_source_free(struct token_source *o) {
  if (o == NULL) return;
  if (o->fetch != NULL) abandon(o, FAILURE_CLOSED);
  secret_free(o->basic);
  secret_free(o->access_token);
  secret_free(o->refresh_token);
  secret_free(o->scope);
  for (size_t i = 0; i < PREVIOUS; i++)
    forget(&o->previous[i]);
  event_clear(&o->events);
  free(o);
}

#define SECRETS_MAX (7 + PREVIOUS + PROXY_SECRETS_MAX)
_Static_assert(SECRETS_MAX <= REDACT_SECRETS_MAX, "more than redact_find takes");

static void list_secrets(const struct token_source *o, const char *secrets[SECRETS_MAX]) {
  size_t count = 0;
  secrets[count++] = o->options->client_secret;
  secrets[count++] = o->options->password;
  secrets[count++] = o->options->access_token;
  secrets[count++] = o->access_token;
  secrets[count++] = o->refresh_token;
  secrets[count++] = o->sent;
  secrets[count++] = o->basic == NULL ? NULL : o->basic + sizeof "Basic " - 1;
  for (size_t i = 0; i < PREVIOUS; i++)
    secrets[count++] = o->previous[i].text;
  for (size_t i = 0; i < PROXY_SECRETS_MAX; i++)
    secrets[count++] = o->options->proxy_secrets->texts[i];
}

bool token_source_find_secret(const struct token_source *o, const char *text, size_t size,
                              size_t *start, size_t *length) {
  const char *secrets[SECRETS_MAX];
  list_secrets(o, secrets);
  return redact_find(secrets, SECRETS_MAX, text, size, start, length);
}

bool token_source_is_secret_number(const struct token_source *o, double number) {
  const char *secrets[SECRETS_MAX];
  list_secrets(o, secrets);
  return redact_is_number(secrets, SECRETS_MAX, number);
}

void token_source_redact(const struct token_source *o, const char *text, struct buffer *out) {
  size_t start, length;
  while (token_source_find_secret(o, text, strlen(text), &start, &length)) {
    buffer_append(out, text, start);
    buffer_add(out, REDACTED);
    text += start + length;
  }
  buffer_add(out, text);
}
