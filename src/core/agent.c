#include "core/agent.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/call.h"
#include "core/clock.h"
#include "core/proxy_secrets.h"
#include "core/syntax.h"

/* Whether the time of a call is up is looked at this often. A call that somebody steps looks by
 * itself. */
#define CHECK_SECONDS 0.05

struct agent {
  struct agent_options options;
  struct transport_options transport_options;
  struct oauth2_options oauth2_options;
  struct proxy_secrets proxy_secrets;
  struct reactor *reactor;
  struct transport *transport;
  struct oauth2 *oauth2;
  struct call *calls; /* linked by call_link */
  unsigned call_count;
  double check_at; /* see CHECK_SECONDS */
  unsigned references;
  bool local; /* as transport_check_url says of base_url */
  bool entered;
  bool closing; /* to be closed once left */
  bool closed;
};

void agent_options_clear(struct agent_options *o) {
  char *texts[] = {o->base_url, o->token_url,    o->client_id, o->client_secret, o->username,
                   o->password, o->access_token, o->scope,     o->ca_file,       o->ca_path,
                   o->cert,     o->key,          o->proxy,     o->user_agent};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    secret_free(texts[i]);
  *o = (struct agent_options){0};
}

static bool check_field_values(const struct agent_options *o, struct failure *failure) {
  const struct {
    const char *name, *value;
  } texts[] = {
      {"user_agent", o->user_agent},
      {"client_id", o->client_id},
      {"client_secret", o->client_secret},
      {"scope", o->scope},
      {"proxy", o->proxy},
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    if (texts[i].value == NULL || syntax_is_field_value(texts[i].value, strlen(texts[i].value)))
      continue;
    failure_set(failure, FAILURE_ARGUMENT, "%s contains control characters", texts[i].name);
    return false;
  }
  return true;
}

/* Which of the URLs are local, see transport_check_url. */
struct locality {
  bool base_url, token_url;
};

static bool check_options(const struct agent_options *o, struct locality *local,
                          struct failure *failure) {
  if (!transport_check_url("base_url", o->base_url, o->allow_http, &local->base_url, failure) ||
      !transport_check_url("token_url", o->token_url, o->allow_http, &local->token_url, failure) ||
      !check_field_values(o, failure))
    return false;
  if (o->access_token == NULL || syntax_is_bearer_token(o->access_token)) return true;
  failure_set(failure, FAILURE_ARGUMENT,
              "access_token is empty or has characters that a header cannot carry");
  return false;
}

static void lend_options(struct agent *a, const struct locality *local) {
  const struct agent_options *o = &a->options;
  a->transport_options = (struct transport_options){
      .ca_file = o->ca_file,
      .ca_path = o->ca_path,
      .cert = o->cert,
      .key = o->key,
      .verify = o->verify,
      .proxy = o->proxy,
      .user_agent = o->user_agent,
      .connect_timeout = o->connect_timeout,
  };
  a->oauth2_options = (struct oauth2_options){
      .token_url = o->token_url,
      .client_id = o->client_id,
      .client_secret = o->client_secret,
      .username = o->username,
      .password = o->password,
      .access_token = o->access_token,
      .scope = o->scope,
      .encoding = o->token_encoding,
      .client_auth = o->client_auth,
      .local = local->token_url,
      .record_events = o->record_events,
      .proxy_secrets = &a->proxy_secrets,
  };
  a->local = local->base_url;
}

static void free_parts(struct agent *a) {
  oauth2_free(a->oauth2);
  transport_free(a->transport);
  reactor_free(a->reactor);
  a->oauth2 = NULL;
  a->transport = NULL;
  a->reactor = NULL;
  proxy_secrets_clear(&a->proxy_secrets);
  agent_options_clear(&a->options);
}

