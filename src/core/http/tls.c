#include "core/http/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/http/internal.h"
#include "core/syntax.h"

/* Trusts the given authorities and no others, for the server and for a proxy with TLS. By default
 * libcurl uses both a file and a folder of the system's authorities, so the one that is not given
 * must be unset. A TLS library that does not support folders refuses that, which does no harm. */
static CURLcode set_authorities(CURL *easy, const struct transport_options *o) {
  CURLcode code = CURLE_OK;
  curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
  curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
  SET_OPTION(CURLOPT_CAINFO, o->ca_file);
  SET_OPTION(CURLOPT_PROXY_CAINFO, o->ca_file);
  if (o->ca_path != NULL) SET_OPTION(CURLOPT_CAPATH, o->ca_path);
  if (o->ca_path != NULL) SET_OPTION(CURLOPT_PROXY_CAPATH, o->ca_path);
  return code;
}

CURLcode tls_set_options(CURL *easy, const struct transport_options *o) {
  CURLcode code = CURLE_OK;
  SET_OPTION(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  SET_OPTION(CURLOPT_SSL_VERIFYPEER, o->verify ? 1L : 0L);
  SET_OPTION(CURLOPT_SSL_VERIFYHOST, o->verify ? 2L : 0L);
  if (code == CURLE_OK && (o->ca_file != NULL || o->ca_path != NULL))
    code = set_authorities(easy, o);
  if (o->cert != NULL) SET_OPTION(CURLOPT_SSLCERT, o->cert);
  if (o->key != NULL) SET_OPTION(CURLOPT_SSLKEY, o->key);
  /* If the key is encrypted and no password is set, OpenSSL asks for one on the terminal. */
  SET_OPTION(CURLOPT_KEYPASSWD, o->key_password != NULL ? o->key_password : "");
  return code;
}

/* Sets the failure if the file or folder of an option cannot be read. Does not open it, because it
 * may be a named pipe. */
static void check_file(struct failure *f, const char *name, const char *path, bool is_folder) {
  struct stat status;
  if (path == NULL || f->kind != FAILURE_NONE) return;
  if (stat(path, &status) != 0 ||
      faccessat(AT_FDCWD, path, is_folder ? X_OK : R_OK, AT_EACCESS) != 0)
    failure_set(f, FAILURE_ARGUMENT, "tls.%s %.200s cannot be read: %s", name, path,
                strerror(errno));
  else if ((S_ISDIR(status.st_mode) != 0) != is_folder)
    failure_set(f, FAILURE_ARGUMENT, "tls.%s %.200s is %s folder", name, path,
                is_folder ? "not a" : "a");
}

/* libcurl would open the files only after it has connected, report the same code for all of them,
 * and ignore a folder that does not exist or a key without a certificate. */
bool tls_check_files(const struct transport_options *o, struct failure *f) {
  check_file(f, "ca_file", o->ca_file, false);
  check_file(f, "ca_path", o->ca_path, true);
  check_file(f, "cert", o->cert, false);
  check_file(f, "key", o->key, false);
  if (f->kind == FAILURE_NONE && o->cert == NULL && (o->key != NULL || o->key_password != NULL))
    failure_set(f, FAILURE_ARGUMENT, "tls.%s is given without tls.cert",
                o->key != NULL ? "key" : "key_password");
  syntax_make_printable(f->message);
  return f->kind == FAILURE_NONE;
}

const char *tls_describe(const struct transport_options *o, CURLcode code, const char *text) {
  if (code == CURLE_SSL_CACERT_BADFILE)
    return o->ca_file != NULL ? "tls.ca_file holds no certificate in PEM form: "
                              : "the authorities' certificates cannot be read (see tls.ca_file): ";
  if (strstr(text, "rivate key") == NULL) return "tls.cert holds no certificate in PEM form: ";
  return o->key != NULL
             ? "tls.key is not a private key in PEM form, or does not belong to tls.cert, or "
               "tls.key_password is missing or wrong: "
             : "tls.cert holds no private key in PEM form (if so, set tls.key), or "
               "tls.key_password is missing or wrong: ";
}

/* With TLS 1.3, the server's alert can be lost if the server closes the connection while the
 * request is being sent: then libcurl reports only that the connection is closed. */
const char *tls_describe_refusal(const struct transport_options *o, const char *text) {
  if (o->cert == NULL) return "the server asks for a client certificate (see tls.cert, tls.key): ";
  return strstr(text, "alert") != NULL ? "the server has refused tls.cert: "
                                       : "the server may have refused tls.cert: ";
}
