--- Calls in schedulers, with podero.waits and with custom functions, each in a new process. Debian's Copas is old:
-- PODERO_TEST_COPAS names a folder with a newer one and its dependencies.

local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local programs = require "spec.support.schedulers"

local ORG = mock.ORG
local DELAY = 0.3
local unpack = table.unpack or unpack

-- For three coroutines that wait for two responses each. Polling every millisecond would take six times as many.
local MANY_WAITS = 300

--- How each scheduler is used. `program`: see spec/support/schedulers.lua. `watches`: it can watch descriptors.
-- `failed`: what a program prints if a coroutine raises "of the coroutine".
local SCHEDULERS = {
  cqueues = {
    watches = true,
    program = programs.cqueues,
    failed = "of the coroutine",
  },
  luv = {
    watches = true,
    program = programs.luv,
    failed = "Uncaught Error",
  },
  copas = {
    program = programs.copas,
    failed = "of the coroutine",
  },
}

local new_copas = os.getenv("PODERO_TEST_COPAS")

--- Why a scheduler cannot be tried here, or nil.
local function missing(name)
  if name == "copas" then
    return not new_copas and "PODERO_TEST_COPAS names no folder with a Copas that has pause or sleep" or nil
  end
  return not pcall(require, name) and name .. " is not installed for this Lua" or nil
end

--- What every program begins with: `new(wait, options)` makes a client whose waits are counted in `waits`, `read_all()`
-- counts users with each_user (plain Lua 5.1 cannot yield in the iterator of a for loop), `since()` returns the elapsed
-- seconds.
local HEAD = [[
  package.path = %q .. package.path
  %s
  local socket = require "socket"
  local podero = require "podero"
  local waits = 0
  local function new(wait, more)
    local options = { base_url = %q, client_id = "demo-client", client_secret = "demo-secret", proxy = "",
      wait = function(seconds, fd) waits = waits + 1 return wait(seconds, fd) end }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(podero.new(options))
  end
  local ORG = %q
  local function read_all(client)
    local iterator, count = client:each_user(ORG), 0
    while iterator() do count = count + 1 end
    return count
  end
  local start = socket.gettime()
  local function since() return socket.gettime() - start end
  collectgarbage()
]]

