/* Differences between versions of libcurl. quirks.c has the list of all workarounds.
 *
 *   quirks_of
 *
 * The module can be built with one version and run with another, so the version is looked up at run
 * time. Names that older headers lack are defined here, by their values, which never change. */
#ifndef PODERO_QUIRKS_H
#define PODERO_QUIRKS_H

#include <stdbool.h>

/* The oldest version that is accepted, see libcurl_check. */
#define QUIRKS_OLDEST_VERSION 0x074c01
#define QUIRKS_OLDEST_NAME "7.76.1"

struct quirks {
  bool is_too_old;                  /* older than QUIRKS_OLDEST_VERSION */
  bool raises_sigpipe;              /* when it writes to a TLS connection that was closed */
  bool has_prereq;                  /* CURLOPT_PREREQFUNCTION is known */
  bool has_quick_exit;              /* CURLOPT_QUICK_EXIT is known */
  bool skips_close_callback;        /* for some sockets that were never connected */
  bool pipewait_waits_for_transfer; /* CURLOPT_PIPEWAIT can wait for the end of a transfer */
  bool reports_size_as_memory;      /* CURLE_OUT_OF_MEMORY in place of CURLE_TOO_LARGE */
};

/* Returns the quirks of a version, given as in curl_version_info_data.version_num: 0x075801 is
 * 7.88.1. */
struct quirks quirks_of(unsigned version);

/* From <curl/curl.h>. */
enum {
  QUIRKS_CURLE_TOO_LARGE = 100,
  QUIRKS_CURLOPT_PREREQFUNCTION = 20312,
  QUIRKS_CURLOPT_PREREQDATA = 10313,
  QUIRKS_CURLOPT_QUICK_EXIT = 322,
  QUIRKS_CURL_VERSION_ZSTD = 1 << 26
};

#endif
