--- Takes the first user of a long list. Prints the seconds until it was there, and the bytes that had arrived by then.
--   SCRIPT BASE_URL TOKEN WARM_ORG ORG
local podero = require "podero"
local socket = require "socket"

local base, token, warm_org, org = arg[1], arg[2], arg[3], arg[4]
local arrived
local client = assert(podero.new {
  base_url = base, access_token = token, proxy = "",
  on_event = function(event) arrived = event.bytes end,
})
assert(client:list_users(warm_org))
local start = socket.gettime()
local iterator = client:each_user(org)
local user = iterator()
local seconds = socket.gettime() - start
assert(type(user) == "table")
client:close()
pcall(iterator) -- closed: calls on_event with the bytes of the exchange
print(("seconds %.9f"):format(seconds))
print(("bytes %d"):format(arrived))
