#include "core/oauth2/token_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fork.h"
#include "core/http/transfer.h"
#include "core/oauth2/redact.h"
#include "core/oauth2/token_response.h"
#include "core/retry.h"
#include "core/syntax.h"

#define MAX_RESPONSE_BYTES (1024u * 1024)

/* A token is renewed this long before it expires, or a tenth of its lifetime if that is less. */
#define RENEW_MARGIN_SECONDS 60.0

/* Ten years. Longer lifetimes are reduced to this, so that sums with clock times stay exact. */
#define MAX_LIFETIME_SECONDS 315360000.0

/* How many tokens are remembered after they were replaced or refused. */
#define PREVIOUS_COUNT 4

#define STORE_CHECK_SECONDS 0.5

/* See token_source_leave. A fetch starts a little later than the call that starts it, so its
 * deadline is a little later, too. */
#define LEAVE_MARGIN_SECONDS 0.1

/* A token that was in use before. Servers may still repeat it in error messages, and stores may
 * still contain it. */
struct previous_token {
  char *text;          /* NULL if the entry is empty */
  unsigned generation; /* of an access token; 0 for others */
  bool refused;        /* by the server, not just replaced */
};

struct token_source {
  const struct token_source_options *options;
  struct transport *transport;
  struct token_requester requester;

  char *access_token, *refresh_token;
  char *scope; /* from the token response; NULL if it had none */
  struct previous_token previous[PREVIOUS_COUNT];
  unsigned previous_next; /* modulo PREVIOUS_COUNT, the entry to be overwritten next */
  unsigned generation;
  double renew_at;   /* monotonic; INFINITY if not known */
  double expires_at; /* wall clock; INFINITY if not known */
  bool dirty;        /* see token_source_is_dirty */

  struct token_fetch *fetch; /* in progress, or NULL; holds a reference */
  struct transfer *transfer; /* of the fetch */
  char *refresh_token_sent;  /* with the transfer; NULL if another grant was used */
  double deadline;           /* of the fetch, monotonic */
  double store_check_at;     /* see token_source_store_check_due */
  unsigned fork_count;       /* when the fetch was started */
  struct event_queue events;
};

/* ---- Previous tokens ------------------------------------------------------------------------- */

static struct previous_token *find_previous(struct token_source *s, const char *text) {
  for (size_t i = 0; i < PREVIOUS_COUNT; i++) {
    if (s->previous[i].text != NULL && strcmp(s->previous[i].text, text) == 0)
      return &s->previous[i];
  }
  return NULL;
}

static bool was_refused(struct token_source *s, const char *text) {
  const struct previous_token *p = find_previous(s, text);
  return p != NULL && p->refused;
}

static void forget(struct previous_token *p) {
  secret_free(p->text);
  *p = (struct previous_token){0};
}

/* Takes ownership of a token that is no longer in use. NULL does nothing. A token that is
 * remembered already keeps its entry, and stays refused. */
static void remember(struct token_source *s, char *text, unsigned generation, bool refused) {
  if (text == NULL) return;
  struct previous_token *p = find_previous(s, text);
  if (p != NULL)
    refused = refused || p->refused;
  else
    p = &s->previous[s->previous_next++ % PREVIOUS_COUNT];
  forget(p);
  *p = (struct previous_token){.text = text, .generation = generation, .refused = refused};
}

/* ---- Token ----------------------------------------------------------------------------------- */

const char *token_source_token(const struct token_source *s, bool just_fetched,
                               unsigned *generation) {
  *generation = s->generation;
  if (s->options->access_token != NULL) return s->options->access_token;
  if (just_fetched) return s->access_token;
  return clock_monotonic() < s->renew_at ? s->access_token : NULL;
}

bool token_source_expires_at(const struct token_source *s, double *when) {
  *when = s->expires_at;
  return s->access_token != NULL && isfinite(s->expires_at);
}

