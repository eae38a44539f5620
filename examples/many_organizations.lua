-- Lists many organizations at once, on shared connections, and counts their users by role. An
-- organization that fails does not keep the others from being listed.
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
    local counts = {}
    for _, user in ipairs(users) do counts[user.role] = (counts[user.role] or 0) + 1 end
    local texts = {}
    for i, role in ipairs(ROLES) do texts[i] = ("%d %s"):format(counts[role] or 0, role) end
    print(org_id, ("%d users: %s"):format(#users, table.concat(texts, ", ")))
  else
    print(org_id, tostring(errors[org_id]))
  end
end
os.exit(next(errors) and 1 or 0)
