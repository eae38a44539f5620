#include "core/event.h"

#include <stdlib.h>

static void append(struct event_queue *queue, struct event *event) {
  event->next = NULL;
  if (queue->first == NULL) queue->last = &queue->first;
  *queue->last = event;
  queue->last = &event->next;
}

void event_add(struct event_queue *queue, const struct event *event) {
  if (!queue->recording) return;
  struct event *copy = malloc(sizeof *copy);
  if (copy == NULL) return;
  *copy = *event;
  copy->url = text_copy(event->url);
  copy->header = (struct buffer){0};
  bool copied = buffer_append(&copy->header, event->header.data, event->header.size) &&
                (copy->url != NULL || event->url == NULL);
  if (copied)
    append(queue, copy);
  else
    event_free(copy);
}

struct event *event_take(struct event_queue *queue) {
  struct event *event = queue->first;
  if (event != NULL) queue->first = event->next;
  return event;
}

void event_move(struct event_queue *to, struct event_queue *from) {
  struct event *event;
  while ((event = event_take(from)) != NULL)
    append(to, event);
}

void event_free(struct event *event) {
  if (event == NULL) return;
  free(event->url);
  buffer_free(&event->header);
  free(event);
}

void event_clear(struct event_queue *queue) {
  struct event *event;
  while ((event = event_take(queue)) != NULL)
    event_free(event);
}
