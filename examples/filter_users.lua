-- Lists users by role, and by a text in e-mail, names or external id, as a back office does. The list is filtered while
-- it is read: only the users that are printed become Lua tables, and only with the three fields that are printed.
--
--   lua5.4 examples/filter_users.lua ORGANIZATION_ID ROLE|any [TEXT]
local podero = require "podero"

local org_id, role, text = arg[1], arg[2], arg[3]
if not role then
  io.stderr:write("usage: ", arg[0], " ORGANIZATION_ID ROLE|any [TEXT]\n")
  os.exit(2)
end

--- A text from the server, for a terminal, which would obey control characters in it.
local function shown(value)
  return (value:gsub("\194[\128-\159]", "?"):gsub("%c", "?"))
end

local client = assert(podero.new())
local users, err = client:list_users(org_id, {
  role = role ~= "any" and role or nil,
  search = text,
  fields = { "role", "email", "external_user_id" },
})
client:close()
if not users then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end

for _, user in ipairs(users) do print(shown(user.role), shown(user.email), shown(user.external_user_id or "-")) end
print(("%d found"):format(#users))
