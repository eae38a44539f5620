/* What on_event is told: one HTTP transfer each. */
#ifndef PODERO_EVENT_H
#define PODERO_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/failure.h"

struct event {
  struct event *next;
  bool for_token; /* purpose: "token", else "api" */
  const char *method;
  char *url;
  long status;      /* 0: none came */
  unsigned attempt; /* from 1 */
  double seconds;
  uint64_t bytes; /* of the decoded body */
  enum failure_kind error_kind;
};

/* First in, first out. All zero is an empty queue that records nothing. */
struct event_queue {
  bool recording;
  struct event *first, **last;
};

/* Adds a copy. An event for which memory does not suffice is lost; the call goes on. */
void event_add(struct event_queue *queue, const struct event *event);

/* Takes the first event out, to be freed with event_free; NULL when there is none. */
struct event *event_take(struct event_queue *queue);

/* Appends all of `from`, which is empty after that. */
void event_move(struct event_queue *to, struct event_queue *from);

void event_free(struct event *event);

/* Frees every event of the queue. */
void event_clear(struct event_queue *queue);

#endif
