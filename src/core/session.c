#include "core/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/http/url.h"
#include "core/proxy_secrets.h"
#include "core/syntax.h"

/* Whether the time of a call is up is looked at this often. A call that somebody steps looks by
 * itself. */
#define CHECK_SECONDS 0.05

struct session {
  struct session_options options;
  struct transport_options transport_options;
  struct token_source_options token_source_options;
  struct proxy_secrets proxy_secrets;
  struct reactor *reactor;
  struct transport *transport;
  struct token_source *token_source;
  struct session_call *calls; /* doubly linked */
  bool lacks_descriptors;
  unsigned call_count;
  double check_at; /* see CHECK_SECONDS */
  unsigned references;
  bool loopback; /* as url_check says of base_url */
  bool entered;
  bool closing; /* to be closed once left */
  bool closed;
};

void session_options_clear(struct session_options *o) {
  char *texts[] = {o->base_url, o->token_url,    o->client_id,    o->client_secret, o->username,
                   o->password, o->access_token, o->scope,        o->ca_file,       o->ca_path,
                   o->cert,     o->key,          o->key_password, o->proxy,         o->user_agent};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    secret_free(texts[i]);
  *o = (struct session_options){0};
}

/* A text among the options. */
struct text {
  const char *name, *value;
  const char *variable; /* where it may come from, too; else NULL */
  bool from_environment;
  bool any; /* control characters may be inside: it is sent in a body, encoded, or not at all */
};

/* Fills `out` with the text's name for messages. */
static void name_text(const struct text *text, char out[64]) {
  if (text->from_environment)
    snprintf(out, 64, "%s (from %s)", text->name, text->variable);
  else
    snprintf(out, 64, "%s", text->name);
}

/* A line end or a byte order mark that comes from a file would be sent as part of a secret. */
static bool check_text(const struct text *text, struct failure *failure) {
  char name[64];
  const char *fault = NULL;
  if (text->value != NULL)
    fault = syntax_text_fault(text->value, text->any && !text->from_environment);
  if (fault == NULL) return true;
  name_text(text, name);
  failure_set(failure, FAILURE_ARGUMENT, "%s contains %s: remove it%s", name, fault,
              text->from_environment ? " from the variable" : "");
  return false;
}

static bool check_url(const struct text *text, const struct session_options *o, bool *loopback,
                      struct failure *failure) {
  char name[64];
  name_text(text, name);
  return url_check(name, text->value, o->allow_http, loopback, failure);
}

/* Which of the URLs are local, see url_check. */
struct loopback {
  bool base_url, token_url;
};

static bool check_options(const struct session_options *o, struct loopback *loopback,
                          struct failure *failure) {
  bool env = o->credentials_from_environment;
  enum { BASE_URL, TOKEN_URL, ACCESS_TOKEN };
  const struct text texts[] = {
      {"base_url", o->base_url, "PODERO_BASE_URL", o->base_url_from_environment, false},
      {"token_url", o->token_url, "PODERO_TOKEN_URL", o->token_url_from_environment, false},
      {"access_token", o->access_token, "PODERO_ACCESS_TOKEN", env, false},
      {"client_id", o->client_id, "PODERO_CLIENT_ID", env, false},
      {"client_secret", o->client_secret, "PODERO_CLIENT_SECRET", env, false},
      {"username", o->username, "PODERO_USERNAME", env, true},
      {"password", o->password, "PODERO_PASSWORD", env, true},
      {"scope", o->scope, NULL, false, false},
      {"user_agent", o->user_agent, NULL, false, false},
      {"proxy", o->proxy, NULL, false, false},
      {"tls.key_password", o->key_password, NULL, false, true},
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    if (!check_text(&texts[i], failure)) return false;
  }
  if (!check_url(&texts[BASE_URL], o, &loopback->base_url, failure) ||
      !check_url(&texts[TOKEN_URL], o, &loopback->token_url, failure))
    return false;
  if (o->access_token == NULL || syntax_is_bearer_token(o->access_token)) return true;
  char name[64];
  name_text(&texts[ACCESS_TOKEN], name);
  failure_set(failure, FAILURE_ARGUMENT, "%s has characters that a header cannot carry", name);
  return false;
}

static void lend_options(struct session *a, const struct loopback *loopback) {
  const struct session_options *o = &a->options;
  a->transport_options = (struct transport_options){
      .ca_file = o->ca_file,
      .ca_path = o->ca_path,
      .cert = o->cert,
      .key = o->key,
      .key_password = o->key_password,
      .verify = o->verify,
      .proxy = o->proxy,
      .user_agent = o->user_agent,
      .connect_timeout = o->connect_timeout,
      .max_connections = o->max_connections,
  };
  a->token_source_options = (struct token_source_options){
      .token_url = o->token_url,
      .client_id = o->client_id,
      .client_secret = o->client_secret,
      .username = o->username,
      .password = o->password,
      .access_token = o->access_token,
      .scope = o->scope,
      .encoding = o->token_encoding,
      .client_auth = o->client_auth,
      .timeout = o->timeout,
      .loopback = loopback->token_url,
      .record_events = o->record_events,
      .proxy_secrets = &a->proxy_secrets,
  };
  a->loopback = loopback->base_url;
}

