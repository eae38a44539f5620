#include "core/http/sigpipe.h"

#include <stddef.h>

#include "core/http/libcurl.h"

static bool is_pending(void) {
  sigset_t pending;
  return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

void sigpipe_block(struct sigpipe_guard *guard) {
  sigset_t sigpipe;
  /* If a SIGPIPE is pending already, the program has blocked it, and it must not be discarded. */
  guard->active = libcurl_quirks.raises_sigpipe && !is_pending();
  if (!guard->active) return;
  /* GCOVR_EXCL_START: only with libcurl before 7.87 */
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  guard->active = pthread_sigmask(SIG_BLOCK, &sigpipe, &guard->mask) == 0;
  /* GCOVR_EXCL_STOP */
}

void sigpipe_restore(struct sigpipe_guard *guard) {
  sigset_t sigpipe;
  int signal;
  if (!guard->active) return;
  /* GCOVR_EXCL_START: as above */
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  if (is_pending()) sigwait(&sigpipe, &signal);
  pthread_sigmask(SIG_SETMASK, &guard->mask, NULL);
  /* GCOVR_EXCL_STOP */
}
