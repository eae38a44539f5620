#include "core/call.h"

#include <math.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/number.h"
#include "core/retry.h"
#include "core/transport.h"

/* Of a streamed body, this much at a time is handed on; less if others want their turn: Lua's
 * garbage collector may do a hundred times the work of what it is handed. */
#define FEED_BYTES ((size_t)64 * 1024)
#define SMALL_FEED_BYTES ((size_t)16 * 1024)

/* Whatever a body is made of, a piece is to take no longer than this: if one has, the next one is
 * smaller. Keys that collide in Lua's table of strings can take milliseconds a kilobyte. */
#define FEED_SECONDS 0.002
#define MIN_FEED_BYTES ((size_t)512)

/* A response that had come when a call is stepped too late is read for so long. */
#define LATE_SECONDS 0.2

enum call_state {
  CALL_AUTHORIZE, /* takes the token, or waits for one */
  CALL_STORE,     /* waits for the binding to look into the store of tokens */
  CALL_TOKEN,     /* waits for a token */
  CALL_EXCHANGE,  /* waits for the API */
  CALL_PAUSE,     /* waits for the next attempt */
  CALL_ENDED
};

struct call {
  struct call_link link;
  struct agent *agent;
  const struct call_binding *binding;
  enum call_mode mode;
  enum call_state state;
  char *url; /* NULL: only a token is wanted */
  double timeout, deadline, resume_at;
  double until;      /* when the current step is to return */
  size_t feed_bytes; /* see FEED_SECONDS */
  size_t fed;        /* CALL_WHOLE: bytes of the body that were handed on */
  unsigned max_retries, retries;
  uint64_t max_response_bytes;

  struct exchange *exchange; /* CALL_EXCHANGE */
  struct transport *own;     /* CALL_PULLED; else the agent's serves */
  struct wakeup *wakeup;     /* see call_set_wakeup */
  unsigned ticket;           /* CALL_TOKEN */
  unsigned generation;       /* of the token in use */
  bool just_fetched;         /* a token was waited for */
  bool renewed;              /* a 401 has already cost a token */
  bool begun;                /* the binding is ready for the body */
  bool committed;            /* part of the body was handed on */
  bool among_others;         /* it is being pushed forward by a step that does not drive */
  bool idle;                 /* the binding is waiting for bytes */
  bool succeeded;
  uint64_t received; /* bytes when `deadline` was last extended */
  unsigned token_requests, api_requests;
  struct failure failure;
  struct event_queue events;
};

struct call_link *call_link(struct call *call) {
  return &call->link;
}

static char *make_url(const struct agent_options *agent, const struct call_options *options) {
  struct buffer url = {0};
  buffer_add(&url, agent->base_url);
  buffer_add(&url, options->path);
  if (options->query != NULL && *options->query != '\0') {
    buffer_add(&url, "?");
    buffer_add(&url, options->query);
  }
  if (url.failed) buffer_free(&url);
  return url.data;
}

struct call *call_new(struct agent *agent, const struct call_options *options) {
  if (agent_is_closed(agent)) return NULL;
  struct call *call = calloc(1, sizeof *call);
  if (call == NULL) return NULL;
  if (options->mode != CALL_TOKEN_ONLY) {
    call->url = make_url(agent_options(agent), options);
    if (call->url == NULL) {
      free(call);
      return NULL;
    }
  }
  call->agent = agent;
  call->binding = options->binding;
  call->mode = options->mode;
  call->timeout = options->timeout;
  call->deadline = INFINITY; /* until it is pushed forward for the first time */
  call->max_retries = options->max_retries;
  call->max_response_bytes = options->max_response_bytes;
  call->feed_bytes = FEED_BYTES;
  call->events.recording = agent_options(agent)->record_events;
  agent_retain(agent);
  agent_add_call(agent, call);
  return call;
}

/* ---- ends ---- */

/* Gives up whatever the call holds of the agent. That by itself is no success. */
static void end(struct call *call) {
  if (call->state == CALL_ENDED) return;
  if (call->state == CALL_TOKEN) {
    oauth2_leave(agent_oauth2(call->agent), call->failure.kind);
    event_move(&call->events, oauth2_events(agent_oauth2(call->agent)));
  }
  exchange_free(call->exchange);
  call->exchange = NULL;
  transport_free(call->own);
  call->own = NULL;
  wakeup_release(call->wakeup);
  call->wakeup = NULL;
  call->state = CALL_ENDED;
  agent_remove_call(call->agent, call);
}