static void free_parts(struct session *a) {
  token_source_free(a->token_source);
  transport_free(a->transport);
  reactor_free(a->reactor);
  a->token_source = NULL;
  a->transport = NULL;
  a->reactor = NULL;
  proxy_secrets_clear(&a->proxy_secrets);
  session_options_clear(&a->options);
}

struct session *session_new(struct session_options *options, struct failure *failure) {
  struct loopback loopback;
  if (!check_options(options, &loopback, failure)) return NULL;
  struct session *a = calloc(1, sizeof *a);
  if (a != NULL) {
    a->references = 1;
    a->options = *options;
    *options = (struct session_options){0};
    lend_options(a, &loopback);
    if (proxy_secrets_read(a->options.proxy, &a->proxy_secrets)) a->reactor = reactor_new();
    if (a->reactor != NULL) a->transport = transport_new(&a->transport_options, a->reactor);
    if (a->transport != NULL)
      a->token_source = token_source_new(&a->token_source_options, a->transport);
    if (a->token_source != NULL) return a;
    session_release(a); /* closes it */
  }
  failure_set(failure, FAILURE_MEMORY, "out of memory while making a client");
  return NULL;
}

void session_close(struct session *a) {
  if (a->entered) a->closing = true;
  if (a->entered || a->closed) return;
  a->closed = true;
  while (a->calls != NULL)
    a->calls->functions->close(a->calls);
  free_parts(a);
}

void session_retain(struct session *a) {
  a->references++;
}

void session_release(struct session *a) {
  if (--a->references > 0) return;
  session_close(a);
  free(a);
}

bool session_is_closed(const struct session *a) {
  return a->closed || a->closing;
}

const struct session_options *session_options(const struct session *a) {
  return &a->options;
}

bool session_is_loopback(const struct session *a) {
  return a->loopback;
}

struct reactor *session_reactor(struct session *a) {
  return a->reactor;
}

struct transport *session_transport(struct session *a) {
  return a->transport;
}

struct transport *session_new_transport(struct session *a) {
  return transport_new_private(a->transport);
}

struct token_source *session_token_source(struct session *a) {
  return a->token_source;
}

bool session_enter(struct session *a) {
  if (a->entered) return false;
  a->entered = true;
  return true;
}

void session_leave(struct session *a) {
  a->entered = false;
  if (a->closing) session_close(a);
}

/* The first time at which a call's time is up. */
static double next_deadline(const struct session *a) {
  double deadline = INFINITY;
  for (const struct session_call *call = a->calls; call != NULL; call = call->next)
    deadline = fmin(deadline, call->functions->deadline(call));
  return deadline;
}

static void end_overdue_calls(struct session *a) {
  double now = clock_monotonic();
  struct session_call *next;
  if (now < a->check_at) return;
  a->check_at = now + CHECK_SECONDS;
  for (struct session_call *call = a->calls; call != NULL; call = next) {
    next = call->next;
    call->functions->end_overdue(call, now);
  }
}

bool session_run(struct session *a, double until) {
  bool moved = reactor_run(a->reactor, until);
  moved = token_source_run(a->token_source) || moved;
  if (transport_lacks_descriptors(a->transport)) session_note_lack(a);
  end_overdue_calls(a);
  return moved;
}

bool session_run_alone(struct session *a, double seconds) {
  if (a->closed || !session_enter(a)) return false;
  bool moved = session_run(a, clock_monotonic() + seconds);
  session_leave(a);
  return moved;
}

double session_due(struct session *a) {
  if (a->closed) return INFINITY;
  double deadline = next_deadline(a), fetch = token_source_due(a->token_source),
         now = clock_monotonic();
  if (isinf(deadline) && isinf(fetch)) return INFINITY;
  double due = fmin(fmax(deadline, a->check_at), fetch) - now;
  return fmax(0, fmin(reactor_timeout(a->reactor), due));
}

void session_signal(struct session *a, const struct session_call *except) {
  for (struct session_call *call = a->calls; call != NULL; call = call->next) {
    if (call != except) call->functions->signal(call);
  }
}

bool session_lacks_descriptors(struct session *a) {
  bool lacks = a->lacks_descriptors;
  a->lacks_descriptors = false;
  return lacks;
}

void session_note_lack(struct session *a) {
  a->lacks_descriptors = true;
}

unsigned session_count_calls(const struct session *a) {
  return a->call_count;
}

void session_add_call(struct session *a, struct session_call *call) {
  call->next = a->calls;
  call->previous = NULL;
  if (call->next != NULL) call->next->previous = call;
  a->calls = call;
  a->call_count++;
}

void session_remove_call(struct session *a, struct session_call *call) {
  if (call->previous != NULL) call->previous->next = call->next;
  if (call->next != NULL) call->next->previous = call->previous;
  if (a->calls == call) a->calls = call->next;
  call->next = call->previous = NULL;
  a->call_count--;
}
