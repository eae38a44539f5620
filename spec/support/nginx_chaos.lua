--- Calls in nginx for a long time, on the nginx that the specs run (see spec/support/nginx.lua). Needs wrk.
--   LUA_CPATH="build/luajit/?.so;;" luajit spec/support/nginx_chaos.lua [SECONDS [PART...]]      from the root
-- memory   200,000 small lists, and 200,000 loops over them: resident memory is then what it was after the first 50,000
-- chaos    calls of all kinds, good and failing ones, handlers that are killed, clients made and closed, reloads, for
--          SECONDS: lists that come are whole, no call goes on afterwards, and the log stays clean

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

-- memory ------------------------------------------------------------------------------------------------------------

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

-- chaos -------------------------------------------------------------------------------------------------------------

local MOODS = {
  {}, { status = 500 }, {}, { status = 401 }, { delay = 0.05 }, {}, { fault = "truncate", after = 700 },
  { status = 503, headers = { ["Retry-After"] = "0" } }, {}, { status = 200, body = "<html>" }, { delay = 0.3 },
  { delay = 10 }, { fault = "stall", after = 1000, seconds = 2 }, { fault = "reset", after = 100 }, { status = 404 },
}
local MOOD_SECONDS, RELOADS = 0.3, 6

local METHODS = { "list_users", "each_user", "list_users_of", "get", "token" }

--- The paths of calls of all kinds: of a client for all, of one for each visitor, of one that is closed now and then.
local function chaotic_paths()
  local paths = {}
  for _, method in ipairs(METHODS) do
    for _, client in ipairs { "short", "own", "doomed" } do
      paths[#paths + 1] = ("/chaos?method=%s&client=%s"):format(method, client)
    end
  end
  for _, method in ipairs { "list_users", "each_user" } do
    for _ = 1, 5 do paths[#paths + 1] = "/whole?method=" .. method end
  end
  paths[#paths + 1] = "/close"
  return paths
end

--- Sends a request, and closes the connection before the answer has come.
local function send_victim(server, victims, paths)
  victims[#victims + 1] = { server:send(paths[math.random(#paths)]), socket.gettime() + math.random() * 0.05 }
end

local function kill_victims(victims)
  for i = #victims, 1, -1 do
    if socket.gettime() >= victims[i][2] then
      victims[i][1]:close()
      table.remove(victims, i)
    end
  end
end

--- Whether an answer of `whole` is a list that is not whole, or a call of 25 users has another number of them.
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
      client, state = short, { doomed = new_short() }
    ]],
    locations = [[
      location /chaos {
        content_by_lua_block {
          local name = ngx.var.arg_client
          local of = name == "short" and short or name == "own" and new_short() or state.doomed
          say(calls[ngx.var.arg_method](nil, of, ngx.var.arg_method ~= "token" and { timeout = 1 } or nil))
        }
      }
      location /close {
        content_by_lua_block {
          state.doomed:close()
          state.doomed = new_short()
          say("closed")
        }
      }
    ]],
  })
  local expected, paths, victims = worker.whole(25, SEED), chaotic_paths(), {}
  local start, mood_at, reload_at = socket.gettime(), 0, socket.gettime() + SECONDS / RELOADS
  local killed = 0
  local answers, received = server:load(paths, function() return socket.gettime() - start < SECONDS end, 20, function()
    local now = socket.gettime()
    if now >= mood_at then
      mood_at = now + MOOD_SECONDS
      api:patch { always_api = MOODS[math.random(#MOODS)] }
    end
    if now >= reload_at then
      reload_at = now + SECONDS / RELOADS
      server:signal("HUP")
    end
    if math.random() < 0.3 then
      send_victim(server, victims, paths)
      killed = killed + 1
    end
    kill_victims(victims)
  end)
  for _, victim in ipairs(victims) do victim[1]:close() end
  api:configure {}
  for answer, times in pairs(answers) do assert(not is_wrong(answer, expected), answer .. ", " .. times .. " times") end
  local seconds = worker.eventually(function() return server:get("/timers") == "0 running" end, "the pump goes on", 5)
  worker.eventually(function() return #server:ids() == 1 end, "old workers stay", 5)
  assert(server:get("/whole?method=list_users") == expected)
  say("chaos: %d answers and %d visitors who left, the last call ended %.1f s later", received, killed, seconds)
  assert(server:complaints() == "", server:complaints())
  server:stop()
end

-- run ---------------------------------------------------------------------------------------------------------------

local chosen = #arg > 1 and { unpack(arg, 2) } or { "memory", "chaos" }
local ok, problem = xpcall(function()
  for _, name in ipairs(chosen) do parts[name]() end
end, debug.traceback)
api:stop()
if not ok then
  io.stderr:write(problem, "\n")
  os.exit(1)
end
