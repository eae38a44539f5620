--- The fields of a user, in the order in which the API sends them: the columns of CSV and the keys of JSON. `types` has
-- the type of each by its name: "string", "integer", "number", "boolean", or "enum" for a string of a fixed set.
return require("podero.command.rows").schema()
