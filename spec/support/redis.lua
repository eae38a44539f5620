--- Starts Redis servers, each with a socket in a new temporary folder.

local nginx = require "spec.support.nginx"
local socket = require "socket"

local redis = {}

local Server = {}
Server.__index = Server

--- What redis-cli prints for a command.
function Server:command(text)
  return nginx.output_of(("redis-cli -s %s/redis.sock %s"):format(self.dir, text))
end

function Server:stop()
  if self.pipe then self.pipe:close() end
  self.pipe = nil
end

--- Starts a server and returns it when it answers. `path` is its socket in nginx's notation. It runs until
-- `server:stop()` or the end of this process. `options` are further arguments of redis-server.
function redis.start(options)
  local dir = nginx.temporary_folder("podero-redis")
  -- If root starts nginx, its workers run as another user.
  assert(nginx.run("chmod 755 " .. dir))
  local command = "redis-server --port 0 --unixsocket redis.sock --unixsocketperm 777 --save '' " .. (options or "")
  local server = setmetatable({
    dir = dir, path = ("unix:%s/redis.sock"):format(dir), pipe = nginx.live(dir, "redis", command),
  }, Server)
  local ends = socket.gettime() + 10
  while nginx.output_of(("redis-cli -s %s/redis.sock ping 2>&1"):format(dir)):find("[Cc]onnect") do
    assert(socket.gettime() < ends, nginx.read_file(dir .. "/redis.log"))
    socket.sleep(0.02)
  end
  return server
end

return redis