describe("a scheduler", function()
  local server

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)

  --- Runs a program. Returns its output and its exit code.
  local function run(name, program)
    local path = name == "copas" and new_copas and ("%s/?.lua;%s/?/init.lua;"):format(new_copas, new_copas) or ""
    local scheduler = SCHEDULERS[name]
    return helper.run(HEAD:format(path, scheduler and scheduler.program or "", server.url, ORG)
      .. program:gsub("WAIT", "podero.waits." .. name))
  end

  --- Runs a program. Returns the captures of a pattern, which has to match its output.
  local function outcome(pattern, name, program)
    local output = run(name, program)
    local results = { output:match(pattern) }
    assert.is_truthy(results[1], output)
    return unpack(results)
  end

  local THREE = [[
    local ended = 0
    for _ = 1, 3 do
      spawn(function()
        assert(#assert(client:list_users(ORG)) == 25)
        assert(read_all(client) == 25)
        ended = ended + 1
      end)
    end
    run()
    print(("ended %d after %.3f with %d waits"):format(ended, since(), waits))
  ]]

  --- Checks a program with three coroutines at the same time that make two calls each.
  local function check_three(name, program)
    server:configure { always_api = { delay = DELAY } }
    local ended, seconds, waits = outcome("ended (%d+) after (%S+) with (%d+) waits", name, program)
    assert.equal("3", ended)
    assert.is_true(tonumber(seconds) < 4 * DELAY, seconds)
    local counts = server:counts()
    assert.equal(1, counts.token)
    assert.equal(6, counts.api)
    assert.equal(3, counts.max_in_flight.api)
    return tonumber(waits)
  end

  for _, name in ipairs { "cqueues", "luv", "copas" } do
    local scheduler, reason = SCHEDULERS[name], missing(name)
    if reason then it("with podero.waits." .. name .. " is not tried", function() pending(reason) end) end

    --- A spec that needs the library.
    local function with_it(what, f)
      if not reason then it("with podero.waits." .. name .. " " .. what, f) end
    end

    with_it("runs several calls at the same time" .. (scheduler.watches and ", without polling" or ""), function()
      local waits = check_three(name, "local client = new(WAIT)" .. THREE)
      assert.is_true(waits < MANY_WAITS, waits .. " waits")
    end)

    with_it("runs other coroutines while a call waits", function()
      server:configure { always_api = { delay = DELAY } }
      local ticks = outcome("(%d+) ticks", name, [[
        local client, over, ticks = new(WAIT), false, 0
        spawn(function()
          assert(client:list_users(ORG))
          over = true
        end)
        spawn(function()
          while not over do
            sleep(0.01)
            ticks = ticks + 1
          end
        end)
        run()
        print(ticks .. " ticks")
      ]])
      assert.is_true(tonumber(ticks) >= 5, ticks)
    end)

    with_it("works with many clients, and keeps few descriptors", function()
      local count, seconds, descriptors = outcome("(%d+) lists after (%S+) with (%d+) descriptors", name, [[
        local helper = require "spec.support.helper"
        local before, count = helper.descriptors(), 0
        for i = 1, 4 do
          spawn(function()
            for _ = 1, 15 do
              local client = new(WAIT)
              if #assert(client:list_users(ORG)) == 25 then count = count + 1 end
              if i % 2 == 0 then client:close() end
              client = nil
              collectgarbage()
            end
          end)
        end
        run()
        local seconds = since()
        collectgarbage()
        collectgarbage()
        print(("%d lists after %.3f with %d descriptors"):format(count, seconds, helper.descriptors() - before))
      ]])
      assert.equal("60", count)
      assert.is_true(tonumber(seconds) < 6, seconds)
      assert.is_true(tonumber(descriptors) <= 16, descriptors .. " descriptors more")
    end)

    with_it("keeps time limits", function()
      server:configure { always_api = { delay = 5 } }
      local kind, seconds = outcome("(%a+) after (%S+)", name, [[
        local client = new(WAIT)
        spawn(function()
          local users, err = client:list_users(ORG, { timeout = 0.4 })
          print(("%s after %.3f"):format(users and "users" or err.kind, since()))
        end)
        run()
      ]])
      assert.equal("timeout", kind)
      seconds = tonumber(seconds)
      assert.is_true(seconds >= 0.4 and seconds < 0.9, seconds)
    end)

    with_it("gets the error of a coroutine that has made a call", function()
      server:configure { always_api = { delay = 0.05 } }
      local object = "setmetatable({}, { __tostring = function() return 'of the coroutine' end })"
      for _, value in ipairs { "'of the coroutine'", object } do
        local output = run(name, [[
          local client = new(WAIT)
          spawn(function()
            assert(client:list_users(ORG))
            error(]] .. value .. [[)
          end)
          print(pcall(run))
        ]])
        assert.truthy(output:find(scheduler.failed, 1, true), output)
        if name ~= "copas" then assert.truthy(output:find("of the coroutine", 1, true), output) end
      end
    end)

    with_it("resumes a call at once that another coroutine has stopped", function()
      server:configure { always_api = { fault = "stall", after = 0 } }
      local first, second, seconds = outcome("(%a+) (%a+) after (%S+)", name, [[
        local client, other, results = new(WAIT), new(WAIT), {}
        local iterator = client:each_user(ORG)
        spawn(function()
          local ok, user = pcall(function() return iterator() end)
          results[1] = ok and tostring(user) or "error"
        end)
        spawn(function()
          local users, err = other:list_users(ORG)
          results[2] = users and "users" or err.kind
        end)
        spawn(function()
          sleep(0.3)
          iterator:close()
          other:close()
        end)
        run()
        print(("%s %s after %.3f"):format(results[1], results[2], since()))
      ]])
      local catches = name ~= "copas" and _VERSION ~= "Lua 5.1" or rawget(_G, "jit")
      if catches then assert.equal("nil", first) end
      assert.equal("closed", second)
      assert.is_true(tonumber(seconds) < 0.8, seconds)
    end)

    with_it("blocks outside of its loop", function()
      server:configure { always_api = { delay = 0.05 } }
      assert.equal("25 25 and then 25", outcome("(.-)\n", name, [[
        local client = new(WAIT)
        local first, second = #assert(client:list_users(ORG)), read_all(client)
        spawn(function() print(first .. " " .. second .. " and then " .. read_all(client)) end)
        run()
      ]]))
    end)
  end

  local function with(library, what, f)
    if not missing(library) then it("with " .. what, f) end
  end

  with("cqueues", "a custom function for cqueues waits for the descriptor, without polling", function()
    local waits = check_three("cqueues", [[
      local client = new(function(seconds, fd) cqueues.poll({ pollfd = fd, events = "r" }, seconds) end)
    ]] .. THREE)
    assert.is_true(waits < MANY_WAITS, waits .. " waits")
  end)

  with("luv", "a custom function for luv waits for the descriptor, without polling", function()
    local waits = check_three("luv", [[
      local client = new(function(seconds, fd)
        local running = coroutine.running()
        local timer, poll = uv.new_timer(), uv.new_poll(fd)
        local function wake()
          timer:close()
          poll:close()
          assert(coroutine.resume(running))
        end
        timer:start(math.ceil(seconds * 1000), 0, wake)
        poll:start("r", wake)
        coroutine.yield()
      end)
    ]] .. THREE)
    assert.is_true(waits < MANY_WAITS, waits .. " waits")
  end)

  with("luv", "podero.waits.luv raises an error in a callback, where it would block the loop", function()
    server:configure { always_token = { delay = 0.05 } } -- otherwise the call may never have to wait
    local output = run("luv", [[
      local client, timer = new(WAIT), uv.new_timer()
      timer:start(1, 0, function()
        timer:close()
        print(select(2, pcall(client.list_users, client, ORG)))
        spawn(function() print(#client:list_users(ORG) .. " users") end)
      end)
      run()
    ]])
    assert.truthy(output:find("podero.waits.luv: in a callback of luv, a call has to be made in a coroutine", 1, true),
      output)
    assert.truthy(output:find("25 users", 1, true), output)
  end)

  with("luv", "podero.waits.luv works if others resume the coroutine, or never do", function()
    helper.static(server, { always_api = { delay = 0.1 } })
    assert.equal("25 users, 25 users", outcome("(%d+ users, %d+ users)", "luv", [[
      local client = new(WAIT, { access_token = "static" })
      local first, second
      local thread = coroutine.create(function()
        first = #assert(client:list_users(ORG))
        coroutine.yield() -- the loop must not resume this one
        error("resumed")
      end)
      coroutine.resume(thread)
      for _ = 1, 3 do coroutine.resume(thread) end -- before its time
      coroutine.resume(coroutine.create(function() client:get("/api/partners/v2.0/x") coroutine.yield() end))
      spawn(function() second = #assert(client:list_users(ORG)) end)
      run()
      print(("%d users, %d users"):format(first, second))
    ]]))
  end)

  if coroutine.close then
    with("luv", "podero.waits.luv works if a waiting coroutine is closed and another one reuses its wakeup", function()
      helper.static(server, { always_api = { delay = 0.2 } })
      local seconds, count = outcome("after (%S+) (%d+)", "luv", [[
        local client = new(WAIT, { access_token = "static" })
        local function sleep_a_turn() sleep(0.02) end
        local count = 0
        spawn(function()
          for _ = 1, 3 do
            local thread = coroutine.create(function() client:list_users(ORG) end)
            coroutine.resume(thread)
            sleep_a_turn()
            coroutine.close(thread)
            count = count + #assert(client:list_users(ORG))
          end
        end)
        run()
        print(("after %.3f %d"):format(since(), count))
      ]])
      assert.equal("75", count)
      assert.is_true(tonumber(seconds) < 1.6, seconds)
    end)
  end

  -- Debian has Copas 1.2 for these only. It has to be loaded before LuaSocket's http.
  local can_have_old = _VERSION == "Lua 5.1" or _VERSION == "Lua 5.2"
  if can_have_old and select(2, helper.run 'require "copas"') ~= 0 then
    it("without pause and sleep, such as an old Copas, is not tried", function()
      pending "Copas does not load in this Lua: Debian 13 has no lua-coxpcall for Lua 5.2"
    end)
  elseif can_have_old then
    local OLD = [[
      package.path = %q
      local copas = require "copas"
    ]]

    it("with podero.waits.copas gets an error if it is a Copas without pause and sleep", function()
      server:configure { always_token = { delay = 0.05 } } -- otherwise the call may never have to wait
      local output = run("none", OLD:format(package.path) .. [[
        local client = new(podero.waits.copas)
        copas.addthread(function() client:list_users(ORG) end)
      ]])
      local words = "podero%.waits%.copas: this Copas %(Copas [%d.]+%) is too old: it has no pause or sleep"
      assert.truthy(output:find(words), output)
    end)

    -- It has no sleep. Here a coroutine waits for a datagram, which the loop sends when its time is over.
    it("such as an old Copas works with a custom function that sleeps", function()
      check_three("none", OLD:format(package.path) .. [[
        local sleepers = {}
        local function sleep(seconds)
          local own = assert(socket.udp())
          assert(own:setsockname("127.0.0.1", 0))
          own:settimeout(0)
          sleepers[own] = socket.gettime() + seconds
          copas.receivefrom(own, 1)
          own:close()
        end
        local client = new(function(seconds) sleep(seconds) end)
        local running = 0
        local function spawn(f)
          running = running + 1
          copas.addthread(function()
            f()
            running = running - 1
          end)
        end
        local function run()
          while running > 0 do
            copas.step(0.001)
            for own, time in pairs(sleepers) do
              if socket.gettime() >= time then
                sleepers[own] = nil
                own:sendto("x", own:getsockname())
              end
            end
          end
        end
      ]] .. THREE)
    end)
  end
end)

describe("podero.waits", function()
  local podero = require "podero"

  it("has functions for three event loops", function()
    local names = {}
    for name, value in pairs(podero.waits) do
      assert.is_function(value)
      names[#names + 1] = name
    end
    table.sort(names)
    assert.same({ "copas", "cqueues", "luv" }, names)
  end)

  it("raises an error that names the key if another key is read, since a client would block", function()
    helper.raises({ "podero.waits has no 'libuv'", "luv" }, function() return podero.waits.libuv end)
    helper.raises("podero.waits has no", function() return podero.waits[1] end)
  end)

  it("loads no library before a call waits, and says which one is missing", function()
    local output = helper.run([[
      for _, name in ipairs { "cqueues", "luv", "copas" } do
        package.loaded[name], package.preload[name] = nil, function() error("no library") end
      end
      local podero = require "podero"
      for _, name in ipairs { "cqueues", "luv", "copas" } do
        local client = podero.new { base_url = "http://127.0.0.1:1", access_token = "x", wait = podero.waits[name] }
        print(name, select(2, pcall(client.get, client, "/x")))
      end
    ]])
    for _, name in ipairs { "cqueues", "luv", "copas" } do
      assert.truthy(output:find(name .. "%s[^\n]-no library"), output)
    end
  end)
end)
