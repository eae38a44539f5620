--- Makes calls of all kinds from many coroutines for a long time: calls that succeed and fail, loops that end early,
-- and clients that are made and closed. Fails if resident memory or open descriptors grow after the first tenth of the
-- time, or if a socket is open after the client was closed.
--   lua5.4 spec/support/soak.lua [SECONDS]      from the root of the repository

package.path = "./?.lua;" .. package.path

local mock = require "spec.support.mock"
local podero = require "podero"
local socket = require "socket"

local SECONDS = tonumber(arg[1]) or 600
local COROUTINES = 24
local ORG, OTHER_ORG = mock.ORG, mock.OTHER_ORG

-- Less than a leak of ten bytes for each call would add up to.
local MEMORY_BYTES = 4 * 1024 * 1024

-- malloc keeps a varying amount of freed memory; malloc_trim returns it to the system before memory is measured.
local trim = assert(require("spec.support.compile")("trim", [[
#include <lua.h>
#include <malloc.h>

int luaopen_trim(lua_State *L);
static int trim(lua_State *L) {
  (void)L;
  malloc_trim(0);
  return 0;
}
int luaopen_trim(lua_State *L) {
  lua_pushcfunction(L, trim);
  return 1;
}
]], ""))

-- The number of idle connections may vary by one for each coroutine.
local SOCKETS = COROUTINES

-- Descriptors used for waiting: for each coroutine at most two wakeups (list_users_of and its token) of two descriptors
-- each, and an epoll set for the client. Wakeups are kept and used again.
local WAITING = 4 * COROUTINES + 1

-- How the API behaves, in turn, as steps of the mock server; false: normally.
local BEHAVIOURS = {
  false, { status = 500 }, false, { status = 401 }, { delay = 0.05 }, false, { fault = "truncate", after = 700 },
  { status = 503, headers = { ["Retry-After"] = "0" } }, false, { status = 200, body = "<html>" }, { delay = 1 },
  { status = 302, headers = { Location = "/elsewhere" } }, false, { fault = "reset", after = 100 }, { status = 404 },
}
local BEHAVIOUR_SECONDS = 0.4

local server = mock.start { tls = false }
server:configure { organizations = { [OTHER_ORG] = { users = 3000 } } }

local function new_client(more)
  local options = {
    base_url = server.url, client_id = mock.credentials.client_id, client_secret = mock.credentials.client_secret,
    proxy = "", timeout = 0.5, max_retries = 1, wait = coroutine.yield, on_event = function() end,
    log = function() end,
  }
  for name, value in pairs(more or {}) do options[name] = value end
  return assert(podero.new(options))
end

-- Returns the number of open descriptors of a kind.
local function descriptors(kind)
  local pipe = assert(io.popen(("ls -l /proc/%d/fd 2>/dev/null | grep -c -e '%s'"):format(
    io.open("/proc/self/stat"):read("n"), kind)))
  local number = pipe:read("n")
  pipe:close()
  return number
end

local sockets_before, waiting_before = descriptors "socket:", descriptors "anon_inode:"
local shared = new_client()
local calls, failures = 0, 0

local function count(result)
  calls = calls + 1
  if not result then failures = failures + 1 end
end

local kinds = {
  function() count(shared:list_users(ORG)) end,
  function() count(shared:list_users(OTHER_ORG, { timeout = 5, on_progress = function() end })) end,
  function() count(shared:list_users("no UUID")) end,
  function() count((shared:get("/api/partners/v2.0/org/" .. ORG .. "/users"))) end,
  function() count(shared:token()) end,
  function() count(not next(select(2, shared:list_users_of({ ORG, OTHER_ORG }, { concurrency = 2 })))) end,
  function() count(pcall(function() for user in shared:each_user(OTHER_ORG) do assert(user.id) end end)) end,
  function()
    local seen = 0
    count(pcall(function()
      for _ in shared:each_user(OTHER_ORG) do
        seen = seen + 1
        if seen == 100 then break end
      end
    end))
  end,
  function() count(pcall(function() for _ in shared:each_user(OTHER_ORG) do error("in the loop") end end)) end,
  function()
    local client <close> = new_client { access_token = "wrong" }
    count(client:list_users(ORG))
  end,
  function()
    local client = new_client { base_url = "http://127.0.0.1:1", timeout = 0.1 }
    count(client:list_users(ORG)) -- the collector closes the client
  end,
}

local pausing = false

local function work(seed)
  for i = seed, math.huge do
    kinds[i % #kinds + 1]()
    repeat coroutine.yield "idle" until not pausing
  end
end

local function resident()
  for line in io.lines("/proc/self/status") do
    local kilobytes = line:match("^VmRSS:%s*(%d+)")
    if kilobytes then return tonumber(kilobytes) * 1024 end
  end
end

local workers = {}
for i = 1, COROUTINES do workers[i] = coroutine.create(work) end

--- Resumes the workers for that many seconds.
local function run(seconds)
  local ends, index, changes = socket.gettime() + seconds, 0, 0
  while socket.gettime() < ends do
    if socket.gettime() >= changes then
      index, changes = index % #BEHAVIOURS + 1, socket.gettime() + BEHAVIOUR_SECONDS
      server:patch { always_api = BEHAVIOURS[index] }
    end
    for i = 1, COROUTINES do assert(coroutine.resume(workers[i], i)) end
    socket.sleep(0.001)
  end
end

--- Resumes the workers until none of them is in a call.
local function pause()
  pausing = true
  local idle
  repeat
    idle = true
    for i = 1, COROUTINES do
      local _, state = assert(coroutine.resume(workers[i], i))
      idle = idle and state == "idle"
    end
    socket.sleep(0.001)
  until idle
end

local function measure()
  pause()
  collectgarbage()
  collectgarbage()
  trim()
  local memory, sockets, waiting = resident(), descriptors "socket:", descriptors "anon_inode:"
  print(("%9d calls, %8d failed, %6.1f MB resident, %3d sockets, %3d descriptors for waiting"):format(
    calls, failures, memory / 2 ^ 20, sockets, waiting))
  pausing = false
  return memory, sockets, waiting
end

run(SECONDS / 10)
local memory, sockets = measure()
local memory_at_end, sockets_at_end, waiting_at_end
for _ = 2, 10 do
  run(SECONDS / 10)
  memory_at_end, sockets_at_end, waiting_at_end = measure()
end
pause()
shared:close()
collectgarbage()
collectgarbage()
local sockets_left = descriptors("socket:") - sockets_before
server:stop()
assert(failures > 0 and failures < 0.9 * calls, "not both successful and failed calls")
assert(memory_at_end - memory < MEMORY_BYTES, ("%.1f MB more"):format((memory_at_end - memory) / 2 ^ 20))
assert(sockets_at_end - sockets <= SOCKETS, sockets_at_end - sockets .. " sockets more")
assert(waiting_at_end - waiting_before <= WAITING, waiting_at_end - waiting_before .. " descriptors for waiting")
assert(sockets_left == 0, sockets_left .. " sockets left")
print "memory and descriptors did not grow"
