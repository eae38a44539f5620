--- Finds one user of a list, and prints the seconds that it took.
--   SCRIPT BASE_URL TOKEN ORG ID
local podero = require "podero"
local socket = require "socket"

local base, token, org, id = arg[1], arg[2], arg[3], arg[4]
local client = assert(podero.new { base_url = base, access_token = token, proxy = "", timeout = 300 })
local start = socket.gettime()
local user = assert(client:find_user(org, { id = id }))
assert(user.id == id)
print(("seconds %.9f"):format(socket.gettime() - start))
client:close()
