--- A token store on Redis, for a site on several machines. In site/client.lua:
--   token_store = require("site.redis_store").new { host = "redis.example.net", password = os.getenv "REDIS_PASSWORD" }
-- It has the methods of ngx.shared.DICT that the client uses. A Redis that fails costs a token request, no answer: each
-- method then returns nil and a message. Needs lua-resty-redis (OpenResty brings it; Debian: lua-nginx-redis).

local found, redis = pcall(require, "resty.redis")
if not found then redis = require "nginx.redis" end -- its name in Debian

local Store = {}
Store.__index = Store

local DEFAULTS = { port = 6379, timeout = 0.5, prefix = "podero:" }
local KEEPALIVE, POOL_SIZE = 60, 8

--- `options`: `host` and `port`, or `path` ("unix:/run/redis.sock"); `username` and `password`; `timeout` in seconds;
-- `prefix`, put before each key. Tokens are secrets, and travel as they are: keep Redis on a network of your own.
function Store.new(options)
  return setmetatable({ options = setmetatable(options, { __index = DEFAULTS }) }, Store)
end

local function connect(options)
  local connection, err = redis:new()
  if not connection then return nil, err end
  connection:set_timeout(options.timeout * 1000)
  local ok
  if options.path then
    ok, err = connection:connect(options.path)
  else
    ok, err = connection:connect(options.host, options.port)
  end
  if not ok then return nil, err end
  if options.password and connection:get_reused_times() == 0 then
    if options.username then
      ok, err = connection:auth(options.username, options.password)
    else
      ok, err = connection:auth(options.password)
    end
    if not ok then return nil, err end
  end
  return connection
end

--- Redis's answer to a command; nil and a message where it gave none, or an error.
local function ask(self, command, key, ...)
  local connection, err = connect(self.options)
  if not connection then return nil, err end
  local answer
  answer, err = connection[command](connection, self.options.prefix .. key, ...)
  if err then
    connection:close()
    return nil, err
  end
  connection:set_keepalive(KEEPALIVE * 1000, POOL_SIZE)
  return answer
end

--- Milliseconds for PX, which wants whole ones and no 0.
local function milliseconds(ttl)
  return ("%d"):format(math.max(1, math.ceil(ttl * 1000)))
end

--- The value; nil where there is none.
function Store:get(key)
  local answer, err = ask(self, "get", key)
  if answer == ngx.null then return nil end
  return answer, err
end

--- Keeps a value, for `ttl` seconds if given.
function Store:set(key, value, ttl)
  local answer, err
  if ttl and ttl > 0 then
    answer, err = ask(self, "set", key, value, "PX", milliseconds(ttl))
  else
    answer, err = ask(self, "set", key, value)
  end
  return answer and true, err
end

--- Keeps a value if there is none, in one step; nil and "exists" if there is.
function Store:add(key, value, ttl)
  local answer, err
  if ttl and ttl > 0 then
    answer, err = ask(self, "set", key, value, "NX", "PX", milliseconds(ttl))
  else
    answer, err = ask(self, "set", key, value, "NX")
  end
  if answer == ngx.null then return nil, "exists" end
  return answer and true, err
end

function Store:delete(key)
  local answer, err = ask(self, "del", key)
  return answer and true, err
end

return Store
