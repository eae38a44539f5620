#include "lua/user_schema.h"

#define FIELD(name, type, flags) {#name, sizeof #name - 1, USER_##type, flags},

const struct user_field user_fields[USER_FIELD_COUNT] = {USER_FIELDS(FIELD)};

const char *const user_roles[USER_ROLE_COUNT + 1] = {"admin", "staff", "user", "guest", NULL};

static bool is_role(const char *name, const char *role, size_t size) {
  /* The first bytes of the roles differ, so most often one byte decides. */
  return size > 0 && *name == *role && strlen(name) == size && memcmp(name, role, size) == 0;
}

int user_role_find(const char *role, size_t size) {
  int i = 0;
  while (i < USER_ROLE_COUNT && !is_role(user_roles[i], role, size))
    i++;
  return i;
}

const char *user_type_name(enum user_type type) {
  static const char *const names[] = {"string", "integer", "number", "boolean", "string"};
  return names[type];
}
