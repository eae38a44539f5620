/* The floor of one small call: a bare loop of curl_easy_perform in C.
 *
 *   bare URL TOKEN WARM-UPS CALLS      prints the seconds of one call, the mean of CALLS */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct body {
  char *data;
  size_t size, capacity;
};

static size_t append(char *bytes, size_t one, size_t size, void *user) {
  struct body *body = user;
  (void)one;
  if (body->size + size > body->capacity) {
    size_t capacity = (body->size + size) * 2;
    char *data = realloc(body->data, capacity);
    if (data == NULL) return 0;
    body->data = data;
    body->capacity = capacity;
  }
  memcpy(body->data + body->size, bytes, size);
  body->size += size;
  return size;
}

static void fail(const char *message) {
  fprintf(stderr, "bare: %s\n", message);
  exit(1);
}

static void call(CURL *easy, struct body *body) {
  long status = 0;
  body->size = 0;
  CURLcode code = curl_easy_perform(easy);
  if (code != CURLE_OK) fail(curl_easy_strerror(code));
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200 || body->size < 2) fail("not the expected response");
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 5) fail("usage: bare URL TOKEN WARM-UPS CALLS");
  char field[4096];
  struct body body = {0};
  CURL *easy = curl_easy_init();
  if (easy == NULL) fail("out of memory");
  snprintf(field, sizeof field, "Authorization: Bearer %s", argv[2]);
  struct curl_slist *fields = curl_slist_append(NULL, "Accept: application/json");
  fields = curl_slist_append(fields, field);
  curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fields);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
  for (long left = atol(argv[3]); left > 0; left--)
    call(easy, &body);
  long calls = atol(argv[4]);
  double start = now();
  for (long left = calls; left > 0; left--)
    call(easy, &body);
  printf("seconds %.9f\n", (now() - start) / (double)calls);
  curl_easy_cleanup(easy);
  curl_slist_free_all(fields);
  free(body.data);
  return 0;
}
