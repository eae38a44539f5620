--- Finds the word that was meant.

local words = {}

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
-- in any case.
function words.closest(word, list)
  local best, least = nil, math.huge
  word = word:sub(1, 100)
  for _, candidate in ipairs(list) do
    local wrong = distance(word:lower(), candidate)
    if wrong < least then best, least = candidate, wrong end
  end
  return best and least <= math.max(1, math.floor(#best / 4)) and best or nil
end

return words
