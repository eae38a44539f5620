--- A small HTTP/1.1 server on loopback, for `podero mock`: one request for each connection, one after the other.

local socket = require "socket"

local http_server = {}

local READ_SECONDS = 2 -- for a whole request: nobody else is served meanwhile
local MAX_HEADER_BYTES, MAX_BODY_BYTES = 16 * 1024, 1024 * 1024

local REASONS = { [200] = "OK", [400] = "Bad Request", [401] = "Unauthorized", [404] = "Not Found",
  [405] = "Method Not Allowed" }

--- Receives bytes until `is_enough(bytes)` returns a true value, which it returns after them. Returns nil if the
-- connection ends before, or too much comes, or it takes too long.
local function receive(connection, bytes, limit, deadline, is_enough)
  while true do
    local enough = is_enough(bytes)
    if enough then return bytes, enough end
    local left = deadline - socket.gettime()
    if #bytes > limit or left <= 0 then return nil end
    connection:settimeout(left)
    local ready = socket.select({ connection }, nil, left)
    if not ready[1] then return nil end
    connection:settimeout(0)
    local piece, problem, partial = connection:receive(8192)
    piece = piece or partial or ""
    if piece == "" and problem ~= "timeout" then return nil end
    bytes = bytes .. piece
  end
end

local HEADER = "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"

--- Returns the request of a connection, see mock_api.answer; nil if there is none that can be read.
local function read_request(connection)
  local deadline = socket.gettime() + READ_SECONDS
  local bytes, header_end = receive(connection, "", MAX_HEADER_BYTES, deadline, function(text)
    return select(2, text:find("\r\n\r\n", 1, true))
  end)
  if not bytes then return nil end
  local request = { headers = {} }
  local method, target = bytes:match("^(%u+) (%S+) HTTP/1%.[01]\r\n")
  if not method then return nil end
  request.method, request.path = method, target:match("^[^?]*")
  for name, value in bytes:sub(1, header_end):gmatch("\r\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    request.headers[name:lower()] = value
  end
  local length = tonumber(request.headers["content-length"] or "0")
  if not length or length > MAX_BODY_BYTES then return nil end
  bytes = receive(connection, bytes:sub(header_end + 1), MAX_BODY_BYTES, deadline, function(text)
    return #text >= length
  end)
  request.body = bytes
  return bytes and request
end

--- Sends a response, for as long as bytes are taken. A peer may go away.
local function send(connection, status, body)
  connection:settimeout(READ_SECONDS)
  connection:send(HEADER:format(status, REASONS[status] or "Status", #body))
  local from = 1
  while from <= #body do
    local last, _, sent = connection:send(body, from)
    last = last or sent
    if not last or last < from then return end
    from = last + 1
  end
end

--- Listens on 127.0.0.1, on a free port if `port` is 0. Returns the listener and its port; or nil and a message.
function http_server.listen(port)
  local listener, problem = socket.bind("127.0.0.1", port)
  if not listener then return nil, problem end
  local _, bound = listener:getsockname()
  return listener, tonumber(bound)
end

--- Serves requests for ever. `answer(request)` returns status and body; `log(request, status)` is called after it.
function http_server.serve(listener, answer, log)
  while true do
    listener:settimeout(0.5) -- so that a signal is noticed
    local connection = listener:accept()
    if connection then
      local request = read_request(connection)
      if request then
        local status, body = answer(request)
        send(connection, status, body)
        log(request, status)
      end
      connection:close()
    end
  end
end

return http_server
