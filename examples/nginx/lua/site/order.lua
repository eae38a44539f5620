--- The orders in which a list can be shown. Of a list that is sorted only the beginning is kept, as far as the page
-- that is shown: memory is bounded by that, however long the list is, and no step takes long.

local podero = require "podero"
local text = require "site.text"

local order = {}

--- How many users of a sorted list can be reached by pages.
order.MOST = 10000

local RANKS = { [podero.Role.ADMIN] = 1, [podero.Role.STAFF] = 2, [podero.Role.USER] = 3, [podero.Role.GUEST] = 4 }

--- By what a user is called: the name, or the e-mail address if there is none.
function order.title(user)
  local name = text.joined(user.first_name, user.last_name)
  return name ~= "" and name or user.email
end

-- What users are compared by, as texts or numbers.
local KEYS = {}

function KEYS.name(user)
  return text.collation(order.title(user))
end

function KEYS.role(user)
  return (RANKS[user.role] or 5) .. user.role .. "\0" .. KEYS.name(user)
end

--- Who has not logged in comes last, either way round.
function KEYS.last_login(user, descending)
  return user.last_login and podero.time(user.last_login) or (descending and -math.huge or math.huge)
end

--- The field of an order, and whether it is descending: "-name" is by name, from Z to A.
local function parts(sort)
  local minus, field = sort:match "^(%-?)(.*)$"
  return field, minus == "-"
end

function order.exists(sort)
  return KEYS[parts(sort)] ~= nil
end

-- heap ----------------------------------------------------------------------------------------------------------------

-- A binary heap whose top is the entry that comes last.
local Beginning = {}
Beginning.__index = Beginning

--- An object that keeps the first `most` of the users that are added to it, in this order.
function order.beginning(sort, most)
  local field, descending = parts(sort)
  return setmetatable({ key = KEYS[field], descending = descending, most = most, added = 0 }, Beginning)
end

--- Whether entry `a` comes before `b`. Users who are alike stay as they were added.
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

--- The users that were kept from number `first` on, in order. Empties the object.
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
