--- Finds the word that was meant, and quotes words in messages.

local text = require "podero.command.text"

local words = {}

local LONGEST = 100 -- columns of a value in a message

--- Returns how many letters have to be inserted, removed, replaced or swapped with the next one to make `b` of `a`
-- (optimal string alignment).
local function distance(a, b)
  local before, last = {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, last = last, row
  end
  return last[#b]
end

--- Returns the word of a list that is most like `word`, nil if none is alike: one letter in four may be wrong, and one
-- in any case; or if only one begins with it, that one.
function words.closest(word, list)
  local best, least, beginning = nil, math.huge, {}
  word = word:sub(1, 100):lower()
  for _, candidate in ipairs(list) do
    local wrong = distance(word, candidate)
    if wrong < least then best, least = candidate, wrong end
    if #word > 2 and candidate:sub(1, #word) == word then beginning[#beginning + 1] = candidate end
  end
  if best and least <= math.max(1, math.floor(#best / 4)) then return best end
  return #beginning == 1 and beginning[1] or nil
end

local MOST = 3 -- words in a hint

--- Returns the words of a list that contain `word` between underscores, in quotes, if there are some, but not many.
local function longer(word, list)
  local found = {}
  for _, candidate in ipairs(list) do
    local has = ("_" .. candidate .. "_"):find("_" .. word:lower() .. "_", 1, true)
    if has then found[#found + 1] = words.quoted(candidate) end
  end
  return #found > 0 and #found <= MOST and found or nil
end

--- Returns ": did you mean 'WORD'?" with the word of a list that is most like `word`, "" if none is. `is_part`: a word
-- may also be a part of that which was meant.
function words.hint(word, list, is_part)
  local meant = words.closest(word, list)
  local parts = not meant and is_part and longer(word, list)
  if parts then return (": did you mean %s?"):format(words.any(parts)) end
  return meant and (": did you mean '%s'?"):format(meant) or ""
end

--- Returns a value in quotes, cut if it is long.
function words.quoted(value)
  return "'" .. text.fit(value, LONGEST) .. "'"
end

--- Returns "a, b or c".
function words.any(list)
  if #list == 1 then return list[1] end
  return table.concat(list, ", ", 1, #list - 1) .. " or " .. list[#list]
end

return words
