-- Joins users with a file of your own: lines of "customer number;tariff". Prints the number of heat pumps of each
-- customer, and the customers that Podero does not know. Only the users in the file become Lua tables, however long the
-- list is.
--
--   lua5.4 examples/join_csv.lua ORGANIZATION_ID FILE
local podero = require "podero"

local org_id, name = arg[1], arg[2]
if not name then
  io.stderr:write("usage: ", arg[0], " ORGANIZATION_ID FILE\n")
  os.exit(2)
end

local tariffs, numbers = {}, {}
for line in assert(io.open(name)):lines() do
  local number, tariff = line:match("^([^;]+);([^;\r]*)")
  if number then
    tariffs[number] = tariff
    numbers[#numbers + 1] = number
  end
end

local client = assert(podero.new())
local users, err = client:list_users(org_id, {
  where = { external_user_id = numbers },
  fields = { "external_user_id", "num_heat_pumps" },
})
client:close()
if not users then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end

local known = {}
for _, user in ipairs(users) do known[user.external_user_id] = user end
for _, number in ipairs(numbers) do
  print(number, tariffs[number], known[number] and known[number].num_heat_pumps or "not a user")
end
