#include "core/call.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/http/transfer.h"
#include "core/http/transport.h"
#include "core/number.h"
#include "core/retry.h"

/* At most this much of a body is passed to `feed` at once. It is less if the thread has other calls
 * to serve, as in nginx: collecting the garbage of one `feed` can take Lua a hundred times as long
 * as the `feed` itself. */
#define FEED_BYTES ((size_t)64 * 1024)
#define SMALL_FEED_BYTES ((size_t)16 * 1024)

/* A call waits no longer than this for the store's lock. */
#define MAX_LOCKED_SECONDS 5.0

/* If `feed` takes longer than this, it gets fewer bytes the next time: keys that collide in Lua's
 * string table can take milliseconds per kilobyte. */
#define FEED_SECONDS 0.002
#define MIN_FEED_BYTES ((size_t)512)

/* How long a call that is stepped after its deadline may still read a response that has arrived. */
#define LATE_SECONDS 0.2

enum call_state {
  CALL_AUTHORIZE, /* the next step takes the token, or enters CALL_STORE or CALL_TOKEN */
  CALL_STORE,     /* waits for the binding to check the token store */
  CALL_TOKEN,     /* waits for a token request */
  CALL_TRANSFER,  /* waits for the API's response */
  CALL_PAUSE,     /* waits before the next attempt */
  CALL_ENDED
};

struct call {
  struct session_call base; /* the first member */
  struct session *session;
  const struct call_binding *binding;
  enum call_mode mode;
  enum call_state state;
  char *url;            /* NULL with CALL_TOKEN_ONLY */
  const char *method;   /* static; NULL for GET */
  char *content_type;   /* of the body */
  struct buffer fields; /* of the request's header */
  struct buffer body;   /* of the request; its `data` is NULL if there is none */
  long status;          /* see call_status and call_header */
  struct buffer header;
  double timeout, deadline, resume_at; /* `timeout` in seconds, the other two in monotonic
                                        * seconds */
  double until;                        /* when the current step should return, monotonic seconds */
  size_t feed_bytes;                   /* see FEED_SECONDS */
  size_t consumed; /* CALL_WHOLE: bytes of the body that were passed to `feed` */
  unsigned max_retries, retries;
  uint64_t max_response_bytes;
  bool uncoded; /* as in struct request */

  struct transfer *transfer;           /* CALL_TRANSFER */
  struct transport *private_transport; /* CALL_PULLED; the other modes use the session's */
  struct wakeup *wakeup;               /* see call_set_wakeup */
  struct token_fetch *fetch;           /* CALL_TOKEN */
  const char *token_url;               /* of the last token request; borrowed from the session */
  bool check_store;                    /* CALL_TOKEN: the binding must check the store */
  double lock_deadline;                /* see call_wait_for_lock; 0 before the first wait */
  unsigned generation;                 /* of the token in use */
  bool waited_for_token;               /* the next token was fetched while this call waited */
  bool renewed;                        /* a 401 has already led to a new token */
  bool binding_ready;                  /* `begin` has been called in this attempt */
  bool committed;                      /* see call_commit */
  bool run_session;                    /* the argument of the current call_step */
  bool waiting_for_bytes;              /* the binding has not taken a byte since the last step */
  bool asked_for_token;                /* the last request was for a token */
  bool succeeded;
  uint64_t received; /* bytes of the body when `deadline` was last extended, or when the transfer
                      * ended */
  unsigned token_requests, api_requests;
  unsigned failed_token_requests; /* those since the last token */
  struct failure failure;
  struct event_queue events;
};

/* ---- ends ---- */

/* Ends the call and releases what it uses of the session. It has failed unless the caller sets
 * `succeeded`. */
static void end(struct call *call) {
  if (call->state == CALL_ENDED) return;
  if (call->state == CALL_TOKEN) {
    token_source_leave(session_token_source(call->session), call->fetch, call->failure.kind);
    event_move(&call->events, token_source_events(session_token_source(call->session)));
  }
  transfer_free(call->transfer);
  call->transfer = NULL;
  transport_free(call->private_transport);
  call->private_transport = NULL;
  wakeup_release(call->wakeup);
  call->wakeup = NULL;
  call->state = CALL_ENDED;
  session_remove_call(call->session, &call->base);
}

static void succeed(struct call *call) {
  failure_clear(&call->failure); /* an earlier attempt's */
  end(call);
  call->succeeded = true;
}

