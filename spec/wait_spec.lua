--- How calls wait with a function of the caller. For real schedulers, see spec/schedulers_spec.lua.

local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local podero = require "podero"
local process = require "spec.support.process"
local socket = require "socket"

local ORG = mock.ORG
local DELAY = 0.3

describe("the option wait", function()
  local server

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(helper.close_clients)

  --- A client, and the array of its waits: arguments and duration.
  local function recording(more, sleep)
    local waits = {}
    local options = { wait = function(seconds, fd)
      local start = socket.gettime()
      sleep(seconds)
      waits[#waits + 1] = { seconds = seconds, fd = fd, took = socket.gettime() - start }
    end }
    for name, value in pairs(more or {}) do options[name] = value end
    return helper.client(server, options), waits
  end

  it("is called instead of blocking, with seconds and a descriptor", function()
    local client, waits = recording(nil, socket.sleep)
    server:configure { always_api = { delay = DELAY } }
    assert.equal(25, #assert(client:list_users(ORG)))
    assert.is_true(#waits > 1)
    for _, wait in ipairs(waits) do
      assert.is_number(wait.seconds)
      assert.is_true(wait.seconds >= 0 and wait.seconds <= 30)
      assert.is_number(wait.fd)
      assert.equal(math.floor(wait.fd), wait.fd)
    end
  end)

  it("may only sleep, since it is called with short times", function()
    local client, waits = recording({ access_token = "static" }, socket.sleep)
    helper.static(server, { always_api = { delay = DELAY } })
    local seconds = helper.timed(client.list_users, client, ORG)
    assert.is_true(seconds >= DELAY and seconds < DELAY + 0.2, tostring(seconds))
    for _, wait in ipairs(waits) do assert.is_true(wait.seconds <= 0.05, tostring(wait.seconds)) end
    assert.is_true(#waits < DELAY * 1000 / 2, #waits .. " waits")
  end)

  it("may return early", function()
    local client, waits = recording(nil, function() end)
    server:configure { always_api = { delay = 0.01 } }
    assert.equal(25, #assert(client:list_users(ORG)))
    assert.is_true(#waits > 0)
  end)

  it("is called by every method", function()
    local client, waits = recording(nil, socket.sleep)
    server:configure { always_api = { delay = 0.01 }, always_token = { delay = 0.01 } }
    local function waited(what)
      assert.is_true(#waits > 0, what)
      for i = #waits, 1, -1 do waits[i] = nil end
    end
    assert.truthy(client:token())
    waited("token")
    assert.equal(25, #assert(client:list_users(ORG)))
    waited("list_users")
    local count = 0
    for _ in client:each_user(ORG) do count = count + 1 end
    assert.equal(25, count)
    waited("each_user")
    local results, errors = client:list_users_of { ORG, helper.OTHER_ORG }
    assert.is_nil(next(errors))
    assert.equal(25, #results[ORG])
    assert.equal(25, #results[helper.OTHER_ORG])
    waited("list_users_of")
    assert.is_table(client:get(helper.users_path()))
    waited("get")
  end)

  it("is called for pauses between attempts, within the call's deadline", function()
    local client = recording({ max_retries = 5 }, socket.sleep)
    server:configure { always_api = { status = 503, headers = { ["Retry-After"] = "1" } } }
    local seconds, result, err = helper.timed(client.list_users, client, ORG, { timeout = 1.5 })
    helper.failed("http", result, err)
    assert.equal(2, server:counts().api)
    assert.is_true(seconds >= 1 and seconds < 2, tostring(seconds))
    server:configure { always_api = { delay = 5 } }
    seconds, result, err = helper.timed(client.list_users, client, ORG, { timeout = 0.3 })
    helper.failed("timeout", result, err)
    assert.is_true(seconds >= 0.3 and seconds < 0.8, tostring(seconds))
  end)

  it("passes its errors to the caller unchanged, and the client stays usable", function()
    local raised = setmetatable({}, { __tostring = function() return "mine" end })
    local fail = true
    server:configure { always_api = { delay = 0.05 } }
    local client = helper.client(server, { wait = function(seconds)
      if fail then error(raised) end
      socket.sleep(seconds)
    end })
    for _, call in ipairs {
      function() return client:list_users(ORG) end,
      function() return client:list_users_of { ORG } end,
      function() for _ in client:each_user(ORG) do assert(false) end end,
    } do
      local ok, err = pcall(call)
      assert.is_false(ok)
      assert.equal(raised, err)
    end
    fail = false
    assert.equal(25, #assert(client:list_users(ORG)))
  end)

  it("may yield, so that several calls of one client run at the same time", function()
    local client = helper.client(server, { wait = function(seconds, fd) coroutine.yield(seconds, fd) end })
    server:configure { always_api = { delay = DELAY } }
    local results, descriptors, running = {}, {}, {}
    for i = 1, 3 do
      running[i] = coroutine.create(function() results[i] = assert(client:list_users(ORG)) end)
    end
    while #running > 0 do
      for i = #running, 1, -1 do
        local ok, _, fd = coroutine.resume(running[i])
        assert.is_true(ok)
        if coroutine.status(running[i]) == "dead" then
          table.remove(running, i)
        else
          descriptors[fd] = (descriptors[fd] or 0) + 1
        end
      end
      socket.sleep(0.001)
    end
    for i = 1, 3 do assert.equal(25, #results[i]) end
    local counts = server:counts()
    assert.equal(1, counts.token)
    assert.equal(3, counts.api)
    assert.equal(3, counts.max_in_flight.api)
    -- Calls that wait at the same time have different descriptors, since not every scheduler accepts one twice.
    local different = 0
    for _ in pairs(descriptors) do different = different + 1 end
    assert.equal(3, different)
  end)

  it("gets a descriptor that becomes readable when the client is closed", function()
    local watched
    local client = helper.client(server, { wait = function(_, fd)
      watched = { getfd = function() return fd end, dirty = function() return false end }
      coroutine.yield()
    end })
    local function is_readable() return socket.select({ watched }, nil, 0)[1] ~= nil end
    server:configure { always_api = { delay = 5 } }
    local waiting = coroutine.wrap(function() return client:list_users(ORG) end)
    local ends = socket.gettime() + 5
    repeat
      waiting()
      socket.sleep(0.002)
      assert.is_true(socket.gettime() < ends, "no request")
    until server:counts().in_flight.api == 1
    waiting()
    assert.is_false(is_readable())
    client:close()
    assert.is_true(is_readable())
    helper.failed("closed", waiting())
  end)

  it("is not disturbed by a child that uses the same client after a fork", function()
    local waits, in_child = 0, false
    local client = helper.client(server, { access_token = "static", wait = function(seconds, fd)
      waits = waits + 1
      if in_child then socket.sleep(seconds) else coroutine.yield(seconds, fd) end
    end })
    helper.static(server, { always_api = { delay = 0.5 } })
    -- As a scheduler does that watches the descriptor.
    local function finish(calling)
      local seconds, fd = calling()
      while type(seconds) == "number" do
        socket.select({ { getfd = function() return fd end, dirty = function() return false end } }, nil, seconds)
        seconds, fd = calling()
      end
      return seconds
    end
    local function call() return coroutine.wrap(function() return client:list_users(ORG) end) end
    local first = call()
    first()
    local child = process.start(function()
      in_child = true
      return #assert(client:list_users(ORG))
    end)
    assert.equal(25, #finish(first))
    assert.equal("25", child.result())
    waits = 0
    assert.equal(25, #finish(call()))
    assert.is_true(waits < 150, waits .. " waits")
  end)

  it("is called in a finalizer that completes a loop while the Lua state is closed", function()
    helper.static(server, { always_api = { delay = 0.3 } })
    local output, code = helper.run(([[
      local podero = require "podero"
      local socket = require "socket"
      local yields = true
      local client = podero.new { base_url = %q, access_token = "static", proxy = "",
        wait = function(seconds) if yields then coroutine.yield() else socket.sleep(seconds) end end }
      local next_user = client:each_user(%q)
      local function finalize()
        yields = false
        local count = 0
        local ok, err = pcall(function() for _ in next_user do count = count + 1 end end)
        print(count, ok, err)
      end
      if newproxy then
        guard = newproxy(true)
        getmetatable(guard).__gc = finalize
      else
        guard = setmetatable({}, { __gc = finalize })
      end
      waiting = coroutine.create(function() return next_user() end)
      coroutine.resume(waiting)
    ]]):format(server.url, ORG))
    assert.same({ "25\ttrue\tnil\n", 0 }, { output, code })
  end)

  it("may yield for ever in dropped coroutines without stopping other calls", function()
    local client = helper.client(server, { wait = function() coroutine.yield() end })
    server:configure { always_api = { delay = 0.05 } }
    for _ = 1, 20 do coroutine.resume(coroutine.create(function() return client:list_users(ORG) end)) end
    collectgarbage()
    collectgarbage()
    local done = coroutine.wrap(function() return client:list_users(ORG) end)
    local list
    repeat
      socket.sleep(0.001)
      list = done()
    until list
    assert.equal(25, #list)
  end)

  it("may use the client itself", function()
    local depth, client = 0, nil
    server:configure { always_api = { delay = 0.02 } }
    client = helper.client(server, { wait = function(seconds)
      if depth < 2 then
        depth = depth + 1
        assert.equal(25, #assert(client:list_users(helper.OTHER_ORG)))
        depth = depth - 1
      end
      socket.sleep(seconds)
    end })
    local function call()
      local list = client:list_users(ORG)
      return list and #list
    end
    assert.equal(25, call())
    assert.equal(25, coroutine.wrap(call)())
  end)

  it("ends its call with its error, even if the coroutine catches it", function()
    helper.static(server, { always_api = { delay = 2 } })
    local problem, raise, iterator = {}, true, nil
    local client = helper.client(server, { access_token = "static", wait = function(seconds)
      if raise then error(problem) end
      socket.sleep(seconds)
    end })
    local before = helper.descriptors()
    coroutine.wrap(function()
      for _ = 1, 20 do
        local ok, err = pcall(client.list_users, client, ORG)
        assert.is_false(ok)
        assert.equal(problem, err)
      end
      iterator = client:each_user(ORG)
      assert.equal(problem, select(2, pcall(iterator)))
      raise = false
      server:patch { always_api = false }
      -- That call does not continue.
      local ok, err = pcall(iterator)
      assert.is_false(ok)
      assert.equal("closed", err.kind)
      assert.equal(25, #assert(client:list_users(ORG)))
    end)()
    assert.is_true(helper.descriptors() <= before + 16, helper.descriptors() - before)
  end)

  it("works if standard libraries were removed before the module was loaded", function()
    helper.static(server, { always_api = { delay = 0.02 } })
    local little = "debug = { traceback = debug.traceback }"
    for _, sandbox in ipairs { "debug = nil", little, "coroutine = nil", "pcall = nil" } do
      local output = helper.run(([[
        local wrap, protected = coroutine.wrap, pcall
        local socket = require "socket"
        %s
        local podero = require "podero"
        local raise = false
        local client = podero.new { base_url = %q, access_token = "static", proxy = "", wait = function(seconds)
          if raise then error("stopped", 0) end
          socket.sleep(seconds)
        end }
        print(#client:list_users(%q), wrap(function()
          raise = true
          local ok, err = protected(client.list_users, client, %q)
          raise = false
          return err, #client:list_users(%q)
        end)())
      ]]):format(sandbox, server.url, ORG, ORG, ORG))
      assert.equal("25\tstopped\t25\n", output)
    end
  end)

  it("leaves few descriptors open when the client is closed", function()
    local client = helper.client(server, { access_token = "static", wait = function(seconds, fd)
      coroutine.yield(seconds, fd)
    end })
    helper.static(server, { always_api = { delay = 0.1 } })
    collectgarbage()
    collectgarbage()
    local before, threads, ended = helper.descriptors(), {}, 0
    for i = 1, 100 do
      threads[i] = coroutine.create(function()
        assert(client:list_users(ORG))
        ended = ended + 1
      end)
      assert.is_true(coroutine.resume(threads[i]))
    end
    assert.is_true(helper.descriptors() >= before + 200) -- each waits with another descriptor
    while ended < 100 do
      for _, thread in ipairs(threads) do
        if coroutine.status(thread) ~= "dead" then assert.is_true(coroutine.resume(thread)) end
      end
      socket.sleep(0.002)
    end
    client:close()
    assert.is_true(helper.descriptors() <= before + 16, helper.descriptors() - before)
  end)

  it("is not needed with a global ngx that is not nginx's", function()
    for _, ngx in ipairs { "{}", "{ null = false, log = print, config = {} }", "'text'", "{ get_phase = false }" } do
      local output = helper.run(([[
        ngx = %s
        local podero = require "podero"
        local client = podero.new { base_url = %q, client_id = "demo-client", client_secret = "demo-secret",
          proxy = "" }
        local count = 0
        local iterator = client:each_user(%q)
        while iterator() do count = count + 1 end
        local results = client:list_users_of { %q }
        print(#client:list_users(%q), count, #results[%q], #client:get(%q), type(client:token()))
        client:close()
      ]]):format(ngx, server.url, ORG, ORG, ORG, ORG, helper.users_path()))
      assert.equal("25\t25\t25\t25\tstring\n", output)
    end
  end)

  for _, value in ipairs { 1, "sleep", true, {} } do
    it("refuses a " .. type(value), function()
      helper.raises({ "'new'", "option 'wait': expected a function, got " .. type(value) }, podero.new,
        helper.options(server, { wait = value }))
    end)
  end
end)
