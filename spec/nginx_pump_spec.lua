-- How calls wait in nginx under unusual conditions. src/lua/wait_nginx.lua explains the words.
if not rawget(_G, "jit") then return end

local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local socket = require "socket"
local users = require "spec.support.mock.users"
local worker = require "spec.support.worker"

local ORG = helper.ORG
local DELAY = 0.4

local eventually = worker.eventually

local METHODS = {
  list_users = "25 users", each_user = "25 users", list_users_of = "50 users", get = "25 users", request = "25 users",
  token = "a token",
}

local function call(method)
  return "/call?method=" .. method
end

--- Replaces functions of nginx before the module is loaded. `sleeps` counts calls of ngx.sleep, which the pump makes if
-- it has no notifier; `address` is what the pump last connected to; `broken` names what fails: "yield" is the pump's
-- next read after it has posted to semaphores.
local STAND_IN = [[
  state = { sleeps = 0 }

  local sleep = ngx.sleep
  function ngx.sleep(seconds)
    state.sleeps = state.sleeps + 1
    return sleep(seconds)
  end

  local at = ngx.timer.at
  function ngx.timer.at(...)
    if state.doubled then at(...) end
    return at(...)
  end

  local tcp, has_posted = ngx.socket.tcp, false

  -- Connections of other programs before the pump's: one is silent, and one sends a wrong cookie.
  local function connect_strangers(...)
    assert(tcp():connect(...))
    local wrong = tcp()
    assert(wrong:connect(...))
    assert(wrong:send(("0"):rep(32)))
  end

  function ngx.socket.tcp()
    local socket = tcp()
    local connect, receive = socket.connect, socket.receive
    function socket.connect(self, ...)
      state.address = ...
      if state.broken == "connect" then return nil, "injected" end
      if state.with_strangers then connect_strangers(...) end
      return connect(self, ...)
    end
    function socket.receive(...)
      if state.broken == "yield" and has_posted then
        state.broken = nil
        return nil, "injected"
      end
      has_posted = false
      local byte, problem = receive(...)
      if state.broken == "receive" then
        state.broken = nil
        error("injected")
      end
      return byte, problem
    end
    return socket
  end

  local semaphore = require "ngx.semaphore"
  local wait, post = semaphore.wait, semaphore.post
  function semaphore.wait(...)
    if state.broken == "semaphore" then return nil, "API disabled in the current context" end
    if state.broken == "yielder" and ngx.get_phase() == "timer" then error("injected") end
    return wait(...)
  end
  function semaphore.post(...)
    has_posted = true
    return post(...)
  end

  local spawn = ngx.thread.spawn
  function ngx.thread.spawn(...)
    if state.broken == "spawn" then error("injected") end
    return spawn(...)
  end

  -- Shuts the pump's connection down from outside.
  local ffi = require "ffi"
  ffi.cdef [=[
    int shutdown(int fd, int how);
    int getsockname(int fd, char *address, unsigned int *size);
  ]=]
  function shut_down()
    local count, bytes, size = 0, ffi.new("char[112]"), ffi.new("unsigned int[1]")
    for fd = 3, 200 do
      size[0] = 110
      if ffi.C.getsockname(fd, bytes, size) == 0 and ffi.string(bytes + 2, 90):find("/podero-", 1, true) then
        ffi.C.shutdown(fd, 2)
        count = count + 1
      end
    end
    return count
  end
]]

local LOCATIONS = [[
  location /sleeps { content_by_lua_block { say(tostring(state.sleeps)) } }
  location /address { content_by_lua_block { say(state.address) } }
  location /break { content_by_lua_block { state.broken = ngx.var.arg_what say("broken") } }
  location /mend { content_by_lua_block { state.broken, state.doubled = nil, nil say("mended") } }
  location /double { content_by_lua_block { state.doubled = true say("doubled") } }
  location /shut { content_by_lua_block { say(tostring(shut_down())) } }
  location /open { content_by_lua_block { state.client = new_client() say(calls.token(nil, state.client)) } }
  location /doomed { content_by_lua_block { say(calls[ngx.var.arg_method](nil, state.client)) } }
  location /close { content_by_lua_block { state.client:close() say("closed") } }
  location /popen { content_by_lua_block { say(io.popen("echo out of a child"):read("*l")) } }
]]

