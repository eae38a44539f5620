--- A small HTTP/1.1 server on loopback, for `podero mock`: one request for each connection, many connections at once.

local clock = require("podero.command.tty").clock
local socket = require "socket"

local http_server = {}

-- Time limits for a whole request and a whole response. Specs make them shorter.
http_server.REQUEST_SECONDS, http_server.RESPONSE_SECONDS = 5, 60

local MAX_CONNECTIONS = 100 -- further ones wait; select takes no more than 1,024
local ACCEPT_PAUSE_SECONDS = 0.1 -- after a connection could not be accepted: most likely, no descriptor is left
local MAX_HEADER_BYTES, MAX_BODY_BYTES = 16 * 1024, 1024 * 1024

local REASONS = { [200] = "OK", [400] = "Bad Request", [401] = "Unauthorized", [404] = "Not Found",
  [405] = "Method Not Allowed", [422] = "Unprocessable Content" }

-- A connection is a table with these fields:
--   socket
--   thread     the coroutine that serves it; it yields while the socket is not ready
--   wants      "read" or "write": what it waits for
--   deadline   of the request, then of the response

--- Yields until the socket is ready. Returns false if the deadline has passed.
local function wait(connection, wants)
  connection.wants = wants
  coroutine.yield()
  return clock() < connection.deadline
end

--- Receives bytes until `is_enough(bytes)` returns a true value, which it returns after them. Returns nil if the
-- connection ends before, or too much comes, or it takes too long.
local function receive(connection, bytes, limit, is_enough)
  while true do
    local enough = is_enough(bytes)
    if enough then return bytes, enough end
    if #bytes > limit or not wait(connection, "read") then return nil end
    local piece, problem, partial = connection.socket:receive(8192)
    piece = piece or partial or ""
    if piece == "" and problem ~= "timeout" then return nil end
    bytes = bytes .. piece
  end
end

--- Returns the request of a connection, see mock_api.answer; nil if there is none that can be read.
local function read_request(connection)
  local bytes, header_end = receive(connection, "", MAX_HEADER_BYTES, function(text)
    return select(2, text:find("\r\n\r\n", 1, true))
  end)
  if not bytes then return nil end
  local request = { headers = {} }
  local method, target = bytes:match("^(%u+) (%S+) HTTP/1%.[01]\r\n")
  if not method then return nil end
  request.method, request.path, request.query = method, target:match("^([^?]*)%??(.*)$")
  for name, value in bytes:sub(1, header_end):gmatch("\r\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    request.headers[name:lower()] = value
  end
  local length = (request.headers["content-length"] or "0"):match("^%d+$")
  length = tonumber(length)
  if not length or length > MAX_BODY_BYTES then return nil end
  request.body = receive(connection, bytes:sub(header_end + 1), MAX_BODY_BYTES, function(text)
    return #text >= length
  end)
  return request.body and request
end

--- Sends bytes. Returns false if the peer has gone, or takes too long to receive them.
local function send(connection, bytes)
  local from = 1
  while from <= #bytes do
    local last, problem, sent = connection.socket:send(bytes, from)
    if not last and (problem ~= "timeout" or not wait(connection, "write")) then return false end
    from = (last or sent) + 1
  end
  return true
end

local HEADER = "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"

--- Serves one connection: what its coroutine runs.
local function serve(connection, answer, log)
  connection.deadline = clock() + http_server.REQUEST_SECONDS
  local request = read_request(connection)
  if not request then return end
  local status, body = answer(request)
  log(request, status)
  connection.deadline = clock() + http_server.RESPONSE_SECONDS
  if send(connection, HEADER:format(status, REASONS[status] or "Status", #body)) then send(connection, body) end
end

--- Listens on 127.0.0.1, on a free port if `port` is 0. Returns the listener and its port; or nil and a message.
function http_server.listen(port)
  local listener, problem = socket.bind("127.0.0.1", port)
  if not listener then return nil, problem end
  local _, bound = listener:getsockname()
  return listener, tonumber(bound)
end

--- Waits until a socket is ready or a deadline has passed. Does not look at the listener before `accept_at`. Returns
-- the listener if it has a connection, and the array of the connections that can go on.
local function ready(listener, connections, accept_at)
  local readers, writers, now = {}, {}, clock()
  local wake_at = math.huge
  if now < accept_at then
    wake_at = accept_at
  elseif #connections < MAX_CONNECTIONS then
    readers[1] = listener
  end
  for _, connection in ipairs(connections) do
    local list = connection.wants == "read" and readers or writers
    list[#list + 1] = connection.socket
    wake_at = math.min(wake_at, connection.deadline)
  end
  local seconds = wake_at < math.huge and math.max(0, wake_at - now) or nil
  local readable, writable = socket.select(readers, writers, seconds)
  local able = {}
  now = clock()
  for _, connection in ipairs(connections) do
    local is_ready = readable[connection.socket] or writable[connection.socket]
    if is_ready or now >= connection.deadline then able[#able + 1] = connection end
  end
  return readable[listener] and listener, able
end

--- Serves requests for ever. `answer(request)` returns status and body; `log(request, status)` is called before the
-- response is sent.
function http_server.serve(listener, answer, log)
  local connections, accept_at = {}, 0
  local function run(connection)
    local ok, problem = coroutine.resume(connection.thread, connection, answer, log)
    if not ok then error(problem, 0) end
  end
  listener:settimeout(0)
  while true do
    local has_new, able = ready(listener, connections, accept_at)
    for _, connection in ipairs(able) do run(connection) end
    local accepted, problem
    if has_new then accepted, problem = listener:accept() end
    if problem and problem ~= "timeout" then accept_at = clock() + ACCEPT_PAUSE_SECONDS end
    if accepted then
      accepted:settimeout(0)
      connections[#connections + 1] = { socket = accepted, thread = coroutine.create(serve) }
      run(connections[#connections])
    end
    for i = #connections, 1, -1 do
      if coroutine.status(connections[i].thread) == "dead" then
        table.remove(connections, i).socket:close()
      end
    end
  end
end

return http_server
