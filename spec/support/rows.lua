--- The expected output of podero.command.rows, made in Lua.

local podero = require "podero"

local rows = {}

--- Returns a number with `digits` digits as C's printf prints it; LuaJIT's %g does not round half to even.
local function format(digits, n)
  if not jit then return ("%." .. digits .. "g"):format(n) end
  local ffi = require "ffi"
  pcall(ffi.cdef, "int snprintf(char *, size_t, const char *, ...);")
  local buffer = ffi.new("char[40]")
  return ffi.string(buffer, ffi.C.snprintf(buffer, 40, "%." .. digits .. "g", ffi.cast("double", n)))
end

--- Returns a number with the fewest digits that convert back to the same number; an integer that fits 64 bits has no
-- decimal point.
function rows.number(n)
  if math.type and math.type(n) == "integer" then return ("%d"):format(n) end
  if n == 0 then return "0" end
  if n % 1 == 0 and n >= -2 ^ 63 and n < 2 ^ 63 then return ("%.0f"):format(n) end
  for digits = 1, 16 do
    local short = format(digits, n)
    if tonumber(short) == n then return short end
  end
  return format(17, n)
end

-- JSON ----------------------------------------------------------------------------------------------------------------

local ESCAPES = { ["\""] = "\\\"", ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t" }

local function escape(character)
  return ESCAPES[character] or ("\\u%04x"):format(character:byte())
end

local function quote(value)
  value = value:gsub("[%c\"\\]", escape)
  value = value:gsub("\194([\128-\159])", escape)
  -- U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069
  value = value:gsub("\226\128([\142\143\170-\174])", function(byte) return ("\\u20%02x"):format(byte:byte() - 128) end)
  value = value:gsub("\226\129([\166-\169])", function(byte) return ("\\u20%02x"):format(byte:byte() - 64) end)
  return "\"" .. value .. "\""
end

local function sorted_keys(object)
  local keys = {}
  for key in pairs(object) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

function rows.encode(value)
  local kind, members = type(value), {}
  if kind == "string" then return quote(value) end
  if kind == "number" then return rows.number(value) end
  if kind ~= "table" then return value == podero.null and "null" or tostring(value) end
  if next(value) == nil or value[1] ~= nil then
    for i, member in ipairs(value) do members[i] = rows.encode(member) end
    return "[" .. table.concat(members, ",") .. "]"
  end
  for i, key in ipairs(sorted_keys(value)) do members[i] = quote(key) .. ":" .. rows.encode(value[key]) end
  return "{" .. table.concat(members, ",") .. "}"
end

--- The line of a user: only `columns`, or without these `fields` and then the other keys, sorted.
function rows.json_line(user, columns, fields)
  local members, known = {}, {}
  for i, name in ipairs(columns or fields) do
    local value = user[name]
    known[name] = true
    members[i] = quote(name) .. ":" .. (value == nil and "null" or rows.encode(value))
  end
  for _, name in ipairs(columns and {} or sorted_keys(user)) do
    if not known[name] then members[#members + 1] = quote(name) .. ":" .. rows.encode(user[name]) end
  end
  return "{" .. table.concat(members, ",") .. "}\n"
end

-- CSV -----------------------------------------------------------------------------------------------------------------

local FORMULA, WIDE_FORMULA = "^[%s\"']*[=+%-@]", "^[%s\"']*\239\188[\139\141\157\160]"
-- U+00A0, U+2000 to U+200F, U+202F, U+205F to U+2064, U+3000, U+FEFF.
local WIDE_BLANKS = { "\194\160", "\226\128[\128-\143\175]", "\226\129[\159-\164]", "\227\128\128", "\239\187\191" }

local function is_formula(value)
  for _, blank in ipairs(WIDE_BLANKS) do value = value:gsub(blank, " ") end
  return value:find(FORMULA) ~= nil or value:find(WIDE_FORMULA) ~= nil
end

function rows.guarded(value)
  value = value:gsub("([,;\t\r\n])([^,;\t\r\n]*)", function(mark, part)
    return is_formula(part) and mark .. "'" .. part or nil
  end)
  return (is_formula(value) or value:find("^'*[\t\r\n]")) and "'" .. value or value
end

local function field(value, delimiter)
  local kind = type(value)
  if value == nil then return "" end
  if kind == "number" then return rows.number(value) end
  if kind == "boolean" then return tostring(value) end
  value = rows.guarded(kind == "string" and value or rows.encode(value))
  if value:find("[\",;\t\r\n]") or value:find(delimiter, 1, true) then
    return "\"" .. value:gsub("\"", "\"\"") .. "\""
  end
  return value
end

function rows.csv_line(user, columns, delimiter)
  local fields = {}
  for i, name in ipairs(columns) do fields[i] = field(user[name], delimiter) end
  return table.concat(fields, delimiter) .. "\r\n"
end

return rows
