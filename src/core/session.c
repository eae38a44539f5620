#include "core/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/http/libcurl.h"
#include "core/http/url.h"
#include "core/proxy_secrets.h"
#include "core/syntax.h"

/* How often session_run checks the deadlines of all calls. call_step checks the call's own deadline
 * each time. */
#define CHECK_SECONDS 0.05

/* Podero's token endpoints, as paths on base_url. The first is that of the API's specification. The
 * second is that of Podero's guides, and the one that grants client credentials. */
#define API_TOKEN_PATH "/api/partners/v2.0/auth/token"
#define OAUTH2_TOKEN_PATH "/oauth2/token/"

struct session {
  struct session_options options;
  struct transport_options transport_options;
  struct token_source_options token_source_options;
  struct buffer token_urls[TOKEN_ENDPOINTS_MAX]; /* with TOKEN_URL_AUTO: the endpoints' URLs */
  struct proxy_secrets proxy_secrets;
  struct reactor *reactor;
  struct transport *transport;
  struct token_source *token_source;
  struct session_call *calls; /* doubly linked */
  bool lacks_descriptors;
  unsigned call_count;
  double next_check; /* of the deadlines; see CHECK_SECONDS */
  unsigned references;
  bool loopback; /* see session_is_loopback */
  bool entered;
  bool closing; /* session_leave must close it */
  bool closed;
};

void session_options_clear(struct session_options *o) {
  char *texts[] = {o->base_url, o->token_url,    o->client_id,    o->client_secret, o->username,
                   o->password, o->access_token, o->scope,        o->ca_file,       o->ca_path,
                   o->cert,     o->key,          o->key_password, o->proxy,         o->user_agent};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    secret_free(texts[i]);
  for (size_t i = 0; i < CREDENTIAL_COUNT; i++)
    secret_free(o->files[i]);
  *o = (struct session_options){0};
}

/* A string option to check. */
struct text {
  const char *name, *value;
  const char *variable; /* the environment variable that it may come from, or NULL */
  bool from_environment;
  bool any; /* control characters are allowed, except for line ends at its end: it is sent encoded
             * in a body, or not at all */
};

/* Writes the option's name for error messages into `out`. */
static void name_text(const struct text *text, char out[64]) {
  if (text->from_environment)
    snprintf(out, 64, "%s (from %s)", text->name, text->variable);
  else
    snprintf(out, 64, "%s", text->name);
}

/* Rejects control characters and a byte order mark. A value that was read from a file often has a
 * line end or a byte order mark, which would be sent as part of a secret. */
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

/* Checks the token URL. A path on base_url has been made an absolute URL before. */
static bool check_token_url(const struct text *text, const struct session_options *o,
                            bool *loopback, struct failure *failure) {
  if (strstr(text->value, "://") != NULL) return check_url(text, o, loopback, failure);
  char name[64];
  name_text(text, name);
  failure_set(failure, FAILURE_ARGUMENT,
              "%s is neither \"auto\", nor a path that begins with '/', nor an absolute URL", name);
  return false;
}

static bool is_token_url_auto(const struct session_options *o) {
  return strcmp(o->token_url, TOKEN_URL_AUTO) == 0;
}

/* Which URLs are plain http to this machine, see url_check. */
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
  if (!check_url(&texts[BASE_URL], o, &loopback->base_url, failure)) return false;
  if (is_token_url_auto(o))
    loopback->token_url = loopback->base_url;
  else if (!check_token_url(&texts[TOKEN_URL], o, &loopback->token_url, failure))
    return false;
  if (o->access_token == NULL || syntax_is_bearer_token(o->access_token)) return true;
  char name[64];
  name_text(&texts[ACCESS_TOKEN], name);
  failure_set(failure, FAILURE_ARGUMENT, "%s has characters that a header cannot carry", name);
  return false;
}

/* Returns the set of the credentials that the binding must supply. This includes the password of
 * tls.key only if there is an https URL. */
static unsigned supplied_credentials(const struct session_options *o) {
  bool tls = url_is_https(o->base_url) || (o->access_token == NULL && url_is_https(o->token_url));
  return tls ? o->supplied : o->supplied & ~CREDENTIAL_BIT(CREDENTIAL_KEY_PASSWORD);
}

