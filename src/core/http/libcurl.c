#include "core/http/libcurl.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>

#include "core/http/openssl.h"

struct quirks libcurl_quirks;
char libcurl_accept_encoding[sizeof "deflate, gzip, br, zstd"];

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode result = CURLE_FAILED_INIT;

static void initialize(void) {
  result = curl_global_init(CURL_GLOBAL_DEFAULT);
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  libcurl_quirks = quirks_of(info->version_num);
  openssl_find(info->ssl_version);
  /* CURLOPT_ACCEPT_ENCODING would send the same, but builds this text again for each request. */
  snprintf(libcurl_accept_encoding, sizeof libcurl_accept_encoding, "%s%s%s",
           (info->features & CURL_VERSION_LIBZ) != 0 ? "deflate, gzip" : "identity",
           (info->features & CURL_VERSION_BROTLI) != 0 ? ", br" : "",
           (info->features & QUIRKS_CURL_VERSION_ZSTD) != 0 ? ", zstd" : "");
}

bool libcurl_init(void) {
  pthread_once(&once, initialize);
  return result == CURLE_OK;
}

bool libcurl_check(struct failure *failure) {
  libcurl_init();
  if (!libcurl_quirks.is_too_old) return true;
  failure_set(failure, FAILURE_ARGUMENT, "libcurl %s is too old: %s or newer is needed",
              curl_version_info(CURLVERSION_NOW)->version, QUIRKS_OLDEST_NAME);
  return false;
}
