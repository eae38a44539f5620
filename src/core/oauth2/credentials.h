/* Secrets that the binding (src/lua) supplies when they are needed, because the user has given a
 * function or a file instead of a text: their values, and who has been asked for them.
 *
 *   lifetime   credentials_clear
 *   request    credentials_want, credentials_reset, credentials_ask, credentials_release,
 *              credentials_is_asked, credentials_next
 *   values     credentials_set, credentials_remember, credentials_list
 *   checks     credential_name, credential_find, credential_check
 *
 * A credential is wanted when a request needs it. Whoever asks first gets a ticket, and is then the
 * one who supplies what is wanted. */
#ifndef PODERO_CREDENTIALS_H
#define PODERO_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/failure.h"

enum credential {
  CREDENTIAL_CLIENT_SECRET,
  CREDENTIAL_PASSWORD,
  CREDENTIAL_ACCESS_TOKEN,
  CREDENTIAL_KEY_PASSWORD /* of tls.key */
};
#define CREDENTIAL_COUNT 4

/* A set of credentials is the sum of their bits. */
#define CREDENTIAL_BIT(credential) (1u << (unsigned)(credential))

/* How many values are remembered after they were replaced, so that they can be redacted. */
#define CREDENTIALS_PREVIOUS 8

/* Initialize with zeros, release with credentials_clear. Callers may set `supplied` and `current`,
 * and only read the rest. */
struct credentials {
  unsigned supplied; /* the set of those that the binding supplies */
  unsigned current;  /* the set of those whose values need not be supplied again for now */
  unsigned wanted;   /* the set of those that must be supplied now */
  unsigned ticket;   /* the last one that was given out; from 1 on */
  bool asked;        /* somebody was asked for what is wanted */
  bool changed;      /* a value that was supplied since credentials_want was different from
                      * before */
  char *texts[CREDENTIAL_COUNT];        /* the latest values, owned; NULL if never supplied */
  char *previous[CREDENTIALS_PREVIOUS]; /* owned; NULL if the entry is empty */
  unsigned previous_next;               /* modulo CREDENTIALS_PREVIOUS: the entry to overwrite
                                         * next */
};

/* Overwrites and frees all values, and makes the struct zero. */
void credentials_clear(struct credentials *credentials);

/* Marks the credentials of this set, which must not be empty, as wanted. Nobody has been asked for
 * them yet. */
void credentials_want(struct credentials *credentials, unsigned wanted);

/* Marks no credentials as wanted, which makes the current ticket invalid. */
void credentials_reset(struct credentials *credentials);

/* Asks the caller for what is wanted. Returns a ticket for the functions below, or 0 if nothing is
 * wanted or somebody has been asked already. */
unsigned credentials_ask(struct credentials *credentials);

/* Gives a ticket back, for a holder who will supply nothing more: somebody else can then be asked.
 * Does nothing if the ticket is not valid any more. */
void credentials_release(struct credentials *credentials, unsigned ticket);

/* Returns whether the ticket is valid, so that its holder must still supply something. */
bool credentials_is_asked(const struct credentials *credentials, unsigned ticket);

/* Sets `*which` to what the holder of this ticket must supply next. Returns false if there is
 * nothing. */
bool credentials_next(const struct credentials *credentials, unsigned ticket,
                      enum credential *which);

/* Sets the value of a wanted credential to a copy of `text`, which makes the credential current and
 * not wanted. Remembers the previous value if it was different. Returns false if out of memory. */
bool credentials_set(struct credentials *credentials, enum credential which, const char *text);

/* Takes ownership of a secret that has been replaced, so that it can be redacted. NULL does
 * nothing. */
void credentials_remember(struct credentials *credentials, char *text);

/* How many entries credentials_list sets. */
#define CREDENTIALS_MAX (CREDENTIAL_COUNT + CREDENTIALS_PREVIOUS)

/* Sets the entries of `out` to all values, current and previous; NULL for those that do not exist.
 * They are borrowed until the credentials change. */
void credentials_list(const struct credentials *credentials, const char *out[CREDENTIALS_MAX]);

/* Returns the name of the option, such as "client_secret" or "tls.key_password". */
const char *credential_name(enum credential which);

/* Sets `*which` to the credential of this name. The prefix "tls." may be missing. Returns false if
 * there is none. */
bool credential_find(const char *name, enum credential *which);

/* Returns whether the text can be used as this credential. Otherwise sets `failure` to this kind,
 * with a message that begins with `label`: where the text comes from. */
bool credential_check(enum credential which, const char *text, const char *label,
                      enum failure_kind kind, struct failure *failure);

#endif
