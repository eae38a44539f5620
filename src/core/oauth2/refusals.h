/* Collects the responses without a token to the requests of one fetch, and chooses the one that the
 * fetch reports.
 *
 *   refusals_add, refusals_report, refusals_clear */
#ifndef PODERO_REFUSALS_H
#define PODERO_REFUSALS_H

#include <stdbool.h>

#include "core/failure.h"
#include "core/http/transfer.h"
#include "core/oauth2/token_refusal.h"
#include "core/oauth2/token_request.h"
#include "core/oauth2/token_response.h"

/* Initialize with zeros, release with refusals_clear. Private. */
struct refusals {
  /* The response to report. */
  enum refusal_rank rank;
  const char *url;        /* borrowed; NULL: there is none */
  struct failure failure; /* owned; the message lacks its beginning, which names the URL */

  long statuses[TOKEN_ENDPOINTS_MAX]; /* of each endpoint's last response, or 0 */
};

/* Adds the response of the endpoint with this index to this request. It becomes the one to report
 * unless an earlier one says as much. A temporary failure is always reported, so that the call is
 * retried. `request->url` must stay valid until refusals_clear.
 *
 * The failure gets a copy of the response's header. Returns whether it also took the body, from
 * which the binding reads the server's error description; then the caller must see that tokens in
 * it are redacted. The body of a 2xx response without an OAuth error code is not taken: it may
 * contain a token that was not read, and so would not be redacted. */
bool refusals_add(struct refusals *refusals, const struct refused_request *request,
                  unsigned endpoint, struct response *response,
                  const struct token_response *token_response);

/* Sets `failure` from the response to report, which must exist, and moves its header and body
 * there. `endpoints` are all `count` endpoints, for the message. Returns the URL that was
 * requested. */
const char *refusals_report(struct refusals *refusals, const struct token_endpoint *endpoints,
                            unsigned count, struct failure *failure);

/* Forgets all responses. */
void refusals_clear(struct refusals *refusals);

#endif
