--- The handlers that are compared. Each reads the users of an organization, and answers with their number.

local common = require "bench.contestants.common"
local podero = require "podero"

local handlers = {}

local TOKEN = "static"

local function answer(users, problem)
  if users then return ngx.say(#users) end
  ngx.log(ngx.ERR, tostring(problem))
  return ngx.exit(502)
end

--- Returns the handlers. `base_url`, and `host` and `port`: of the API. `store`: a dictionary that the workers share.
-- `static_token`: use a fixed token instead of requesting one.
function handlers.new(base_url, host, port, store, static_token)
  local options = { base_url = base_url, proxy = "", timeout = 60 }
  if static_token then
    options.access_token = TOKEN
  else
    options.client_id, options.client_secret, options.token_store = "demo-client", "demo-secret", store
  end
  local client = assert(podero.new(options))
  local found, http = pcall(require, "resty.http")
  local self = {}

  --- Returns the version of lua-resty-http, or "missing: " and why it could not be loaded.
  function self.resty_version()
    return found and http._VERSION or "missing: " .. http:match("^[^\n]*"):gsub(":$", "")
  end

  function self.podero(org)
    return answer(client:list_users(org))
  end

  function self.capture(org)
    local response = ngx.location.capture(common.path(org))
    if response.status ~= 200 then return answer(nil, response.status) end
    return answer(common.decode(response.body))
  end

  function self.resty(org)
    local connection = http.new()
    assert(connection:connect { scheme = "http", host = host, port = port })
    local response = assert(connection:request {
      path = common.path(org), headers = { Host = host .. ":" .. port, Authorization = "Bearer " .. TOKEN },
    })
    local body = assert(response:read_body())
    if response.status ~= 200 then return answer(nil, response.status) end
    connection:set_keepalive(60000, 64)
    return answer(common.decode(body))
  end

  return self
end

return handlers