static void succeed(struct call *call) {
  failure_clear(&call->failure); /* of an earlier attempt */
  end(call);
  call->succeeded = true;
}

static unsigned count_attempts(const struct call *call) {
  return call->api_requests > 0 && call->state != CALL_TOKEN ? call->api_requests
                                                             : call->token_requests;
}

static void record(struct call *call, const struct response *r) {
  struct event event = {
      .method = "GET",
      .url = call->url,
      .status = r->status,
      .attempt = call->api_requests,
      .seconds = r->seconds,
      .bytes = r->bytes,
      .error_kind = call->failure.kind,
  };
  event_add(&call->events, &event);
}

/* Counts the requests of a fetch that the call does not see the end of. */
static void count_cut_off(struct call *call) {
  if (call->state == CALL_TOKEN) call->token_requests += oauth2_requests(agent_oauth2(call->agent));
}

/* Ends the call with what call->failure says. */
static void fail(struct call *call) {
  call->failure.attempts = count_attempts(call);
  if (call->exchange != NULL) record(call, exchange_progress(call->exchange)); /* cut off */
  end(call);
}

static void fail_for_memory(struct call *call) {
  failure_set(&call->failure, FAILURE_MEMORY, "out of memory");
  fail(call);
}

/* For what ends the call while somebody may be waiting for it. */
static void wake_waiter(struct call *call) {
  if (call->wakeup != NULL) wakeup_signal(call->wakeup);
}

void call_end_closed(struct call *call) {
  if (call->state == CALL_ENDED) return;
  wake_waiter(call);
  failure_set(&call->failure, FAILURE_CLOSED, "the client was closed during the call");
  count_cut_off(call);
  fail(call);
}

void call_free(struct call *call) {
  if (call == NULL) return;
  end(call);
  failure_clear(&call->failure);
  event_clear(&call->events);
  secret_free(call->url);
  agent_release(call->agent);
  free(call);
}

static void fail_for_time(struct call *call) {
  const char *stage = "";
  uint64_t bytes = 0;
  switch (call->state) {
  case CALL_STORE:
  case CALL_TOKEN: stage = " while waiting for a token"; break;
  case CALL_PAUSE: stage = " during a pause between attempts"; break;
  case CALL_EXCHANGE: bytes = call_received(call); break;
  case CALL_AUTHORIZE:
  case CALL_ENDED: break;
  }
  bool for_token = call->state == CALL_TOKEN || call->state == CALL_STORE;
  char seconds[NUMBER_BYTES];
  number_write(call->timeout, seconds);
  const char *target = for_token ? agent_options(call->agent)->token_url : call->url;
  failure_set(&call->failure, FAILURE_TIMEOUT,
              bytes > 0 ? "timeout of %s s exceeded%s: %.600s (after %llu bytes of the response)"
                        : "timeout of %s s exceeded%s: %.600s",
              seconds, stage, target != NULL ? target : "", (unsigned long long)bytes);
  call->failure.retryable = true;
  count_cut_off(call);
  fail(call);
}

/* Another attempt after a pause, if the failure deserves one, the caller allows it and the
 * deadline leaves room; else the end. */
static void retry_or_fail(struct call *call) {
  double pause = retry_pause(&call->failure, call->retries);
  double resume_at = clock_monotonic() + pause;
  if (call->committed || !call->failure.retryable || call->retries >= call->max_retries ||
      resume_at >= call->deadline) {
    fail(call);
    return;
  }
  call->retries++;
  call->resume_at = resume_at;
  call->state = CALL_PAUSE;
}

/* ---- the stages ---- */

/* Where the call's exchanges run. A transfer that waits for a slow loop has a connection of its
 * own: on a shared one, libcurl would go on reading a paused HTTP/2 stream into memory while it is
 * driven for the others. */
static struct transport *transport_of(struct call *call) {
  if (call->mode != CALL_PULLED) return agent_transport(call->agent);
  if (call->own == NULL) call->own = agent_new_transport(call->agent);
  return call->own;
}

static void start_exchange(struct call *call, const char *token) {
  struct buffer authorization = {0};
  buffer_add(&authorization, "Bearer ");
  buffer_add(&authorization, token);
  struct request request = {
      .url = call->url,
      .authorization = authorization.data,
      .max_response_bytes = call->max_response_bytes,
      .local = agent_is_local(call->agent),
      .streamed = call->mode != CALL_WHOLE,
      .deadline = call->mode == CALL_PULLED ? INFINITY : call->deadline,
  };
  failure_clear(&call->failure);
  struct transport *transport = transport_of(call);
  if (!authorization.failed && transport != NULL)
    call->exchange = exchange_start(transport, &request);
  buffer_free(&authorization);
  if (call->exchange == NULL) {
    fail_for_memory(call);
    return;
  }
  call->api_requests++;
  call->begun = false;
  call->fed = 0;
  call->state = CALL_EXCHANGE;
}

