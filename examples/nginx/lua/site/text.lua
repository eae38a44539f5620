--- Texts that visitors and Podero's servers chose. Every function takes time in proportion to the text's length.
-- Numbers as text, too.

local text = {}

--- Without white space at both ends. Not "^%s*(.-)%s*$", which takes the square of the time for white space within.
function text.trim(value)
  local first = value:find "%S"
  return first and value:match(".*%S", first) or ""
end

--- Without what is beyond `most` bytes, and "…" in its place. Characters stay whole.
function text.cut(value, most)
  if #value <= most then return value end
  while most > 0 and value:find("^[\128-\191]", most + 1) do most = most - 1 end
  return value:sub(1, most) .. "…"
end

--- The fewest digits that read back as the same number. Lua's tostring and some versions of lua-cjson write 14, too few
-- for some coordinates.
function text.number(value)
  if value % 1 == 0 and math.abs(value) <= 2 ^ 53 then return ("%d"):format(value) end
  for digits = 15, 16 do
    local short = ("%." .. digits .. "g"):format(value)
    if tonumber(short) == value then return short end
  end
  return ("%.17g"):format(value)
end

-- Letters of two bytes in UTF-8 that have a lower case: Latin, Greek, Cyrillic.
local LOWER = {}

local function letter(code)
  return string.char(192 + math.floor(code / 64), 128 + code % 64)
end

-- First and last capital, from one to the next, and how far away the small letter is.
for _, range in ipairs {
  { 0xC0, 0xD6, 1, 32 }, { 0xD8, 0xDE, 1, 32 },
  { 0x100, 0x12E, 2, 1 }, { 0x132, 0x136, 2, 1 }, { 0x139, 0x147, 2, 1 }, { 0x14A, 0x176, 2, 1 },
  { 0x179, 0x17D, 2, 1 },
  { 0x391, 0x3A1, 1, 32 }, { 0x3A3, 0x3AB, 1, 32 },
  { 0x400, 0x40F, 1, 80 }, { 0x410, 0x42F, 1, 32 },
} do
  for code = range[1], range[2], range[3] do LOWER[letter(code)] = letter(code + range[4]) end
end

--- Without the difference between capitals and small letters, for comparisons.
function text.fold(value)
  return (value:lower():gsub("[\195-\208][\128-\191]", LOWER))
end

return text
