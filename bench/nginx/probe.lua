--- Requests a path every five milliseconds, whether earlier requests were answered or not, and prints the seconds that
-- the responses took, at a quantile. So a standstill counts as often as visitors who come at regular intervals would
-- meet it.
--   luajit bench/nginx/probe.lua PORT PATH SECONDS QUANTILE
-- Prints "ready" when it has made its connections, and begins a second later.

local socket = require "socket"

local port, path, seconds, share = tonumber(arg[1]), arg[2], tonumber(arg[3]), tonumber(arg[4])
local INTERVAL = 0.005
local count = math.floor(seconds / INTERVAL)

local request = ("GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"):format(path)

local waits, asked, under_way = {}, {}, {}

local function ask(connection, due)
  assert(connection:send(request))
  asked[connection] = due
  under_way[#under_way + 1] = connection
end

local function take_answer(connection)
  local _, problem, text = connection:receive(65536)
  assert(problem == "timeout" and text:find("^HTTP/1.1 200"), problem)
  waits[#waits + 1] = socket.gettime() - asked[connection]
  for i, other in ipairs(under_way) do
    if other == connection then table.remove(under_way, i) end
  end
end

--- Receives responses until this time.
local function listen(time)
  repeat
    local readable = socket.select(under_way, nil, math.max(0, time - socket.gettime()))
    for _, connection in ipairs(readable) do take_answer(connection) end
  until socket.gettime() >= time
end

local function listen_for_all()
  while #under_way > 0 do listen(socket.gettime() + INTERVAL) end
end

-- Each probe has its own connection, accepted before the load begins, so that no probe waits for another.
local connections = {}
for i = 1, count do
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:setoption("tcp-nodelay", true)
  connection:settimeout(0)
  ask(connection, socket.gettime())
  connections[i] = connection
end
listen_for_all()
waits = {}

print("ready")
io.stdout:flush()
socket.sleep(1)
local start = socket.gettime()
for i, connection in ipairs(connections) do
  local due = start + i * INTERVAL
  listen(due)
  ask(connection, due)
end
listen_for_all()
table.sort(waits)
print(("%.6f"):format(waits[math.ceil(#waits * share)]))
