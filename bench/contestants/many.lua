--- Lists the users of many organizations with a fresh client: "together" with list_users_of, or "apart" one by one.
--   SCRIPT BASE_URL TOKEN together|apart ORGANIZATIONS CONCURRENCY
local podero = require "podero"
local socket = require "socket"

local base, token, mode, count, concurrency = arg[1], arg[2], arg[3], tonumber(arg[4]), tonumber(arg[5])
local client = assert(podero.new { base_url = base, access_token = token, proxy = "" })
local ids = {}
for i = 1, count do ids[i] = ("%08x-0000-4000-8000-000000000000"):format(i) end

local start = socket.gettime()
if mode == "together" then
  local results, errors = client:list_users_of(ids, { concurrency = concurrency })
  local id, err = next(errors)
  assert(id == nil, tostring(err))
  for _, one in ipairs(ids) do assert(#results[one] > 0) end
else
  for _, one in ipairs(ids) do assert(#assert(client:list_users(one)) > 0) end
end
print(("seconds %.9f"):format(socket.gettime() - start))
client:close()
