/* Defines HAVE_EPOLL if the system has epoll, and with it eventfd and timerfd. Compile with
 * PODERO_POSIX_ONLY to use only what POSIX has, poll and pipes, on Linux, too. */
#ifndef PODERO_HAVE_EPOLL_H
#define PODERO_HAVE_EPOLL_H

#if defined __linux__ && !defined PODERO_POSIX_ONLY
#define HAVE_EPOLL 1
#endif

#endif
