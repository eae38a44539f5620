--- Calls in nginx for a long time, with failures of all kinds at random. soak_nginx.lua instead checks each response
-- under a steady load, and the speed. Needs wrk.
--   LUA_CPATH="build/luajit/?.so;;" luajit spec/support/chaos_nginx.lua [SECONDS [PART...]]      from the root
-- PODERO_TEST_NGINX names another nginx than the installed one, see nginx.lua. The exit code is 1 if a check fails.
-- Parts:
--   memory   200,000 small lists, and 200,000 loops over them. Then the resident memory may be only a little more than
--            after the first 50,000.
--   chaos    for SECONDS: calls of all kinds, an API that fails in many ways, aborted requests, clients that are made
--            and closed, reloads. No list may be truncated, no call may go on afterwards, and only errors of each_user
--            may be logged.

package.path = "./?.lua;" .. package.path

local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local socket = require "socket"
local worker = require "spec.support.worker"

local SECONDS = tonumber(arg[1]) or 60
local SEED = tonumber(mock.ORG:sub(1, 6), 16)

local api = mock.start { tls = false }

local function say(...) print((...):format(select(2, ...))) io.stdout:flush() end

local parts = {}

-- memory --------------------------------------------------------------------------------------------------------------

local FIRST, ALL, MEMORY_KILOBYTES = 50000, 200000, 3 * 1024

--- Sends requests over kept connections until there were so many; returns how many there were.
local function visit(server, path, count)
  local total = 0
  while total < count do
    local text = nginx.output_of(("wrk -t1 -c16 -d2s --timeout 20s 'http://127.0.0.1:%s%s' 2>&1"):format(
      server.ports.plain, path))
    assert(text:find("Requests/sec", 1, true) and not text:find("Non-2xx", 1, true)
      and not text:find("Socket errors", 1, true), text)
    total = total + tonumber(text:match("(%d+) requests in"))
  end
  return total
end

function parts.memory()
  api:configure { default_users = 1 }
  for _, method in ipairs { "list_users", "each_user" } do
    local server = worker.start(api)
    local path = "/call?method=" .. method
    assert(server:get(path) == "1 users")
    local count = visit(server, path, FIRST)
    local first = server:memory()
    count = count + visit(server, path, ALL - count)
    local last = server:memory()
    say("%s: %d requests, %d KB, %d KB after the first %d", method, count, last, first, FIRST)
    assert(last - first < MEMORY_KILOBYTES, "memory grows")
    assert(server:complaints() == "", server:complaints())
    server:stop()
  end
end

-- chaos ---------------------------------------------------------------------------------------------------------------

local BEHAVIOURS = {
  {}, { status = 500 }, {}, { status = 401 }, { delay = 0.05 }, {}, { fault = "truncate", after = 700 },
  { status = 503, headers = { ["Retry-After"] = "0" } }, {}, { status = 200, body = "<html>" }, { delay = 0.3 },
  { delay = 10 }, { fault = "stall", after = 1000, seconds = 2 }, { fault = "reset", after = 100 }, { status = 404 },
}
local BEHAVIOUR_SECONDS, RELOADS = 0.3, 6

local METHODS = { "list_users", "each_user", "list_users_of", "get", "token" }

--- Returns the paths of calls of all kinds: of a client that all requests share, of one for each request, of one that
-- is closed now and then.
local function chaotic_paths()
  local paths = {}
  for _, method in ipairs(METHODS) do
    for _, client in ipairs { "short", "own", "closing" } do
      paths[#paths + 1] = ("/chaos?method=%s&client=%s"):format(method, client)
    end
  end
  for _, method in ipairs { "list_users", "each_user" } do
    for _ = 1, 5 do paths[#paths + 1] = "/whole?method=" .. method end
  end
  paths[#paths + 1] = "/close"
  return paths
end

--- Sends a request whose connection close_aborted closes soon, mostly before the response has come.
local function send_aborted(server, aborted, paths)
  aborted[#aborted + 1] = { server:send(paths[math.random(#paths)]), socket.gettime() + math.random() * 0.05 }
end

local function close_aborted(aborted)
  for i = #aborted, 1, -1 do
    if socket.gettime() >= aborted[i][2] then
      aborted[i][1]:close()
      table.remove(aborted, i)
    end
  end
end

-- The errors of each_user are logged in nginx.
local LOGGED = { "podero: auth:", "podero: http:", "podero: network:", "podero: timeout:", "podero: decode:",
  "podero: schema:", "podero: closed:" }

--- Returns whether a response of /whole is a truncated list, or a call has returned another number of users than 25, or
-- 50 for two lists.
local function is_wrong(answer, expected)
  local path, body = answer:match("^(.-): (.*)$")
  if path:find("^/whole") then return body ~= expected and not body:find("^podero: ") end
  return body:find("^%d+ users$") and body ~= "25 users" and body ~= "50 users"
end

function parts.chaos()
  api:configure {}
  local server = worker.start(api, {
    after = [[
      function new_short() return new_client { timeout = 1 } end
      short = new_short()
      client, state = short, { closing = new_short() }
    ]],
    locations = [[
      location /chaos {
        content_by_lua_block {
          local name = ngx.var.arg_client
          local of = name == "short" and short or name == "own" and new_short() or state.closing
          say(calls[ngx.var.arg_method](nil, of, ngx.var.arg_method ~= "token" and { timeout = 1 } or nil))
        }
      }
      location /close {
        content_by_lua_block {
          state.closing:close()
          state.closing = new_short()
          say("closed")
        }
      }
    ]],
  })
  local expected, paths, aborted = worker.whole(25, SEED), chaotic_paths(), {}
  local start, behave_at, reload_at = socket.gettime(), 0, socket.gettime() + SECONDS / RELOADS
  local aborted_count = 0
  local answers, received = server:load(paths, function() return socket.gettime() - start < SECONDS end, 20, function()
    local now = socket.gettime()
    if now >= behave_at then
      behave_at = now + BEHAVIOUR_SECONDS
      api:patch { always_api = BEHAVIOURS[math.random(#BEHAVIOURS)] }
    end
    if now >= reload_at then
      reload_at = now + SECONDS / RELOADS
      server:signal("HUP")
    end
    if math.random() < 0.3 then
      send_aborted(server, aborted, paths)
      aborted_count = aborted_count + 1
    end
    close_aborted(aborted)
  end)
  for _, request in ipairs(aborted) do request[1]:close() end
  api:configure {}
  for answer, times in pairs(answers) do assert(not is_wrong(answer, expected), answer .. ", " .. times .. " times") end
  local seconds = worker.eventually(function() return server:get("/timers") == "0 running" end, "the pump goes on", 5)
  worker.eventually(function() return #server:ids() == 1 end, "old workers stay", 5)
  assert(server:get("/whole?method=list_users") == expected)
  say("chaos: %d responses and %d aborted requests, the last call ended %.1f s later", received, aborted_count, seconds)
  local complaints = server:complaints(unpack(LOGGED))
  assert(complaints == "", complaints)
  server:stop()
end

-- run -----------------------------------------------------------------------------------------------------------------

local chosen = #arg > 1 and { unpack(arg, 2) } or { "memory", "chaos" }
local ok, problem = xpcall(function()
  for _, name in ipairs(chosen) do parts[name]() end
end, debug.traceback)
api:stop()
if not ok then
  io.stderr:write(problem, "\n")
  os.exit(1)
end
