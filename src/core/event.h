/* Events for the on_event function and the log, queued until the binding reports them.
 *
 *   queue   event_add, event_take, event_move, event_clear
 *   free    event_free */
#ifndef PODERO_EVENT_H
#define PODERO_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/failure.h"

enum event_type {
  EVENT_EXCHANGE, /* an HTTP transfer has ended */
  EVENT_RETRY     /* a call pauses before another attempt */
};

struct event {
  struct event *next; /* private to the queue */
  enum event_type type;
  bool for_token;               /* a token request, else an API request */
  long status;                  /* HTTP status, or 0 if there was no response */
  unsigned attempt;             /* 1 for the first; EVENT_RETRY: the one that has failed */
  enum failure_kind error_kind; /* FAILURE_NONE if the attempt succeeded */
  /* EVENT_EXCHANGE */
  const char *method;           /* static */
  char *url;                    /* without secrets; owned if the event came from event_take */
  double seconds;               /* that the transfer took */
  double seconds_to_first_byte; /* of the response; undefined if `status` is 0 */
  uint64_t bytes;               /* of the decoded body */
  struct buffer header;         /* fields of the response, see struct response; owned as `url` is */
  bool reused;                  /* the connection had been used before */
  /* EVENT_RETRY */
  double pause; /* seconds */
};

/* A first-in, first-out queue. Initialize with zeros. event_add does nothing unless `recording` is
 * set. */
struct event_queue {
  bool recording;
  struct event *first, **last;
};

/* Appends a copy of the event, of its `header` and of its `url`, which may be NULL, if the queue is
 * recording. Drops the event if out of memory. */
void event_add(struct event_queue *queue, const struct event *event);

/* Removes the first event and returns it, to be freed with event_free. Returns NULL if the queue is
 * empty. */
struct event *event_take(struct event_queue *queue);

/* Moves all events of `from` to the end of `to`, whether or not `to` is recording. */
void event_move(struct event_queue *to, struct event_queue *from);

/* Frees all events of the queue. It can be used again. */
void event_clear(struct event_queue *queue);

/* Frees an event from event_take. NULL does nothing. */
void event_free(struct event *event);

#endif
