--- JSON texts (RFC 8259) of what the module hands out. lua-cjson would do, but for its 14 digits a number and keys in
-- no order.

local columns = require "podero.command.columns"
local podero = require "podero"
local text = require "podero.command.text"

local json = {}

local ESCAPES = { ["\""] = "\\\"", ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t" }

local function escape(character)
  return ESCAPES[character] or ("\\u%04x"):format(character:byte())
end

--- What stands between the quotes of a string. The control characters beyond ASCII are escaped too, for JSON that is
-- shown on a terminal.
local function escaped(value)
  if not value:find("[%c\"\\\194]") then return value end
  value = value:gsub("[%c\"\\]", escape)
  value = value:gsub("\194([\128-\159])", escape)
  return value
end

local function quote(value)
  return "\"" .. escaped(value) .. "\""
end

local encode

local function sorted_keys(object)
  local keys = {}
  for key in pairs(object) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- Members in brackets: on one line, or a line each where there is an indentation.
local function bracketed(opening, members, closing, indentation)
  if #members == 0 then return opening .. closing end
  if not indentation then return opening .. table.concat(members, ",") .. closing end
  local inner = "\n" .. indentation .. "  "
  return opening .. inner .. table.concat(members, "," .. inner) .. "\n" .. indentation .. closing
end

-- A table without members was an array or an object, and no longer tells; arrays are the likelier.
local function encode_table(value, indentation)
  local members, inner = {}, indentation and indentation .. "  "
  if next(value) == nil or value[1] ~= nil then
    for i, member in ipairs(value) do members[i] = encode(member, inner) end
    return bracketed("[", members, "]", indentation)
  end
  local colon = indentation and ": " or ":"
  for i, key in ipairs(sorted_keys(value)) do
    members[i] = quote(key) .. colon .. encode(value[key], inner)
  end
  return bracketed("{", members, "}", indentation)
end

--- The text of any value; with an `indentation` (a string of spaces, "" at the top) on several lines.
function encode(value, indentation)
  local kind = type(value)
  if kind == "string" then return quote(value) end
  if kind == "number" then return text.number(value) end
  if kind == "table" then return encode_table(value, indentation) end
  return value == podero.null and "null" or tostring(value)
end

json.encode = encode

--- A value as text: a string is that text, nil is none, anything else is JSON.
function json.text(value)
  if value == nil then return "" end
  return type(value) == "string" and value or encode(value)
end

-- What stands before the value of a column, and before one that is a string: `,"email":` and `,"email":"`.
local known, prefixes, string_prefixes = {}, {}, {}
for i, name in ipairs(columns) do
  known[name] = true
  prefixes[i] = (i == 1 and "{" or ",") .. quote(name) .. ":"
  string_prefixes[i] = prefixes[i] .. "\""
end

local pieces = {} -- of the line, in a table that is used again for each

--- The schema's fields, null where they are not there: fills `pieces` and returns how many there are. Lists are long:
-- a line is put together in one go, and strings are not copied to be quoted.
local function add_columns(user)
  local count = 0
  for i, name in ipairs(columns) do
    local value = user[name]
    if type(value) == "string" then
      pieces[count + 1], pieces[count + 2], pieces[count + 3] = string_prefixes[i], escaped(value), "\""
      count = count + 3
    else
      pieces[count + 1], pieces[count + 2] = prefixes[i], value == nil and "null" or encode(value)
      count = count + 2
    end
  end
  return count
end

--- The other fields, by name.
local function add_others(user, count)
  local names
  for name in pairs(user) do
    if not known[name] then
      names = names or {}
      names[#names + 1] = name
    end
  end
  if not names then return count end
  table.sort(names)
  for _, name in ipairs(names) do
    count = count + 1
    pieces[count] = "," .. quote(name) .. ":" .. encode(user[name])
  end
  return count
end

--- The text of a user on one line: the schema's fields in its order, then the others.
function json.user(user)
  local count = add_others(user, add_columns(user))
  return table.concat(pieces, "", 1, count) .. "}"
end

return json
