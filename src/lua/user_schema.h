/* The schemas UserOutput and Role of openapi.yaml as data. The module has them only here. */
#ifndef PODERO_USER_SCHEMA_H
#define PODERO_USER_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The fields, in the order in which the API sends them: name, enum user_type without USER_, and
 * flags. */
#define USER_FIELDS(FIELD)                                                                         \
  FIELD(id, STRING, USER_REQUIRED)                                                                 \
  FIELD(organization_id, STRING, USER_REQUIRED | USER_REPEATS)                                     \
  FIELD(external_user_id, STRING, USER_NULLABLE)                                                   \
  FIELD(role, ROLE, USER_REQUIRED)                                                                 \
  FIELD(email, STRING, USER_REQUIRED)                                                              \
  FIELD(first_name, STRING, USER_NULLABLE)                                                         \
  FIELD(last_name, STRING, USER_NULLABLE)                                                          \
  FIELD(is_onboarded, BOOLEAN, USER_NULLABLE)                                                      \
  FIELD(street_and_number, STRING, USER_NULLABLE)                                                  \
  FIELD(street_add_info, STRING, USER_NULLABLE)                                                    \
  FIELD(zip_code, STRING, USER_NULLABLE)                                                           \
  FIELD(town, STRING, USER_NULLABLE)                                                               \
  FIELD(country, STRING, USER_NULLABLE | USER_REPEATS)                                             \
  FIELD(latitude, NUMBER, USER_NULLABLE)                                                           \
  FIELD(longitude, NUMBER, USER_NULLABLE)                                                          \
  FIELD(last_login, STRING, USER_NULLABLE)                                                         \
  FIELD(num_inverters, INTEGER, USER_REQUIRED)                                                     \
  FIELD(num_heat_pumps, INTEGER, USER_REQUIRED)                                                    \
  FIELD(num_electric_vehicles, INTEGER, USER_REQUIRED)                                             \
  FIELD(num_wallboxes, INTEGER, USER_REQUIRED)                                                     \
  FIELD(joined_at, STRING, USER_NULLABLE)

enum user_type { USER_STRING, USER_INTEGER, USER_NUMBER, USER_BOOLEAN, USER_ROLE };

/* Flags of a field. */
enum {
  USER_NULLABLE = 1,
  USER_REQUIRED = 2,
  USER_REPEATS = 4 /* its value is often that of the previous user, see push_repeating */
};

/* USER_FIELD_id and so on: indices in user_fields. */
#define USER_FIELD_INDEX(name, type, flags) USER_FIELD_##name,
enum { USER_FIELDS(USER_FIELD_INDEX) USER_FIELD_COUNT };
#undef USER_FIELD_INDEX

enum { USER_ROLE_COUNT = 4 };

struct user_field {
  const char *name;
  unsigned char size; /* of the name, in bytes */
  unsigned char type; /* enum user_type */
  unsigned char flags;
};

extern const struct user_field user_fields[USER_FIELD_COUNT];

/* The names of the roles, followed by NULL. */
extern const char *const user_roles[USER_ROLE_COUNT + 1];

/* Returns the bit of a field in a set of fields. */
static inline uint64_t user_field_bit(int field) {
  return UINT64_C(1) << field;
}

/* Returns whether the field has this name. */
static inline bool user_field_is(int field, const char *name, size_t size) {
  return user_fields[field].size == size && memcmp(user_fields[field].name, name, size) == 0;
}

/* Returns the index of this role in user_roles, or USER_ROLE_COUNT if the schema lacks it. */
int user_role_find(const char *role, size_t size);

/* Returns the type's name for error messages, a static string. */
const char *user_type_name(enum user_type type);

#endif
