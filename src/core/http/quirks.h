/* What libcurl does not do alike in all its versions, as far as this module has to know. One
 * version may be there when the module is built, and another one when it runs: so this is decided
 * at run time, and options and codes that older headers lack are given by their numbers. quirks.c
 * has the list of all workarounds. */
#ifndef PODERO_QUIRKS_H
#define PODERO_QUIRKS_H

#include <stdbool.h>

struct quirks {
  bool raises_sigpipe;    /* writing to a TLS connection that is closed raises it */
  bool has_prereq;        /* CURLOPT_PREREQFUNCTION */
  bool has_quick_exit;    /* CURLOPT_QUICK_EXIT */
  bool closes_silently;   /* sockets that were never connected, without the close callback */
  bool keeps_waiting;     /* CURLOPT_PIPEWAIT waits for more than the connection */
  bool calls_size_memory; /* what is too large for libcurl itself is CURLE_OUT_OF_MEMORY */
};

/* Those of a version, as in curl_version_info_data.version_num: 0x075801 is 7.88.1. */
struct quirks quirks_of(unsigned version);

/* include/curl/curl.h; the numbers never change. */
enum {
  QUIRKS_CURLE_TOO_LARGE = 100,
  QUIRKS_CURLOPT_PREREQFUNCTION = 20312,
  QUIRKS_CURLOPT_PREREQDATA = 10313,
  QUIRKS_CURLOPT_QUICK_EXIT = 322
};

#endif
