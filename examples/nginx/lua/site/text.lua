--- Texts from visitors and from Podero's servers, and numbers for people. Every function takes time in proportion to
-- the length of the text.

local text = {}

--- Removes white space at both ends. Not with "^%s*(.-)%s*$", which takes quadratic time for white space within.
function text.trim(value)
  local first = value:find "%S"
  return first and value:match(".*%S", first) or ""
end

--- Cuts a text to `most` bytes, without cutting a character, and appends "…".
function text.cut(value, most)
  if #value <= most then return value end
  while most > 0 and value:find("^[\128-\191]", most + 1) do most = most - 1 end
  return value:sub(1, most) .. "…"
end

--- Joins the texts that are neither nil nor empty, with blanks between them.
function text.joined(...)
  local texts = {}
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if value and value ~= "" then texts[#texts + 1] = value end
  end
  return table.concat(texts, " ")
end

--- Returns an integer with commas between thousands.
function text.grouped(number)
  local digits = ("%d"):format(number):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (digits:gsub("^,", ""))
end

--- "1 user", "2,000 users". The no-break space keeps a number with what it counts.
function text.counted(number, one, several)
  return text.grouped(number) .. "\194\160" .. (number == 1 and one or several)
end

local UNITS = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } }

--- Returns a number of seconds in the largest unit that is not more than it, rounded up: "2 minutes".
function text.duration(seconds)
  seconds = math.max(1, math.ceil(seconds))
  for _, unit in ipairs(UNITS) do
    if seconds >= unit[1] then return text.counted(math.ceil(seconds / unit[1]), unit[2], unit[2] .. "s") end
  end
end

-- Latin letters by the letter that they are sorted as; two bytes each in UTF-8.
local BASES = {
  a = "ÀÁÂÃÄÅàáâãäåĀāĂăĄą", ae = "Ææ", c = "ÇçĆćĈĉĊċČč", d = "ÐðĎďĐđ", e = "ÈÉÊËèéêëĒēĔĕĖėĘęĚě", g = "ĜĝĞğĠġĢģ",
  h = "ĤĥĦħ", i = "ÌÍÎÏìíîïĨĩĪīĬĭĮįİı", j = "Ĵĵ", k = "Ķķ", l = "ĹĺĻļĽľĿŀŁł", n = "ÑñŃńŅņŇňŊŋ",
  o = "ÒÓÔÕÖØòóôõöøŌōŎŏŐő", oe = "Œœ", r = "ŔŕŖŗŘř", s = "ŚśŜŝŞşŠš", ss = "ß", t = "ŢţŤťŦŧ", th = "Þþ",
  u = "ÙÚÛÜùúûüŨũŪūŬŭŮůŰűŲų", w = "Ŵŵ", y = "ÝýÿŶŷŸ", z = "ŹźŻżŽž",
}

local BASE = {}
for base, letters in pairs(BASES) do
  for letter in letters:gmatch "[\195-\197][\128-\191]" do BASE[letter] = base end
end

--- Returns the key to sort a text by: Latin letters are lower-case and without accents. Other alphabets keep the order
-- of Unicode.
function text.collation(value)
  return (value:lower():gsub("[\195-\197][\128-\191]", BASE))
end

return text
