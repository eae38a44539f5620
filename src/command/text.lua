--- Formats text and numbers for people and for other programs.

local text = {}

--- Returns a number with the fewest digits that convert back to the same number; an integer has no decimal point.
-- lua-cjson writes 14 digits, which is too few for some coordinates.
function text.number(n)
  if (math.type and math.type(n) == "integer") or (n % 1 == 0 and n > -2 ^ 53 and n < 2 ^ 53) then
    return ("%d"):format(n)
  end
  for digits = 15, 16 do
    local short = ("%." .. digits .. "g"):format(n)
    if tonumber(short) == n then return short end
  end
  return ("%.17g"):format(n)
end

-- Characters that change the order of text on a terminal (Unicode Standard Annex 9): U+202A to U+202E, U+2066 to
-- U+2069.
local REORDERING = { "\226\128[\170-\174]", "\226\129[\166-\169]" }

--- Replaces control characters (C0, DEL, C1) and characters that reorder text with "?", so that text of users cannot
-- control the terminal.
function text.printable(value)
  if not value:find("[%c\194\226]") then return value end
  value = value:gsub("%c", "?"):gsub("\194[\128-\159]", "?")
  for _, marks in ipairs(REORDERING) do value = value:gsub(marks, "?") end
  return value
end

--- Returns the width of UTF-8 text on the screen, counting each character as one column.
function text.width(value)
  if not value:find("[\128-\191]") then return #value end
  return #value:gsub("[\128-\191]", "")
end

--- Returns an integer with commas between thousands.
function text.grouped(n)
  local digits = ("%d"):format(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (digits:gsub("^,", ""))
end

--- Returns a number of bytes with a unit.
function text.bytes(n)
  if n < 1e3 then return ("%d B"):format(n) end
  if n < 1e6 then return ("%.1f kB"):format(n / 1e3) end
  if n < 1e9 then return ("%.1f MB"):format(n / 1e6) end
  return ("%.2f GB"):format(n / 1e9)
end

return text
