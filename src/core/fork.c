#define _GNU_SOURCE /* dladdr NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
#include "core/fork.h"

#include <dlfcn.h>
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

/* Keeps the module in memory when the Lua state that has loaded it is closed, because some systems
 * still call the fork handler then. dlopen fails only if the module is linked into the program, and
 * so never unloaded. */
static void pin_module(void) {
  Dl_info module;
  if (dladdr(&count, &module) != 0) dlopen(module.dli_fname, RTLD_NOW);
}

static void initialize(void) {
  pin_module();
  initialized = pthread_atfork(NULL, NULL, count_fork) == 0;
}

bool fork_init(void) {
  pthread_once(&once, initialize);
  return initialized;
}

unsigned fork_count(void) {
  return count;
}

/* Whether device and inode do not identify the file: it is an eventfd, timerfd or epoll set, whose
 * inode has no file type on Linux, or a socket on a system where sockets have no inode. */
static bool is_anonymous(const struct stat *status) {
#ifdef PODERO_POSIX_ONLY
  if (S_ISSOCK(status->st_mode)) return true;
#endif
  return (status->st_mode & S_IFMT) == 0 || status->st_ino == 0;
}

struct file_id fork_file_id(int fd) {
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) return (struct file_id){0};
  bool marked = is_anonymous(&status) && fcntl(fd, F_SETOWN, getpid()) == 0;
  return (struct file_id){.opened = true,
                          .device = status.st_dev,
                          .inode = status.st_ino,
                          .owner = marked ? getpid() : 0,
                          .fork_count = count};
}

bool fork_is_same_file(int fd, struct file_id file) {
  struct stat status;
  if (!file.opened || fstat(fd, &status) != 0) return false;
  if (status.st_dev != file.device || status.st_ino != file.inode) return false;
  return !is_anonymous(&status) || (file.owner != 0 && fcntl(fd, F_GETOWN) == file.owner);
}

void fork_close(int fd, struct file_id file) {
  if (file.fork_count == count || fork_is_same_file(fd, file)) close(fd);
}
