#include "lua/user_schema.h"

#include <stddef.h>

#define FIELD(name, type, flags)                                                                   \
  { name, "\"" name "\":", sizeof name - 1, sizeof name + 2, USER_##type, flags }

const struct user_field user_fields[USER_FIELD_COUNT] = {
    FIELD("id", STRING, USER_REQUIRED),
    FIELD("organization_id", STRING, USER_REQUIRED | USER_REPEATS),
    FIELD("external_user_id", STRING, USER_NULLABLE),
    FIELD("role", ROLE, USER_REQUIRED),
    FIELD("email", STRING, USER_REQUIRED),
    FIELD("first_name", STRING, USER_NULLABLE),
    FIELD("last_name", STRING, USER_NULLABLE),
    FIELD("is_onboarded", BOOLEAN, USER_NULLABLE),
    FIELD("street_and_number", STRING, USER_NULLABLE),
    FIELD("street_add_info", STRING, USER_NULLABLE),
    FIELD("zip_code", STRING, USER_NULLABLE),
    FIELD("town", STRING, USER_NULLABLE),
    FIELD("country", STRING, USER_NULLABLE | USER_REPEATS),
    FIELD("latitude", NUMBER, USER_NULLABLE),
    FIELD("longitude", NUMBER, USER_NULLABLE),
    FIELD("last_login", STRING, USER_NULLABLE),
    FIELD("num_inverters", INTEGER, USER_REQUIRED),
    FIELD("num_heat_pumps", INTEGER, USER_REQUIRED),
    FIELD("num_electric_vehicles", INTEGER, USER_REQUIRED),
    FIELD("num_wallboxes", INTEGER, USER_REQUIRED),
    FIELD("joined_at", STRING, USER_NULLABLE),
};

const char *const user_roles[USER_ROLE_COUNT + 1] = {"admin", "staff", "user", "guest", NULL};

const char *user_type_name(enum user_type type) {
  static const char *const names[] = {"string", "integer", "number", "boolean", "string"};
  return names[type];
}
