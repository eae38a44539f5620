/* Whether this process is still the one that it was. */
#ifndef PODERO_FORK_H
#define PODERO_FORK_H

#include <stdbool.h>

/* Begins to count. False when memory is short. Asked again, it does nothing. */
bool fork_watch(void);

/* How many forks lie between this process and the one that called fork_watch first. Cheaper to ask
 * than getpid, which is a system call each time. */
unsigned fork_count(void);

#endif
