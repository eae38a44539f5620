--- Values of options and arguments, see `convert` in option.lua.

local FIELDS = require "podero.command.columns"
local words = require "podero.command.words"

local convert = {}

function convert.seconds(value)
  local number = value:find("^%d*%.?%d*$") and tonumber(value)
  if number and number > 0 and number < math.huge then return number end
  return nil, "a number of seconds above 0"
end

function convert.count(value)
  local number = value:match("^%d+$") and tonumber(value)
  if number and number <= 1e6 then return number end
  return nil, "a whole number up to 1000000"
end

--- From 1 on.
function convert.limit(value)
  local number = value:match("^%d+$") and tonumber(value)
  if number and number >= 1 and number <= 2 ^ 31 then return number end
  return nil, "a whole number from 1 on"
end

function convert.port(value)
  local number = value:match("^%d+$") and tonumber(value)
  if number and number <= 65535 then return number end
  return nil, "a port, from 0 to 65535"
end

function convert.bytes(value)
  local number = value:match("^%d+$") and tonumber(value)
  if number and number >= 1 and number <= 2 ^ 53 then return number end
  return nil, "a number of bytes above 0"
end

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
  local names, is_known, seen = {}, {}, {}
  for _, name in ipairs(FIELDS) do is_known[name] = true end
  for entry in (value .. ","):gmatch(" *([^,]*),") do
    local name = entry:match("^(.-) *$")
    if not name:find("^[%w_.-]+$") then return nil, "names of fields, separated by commas" end
    if seen[name] then return nil, nil, ("the field '%s' is named twice"):format(name) end
    local meant = not is_known[name] and words.closest(name, FIELDS)
    if meant then return nil, nil, ("there is no field '%s': did you mean '%s'?"):format(name, meant) end
    names[#names + 1], seen[name] = name, true
  end
  return names
end

--- A character that stands between fields of CSV: nothing that is part of values or of formulas.
function convert.delimiter(value)
  if value == "\\t" or value == "tab" then return "\t" end
  if value:find("^[\t !#$%%&*,/:;<>?^_`{|}~]$") then return value end
  return nil, "a character such as ';', or tab"
end

--- The path of a request, which may have a query.
function convert.path(value)
  local path = value:match("^https?://[^/]+(/.*)$")
  if path then return nil, nil, ("the path alone is needed, without the host: did you mean '%s'?"):format(path) end
  if value:find("^/") then return value end
  return nil, "a path that begins with '/', such as /api/partners/v2.0/org/ORG_ID/users"
end

local METHODS = { GET = true, HEAD = true, POST = true, PUT = true, PATCH = true, DELETE = true }

function convert.method(value)
  local method = value:upper()
  if METHODS[method] then return method end
  return nil, "GET, HEAD, POST, PUT, PATCH or DELETE"
end

local UUID = "^" .. ("%x"):rep(8) .. ("%-" .. ("%x"):rep(4)):rep(3) .. "%-" .. ("%x"):rep(12) .. "$"

--- An organization's id. What is wrong with one is to be found before anything is requested.
function convert.organization(value)
  if value:find(UUID) then return value end
  return nil, "an organization's UUID"
end

return convert
