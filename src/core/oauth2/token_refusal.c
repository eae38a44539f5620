#include "core/oauth2/token_refusal.h"

#include <stdio.h>
#include <string.h>

#include "core/oauth2/error_page.h"
#include "core/retry.h"

/* ---- classification ---- */

/* Where a response without a token comes from, or what it asks for. */
enum refusal_class {
  CLASS_ENDPOINT, /* from a token endpoint */
  CLASS_FOREIGN,  /* from something else: an HTML page, a text, or a path that does not exist */
  CLASS_PROXY,    /* from a proxy that requires credentials */
  CLASS_REDIRECT,
  CLASS_TEMPORARY /* the same request may succeed later */
};

bool token_refusal_is_temporary(const struct response *r, const struct token_response *t) {
  return retry_is_worthwhile(r->status) && !token_response_has_error(t, "invalid_grant");
}

static bool is_html(const struct response *r) {
  return r->body.size > 0 && error_page_is_html(r->body.data, r->body.size);
}

/* Whether the body has an error code in the form of RFC 6749. Other servers also send a member
 * "error", with "Not Found" and the like in it. */
static bool has_code(const struct token_response *t) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_-.:";
  return t->error != NULL && t->error[strspn(t->error, allowed)] == '\0';
}

/* Classifies a response. One with an empty or unreadable body may still come from a token
 * endpoint. */
static enum refusal_class classify(const struct response *r, const struct token_response *t) {
  if (response_is_redirect(r)) return CLASS_REDIRECT;
  if (has_code(t)) return CLASS_ENDPOINT;
  if (token_refusal_is_temporary(r, t) || r->status >= 500) return CLASS_TEMPORARY;
  if (r->status == 404 || r->status == 405 || r->status == 410) return CLASS_FOREIGN;
  if (r->status == 407) return CLASS_PROXY;
  if (t->is_object || t->cut_short || r->body.size == 0) return CLASS_ENDPOINT;
  return r->status != 401 || is_html(r) ? CLASS_FOREIGN : CLASS_ENDPOINT;
}

bool token_refusal_is_foreign(const struct response *r, const struct token_response *t) {
  return classify(r, t) == CLASS_FOREIGN;
}

enum refusal_rank token_refusal_rank(const struct response *r, const struct token_response *t) {
  static const char *const codes[] = {"invalid_client", "invalid_grant", "invalid_scope",
                                      "unauthorized_client"};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    if (token_response_has_error(t, codes[i])) return REFUSAL_OF_CREDENTIALS;
  }
  if (has_code(t)) return REFUSAL_WITH_CODE;
  return r->status == 401 ? REFUSAL_OF_CREDENTIALS : REFUSAL_OTHER;
}

bool token_refusal_is_about_credentials(const struct response *r, const struct token_response *t) {
  static const char *const codes[] = {"invalid_client", "invalid_grant", "unauthorized_client",
                                      "access_denied"};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    if (token_response_has_error(t, codes[i])) return true;
  }
  return t->error == NULL &&
         (r->status == 400 || r->status == 401 || r->status == 403 || r->status == 422);
}

/* ---- advice ---- */

/* Returns what the advice adds about a response that is not from a token endpoint. The words to
 * look for are Django's, which serves Podero's API. */
static const char *page_reason(const struct response *r) {
  if (r->status == 400 && (is_html(r) || response_contains(r, "ALLOWED_HOSTS")))
    return "; or the server may not accept this host name";
  if (r->status == 403 && is_html(r) && response_contains(r, "CSRF"))
    return "; a CSRF check, which is meant for browser forms, has refused the request";
  return "";
}

static bool is_about_grant(const struct response *r, const struct token_response *t) {
  if (t->error != NULL) return token_response_has_error(t, "unsupported_grant_type");
  return (r->status == 400 || r->status == 422) && response_contains(r, "grant_type");
}

static bool is_about_encoding(const struct response *r, const struct token_response *t) {
  if (t->error != NULL) return token_response_has_error(t, "invalid_request");
  return r->status == 415 || (r->status == 400 && response_contains(r, "parse"));
}

/* Returns what the user can do if the credentials were refused. */
static const char *credentials_advice(const struct refused_request *q,
                                      const struct token_response *t) {
  if (!q->is_password || (q->has_client && token_response_has_error(t, "invalid_client")))
    return q->fixed_client_auth
               ? "check client_id, client_secret and client_auth, and that they are for this "
                 "base_url"
               : "check client_id and client_secret, and that they are for this base_url";
  if (token_response_has_error(t, "invalid_grant") || !q->has_client)
    return "check username and password";
  return "check username and password, and client_id and client_secret";
}

