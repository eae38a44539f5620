/* Defines HAVE_EPOLL if the system has epoll, and with it eventfd and timerfd. Compile with
 * PODERO_WITHOUT_EPOLL to build for poll on Linux, too. */
#ifndef PODERO_HAVE_EPOLL_H
#define PODERO_HAVE_EPOLL_H

#if defined __linux__ && !defined PODERO_WITHOUT_EPOLL
#define HAVE_EPOLL 1
#endif

#endif
