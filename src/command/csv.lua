--- Users as lines of CSV (RFC 4180), safe to open in a spreadsheet. Web sites can use it, too, in nginx as well:
-- require "podero.command.csv".

local all_columns = require "podero.command.columns"
local json = require "podero.command.json"
local text = require "podero.command.text"

local csv = {}

local BYTE_ORDER_MARK = "\239\187\191"

-- A spreadsheet takes a cell for a formula if it begins with one of these (OWASP, "CSV Injection"), in ASCII or in the
-- fullwidth forms that Japanese spreadsheets accept; also after blanks and quotes.
local FORMULA = "^[%s\"']*[=+%-@]"
local WIDE_FORMULA = "^[%s\"']*\239\188[\139\141\157\160]"
-- Blanks beyond ASCII: U+00A0, U+2000 to U+200F, U+202F, U+205F to U+2064, U+3000, U+FEFF.
local WIDE_BLANKS = { "\194\160", "\226\128[\128-\143\175]", "\226\129[\159-\164]", "\227\128\128", "\239\187\191" }

--- Returns whether a spreadsheet would take this text, if a cell begins with it, for a formula.
local function is_formula(value)
  if value:find(FORMULA) or value:find(WIDE_FORMULA) then return true end
  if not value:find("^[%s\"']*[\194\226\227\239]") then return false end
  for _, blank in ipairs(WIDE_BLANKS) do value = value:gsub(blank, " ") end
  return value:find(FORMULA) ~= nil or value:find(WIDE_FORMULA) ~= nil
end

local function guard_part(delimiter, part)
  return is_formula(part) and delimiter .. "'" .. part or nil
end

--- Puts an apostrophe before a text that is a formula, or that has one after a comma, semicolon, tab or line end: the
-- spreadsheet may take any of them for the delimiter, whichever is used. Removing one apostrophe where there is a
-- formula behind it restores the text.
local function guarded(value)
  local has_parts = value:find("[,;\t\r\n]")
  if has_parts then value = value:gsub("([,;\t\r\n])([^,;\t\r\n]*)", guard_part) end
  if is_formula(value) or (has_parts and value:find("^'*[\t\r\n]")) then value = "'" .. value end
  return value
end

csv.guarded = guarded

local QUOTED = "[\",;\t\r\n]" -- what has to be in quotes, besides the delimiter

--- Returns a writer: an object with `header()` and `line(user)`, which return lines that end in CR LF. Settings, all of
-- which may be left out:
--   columns     names of the fields of a user; default: those of the API's schema
--   delimiter   between the fields; default: a comma
--   bom         begin with a byte order mark, by which spreadsheets recognize UTF-8
function csv.new(settings)
  local columns, delimiter = settings.columns or all_columns, settings.delimiter or ","
  local quoted = settings.delimiter and ("[\",;\t\r\n%s]"):format("%" .. delimiter) or QUOTED

  --- Returns a field. Numbers are not guarded: -9.139337 is a longitude.
  local function field(value)
    if value == nil then return "" end
    local kind = type(value)
    if kind == "number" then return text.number(value) end
    if kind == "boolean" then return tostring(value) end
    value = json.text(value)
    value = guarded(value)
    if value:find(quoted) then value = "\"" .. value:gsub("\"", "\"\"") .. "\"" end
    return value
  end

  local fields, count = {}, #columns
  local writer = {}

  function writer.header()
    for i = 1, count do fields[i] = field(columns[i]) end
    return (settings.bom and BYTE_ORDER_MARK or "") .. table.concat(fields, delimiter) .. "\r\n"
  end

  --- Returns the line of a user; a field is empty if it is nil. Other keys are left out.
  function writer.line(user)
    for i = 1, count do fields[i] = field(user[columns[i]]) end
    return table.concat(fields, delimiter) .. "\r\n"
  end

  return writer
end

return csv