/* Returns what err.attempts is: requests to the API or, if the call has failed without a token, to
 * the token endpoint. */
static unsigned count_attempts(const struct call *call) {
  bool lacks_token = call->state == CALL_TOKEN && call->fetch->requests > 0;
  return call->api_requests > 0 && !lacks_token ? call->api_requests : call->token_requests;
}

/* Appends a text, with the secrets in it redacted: the caller chooses the URL and its query, and
 * the server part of some of libcurl's messages, such as those about a certificate's names. */
static void add_redacted(const struct call *call, const char *text, struct buffer *out) {
  if (text != NULL) token_source_redact(session_token_source(call->session), text, out);
}

/* Returns the text of a buffer, or "" if it is empty or if memory ran out. */
static const char *text_of(const struct buffer *text) {
  return text->data != NULL && !text->failed ? text->data : "";
}

/* Queues an event for the transfer, which has ended or is about to be stopped. */
static void record(struct call *call) {
  if (!call->events.recording) return;
  const struct response *r = transfer_report(call->transfer);
  struct buffer url = {0};
  add_redacted(call, call->url, &url);
  struct event event = {
      .type = EVENT_EXCHANGE,
      .method = call->method != NULL ? call->method : "GET",
      .url = url.data,
      .status = r->status,
      .attempt = call->api_requests,
      .seconds = r->seconds,
      .seconds_to_first_byte = r->first_byte,
      .bytes = r->bytes,
      .header = r->header,
      .reused = r->reused,
      .error_kind = call->failure.kind,
  };
  if (!url.failed) event_add(&call->events, &event);
  buffer_free(&url);
}

/* Queues an event for a pause before another attempt, of an API or a token request. */
static void record_retry(struct call *call, double pause) {
  bool for_token = call->state == CALL_TOKEN;
  struct event event = {
      .type = EVENT_RETRY,
      .for_token = for_token,
      .status = call->failure.status,
      .attempt = for_token ? call->failed_token_requests : call->api_requests,
      .error_kind = call->failure.kind,
      .pause = pause,
  };
  event_add(&call->events, &event);
}

/* To be called when the call leaves a fetch without a token: adds the fetch's requests to the
 * call's counts. */
static void count_token_requests(struct call *call) {
  if (call->state != CALL_TOKEN) return;
  call->token_requests += call->fetch->requests;
  call->failed_token_requests = call->fetch->earlier + call->fetch->requests;
  if (call->fetch->requests == 0) call->asked_for_token = false;
}

/* Ends the call with call->failure, and its transfer if there is one. */
static void fail(struct call *call) {
  call->failure.attempts = count_attempts(call);
  if (call->transfer != NULL) {
    record(call);
    call->failure.status = transfer_report(call->transfer)->status;
    if (call->failure.status != 0) transfer_take_header(call->transfer, &call->failure.header);
  }
  end(call);
}

static void fail_out_of_memory(struct call *call) {
  failure_set(&call->failure, FAILURE_MEMORY, "out of memory");
  fail(call);
}

/* For a call that ends outside of its own call_step: signals whoever waits for it. */
static void wake_waiter(struct call *call) {
  if (call->wakeup != NULL) wakeup_signal(call->wakeup);
}

static void fail_closed(struct session_call *base) {
  struct call *call = (struct call *)base;
  wake_waiter(call);
  failure_set(&call->failure, FAILURE_CLOSED, "the client was closed during the call");
  count_token_requests(call);
  fail(call);
}

void call_free(struct call *call) {
  if (call == NULL) return;
  end(call);
  failure_clear(&call->failure);
  event_clear(&call->events);
  secret_free(call->url);
  secret_free(call->content_type);
  buffer_free(&call->fields);
  buffer_free(&call->body);
  buffer_free(&call->header);
  session_release(call->session);
  free(call);
}

/* Whether the server may act twice if it receives the request twice (RFC 9110, section 9.2.2). */
static bool is_unsafe(const struct call *call) {
  return call->method != NULL &&
         (strcmp(call->method, "POST") == 0 || strcmp(call->method, "PATCH") == 0);
}

/* Whether the server may have acted on the request. */
static bool may_have_acted(const struct call *call) {
  return is_unsafe(call) && call->transfer != NULL && transfer_was_sent(call->transfer);
}

