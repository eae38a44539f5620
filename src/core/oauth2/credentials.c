#include "core/oauth2/credentials.h"

#include <string.h>

#include "core/buffer.h"
#include "core/syntax.h"

void credentials_clear(struct credentials *c) {
  for (size_t i = 0; i < CREDENTIAL_COUNT; i++)
    secret_free(c->texts[i]);
  for (size_t i = 0; i < CREDENTIALS_PREVIOUS; i++)
    secret_free(c->previous[i]);
  *c = (struct credentials){0};
}

/* ---- request ---- */

void credentials_want(struct credentials *c, unsigned wanted) {
  c->wanted = wanted;
  c->asked = c->changed = false;
}

void credentials_reset(struct credentials *c) {
  c->wanted = 0;
  c->asked = false;
}

unsigned credentials_ask(struct credentials *c) {
  if (c->wanted == 0 || c->asked) return 0;
  c->asked = true;
  if (++c->ticket == 0) c->ticket = 1;
  return c->ticket;
}

bool credentials_is_asked(const struct credentials *c, unsigned ticket) {
  return c->wanted != 0 && c->asked && c->ticket == ticket;
}

void credentials_release(struct credentials *c, unsigned ticket) {
  if (credentials_is_asked(c, ticket)) c->asked = false;
}

bool credentials_next(const struct credentials *c, unsigned ticket, enum credential *which) {
  if (!credentials_is_asked(c, ticket)) return false;
  for (int i = 0; i < CREDENTIAL_COUNT; i++) {
    *which = (enum credential)i;
    if (c->wanted & CREDENTIAL_BIT(i)) return true;
  }
  return false; /* GCOVR_EXCL_LINE: something is wanted */
}

/* ---- values ---- */

void credentials_remember(struct credentials *c, char *text) {
  if (text == NULL) return;
  char **entry = &c->previous[c->previous_next++ % CREDENTIALS_PREVIOUS];
  secret_free(*entry);
  *entry = text;
}

bool credentials_set(struct credentials *c, enum credential which, const char *text) {
  char **value = &c->texts[which];
  if (*value == NULL || strcmp(*value, text) != 0) {
    char *copy = text_copy(text);
    if (copy == NULL) return false;
    credentials_remember(c, *value);
    *value = copy;
    c->changed = true;
  }
  c->wanted &= ~CREDENTIAL_BIT(which);
  c->current |= CREDENTIAL_BIT(which);
  return true;
}

void credentials_list(const struct credentials *c, const char *out[CREDENTIALS_MAX]) {
  for (size_t i = 0; i < CREDENTIAL_COUNT; i++)
    out[i] = c->texts[i];
  for (size_t i = 0; i < CREDENTIALS_PREVIOUS; i++)
    out[CREDENTIAL_COUNT + i] = c->previous[i];
}

/* ---- checks ---- */

static const char *const names[CREDENTIAL_COUNT] = {"client_secret", "password", "access_token",
                                                    "tls.key_password"};

const char *credential_name(enum credential which) {
  return names[which];
}

bool credential_find(const char *name, enum credential *which) {
  for (int i = 0; i < CREDENTIAL_COUNT; i++) {
    *which = (enum credential)i;
    if (strcmp(names[i], name) == 0) return true;
  }
  *which = CREDENTIAL_KEY_PASSWORD;
  return strcmp(name, "key_password") == 0;
}

bool credential_check(enum credential which, const char *text, const char *label,
                      enum failure_kind kind, struct failure *failure) {
  /* Passwords may have control characters: they are sent encoded, or not at all. */
  bool any = which == CREDENTIAL_PASSWORD || which == CREDENTIAL_KEY_PASSWORD;
  const char *fault = syntax_text_fault(text, any);
  if (*text == '\0')
    failure_set(failure, kind, "%s is empty", label);
  else if (fault != NULL)
    failure_set(failure, kind, "%s contains %s: remove it", label, fault);
  else if (which == CREDENTIAL_ACCESS_TOKEN && !syntax_is_bearer_token(text))
    failure_set(failure, kind, "%s has characters that a header cannot carry", label);
  else
    return true;
  return false;
}
