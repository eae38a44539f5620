--- Lists users with lua-http and lua-cjson, all over one connection.
local common = require "bench.contestants.common"
local http_client = require "http.client"
local new_headers = require("http.headers").new

local task = common.arguments(arg, 1)
local host, port = task.base:match("^http://([^:/]+):(%d+)$")
local connection = assert(http_client.connect { host = host, port = tonumber(port), tls = false, version = 1.1 })

common.measure(task, function(org)
  local stream = assert(connection:new_stream())
  local headers = new_headers()
  headers:append(":method", "GET")
  headers:append(":scheme", "http")
  headers:append(":authority", host .. ":" .. port)
  headers:append(":path", common.path(org))
  headers:append("authorization", "Bearer " .. task.token)
  headers:append("accept", "application/json")
  assert(stream:write_headers(headers, true))
  local answer = assert(stream:get_headers())
  assert(answer:get(":status") == "200", answer:get(":status"))
  local text = assert(stream:get_body_as_string())
  stream:shutdown()
  return #common.decode(text)
end)
connection:close()
