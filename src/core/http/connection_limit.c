/* max_connections limits the connections of a transport and its private transports together.
 * libcurl limits those of the shared transport to what the private ones leave. Each private
 * transport has one connection, for which it is admitted at once or waits in a queue. */
#include "core/http/internal.h"

/* How many idle connections are kept. libcurl's default depends on the number of transfers, so that
 * it would close connections when many transfers end together. */
#define MAX_IDLE_CONNECTIONS 64L

static unsigned get_limit(const struct transport *t) {
  unsigned max = t->options->max_connections;
  if (t->shared != NULL) return 1;
  return max > t->private_count ? max - t->private_count : 1;
}

void connection_limit_apply(struct transport *t) {
  long limit = (long)get_limit(t);
  if (t->multi == NULL) return;
  curl_multi_setopt(t->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, limit);
  curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS,
                    limit < MAX_IDLE_CONNECTIONS ? limit : MAX_IDLE_CONNECTIONS);
}

/* Admits one more private transport if there is room for its connection. If not, closes idle
 * connections: all of them if the shared transport has no transfers; otherwise libcurl closes some
 * when it next uses them, because of the new limit.
 *
 * One connection is always left to the shared transport. Otherwise a call could wait for a loop
 * that continues only after the call. */
static bool admit_one(struct transport *shared) {
  unsigned max = shared->options->max_connections;
  unsigned max_private = max > 1 ? max - 1 : 1;
  if (shared->private_count >= max_private) return false;
  bool full = sockets_count(&shared->sockets) + shared->private_count >= max;
  shared->private_count++;
  connection_limit_apply(shared);
  if (!full) return true;
  if (shared->transfers == NULL) {
    transport_close(shared);
    transport_open(shared);
    return true;
  }
  shared->private_count--; /* without connection_limit_apply: libcurl must close some */
  return false;
}

static void leave_queue(struct transport *t) {
  struct transport **place = &t->shared->queue;
  while (*place != t)
    place = &(*place)->next;
  *place = t->next;
  if (t->shared->queue_end == &t->next) t->shared->queue_end = place;
  t->queued = false;
  connection_limit_apply(t->shared);
}

static void submit_transfers(struct transport *t) {
  for (struct transfer *x = t->transfers, *next; x != NULL; x = next) {
    next = x->next;
    if (!transport_submit(x)) transfer_end(x, CURLE_OUT_OF_MEMORY);
  }
}

void connection_limit_admit(struct transport *shared) {
  transport_reset_after_fork(shared); /* admit_one closes idle connections, but not the parent's */
  while (shared->queue != NULL && admit_one(shared)) {
    struct transport *t = shared->queue;
    leave_queue(t);
    t->admitted = true;
    submit_transfers(t);
  }
}

void connection_limit_enter(struct transport *t) {
  struct transport *shared = t->shared;
  if (!t->queued) {
    if (shared->queue == NULL) shared->queue_end = &shared->queue;
    *shared->queue_end = t;
    shared->queue_end = &t->next;
    t->next = NULL;
    t->queued = true;
  }
  connection_limit_admit(shared);
}

void connection_limit_leave(struct transport *t) {
  if (t->queued) leave_queue(t);
  if (!t->admitted) return;
  t->admitted = false;
  t->shared->private_count--;
  connection_limit_apply(t->shared);
  connection_limit_admit(t->shared);
}