static void fail_timeout(struct call *call) {
  const char *stage = "", *credential = NULL;
  uint64_t bytes = 0;
  switch (call->state) {
  case CALL_STORE: stage = " while waiting for a token"; break;
  case CALL_TOKEN:
    stage = " while waiting for a token";
    credential = token_source_awaited_credential(session_token_source(call->session), call->fetch);
    break;
  case CALL_PAUSE: stage = " during a pause between attempts"; break;
  case CALL_TRANSFER: bytes = call_received(call); break;
  case CALL_AUTHORIZE:
  case CALL_ENDED: break;
  }
  bool for_token = call->state == CALL_TOKEN || call->state == CALL_STORE || call->url == NULL;
  char seconds[NUMBER_BYTES];
  number_write(call->timeout, seconds);
  if (call->state == CALL_TOKEN) call->token_url = call->fetch->url;
  struct buffer target = {0};
  add_redacted(call, for_token ? token_source_url(session_token_source(call->session)) : call->url,
               &target);
  if (credential != NULL)
    failure_set(&call->failure, FAILURE_TIMEOUT,
                "timeout of %s s exceeded while waiting for %s, which was not supplied", seconds,
                credential);
  else
    failure_set(&call->failure, FAILURE_TIMEOUT,
                bytes > 0 ? "timeout of %s s exceeded%s: %.600s (after %llu bytes of the response)"
                          : "timeout of %s s exceeded%s: %.600s",
                seconds, stage, text_of(&target), (unsigned long long)bytes);
  buffer_free(&target);
  call->failure.retryable = !may_have_acted(call);
  count_token_requests(call);
  fail(call);
}

/* Pauses before another attempt if the failure is retryable, retries are left and the pause ends
 * before the deadline. Otherwise fails. */
static void retry_or_fail(struct call *call) {
  double pause = retry_pause(&call->failure, call->retries);
  double resume_at = clock_monotonic() + pause;
  if (call->committed || !call->failure.retryable || call->retries >= call->max_retries ||
      resume_at >= call->deadline) {
    fail(call);
    return;
  }
  record_retry(call, pause);
  call->retries++;
  call->resume_at = resume_at;
  call->state = CALL_PAUSE;
}

/* ---- states ---- */

/* Returns the transport for the call's transfers, or NULL if out of memory. A transfer that a slow
 * loop may pause gets a connection of its own: on a shared HTTP/2 connection, libcurl would
 * continue to read the paused stream into memory while it serves the other streams. */
static struct transport *transport_of(struct call *call) {
  if (call->mode != CALL_PULLED) return session_transport(call->session);
  if (call->private_transport == NULL)
    call->private_transport = transport_new_private(session_transport(call->session));
  return call->private_transport;
}

static void start_transfer(struct call *call, const char *token) {
  struct buffer authorization = {0};
  buffer_add(&authorization, "Bearer ");
  buffer_add(&authorization, token);
  struct request request = {
      .url = call->url,
      .method = call->method,
      .authorization = authorization.data,
      .fields = call->fields.size > 0 ? call->fields.data : NULL,
      .content_type = call->content_type,
      .body = call->body.data,
      .body_size = call->body.size,
      .max_response_bytes = call->max_response_bytes,
      .loopback = session_is_loopback(call->session),
      .fresh_connection = is_unsafe(call),
      .uncoded = call->uncoded,
      .streamed = call->mode != CALL_WHOLE,
      .deadline = call->mode == CALL_PULLED ? INFINITY : call->deadline,
  };
  failure_clear(&call->failure);
  struct transport *transport = transport_of(call);
  if (!authorization.failed && transport != NULL)
    call->transfer = transfer_start(transport, &request);
  buffer_free(&authorization);
  if (call->transfer == NULL) {
    fail_out_of_memory(call);
    return;
  }
  call->api_requests++;
  call->asked_for_token = false;
  call->binding_ready = false;
  call->consumed = 0;
  call->state = CALL_TRANSFER;
}

/* Starts the request if there is a token. Otherwise waits for the store, or for a token request. */
static void authorize(struct call *call) {
  struct token_source *token_source = session_token_source(call->session);
  const char *token = token_source_token(token_source, call->waited_for_token, &call->generation);
  call->waited_for_token = false;
  /* Report the requests of a fetch whose end no call has seen. */
  event_move(&call->events, token_source_events(token_source));
  if (token != NULL) call->lock_deadline = 0;
  if (token == NULL && session_options(call->session)->has_store &&
      !token_source_lacks_key_password(token_source) && !token_source_is_fetching(token_source)) {
    call->resume_at = 0;
    call->state = CALL_STORE;
  } else if (token == NULL) {
    call_request_token(call);
  } else if (call->mode == CALL_TOKEN_ONLY) {
    succeed(call);
  } else {
    start_transfer(call, token);
  }
}

