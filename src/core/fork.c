#include "core/fork.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool watching;
static unsigned forks;

static void count_fork(void) {
  forks++;
}

static void watch(void) {
  watching = pthread_atfork(NULL, NULL, count_fork) == 0;
}

bool fork_watch(void) {
  pthread_once(&once, watch);
  return watching;
}

unsigned fork_count(void) {
  return forks;
}
