--- The users that a request asks for: `role`, and `q` in e-mail, names (one or both) or external id. The API has no
-- filters.

local client = require "site.client"

local users = {}

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

local function fold(value)
  return (value:lower():gsub("[\195-\208][\128-\191]", LOWER))
end

local function matches(user, role, folded)
  if role and user.role ~= role then return false end
  if not folded then return true end
  local name = (user.first_name or "") .. " " .. (user.last_name or "")
  return fold(user.email .. "\n" .. name .. "\n" .. (user.external_user_id or "")):find(folded, 1, true) ~= nil
end

--- An iterator. `role` and `q`: see site/query.lua; nil is no filter.
function users.each(org_id, role, q)
  local each = client:each_user(org_id)
  local folded = q and fold(q)
  return function()
    for user in each do
      if matches(user, role, folded) then return user end
    end
  end
end

--- An array; nil and the error if the list is not whole.
function users.list(org_id, role, q)
  local all, err = client:list_users(org_id, { max_response_bytes = 64 * 1024 * 1024 })
  if not all then return nil, err end
  local list, folded = {}, q and fold(q)
  for _, user in ipairs(all) do
    if matches(user, role, folded) then list[#list + 1] = user end
  end
  return list
end

return users