bool call_wants_token(const struct call *call) {
  if (call->state == CALL_TOKEN) return call->check_store;
  return call->state == CALL_STORE && clock_monotonic() >= call->resume_at;
}

/* Stops waiting for the fetch; the next step takes the token. */
static void leave_fetch(struct call *call) {
  call->token_requests += call->fetch->requests;
  if (!call->fetch->abandoned) call->failed_token_requests = 0;
  token_source_leave(session_token_source(call->session), call->fetch, FAILURE_NONE);
  call->state = CALL_AUTHORIZE;
}

bool call_import(struct call *call, const struct stored_token *token) {
  bool waits = call->state == CALL_TOKEN;
  call->check_store = false;
  if (waits ? call->fetch->ended : call->state != CALL_STORE) return true;
  struct token_source *token_source = session_token_source(call->session);
  /* Checking the store may have taken long: the next interval begins now. */
  if (waits) token_source_begin_store_check(token_source);
  if (!token_source_import(token_source, token)) return false;
  if (waits) leave_fetch(call);
  call->state = CALL_AUTHORIZE;
  session_signal(call->session, &call->base);
  return true;
}

bool call_wants_credentials(const struct call *call) {
  return call->state == CALL_TOKEN && !call->fetch->ended &&
         token_source_wants_credentials(session_token_source(call->session));
}

bool call_awaits_credentials(const struct call *call) {
  return call->state == CALL_TOKEN &&
         token_source_awaits_credentials(session_token_source(call->session), call->fetch);
}

void call_refuse_credentials(struct call *call) {
  failure_set(&call->failure, FAILURE_ARGUMENT,
              "a function that supplies a credential has called a method of its own client, which "
              "waits for that credential");
  count_token_requests(call);
  fail(call);
}

void call_request_token(struct call *call) {
  if (call->state != CALL_STORE && call->state != CALL_AUTHORIZE) return;
  call->asked_for_token = true;
  call->fetch = token_source_join(session_token_source(call->session), call->failed_token_requests);
  if (call->fetch == NULL) {
    fail_out_of_memory(call);
    return;
  }
  call->token_url = call->fetch->url;
  call->state = CALL_TOKEN;
}

bool call_wait_for_lock(struct call *call, double seconds) {
  double now = clock_monotonic();
  if (call->state != CALL_STORE) return true;
  if (call->lock_deadline == 0)
    call->lock_deadline = now + fmin(MAX_LOCKED_SECONDS, (call->deadline - now) / 2);
  if (now >= call->lock_deadline) return false;
  call->resume_at = fmin(now + seconds, call->lock_deadline);
  return true;
}

/* Returns when to check the store during a token request, in monotonic seconds; INFINITY if there
 * is no store or no request. */
static double store_check_due(const struct call *call) {
  if (!session_options(call->session)->has_store) return INFINITY;
  return token_source_store_check_due(session_token_source(call->session));
}

/* Has the binding check the store if that is due. Only one of the calls that wait for the token
 * request does so each time. */
static void check_store_if_due(struct call *call) {
  if (clock_monotonic() < store_check_due(call)) return;
  token_source_begin_store_check(session_token_source(call->session));
  call->check_store = true;
}

/* Handles the end of the fetch, and returns whether it has ended. If it was abandoned and the call
 * has time left, the call continues with another fetch, or with a token that has come from
 * elsewhere; this does not count as an attempt. */
static bool wait_for_token(struct call *call) {
  struct token_source *token_source = session_token_source(call->session);
  const struct token_fetch *fetch = call->fetch;
  token_source_run(token_source);
  event_move(&call->events, token_source_events(token_source));
  if (!fetch->ended) check_store_if_due(call);
  if (!fetch->ended || (fetch->abandoned && clock_monotonic() >= call->deadline)) return false;
  if (fetch->unchanged && call->failure.kind == FAILURE_AUTH && call->failure.status == 401) {
    leave_fetch(call); /* the caller's own token, which the API has refused in this call */
    call->asked_for_token = false;
    fail(call);
    return true;
  }
  if (fetch->abandoned || fetch->failure.kind == FAILURE_NONE) {
    call->waited_for_token = !fetch->abandoned;
    leave_fetch(call);
    return true;
  }
  count_token_requests(call);
  call->token_url = fetch->url;
  failure_copy(&call->failure, &fetch->failure);
  retry_or_fail(call);
  if (call->state == CALL_PAUSE) token_source_leave(token_source, call->fetch, FAILURE_NONE);
  return true;
}