const char *token_source_scope(const struct token_source *s) {
  return s->scope != NULL ? s->scope : s->options->scope;
}

bool token_source_reject(struct token_source *s, unsigned generation) {
  if (s->options->access_token != NULL) return false;
  if (generation == s->generation) {
    remember(s, s->access_token, generation, true);
    s->access_token = NULL;
    return true;
  }
  for (size_t i = 0; i < PREVIOUS_COUNT; i++) {
    if (s->previous[i].generation == generation) s->previous[i].refused = true;
  }
  return true;
}

/* Takes ownership of `text` as the new value of `*token`, which is s->access_token or
 * s->refresh_token, and remembers the old one. If the server has issued a previous token again, it
 * counts as new. */
static void replace_token(struct token_source *s, char **token, char *text) {
  struct previous_token *p = find_previous(s, text);
  if (p != NULL) forget(p);
  if (*token != NULL && strcmp(*token, text) == 0)
    secret_free(*token);
  else
    remember(s, *token, token == &s->access_token ? s->generation : 0, false);
  *token = text;
}

/* Takes ownership of `scope`, which can be NULL. */
static void set_scope(struct token_source *s, char *scope) {
  secret_free(s->scope);
  s->scope = scope;
}

/* Takes the tokens out of a successful response. A response without a refresh token leaves the old
 * one valid (RFC 6749, section 6). */
static void keep_token(struct token_source *s, struct token_response *t) {
  replace_token(s, &s->access_token, t->access_token);
  if (t->refresh_token != NULL) replace_token(s, &s->refresh_token, t->refresh_token);
  /* A refresh without a scope in the response has not changed it (RFC 6749, sections 5.1 and 6). */
  if (t->scope != NULL || s->refresh_token_sent == NULL) set_scope(s, t->scope);
  t->access_token = t->refresh_token = t->scope = NULL;
  s->generation++;
  s->dirty = true;
  s->renew_at = s->expires_at = INFINITY;
  if (t->has_expires_in) {
    double lifetime = fmin(fmax(t->expires_in, 0), MAX_LIFETIME_SECONDS);
    s->renew_at = clock_monotonic() + lifetime - fmin(RENEW_MARGIN_SECONDS, lifetime / 10);
    s->expires_at = clock_wall() + lifetime;
  }
}

/* ---- Fetch: end ------------------------------------------------------------------------------ */

static void release(struct token_fetch *fetch) {
  if (--fetch->references > 0) return;
  failure_clear(&fetch->failure);
  free(fetch);
}

static void end_fetch(struct token_source *s) {
  s->fetch->ended = true;
  release(s->fetch);
  s->fetch = NULL;
}

static void record(struct token_source *s, enum failure_kind error_kind) {
  if (!s->events.recording) return;
  const struct response *r = transfer_report(s->transfer);
  struct event event = {
      .type = EVENT_EXCHANGE,
      .for_token = true,
      .method = "POST",
      .url = (char *)s->options->token_url,
      .status = r->status,
      .attempt = s->fetch->requests,
      .seconds = r->seconds,
      .seconds_to_first_byte = r->first_byte,
      .bytes = r->bytes,
      .reused = r->reused,
      .error_kind = error_kind,
  };
  event_add(&s->events, &event);
}

static void end_request(struct token_source *s, enum failure_kind error_kind) {
  record(s, error_kind);
  transfer_free(s->transfer);
  s->transfer = NULL;
  secret_free(s->refresh_token_sent);
  s->refresh_token_sent = NULL;
}

/* `event_kind` is the error kind of the event for the request that is cut off. */
static void abandon(struct token_source *s, enum failure_kind event_kind) {
  failure_set(&s->fetch->failure, FAILURE_TIMEOUT, "no token from token_url %.600s within %g s",
              s->options->token_url, s->options->timeout);
  s->fetch->failure.retryable = true;
  s->fetch->abandoned = true;
  if (s->transfer != NULL) end_request(s, event_kind);
  end_fetch(s);
}

