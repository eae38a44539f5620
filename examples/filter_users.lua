-- Finds users as a back office does: by role, and by a term in e-mail, names or external id. The API
-- has no filters, so they work on the list; nullable fields are nil, and "or" deals with them.
--
--   lua5.4 examples/filter_users.lua ORGANIZATION_ID ROLE|any [TERM]
local podero = require "podero"

local org_id, role, term = arg[1], arg[2], arg[3]
if not role then
  io.stderr:write("usage: ", arg[0], " ORGANIZATION_ID ROLE|any [TERM]\n")
  os.exit(2)
end

--- Those of the users for which `wanted(user)` is true.
local function filter(users, wanted)
  local found = {}
  for _, user in ipairs(users) do
    if wanted(user) then found[#found + 1] = user end
  end
  return found
end

--- Whether a user has this text, in lower or upper case, in a field that people search by.
local function matches(user, text)
  for _, field in ipairs { "email", "first_name", "last_name", "external_user_id" } do
    if (user[field] or ""):lower():find(text:lower(), 1, true) then return true end
  end
  return false
end

--- A text from the server, for a terminal: control characters in it could do more than be seen.
local function shown(text)
  return (text:gsub("\194[\128-\159]", "?"):gsub("%c", "?"))
end

local client = assert(podero.new())
local users, err = client:list_users(org_id)
client:close()
if not users then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end

local found = users
if role ~= "any" then
  found = filter(found, function(user) return user.role == role end)
end
if term then
  found = filter(found, function(user) return matches(user, term) end)
end

for _, user in ipairs(found) do print(shown(user.role), shown(user.email), shown(user.external_user_id or "-")) end
local admins = filter(users, function(user) return user.role == podero.Role.ADMIN end)
print(("%d of %d users, %d of all are administrators"):format(#found, #users, #admins))
