/* Which users of a list are delivered, and which of their keys: the options fields, role, search,
 * where and limit of the list methods.
 *
 *   make   user_filter_push, user_filter_get
 *   use    user_filter_accepts, user_filter_needs, user_filter_delivers
 *
 * A filter does not change after it is made. It can be used by several decoders. */
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
  uint64_t needed; /* those and the fields that decide whether a user is delivered */
  uint64_t limit;  /* how many users are delivered at most */
  bool all_keys;   /* keys that the schema lacks are delivered, whatever their name */

  /* Private from here on. Arrays and texts belong to the table that user_filter_push pushes. */
  unsigned roles;                /* bit n: users with the role n of user_roles; 0: with any role */
  const struct filter_key *keys; /* names that the schema lacks */
  size_t key_count;
  const struct filter_condition *conditions; /* the option where */
  size_t condition_count;
  const struct filter_value *values; /* of the conditions */
  const char *search;                /* folded; NULL: no search */
  size_t search_size;
  bool finds_nothing; /* the search has a byte that no text in JSON has */
};

/* Pushes a table that holds the filter, for user_filter_get.
 *   opts: stack index of the options table of a list method, which may have the options above; 0:
 *     none
 *   where: stack index of the conditions, if they are an argument of their own (find_user): opts
 *     has no options where and limit then, and the limit is 1. 0: they are not
 *   argument: number of the first of these arguments, and the method's name, for messages
 * Raises an error that names the option if one is malformed. [-0, +1, v] */
void user_filter_push(lua_State *L, int opts, int where, struct argument argument);

/* Returns the filter that a table of user_filter_push at `index` holds; NULL if the value there is
 * nil. It is valid as long as Lua refers to the table. [-0, +0, -] */
const struct user_filter *user_filter_get(lua_State *L, int index);

enum filter_result { FILTER_REFUSES, FILTER_ACCEPTS, FILTER_OUT_OF_MEMORY };

/* Decides whether a user is delivered. The record needs to have only the values of the fields in
 * `needed` and of the keys for which user_filter_needs is true. `scratch` is used for a search: it
 * belongs to the caller, who frees it. Takes time in proportion to the size of the texts. */
enum filter_result user_filter_accepts(const struct user_filter *filter,
                                       const struct user_record *record, struct buffer *scratch);

/* Returns whether a key that the schema lacks is delivered, or is looked at by a condition. */
bool user_filter_needs(const struct user_filter *filter, const char *key, size_t size);

/* Returns whether such a key is delivered. */
bool user_filter_delivers(const struct user_filter *filter, const char *key, size_t size);

#endif
