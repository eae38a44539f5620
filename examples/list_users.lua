-- Prints the users of an organization: role, e-mail address and name.
--
--   lua5.4 examples/list_users.lua ORGANIZATION_ID [--include-deleted]
--
-- Credentials come from the environment: PODERO_CLIENT_ID and PODERO_CLIENT_SECRET, or PODERO_USERNAME and
-- PODERO_PASSWORD, or PODERO_ACCESS_TOKEN. PODERO_BASE_URL selects another environment than production.
local podero = require "podero"

local org_id, flag = arg[1], arg[2]
if not org_id or (flag and flag ~= "--include-deleted") then
  io.stderr:write("usage: ", arg[0], " ORGANIZATION_ID [--include-deleted]\n")
  os.exit(2)
end

local client, err = podero.new()
local users
if client then
  users, err = client:list_users(org_id, { include_deleted = flag ~= nil })
  client:close()
end
if not users then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end

--- A text from the server, for a terminal, which would obey control characters in it.
local function shown(text)
  return (text:gsub("\194[\128-\159]", "?"):gsub("%c", "?"))
end

for _, user in ipairs(users) do
  local name = (user.first_name or "-") .. " " .. (user.last_name or "-")
  print(shown(user.role), shown(user.email), shown(name))
end
print(("%d users"):format(#users))