describe("waiting in nginx", function()
  local api, server

  setup(function() api = mock.start { tls = false } end)
  teardown(function() api:stop() end)
  before_each(function() api:configure() end)

  --- Starts an nginx that ends with the test.
  local function start(options)
    options.before = STAND_IN .. (options.before or "")
    options.locations = LOCATIONS .. (options.locations or "")
    server = worker.start(api, options)
    finally(function() server:stop() end)
  end

  local function get(path) return (server:get(path)) end

  local function in_flight()
    return api:counts().in_flight.api
  end

  --- Sends a request whose call takes a while, and returns its connection when the call is in flight.
  local function send_slow(path, delay)
    api:configure { always_api = { delay = delay or DELAY } }
    local before, waiting = in_flight(), server:send(path)
    eventually(function() return in_flight() > before end, "no request")
    return waiting
  end

  local function receive(waiting) return (server:receive(waiting)) end

  -- A build for poll has no notifier.
  local with_notifier = helper.POLLS and function(name) pending(name) end or it

  describe("has a notifier", function()
    local it = with_notifier

    it("that the pump connects to in a temporary folder, which is removed at once", function()
      start {
        main = "env TMPDIR=${dir}/tmp;",
        before = "os.execute \"mkdir ${dir}/tmp && chmod 777 ${dir}/tmp\"",
      }
      local waiting = send_slow(call "list_users")
      assert.equal("1 running", get("/timers"))
      assert.equal("unix:" .. server.dir .. "/tmp/podero-", get("/address"):match("^.*/podero%-"))
      assert.equal("", nginx.output_of("ls -A " .. server.dir .. "/tmp"))
      assert.equal("25 users", receive(waiting))
      assert.equal("0", get("/sleeps"))
      assert.equal("", server:complaints())
    end)

    for _, folder in ipairs { "/nowhere", "/proc/1", "/" .. ("long/"):rep(30) } do
      it("that the pump connects to on 127.0.0.1 if it can write to no folder: " .. folder:sub(1, 9), function()
        start { main = "env TMPDIR=" .. folder .. ";" }
        for method, expected in pairs(METHODS) do assert.equal(expected, get(call(method))) end
        local waiting = send_slow(call "list_users")
        assert.equal("127.0.0.1", get("/address"))
        assert.equal("25 users", receive(waiting))
        assert.equal("0", get("/sleeps"))
        assert.equal("", server:complaints())
      end)
    end

    for name, folder in pairs { ["in a folder"] = "/tmp", ["on 127.0.0.1"] = "/nowhere" } do
      it("that does not mistake other connections for the pump's: " .. name, function()
        start { main = "env TMPDIR=" .. folder .. ";", after = "state.with_strangers = true" }
        local waiting = send_slow(call "list_users")
        assert.equal("25 users", receive(waiting))
        assert.equal("0", get("/sleeps"))
      end)
    end

    it("or polls until the pump can connect to it", function()
      start { after = "state.broken = \"connect\"" }
      for method, expected in pairs(METHODS) do assert.equal(expected, get(call(method))) end
      assert.is_true(tonumber(get("/sleeps")) > 0)
      local waiting = send_slow(call "list_users", 3)
      get("/mend")
      eventually(function()
        local before = get("/sleeps")
        socket.sleep(0.1)
        return get("/sleeps") == before
      end, "no new notifier", 2.5)
      assert.equal(1, in_flight())
      assert.equal("25 users", receive(waiting))
    end)

    it("or polls after its connection breaks until there is a new one", function()
      start {}
      local waiting = send_slow(call "list_users", 3)
      assert.equal("0", get("/sleeps"))
      assert.is_true(tonumber(get("/shut")) > 0)
      eventually(function() return get("/sleeps") ~= "0" end, "the connection holds")
      eventually(function()
        local before = get("/sleeps")
        socket.sleep(0.1)
        return get("/sleeps") == before
      end, "no new notifier", 2.5)
      assert.equal(1, in_flight())
      for method, expected in pairs(METHODS) do
        api:configure()
        assert.equal(expected, get(call(method)))
      end
      assert.equal("25 users", receive(waiting))
    end)
  end)

  describe("has a light thread with which the pump yields", function()
    local it = with_notifier

    for what, name in pairs {
      spawn = "or yields without it if nginx does not start it",
      yielder = "or yields without it after it fails",
    } do
      it(name, function()
        start {}
        api:configure { organizations = { [ORG] = { users = 1000 } } }
        get("/break?what=" .. what)
        assert.equal("1000 users", get(call "list_users"))
        get("/mend")
        local waiting = send_slow(call "list_users", 1) -- the pump yields only while calls overlap
        get("/break?what=" .. what)
        for method, expected in pairs(METHODS) do assert.equal(expected, get(call(method))) end
        assert.equal("25 users", receive(waiting))
        assert.equal("0", get("/sleeps"))
        assert.equal("", server:complaints())
      end)
    end

    for name, folder in pairs { ["in a folder"] = "/tmp", ["on 127.0.0.1"] = "/nowhere" } do
      it("or opens another notifier if one fails meanwhile: " .. name, function()
        start { main = "env TMPDIR=" .. folder .. ";" }
        local slow = send_slow(call "list_users", 3)
        socket.sleep(1.1) -- a notifier that fails earlier is not replaced at once
        api:configure { always_api = { delay = 0.1 } }
        get("/break?what=yield")
        for _ = 1, 3 do
          local seconds, body = helper.timed(get, call "list_users")
          assert.equal("25 users", body)
          assert.is_true(seconds < 1, seconds)
        end
        assert.equal("25 users", receive(slow))
        assert.equal("", server:complaints())
      end)
    end
  end)

  with_notifier("uses no processor time while nothing happens, even after handlers were killed", function()
    start {}
    api:configure { organizations = { [ORG] = { users = 3000 } } }
    for method in pairs(METHODS) do
      local waiting = {}
      for i = 1, 20 do waiting[i] = server:send(call(method)) end
      assert.equal("3000 users", get(call "list_users"))
      for i = 1, 20 do waiting[i]:close() end
    end
    local slow = send_slow(call "list_users", 2)
    socket.sleep(0.2)
    local before = server:processor_time()
    socket.sleep(1)
    assert.is_true(server:processor_time() - before <= 0.02, server:processor_time() - before)
    assert.equal("1 running", get("/timers"))
    assert.equal("25 users", receive(slow))
    eventually(function()
      get("/garbage") -- the calls of killed handlers keep the pump running until they are collected
      return get("/timers") == "0 running"
    end, "the pump stays", 2)
    assert.equal("", server:complaints())
  end)

  describe("has one pump", function()
    it("for all clients, which works with two timers", function()
      start {
        http = "lua_max_running_timers 2;",
        after = "clients = {} for i = 1, 20 do clients[i] = new_client() end",
        locations = [[
          location /nth {
            content_by_lua_block { say(calls[ngx.var.arg_method](nil, clients[tonumber(ngx.var.arg_n)])) }
          }
        ]],
      }
      for method, expected in pairs(METHODS) do
        local waiting = {}
        api:configure { always_api = { delay = DELAY }, always_token = { delay = DELAY } }
        for i = 1, 20 do waiting[i] = server:send(("/nth?method=%s&n=%d"):format(method, i)) end
        if method ~= "token" then -- the clients have tokens
          eventually(function() return in_flight() > 0 end, "no request")
          assert.equal("1 running", get("/timers"))
        end
        for i = 1, 20 do assert.equal(expected, receive(waiting[i])) end
      end
      assert.equal("", server:complaints())
    end)

    it("even if a second one was started because the first one was late", function()
      start {}
      get("/double")
      local waiting = send_slow(call "list_users")
      assert.equal("1 running", get("/timers"))
      get("/mend")
      assert.equal("25 users", receive(waiting))
      eventually(function() return get("/timers") == "0 running" end)
      assert.equal("25 users", get(call "each_user"))
      assert.equal("", server:complaints())
    end)

    it("that serves many clients without delaying other requests", function()
      start {
        after = "clients = {} for i = 1, 8 do clients[i] = new_client() end",
        locations = [[
          location /nth { content_by_lua_block { say(calls.list_users(nil, clients[tonumber(ngx.var.arg_n)])) } }
        ]],
      }
      api:configure { organizations = { [ORG] = { users = 10000 } } }
      local waiting, worst = {}, 0
      for i = 1, 8 do waiting[i] = server:send("/nth?n=" .. i) end
      for _ = 1, 50 do
        worst = math.max(worst, (helper.timed(get, "/quick")))
        socket.sleep(0.002)
      end
      for i = 1, 8 do assert.equal("10000 users", receive(waiting[i])) end
      assert.is_true(worst < 0.25, worst)
    end)

    with_notifier("or continues without it after it fails until there is a new one", function()
      start {}
      for method, expected in pairs(METHODS) do
        api:configure { always_api = { delay = 0.1 } }
        get("/break?what=receive")
        assert.equal(expected, get(call(method)))
        get("/mend")
      end
      local log = server.server:log()
      assert.truthy(log:find("podero: the pump has failed, calls wait without it: .*injected"), log)
      local waiting = send_slow(call "list_users", 2.5)
      eventually(function() return get("/timers") == "1 running" end, "no other pump", 2)
      assert.equal(1, in_flight())
      assert.equal("25 users", receive(waiting))
    end)
  end)

  describe("without a free timer", function()
    local OCCUPIED = {
      http = "lua_max_running_timers 1;",
      locations = [[
        location /occupy {
          content_by_lua_block {
            state.occupied = true
            ngx.timer.at(0, function() while state.occupied do ngx.sleep(0.01) end end)
            ngx.sleep(0.05)
            say(ngx.timer.running_count() .. " running")
          }
        }
        location /free { content_by_lua_block { state.occupied = false say("free") } }
      ]],
    }
    local TIMERS = "lua_max_running_timers are not enough"

    local function occupy()
      local options = {}
      for name, value in pairs(OCCUPIED) do options[name] = value end
      start(options)
      assert.equal("1 running", get("/occupy"))
    end

    it("completes calls, a tenth of a second later", function()
      occupy()
      for method, expected in pairs(METHODS) do
        local seconds, body = helper.timed(get, call(method))
        assert.equal(expected, body)
        assert.is_true(seconds < 0.5, seconds)
      end
      local waiting = {}
      api:configure { always_api = { delay = DELAY } }
      for i = 1, 20 do waiting[i] = server:send(call(i % 2 == 0 and "list_users" or "each_user")) end
      assert.equal("quick", get("/quick"))
      for i = 1, 20 do assert.equal("25 users", receive(waiting[i])) end
      assert.truthy(server.server:log():find(TIMERS, 1, true))
      assert.equal("", server:complaints(TIMERS))
    end)

    it("completes long lists", function()
      occupy()
      api:configure { organizations = { [ORG] = { users = 1000 } } }
      local path = "/whole?method=list_users"
      local bodies = server:load({ path }, 50, 5)
      assert.same({ [path .. ": " .. worker.whole(1000, tonumber(ORG:sub(1, 6), 16))] = 50 }, bodies)
    end)

    it("starts a pump as soon as it can, for calls that already wait, too", function()
      occupy()
      assert.equal("25 users", get(call "list_users"))
      local waiting = send_slow(call "list_users", 3)
      get("/free")
      eventually(function() return get("/timers") == "0 running" end)
      eventually(function() return get("/timers") == "1 running" end, "no pump", 2)
      assert.equal(1, in_flight())
      assert.equal("25 users", receive(waiting))
    end)

    it("ends calls at once if their client is closed", function()
      occupy()
      assert.equal("a token", get("/open"))
      local waiting = send_slow("/doomed?method=list_users", 5)
      get("/close")
      local seconds, body = helper.timed(receive, waiting)
      assert.truthy(body:find("podero: closed", 1, true), body)
      assert.is_true(seconds < 1, seconds)
    end)
  end)

  describe("ends at once", function()
    for method in pairs(METHODS) do
      it("if another handler closes the client: " .. method, function()
        start {}
        assert.equal("a token", get("/open"))
        api:revoke()
        api:configure { always_api = { delay = 5 }, always_token = { delay = 5 } }
        local waiting
        if method == "token" then
          -- It waits for the token request of a call that got a 401.
          api:configure { always_token = { delay = 5 } }
          local refused = server:send("/doomed?method=list_users")
          eventually(function() return api:counts().in_flight.token == 1 end, "no token request")
          waiting = server:send("/doomed?method=token")
          socket.sleep(0.1)
          get("/close")
          assert.truthy(receive(refused):find("podero: closed", 1, true))
        else
          waiting = send_slow("/doomed?method=" .. method, 5)
          get("/close")
        end
        local seconds, body = helper.timed(receive, waiting)
        assert.truthy(body:find("podero: closed", 1, true), body)
        assert.is_true(seconds < 1, seconds)
        local logged = server:complaints()
        if method == "each_user" then -- logs the error that it raises, once
          local count
          logged, count = logged:gsub("^[^\n]* %[lua%] [^\n]*podero: closed: the client was closed[^\n]*$", "")
          assert.equal(1, count)
        end
        assert.equal("", logged)
      end)
    end

    it("if another thread closes the iterator", function()
      start {
        locations = [[
          location /closed {
            content_by_lua_block {
              local iterator = client:each_user(ORG)
              local thread = ngx.thread.spawn(function() return tostring(iterator()) end)
              ngx.sleep(0.2)
              iterator:close()
              local _, user = ngx.thread.wait(thread)
              say(user)
            }
          }
        ]],
      }
      assert.equal("25 users", get(call "list_users"))
      local seconds, body = helper.timed(receive, send_slow("/closed", 5))
      assert.equal("nil", body)
      assert.is_true(seconds < 1, seconds)
      eventually(function() return in_flight() == 0 end, "the transfer goes on", 2)
    end)
  end)

  it("does not delay each_user if the next users arrive while its loop is busy", function()
    local list = {}
    for i = 1, 40 do list[i] = users.user_json(1, i) end
    local first = "[" .. table.concat(list, ", ", 1, 16)
    start {
      after = "other = new_client()",
      locations = [[
        location /other { content_by_lua_block { say(calls.get(nil, other)) } }
        location /busy {
          content_by_lua_block {
            local count = 0
            for _ in client:each_user(ORG) do
              count = count + 1
              ngx.update_time()
              local ends = ngx.now() + 0.002
              repeat ngx.update_time() until ngx.now() >= ends
            end
            say(count .. " users")
          }
        }
      ]],
    }
    assert.equal("25 users", get(call "list_users"))
    api:configure {
      organizations = { [ORG] = { raw = "[" .. table.concat(list, ", ") .. "]" } },
      script = { api = {
        { delay = 4 }, { fault = "drip", after = #first, chunk = 1000000, interval = 0.3 },
      } },
    }
    local other = server:send "/other" -- keeps the pump running
    eventually(function() return in_flight() == 1 end)
    local seconds, body = helper.timed(get, "/busy")
    assert.equal("40 users", body)
    assert.is_true(seconds < 2, seconds)
    other:close()
  end)

  it("works and leaks nothing with clients that are made for one request, aborted or not", function()
    start { locations = "location /once { content_by_lua_block { say(calls.list_users(nil, new_client())) } }" }
    assert.equal("25 users", get("/once"))
    get("/garbage")
    local before = server:descriptors()
    api:configure { always_api = { delay = 0.05 } }
    for _ = 1, 10 do
      local waiting = {}
      for i = 1, 20 do waiting[i] = server:send("/once") end
      socket.sleep(0.02)
      for i = 1, 10 do waiting[i]:close() end
      for i = 11, 20 do assert.equal("25 users", receive(waiting[i])) end
    end
    eventually(function()
      get("/garbage")
      return server:descriptors() <= before + 5
    end, "descriptors stay")
    assert.equal("", server:complaints())
  end)

  it("uses the option wait if there is one", function()
    start {
      after = [[
        waiting = new_client { wait = function(seconds)
          state.waits = (state.waits or 0) + 1
          ngx.sleep(math.min(seconds, 0.005))
        end }
      ]],
      locations = [[
        location /waiting { content_by_lua_block { say(calls[ngx.var.arg_method](nil, waiting)) } }
        location /waits { content_by_lua_block { say(tostring(state.waits > 0) .. " " .. ngx.timer.running_count()) } }
      ]],
    }
    for method, expected in pairs(METHODS) do assert.equal(expected, get("/waiting?method=" .. method)) end
    local slow = send_slow("/waiting?method=list_users")
    assert.equal("quick", get("/quick"))
    assert.equal("true 0", get("/waits")) -- no pump
    assert.equal("25 users", receive(slow))
  end)

  it("blocks if nginx refuses to wait in a phase in which it should", function()
    start {}
    get("/break?what=semaphore")
    for method, expected in pairs(METHODS) do assert.equal(expected, get(call(method))) end
  end)

  with_notifier("ignores child processes of the worker", function()
    start {}
    local waiting = send_slow(call "list_users")
    for _ = 1, 5 do assert.equal("out of a child", get("/popen")) end
    assert.equal("1 running", get("/timers"))
    assert.equal("25 users", receive(waiting))
    assert.equal("0", get("/sleeps"))
  end)

  it("works with lua_code_cache off", function()
    start {
      http = "lua_code_cache off;",
      before = "package.loaded.podero = nil",
    }
    for method, expected in pairs(METHODS) do
      for _ = 1, 3 do assert.equal(expected, get(call(method))) end
    end
    local waiting = {}
    api:configure { always_api = { delay = 0.1 } }
    for i = 1, 10 do waiting[i] = server:send(call "list_users") end
    for i = 1, 5 do waiting[i]:close() end
    for i = 6, 10 do assert.equal("25 users", receive(waiting[i])) end
    assert.equal("", server:complaints("lua_code_cache is off"))
  end)

  it("ends when the worker is terminated, even if a finalizer closes the client", function()
    start {
      after = [[
        guard = newproxy(true)
        getmetatable(guard).__gc = function() client:close() end
      ]],
    }
    assert.equal("25 users", get(call "list_users"))
    send_slow(call "list_users", 5)
    local id = server:ids()[1]
    server:signal("TERM")
    local seconds = eventually(function() return not worker.runs(id) end, "the worker stays")
    assert.is_true(seconds < 1, seconds)
    eventually(function() return server.server:log():find("exited with code", 1, true) end, "no end")
    assert.equal("", server:complaints())
  end)

  it("ends after worker_shutdown_timeout", function()
    start { main = "worker_shutdown_timeout 500ms;" }
    assert.equal("25 users", get(call "list_users"))
    send_slow(call "list_users", 5)
    local id = server:ids()[1]
    server:signal("QUIT")
    local seconds = eventually(function() return not worker.runs(id) end, "the worker stays", 8)
    assert.is_true(seconds < 3, seconds)
  end)
end)