/* A child process cannot use the connection of a fetch that was started before the fork. Returns
 * true if there was such a fetch. */
static bool abandon_fetch_of_parent(struct token_source *s) {
  if (s->fetch == NULL || s->fork_count == fork_count()) return false;
  abandon(s, FAILURE_NETWORK);
  return true;
}

/* ---- Fetch: start, join, leave --------------------------------------------------------------- */

/* Sends a request, with the refresh token if there is one. If out of memory, sets the failure of
 * the fetch, and there is no transfer. */
static void start_request(struct token_source *s) {
  struct buffer body = {0};
  struct request request;
  s->refresh_token_sent = text_copy(s->refresh_token);
  bool copied = s->refresh_token_sent != NULL || s->refresh_token == NULL;
  if (copied && token_request_build(&s->requester, s->refresh_token_sent, &body, &request)) {
    request.max_response_bytes = MAX_RESPONSE_BYTES;
    request.deadline = s->deadline;
    s->transfer = transfer_start(s->transport, &request);
  }
  buffer_free(&body);
  if (s->transfer != NULL) {
    s->fetch->requests++;
    return;
  }
  secret_free(s->refresh_token_sent);
  s->refresh_token_sent = NULL;
  failure_set(&s->fetch->failure, FAILURE_MEMORY, "out of memory while asking for a token");
}

struct token_fetch *token_source_join(struct token_source *s) {
  abandon_fetch_of_parent(s);
  struct token_fetch *fetch = s->fetch;
  if (fetch != NULL) {
    fetch->references++;
    return fetch;
  }
  fetch = calloc(1, sizeof *fetch);
  if (fetch == NULL) return NULL;
  fetch->references = 1;
  s->fetch = fetch;
  s->fork_count = fork_count();
  s->deadline = clock_monotonic() + s->options->timeout;
  token_source_begin_store_check(s);
  start_request(s);
  if (s->transfer != NULL) {
    fetch->references++; /* of s->fetch */
  } else {
    fetch->ended = true;
    s->fetch = NULL;
  }
  return fetch;
}

static bool ends_on_leave(const struct token_source *s, const struct token_fetch *fetch,
                          enum failure_kind reason) {
  if (fetch->ended) return false;
  if (reason == FAILURE_CLOSED) return true;
  bool is_last = fetch->references == 2; /* the caller's and that of s->fetch */
  return reason == FAILURE_TIMEOUT && is_last &&
         s->deadline - clock_monotonic() < LEAVE_MARGIN_SECONDS;
}

void token_source_leave(struct token_source *s, struct token_fetch *fetch,
                        enum failure_kind reason) {
  if (ends_on_leave(s, fetch, reason)) abandon(s, reason);
  release(fetch);
}

void token_source_end_error_body(struct token_source *s, const struct token_fetch *fetch) {
  if (ends_on_leave(s, fetch, FAILURE_TIMEOUT)) transfer_end_error_body(s->transfer);
}

bool token_source_is_fetching(const struct token_source *s) {
  return s->fetch != NULL;
}

/* ---- Fetch: failures ------------------------------------------------------------------------- */

/* What the user may do about a refusal, for the end of the message. */
static const char *advice(const struct token_source *s, const struct response *r,
                          const struct token_response *t) {
  if (token_response_has_error(t, "invalid_grant") && s->options->username != NULL)
    return " (check username and password)";
  if (r->status >= 500 || retry_is_worthwhile(r->status)) return "";
  return s->options->username != NULL
             ? " (check the credentials, and token_url if they belong to another endpoint)"
             : " (check client_id and client_secret, and token_url if they belong to another "
               "endpoint)";
}

