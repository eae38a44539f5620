--- Texts that visitors and Podero's servers chose, and numbers for people. Every function takes time in proportion to
-- the text's length.

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

--- The texts with a blank between each two, without those that are nil or empty.
function text.joined(...)
  local texts = {}
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if value and value ~= "" then texts[#texts + 1] = value end
  end
  return table.concat(texts, " ")
end

--- An integer with commas between thousands.
function text.grouped(number)
  local digits = ("%d"):format(number):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (digits:gsub("^,", ""))
end

--- "1 user", "2,000 users". The no-break space keeps a number with what it counts.
function text.counted(number, one, several)
  return text.grouped(number) .. "\194\160" .. (number == 1 and one or several)
end

local UNITS = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } }

--- A number of seconds in the largest unit that it fills, rounded up: "2 minutes".
function text.duration(seconds)
  seconds = math.max(1, math.ceil(seconds))
  for _, unit in ipairs(UNITS) do
    if seconds >= unit[1] then return text.counted(math.ceil(seconds / unit[1]), unit[2], unit[2] .. "s") end
  end
end

-- Letters of Latin by the letter that people look for them under; two bytes each in UTF-8.
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

--- A text to sort by: Latin letters without accents and capitals. Other alphabets keep the order of Unicode.
function text.collation(value)
  return (value:lower():gsub("[\195-\197][\128-\191]", BASE))
end

return text