static void authorize(struct call *call) {
  struct oauth2 *oauth2 = agent_oauth2(call->agent);
  const char *token = oauth2_token(oauth2, call->just_fetched, &call->generation);
  call->just_fetched = false;
  if (token == NULL && agent_options(call->agent)->has_store && !oauth2_is_fetching(oauth2)) {
    call->resume_at = 0;
    call->state = CALL_STORE;
  } else if (token == NULL) {
    call_fetch(call);
  } else if (call->mode == CALL_TOKEN_ONLY) {
    succeed(call);
  } else {
    start_exchange(call, token);
  }
}

bool call_wants_token(const struct call *call) {
  return call->state == CALL_STORE && clock_monotonic() >= call->resume_at;
}

enum adoption call_adopt(struct call *call, const struct stored_token *token) {
  if (call->state != CALL_STORE) return ADOPTION_TAKEN;
  enum adoption adoption = oauth2_adopt(agent_oauth2(call->agent), token);
  if (adoption == ADOPTION_TAKEN) call->state = CALL_AUTHORIZE;
  return adoption;
}

void call_fetch(struct call *call) {
  if (call->state != CALL_STORE && call->state != CALL_AUTHORIZE) return;
  call->ticket = oauth2_join(agent_oauth2(call->agent));
  call->state = CALL_TOKEN;
}

void call_postpone(struct call *call, double seconds) {
  call->resume_at = clock_monotonic() + seconds;
}

static bool wait_for_token(struct call *call) {
  struct oauth2 *oauth2 = agent_oauth2(call->agent);
  bool ended = oauth2_step(oauth2, call->ticket);
  event_move(&call->events, oauth2_events(oauth2));
  if (!ended) return false;
  call->token_requests += oauth2_requests(oauth2);
  const struct failure *failure = oauth2_failure(oauth2);
  if (failure->kind != FAILURE_NONE) {
    failure_copy(&call->failure, failure);
    retry_or_fail(call);
    if (call->state == CALL_PAUSE) oauth2_leave(oauth2, FAILURE_NONE);
    return true;
  }
  oauth2_leave(oauth2, FAILURE_NONE);
  call->just_fetched = true;
  call->state = CALL_AUTHORIZE;
  return true;
}

static void describe_redirect(struct call *call, const struct response *r) {
  struct buffer target = {0};
  oauth2_redact(agent_oauth2(call->agent), r->redirect != NULL ? r->redirect : "nowhere", &target);
  failure_set(&call->failure, FAILURE_HTTP,
              "HTTP %ld from %.400s: a redirect to %.400s, which is not followed", r->status,
              call->url, target.data != NULL ? target.data : "?");
  buffer_free(&target);
}

/* A response that came whole, with a status that is not 2xx. */
static void describe_status(struct call *call, struct response *r) {
  struct failure *f = &call->failure;
  if (r->status == 401)
    failure_set(f, FAILURE_AUTH, "HTTP 401 from %.600s: the token was refused%s", call->url,
                call->renewed ? ", and so was a new one" : "");
  else if (response_is_redirect(r))
    describe_redirect(call, r);
  else
    failure_set(f, FAILURE_HTTP, "HTTP %ld from %.600s", r->status, call->url);
  f->retryable = retry_is_worthwhile(r->status);
  f->body = r->body;
  r->body = (struct buffer){0};
}

/* What a response that has ended means for the call. */
static void describe_response(struct call *call, struct response *r, void *environment) {
  struct failure *f = &call->failure;
  if (r->failure.kind != FAILURE_NONE) {
    failure_set(f, r->failure.kind, "%.600s: %.300s", call->url, r->failure.message);
    f->retryable = r->failure.retryable;
  } else if (!response_is_success(r)) {
    describe_status(call, r);
  } else {
    call->binding->end(environment, f);
  }
  f->has_retry_after = r->has_retry_after;
  f->retry_after = r->retry_after;
}