/* The server chooses the target of a redirect, so secrets in it are replaced. */
static void describe_redirect(struct call *call, const struct response *r, const char *url) {
  struct buffer target = {0};
  add_redacted(call, r->redirect != NULL ? r->redirect : "an unknown target", &target);
  failure_set(&call->failure, FAILURE_HTTP,
              "HTTP %ld from %.400s: a redirect to %.400s, which is not followed", r->status, url,
              text_of(&target));
  buffer_free(&target);
}

/* Returns the end of the message about status 401. */
static const char *describe_refusal(const struct call *call) {
  const struct session_options *o = session_options(call->session);
  bool is_own =
      o->access_token != NULL || (o->supplied & CREDENTIAL_BIT(CREDENTIAL_ACCESS_TOKEN)) != 0;
  if (call->renewed) return ", and so was a new one";
  return is_own ? " (check access_token: it may have expired, or be for another base_url)" : "";
}

/* Sets the failure for a complete response whose status is not 2xx, and moves the body into it.
 * `url` is that of the call, without secrets. */
static void describe_status(struct call *call, struct response *r, const char *url) {
  struct failure *f = &call->failure;
  if (r->status == 401)
    failure_set(f, FAILURE_AUTH, "HTTP 401 from %.600s: the token was refused%s", url,
                describe_refusal(call));
  else if (response_is_redirect(r))
    describe_redirect(call, r, url);
  else
    failure_set(f, FAILURE_HTTP, "HTTP %ld from %.600s", r->status, url);
  f->retryable = retry_is_worthwhile(r->status);
  f->body = r->body;
  r->body = (struct buffer){0};
}

/* Sets the failure of a transfer that has ended, or calls the binding's `end` if it has
 * succeeded. */
static void describe_response(struct call *call, struct response *r, void *environment) {
  struct failure *f = &call->failure;
  struct buffer url = {0}, message = {0};
  if (r->failure.kind != FAILURE_NONE || !response_is_success(r))
    add_redacted(call, call->url, &url);
  if (r->failure.kind != FAILURE_NONE) {
    add_redacted(call, r->failure.message, &message);
    failure_set(f, r->failure.kind, "%.600s: %.300s", text_of(&url), text_of(&message));
    f->retryable = r->failure.retryable;
  } else if (!response_is_success(r)) {
    describe_status(call, r, text_of(&url));
  } else {
    call->binding->end(environment, f);
  }
  buffer_free(&url);
  buffer_free(&message);
  f->has_retry_after = r->has_retry_after;
  f->retry_after = r->retry_after;
}

/* If a 2xx response is not JSON, and its header says that it is an HTML page, adds this to the
 * message. Adds nothing to what libcurl has reported, or if the body may be the beginning of JSON:
 * then the failure is retryable. */
static void describe_page(const struct response *r, struct failure *f) {
  if (f->kind != FAILURE_DECODE || f->retryable || r->failure.kind != FAILURE_NONE) return;
  if (!response_is_success(r) || !r->is_html || r->bytes == 0) return;
  size_t size = strlen(f->message);
  snprintf(f->message + size, sizeof f->message - size,
           " (by its Content-Type it is an HTML page: check base_url)");
}

/* Takes from the response what is reported to the user. */
static void keep_response(struct call *call, const struct response *r) {
  struct failure *f = &call->failure;
  describe_page(r, f);
  f->status = r->status;
  call->received = r->bytes;
  if (f->kind != FAILURE_NONE) {
    bool refused = r->status == 429 || (r->status == 503 && r->has_retry_after);
    if (may_have_acted(call) && !refused) f->retryable = false;
    if (r->status != 0) transfer_take_header(call->transfer, &f->header);
  } else if (call->mode == CALL_WHOLE) {
    call->status = r->status;
    transfer_take_header(call->transfer, &call->header);
  }
}

/* Frees the transfer. Without a failure the call succeeds. Otherwise it gets a new token (once,
 * after a 401), retries or fails. */
