--- Lists some of the users. WHO: podero; or cjson, which gets the text of the list over the same transport, decodes it
-- with lua-cjson, and filters the users in Lua.
--   SCRIPT WHO FILTER BASE_URL TOKEN WARM_ORG WARM_UPS ORG CALLS USERS
local common = require "bench.contestants.common"
local filters = require "bench.contestants.filters"
local podero = require "podero"

local wanted = filters[arg[2]]
local task = common.arguments(arg, 3)
local client = assert(podero.new { base_url = task.base, access_token = task.token, proxy = "", timeout = 300 })

local whos = {}

function whos.podero(org)
  return #assert(client:list_users(org, wanted.options))
end

function whos.cjson(org)
  return #wanted.filter(common.decode(assert(client:get(common.path(org), nil, { raw = true }))))
end

common.measure(task, whos[arg[1]])
client:close()
