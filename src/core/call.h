/* One API call as a state machine that anyone may push forward and that never waits:
 * token -> request -> (pause, another attempt | renewed token) -> outcome. */
#ifndef PODERO_CALL_H
#define PODERO_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/agent.h"
#include "core/event.h"
#include "core/failure.h"
#include "core/oauth2.h"

struct call;

/* The binding's part, called from call_step alone and handed its `environment`. It must neither
 * raise nor wait. */
struct call_binding {
  token_reader *read_token;
  /* Takes a 2xx body of `size` bytes. Fills `failure` where it is not what the call wants. */
  void (*accept)(void *environment, const char *body, size_t size, struct failure *failure);
};

/* Borrowed until call_new returns, `binding` apart, which must outlive the call. */
struct call_options {
  const struct call_binding *binding;
  const char *path;  /* on base_url, in its final form; NULL: only a token is wanted */
  const char *query; /* encoded, without "?"; NULL or "": none */
  double timeout;    /* seconds, for the whole call */
  unsigned max_retries;
  uint64_t max_response_bytes;
};

/* A new call, or NULL when memory is short. It holds a reference to the agent. */
struct call *call_new(struct agent *agent, const struct call_options *options);

/* Ends the call, if it still runs, and frees it. NULL is fine. */
void call_free(struct call *call);

/* Moves on as far as possible without waiting. True when the call has ended; then call_failure
 * tells how. */
bool call_step(struct call *call, void *environment);

/* The failure, or NULL: the call has succeeded, or still runs. */
const struct failure *call_failure(const struct call *call);

/* Ends the call as having failed. Nothing happens where it has ended already. */
void call_end_closed(struct call *call);

/* Blocks until there is something to do for this or another call of its agent. */
void call_wait(struct call *call);

/* The next exchange that on_event is to be told of, to be freed with event_free; or NULL. */
struct event *call_take_event(struct call *call);

/* For the agent's list. */
struct call_link {
  struct call *next, *previous;
};
struct call_link *call_link(struct call *call);

#endif
