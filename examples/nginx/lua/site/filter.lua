--- Which users a visitor wants to see: ?role= and ?q=, as in Podero's own back office. The API has no filters.

local filter = {}

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

--- Text without the difference between capitals and small letters, for comparisons.
local function fold(text)
  return (text:lower():gsub("[\195-\208][\128-\191]", LOWER))
end

--- Whether a user has the text in e-mail, names (one or both) or external id.
local function has(user, folded)
  local name = (user.first_name or "") .. " " .. (user.last_name or "")
  local searched = user.email .. "\n" .. name .. "\n" .. (user.external_user_id or "")
  return fold(searched):find(folded, 1, true) ~= nil
end

--- The text of a parameter; nil where it is not there or empty. Of several with one name the first counts.
local function parameter(value)
  if type(value) == "table" then value = value[1] end
  value = type(value) == "string" and value:match "^%s*(.-)%s*$"
  return value ~= "" and value or nil
end

--- The filter that the request asks for: `role` and `q` as they were given, and `wants(user)`.
function filter.of_request()
  local parameters = ngx.req.get_uri_args()
  local self = { role = parameter(parameters.role), q = parameter(parameters.q) }
  local folded = self.q and fold(self.q)
  function self.wants(user)
    return (not self.role or user.role == self.role) and (not folded or has(user, folded))
  end
  return self
end

return filter