static void finish_transfer(struct call *call) {
  const struct response *r = transfer_progress(call->transfer);
  bool refused = r->status == 401 && call->failure.kind == FAILURE_AUTH;
  if (r->status > 0 && r->status != 401)
    token_source_note_accepted(session_token_source(call->session), call->generation);
  record(call);
  keep_response(call, r);
  if (call->failure.kind == FAILURE_ARGUMENT) /* perhaps the private key cannot be used */
    token_source_reject_key_password(session_token_source(call->session));
  transfer_free(call->transfer);
  call->transfer = NULL;
  if (call->failure.kind == FAILURE_NONE) {
    succeed(call);
  } else if (refused &&
             token_source_reject(session_token_source(call->session), call->generation) &&
             !call->renewed) {
    call->renewed = true;
    call->state = CALL_AUTHORIZE;
  } else {
    retry_or_fail(call);
  }
}

/* Returns the bytes of a 2xx body that have arrived and were not passed on, and sets `*size`.
 * Returns NULL if there are none. */
static const char *unread_bytes(const struct call *call, size_t *size) {
  if (call->mode != CALL_WHOLE) return transfer_bytes(call->transfer, size);
  const struct response *r = transfer_progress(call->transfer);
  bool good = response_is_success(r) && r->failure.kind == FAILURE_NONE;
  *size = good ? r->body.size - call->consumed : 0;
  return *size > 0 ? r->body.data + call->consumed : NULL;
}

/* Passes a piece of these bytes to the binding. Returns whether there was one. */
static bool feed_piece(struct call *call, void *environment) {
  size_t size, limit = call->run_session ? FEED_BYTES : SMALL_FEED_BYTES;
  const char *bytes = unread_bytes(call, &size);
  if (size == 0) return false;
  if (limit > call->feed_bytes) limit = call->feed_bytes;
  if (size > limit) size = limit;
  double began = clock_monotonic();
  bool wants_more = call->binding->feed(environment, bytes, size, &call->failure);
  double seconds = clock_monotonic() - began;
  if (seconds > FEED_SECONDS && size / 2 >= MIN_FEED_BYTES) call->feed_bytes = size / 2;
  if (seconds < FEED_SECONDS / 4 && call->feed_bytes < FEED_BYTES) call->feed_bytes *= 2;
  if (call->mode == CALL_WHOLE)
    call->consumed += size;
  else
    transfer_take(call->transfer, size);
  if (call->failure.kind != FAILURE_NONE || !wants_more) finish_transfer(call);
  return true;
}

/* Passes everything that has arrived to the binding; only one piece if the thread has other calls
 * to serve. Returns whether there was anything. */
static bool feed(struct call *call, void *environment) {
  if (!feed_piece(call, environment)) return false;
  while (call->run_session && call->state == CALL_TRANSFER && clock_monotonic() < call->until)
    if (!feed_piece(call, environment)) break;
  return true;
}

/* Calls `begin` while the request is in progress. Returns whether the call is still receiving. */
static bool prepare_binding(struct call *call, void *environment) {
  call->binding_ready = true;
  call->binding->begin(environment, &call->failure);
  if (call->failure.kind != FAILURE_NONE) finish_transfer(call);
  return call->state == CALL_TRANSFER;
}

/* Passes bytes to the binding, or handles the end of the transfer. Returns whether there was
 * something to do. */
static bool receive(struct call *call, void *environment) {
  if (!call->binding_ready && !prepare_binding(call, environment)) return true;
  if (call->mode != CALL_PULLED && feed(call, environment)) return true;
  size_t size = 0;
  if (call->mode == CALL_PULLED) transfer_bytes(call->transfer, &size);
  struct response *r = transfer_response(call->transfer);
  if (size > 0 || r == NULL) return false;
  describe_response(call, r, environment);
  finish_transfer(call);
  return true;
}

/* Does the next thing that needs no waiting. Returns whether anything has changed, so that calling
 * this again may do more. */
static bool advance(struct call *call, void *environment) {
  switch (call->state) {
  case CALL_AUTHORIZE:
    if (clock_monotonic() >= call->deadline) return false; /* too late to start a request */
    authorize(call);
    return true;
  case CALL_STORE: return false;
  case CALL_TOKEN: return wait_for_token(call);
  case CALL_TRANSFER: return receive(call, environment);
  case CALL_PAUSE:
    if (clock_monotonic() < call->resume_at) return false;
    call->state = CALL_AUTHORIZE;
    return true;
  case CALL_ENDED: return false; /* GCOVR_EXCL_LINE: call_step does not come here */
  }
  return false; /* GCOVR_EXCL_LINE: the switch is complete */
}

/* After call_commit, the deadline counts from the last byte that arrived, and only while the
 * binding waits for one: how long it works on what it has taken is not limited. */
