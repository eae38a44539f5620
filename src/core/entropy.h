/* Random bytes from the system.
 *
 *   getentropy(bytes, size)   fills at most 256 bytes; returns 0, or -1 if the system cannot
 *
 * glibc, musl and the BSDs declare it in <unistd.h>, macOS in <sys/random.h>. */
#ifndef PODERO_ENTROPY_H
#define PODERO_ENTROPY_H

#include <unistd.h> /* IWYU pragma: export */

#ifdef __APPLE__
#include <sys/random.h>
#endif

#endif
