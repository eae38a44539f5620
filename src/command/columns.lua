--- The fields of a user, in the order in which the API sends them: the columns of CSV and the keys of JSON. `types` has
-- the type of each by its name: "string", "integer", "number", "boolean", or "enum" for a string of a fixed set.
return {
  "id", "organization_id", "external_user_id", "role", "email", "first_name", "last_name", "is_onboarded",
  "street_and_number", "street_add_info", "zip_code", "town", "country", "latitude", "longitude", "last_login",
  "num_inverters", "num_heat_pumps", "num_electric_vehicles", "num_wallboxes", "joined_at",
  types = {
    id = "string", organization_id = "string", external_user_id = "string", role = "enum", email = "string",
    first_name = "string", last_name = "string", is_onboarded = "boolean", street_and_number = "string",
    street_add_info = "string", zip_code = "string", town = "string", country = "string", latitude = "number",
    longitude = "number", last_login = "string", num_inverters = "integer", num_heat_pumps = "integer",
    num_electric_vehicles = "integer", num_wallboxes = "integer", joined_at = "string",
  },
}
