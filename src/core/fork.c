#include "core/fork.h"

#include <fcntl.h>
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

/* Linux gives anonymous inodes no type. */
static bool is_anonymous(const struct stat *status) {
  return (status->st_mode & S_IFMT) == 0;
}

struct fork_id fork_id_of(int fd) {
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) return (struct fork_id){0};
  bool tagged = is_anonymous(&status) && fcntl(fd, F_SETOWN, getpid()) == 0;
  return (struct fork_id){.device = status.st_dev,
                          .inode = status.st_ino,
                          .owner = tagged ? getpid() : 0,
                          .forks = forks};
}

bool fork_has_kept(int fd, struct fork_id mark) {
  struct stat status;
  if (mark.inode == 0 || fstat(fd, &status) != 0) return false;
  if (status.st_dev != mark.device || status.st_ino != mark.inode) return false;
  return !is_anonymous(&status) || (mark.owner != 0 && fcntl(fd, F_GETOWN) == mark.owner);
}

void fork_close(int fd, struct fork_id mark) {
  if (mark.forks == forks || fork_has_kept(fd, mark)) close(fd);
}