static void fail_with_redirect(struct token_source *s, const struct response *r) {
  struct buffer target = {0};
  token_source_redact(s, r->redirect != NULL ? r->redirect : "nowhere", &target);
  failure_set(&s->fetch->failure, FAILURE_HTTP,
              "token_url %.400s answered HTTP %ld, a redirect to %.400s, which is not followed",
              s->options->token_url, r->status, target.data != NULL ? target.data : "?");
  buffer_free(&target);
}

/* Whether the same request may succeed later. */
static bool is_temporary(const struct response *r, const struct token_response *t) {
  return retry_is_worthwhile(r->status) && !token_response_has_error(t, "invalid_grant");
}

/* Moves the body of a refusal into the failure: the binding reads the server's error description
 * from it. If the refusal contains tokens nevertheless, they are remembered, to be redacted there.
 */
static void keep_error_body(struct token_source *s, struct response *r, struct token_response *t) {
  remember(s, t->access_token, 0, false);
  remember(s, t->refresh_token, 0, false);
  t->access_token = t->refresh_token = NULL;
  s->fetch->failure.body = r->body;
  r->body = (struct buffer){0};
}

/* Sets the failure of the fetch from a response without a usable token. The body of a success is
 * not kept: it may contain a token that was not read, and so would not be redacted. */
static void fail_with_response(struct token_source *s, struct response *r,
                               struct token_response *t) {
  struct failure *f = &s->fetch->failure;
  bool is_success = response_is_success(r);
  if (response_is_redirect(r))
    fail_with_redirect(s, r);
  else if (is_success && t->error == NULL)
    failure_set(f, FAILURE_AUTH, "no token from token_url %.400s: HTTP %ld, but %s",
                s->options->token_url, r->status, token_response_fault(t));
  else
    failure_set(f, FAILURE_AUTH, "no token from token_url %.400s: HTTP %ld%s",
                s->options->token_url, r->status, advice(s, r, t));
  f->status = r->status;
  f->retryable = is_temporary(r, t) || (is_success && t->cut_short);
  f->has_retry_after = r->has_retry_after;
  f->retry_after = r->retry_after;
  if (!is_success || t->error != NULL) keep_error_body(s, r, t);
}

/* Sets the failure of the fetch from a transfer that has failed. */
static void fail_with_transfer(struct token_source *s, const struct response *r) {
  struct failure *f = &s->fetch->failure;
  failure_set(f, r->failure.kind, "no token from token_url %.400s: %.400s", s->options->token_url,
              r->failure.message);
  f->retryable = r->failure.retryable;
  f->status = r->status;
}

/* ---- Fetch: responses ------------------------------------------------------------------------ */

/* Drops the refresh token that was sent and refused. The next request uses another one that was
 * imported meanwhile, else the first grant. Returns false if none was sent, or the server may
 * accept it later. */
static bool drop_refresh_token(struct token_source *s, const struct response *r,
                               const struct token_response *t) {
  if (s->refresh_token_sent == NULL || is_temporary(r, t)) return false;
  if (s->refresh_token != NULL && strcmp(s->refresh_token, s->refresh_token_sent) == 0) {
    secret_free(s->refresh_token);
    s->refresh_token = NULL;
  }
  remember(s, s->refresh_token_sent, 0, true);
  s->refresh_token_sent = NULL;
  return true;
}

/* Keeps the token or sets the failure of the fetch. Returns true if another request is to be sent
 * instead. */
static bool process_token_response(struct token_source *s, struct response *r,
                                   struct token_response *t) {
  if (response_is_success(r) && t->error == NULL && token_response_fault(t) == NULL) {
    keep_token(s, t);
    token_requester_confirm_style(&s->requester);
    return false;
  }
  if (token_requester_change_style(&s->requester, r, t)) return true;
  if (drop_refresh_token(s, r, t)) return true;
  fail_with_response(s, r, t);
  if (token_response_has_error(t, "invalid_grant")) /* it was read, and the client accepted */
    token_requester_confirm_style(&s->requester);
  else if (!s->fetch->failure.retryable)
    token_requester_reset_style(&s->requester);
  return false;
}

