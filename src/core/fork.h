/* Whether this process is still the one that it was. */
#ifndef PODERO_FORK_H
#define PODERO_FORK_H

#include <stdbool.h>
#include <sys/types.h>

/* Begins to count. False when memory is short. Asked again, it does nothing. */
bool fork_watch(void);

/* How many forks lie between this process and the one that called fork_watch first. Cheaper to ask
 * than getpid, which is a system call each time. */
unsigned fork_count(void);

/* What tells a descriptor's file from others: after a fork, a child may have closed descriptors
 * that were ours, and have made something else of their numbers. 0: not open. */
struct fork_mark {
  dev_t device;
  ino_t inode;
};
struct fork_mark fork_mark_of(int fd);

/* Whether the descriptor still is what it was when it got its mark. */
bool fork_has_kept(int fd, struct fork_mark mark);

/* Closes the descriptor if so. */
void fork_close(int fd, struct fork_mark mark);

#endif