/* The exchange has served: the call succeeds, goes on with another one, or fails. */
static void conclude(struct call *call) {
  const struct response *r = exchange_progress(call->exchange);
  bool refused = r->status == 401 && call->failure.kind == FAILURE_AUTH;
  call->failure.status = r->status;
  call->received = r->bytes;
  record(call, r);
  exchange_free(call->exchange);
  call->exchange = NULL;
  if (call->failure.kind == FAILURE_NONE) {
    succeed(call);
  } else if (refused && oauth2_reject(agent_oauth2(call->agent), call->generation) &&
             !call->renewed) {
    call->renewed = true;
    call->state = CALL_AUTHORIZE;
  } else {
    retry_or_fail(call);
  }
}

/* What has arrived of the body, and was not handed on. */
static const char *waiting_bytes(const struct call *call, size_t *size) {
  if (call->mode != CALL_WHOLE) return exchange_bytes(call->exchange, size);
  const struct response *r = exchange_progress(call->exchange);
  bool good = response_is_success(r) && r->failure.kind == FAILURE_NONE;
  *size = good ? r->body.size - call->fed : 0;
  return *size > 0 ? r->body.data + call->fed : NULL;
}

/* Hands on a piece of it. True if there was something. */
static bool feed_piece(struct call *call, void *environment) {
  size_t size, limit = call->among_others ? SMALL_FEED_BYTES : FEED_BYTES;
  const char *bytes = waiting_bytes(call, &size);
  if (size == 0) return false;
  if (limit > call->feed_bytes) limit = call->feed_bytes;
  if (size > limit) size = limit;
  double began = clock_monotonic();
  call->binding->feed(environment, bytes, size, &call->failure);
  double seconds = clock_monotonic() - began;
  if (seconds > FEED_SECONDS && size / 2 >= MIN_FEED_BYTES) call->feed_bytes = size / 2;
  if (seconds < FEED_SECONDS / 4 && call->feed_bytes < FEED_BYTES) call->feed_bytes *= 2;
  if (call->mode == CALL_WHOLE)
    call->fed += size;
  else
    exchange_take(call->exchange, size);
  if (call->failure.kind != FAILURE_NONE) conclude(call);
  return true;
}

/* The same for all that has arrived, or, among others, for one piece. */
static bool feed(struct call *call, void *environment) {
  if (!feed_piece(call, environment)) return false;
  while (!call->among_others && call->state == CALL_EXCHANGE && clock_monotonic() < call->until)
    if (!feed_piece(call, environment)) break;
  return true;
}

/* The binding gets ready while the request is under way. */
static bool begin_to_receive(struct call *call, void *environment) {
  call->begun = true;
  call->binding->begin(environment, &call->failure);
  if (call->failure.kind != FAILURE_NONE) conclude(call);
  return call->state == CALL_EXCHANGE;
}

static bool receive(struct call *call, void *environment) {
  if (!call->begun && !begin_to_receive(call, environment)) return true;
  if (call->mode != CALL_PULLED && feed(call, environment)) return true;
  size_t size = 0;
  if (call->mode == CALL_PULLED) exchange_bytes(call->exchange, &size);
  struct response *r = exchange_response(call->exchange);
  if (size > 0 || r == NULL) return false;
  describe_response(call, r, environment);
  conclude(call);
  return true;
}

/* True when something has changed, so that another turn is worth while. */
static bool advance(struct call *call, void *environment) {
  switch (call->state) {
  case CALL_AUTHORIZE:
    if (clock_monotonic() >= call->deadline) return false; /* stepped too late to begin anything */
    authorize(call);
    return true;
  case CALL_STORE: return false;
  case CALL_TOKEN: return wait_for_token(call);
  case CALL_EXCHANGE: return receive(call, environment);
  case CALL_PAUSE:
    if (clock_monotonic() < call->resume_at) return false;
    call->state = CALL_AUTHORIZE;
    return true;
  case CALL_ENDED: return false; /* GCOVR_EXCL_LINE: an ended call is not pushed forward */
  }
  return false; /* GCOVR_EXCL_LINE: every state is named above */
}

/* Once part of the body was handed on, only the time without a byte counts, while the binding is
 * waiting for one. */
static void extend_deadline(struct call *call) {
  uint64_t received = call_received(call);
  if (!call->committed || (call->idle && call->received == received)) return;
  call->idle = true;
  call->received = received;
  call->deadline = clock_monotonic() + call->timeout;
}

static bool has_response(const struct call *call) {
  return call->state == CALL_EXCHANGE && exchange_response(call->exchange) != NULL;
}

/* Whether the call can move on without a byte. */
static bool needs_no_bytes(const struct call *call) {
  return call->state == CALL_AUTHORIZE || has_response(call);
}