/* Fills the options of the transport and the token source, which borrow the strings. */
static void set_part_options(struct session *s, const struct loopback *loopback) {
  const struct session_options *o = &s->options;
  s->transport_options = (struct transport_options){
      .ca_file = o->ca_file,
      .ca_path = o->ca_path,
      .cert = o->cert,
      .key = o->key,
      .key_password = o->key_password,
      .verify = o->verify,
      .proxy = o->proxy,
      .user_agent = o->user_agent,
      .http_version = o->http_version,
      .connect_timeout = o->connect_timeout,
      .max_connections = o->max_connections,
  };
  s->token_source_options = (struct token_source_options){
      .access_token = o->access_token,
      .supplied = supplied_credentials(o),
      .timeout = o->timeout,
      .record_events = o->record_events,
      .proxy_secrets = &s->proxy_secrets,
  };
  s->token_source_options.request = (struct token_request_options){
      .endpoints = {{.url = o->token_url}},
      .endpoint_count = 1,
      .client_id = o->client_id,
      .client_secret = o->client_secret,
      .username = o->username,
      .password = o->password,
      .scope = o->scope,
      .encoding = o->token_encoding,
      .client_auth = o->client_auth,
      .loopback = loopback->token_url,
  };
  s->loopback = loopback->base_url;
}

/* Adds an endpoint to the token source's options. Returns false if out of memory. */
static bool add_endpoint(struct session *s, const char *path, bool json_first) {
  struct token_request_options *o = &s->token_source_options.request;
  struct buffer *url = &s->token_urls[o->endpoint_count];
  buffer_add(url, s->options.base_url);
  buffer_add(url, path);
  o->endpoints[o->endpoint_count++] =
      (struct token_endpoint){.url = url->data, .name = path, .json_first = json_first};
  return !url->failed;
}

/* If token_url is TOKEN_URL_AUTO, sets the endpoints in the order in which they are tried. Podero's
 * own servers grant passwords at one endpoint and client credentials at the other; other servers
 * may follow the specification. Returns false if out of memory. */
static bool set_endpoints(struct session *s) {
  const struct session_options *o = &s->options;
  if (!is_token_url_auto(o)) return true;
  bool is_podero = syntax_is_same(o->base_url, PODERO_PRODUCTION, SIZE_MAX) ||
                   syntax_is_same(o->base_url, PODERO_SANDBOX, SIZE_MAX);
  s->token_source_options.request.endpoint_count = 0;
  if (o->username != NULL) return add_endpoint(s, API_TOKEN_PATH, false);
  if (is_podero)
    return add_endpoint(s, OAUTH2_TOKEN_PATH, true) && add_endpoint(s, API_TOKEN_PATH, false);
  return add_endpoint(s, API_TOKEN_PATH, false) && add_endpoint(s, OAUTH2_TOKEN_PATH, false);
}

static void free_parts(struct session *s) {
  token_source_free(s->token_source);
  transport_free(s->transport);
  reactor_free(s->reactor);
  s->token_source = NULL;
  s->transport = NULL;
  s->reactor = NULL;
  proxy_secrets_clear(&s->proxy_secrets);
  for (size_t i = 0; i < TOKEN_ENDPOINTS_MAX; i++)
    buffer_free(&s->token_urls[i]);
  session_options_clear(&s->options);
}

struct session *session_new(struct session_options *options, struct failure *failure) {
  struct loopback loopback;
  if (!libcurl_check(failure) || !check_options(options, &loopback, failure)) return NULL;
  struct session *s = calloc(1, sizeof *s);
  if (s != NULL) {
    s->references = 1;
    s->options = *options;
    *options = (struct session_options){0};
    set_part_options(s, &loopback);
    if (set_endpoints(s) && proxy_secrets_read(s->options.proxy, &s->proxy_secrets))
      s->reactor = reactor_new();
    if (s->reactor != NULL) s->transport = transport_new(&s->transport_options, s->reactor);
    if (s->transport != NULL)
      s->token_source = token_source_new(&s->token_source_options, s->transport);
    if (s->token_source != NULL) return s;
    session_release(s); /* frees the parts that were made */
  }
  failure_set(failure, FAILURE_MEMORY, "out of memory while making a client");
  return NULL;
}

void session_close(struct session *s) {
  if (s->entered) s->closing = true;
  if (s->entered || s->closed) return;
  s->closed = true;
  while (s->calls != NULL)
    s->calls->functions->close(s->calls);
  free_parts(s);
}

void session_retain(struct session *s) {
  s->references++;
}

void session_release(struct session *s) {
  if (--s->references > 0) return;
  session_close(s);
  free(s);
}