/* Returns what the user can do if a token endpoint has refused the request. */
static const char *endpoint_advice(const struct refused_request *q, const struct response *r,
                                   const struct token_response *t) {
  if (token_response_has_error(t, "invalid_scope")) return "check scope";
  if (token_response_has_error(t, "unauthorized_client"))
    return q->is_password ? "this client may not use the password grant: check how it is registered"
                          : "this client may not use the client credentials grant: check how it is "
                            "registered";
  if (is_about_grant(r, t) && !q->fixed_encoding)
    return q->is_password ? "passwords are not accepted here: check token_url"
                          : "client credentials are not granted here: check token_url";
  if (is_about_grant(r, t) || is_about_encoding(r, t))
    return q->fixed_encoding ? "the request was not read: check token_encoding and token_url"
                             : "neither a form nor JSON was accepted: check token_url";
  if (r->status == 403 && !has_code(t))
    return "check token_url, and whether this client may use it";
  return credentials_advice(q, t);
}

/* Whether the response redirects to the URL with a slash at its end. */
static bool is_slash_missing(const struct response *r, const char *url) {
  size_t size = strlen(url);
  return r->redirect != NULL && strncmp(r->redirect, url, size) == 0 &&
         strcmp(r->redirect + size, "/") == 0;
}

#define SLASH_ADVICE "write token_url with the slash at its end"

/* Writes the advice for the end of the message to `out`, in parentheses; "" if there is none. */
static void write_advice(const struct refused_request *q, const struct response *r,
                         const struct token_response *t, char out[256]) {
  out[0] = '\0';
  switch (classify(r, t)) {
  case CLASS_TEMPORARY: /* Django with DEBUG: "You called this URL via POST, but the URL ..." */
    if (response_contains(r, "doesn't end in a slash")) snprintf(out, 256, " (%s)", SLASH_ADVICE);
    return;
  case CLASS_FOREIGN:
    snprintf(out, 256, " (this is not a token endpoint: check base_url and token_url%s)",
             page_reason(r));
    return;
  case CLASS_PROXY: snprintf(out, 256, " (a proxy requires credentials: check proxy)"); return;
  case CLASS_REDIRECT:
    snprintf(out, 256, " (%s)",
             is_slash_missing(r, q->url) ? SLASH_ADVICE : "check base_url and token_url");
    return;
  case CLASS_ENDPOINT: snprintf(out, 256, " (%s)", endpoint_advice(q, r, t)); return;
  }
}

/* ---- messages ---- */

/* Redacts the secrets in the text. */
static void redact_buffer(const struct refused_request *q, struct buffer *text) {
  struct buffer redacted = {0};
  if (text->data != NULL) q->redact(q->context, text->data, &redacted);
  buffer_free(text);
  *text = redacted;
}

/* Appends ", an HTML page" and the quoted title of the page to `out`, or the quoted first line of
 * another text. Appends nothing if the body is JSON or empty, or a text with a 2xx status, which
 * may contain a token. Secrets are redacted both before and after HTML is decoded, because they may
 * be in either form. */
static void quote_page(const struct refused_request *q, const struct response *r,
                       const struct token_response *t, struct buffer *out) {
  struct buffer quote = {0}, decoded = {0};
  bool html = is_html(r);
  if (t->is_object || t->cut_short || r->body.size == 0) return;
  if (html) buffer_add(out, ", an HTML page");
  if (!html && response_is_success(r)) return;
  error_page_add_quote(r->body.data, r->body.size, &quote);
  redact_buffer(q, &quote);
  if (html && quote.data != NULL) error_page_add_decoded(quote.data, &decoded);
  struct buffer *text = html ? &decoded : &quote;
  if (html) redact_buffer(q, &decoded);
  if (text->size > 0) {
    error_page_shorten(text->data);
    buffer_add(out, ", \"");
    buffer_add(out, text->data);
    buffer_add(out, "\"");
  }
  buffer_free(&quote);
  buffer_free(&decoded);
}

static void describe_redirect(const struct refused_request *q, const struct response *r,
                              const char *advice, struct failure *f) {
  struct buffer target = {0};
  q->redact(q->context, r->redirect != NULL ? r->redirect : "an unknown target", &target);
  failure_set(f, FAILURE_HTTP, "HTTP %ld, a redirect to %.400s, which is not followed%s", r->status,
              target.data != NULL ? target.data : "?", advice);
  buffer_free(&target);
}

void token_refusal_describe(const struct refused_request *q, const struct response *r,
                            const struct token_response *t, struct failure *f) {
  struct buffer page = {0};
  char advice[256];
  write_advice(q, r, t, advice);
  if (response_is_redirect(r)) {
    describe_redirect(q, r, advice, f);
    return;
  }
  quote_page(q, r, t, &page);
  if (response_is_success(r) && t->error == NULL) {
    const char *fault = token_response_fault(t);
    failure_set(f, FAILURE_AUTH, "HTTP %ld%s, but %s%s", r->status,
                page.data != NULL ? page.data : "", fault,
                token_refusal_is_foreign(r, t) ? advice : "");
  } else {
    failure_set(f, FAILURE_AUTH, "HTTP %ld%s%s", r->status, page.data != NULL ? page.data : "",
                advice);
  }
  buffer_free(&page);
}
