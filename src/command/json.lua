--- Encodes values of the module as JSON (RFC 8259). lua-cjson is not used, because it writes numbers with 14 digits and
-- keys in no order.

local columns = require "podero.command.columns"
local podero = require "podero"
local text = require "podero.command.text"

local json = {}

local ESCAPES = { ["\""] = "\\\"", ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t" }

local function escape(character)
  return ESCAPES[character] or ("\\u%04x"):format(character:byte())
end

--- Returns a string as it is written between quotes. C1 control characters are escaped, too, because the text may be
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

--- Returns members in brackets: on one line, or if there is an indentation, each on a line of its own.
local function bracketed(opening, members, closing, indentation)
  if #members == 0 then return opening .. closing end
  if not indentation then return opening .. table.concat(members, ",") .. closing end
  local inner = "\n" .. indentation .. "  "
  return opening .. inner .. table.concat(members, "," .. inner) .. "\n" .. indentation .. closing
end

-- An empty table may have been an array or an object. It is written as an array, which is more likely.
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

--- Returns the JSON of any value: on one line, or with an `indentation` (a string of spaces, "" at the top) on several.
function encode(value, indentation)
  local kind = type(value)
  if kind == "string" then return quote(value) end
  if kind == "number" then return text.number(value) end
  if kind == "table" then return encode_table(value, indentation) end
  return value == podero.null and "null" or tostring(value)
end

json.encode = encode

--- Returns a value as text: a string as it is, "" for nil, otherwise JSON.
function json.text(value)
  if value == nil then return "" end
  return type(value) == "string" and value or encode(value)
end

-- By column: the text before its value, such as `,"email":`, and before a string, such as `,"email":"`.
local known, prefixes, string_prefixes = {}, {}, {}
for i, name in ipairs(columns) do
  known[name] = true
  prefixes[i] = (i == 1 and "{" or ",") .. quote(name) .. ":"
  string_prefixes[i] = prefixes[i] .. "\""
end

local pieces = {} -- of the current line; reused for each

--- Puts the fields of the schema into `pieces`, null if they are missing, and returns the number of pieces. For speed,
-- a line is concatenated only once, and the quotes of a string are pieces of their own.
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

--- Appends the other fields, sorted by name. Returns the number of pieces.
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

--- Returns the JSON of a user on one line: the fields of the schema in its order, then the others.
function json.user(user)
  local count = add_others(user, add_columns(user))
  return table.concat(pieces, "", 1, count) .. "}"
end

--- Returns the JSON of these fields of a user on one line, null if they are missing.
function json.columns(user, names)
  local members = {}
  for i, name in ipairs(names) do
    members[i] = quote(name) .. ":" .. (user[name] == nil and "null" or encode(user[name]))
  end
  return "{" .. table.concat(members, ",") .. "}"
end

return json
