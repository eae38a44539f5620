--- Users as lines of CSV (RFC 4180), safe to open in a spreadsheet.

local columns = require "podero.command.columns"
local json = require "podero.command.json"

local csv = {}

-- What makes a spreadsheet take a text for a formula (OWASP, "CSV Injection"), also in the full width that Japanese
-- ones take for it. Apostrophes before it belong to it: so the guard can be taken off again, always.
local FORMULA = "^'*[=+%-@\t\r\n]"
local WIDE_FORMULA = "^'*\239\188[\139\141\157\160]"

--- One field. A text that a spreadsheet would run as a formula is preceded by an apostrophe. Numbers are left alone:
-- -9.139337 is a longitude.
local function field(value)
  if type(value) ~= "string" then return json.text(value) end
  if value:find(FORMULA) or value:find(WIDE_FORMULA) then value = "'" .. value end
  if value:find("[\",\r\n]") then value = "\"" .. value:gsub("\"", "\"\"") .. "\"" end
  return value
end

function csv.header()
  return table.concat(columns, ",") .. "\r\n"
end

--- The line of a user: the fields of the schema, in its order. What is nil is empty; other keys are left out.
function csv.user(user)
  local fields = {}
  for i, name in ipairs(columns) do fields[i] = field(user[name]) end
  return table.concat(fields, ",") .. "\r\n"
end

return csv
