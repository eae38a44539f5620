/* A descriptor that an event loop outside can wait on: it is readable while a reactor has something
 * to run, and after it was signaled. Each waiter needs one of its own, since the run of one waiter
 * may complete the call of another while no socket becomes readable again.
 *
 * Systems without epoll and eventfd have none: wakeup_new returns NULL there. */
#ifndef PODERO_WAKEUP_H
#define PODERO_WAKEUP_H

#include <stdbool.h>

#include "core/loop/reactor.h"

struct wakeup;

/* Returns a new wakeup with one reference, or NULL: out of memory or descriptors (errno tells), or
 * not supported. */
struct wakeup *wakeup_new(void);

/* A wakeup is freed with its last reference. Releasing NULL does nothing. */
void wakeup_retain(struct wakeup *wakeup);
void wakeup_release(struct wakeup *wakeup);

/* Attaches the wakeup to this reactor, and detaches it from the one before.
 * To be called before each wait, since a reactor's descriptor may change; if it has not, nothing is
 * done. Returns false if the system refuses. */
bool wakeup_attach(struct wakeup *wakeup, struct reactor *reactor);

/* Detaches the wakeup from its reactor, if it has one. That may have been freed. */
void wakeup_detach(struct wakeup *wakeup);

/* Returns false in a child of the process that made the wakeup: it is useless there. */
bool wakeup_is_ours(const struct wakeup *wakeup);

/* The descriptor to wait on, owned by the wakeup. */
int wakeup_descriptor(const struct wakeup *wakeup);

/* Makes the descriptor readable until wakeup_clear is called. */
void wakeup_signal(struct wakeup *wakeup);
void wakeup_clear(struct wakeup *wakeup);

/* Returns whether the descriptor is readable now. */
bool wakeup_is_readable(const struct wakeup *wakeup);

#endif