/* As process_token_response, for a transfer that may have failed. */
static bool process_transfer(struct token_source *s, struct response *r) {
  bool again = false;
  struct token_response t = {0};
  if (r->failure.kind != FAILURE_NONE)
    fail_with_transfer(s, r);
  else if (token_response_read(r->body.data, r->body.size, &t))
    again = process_token_response(s, r, &t);
  else
    failure_set(&s->fetch->failure, FAILURE_MEMORY, "out of memory while reading a token");
  token_response_clear(&t);
  return again;
}

/* The error kind of the event for one request. The fetch may yet succeed with the next one. */
static enum failure_kind event_kind(const struct response *r, bool got_token) {
  if (r->failure.kind != FAILURE_NONE) return r->failure.kind;
  if (got_token) return FAILURE_NONE;
  return response_is_redirect(r) ? FAILURE_HTTP : FAILURE_AUTH;
}

/* Ends the transfer. Then sends another request, or ends the fetch. */
static void handle_response(struct token_source *s, struct response *r, bool is_late) {
  unsigned generation = s->generation;
  bool again = process_transfer(s, r);
  end_request(s, event_kind(r, s->generation != generation));
  if (again && is_late)
    abandon(s, FAILURE_TIMEOUT);
  else if (again)
    start_request(s);
  if (s->fetch != NULL && s->transfer == NULL) end_fetch(s);
}

bool token_source_run(struct token_source *s) {
  if (abandon_fetch_of_parent(s)) return true;
  if (s->fetch == NULL) return false;
  bool is_late = clock_monotonic() >= s->deadline;
  if (is_late) transfer_end_error_body(s->transfer);
  struct response *r = transfer_response(s->transfer);
  if (is_late && (r == NULL || r->failure.kind == FAILURE_TIMEOUT))
    abandon(s, FAILURE_TIMEOUT);
  else if (r != NULL)
    handle_response(s, r, is_late);
  else
    return false;
  return true;
}

double token_source_due(const struct token_source *s) {
  return s->fetch != NULL ? s->deadline : INFINITY;
}

bool token_source_is_ready(const struct token_source *s, const struct token_fetch *fetch) {
  return fetch->ended || clock_monotonic() >= s->deadline || transfer_response(s->transfer) != NULL;
}

struct event_queue *token_source_events(struct token_source *s) {
  return &s->events;
}

/* ---- Store ----------------------------------------------------------------------------------- */

double token_source_store_check_due(const struct token_source *s) {
  return s->fetch != NULL ? s->store_check_at : INFINITY;
}

void token_source_begin_store_check(struct token_source *s) {
  s->store_check_at = clock_monotonic() + STORE_CHECK_SECONDS;
}

/* As replace_token, with a copy of `text`. Returns false if out of memory. */
static bool import_string(struct token_source *s, char **token, const char *text) {
  char *copy = text_copy(text);
  if (copy == NULL) return false;
  replace_token(s, token, copy);
  return true;
}

/* A token that was replaced here is older than the current one, but better than none. */
static bool is_refresh_token_wanted(struct token_source *s, const char *text) {
  if (text == NULL) return false;
  const struct previous_token *p = find_previous(s, text);
  return p == NULL || (!p->refused && s->refresh_token == NULL);
}

bool token_source_import(struct token_source *s, const struct stored_token *token) {
  unsigned generation;
  if (token_source_token(s, false, &generation) != NULL) return true;
  if (token->access_token == NULL || !syntax_is_bearer_token(token->access_token)) return false;
  if (is_refresh_token_wanted(s, token->refresh_token) &&
      !import_string(s, &s->refresh_token, token->refresh_token))
    return false;
  double seconds = fmin(token->renew_at, token->expires_at) - clock_wall();
  if (!(seconds > 0) || was_refused(s, token->access_token)) return false; /* NaN is not > 0 */
  if (!import_string(s, &s->access_token, token->access_token)) return false;
  set_scope(s, NULL);
  s->generation++;
  s->dirty = false;
  s->renew_at = clock_monotonic() + seconds;
  s->expires_at = token->expires_at;
  if (s->fetch != NULL) abandon(s, FAILURE_TIMEOUT);
  return true;
}