struct agent *agent_new(struct agent_options *options, struct failure *failure) {
  struct locality local;
  if (!check_options(options, &local, failure)) return NULL;
  struct agent *a = calloc(1, sizeof *a);
  if (a != NULL) {
    a->references = 1;
    a->options = *options;
    *options = (struct agent_options){0};
    lend_options(a, &local);
    if (proxy_secrets_read(a->options.proxy, &a->proxy_secrets)) a->reactor = reactor_new();
    if (a->reactor != NULL) a->transport = transport_new(&a->transport_options, a->reactor);
    if (a->transport != NULL) a->oauth2 = oauth2_new(&a->oauth2_options, a->transport);
    if (a->oauth2 != NULL) return a;
    agent_release(a); /* closes it */
  }
  failure_set(failure, FAILURE_MEMORY, "out of memory while making a client");
  return NULL;
}

void agent_close(struct agent *a) {
  if (a->entered) a->closing = true;
  if (a->entered || a->closed) return;
  a->closed = true;
  while (a->calls != NULL)
    call_end_closed(a->calls);
  free_parts(a);
}

void agent_retain(struct agent *a) {
  a->references++;
}

void agent_release(struct agent *a) {
  if (--a->references > 0) return;
  agent_close(a);
  free(a);
}

bool agent_is_closed(const struct agent *a) {
  return a->closed || a->closing;
}

const struct agent_options *agent_options(const struct agent *a) {
  return &a->options;
}

bool agent_is_local(const struct agent *a) {
  return a->local;
}

struct reactor *agent_reactor(struct agent *a) {
  return a->reactor;
}

struct transport *agent_transport(struct agent *a) {
  return a->transport;
}

struct transport *agent_new_transport(struct agent *a) {
  return transport_new(&a->transport_options, a->reactor);
}

struct oauth2 *agent_oauth2(struct agent *a) {
  return a->oauth2;
}

bool agent_enter(struct agent *a) {
  if (a->entered) return false;
  a->entered = true;
  return true;
}

void agent_leave(struct agent *a) {
  a->entered = false;
  if (a->closing) agent_close(a);
}

/* The first time at which a call's time is up. */
static double next_deadline(const struct agent *a) {
  double deadline = INFINITY;
  for (struct call *call = a->calls; call != NULL; call = call_link(call)->next)
    deadline = fmin(deadline, call_deadline(call));
  return deadline;
}

static void end_overdue_calls(struct agent *a) {
  double now = clock_monotonic();
  struct call *next;
  if (now < a->check_at) return;
  a->check_at = now + CHECK_SECONDS;
  for (struct call *call = a->calls; call != NULL; call = next) {
    next = call_link(call)->next;
    call_end_overdue(call, now);
  }
}

bool agent_run(struct agent *a, double until) {
  bool moved = reactor_run(a->reactor, until);
  end_overdue_calls(a);
  return moved;
}

bool agent_drive(struct agent *a, double seconds) {
  if (a->closed || !agent_enter(a)) return false;
  bool moved = agent_run(a, clock_monotonic() + seconds);
  agent_leave(a);
  return moved;
}

double agent_due(struct agent *a) {
  if (a->closed) return INFINITY;
  double deadline = next_deadline(a);
  if (isinf(deadline)) return INFINITY;
  double check = fmax(deadline, a->check_at) - clock_monotonic();
  return fmax(0, fmin(reactor_due(a->reactor), check));
}

void agent_signal(struct agent *a, const struct call *except) {
  for (struct call *call = a->calls; call != NULL; call = call_link(call)->next) {
    if (call != except) call_signal(call);
  }
}

bool agent_lacks_descriptors(struct agent *a) {
  (void)a;
  return false; /* MERGE: transport_lacks_descriptors */
}

unsigned agent_count_calls(const struct agent *a) {
  return a->call_count;
}

void agent_add_call(struct agent *a, struct call *call) {
  struct call_link *link = call_link(call);
  link->next = a->calls;
  if (link->next != NULL) call_link(link->next)->previous = call;
  a->calls = call;
  a->call_count++;
}

void agent_remove_call(struct agent *a, struct call *call) {
  struct call_link *link = call_link(call);
  if (link->previous != NULL) call_link(link->previous)->next = link->next;
  if (link->next != NULL) call_link(link->next)->previous = link->previous;
  if (a->calls == call) a->calls = link->next;
  *link = (struct call_link){0};
  a->call_count--;
}
