--- Values of options and arguments, see `convert` in option.lua.

local syntax = require "podero.command.syntax"
local where = require "podero.command.where"
local words = require "podero.command.words"

local convert = {}

function convert.seconds(value)
  local number = value:find("^%d*%.?%d*$") and tonumber(value)
  if number and number > 0 and number < math.huge then return number end
  return nil, "a number of seconds above 0"
end

--- Returns a function that converts a whole number in decimal digits.
local function whole_number(minimum, maximum, expected)
  return function(value)
    local number = value:find("^%d+$") and tonumber(value)
    if number and number >= minimum and number <= maximum then return number end
    return nil, expected
  end
end

convert.count = whole_number(0, 1e6, "a whole number up to 1000000")
convert.limit = whole_number(1, 2 ^ 31, "a whole number above 0")
convert.port = whole_number(0, 65535, "a port, from 0 to 65535")
convert.bytes = whole_number(1, 2 ^ 53, "a number of bytes above 0")

function convert.pair(value)
  local name, content = value:match("^([^=]+)=(.*)$")
  if name then return { name, content } end
  return nil, "NAME=VALUE"
end

--- A header field, as curl takes it.
function convert.header(value)
  local name, content = value:match("^([^:%s]+):%s*(.-)%s*$")
  if name then return { name, content } end
  return nil, "NAME:VALUE"
end

--- The names of fields of a user, separated by commas.
function convert.columns(value)
  local names, seen = {}, {}
  for entry in (value .. ","):gmatch(" *([^,]*),") do
    local name = entry:match("^(.-) *$")
    if not name:find("^[%w_.-]+$") then return nil, "names of fields, separated by commas" end
    if seen[name] then return nil, nil, ("the field '%s' is named twice"):format(name) end
    local misspelt = name ~= "name" and where.misspelt(name) -- tables have "name"
    if misspelt then return nil, nil, misspelt end
    names[#names + 1], seen[name] = name, true
  end
  return names
end

--- A character between fields of CSV: one that is no part of values or formulas.
function convert.delimiter(value)
  if value == "\\t" or value == "tab" then return "\t" end
  if value:find("^[\t !#$%%&*,/:;<>?^_`{|}~]$") then return value end
  return nil, "a character such as ';', or tab"
end

--- The path of a request, which may have a query.
function convert.path(value)
  local path = value:match("^https?://[^/]+(/.*)$")
  if path then return nil, nil, ("the path alone is needed, without the host: did you mean '%s'?"):format(path) end
  if value:find("^/") then
    path = value:match("^[^?]*")
    local fault, needs_escaping = syntax.path_fault(path)
    if needs_escaping then fault = fault .. ": " .. syntax.escaped_path(path) end
    if fault then return nil, nil, fault end
    return value
  end
  return nil, "a path that begins with '/', such as /api/partners/v2.0/org/ORG_ID/users"
end

convert.METHODS = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" }

function convert.method(value)
  for _, method in ipairs(convert.METHODS) do
    if value:upper() == method then return method end
  end
  return nil, words.any(convert.METHODS)
end

--- An organization's id.
function convert.organization(value)
  if syntax.is_uuid(value) then return value end
  return nil, "an organization's UUID"
end

return convert
