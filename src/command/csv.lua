--- Users as lines of CSV (RFC 4180), safe to open in a spreadsheet.

local all_columns = require "podero.command.columns"
local json = require "podero.command.json"

local csv = {}

-- Beginnings of text that a spreadsheet takes for a formula (OWASP, "CSV Injection"), in ASCII and in the fullwidth
-- forms that Japanese spreadsheets accept. Apostrophes before it are included: they get one more, so that removing one
-- apostrophe always restores the text.
local FORMULA = "^'*[=+%-@\t\r\n]"
local WIDE_FORMULA = "^'*\239\188[\139\141\157\160]"

--- Returns one field. A text that a spreadsheet would run as a formula gets an apostrophe before it. Numbers do not:
-- -9.139337 is a longitude.
local function field(value)
  if type(value) ~= "string" then return json.text(value) end
  if value:find(FORMULA) or value:find(WIDE_FORMULA) then value = "'" .. value end
  if value:find("[\",\r\n]") then value = "\"" .. value:gsub("\"", "\"\"") .. "\"" end
  return value
end

--- Returns the line of names: of `columns`, or of all fields of the schema.
function csv.header(columns)
  local names = {}
  for i, name in ipairs(columns or all_columns) do names[i] = field(name) end
  return table.concat(names, ",") .. "\r\n"
end

--- Returns the line of a user: `columns`, or the fields of the schema, in its order; empty if nil. Other keys are left
-- out.
function csv.user(user, columns)
  local fields = {}
  for i, name in ipairs(columns or all_columns) do fields[i] = field(user[name]) end
  return table.concat(fields, ",") .. "\r\n"
end

return csv
