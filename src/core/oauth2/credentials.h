/* Secrets that the binding supplies when they are needed, because the user has given a function or
 * a file instead of a text: their values, and who has been asked for them.
 *
 *   lifetime   credentials_clear
 *   request    credentials_want, credentials_reset, credentials_ask, credentials_release,
 *              credentials_is_asked, credentials_next
 *   values     credentials_set, credentials_remember, credentials_list
 *   checks     credential_name, credential_find, credential_check */
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

/* A set of them is the sum of their bits. */
#define CREDENTIAL_BIT(credential) (1u << (unsigned)(credential))

/* How many values are remembered after they were replaced, to be redacted from messages. */
#define CREDENTIALS_PREVIOUS 8

/* Initialize with zeros, release with credentials_clear. Read only, except for `supplied` and
 * `current`. */
struct credentials {
  unsigned supplied; /* the set of those that the binding supplies */
  unsigned current;  /* the set of those whose values need not be supplied again at present */
  unsigned wanted;   /* the set of those that are to be supplied now */
  unsigned ticket;   /* of who was asked last; from 1 on */
  bool asked;        /* somebody was asked for what is wanted */
  bool changed;      /* a value that was supplied since credentials_want differs from before */
  char *texts[CREDENTIAL_COUNT];        /* the latest values, owned; NULL if never supplied */
  char *previous[CREDENTIALS_PREVIOUS]; /* owned; NULL if the entry is empty */
  unsigned previous_next;               /* modulo CREDENTIALS_PREVIOUS: the entry to overwrite */
};

/* Overwrites and frees all values, and makes the struct zero. */
void credentials_clear(struct credentials *credentials);

/* Wants the credentials of this set, which is not empty. Nobody has been asked for them yet. */
void credentials_want(struct credentials *credentials, unsigned wanted);

/* Wants nothing any more. Whoever was asked comes too late. */
void credentials_reset(struct credentials *credentials);

/* Marks what is wanted as asked for. Returns a ticket for the functions below; 0 if nothing is
 * wanted, or somebody has been asked already. */
unsigned credentials_ask(struct credentials *credentials);

/* For the holder of this ticket, who does not supply anything more: somebody else may be asked. */
void credentials_release(struct credentials *credentials, unsigned ticket);

/* Returns whether the holder of this ticket is still to supply something. */
bool credentials_is_asked(const struct credentials *credentials, unsigned ticket);

/* Sets `*which` to what the holder of this ticket is to supply next. Returns false if there is
 * nothing. */
bool credentials_next(const struct credentials *credentials, unsigned ticket,
                      enum credential *which);

/* Sets a value that was wanted to a copy of `text`. It is wanted no more, and current. Returns
 * false if out of memory. */
bool credentials_set(struct credentials *credentials, enum credential which, const char *text);

/* Takes ownership of a secret that has been replaced, to be redacted from now on. NULL does
 * nothing. */
void credentials_remember(struct credentials *credentials, char *text);

/* How many entries credentials_list sets. */
#define CREDENTIALS_MAX (CREDENTIAL_COUNT + CREDENTIALS_PREVIOUS)

/* Sets the entries of `out` to all values, old ones too; NULL for those that do not exist. They are
 * borrowed until the next change. */
void credentials_list(const struct credentials *credentials, const char *out[CREDENTIALS_MAX]);

/* Returns the name of the option, such as "client_secret" or "tls.key_password". */
const char *credential_name(enum credential which);

/* Sets `*which` to the credential of this name. The prefix "tls." may be missing. Returns false if
 * there is none. */
bool credential_find(const char *name, enum credential *which);

/* Returns whether the text can be used as this credential. Otherwise sets `failure`, of this kind;
 * `label` says in its message where the text is from. */
bool credential_check(enum credential which, const char *text, const char *label,
                      enum failure_kind kind, struct failure *failure);

#endif
