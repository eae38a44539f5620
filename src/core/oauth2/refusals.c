#include "core/oauth2/refusals.h"

#include <stdio.h>
#include <string.h>

bool refusals_add(struct refusals *refusals, const struct refused_request *request,
                  unsigned endpoint, struct response *r, const struct token_response *t) {
  struct failure *f = &refusals->failure;
  bool is_success = response_is_success(r);
  bool retryable = token_refusal_is_temporary(r, t) || (is_success && t->cut_short);
  enum refusal_rank rank = token_refusal_rank(r, t);
  refusals->statuses[endpoint] = r->status;
  if (refusals->url != NULL && refusals->rank <= rank && !retryable) return false;
  token_refusal_describe(request, r, t, f);
  refusals->rank = rank;
  refusals->url = request->url;
  f->status = r->status;
  f->retryable = retryable;
  f->has_retry_after = r->has_retry_after;
  f->retry_after = r->retry_after;
  /* A copy: the event has the header, too. */
  if (r->header.size > 0) buffer_append(&f->header, r->header.data, r->header.size);
  if (is_success && t->error == NULL) return false;
  f->body = r->body;
  r->body = (struct buffer){0};
  return true;
}

/* Writes ", nor from URL (HTTP 404)" to `out` if another endpoint has responded, too; else "". */
static void name_other_endpoint(const struct refusals *refusals,
                                const struct token_endpoint *endpoints, unsigned count,
                                char out[400]) {
  out[0] = '\0';
  for (unsigned i = 0; i < count; i++) {
    const char *url = endpoints[i].url;
    if (refusals->statuses[i] != 0 && strcmp(url, refusals->url) != 0)
      snprintf(out, 400, ", nor from %.300s (HTTP %ld)", url, refusals->statuses[i]);
  }
}

const char *refusals_report(struct refusals *refusals, const struct token_endpoint *endpoints,
                            unsigned count, struct failure *f) {
  struct failure *reason = &refusals->failure;
  char other[400];
  name_other_endpoint(refusals, endpoints, count, other);
  failure_set(f, reason->kind, "no token from token_url %.300s%s: %.600s", refusals->url, other,
              reason->message);
  f->header = reason->header;
  f->body = reason->body;
  reason->header = reason->body = (struct buffer){0};
  f->status = reason->status;
  f->retryable = reason->retryable;
  f->has_retry_after = reason->has_retry_after;
  f->retry_after = reason->retry_after;
  return refusals->url;
}

void refusals_clear(struct refusals *refusals) {
  failure_clear(&refusals->failure);
  refusals->url = NULL;
  memset(refusals->statuses, 0, sizeof refusals->statuses);
}
