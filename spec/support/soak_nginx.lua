--- Lists in nginx for a long time, under a steady load. chaos_nginx.lua instead checks failures of all kinds, and
-- memory. One worker gets several requests at a time. A handler reads a list, and responds with the number of its users
-- and a checksum of their ids: each response has to be that of the whole list, without and with reloads of nginx. At
-- the end some requests are aborted by their clients, and the time that a worker takes to exit is measured.
--   lua5.4 spec/support/soak_nginx.lua [SECONDS]      from the root of the repository
-- SECONDS are for each of the loads. PODERO_TEST_NGINX names another nginx than the installed one, see nginx.lua.
-- The exit code is 1 if a check fails.

package.path = "./?.lua;" .. package.path

local nginx = require "spec.support.nginx"
local servers = require "bench.nginx.servers"
local socket = require "socket"
local users = require "spec.support.mock.users"
local worker = require "spec.support.worker"

local SECONDS = tonumber(arg[1]) or 60
local AT_A_TIME = 5
local RELOAD_SECONDS = 2
local STUCK_SECONDS = 40

-- At least this many lists of SHORT users have to be read in a second.
local SHORT, LONG = 1000, 20000
local LEAST_RATE = 300

local ABORTED, GOOD_SECONDS = 300, 5
local EXIT_SECONDS = 1.5

