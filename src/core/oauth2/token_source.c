#include "core/oauth2/token_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fork.h"
#include "core/http/transfer.h"
#include "core/oauth2/previous_tokens.h"
#include "core/oauth2/redact.h"
#include "core/oauth2/refusals.h"
#include "core/oauth2/token_refusal.h"
#include "core/oauth2/token_response.h"
#include "core/syntax.h"

#define MAX_RESPONSE_BYTES (1024u * 1024)

/* A token is renewed this long before it expires, or a tenth of its lifetime if that is less. */
#define RENEW_MARGIN_SECONDS 60.0

/* Ten years. Longer lifetimes are reduced to this, so that no precision is lost when they are added
 * to clock times. */
#define MAX_LIFETIME_SECONDS 315360000.0

#define STORE_CHECK_SECONDS 0.5

/* See token_source_leave. A fetch starts a little later than the call that starts it, so its
 * deadline is a little later, too. */
#define LEAVE_MARGIN_SECONDS 0.1

struct token_source {
  const struct token_source_options *options;
  struct transport *transport;
  struct token_requester requester;

  char *access_token, *refresh_token;
  char *scope; /* from the token response; NULL if that had none */
  struct previous_tokens previous;
  unsigned generation;
  double renew_at;   /* monotonic; INFINITY if not known */
  double expires_at; /* wall clock; INFINITY if not known */
  bool dirty;        /* see token_source_is_dirty */
  bool is_unproven;  /* the access token was issued for a refresh token, and is not used yet */
  unsigned refresh_endpoint; /* index of the endpoint that has issued the refresh token */

  struct token_fetch *fetch; /* in progress, or NULL; holds a reference */
  struct transfer *transfer; /* of the fetch */
  char *refresh_token_sent;  /* with the transfer; NULL if another grant was used */
  double deadline;           /* of the fetch, monotonic */
  double store_check_at;     /* see token_source_store_check_due */
  unsigned fork_count;       /* when the fetch was started */
  struct refusals refusals;  /* of the fetch's requests */
  struct credentials credentials;
  bool rereading; /* the server has refused the credentials, which are being supplied again */
  bool reread;    /* this has already happened in this fetch */
  struct event_queue events;
};

/* ---- token ---- */

const char *token_source_token(const struct token_source *s, bool just_fetched,
                               unsigned *generation) {
  *generation = s->generation;
  if (token_source_lacks_key_password(s)) return NULL;
  if (s->options->access_token != NULL) return s->options->access_token;
  if (just_fetched) return s->access_token;
  return clock_monotonic() < s->renew_at ? s->access_token : NULL;
}

bool token_source_expires_at(const struct token_source *s, double *when) {
  *when = s->expires_at;
  return s->access_token != NULL && isfinite(s->expires_at);
}

const char *token_source_scope(const struct token_source *s) {
  return s->scope != NULL ? s->scope : s->options->request.scope;
}

/* Drops the refresh token, so that the next token is requested with the first grant. */
static void forget_refresh_token(struct token_source *s) {
  previous_tokens_add(&s->previous, s->refresh_token, 0, true);
  s->refresh_token = NULL;
}

bool token_source_reject(struct token_source *s, unsigned generation) {
  if (s->options->access_token != NULL) return false;
  if (generation != s->generation) {
    previous_tokens_refuse(&s->previous, generation);
    return true;
  }
  previous_tokens_add(&s->previous, s->access_token, generation, true);
  s->access_token = NULL;
  if (s->is_unproven) forget_refresh_token(s);
  return true;
}

void token_source_note_accepted(struct token_source *s, unsigned generation) {
  if (generation == s->generation) s->is_unproven = false;
}

/* Takes ownership of `text` as the new value of `*token`, which is s->access_token or
 * s->refresh_token, and remembers the old value. A previous token that the server has issued again
 * counts as new. */
static void replace_token(struct token_source *s, char **token, char *text) {
  previous_tokens_remove(&s->previous, text);
  if (*token != NULL && strcmp(*token, text) == 0)
    secret_free(*token);
  else
    previous_tokens_add(&s->previous, *token, token == &s->access_token ? s->generation : 0, false);
  *token = text;
}

