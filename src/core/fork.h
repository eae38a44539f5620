/* Noticing in a child process that it was forked.
 *
 *   count    fork_init, fork_count
 *   files    struct file_id, fork_file_id, fork_is_same_file, fork_close
 *
 * A child inherits sockets and epoll sets, which it must not use, and has to replace them. */
#ifndef PODERO_FORK_H
#define PODERO_FORK_H

#include <stdbool.h>
#include <sys/types.h>

/* ---- count ---- */

/* Begins to count forks, and keeps the module from being unloaded. To be called before fork_count;
 * further calls do nothing. Returns false if out of memory. */
bool fork_init(void);

/* Returns how many forks there were between the process that called fork_init first and this one.
 * To notice a fork, compare it with an earlier value. Faster than getpid, which is a system call.
 */
unsigned fork_count(void);

/* ---- files ---- */

/* Tells whether a descriptor still is the file that it was before a fork. The child may have closed
 * it, as daemons do with all descriptors, and its number may be another file's.
 *
 * Regular files, and sockets on Linux, are told apart by device and inode. All eventfds, timerfds
 * and epoll sets have the same inode, and sockets have none on macOS and the BSDs. So they are
 * marked with the id of the process that made them (F_SETOWN): the child's own have another id or
 * none. The mark has no effect unless O_ASYNC is set, but that a socket's urgent data, which no
 * server has reason to send, raises SIGURG, which is ignored by default. */
struct file_id {
  bool opened; /* false: no file, and none is the same */
  dev_t device;
  ino_t inode;
  pid_t owner;         /* the mark, or 0 */
  unsigned fork_count; /* fork_count when the id was made */
};

/* Returns the id of a file that this process has just opened. Returns all zero if `fd` is negative
 * or not open. */
struct file_id fork_file_id(int fd);

/* Returns whether the descriptor still is that file. Returns false if that is not certain. */
bool fork_is_same_file(int fd, struct file_id file);

/* Closes the descriptor if it still is that file. If there was no fork since the id was made, it is
 * closed without asking. */
void fork_close(int fd, struct file_id file);

#endif