static void extend_deadline(struct call *call) {
  uint64_t received = call_received(call);
  if (!call->committed || (call->waiting_for_bytes && call->received == received)) return;
  call->waiting_for_bytes = true;
  call->received = received;
  call->deadline = clock_monotonic() + call->timeout;
}

static bool has_response(const struct call *call) {
  return call->state == CALL_TRANSFER && transfer_response(call->transfer) != NULL;
}

/* Whether the next step has something to do without running the session. */
static bool can_progress(const struct call *call) {
  return call->state == CALL_AUTHORIZE || has_response(call);
}

/* At the deadline: if the status of an error is known, stops waiting for the rest of its body. */
static void end_error_body(struct call *call) {
  if (call->state == CALL_TRANSFER)
    transfer_end_error_body(call->transfer);
  else if (call->state == CALL_TOKEN)
    token_source_end_error_body(session_token_source(call->session), call->fetch);
}

static double deadline_of(const struct session_call *base) {
  const struct call *call = (const struct call *)base;
  return has_response(call) ? INFINITY : call->deadline;
}

static void fail_if_overdue(struct session_call *base, double now) {
  struct call *call = (struct call *)base;
  if (isinf(deadline_of(base))) return;
  extend_deadline(call);
  if (now < call->deadline) return;
  wake_waiter(call);
  end_error_body(call);
  if (has_response(call) || (call->state == CALL_TOKEN && wait_for_token(call))) return;
  fail_timeout(call);
}

/* For a call that is stepped only after its deadline, although its response arrived in time. */
static void read_late_response(struct call *call, void *environment) {
  double until = clock_monotonic() + LATE_SECONDS;
  while (has_response(call) && clock_monotonic() < until && advance(call, environment))
    ;
}

bool call_step(struct call *call, void *environment, double seconds, bool run_session) {
  struct session *session = call->session;
  if (call->state == CALL_ENDED) return true;
  if (!session_enter(session)) {
    failure_set(&call->failure, FAILURE_ARGUMENT,
                "a client cannot be used by a finalizer that runs during one of its calls");
    fail(call);
    return true;
  }
  bool progress, others_progressed = false;
  call->run_session = run_session;
  double now = clock_monotonic();
  if (isinf(call->deadline) && !call->committed) call->deadline = now + call->timeout;
  extend_deadline(call);
  call->until = fmin(call->deadline, now + seconds);
  do {
    progress = run_session && !can_progress(call) && session_run(session, call->until);
    others_progressed = others_progressed || progress;
    progress = advance(call, environment) || (progress && call->mode != CALL_PULLED);
  } while (progress && call->state != CALL_ENDED && clock_monotonic() < call->until);
  if (clock_monotonic() >= call->deadline) {
    end_error_body(call);
    if (call->state == CALL_TOKEN) wait_for_token(call);
    read_late_response(call, environment);
  }
  if (!run_session) reactor_run_timers(session_reactor(session));
  extend_deadline(call);
  if (call->state != CALL_ENDED && clock_monotonic() >= call->deadline) fail_timeout(call);
  if (others_progressed) session_signal(session, &call->base);
  session_leave(session);
  return call->state == CALL_ENDED;
}

enum call_result call_result(const struct call *call) {
  if (call->state != CALL_ENDED) return CALL_RUNNING;
  return call->succeeded ? CALL_SUCCEEDED : CALL_FAILED;
}

const struct failure *call_failure(const struct call *call) {
  return call_result(call) == CALL_FAILED ? &call->failure : NULL;
}

const char *call_requested_url(const struct call *call) {
  if (call->asked_for_token) return session_is_closed(call->session) ? NULL : call->token_url;
  return call->api_requests > 0 ? call->url : NULL;
}

bool call_is_ready(const struct call *call, size_t *bytes) {
  *bytes = 0;
  switch (call->state) {
  case CALL_STORE:
  case CALL_PAUSE: return clock_monotonic() >= call->resume_at;
  case CALL_TOKEN:
    return call->check_store || clock_monotonic() >= store_check_due(call) ||
           token_source_is_ready(session_token_source(call->session), call->fetch);
  case CALL_TRANSFER: unread_bytes(call, bytes); return *bytes > 0 || has_response(call);
  case CALL_AUTHORIZE:
  case CALL_ENDED: break;
  }
  return true;
}

