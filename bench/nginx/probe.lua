--- Asks for a path every five milliseconds, over one connection, and prints the seconds the answers took at a share
-- of the probes. A probe that could not be sent in time, because the one before it was still waiting, has waited since
-- it was due: so a long standstill counts as often as it would for visitors who come evenly.
--   luajit bench/nginx/probe.lua PORT PATH SECONDS SHARE

local socket = require "socket"

local port, path, seconds, share = tonumber(arg[1]), arg[2], tonumber(arg[3]), tonumber(arg[4])
local INTERVAL = 0.005

local connection = assert(socket.connect("127.0.0.1", port))
connection:setoption("tcp-nodelay", true)
local request = ("GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"):format(path)

local function ask()
  assert(connection:send(request))
  local length
  repeat
    local line = assert(connection:receive("*l"))
    length = length or tonumber(line:lower():match("^content%-length: (%d+)"))
  until line == ""
  assert(connection:receive(length))
end

ask()
local waits, start = {}, socket.gettime()
for i = 1, math.floor(seconds / INTERVAL) do
  local due = start + i * INTERVAL
  local early = due - socket.gettime()
  if early > 0 then socket.sleep(early) end
  ask()
  waits[i] = socket.gettime() - due
end
table.sort(waits)
print(("%.6f"):format(waits[math.ceil(#waits * share)]))
