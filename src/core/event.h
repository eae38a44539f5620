/* Events for the on_event function: one for each HTTP transfer, queued until the binding reports
 * them.
 *
 *   queue   event_add, event_take, event_move, event_clear
 *   free    event_free */
#ifndef PODERO_EVENT_H
#define PODERO_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/failure.h"

struct event {
  struct event *next;           /* private to the queue */
  bool for_token;               /* a token request, else an API request */
  const char *method;           /* static */
  char *url;                    /* owned if the event came from event_take */
  long status;                  /* HTTP status, or 0 if there was no response */
  unsigned attempt;             /* 1 for the first */
  double seconds;               /* that the transfer took */
  uint64_t bytes;               /* of the decoded body */
  enum failure_kind error_kind; /* FAILURE_NONE if the attempt succeeded */
};

/* First in, first out. Initialize with zeros; a queue with `recording` false stays empty. */
struct event_queue {
  bool recording;
  struct event *first, **last;
};

/* Appends a copy of the event if the queue is recording. The event is dropped if out of memory. */
void event_add(struct event_queue *queue, const struct event *event);

/* Removes the first event and returns it, to be freed with event_free. Returns NULL if the queue is
 * empty. */
struct event *event_take(struct event_queue *queue);

/* Appends all events of `from` to `to`, recording or not; `from` is empty then. */
void event_move(struct event_queue *to, struct event_queue *from);

/* Frees all events of the queue, which can be used again. */
void event_clear(struct event_queue *queue);

/* Frees an event from event_take. NULL does nothing. */
void event_free(struct event *event);

#endif