/* Takes ownership of `scope`, which can be NULL. */
static void set_scope(struct token_source *s, char *scope) {
  secret_free(s->scope);
  s->scope = scope;
}

/* Moves the tokens out of a successful response. If it has no refresh token, the old one stays
 * valid (RFC 6749, section 6). */
static void keep_token(struct token_source *s, struct token_response *t) {
  replace_token(s, &s->access_token, t->access_token);
  if (t->refresh_token != NULL) {
    replace_token(s, &s->refresh_token, t->refresh_token);
    s->refresh_endpoint = s->requester.style.endpoint;
  }
  /* A response to a refresh that has no scope leaves the scope unchanged (RFC 6749, sections 5.1
   * and 6). */
  if (t->scope != NULL || s->refresh_token_sent == NULL) set_scope(s, t->scope);
  t->access_token = t->refresh_token = t->scope = NULL;
  s->generation++;
  s->dirty = true;
  s->is_unproven = s->refresh_token_sent != NULL;
  s->renew_at = s->expires_at = INFINITY;
  if (t->has_expires_in) {
    double lifetime = fmin(fmax(t->expires_in, 0), MAX_LIFETIME_SECONDS);
    s->renew_at = clock_monotonic() + lifetime - fmin(RENEW_MARGIN_SECONDS, lifetime / 10);
    s->expires_at = clock_wall() + lifetime;
  }
}

/* ---- fetch: end ---- */

static void release(struct token_fetch *fetch) {
  if (--fetch->references > 0) return;
  failure_clear(&fetch->failure);
  free(fetch);
}

