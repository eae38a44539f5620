#include "core/fork.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

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

struct fork_mark fork_mark_of(int fd) {
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) return (struct fork_mark){0};
  return (struct fork_mark){status.st_dev, status.st_ino};
}

bool fork_has_kept(int fd, struct fork_mark mark) {
  struct fork_mark now = fork_mark_of(fd);
  return now.inode != 0 && now.device == mark.device && now.inode == mark.inode;
}

void fork_close(int fd, struct fork_mark mark) {
  if (fork_has_kept(fd, mark)) close(fd);
}
