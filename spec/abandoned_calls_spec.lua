--- Calls that nobody waits for any more because their wait has raised an error or their coroutine was dropped. They end
-- and release what they hold before the process runs out of descriptors.

local helper = require "spec.support.helper"
local peer = require "spec.support.peer"
local podero = require "podero"
local socket = require "socket"
local users = require "spec.support.mock.users"

local ORG = helper.ORG
local CALLS = 300
local LIST = users.list_json(7, 5)

--- For each way, makes CALLS calls of a method and abandons all of them while the server is silent, with a limit on
-- descriptors. Then the server responds, and the client makes one more call. Prints the outcome. METHOD; WAYS; LIMIT.
local PROGRAM = [[
  local METHOD, WAYS, LIMIT, CALLS, ORG, LIST = %q, %q, %d, %d, %q, %q
  local helper = require "spec.support.helper"
  local peer = require "spec.support.peer"
  local socket = require "socket"

  local server = peer.start()
  assert(select(2, helper.shell("prlimit --nofile=" .. LIMIT .. " --pid $(cut -d' ' -f4 /proc/$$/stat)")) == 0)

  local listener, client, wait
  local silence = { { "send", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n[" }, { "stall" } }
  local ids = {}
  for i = 1, 8 do ids[i] = ("%%08x-0000-4000-8000-000000000000"):format(i) end

  local methods = {
    list_users = function() return #assert(client:list_users(ORG)) end,
    each_user = function()
      local iterator, count = client:each_user(ORG), 0
      while iterator() do count = count + 1 end
      return count
    end,
    list_users_of = function()
      local results, errors = client:list_users_of(ids)
      assert(not next(errors), select(2, next(errors)))
      return #results[ ids[8] ]
    end,
    get = function() return #assert(client:get "/x") end,
    token = function() return #assert(client:token()) end,
  }
  local call = methods[METHOD]

  local function follow(seconds, fd)
    if not fd then return socket.sleep(seconds) end
    socket.select({ { getfd = function() return fd end, dirty = function() return false end } }, nil, seconds)
  end

  -- How a call is abandoned at its second wait: `wait` raises an error, which the main program or a coroutine catches,
  -- or which ends the coroutine; or the coroutine is never resumed.
  local problem, ways = {}, {}
  function ways.caught() return pcall(call) end
  function ways.died() return coroutine.resume(coroutine.create(call)) end
  ways.inside = ways.caught
  function ways.dropped()
    local thread = coroutine.create(call)
    local _, seconds, fd = coroutine.resume(thread)
    follow(math.min(seconds, 0.01), fd)
    coroutine.resume(thread)
    return false, coroutine.status(thread) == "suspended" and problem
  end

  ways.again = ways.dropped

  local function check(way)
    local other, most, waits = 0, 0, 0
    listener = server:listen { good_api = silence, good_token = silence }
    -- A token request continues without the calls that waited for it: the last call here has to outlive it.
    client = helper.client({ url = listener.url }, { access_token = METHOD ~= "token" and "mine" or nil,
      timeout = METHOD == "token" and 1 or 20, wait = function(seconds, fd) return wait(seconds, fd) end })
    function wait(seconds, fd)
      if way == "dropped" or way == "again" then return coroutine.yield(seconds, fd) end
      waits = waits + 1
      if waits == 2 then error(problem) end
      follow(seconds, fd)
    end
    local function all()
      for _ = 1, CALLS do
        waits = 0
        local ok, err = ways[way]()
        if ok or err ~= problem then
          other = other + 1
          print(ok, err)
        end
        local counted, count = pcall(helper.descriptors)
        most = math.max(most, counted and count or LIMIT) -- to count them takes one
      end
    end
    collectgarbage()
    collectgarbage()
    collectgarbage "stop" -- no cycle starts by itself
    if way == "again" then
      local kept = {}
      for i = 1, 150 do
        kept[i] = coroutine.create(call)
        coroutine.resume(kept[i])
      end
      kept = nil
      collectgarbage()
    end
    if way == "inside" then coroutine.wrap(all)() else all() end
    wait = follow
    listener:set {
      good_api = { { "respond", 200, {}, LIST } },
      good_token = { { "respond", 200, {}, '{"access_token": "abcde", "token_type": "bearer"}' } },
    }
    print(("%%s: %%d ended otherwise, %%d descriptors, then %%d"):format(way, other, most, call()))
    helper.close_clients()
    listener:close()
  end

  for way in WAYS:gmatch "%%a+" do check(way) end
]]

describe(CALLS .. " abandoned calls", function()
  local outputs = {}

  --- The most descriptors that were open at once.
  local function run(method, way, limit)
    local key = method .. limit
    outputs[key] = outputs[key] or helper.run(PROGRAM:format(method,
      limit > 200 and "dropped again" or "caught died inside dropped", limit, CALLS, ORG, LIST))
    local output = outputs[key]
    local other, most, count = output:match(way .. ": (%d+) ended otherwise, (%d+) descriptors, then (%d+)")
    assert.is_truthy(other, output)
    assert.equal("0", other, output)
    assert.equal("5", count, output)
    return tonumber(most)
  end

  for _, method in ipairs { "list_users", "each_user", "list_users_of", "get", "token" } do
    it("of " .. method .. " end at once with the error of wait, and hold few descriptors", function()
      assert.is_true(run(method, "caught", 200) < 40)
    end)

    it("of " .. method .. " end at once if the error of wait ends their coroutines", function()
      assert.is_true(run(method, "died", 200) < 40)
    end)

    it("of " .. method .. " end at once in a coroutine that catches the error of wait", function()
      assert.is_true(run(method, "inside", 200) < 40)
    end)

    it("of " .. method .. " are collected before descriptors run out if their coroutines are dropped", function()
      run(method, "dropped", 200)
    end)
  end

  it("are collected if there are many, even if descriptors are left", function()
    -- 64 calls with a socket and a wakeup of two descriptors each, and some more.
    assert.is_true(run("list_users", "dropped", 2000) < 3 * 64 + 30)
  end)

  it("are collected if there are many, even after a time when there were more", function()
    assert.is_true(run("list_users", "again", 2000) < 3 * 64 + 30)
  end)
end)

describe("a call that nobody waits for", function()
  local server

  setup(function() server = peer.start() end)
  teardown(function() server:stop() end)
  after_each(helper.close_clients)

  local function in_flight(listener)
    return (select(5, listener:received()))
  end

  local TIMEOUT = helper.CHECKED and 2 or 0.3
  local yields

  local function new_client(listener, more)
    yields = true
    local options = { timeout = TIMEOUT, wait = function(seconds, fd)
      if yields then return coroutine.yield(seconds, fd) end
      socket.sleep(seconds)
    end }
    for name, value in pairs(more) do options[name] = value end
    return helper.client(listener, options)
  end

  --- Resumes a coroutine repeatedly until a test holds, for 5 s at most.
  local function resume_until(thread, test)
    local ends = socket.gettime() + 5
    repeat
      assert.is_true(coroutine.resume(thread))
      socket.sleep(0.002)
      assert.is_true(socket.gettime() < ends)
    until test()
  end

  local HEAD = { "send", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" }

  --- What the server sends before it falls silent.
  local STATES = {
    { what = "before a response", silence = { { "stall" } } },
    { what = "within a response", silence = { HEAD, { "send", LIST:sub(1, 30) }, { "stall" } } },
    { what = "after some users", silence = { HEAD, { "send", LIST:sub(1, 1500) }, { "stall" } }, each_user = true },
  }

  local CALLS_OF = {
    list_users = function(client) return client:list_users(ORG) end,
    each_user = function(client, state)
      local iterator = client:each_user(ORG)
      while iterator() do state.users = (state.users or 0) + 1 end
    end,
    list_users_of = function(client)
      local _, errors = client:list_users_of { ORG }
      return nil, errors[ORG]
    end,
    get = function(client) return client:get "/x" end,
  }

  local function check(call, state, opts)
    local listener = server:listen { api = { state.silence }, good_api = { { "respond", 200, {}, LIST } } }
    local client, seen = new_client(listener, { access_token = "mine" }), {}
    local thread = coroutine.create(function() return call(client, seen) end)
    resume_until(thread, function() return in_flight(listener) == 1 and (not state.each_user or seen.users) end)
    socket.sleep(TIMEOUT + 0.05)
    yields = false
    assert.equal(5, #assert(client:get("/y")))
    local ends = socket.gettime() + 3
    while in_flight(listener) > 0 do
      assert.is_true(socket.gettime() < ends, "the server still waits")
      socket.sleep(0.005)
    end
    local ok, result, err = coroutine.resume(thread)
    assert.equal("dead", coroutine.status(thread))
    if opts.raises then
      assert.is_false(ok)
      assert.equal("timeout", result.kind)
      assert.equal(seen.users or 0, result.delivered)
    else
      assert.is_true(ok)
      helper.failed("timeout", result, err)
    end
    listener:close()
  end

  for _, state in ipairs(STATES) do
    for name, call in pairs(CALLS_OF) do
      if not state.each_user or name == "each_user" then
        it("is ended by the client's next call after its deadline: " .. name .. ", left " .. state.what, function()
          check(call, state, { raises = name == "each_user" })
        end)
      end
    end
  end

  it("releases its socket when its client is collected with it", function()
    local listener = server:listen { good_api = { { "stall" } } }
    local before = helper.descriptors()
    do
      local client = assert(podero.new(helper.options(listener, { access_token = "mine",
        wait = function(seconds, fd) coroutine.yield(seconds, fd) end })))
      local thread = coroutine.create(function() return client:list_users(ORG) end)
      resume_until(thread, function() return in_flight(listener) == 1 end)
    end
    collectgarbage()
    collectgarbage()
    local ends = socket.gettime() + 3
    while in_flight(listener) > 0 do
      assert.is_true(socket.gettime() < ends)
      socket.sleep(0.005)
    end
    assert.is_true(helper.descriptors() <= before + 2) -- a wakeup is kept for the next call
    listener:close()
  end)
end)
