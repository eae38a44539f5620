--- Lists users with LuaSocket and lua-cjson. LuaSocket closes its connection after each request. An object that stands
-- in for the socket keeps it open, so that this contestant has a warm connection, too.
local common = require "bench.contestants.common"
local http = require "socket.http"
local ltn12 = require "ltn12"
local socket = require "socket"

local task = common.arguments(arg, 1)
local kept = {}

function kept:connect(host, port)
  if self.socket then return 1 end
  self.socket = assert(socket.tcp())
  local ok, problem = self.socket:connect(host, port)
  -- LuaSocket sends a request in two parts; the second would wait for the server's delayed acknowledgement, 40 ms.
  if ok then assert(self.socket:setoption("tcp-nodelay", true)) end
  return ok, problem
end

function kept.settimeout() return 1 end
function kept.close() return 1 end
function kept:send(...) return self.socket:send(...) end
function kept:receive(...) return self.socket:receive(...) end

common.measure(task, function(org)
  local pieces = {}
  local _, status = assert(http.request {
    url = task.base .. common.path(org),
    headers = { Authorization = "Bearer " .. task.token, Accept = "application/json", Connection = "keep-alive" },
    sink = ltn12.sink.table(pieces),
    create = function() return kept end,
  })
  assert(status == 200, status)
  return #common.decode(table.concat(pieces))
end)
