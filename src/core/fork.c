#include "core/fork.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool initialized;
static unsigned count;

static void count_fork(void) {
  count++;
}

static void initialize(void) {
  initialized = pthread_atfork(NULL, NULL, count_fork) == 0;
}

bool fork_init(void) {
  pthread_once(&once, initialize);
  return initialized;
}

unsigned fork_count(void) {
  return count;
}

/* Whether it is an eventfd, a timerfd or an epoll set: their inode has no file type on Linux. */
static bool is_anonymous(const struct stat *status) {
  return (status->st_mode & S_IFMT) == 0;
}

struct file_id fork_file_id(int fd) {
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) return (struct file_id){0};
  bool marked = is_anonymous(&status) && fcntl(fd, F_SETOWN, getpid()) == 0;
  return (struct file_id){.device = status.st_dev,
                          .inode = status.st_ino,
                          .owner = marked ? getpid() : 0,
                          .fork_count = count};
}

bool fork_is_same_file(int fd, struct file_id file) {
  struct stat status;
  if (file.inode == 0 || fstat(fd, &status) != 0) return false;
  if (status.st_dev != file.device || status.st_ino != file.inode) return false;
  return !is_anonymous(&status) || (file.owner != 0 && fcntl(fd, F_GETOWN) == file.owner);
}

void fork_close(int fd, struct file_id file) {
  if (file.fork_count == count || fork_is_same_file(fd, file)) close(fd);
}
