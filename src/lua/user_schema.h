/* The schemas UserOutput and Role of openapi.yaml as data; the only place in the module that has
 * them. */
#ifndef PODERO_USER_SCHEMA_H
#define PODERO_USER_SCHEMA_H

enum { USER_FIELD_COUNT = 21, USER_ROLE_COUNT = 4 };

enum user_type { USER_STRING, USER_INTEGER, USER_NUMBER, USER_BOOLEAN, USER_ROLE };

/* Flags of a field. */
enum {
  USER_NULLABLE = 1,
  USER_REQUIRED = 2,
  USER_REPEATS = 4 /* its value is often that of the user before, see push_repeating */
};

struct user_field {
  const char *name;
  const char *key;    /* "name": as in JSON, with quotes and colon */
  unsigned char size; /* of the name, in bytes */
  unsigned char key_size;
  unsigned char type; /* enum user_type */
  unsigned char flags;
};

/* In the order in which the API sends the keys. */
extern const struct user_field user_fields[USER_FIELD_COUNT];

/* The values of Role, followed by NULL. */
extern const char *const user_roles[USER_ROLE_COUNT + 1];

/* Returns the type's name for error messages, a static string. */
const char *user_type_name(enum user_type type);

#endif