local HTTP = [[
  lua_socket_log_errors off;
  init_by_lua_block {
    local podero = require "podero"
    local client = assert(podero.new {
      base_url = "http://127.0.0.1:${upstream}", client_id = "demo-client", client_secret = "demo-secret", proxy = "",
      token_store = ngx.shared.tokens,
    })

    local methods = {}
    function methods.list_users(org, ids)
      local list, err = client:list_users(org)
      if not list then error(tostring(err), 0) end
      for i, user in ipairs(list) do ids[i] = user.id end
    end
    function methods.each_user(org, ids)
      for user in client:each_user(org) do ids[#ids + 1] = user.id end
    end

    function answer(method, org)
      local ids = {}
      local ok, err = pcall(methods[method], org, ids)
      local text = tostring(err)
      if ok then text = ("%d %08x\n"):format(#ids, ngx.crc32_long(table.concat(ids))) end
      ngx.status = ok and 200 or 502
      ngx.header["Content-Length"] = #text
      ngx.print(text)
    end
  }
  server {
    listen 127.0.0.1:${listen} backlog=4096;
    location / { content_by_lua_block { answer(ngx.var.arg_method, ngx.var.arg_org) } }
  }
]]

-- expected responses --------------------------------------------------------------------------------------------------

local CRC_TABLE = {}
for byte = 0, 255 do
  local crc = byte
  for _ = 1, 8 do crc = crc & 1 == 1 and crc >> 1 ~ 0xEDB88320 or crc >> 1 end
  CRC_TABLE[byte] = crc
end

--- CRC-32 as in zip and in ngx.crc32_long.
local function crc32(text)
  local crc = 0xFFFFFFFF
  for i = 1, #text do crc = crc >> 8 ~ CRC_TABLE[(crc ~ text:byte(i)) & 0xFF] end
  return crc ~ 0xFFFFFFFF
end

local expected = {}
for _, count in ipairs { SHORT, LONG } do
  local ids = {}
  for i, user in users.list_json(servers.SEED, count):gmatch "()(%b{})" do
    ids[#ids + 1] = user:match('"id": ?"([^"]*)"') or error("no id at " .. i)
  end
  assert(#ids == count, "the upstream's list has other users")
  expected[count] = ("%d %08x\n"):format(count, crc32(table.concat(ids)))
end

-- servers -------------------------------------------------------------------------------------------------------------

local root = nginx.output_of("pwd")
local upstream

local function start()
  return nginx.start {
    name = "podero-soak", ports = { "listen" },
    configuration = function(ports)
      return worker.configuration(HTTP, {
        cpath = root .. "/build/luajit/?.so;;", upstream = upstream.ports.upstream, listen = ports.listen,
      })
    end,
  }
end

local problems = {}

local function say(format, ...)
  print(format:format(...))
  io.stdout:flush()
end

--- Records a failed check, which is reported at the end.
local function check(ok, format, ...)
  if not ok then problems[#problems + 1] = format:format(...) end
end

--- Waits until a test holds, and returns the seconds that it took; nil if it does not within `most`.
local function eventually(test, most)
  local start_time = socket.gettime()
  while not test() do
    if socket.gettime() > start_time + most then return nil end
    socket.sleep(0.01)
  end
  return socket.gettime() - start_time
end

--- Prints the number of errors that nginx has logged since the log had `size` bytes, and the first one. Returns the
-- size of the log.
local function show_errors(server, size)
  local log, count, first = server:log(), 0, nil
  for line in log:sub(size + 1):gmatch("[^\n]+") do
    if line:find("%[error%]") or line:find("%[crit%]") or line:find("%[alert%]") or line:find("%[emerg%]") then
      count, first = count + 1, first or line
    end
    local signal = line:match("exited on signal %d+")
    check(not signal, "a worker %s", signal)
  end
  if first then say("  nginx has logged %d errors; the first: %s", count, first:sub(1, 300)) end
  return #log
end

-- requests ------------------------------------------------------------------------------------------------------------

--- Sends a request, and returns the connection, or nil and a message.
local function send(server, method, org)
  local connection, problem = socket.connect("127.0.0.1", server.ports.listen)
  if not connection then return nil, problem end
  local ok
  local request = "GET /?method=%s&org=%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
  ok, problem = connection:send(request:format(method, org))
  if not ok then return nil, problem end
  connection:settimeout(0)
  return connection
end

--- Returns the beginning of a response, in one line.
local function brief(answer)
  local status, body = answer:match("^(HTTP/1.1 %d+) .-\r\n\r\n(.*)$")
  local text = status and status .. ": " .. body or answer ~= "" and answer or "no answer"
  return (text:sub(1, 300):gsub("%s+", " "))
end

--- Returns the outcome of a request: "whole", "truncated" (a successful response with another list) or "failed".
local function judge(text, count)
  local status, body = text:match("^HTTP/1.1 (%d+) .-\r\n\r\n(.*)$")
  if status == "200" and body == expected[count] then return "whole" end
  if status == "200" and body:find("^%d+ %x+\n$") then return "truncated" end
  return "failed"
end

--- The requests in flight.
local Crowd = {}
Crowd.__index = Crowd

local function new_crowd(server)
  return setmetatable({
    server = server, connections = {}, visits = {}, slowest = 0, whole = 0, truncated = 0, failed = 0, stuck = 0,
  }, Crowd)
end

function Crowd:count(outcome, answer)
  self[outcome] = self[outcome] + 1
  if outcome ~= "whole" and not self.example then self.example = outcome .. ", " .. brief(answer) end
end

function Crowd:add(method, count)
  local connection, problem = send(self.server, method, servers.org(count))
  if not connection then return self:count("failed", problem) end
  table.insert(self.connections, connection)
  self.visits[connection] = { count = count, start = socket.gettime(), text = "" }
end

function Crowd:remove(connection)
  connection:close()
  self.visits[connection] = nil
  for i, other in ipairs(self.connections) do
    if other == connection then table.remove(self.connections, i) end
  end
end

function Crowd:receive(connection)
  local visit = self.visits[connection]
  local text, problem, part = connection:receive(65536)
  visit.text = visit.text .. (text or part or "")
  if text or problem == "timeout" then return end
  self.slowest = math.max(self.slowest, socket.gettime() - visit.start)
  self:count(judge(visit.text, visit.count), visit.text)
  self:remove(connection)
end

--- Receives what has arrived, and waits for it for a tenth of a second at most.
function Crowd:take()
  if #self.connections == 0 then return socket.sleep(0.01) end -- no connection was accepted
  for _, connection in ipairs((socket.select(self.connections, nil, 0.1))) do self:receive(connection) end
  local oldest = socket.gettime() - STUCK_SECONDS
  for connection, visit in pairs(self.visits) do
    if visit.start < oldest then
      self.slowest = math.max(self.slowest, STUCK_SECONDS)
      self:count("stuck", visit.text)
      self:remove(connection)
    end
  end
end

--- Sends requests for `SECONDS`, AT_A_TIME at once, and calls `meanwhile` repeatedly; then waits for the last
-- responses. Returns the number of whole lists in a second.
function Crowd:run(method, count, meanwhile)
  local ends = socket.gettime() + SECONDS
  while socket.gettime() < ends do
    while #self.connections < AT_A_TIME and socket.gettime() < ends do self:add(method, count) end
    self:take()
    meanwhile()
  end
  local rate = self.whole / SECONDS
  while #self.connections > 0 do self:take() end
  return rate
end

-- checks --------------------------------------------------------------------------------------------------------------

--- Returns a function that reloads nginx when that is due, and one that returns the number of reloads.
local function reloader(server)
  local due, reloads = socket.gettime() + RELOAD_SECONDS, 0
  return function()
    if socket.gettime() < due then return end
    assert(nginx.run("kill -HUP " .. server:pid()), "nginx has ended")
    due, reloads = due + RELOAD_SECONDS, reloads + 1
  end, function() return reloads end
end

local function nothing() end

--- Starts a server, reads lists from it for SECONDS, and prints and checks the outcome.
local function lists(method, count, reloading)
  local server = start()
  local size, crowd = #server:log(), new_crowd(server)
  local reload, reloads = nothing, nil
  if reloading then reload, reloads = reloader(server) end
  local rate = crowd:run(method, count, reload)
  local name = ("%d users, %s%s"):format(count, method, reloads and (", %d reloads"):format(reloads()) or "")
  say("%-36s %9.1f %9d %9d %9d %9d %8.2f s", name, rate, crowd.whole, crowd.truncated, crowd.failed, crowd.stuck,
    crowd.slowest)
  if crowd.example then say("  the first that was not whole: %s", crowd.example) end
  local wrong = crowd.truncated + crowd.failed + crowd.stuck
  check(wrong == 0 and crowd.whole > 0, "%s: %d answers not whole", name, wrong)
  check(count ~= SHORT or rate >= LEAST_RATE, "%s: %.1f a second, fewer than %d", name, rate, LEAST_RATE)
  if reloads then
    local took = eventually(function() return #servers.worker_ids(server) == 1 end, EXIT_SECONDS)
    check(took, "%s: an old worker stays for more than %g s", name, EXIT_SECONDS)
  end
  show_errors(server, size)
  server:stop()
end

local METHODS = { "list_users", "each_user" }

--- Requests a list and waits for the response. Returns its outcome, the seconds that it took, and its text.
local function good_call(server, method, count)
  local start_time = socket.gettime()
  local connection = assert(send(server, method, servers.org(count)))
  connection:settimeout(STUCK_SECONDS)
  local text, _, part = connection:receive("*a")
  connection:close()
  return judge(text or part or "", count), socket.gettime() - start_time, text or part or ""
end

--- Sends requests and closes their connections before the response, at different times; then makes good calls.
local function aborted()
  local server = start()
  local size = #server:log()
  for i = 1, ABORTED do
    local count = i % 3 == 0 and LONG or SHORT
    local connection = assert(send(server, METHODS[i % 2 + 1], servers.org(count, i % 4 == 0)))
    socket.sleep(0.002 * (i % 5))
    connection:close()
  end
  local slowest = 0
  for i = 1, 10 do
    local method = METHODS[i % 2 + 1]
    local outcome, seconds, text = good_call(server, method, SHORT)
    slowest = math.max(slowest, seconds)
    check(outcome == "whole", "%s after %d aborted handlers: %s, %s", method, ABORTED, outcome, brief(text))
  end
  say("%d aborted handlers; then the slowest of 10 good calls took %.2f s", ABORTED, slowest)
  check(slowest < GOOD_SECONDS, "after %d aborted handlers a good call took %.2f s", ABORTED, slowest)
  show_errors(server, size)
  server:stop()
end

--- Measures how long a worker takes to exit, `idle` seconds after its last call.
local function quit(idle)
  local server = start()
  local size = #server:log()
  for _, method in ipairs(METHODS) do
    local outcome, _, text = good_call(server, method, SHORT)
    check(outcome == "whole", "%s before a worker's exit: %s, %s", method, outcome, brief(text))
  end
  socket.sleep(idle)
  local id = servers.worker_ids(server)[1]
  assert(nginx.run("kill -QUIT " .. server:pid()), "nginx has ended")
  local seconds = eventually(function() return not nginx.read_file("/proc/" .. id .. "/stat") end, STUCK_SECONDS)
  say("exit of a worker %g s after its last call: %s", idle, seconds and ("%.2f s"):format(seconds) or "never")
  check(seconds and seconds < EXIT_SECONDS, "a worker's exit takes %s s, %g s after its last call",
    seconds and ("%.2f"):format(seconds) or "more than " .. STUCK_SECONDS, idle)
  show_errors(server, size)
  server:stop()
end

local function soak()
  say("%s, one worker, %d at a time, %g s each", nginx.output_of(nginx.quoted(nginx.find().program) .. " -v 2>&1"),
    AT_A_TIME, SECONDS)
  say("%-36s %9s %9s %9s %9s %9s %10s", "lists", "a second", "whole", "truncated", "failed", "stuck", "slowest")
  upstream = servers.upstream { SHORT, LONG }
  for _, reloading in ipairs { false, true } do
    for _, count in ipairs { SHORT, LONG } do
      for _, method in ipairs(METHODS) do lists(method, count, reloading) end
    end
  end
  aborted()
  quit(0)
  quit(3)
end

local ok, failure = xpcall(soak, debug.traceback)
if upstream then upstream:stop() end
if not ok then problems[#problems + 1] = failure end
if #problems == 0 then return print "every answer was whole" end
io.stdout:flush()
io.stderr:write(table.concat(problems, "\n"), "\n")
os.exit(1)