bool session_is_closed(const struct session *s) {
  return s->closed || s->closing;
}

const struct session_options *session_options(const struct session *s) {
  return &s->options;
}

bool session_is_loopback(const struct session *s) {
  return s->loopback;
}

struct reactor *session_reactor(struct session *s) {
  return s->reactor;
}

struct transport *session_transport(struct session *s) {
  return s->transport;
}

struct token_source *session_token_source(struct session *s) {
  return s->token_source;
}

bool session_enter(struct session *s) {
  if (s->entered) return false;
  s->entered = true;
  return true;
}

void session_leave(struct session *s) {
  s->entered = false;
  if (s->closing) session_close(s);
}

/* Returns the earliest deadline of all calls. */
static double next_deadline(const struct session *s) {
  double deadline = INFINITY;
  for (const struct session_call *call = s->calls; call != NULL; call = call->next)
    deadline = fmin(deadline, call->functions->deadline(call));
  return deadline;
}

static void fail_overdue_calls(struct session *s) {
  double now = clock_monotonic();
  struct session_call *next;
  if (now < s->next_check) return;
  s->next_check = now + CHECK_SECONDS;
  for (struct session_call *call = s->calls; call != NULL; call = next) {
    next = call->next;
    call->functions->fail_if_overdue(call, now);
  }
}

bool session_run(struct session *s, double until) {
  bool progress = reactor_run(s->reactor, until);
  progress = token_source_run(s->token_source) || progress;
  if (transport_lacks_descriptors(s->transport)) s->lacks_descriptors = true;
  fail_overdue_calls(s);
  return progress;
}

bool session_run_for(struct session *s, double seconds) {
  if (s->closed || !session_enter(s)) return false;
  bool progress = session_run(s, clock_monotonic() + seconds);
  session_leave(s);
  return progress;
}

double session_due(struct session *s) {
  if (s->closed) return INFINITY;
  double deadline = next_deadline(s), fetch = token_source_due(s->token_source),
         now = clock_monotonic();
  if (isinf(deadline) && isinf(fetch)) return INFINITY;
  double due = fmin(fmax(deadline, s->next_check), fetch) - now;
  return fmax(0, fmin(reactor_timeout(s->reactor), due));
}

void session_signal(struct session *s, const struct session_call *except) {
  for (struct session_call *call = s->calls; call != NULL; call = call->next) {
    if (call != except) call->functions->signal(call);
  }
}

bool session_wants_credentials(const struct session *s) {
  return s->token_source != NULL && token_source_wants_credentials(s->token_source);
}

/* Passes a new key password to the transport, and signals the calls. */
static void credentials_changed(struct session *s) {
  if (s->closed) return;
  if (s->options.supplied & CREDENTIAL_BIT(CREDENTIAL_KEY_PASSWORD))
    s->transport_options.key_password = token_source_key_password(s->token_source);
  session_signal(s, NULL);
}

void session_release_credentials(struct session *s, unsigned ticket) {
  if (s->closed) return;
  token_source_release_credentials(s->token_source, ticket);
  session_signal(s, NULL);
}

void session_give_credential(struct session *s, unsigned ticket, const char *text,
                             const char *label) {
  if (s->closed) return;
  if (session_enter(s)) {
    token_source_give_credential(s->token_source, ticket, text, label);
    credentials_changed(s);
    session_leave(s);
  } else {
    session_release_credentials(s, ticket);
  }
}

void session_fail_credentials(struct session *s, unsigned ticket, enum failure_kind kind,
                              const char *message) {
  if (s->closed) return;
  token_source_fail_credentials(s->token_source, ticket, kind, message);
  session_signal(s, NULL);
}

bool session_lacks_descriptors(struct session *s) {
  bool lacks = s->lacks_descriptors;
  s->lacks_descriptors = false;
  return lacks;
}

unsigned session_count_calls(const struct session *s) {
  return s->call_count;
}

void session_add_call(struct session *s, struct session_call *call) {
  call->next = s->calls;
  call->previous = NULL;
  if (call->next != NULL) call->next->previous = call;
  s->calls = call;
  s->call_count++;
}

void session_remove_call(struct session *s, struct session_call *call) {
  if (call->previous != NULL) call->previous->next = call->next;
  if (call->next != NULL) call->next->previous = call->previous;
  if (s->calls == call) s->calls = call->next;
  call->next = call->previous = NULL;
  s->call_count--;
}