bool token_source_is_dirty(const struct token_source *s) {
  return s->dirty && s->access_token != NULL;
}

bool token_source_take_dirty(struct token_source *s, struct stored_token *out) {
  if (!token_source_is_dirty(s)) return false;
  s->dirty = false;
  *out = (struct stored_token){.access_token = s->access_token,
                               .refresh_token = s->refresh_token,
                               .renew_at = clock_wall() + (s->renew_at - clock_monotonic()),
                               .expires_at = s->expires_at};
  return true;
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

struct token_source *token_source_new(const struct token_source_options *options,
                                      struct transport *transport) {
  struct token_request_options request_options = {
      .token_url = options->token_url,
      .client_id = options->client_id,
      .client_secret = options->client_secret,
      .username = options->username,
      .password = options->password,
      .scope = options->scope,
      .encoding = options->encoding,
      .client_auth = options->client_auth,
      .loopback = options->loopback,
  };
  struct token_source *s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  s->options = options;
  s->transport = transport;
  s->events.recording = options->record_events;
  if (token_requester_init(&s->requester, &request_options)) return s;
  token_source_free(s);
  return NULL;
}

void token_source_free(struct token_source *s) {
  if (s == NULL) return;
  if (s->fetch != NULL) abandon(s, FAILURE_CLOSED);
  token_requester_clear(&s->requester);
  secret_free(s->access_token);
  secret_free(s->refresh_token);
  secret_free(s->scope);
  for (size_t i = 0; i < PREVIOUS_COUNT; i++)
    forget(&s->previous[i]);
  event_clear(&s->events);
  free(s);
}

/* ---- Redaction ------------------------------------------------------------------------------- */

#define SECRETS_MAX (7 + PREVIOUS_COUNT + PROXY_SECRETS_MAX)
_Static_assert(SECRETS_MAX <= REDACT_SECRETS_MAX, "more secrets than redact_find accepts");

/* Entries are NULL if there is no such secret. */
static void list_secrets(const struct token_source *s, const char *secrets[SECRETS_MAX]) {
  const char *basic = s->requester.basic;
  size_t count = 0;
  secrets[count++] = s->options->client_secret;
  secrets[count++] = s->options->password;
  secrets[count++] = s->options->access_token;
  secrets[count++] = s->access_token;
  secrets[count++] = s->refresh_token;
  secrets[count++] = s->refresh_token_sent;
  secrets[count++] = basic == NULL ? NULL : basic + sizeof "Basic " - 1;
  for (size_t i = 0; i < PREVIOUS_COUNT; i++)
    secrets[count++] = s->previous[i].text;
  for (size_t i = 0; i < PROXY_SECRETS_MAX; i++)
    secrets[count++] = s->options->proxy_secrets->texts[i];
}

bool token_source_find_secret(const struct token_source *s, const char *text, size_t size,
                              size_t *start, size_t *length) {
  const char *secrets[SECRETS_MAX];
  list_secrets(s, secrets);
  return redact_find(secrets, SECRETS_MAX, text, size, start, length);
}

bool token_source_is_secret_number(const struct token_source *s, double number) {
  const char *secrets[SECRETS_MAX];
  list_secrets(s, secrets);
  return redact_is_number(secrets, SECRETS_MAX, number);
}

void token_source_redact(const struct token_source *s, const char *text, struct buffer *out) {
  size_t start, length;
  while (token_source_find_secret(s, text, strlen(text), &start, &length)) {
    buffer_append(out, text, start);
    buffer_add(out, REDACTED);
    text += start + length;
  }
  buffer_add(out, text);
}