static void end_fetch(struct token_source *s) {
  refusals_clear(&s->refusals);
  credentials_reset(&s->credentials);
  s->rereading = false;
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
      .url = (char *)s->fetch->url,
      .status = r->status,
      .attempt = s->fetch->earlier + s->fetch->requests,
      .seconds = r->seconds,
      .seconds_to_first_byte = r->first_byte,
      .bytes = r->bytes,
      .header = r->header,
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

/* Ends the fetch without success or refusal. `event_kind` is the error kind of the event for the
 * request that is cut off. */
static void abandon(struct token_source *s, enum failure_kind event_kind) {
  s->fetch->not_supplied = token_source_awaited_credential(s, s->fetch);
  if (s->fetch->not_supplied != NULL)
    failure_set(&s->fetch->failure, FAILURE_TIMEOUT, "%s was not supplied in time",
                s->fetch->not_supplied);
  else
    failure_set(&s->fetch->failure, FAILURE_TIMEOUT, "no token from token_url %.600s in time",
                token_source_url(s));
  s->fetch->failure.retryable = true;
  s->fetch->abandoned = true;
  if (s->transfer != NULL) end_request(s, event_kind);
  end_fetch(s);
}

/* Abandons a fetch that was started before a fork, since the child cannot use its connection.
 * Returns whether there was one. */
static bool abandon_fetch_of_parent(struct token_source *s) {
  if (s->fetch == NULL || s->fork_count == fork_count()) return false;
  abandon(s, FAILURE_NETWORK);
  return true;
}

/* ---- fetch: start, join, leave ---- */

/* Sends a request, with the refresh token if there is one. If out of memory, sets the failure of
 * the fetch, and there is no transfer. A refresh token must be sent only to the endpoint that has
 * issued it (RFC 6749, section 6): others have no use for it, and it is secret. */
static void start_request(struct token_source *s) {
  struct buffer body = {0};
  struct request request;
  if (s->refresh_token != NULL) token_requester_use_endpoint(&s->requester, s->refresh_endpoint);
  s->fetch->url = token_requester_url(&s->requester);
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

/* Whether the fetch waits for credentials that the binding supplies. */
static bool waits_for_credentials(const struct token_source *s) {
  return s->credentials.wanted != 0;
}

/* Returns the set of the credentials that must be supplied before the next request or, if the fetch
 * sends none, before it ends. */
static unsigned missing_credentials(const struct token_source *s) {
  unsigned missing = s->credentials.supplied & ~s->credentials.current;
  unsigned password = CREDENTIAL_BIT(CREDENTIAL_PASSWORD);
  if (token_source_lacks_key_password(s)) return CREDENTIAL_BIT(CREDENTIAL_KEY_PASSWORD);
  if (s->credentials.supplied & CREDENTIAL_BIT(CREDENTIAL_ACCESS_TOKEN))
    return missing & CREDENTIAL_BIT(CREDENTIAL_ACCESS_TOKEN);
  return s->refresh_token == NULL ? missing : missing & ~password;
}

/* Sends a request, or marks the credentials that are missing as wanted. */
static void next_request(struct token_source *s) {
  unsigned missing = missing_credentials(s);
  if (missing != 0) {
    credentials_want(&s->credentials, missing);
  } else {
    failure_clear(&s->fetch->failure); /* a refusal, see reread_credentials */
    s->rereading = false;
    start_request(s);
  }
}

struct token_fetch *token_source_join(struct token_source *s, unsigned earlier) {
  abandon_fetch_of_parent(s);
  struct token_fetch *fetch = s->fetch;
  if (fetch != NULL) {
    fetch->references++;
    return fetch;
  }
  fetch = calloc(1, sizeof *fetch);
  if (fetch == NULL) return NULL;
  fetch->references = 1;
  fetch->earlier = earlier;
  s->fetch = fetch;
  s->fork_count = fork_count();
  s->deadline = clock_monotonic() + s->options->timeout;
  token_source_begin_store_check(s);
  s->credentials.current &= CREDENTIAL_BIT(CREDENTIAL_KEY_PASSWORD);
  s->reread = false;
  next_request(s);
  if (s->transfer != NULL || waits_for_credentials(s)) {
    fetch->references++; /* held by s->fetch */
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
  if (ends_on_leave(s, fetch, FAILURE_TIMEOUT) && s->transfer != NULL)
    transfer_end_error_body(s->transfer);
}

bool token_source_is_fetching(const struct token_source *s) {
  return s->fetch != NULL;
}

const char *token_source_url(const struct token_source *s) {
  bool has_url = s->fetch != NULL && s->fetch->url != NULL;
  return has_url ? s->fetch->url : token_requester_url(&s->requester);
}

/* ---- fetch: failures ---- */

static void redact_with(const void *token_source, const char *text, struct buffer *out) {
  token_source_redact(token_source, text, out);
}

/* Describes the request that is in progress, for messages. */
static struct refused_request refused_request(const struct token_source *s) {
  const struct token_request_options *o = &s->options->request;
  return (struct refused_request){
      .url = s->fetch->url,
      .is_password = o->username != NULL,
      .has_client = o->client_secret != NULL,
      .fixed_encoding = o->encoding != ENCODING_AUTO,
      .fixed_client_auth = o->client_auth != CLIENT_AUTH_AUTO,
      .redact = redact_with,
      .context = s,
  };
}

/* Copies the header into the failure. The response keeps it, for the event. */
static void keep_header(const struct response *r, struct failure *f) {
  if (r->header.size > 0) buffer_append(&f->header, r->header.data, r->header.size);
}

/* Adds a response without a usable token to the refusals of the fetch. If it contains tokens
 * nevertheless, and its body is kept, they are remembered, so that they are redacted in it. */
static void keep_refusal(struct token_source *s, unsigned endpoint, struct response *r,
                         struct token_response *t) {
  struct refused_request request = refused_request(s);
  if (!refusals_add(&s->refusals, &request, endpoint, r, t)) return;
  previous_tokens_add(&s->previous, t->access_token, 0, false);
  previous_tokens_add(&s->previous, t->refresh_token, 0, false);
  t->access_token = t->refresh_token = NULL;
}

/* Sets the failure of the fetch from a transfer that has failed. */
static void fail_with_transfer(struct token_source *s, const struct response *r) {
  struct failure *f = &s->fetch->failure;
  struct buffer message = {0}; /* libcurl's; it may quote the server */
  token_source_redact(s, r->failure.message, &message);
  failure_set(f, r->failure.kind, "no token from token_url %.400s: %.400s", s->fetch->url,
              message.data != NULL && !message.failed ? message.data : "");
  buffer_free(&message);
  f->retryable = r->failure.retryable;
  f->status = r->status;
  keep_header(r, f);
  if (f->kind == FAILURE_ARGUMENT) token_source_reject_key_password(s); /* perhaps the key's */
}

/* ---- fetch: responses ---- */

/* Whether the refresh token cannot be used any more. A server that fails because of it with status
 * 500 (as OAuth Toolkit does if the access token was revoked) fails every time, while the first
 * grant may succeed. */
static bool is_refresh_refused(const struct response *r, const struct token_response *t) {
  return r->status == 500 || !token_refusal_is_temporary(r, t);
}

/* Drops the refresh token that was sent and refused, and its refusal. The next request uses another
 * refresh token if one was imported in the meantime, else the first grant. A style that has worked
 * is kept if the response came from a token endpoint. Returns false if no refresh token was sent,
 * or if the server may accept it later. */
static bool drop_refresh_token(struct token_source *s, const struct response *r,
                               const struct token_response *t) {
  if (s->refresh_token_sent == NULL || !is_refresh_refused(r, t)) return false;
  if (s->refresh_token != NULL && strcmp(s->refresh_token, s->refresh_token_sent) == 0) {
    secret_free(s->refresh_token);
    s->refresh_token = NULL;
  }
  previous_tokens_add(&s->previous, s->refresh_token_sent, 0, true);
  s->refresh_token_sent = NULL;
  refusals_clear(&s->refusals);
  if (!s->requester.confirmed || token_refusal_is_foreign(r, t))
    token_requester_reset_style(&s->requester);
  return true;
}

/* After the server has refused credentials that the binding has supplied: marks them as wanted once
 * more. Returns whether it does. */
static bool reread_credentials(struct token_source *s, const struct response *r,
                               const struct token_response *t) {
  unsigned sent = s->credentials.current &
                  (CREDENTIAL_BIT(CREDENTIAL_CLIENT_SECRET) | CREDENTIAL_BIT(CREDENTIAL_PASSWORD));
  if (s->reread || sent == 0 || s->fetch->failure.retryable ||
      !token_refusal_is_about_credentials(r, t))
    return false;
  s->credentials.current &= ~sent;
  s->rereading = s->reread = true;
  refusals_clear(&s->refusals); /* of the old credentials; the fetch keeps the failure in case they
                                 * have not changed */
  return true;
}

/* Keeps the token, or sets the failure of the fetch. Returns true if another request must be sent
 * instead. */
static bool process_token_response(struct token_source *s, struct response *r,
                                   struct token_response *t) {
  if (response_is_success(r) && t->error == NULL && token_response_fault(t) == NULL) {
    keep_token(s, t);
    token_requester_confirm_style(&s->requester);
    return false;
  }
  unsigned endpoint = s->requester.style.endpoint;
  bool is_refresh = s->refresh_token_sent != NULL;
  bool again = token_requester_change_style(&s->requester, r, t, is_refresh);
  if (!again && drop_refresh_token(s, r, t)) return true;
  keep_refusal(s, endpoint, r, t);
  if (again) return true;
  const struct token_request_options *o = &s->options->request;
  s->fetch->url =
      refusals_report(&s->refusals, o->endpoints, o->endpoint_count, &s->fetch->failure);
  if (token_response_has_error(t, "invalid_grant")) /* the client was accepted */
    token_requester_confirm_style(&s->requester);
  else if (!s->fetch->failure.retryable)
    token_requester_reset_style(&s->requester);
  return reread_credentials(s, r, t);
}

/* Like process_token_response, for a transfer that may have failed. */
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

/* Returns the error kind of the event for one request. The fetch may still succeed with the next
 * one. */
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
    next_request(s);
  if (s->fetch != NULL && s->transfer == NULL && !waits_for_credentials(s)) end_fetch(s);
}

bool token_source_run(struct token_source *s) {
  if (abandon_fetch_of_parent(s)) return true;
  if (s->fetch == NULL) return false;
  bool is_late = clock_monotonic() >= s->deadline;
  if (is_late && s->transfer != NULL) transfer_end_error_body(s->transfer);
  struct response *r = s->transfer != NULL ? transfer_response(s->transfer) : NULL;
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
  if (fetch->ended || clock_monotonic() >= s->deadline) return true;
  return s->transfer != NULL ? transfer_response(s->transfer) != NULL
                             : token_source_wants_credentials(s);
}

struct event_queue *token_source_events(struct token_source *s) {
  return &s->events;
}

/* ---- secrets that the binding supplies ---- */

bool token_source_lacks_key_password(const struct token_source *s) {
  return (s->credentials.supplied & ~s->credentials.current &
          CREDENTIAL_BIT(CREDENTIAL_KEY_PASSWORD)) != 0;
}

const char *token_source_key_password(const struct token_source *s) {
  return s->credentials.texts[CREDENTIAL_KEY_PASSWORD];
}

void token_source_reject_key_password(struct token_source *s) {
  s->credentials.current &= ~CREDENTIAL_BIT(CREDENTIAL_KEY_PASSWORD);
}

bool token_source_wants_credentials(const struct token_source *s) {
  return waits_for_credentials(s) && !s->credentials.asked;
}

bool token_source_awaits_credentials(const struct token_source *s,
                                     const struct token_fetch *fetch) {
  return s->fetch == fetch && waits_for_credentials(s) && s->credentials.asked;
}

const char *token_source_awaited_credential(const struct token_source *s,
                                            const struct token_fetch *fetch) {
  enum credential which;
  if (fetch->ended) return fetch->not_supplied;
  if (!token_source_awaits_credentials(s, fetch)) return NULL;
  return credentials_next(&s->credentials, s->credentials.ticket, &which) ? credential_name(which)
                                                                          : NULL;
}

unsigned token_source_ask_credentials(struct token_source *s) {
  return credentials_ask(&s->credentials);
}

void token_source_release_credentials(struct token_source *s, unsigned ticket) {
  credentials_release(&s->credentials, ticket);
}

bool token_source_is_asked(const struct token_source *s, unsigned ticket) {
  return credentials_is_asked(&s->credentials, ticket);
}

bool token_source_next_credential(const struct token_source *s, unsigned ticket,
                                  enum credential *which) {
  return credentials_next(&s->credentials, ticket, which);
}

/* Returns the requester's HTTP Basic credentials without the name of the scheme. */
static const char *basic_of(const struct token_source *s) {
  return s->requester.basic + sizeof "Basic " - 1;
}

/* Passes the values of client_secret and password to the requester. Returns false if out of
 * memory. */
static bool set_requester_secrets(struct token_source *s) {
  const struct token_request_options *o = &s->options->request;
  const char *const *texts = (const char *const *)s->credentials.texts;
  bool has_secret = (s->options->supplied & CREDENTIAL_BIT(CREDENTIAL_CLIENT_SECRET)) != 0;
  bool has_password = (s->options->supplied & CREDENTIAL_BIT(CREDENTIAL_PASSWORD)) != 0;
  char *basic = s->requester.basic != NULL ? text_copy(basic_of(s)) : NULL, *old_basic;
  if (basic == NULL && s->requester.basic != NULL) return false;
  if (!token_requester_set_secrets(
          &s->requester, has_secret ? texts[CREDENTIAL_CLIENT_SECRET] : o->client_secret,
          has_password ? texts[CREDENTIAL_PASSWORD] : o->password, &old_basic)) {
    secret_free(basic);
    return false;
  }
  if (old_basic != NULL)
    credentials_remember(&s->credentials, basic);
  else
    secret_free(basic);
  secret_free(old_basic);
  return true;
}

/* Continues a fetch for which client_secret and password have been supplied: sends a request,
 * unless the server has just refused the same values. */
static void use_secrets(struct token_source *s) {
  bool refused = s->rereading && !s->credentials.changed;
  s->rereading = false;
  if (refused) return;
  if (set_requester_secrets(s))
    next_request(s);
  else
    failure_set(&s->fetch->failure, FAILURE_MEMORY, "out of memory while asking for a token");
}

/* Keeps an access token that was supplied. */
static void use_access_token(struct token_source *s) {
  char *copy = text_copy(s->credentials.texts[CREDENTIAL_ACCESS_TOKEN]);
  if (copy == NULL) {
    failure_set(&s->fetch->failure, FAILURE_MEMORY, "out of memory while reading a token");
    return;
  }
  s->fetch->unchanged = previous_tokens_was_refused(&s->previous, copy);
  replace_token(s, &s->access_token, copy);
  s->generation++;
  s->renew_at = s->expires_at = INFINITY;
}

/* Continues the fetch if all that it needs has been supplied. `which` was supplied last. */
static void use_credentials(struct token_source *s, enum credential which) {
  if (waits_for_credentials(s)) return;
  if (which == CREDENTIAL_ACCESS_TOKEN)
    use_access_token(s);
  else if (which != CREDENTIAL_KEY_PASSWORD)
    use_secrets(s);
  if (s->transfer == NULL && !waits_for_credentials(s)) end_fetch(s);
}

void token_source_give_credential(struct token_source *s, unsigned ticket, const char *text,
                                  const char *label) {
  enum credential which;
  if (!credentials_next(&s->credentials, ticket, &which)) return;
  if (clock_monotonic() >= s->deadline) {
    abandon(s, FAILURE_TIMEOUT);
    return;
  }
  struct failure failure = {0};
  if (credential_check(which, text, label, FAILURE_AUTH, &failure) &&
      !credentials_set(&s->credentials, which, text))
    failure_set(&failure, FAILURE_MEMORY, "out of memory");
  if (failure.kind == FAILURE_NONE) {
    use_credentials(s, which);
  } else {
    failure_copy(&s->fetch->failure, &failure);
    end_fetch(s);
  }
}

void token_source_fail_credentials(struct token_source *s, unsigned ticket, enum failure_kind kind,
                                   const char *message) {
  if (!credentials_is_asked(&s->credentials, ticket)) return;
  struct buffer text = {0};
  token_source_redact(s, message, &text);
  if (text.failed)
    failure_set(&s->fetch->failure, FAILURE_MEMORY, "out of memory");
  else
    failure_set(&s->fetch->failure, kind, "%s", text.data != NULL ? text.data : "");
  buffer_free(&text);
  end_fetch(s);
}

/* ---- store ---- */

double token_source_store_check_due(const struct token_source *s) {
  return s->fetch != NULL ? s->store_check_at : INFINITY;
}

void token_source_begin_store_check(struct token_source *s) {
  s->store_check_at = clock_monotonic() + STORE_CHECK_SECONDS;
}

/* Like replace_token, with a copy of `text`. Returns false if out of memory. */
static bool import_string(struct token_source *s, char **token, const char *text) {
  char *copy = text_copy(text);
  if (copy == NULL) return false;
  replace_token(s, token, copy);
  return true;
}

/* Whether this refresh token should be imported. One that was replaced here is older than the
 * current one, but better than none. */
static bool is_refresh_token_wanted(const struct token_source *s, const char *text) {
  if (text == NULL || previous_tokens_was_refused(&s->previous, text)) return false;
  return s->refresh_token == NULL || !previous_tokens_contain(&s->previous, text);
}

static bool is_acceptable(const struct stored_token *token) {
  return token->access_token != NULL && syntax_is_bearer_token(token->access_token) &&
         !token_response_is_too_long(token->access_token) &&
         !token_response_is_too_long(token->refresh_token);
}

/* Imports the refresh token, if it is wanted. Returns false if out of memory. */
static bool import_refresh_token(struct token_source *s, const struct stored_token *token) {
  if (!is_refresh_token_wanted(s, token->refresh_token)) return true;
  if (!import_string(s, &s->refresh_token, token->refresh_token)) return false;
  s->refresh_endpoint = token_requester_find_endpoint(&s->requester, token->style.endpoint);
  return true;
}

bool token_source_import(struct token_source *s, const struct stored_token *token) {
  unsigned generation;
  if (token_source_token(s, false, &generation) != NULL) return true;
  if (!is_acceptable(token)) return false;
  if (s->fetch == NULL) token_requester_import_style(&s->requester, &token->style);
  if (!import_refresh_token(s, token)) return false;
  double seconds = fmin(token->renew_at, token->expires_at) - clock_wall();
  bool is_due = !(seconds > 0); /* also if it is NaN */
  if (is_due || previous_tokens_was_refused(&s->previous, token->access_token)) return false;
  if (!import_string(s, &s->access_token, token->access_token)) return false;
  set_scope(s, NULL);
  s->generation++;
  s->dirty = s->is_unproven = false;
  s->renew_at = clock_monotonic() + seconds;
  s->expires_at = token->expires_at;
  if (s->fetch == NULL) return true;
  abandon(s, FAILURE_TIMEOUT);
  token_requester_import_style(&s->requester, &token->style);
  return true;
}

bool token_source_is_dirty(const struct token_source *s) {
  return s->dirty && s->access_token != NULL;
}

bool token_source_take_dirty(struct token_source *s, struct stored_token *out) {
  if (!token_source_is_dirty(s)) return false;
  s->dirty = false;
  struct auth_style_names style = token_requester_name_style(&s->requester);
  bool is_of_style =
      token_requester_find_endpoint(&s->requester, style.endpoint) == s->refresh_endpoint;
  *out = (struct stored_token){.access_token = s->access_token,
                               .refresh_token = is_of_style ? s->refresh_token : NULL,
                               .renew_at = clock_wall() + (s->renew_at - clock_monotonic()),
                               .expires_at = s->expires_at,
                               .style = style};
  return true;
}

/* ---- lifetime ---- */

struct token_source *token_source_new(const struct token_source_options *options,
                                      struct transport *transport) {
  struct token_source *s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  s->options = options;
  s->transport = transport;
  s->events.recording = options->record_events;
  s->credentials.supplied = options->supplied;
  if (token_requester_init(&s->requester, &options->request)) return s;
  token_source_free(s);
  return NULL;
}

void token_source_free(struct token_source *s) {
  if (s == NULL) return;
  if (s->fetch != NULL) abandon(s, FAILURE_CLOSED);
  token_requester_clear(&s->requester);
  credentials_clear(&s->credentials);
  secret_free(s->access_token);
  secret_free(s->refresh_token);
  secret_free(s->scope);
  previous_tokens_clear(&s->previous);
  event_clear(&s->events);
  free(s);
}

/* ---- redaction ---- */

#define SECRETS_MAX (7 + CREDENTIALS_MAX + PREVIOUS_TOKENS + PROXY_SECRETS_MAX)
_Static_assert(SECRETS_MAX <= REDACT_SECRETS_MAX, "more secrets than redact_find accepts");

/* Lists all secrets. Entries are NULL if there is no such secret. */
static void list_secrets(const struct token_source *s, const char *secrets[SECRETS_MAX]) {
  size_t count = 0;
  secrets[count++] = s->options->request.client_secret;
  secrets[count++] = s->options->request.password;
  secrets[count++] = s->options->access_token;
  secrets[count++] = s->access_token;
  secrets[count++] = s->refresh_token;
  secrets[count++] = s->refresh_token_sent;
  secrets[count++] = s->requester.basic == NULL ? NULL : basic_of(s);
  credentials_list(&s->credentials, secrets + count);
  count += CREDENTIALS_MAX;
  previous_tokens_list(&s->previous, secrets + count);
  count += PREVIOUS_TOKENS;
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
