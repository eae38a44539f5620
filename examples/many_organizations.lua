-- Lists many organizations at once, on shared connections, and counts their users by role. If one fails, the others are
-- listed nevertheless.
--
--   lua5.4 examples/many_organizations.lua ORGANIZATION_ID...
local podero = require "podero"

if not arg[1] then
  io.stderr:write("usage: ", arg[0], " ORGANIZATION_ID...\n")
  os.exit(2)
end

local org_ids = {}
for i, org_id in ipairs(arg) do org_ids[i] = org_id end

local client = assert(podero.new())
local results, errors = client:list_users_of(org_ids, { concurrency = 4 })
client:close()

local ROLES = { podero.Role.ADMIN, podero.Role.STAFF, podero.Role.USER, podero.Role.GUEST }

for _, org_id in ipairs(org_ids) do
  local users = results[org_id]
  if users then
    local counts = { other = 0 }
    for _, role in ipairs(ROLES) do counts[role] = 0 end
    for _, user in ipairs(users) do
      local role = counts[user.role] and user.role or "other" -- a server may have further roles
      counts[role] = counts[role] + 1
    end
    local texts = {}
    for i, role in ipairs(ROLES) do texts[i] = ("%d %s"):format(counts[role], role) end
    if counts.other > 0 then texts[#texts + 1] = ("%d other"):format(counts.other) end
    print(org_id, ("%d users: %s"):format(#users, table.concat(texts, ", ")))
  else
    print(org_id, tostring(errors[org_id]))
  end
end
os.exit(next(errors) and 1 or 0)
