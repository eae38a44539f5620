/* Keeps a SIGPIPE that libcurl causes from ending the process. Does nothing unless the loaded
 * libcurl has the quirk `raises_sigpipe`.
 *
 *   sigpipe_block, sigpipe_restore */
#ifndef PODERO_SIGPIPE_H
#define PODERO_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

struct sigpipe_guard {
  bool active;
  sigset_t mask; /* if active: the thread's signal mask before sigpipe_block */
};

/* Blocks SIGPIPE in this thread. Must be followed by sigpipe_restore with the same guard. */
void sigpipe_block(struct sigpipe_guard *guard);

/* Discards a SIGPIPE that was raised since sigpipe_block, and restores the signal mask. */
void sigpipe_restore(struct sigpipe_guard *guard);

#endif
