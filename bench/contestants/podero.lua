--- Lists users with podero. METHOD: list_users, each_user, or get, which gets the text of the list over the same
-- transport and decodes it with lua-cjson.
local common = require "bench.contestants.common"
local podero = require "podero"

local method = arg[1]
local task = common.arguments(arg, 2)
local client = assert(podero.new { base_url = task.base, access_token = task.token, proxy = "", timeout = 300 })

local methods = {}

function methods.list_users(org)
  return #assert(client:list_users(org))
end

function methods.each_user(org)
  local count = 0
  for _ in client:each_user(org) do count = count + 1 end
  return count
end

function methods.get(org)
  return #common.decode(assert(client:get(common.path(org), nil, { raw = true, max_response_bytes = 2 ^ 28 })))
end

common.measure(task, methods[method])
client:close()
