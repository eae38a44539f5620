/* A descriptor for the event loops of others: readable from wakeup_signal until wakeup_clear, and,
 * if the system has epoll, while a reactor has a ready descriptor. Something that waits for calls,
 * a coroutine for example, has one of its own: when another coroutine runs the reactor and so
 * completes a call of the first one, no socket becomes ready again, and the first one's wakeup is
 * signaled.
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

/* Returns a new wakeup, which belongs to no reactor, with one reference. It holds two descriptors.
 * Returns NULL if out of memory or descriptors, with errno set. */
struct wakeup *wakeup_new(void);

/* Adds and removes a reference. The last one frees the wakeup and closes its descriptors. NULL may
 * be released. */
void wakeup_retain(struct wakeup *wakeup);
void wakeup_release(struct wakeup *wakeup);

/* ---- reactor ---- */

/* Attaches the wakeup to this reactor, after detaching it from another one. To be called before
 * each wait, since the reactor's descriptor can change; costs no system call if it has not. Returns
 * false if the reactor has no descriptor, which it never has on systems without epoll, or if
 * epoll_ctl fails: then the wakeup is not readable if the reactor has a ready descriptor. */
bool wakeup_attach(struct wakeup *wakeup, struct reactor *reactor);

/* Detaches the wakeup from its reactor, if there is one. The reactor may have been freed. */
void wakeup_detach(struct wakeup *wakeup);

/* ---- wait ---- */

/* Returns the descriptor to wait on until it is readable; nothing else may be done with it. It is
 * owned by the wakeup, and stays the same. */
int wakeup_descriptor(const struct wakeup *wakeup);

/* Returns whether the descriptor is readable now. */
bool wakeup_is_readable(const struct wakeup *wakeup);

/* ---- signal ---- */

/* Makes the descriptor readable. Does nothing if it was signaled before, or in a forked child. */
void wakeup_signal(struct wakeup *wakeup);

/* Undoes wakeup_signal. The descriptor stays readable while the reactor that it is attached to has
 * a ready descriptor. */
void wakeup_clear(struct wakeup *wakeup);

/* ---- fork ---- */

/* Returns false in a child of the process that made the wakeup. The child shares the descriptors
 * with its parent; it can only release the wakeup. */
bool wakeup_is_usable(const struct wakeup *wakeup);

#endif
