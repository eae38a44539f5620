/* Lets a child process notice that it was forked.
 *
 *   count    fork_init, fork_count
 *   files    struct file_id, fork_file_id, fork_is_same_file, fork_close
 *
 * A child inherits sockets and epoll sets. It must not use them, and must open its own. */
#ifndef PODERO_FORK_H
#define PODERO_FORK_H

#include <stdbool.h>
#include <sys/types.h>

/* ---- count ---- */

/* Starts to count forks, and keeps the module from being unloaded. Call it before fork_count;
 * further calls do nothing. Thread safe. Returns false if out of memory. */
bool fork_init(void);

/* Returns how many forks lie between this process and the one that called fork_init first. If the
 * value differs from an earlier one, this process was forked in between. Faster than getpid, which
 * is a system call. */
unsigned fork_count(void);

/* ---- files ---- */

/* Identifies an open file, to tell after a fork whether a descriptor still refers to it: the child
 * may have closed the descriptor, as daemons do with all of theirs, and opened another file that
 * got its number.
 *
 * Regular files, and sockets on Linux, are identified by device and inode. But all eventfds,
 * timerfds and epoll sets share one inode, and sockets have none on macOS and the BSDs. Those are
 * marked with the id of the process that opened them (F_SETOWN); files that the child opens have
 * another id or none. The mark has no effect without O_ASYNC, with one exception: urgent data on a
 * socket, which no server has reason to send, raises SIGURG, which is ignored by default. */
struct file_id {
  bool opened; /* false: there is no file, and no descriptor refers to it */
  dev_t device;
  ino_t inode;
  pid_t owner;         /* the mark, or 0 */
  unsigned fork_count; /* fork_count when the id was made */
};

/* Returns the id of a file that this process has just opened, and marks the file if necessary.
 * Returns all zero if `fd` is negative or not open. */
struct file_id fork_file_id(int fd);

/* Returns whether the descriptor still refers to that file. Returns false if this is uncertain. */
bool fork_is_same_file(int fd, struct file_id file);

/* Closes the descriptor if it still refers to that file. If there was no fork since the id was
 * made, this is not checked. */
void fork_close(int fd, struct file_id file);

#endif
