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

--- A string; the control characters beyond ASCII are escaped too, for JSON that is shown on a terminal.
local function quote(value)
  if not value:find("[%c\"\\\194]") then return "\"" .. value .. "\"" end
  value = value:gsub("[%c\"\\]", escape)
  value = value:gsub("\194([\128-\159])", escape)
  return "\"" .. value .. "\""
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

local known, prefixes = {}, {}
for i, name in ipairs(columns) do
  known[name] = true
  prefixes[i] = quote(name) .. ":"
end

--- The text of a user on one line: the schema's fields in its order, null where they are not there, then the others by
-- name.
function json.user(user)
  local members = {}
  for i, name in ipairs(columns) do
    local value = user[name]
    members[i] = prefixes[i] .. (value == nil and "null" or encode(value))
  end
  local others
  for key in pairs(user) do
    if not known[key] then
      others = others or {}
      others[#others + 1] = key
    end
  end
  if others then
    table.sort(others)
    for _, key in ipairs(others) do members[#members + 1] = quote(key) .. ":" .. encode(user[key]) end
  end
  return "{" .. table.concat(members, ",") .. "}"
end

return json