void call_end_overdue(struct call *call, double now) {
  if (isinf(call_deadline(call))) return;
  extend_deadline(call);
  if (now < call->deadline) return;
  wake_waiter(call);
  fail_for_time(call);
}

double call_deadline(const struct call *call) {
  bool waiting = call->state != CALL_ENDED && !has_response(call);
  return waiting ? call->deadline : INFINITY;
}

/* The call is stepped too late, but its response has come. */
static void read_late(struct call *call, void *environment) {
  double until = clock_monotonic() + LATE_SECONDS;
  while (has_response(call) && clock_monotonic() < until && advance(call, environment))
    ;
}

bool call_step(struct call *call, void *environment, double seconds, bool drive) {
  struct agent *agent = call->agent;
  if (call->state == CALL_ENDED) return true;
  if (!agent_enter(agent)) {
    failure_set(&call->failure, FAILURE_ARGUMENT,
                "a client cannot be used from a finalizer that runs within its own call");
    fail(call);
    return true;
  }
  bool moved, others = false;
  call->among_others = !drive;
  double now = clock_monotonic();
  if (isinf(call->deadline) && !call->committed) call->deadline = now + call->timeout;
  extend_deadline(call);
  call->until = fmin(call->deadline, now + seconds);
  do {
    moved = drive && !needs_no_bytes(call) && agent_run(agent, call->until);
    others = others || moved;
    moved = advance(call, environment) || (moved && call->mode != CALL_PULLED);
  } while (moved && call->state != CALL_ENDED && clock_monotonic() < call->until);
  if (has_response(call) && clock_monotonic() >= call->deadline) read_late(call, environment);
  if (!drive) reactor_run_timers(agent_reactor(agent));
  extend_deadline(call);
  if (call->state != CALL_ENDED && clock_monotonic() >= call->deadline) fail_for_time(call);
  if (others) agent_signal(agent, call);
  agent_leave(agent);
  return call->state == CALL_ENDED;
}

enum call_result call_result(const struct call *call) {
  if (call->state != CALL_ENDED) return CALL_RUNNING;
  return call->succeeded ? CALL_SUCCEEDED : CALL_FAILED;
}

const struct failure *call_failure(const struct call *call) {
  return call_result(call) == CALL_FAILED ? &call->failure : NULL;
}

bool call_is_ready(const struct call *call, size_t *bytes) {
  *bytes = 0;
  switch (call->state) {
  case CALL_STORE:
  case CALL_PAUSE: return clock_monotonic() >= call->resume_at;
  case CALL_TOKEN: return oauth2_is_ready(agent_oauth2(call->agent), call->ticket);
  case CALL_EXCHANGE: waiting_bytes(call, bytes); return *bytes > 0 || has_response(call);
  case CALL_AUTHORIZE:
  case CALL_ENDED: break;
  }
  return true;
}

double call_due(const struct call *call) {
  bool pausing = call->state == CALL_PAUSE || call->state == CALL_STORE;
  double until = pausing ? fmin(call->resume_at, call->deadline) : call->deadline;
  return fmax(until - clock_monotonic(), 0);
}

void call_block(struct call *call) {
  size_t bytes;
  if (!call_is_ready(call, &bytes)) reactor_wait(agent_reactor(call->agent), call_due(call));
}

void call_set_wakeup(struct call *call, struct wakeup *wakeup) {
  if (call->state == CALL_ENDED) return;
  if (wakeup != NULL) wakeup_retain(wakeup);
  wakeup_release(call->wakeup);
  call->wakeup = wakeup;
}

void call_signal(struct call *call) {
  size_t bytes;
  if (call->wakeup != NULL && call_is_ready(call, &bytes)) wakeup_signal(call->wakeup);
}

uint64_t call_received(const struct call *call) {
  return call->exchange != NULL ? exchange_progress(call->exchange)->bytes : call->received;
}

const char *call_bytes(const struct call *call, size_t *size) {
  *size = 0;
  bool can_take = call->mode == CALL_PULLED && call->exchange != NULL && call->begun;
  return can_take ? exchange_bytes(call->exchange, size) : NULL;
}

void call_take(struct call *call, size_t size) {
  call->idle = false;
  exchange_take(call->exchange, size);
}

void call_commit(struct call *call) {
  call->committed = true;
  call->deadline = INFINITY; /* until the binding waits */
}

void call_refuse(struct call *call, struct failure *failure) {
  failure_clear(&call->failure);
  call->failure = *failure;
  *failure = (struct failure){0};
  conclude(call);
}

struct event *call_take_event(struct call *call) {
  return event_take(&call->events);
}
