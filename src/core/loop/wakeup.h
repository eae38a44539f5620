/* A descriptor for other event loops to wait on. It is readable from wakeup_signal until
 * wakeup_clear and, if the system has epoll, while a reactor has a ready descriptor.
 *
 * Whatever waits for calls, such as a coroutine, has its own wakeup. If another coroutine runs the
 * reactor, and so completes a call of the first one, no socket becomes ready again; instead, the
 * wakeup of the first one is signaled.
 *
 *   create      wakeup_new, wakeup_retain, wakeup_release
 *   reactor     wakeup_attach, wakeup_detach
 *   wait        wakeup_descriptor, wakeup_is_readable
 *   signal      wakeup_signal, wakeup_clear
 *   fork        wakeup_is_usable
 *
 * To be used by one thread at a time. */
#ifndef PODERO_WAKEUP_H
#define PODERO_WAKEUP_H

#include <stdbool.h>

#include "core/loop/reactor.h"

struct wakeup;

/* ---- create ---- */

/* Returns a new wakeup with one reference, attached to no reactor. It has two descriptors. Returns
 * NULL if out of memory or descriptors, with errno set. */
struct wakeup *wakeup_new(void);

/* Add and remove a reference. Removing the last one frees the wakeup and closes its descriptors.
 * Releasing NULL does nothing. */
void wakeup_retain(struct wakeup *wakeup);
void wakeup_release(struct wakeup *wakeup);

/* ---- reactor ---- */

/* Attaches the wakeup to this reactor, and detaches it from any other. Call this before each wait,
 * since the reactor's descriptor can change; it makes no system call if it has not. Returns false
 * if the reactor has no descriptor, as on systems without epoll, or if epoll_ctl fails: then a
 * ready descriptor of the reactor does not make the wakeup readable. */
bool wakeup_attach(struct wakeup *wakeup, struct reactor *reactor);

/* Detaches the wakeup from its reactor, if there is one. The reactor may already be freed. */
void wakeup_detach(struct wakeup *wakeup);

/* ---- wait ---- */

/* Returns the descriptor to wait on until it is readable; nothing else may be done with it. It is
 * owned by the wakeup, and never changes. */
int wakeup_descriptor(const struct wakeup *wakeup);

/* Returns whether the descriptor is readable now. */
bool wakeup_is_readable(const struct wakeup *wakeup);

/* ---- signal ---- */

/* Makes the descriptor readable. Does nothing if it was signaled already, or in a forked child. */
void wakeup_signal(struct wakeup *wakeup);

/* Undoes wakeup_signal. The descriptor stays readable while the attached reactor has a ready
 * descriptor. */
void wakeup_clear(struct wakeup *wakeup);

/* ---- fork ---- */

/* Returns false in a child of the process that made the wakeup. The child shares the descriptors
 * with its parent, and may only release the wakeup. */
bool wakeup_is_usable(const struct wakeup *wakeup);

#endif
