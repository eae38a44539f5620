--- Splits a path that people paste from its query.

local percent = require "podero.command.percent"

local path = {}

--- Adds a value; a name that has one already gets an array.
local function add(query, name, value)
  local old = query[name]
  if old == nil then
    query[name] = value
  elseif type(old) == "table" then
    old[#old + 1] = value
  else
    query[name] = { old, value }
  end
end

--- Returns the path without its query, and a table of all parameters as the module's methods take it: those of the
-- path, then `parameters`, an array of { name, value }.
function path.split(given, parameters)
  local query = {}
  local target, rest = given:match("^([^?]*)%??(.*)$")
  for part in rest:gmatch("[^&]+") do
    local name, value = part:match("^([^=]*)=?(.*)$")
    add(query, percent.decode_form(name), percent.decode_form(value))
  end
  for _, parameter in ipairs(parameters) do add(query, parameter[1], parameter[2]) end
  return target, query
end

return path
