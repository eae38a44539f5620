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
 * that were ours, and have made something else of their numbers. Device and inode tell sockets and
 * ordinary files apart. Event descriptors and epoll sets all share one inode: these are tagged with
 * the process that made them (F_SETOWN, which signals nothing unless O_ASYNC is set, too), and what
 * a child has made itself has another tag, or none. */
struct fork_id {
  dev_t device;
  ino_t inode;    /* 0: not open */
  pid_t owner;    /* its tag; 0: it has none */
  unsigned forks; /* fork_count then */
};

/* The mark of a descriptor that this process has just made. */
struct fork_id fork_id_of(int fd);

/* Whether the descriptor still is what it was when it got its mark. False as well if that cannot be
 * told: what belongs to a child is never taken for ours. */
bool fork_has_kept(int fd, struct fork_id mark);

/* Closes the descriptor if so, or if there was no fork since it got its mark. */
void fork_close(int fd, struct fork_id mark);

#endif
