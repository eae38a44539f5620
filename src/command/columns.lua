--- The fields of a user, in the order in which the API sends them: the columns of CSV and the keys of JSON.
return {
  "id", "organization_id", "external_user_id", "role", "email", "first_name", "last_name", "is_onboarded",
  "street_and_number", "street_add_info", "zip_code", "town", "country", "latitude", "longitude", "last_login",
  "num_inverters", "num_heat_pumps", "num_electric_vehicles", "num_wallboxes", "joined_at",
}
