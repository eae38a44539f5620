--- A token store on Redis, for a site on several machines. In site/client.lua:
--   token_store = require("site.redis_store").new { host = "10.0.0.5", password = os.getenv "REDIS_PASSWORD" }
-- It has the methods of ngx.shared.DICT that the client uses. If Redis fails, each method returns nil and a message,
-- and the client requests a token. Needs lua-resty-redis, which OpenResty includes (Debian: lua-nginx-redis). A host
-- name needs the directive `resolver` in nginx.conf.

local found, redis = pcall(require, "resty.redis")
if not found then redis = require "nginx.redis" end -- its name in Debian

local Store = {}
Store.__index = Store

local DEFAULTS = { port = 6379, database = 0, timeout = 0.5, prefix = "podero:" }
local KEEPALIVE, POOL_SIZE = 60, 8
local LONGEST = 365 * 24 * 3600 -- seconds; Redis refuses a time to live that does not fit into its clock

-- options -------------------------------------------------------------------------------------------------------------

local function is_text(value) return type(value) == "string" and value ~= "" end

local function is_whole(least, most)
  return function(value)
    return type(value) == "number" and value >= least and value <= most and value % 1 == 0
  end
end

local CHECKS = {
  host = is_text, path = is_text, username = is_text, password = is_text,
  port = is_whole(1, 65535),
  database = is_whole(0, 2 ^ 31 - 1),
  timeout = function(value) return type(value) == "number" and value >= 0.001 and value <= 3600 end,
  prefix = function(value) return type(value) == "string" end,
}

--- Returns a copy of the options, with defaults. Raises an error if one of them cannot be used.
local function checked(given)
  local options = {}
  for name, value in pairs(DEFAULTS) do options[name] = value end
  for name, value in pairs(given) do
    if not CHECKS[name] then error("redis_store: unknown option " .. tostring(name), 3) end
    if not CHECKS[name](value) then error(("redis_store: the option %s cannot be used"):format(name), 3) end
    options[name] = value
  end
  if (options.host == nil) == (options.path == nil) then error("redis_store: give either host or path", 3) end
  if options.username and not options.password then error("redis_store: a username needs a password", 3) end
  return options
end

-- connections ---------------------------------------------------------------------------------------------------------

-- The options that a connection depends on: server, user and database. Stores with the same values share a pool of
-- connections.
local IDENTITY = { "path", "host", "port", "username", "password", "database" }

local pools, pool_count = {}, 0

--- Returns the name of the pool: a number, so that no password is part of it.
local function pool_of(options)
  local values = {}
  for i, name in ipairs(IDENTITY) do
    local value = options[name] == nil and "" or tostring(options[name])
    values[i] = #value .. ":" .. value
  end
  local identity = table.concat(values, ",")
  if not pools[identity] then
    pool_count = pool_count + 1
    pools[identity] = "podero-redis-" .. pool_count
  end
  return pools[identity]
end

--- `options`: `host` and `port`, or `path` ("unix:/run/redis.sock"); `username` and `password`; `database`, a number;
-- `timeout` in seconds, for each step; `prefix`, put before each key. Raises an error if they cannot be used. Tokens
-- are secrets, and are sent without encryption: keep Redis on a private network.
function Store.new(options)
  options = checked(options)
  return setmetatable({ options = options, pool = pool_of(options) }, Store)
end

--- Authenticates the connection and selects the database. Returns true, or nil and Redis's message.
local function prepare(connection, options)
  if options.password then
    local ok, err
    if options.username then
      ok, err = connection:auth(options.username, options.password)
    else
      ok, err = connection:auth(options.password)
    end
    if not ok then return nil, err end
  end
  if options.database == 0 then return true end -- the default
  local ok, err = connection:select(options.database)
  return ok and true or nil, err
end

--- Returns a connection that is ready for commands; nil and a message on failure.
local function connect(self)
  local options = self.options
  local connection, err = redis:new()
  if not connection then return nil, err end
  connection:set_timeout(options.timeout * 1000)
  local ok
  if options.path then
    ok, err = connection:connect(options.path, { pool = self.pool })
  else
    ok, err = connection:connect(options.host, options.port, { pool = self.pool })
  end
  if not ok then return nil, err end
  -- A connection from the pool is prepared already.
  if connection:get_reused_times() == 0 then
    ok, err = prepare(connection, options)
    if not ok then
      connection:close()
      return nil, err
    end
  end
  return connection
end

--- Returns Redis's reply to a command; nil and a message if there is none, or if it is an error. Then the connection is
-- closed instead of kept.
local function ask(self, command, key, ...)
  local connection, err = connect(self)
  if not connection then return nil, err end
  local reply
  reply, err = connection[command](connection, self.options.prefix .. key, ...)
  if err or not reply then
    connection:close()
    return nil, err or "no reply"
  end
  if not connection:set_keepalive(KEEPALIVE * 1000, POOL_SIZE) then connection:close() end
  return reply
end

-- methods -------------------------------------------------------------------------------------------------------------

--- The value; nil if there is none.
function Store:get(key)
  local answer, err = ask(self, "get", key)
  if answer == ngx.null then return nil end
  return answer, err
end

--- Sets a value, with `flag` "NX" only if there is none. `ttl`: seconds; nil or 0 is for ever, as in ngx.shared.DICT.
local function put(self, key, value, ttl, flag)
  local arguments = { flag }
  if ttl and ttl ~= 0 then
    if ttl < 0 or ttl ~= ttl then return nil, "the time to live is not a number of seconds" end -- negative, or NaN
    arguments[#arguments + 1] = "PX"
    -- Whole milliseconds, and not 0.
    arguments[#arguments + 1] = ("%d"):format(math.max(1, math.ceil(math.min(ttl, LONGEST) * 1000)))
  end
  return ask(self, "set", key, value, unpack(arguments))
end

--- Keeps a value, for `ttl` seconds if given.
function Store:set(key, value, ttl)
  local answer, err = put(self, key, value, ttl)
  return answer and true, err
end

--- Keeps a value if there is none, in one step; nil and "exists" if there is.
function Store:add(key, value, ttl)
  local answer, err = put(self, key, value, ttl, "NX")
  if answer == ngx.null then return nil, "exists" end
  return answer and true, err
end

function Store:delete(key)
  local answer, err = ask(self, "del", key)
  return answer and true, err
end

return Store
