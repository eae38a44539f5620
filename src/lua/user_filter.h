/* Decides which users of a list are delivered, and with which keys: the options fields, role,
 * search, where and limit of the list methods.
 *
 *   make   user_filter_push, user_filter_get
 *   use    user_filter_accepts, user_filter_needs, user_filter_delivers
 *
 * A filter does not change after it is made. Several decoders can use it. */
#ifndef PODERO_USER_FILTER_H
#define PODERO_USER_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"
#include "lua/argument.h"
#include "lua/compat.h"
#include "lua/user_record.h"

struct filter_key;
struct filter_condition;
struct filter_value;

struct user_filter {
  uint64_t fields; /* the fields of the schema that are delivered; bit n is field n */
  uint64_t needed; /* these, and the fields that decide whether a user is delivered */
  uint64_t limit;  /* maximum number of users that are delivered */
  bool all_keys;   /* all keys that the schema lacks are delivered, too */

  /* Private from here on. Arrays and texts belong to the table that user_filter_push pushes. */
  unsigned roles;                /* bit n: accepts role n of user_roles; 0: accepts any role */
  const struct filter_key *keys; /* names that the schema lacks */
  size_t key_count;
  const struct filter_condition *conditions; /* the option where */
  size_t condition_count;
  const struct filter_value *values; /* of the conditions */
  const char *search;                /* folded; NULL: no search */
  size_t search_size;
  bool finds_nothing; /* no text has what is searched, because it has a byte that UTF-8 never has */
};

/* Pushes a table that owns a new filter, for user_filter_get. Raises an error that names the option
 * if its value is not valid. [-0, +1, v]
 *   opts: stack index of the options table of a list method, or 0 for none
 *   where: stack index of the conditions if they are a separate argument, as in find_user, or 0. If
 *     they are, the limit is 1, and the options where and limit are not read
 *   argument: the first of these arguments, for messages */
void user_filter_push(lua_State *L, int opts, int where, struct argument argument);

/* Returns the filter of the table from user_filter_push at `index`, or NULL if there is nil. Valid
 * until Lua collects the table. [-0, +0, -] */
const struct user_filter *user_filter_get(lua_State *L, int index);

enum filter_result { FILTER_REFUSES, FILTER_ACCEPTS, FILTER_OUT_OF_MEMORY };

/* Decides whether a user is delivered. The record must have the values of the fields in `needed`,
 * and of the keys for which user_filter_needs returns true. `scratch` is memory for a search: the
 * caller owns it, may reuse it, and frees it. Takes time proportional to the size of the texts. */
enum filter_result user_filter_accepts(const struct user_filter *filter,
                                       const struct user_record *record, struct buffer *scratch);

/* Returns whether a key that the schema lacks is delivered, or used by a condition. */
bool user_filter_needs(const struct user_filter *filter, const char *key, size_t size);

/* Returns whether a key that the schema lacks is delivered. */
bool user_filter_delivers(const struct user_filter *filter, const char *key, size_t size);

#endif
