-- Looks up one user by the customer number that your own systems have: the field external_user_id. The transfer ends as
-- soon as the user is found.
--
--   lua5.4 examples/find_user.lua ORGANIZATION_ID CUSTOMER_NUMBER
local podero = require "podero"

local org_id, number = arg[1], arg[2]
if not number then
  io.stderr:write("usage: ", arg[0], " ORGANIZATION_ID CUSTOMER_NUMBER\n")
  os.exit(2)
end

--- A text from the server, for a terminal, which would obey control characters in it.
local function shown(value)
  return (value:gsub("\194[\128-\159]", "?"):gsub("%c", "?"))
end

local client = assert(podero.new())
local user, err = client:find_user(org_id, { external_user_id = number }, { fields = { "id", "email" } })
client:close()
if user then
  print(shown(user.id), shown(user.email))
elseif err.kind == "not_found" then
  print("no user has this customer number")
  os.exit(1)
else
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
