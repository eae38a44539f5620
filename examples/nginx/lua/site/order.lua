--- The orders in which a list can be shown. Of a sorted list, only the users up to the page that is shown are kept:
-- this bounds memory, and no step takes long.

local podero = require "podero"
local text = require "site.text"

local order = {}

--- How many users of a sorted list pages can show.
order.MOST = 10000

local RANKS = { [podero.Role.ADMIN] = 1, [podero.Role.STAFF] = 2, [podero.Role.USER] = 3, [podero.Role.GUEST] = 4 }

--- Returns the title of a user: the name, or the e-mail address if there is no name.
function order.title(user)
  local name = text.joined(user.first_name, user.last_name)
  return name ~= "" and name or user.email
end

-- By field: a function that returns what users are compared by, a text or a number.
local KEYS = {}

function KEYS.name(user)
  return text.collation(order.title(user))
end

function KEYS.role(user)
  return (RANKS[user.role] or 5) .. user.role .. "\0" .. KEYS.name(user)
end

--- Users who have never logged in are last in both directions.
function KEYS.last_login(user, descending)
  return user.last_login and podero.time(user.last_login) or (descending and -math.huge or math.huge)
end

--- Returns the field of an order, and whether it is descending: "-name" is by name, from Z to A.
local function parts(sort)
  local minus, field = sort:match "^(%-?)(.*)$"
  return field, minus == "-"
end

function order.exists(sort)
  return KEYS[parts(sort)] ~= nil
end

-- heap ----------------------------------------------------------------------------------------------------------------

-- A binary heap. Its top is the last entry in the order.
local Beginning = {}
Beginning.__index = Beginning

--- Returns an object that keeps the first `most`, in this order, of the users that are added to it.
function order.beginning(sort, most)
  local field, descending = parts(sort)
  return setmetatable({ key = KEYS[field], descending = descending, most = most, added = 0 }, Beginning)
end

--- Returns whether entry `a` is before `b`. Users with equal keys keep the order in which they were added.
function Beginning:precedes(a, b)
  if a.key == b.key then return a.position < b.position end
  if self.descending then return a.key > b.key end
  return a.key < b.key
end

local function rise(self, index)
  local entry = self[index]
  while index > 1 do
    local parent = math.floor(index / 2)
    if not self:precedes(self[parent], entry) then break end
    self[index], index = self[parent], parent
  end
  self[index] = entry
end

local function sink(self, entry)
  local index, count = 1, #self
  while 2 * index <= count do
    local child = 2 * index
    if child < count and self:precedes(self[child], self[child + 1]) then child = child + 1 end
    if not self:precedes(entry, self[child]) then break end
    self[index], index = self[child], child
  end
  self[index] = entry
end

--- Adds a user. `excerpt(user)`, called only if the user is among the first so far, returns what to keep of it.
function Beginning:add(user, excerpt)
  self.added = self.added + 1
  local entry = { key = self.key(user, self.descending), position = self.added }
  if #self < self.most then
    entry.user = excerpt(user)
    self[#self + 1] = entry
    return rise(self, #self)
  end
  if not self:precedes(entry, self[1]) then return end
  entry.user = excerpt(user)
  sink(self, entry)
end

--- Returns the users that were kept, in order, without those before number `first`. Empties the object.
function Beginning:from(first)
  local users = {}
  for i = #self, first, -1 do
    users[i - first + 1] = self[1].user
    local last = table.remove(self)
    if #self > 0 then sink(self, last) end
  end
  return users
end

return order