double call_due(const struct call *call) {
  double until = call->deadline;
  if (call->state == CALL_PAUSE || call->state == CALL_STORE)
    until = fmin(until, call->resume_at);
  else if (call->state == CALL_TOKEN)
    until = fmin(
        until, fmin(token_source_due(session_token_source(call->session)), store_check_due(call)));
  return fmax(until - clock_monotonic(), 0);
}

void call_block(struct call *call) {
  size_t bytes;
  if (!call_is_ready(call, &bytes)) reactor_wait(session_reactor(call->session), call_due(call));
}

void call_set_wakeup(struct call *call, struct wakeup *wakeup) {
  if (call->state == CALL_ENDED) return;
  if (wakeup != NULL) wakeup_retain(wakeup);
  wakeup_release(call->wakeup);
  call->wakeup = wakeup;
}

static void signal_if_ready(struct session_call *base) {
  struct call *call = (struct call *)base;
  size_t bytes;
  if (call->wakeup != NULL && call_is_ready(call, &bytes)) wakeup_signal(call->wakeup);
}

long call_status(const struct call *call) {
  return call->status;
}

const struct buffer *call_header(const struct call *call) {
  return &call->header;
}

const char *call_body(const struct call *call, size_t *size) {
  const struct buffer *body = &transfer_progress(call->transfer)->body;
  *size = body->size;
  return body->data;
}

uint64_t call_received(const struct call *call) {
  return call->transfer != NULL ? transfer_progress(call->transfer)->bytes : call->received;
}

const char *call_bytes(const struct call *call, size_t *size) {
  *size = 0;
  bool can_take = call->mode == CALL_PULLED && call->transfer != NULL && call->binding_ready;
  return can_take ? transfer_bytes(call->transfer, size) : NULL;
}

void call_take(struct call *call, size_t size) {
  call->waiting_for_bytes = false;
  transfer_take(call->transfer, size);
}

void call_commit(struct call *call) {
  call->committed = true;
  call->deadline = INFINITY; /* until the next step, see extend_deadline */
}

void call_accept_body(struct call *call) {
  failure_clear(&call->failure);
  finish_transfer(call);
}

void call_reject_body(struct call *call, struct failure *failure) {
  failure_clear(&call->failure);
  call->failure = *failure;
  *failure = (struct failure){0};
  finish_transfer(call);
}

struct event *call_take_event(struct call *call) {
  return event_take(&call->events);
}

/* ---- a new call ---- */

static const struct session_call_functions functions = {
    .close = fail_closed,
    .deadline = deadline_of,
    .fail_if_overdue = fail_if_overdue,
    .signal = signal_if_ready,
};

static char *make_url(const struct session_options *session, const struct call_options *options) {
  struct buffer url = {0};
  buffer_add(&url, session->base_url);
  buffer_add(&url, options->path);
  if (options->query != NULL && *options->query != '\0') {
    buffer_add(&url, "?");
    buffer_add(&url, options->query);
  }
  if (url.failed) buffer_free(&url);
  return url.data;
}

/* Moves the request's header fields and body into the call. Returns false if out of memory: then
 * nothing was moved. */
static bool take_request(struct call *call, const struct call_options *options) {
  call->method = options->method;
  call->content_type = text_copy(options->content_type);
  if (options->content_type != NULL && call->content_type == NULL) return false;
  if (options->body != NULL) {
    call->body = *options->body;
    *options->body = (struct buffer){0};
  }
  if (options->fields != NULL) {
    call->fields = *options->fields;
    *options->fields = (struct buffer){0};
  }
  return true;
}

struct call *call_new(struct session *session, const struct call_options *options) {
  if (session_is_closed(session)) return NULL;
  struct call *call = calloc(1, sizeof *call);
  if (call == NULL) return NULL;
  if (options->mode != CALL_TOKEN_ONLY) {
    call->url = make_url(session_options(session), options);
    if (call->url == NULL || !take_request(call, options)) {
      secret_free(call->url);
      free(call);
      return NULL;
    }
  }
  call->base.functions = &functions;
  call->session = session;
  call->binding = options->binding;
  call->mode = options->mode;
  call->timeout = options->timeout;
  call->deadline = INFINITY; /* until the first step */
  call->max_retries = options->max_retries;
  call->max_response_bytes = options->max_response_bytes;
  call->uncoded = options->uncoded;
  call->feed_bytes = FEED_BYTES;
  call->events.recording = session_options(session)->record_events;
  session_retain(session);
  session_add_call(session, &call->base);
  return call;
}
