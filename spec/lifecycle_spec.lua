local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local podero = require "podero"
local process = require "spec.support.process"
local socket = require "socket"

local ORG = helper.ORG

-- run(program) runs a Lua program in a new state, closes the state, and returns the program's integer or the message of
-- its error. is_loaded(file): whether that shared object is loaded. fork() returns the exit code of a child that does
-- nothing.
local STATES = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <lauxlib.h>
#include <lualib.h>
#include <sys/wait.h>
#include <unistd.h>

static int l_run(lua_State *L) {
  lua_State *other = luaL_newstate();
  luaL_openlibs(other);
  if (luaL_loadstring(other, luaL_checkstring(L, 1)) != 0 || lua_pcall(other, 0, 1, 0) != 0)
    lua_pushstring(L, lua_tostring(other, -1));
  else
    lua_pushinteger(L, lua_tointeger(other, -1));
  lua_close(other);
  return 1;
}
static int l_is_loaded(lua_State *L) {
  lua_pushboolean(L, dlopen(luaL_checkstring(L, 1), RTLD_NOW | RTLD_NOLOAD) != NULL);
  return 1;
}
static int l_fork(lua_State *L) {
  pid_t child = fork();
  int status = 0;
  if (child == 0) _exit(0);
  waitpid(child, &status, 0);
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  return 1;
}
]]

--- The resident memory of this process in KB.
local function resident()
  for line in io.lines("/proc/self/status") do
    local size = line:match("^VmRSS:%s+(%d+) kB")
    if size then return tonumber(size) end
  end
end

--- Waits for 3 s until at most `number` descriptors are open, since libcurl's resolver thread may end later. Returns
-- whether they are.
local function come_down_to(number)
  local ends = socket.gettime() + 3
  while helper.descriptors() > number do
    if socket.gettime() > ends then return false end
    socket.sleep(0.02)
  end
  return true
end

describe("a client", function()
  local server

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(function() helper.close_clients() end)

  --- The number of connections that carried requests of a kind.
  local function connections(kind)
    local seen, count = {}, 0
    for _, request in ipairs(server:requests(kind)) do
      if not seen[request.connection] then
        seen[request.connection] = true
        count = count + 1
      end
    end
    return count
  end

  describe("that is closed", function()
    it("returns nil and an error of kind closed for later calls", function()
      local client = helper.client(server)
      assert(client:list_users(ORG))
      client:close()
      local before = #server:requests()
      helper.failed("closed", client:list_users(ORG))
      helper.failed("closed", client:get("/x"))
      local err = helper.failed("closed", client:token())
      assert.equal(0, err.attempts)
      assert.is_false(err.retryable)
      assert.equal(before, #server:requests())
    end)

    it("may be closed again", function()
      local client = helper.client(server)
      for _ = 1, 3 do client:close() end
      helper.failed("closed", client:token())
      assert.is_string(tostring(client))
    end)

    it("has closed its connections and all other descriptors", function()
      helper.close_clients()
      collectgarbage()
      collectgarbage()
      local before = helper.descriptors()
      for _, make in ipairs { helper.client, helper.tls_client } do
        local client = make(server)
        assert(client:list_users(ORG))
        assert.is_true(helper.descriptors() > before)
        client:close()
        assert.is_true(come_down_to(before))
      end
    end)

    it("still refuses wrong arguments", function()
      local client = helper.client(server)
      client:close()
      helper.raises("list_users", client.list_users, client, 5)
      helper.raises("close", client.close)
      helper.raises("close", client.close, {})
    end)
  end)

  it("closes all descriptors when it is collected", function()
    local function leave_some()
      for _ = 1, 5 do
        local client = podero.new(helper.options(server))
        assert(client:list_users(ORG))
      end
      return helper.descriptors()
    end

    for _ = 1, 3 do collectgarbage() end
    local before = helper.descriptors()
    collectgarbage("stop")
    local many = leave_some()
    collectgarbage("restart")
    assert.is_true(many >= before + 5)
    for _ = 1, 3 do collectgarbage() end
    assert.is_true(come_down_to(before))
  end)

  it("may be collected during its call without losing the result", function()
    for _ = 1, 20 do
      local users = podero.new(helper.options(server)):list_users(ORG)
      collectgarbage()
      assert.equal(25, #users)
    end
  end)

  it("keeps its on_event and options alive", function()
    local seen = 0
    local options = helper.options(server, { on_event = function() seen = seen + 1 end })
    local client = assert(podero.new(options))
    for name in pairs(options) do options[name] = nil end
    collectgarbage()
    collectgarbage()
    assert(client:list_users(ORG))
    assert.equal(2, seen)
    client:close()
  end)

  if _VERSION >= "Lua 5.4" then
    it("is closed at the end of its scope if its variable is a <close> variable", function()
      local run = assert((loadstring or load)([[
        local podero, options, keep = ...
        do
          local client <close> = podero.new(options)
          keep.client, keep.users = client, client:list_users("]] .. ORG .. [[")
        end
        local ok = pcall(function()
          local client <close> = podero.new(options)
          keep.other = client
          error("out")
        end)
        return ok
      ]]))
      local keep = {}
      assert.is_false(run(podero, helper.options(server), keep))
      assert.equal(25, #keep.users)
      helper.failed("closed", keep.client:list_users(ORG))
      helper.failed("closed", keep.other:list_users(ORG))
    end)
  end

  it("may be left open at the end of a program", function()
    local program = [[
      local podero = require "podero"
      client = podero.new { base_url = "%s", client_id = "demo-client", client_secret = "demo-secret", proxy = "" }
      thread = coroutine.create(function() print(#client:list_users("%s")) coroutine.yield() end)
      coroutine.resume(thread)
    ]]
    local text, code = helper.run(program:format(server.url, ORG))
    assert.equal("25\n", text)
    assert.equal(0, code)
  end)

  describe("can be called", function()
    it("from any coroutine", function()
      local client = helper.client(server)
      local function list() return client:list_users(ORG) end
      assert.equal(25, #assert(coroutine.wrap(list)()))
      assert.equal(25, #assert(list()))
      local nested = coroutine.wrap(function() return coroutine.wrap(list)() end)
      assert.equal(25, #assert(nested()))
      local threads = {}
      for i = 1, 20 do
        threads[i] = coroutine.create(function()
          for _ = 1, 3 do
            assert(list())
            coroutine.yield()
          end
        end)
      end
      for _ = 1, 3 do
        for _, thread in ipairs(threads) do assert(coroutine.resume(thread)) end
      end
      assert.equal(63, server:counts().api)
      assert.equal(1, server:counts().token)
      assert.equal(1, server:counts().connections)
    end)

    it("after the coroutine that made it has ended", function()
      local client = coroutine.wrap(function() return helper.client(server, { on_event = function() end }) end)()
      collectgarbage()
      assert(client:list_users(ORG))
    end)

    it("through pcall, and after an error in a coroutine", function()
      local client = helper.client(server)
      local ok, users = pcall(client.list_users, client, ORG)
      assert.is_true(ok)
      assert.equal(25, #users)
      ok = coroutine.resume(coroutine.create(function() client:list_users(5) end))
      assert.is_false(ok)
      assert(client:list_users(ORG))
    end)
  end)

  it("has descriptors that other programs do not inherit", function()
    local descriptors
    server:configure { always_api = { delay = 0.2 } }
    local client = helper.client(server, { wait = function(seconds)
      descriptors = descriptors or helper.shell("ls -l /dev/fd/ | grep -c -e socket: -e pipe: -e eventpoll -e eventfd")
      socket.sleep(seconds)
    end })
    local without = helper.shell("ls -l /dev/fd/ | grep -c -e socket: -e pipe: -e eventpoll -e eventfd")
    assert(client:list_users(ORG))
    assert.equal(without, descriptors)
    client:close()
  end)

  it("keeps the module loaded after its Lua state is closed, since a fork handler is registered",
    function()
      helper.static(server, {})
      local output, code = helper.run(([[
        local compile = require "spec.support.compile"
        local states = compile("states", %q, " -lpthread")
        local file = %q
        assert(not states.is_loaded(file))
        print(states.run("package.cpath = " .. ("%%q"):format(package.cpath) .. [=[
          local podero = require "podero"
          client = podero.new { base_url = %q, access_token = "static", proxy = "" }
          return #client:list_users(%q)
        ]=]), states.is_loaded(file), states.fork())
      ]]):format(STATES, helper.module_file(), server.url, ORG))
      assert.equal("25\ttrue\t0\n", output)
      assert.equal(0, code)
    end)

  it("has its own userdata type, whose metatable is not accessible", function()
    local client = helper.client(server)
    assert.equal("userdata", type(client))
    assert.is_not_table(getmetatable(client))
    assert.is_nil(client.no_such_method)
    assert.has_error(function() client.field = 1 end)
    helper.raises("self", client.list_users, io.stdout, ORG)
  end)

  it("makes 10,000 calls with one token request, one connection and constant memory", function()
    server:configure { default_users = 1 }
    local client = helper.client(server)
    local function call(times)
      for i = 1, times do
        local users = client:list_users(ORG)
        if not users or #users ~= 1 then error("a call has failed") end
        if i % 500 == 0 then collectgarbage() end -- garbage is no leak
      end
      collectgarbage()
      collectgarbage()
    end
    call(2000)
    local lua_before, resident_before = collectgarbage("count"), resident()
    call(8000)
    assert.is_true(collectgarbage("count") - lua_before < 16, "Lua's memory has grown")
    assert.is_true(resident() - resident_before < 3072, "the process has grown")
    local counts = server:counts()
    assert.equal(10000, counts.api)
    assert.equal(1, counts.token)
    assert.equal(1, counts.connections)
  end)

  it("needs constant memory for calls that fail", function()
    helper.static(server, { always_api = { status = 404, body = "{\"detail\": \"" .. ("x"):rep(10000) .. "\"}" } })
    local client = helper.client(server, { access_token = "static", on_event = function() end })
    local function call(times)
      for i = 1, times do
        local _, err = client:list_users(ORG)
        if err.status ~= 404 then error("another failure") end
        client:list_users("x")
        pcall(client.list_users, client, 5)
        if i % 250 == 0 then collectgarbage() end
      end
      collectgarbage()
      collectgarbage()
    end
    call(500)
    local lua_before, resident_before = collectgarbage("count"), resident()
    call(1500)
    assert.is_true(collectgarbage("count") - lua_before < 16, "Lua's memory has grown")
    assert.is_true(resident() - resident_before < 3072, "the process has grown")
    assert.equal(1, server:counts().connections)
  end)

  it("keeps its connection over HTTP/2", function()
    local client = helper.tls_client(server)
    for _ = 1, 20 do assert(client:list_users(ORG)) end
    assert.equal(2, server:counts().connections) -- the token request had its own, over HTTP/1.1
    assert.equal("HTTP/2.0", helper.last(server, "api").protocol)
  end)

  it("keeps its connection after an error status", function()
    local busy = { status = 503, headers = { ["Retry-After"] = "0" } }
    helper.static(server, { script = { api = { { status = 404 }, busy } } })
    local client = helper.client(server, { access_token = "static" })
    client:list_users(ORG)
    for _ = 1, 3 do assert(client:list_users(ORG)) end
    assert.equal(1, server:counts().connections)
  end)

  describe("shares nothing with another client:", function()
    it("not tokens or connections", function()
      local first, second = helper.client(server), helper.client(server)
      for _ = 1, 3 do
        assert(first:list_users(ORG))
        assert(second:list_users(ORG))
      end
      assert.are_not.equal((first:token()), (second:token()))
      assert.equal(2, server:counts().token)
      assert.equal(2, server:counts().connections)
      first:close()
      assert(second:list_users(ORG))
      assert.equal(2, server:counts().connections)
    end)

    it("not options, or what it has learned about the server", function()
      local seen = {}
      server:configure { encoding = "json" }
      local first = helper.client(server, { user_agent = "first", on_event = function() seen.first = true end })
      local second = helper.client(server, { user_agent = "second", on_event = function() seen.second = true end })
      assert(first:list_users(ORG))
      assert.same({ first = true }, seen)
      assert(second:list_users(ORG))
      assert.same({ first = true, second = true }, seen)
      assert.equal(4, server:counts().token)
      assert.truthy(helper.last(server, "api").headers["user-agent"]:find("^second"))
      helper.failed("http", second:get(helper.API .. "/none"))
    end)

    it("not credentials", function()
      local first = helper.client(server, { access_token = "made-up-by-first" })
      local second = helper.client(server)
      helper.failed("auth", first:list_users(ORG))
      assert(second:list_users(ORG))
      assert.is_nil(helper.last(server, "api").headers.authorization:find("made-up", 1, true))
    end)
  end)

  describe("made before a fork works after it, in both processes,", function()
    local function list(client)
      local users, err = client:list_users(ORG)
      return users and ("%d users"):format(#users) or tostring(err)
    end

    for name, make in pairs { ["plain"] = helper.client, ["over TLS"] = helper.tls_client } do
      -- Over TLS, a token request needs another connection, since it uses HTTP/1.1.
      local tokens = make == helper.tls_client and 1 or 0

      local function used_client(more)
        local client = make(server, more)
        assert(client:list_users(ORG))
        return client, helper.last(server, "api").connection
      end

      it(name .. ", the child first", function()
        local client, connection = used_client()
        local child = process.start(function() return list(client) .. ", " .. list(client) end)
        assert.equal("25 users, 25 users", child.result())
        assert.are_not.equal(connection, helper.last(server, "api").connection)
        for _ = 1, 2 do
          assert.equal("25 users", list(client))
          assert.equal(connection, helper.last(server, "api").connection)
        end
        assert.equal(1, server:counts().token)
        assert.equal(2 + tokens, server:counts().connections)
      end)

      it(name .. ", the parent first", function()
        local client, connection = used_client()
        server:configure { always_api = { delay = 0.05 } }
        local gate = process.gate()
        local child = process.start(function()
          gate.wait()
          return list(client)
        end)
        for _ = 1, 2 do
          assert.equal("25 users", list(client))
          assert.equal(connection, helper.last(server, "api").connection)
        end
        gate.open()
        assert.equal("25 users", child.result())
        assert.equal("25 users", list(client))
        assert.equal(connection, helper.last(server, "api").connection)
      end)

      it(name .. ", at the same time", function()
        local client, connection = used_client()
        server:configure { always_api = { delay = 0.1 } }
        local children = {}
        for i = 1, 3 do children[i] = process.start(function() return list(client) .. ", " .. list(client) end) end
        for _ = 1, 2 do assert.equal("25 users", list(client)) end
        for i = 1, 3 do assert.equal("25 users, 25 users", children[i].result()) end
        assert.equal("25 users", list(client))
        assert.equal(connection, helper.last(server, "api").connection)
        assert.equal(4 + tokens, server:counts().connections)
        assert.equal(1, server:counts().token)
      end)

      it(name .. ", if the child closes it, used or not", function()
        for _, leave in ipairs {
          function(client) client:close() end,
          function(client)
            list(client)
            client:close()
          end,
        } do
          server:reset()
          local client, connection = used_client()
          local child = process.start(function()
            leave(client)
            return tostring(select(2, client:token()).kind)
          end)
          assert.equal("closed", child.result())
          assert.equal("25 users", list(client))
          assert.equal(connection, helper.last(server, "api").connection)
        end
      end)

      it(name .. ", if the parent closes it", function()
        local client, connection = used_client()
        local gate = process.gate()
        local child = process.start(function()
          gate.wait()
          return list(client)
        end)
        client:close()
        gate.open()
        assert.equal("25 users", child.result())
        assert.are_not.equal(connection, helper.last(server, "api").connection)
      end)

      it(name .. ", if it was not used before", function()
        local client = make(server)
        local child = process.start(function() return list(client) end)
        assert.equal("25 users", child.result())
        assert.equal("25 users", list(client))
        assert.equal(2, server:counts().token)
        assert.equal(2 + 2 * tokens, server:counts().connections)
      end)

      it(name .. ", and in a child's child", function()
        local client, connection = used_client()
        local child = process.start(function()
          local first = list(client)
          local grandchild = process.start(function() return list(client) end)
          return first .. ", " .. grandchild.result() .. ", " .. list(client)
        end)
        assert.equal("25 users, 25 users, 25 users", child.result())
        assert.equal("25 users", list(client))
        assert.equal(connection, helper.last(server, "api").connection)
      end)

      it(name .. ", if the fork happens during a call", function()
        local pid
        server:configure { script = { api = { { delay = 0.2 } } } }
        local client = make(server, { on_event = function(event)
          if event.purpose == "token" and not pid then pid = process.fork() end
        end })
        local result = list(client)
        if pid == 0 then process.leave(result == "25 users" and 7 or 1) end
        assert.equal("25 users", result)
        assert.equal(7, process.wait(pid))
        assert.equal("25 users", list(client))
        assert.equal(1, server:counts().token)
        assert.equal(2 + tokens, server:counts().connections)
      end)
    end

    it("and closes no descriptor that the child has reused", function()
      for _, make in ipairs { helper.client, helper.tls_client } do
        local client = make(server)
        assert(client:list_users(ORG))
        local child = process.start(function()
          local sets, last = {}, process.epoll()
          for fd = 3, last do process.close(fd) end -- as daemons do
          repeat sets[#sets + 1] = process.epoll() until sets[#sets] > last
          local result = list(client)
          client:close()
          for _, fd in ipairs(sets) do
            if not process.is_epoll(fd) then result = result .. ", but a set was closed" end
          end
          return result
        end)
        assert.equal("25 users", child.result())
        assert.equal("25 users", list(client))
      end
    end)

    it("and leaves the parent's connection intact when the child closes it", function()
      local client = helper.client(server)
      assert(client:list_users(ORG))
      for _ = 1, 3 do
        local child = process.start(function()
          local result = list(client)
          client:close()
          return result
        end)
        assert.equal("25 users", child.result())
        assert.equal("25 users", list(client))
      end
    end)

    it("and renews the token in each of them", function()
      local client = helper.client(server)
      assert(client:list_users(ORG))
      server:revoke()
      local child = process.start(function() return list(client) end)
      assert.equal("25 users", child.result())
      assert.equal("25 users", list(client))
      assert.equal(3, server:counts().token)
      assert.equal(2, connections("api"))
    end)
  end)

  it("may be closed by a finalizer at any moment", function()
    local closed = 0
    server:configure { always_api = { delay = 0.02 } } -- the call still runs at the event of its token request
    for round = 1, 60 do
      local at_event = round % 5 == 0
      local function on_event() if at_event then collectgarbage() end end
      local client = helper.client(server, { on_event = on_event })
      -- Garbage whose collection closes the client: wherever the collector comes to it, or at an event of the call.
      local closer = helper.finalized(function() client:close() end)
      assert.is_not_nil(closer)
      if at_event then collectgarbage "stop" else helper.set_collector(0, 10 + round * 10) end
      closer = nil -- luacheck: ignore 311
      local method = ({ "list_users", "token", "get", "each_user" })[round % 4 + 1]
      local ok, result, err = pcall(function()
        if method == "token" then return client:token() end
        return client[method](client, method == "get" and helper.users_path() or ORG)
      end)
      if ok and result == nil then
        assert.equal("closed", err.kind)
        closed = closed + 1
      end
      if ok and result and method == "each_user" then pcall(result) end
      collectgarbage "restart"
      helper.set_collector(200, 200)
      client:close()
    end
    assert.is_true(closed > 0)
    collectgarbage()
    collectgarbage()
  end)

  it("may be closed or used by a finalizer while a user is being decoded", function()
    helper.static(server, { organizations = { [ORG] = { users = 3000, seed = 3 } } })
    for _, deed in ipairs { "close", "list", "same" } do
      local client = helper.client(server, { access_token = "static" })
      local iterator = client:each_user(ORG)
      assert(iterator())
      local function act()
        if deed == "close" then client:close() elseif deed == "list" then client:list_users(ORG) else iterator() end
      end
      local count, done, acted = 1, false, false
      local ok, err = pcall(function()
        for _ in iterator do
          count = count + 1
          if count % 50 == 0 and not done then -- garbage that is collected during the next users
            done = true
            helper.set_collector(0, 1000) -- however much other specs of this process have left
            helper.finalized(function()
              acted = true
              pcall(act)
            end)
          end
        end
      end)
      helper.set_collector(200, 200)
      assert.is_true(acted)
      if ok then assert.equal(3000, count) else assert.is_not_nil(err) end
      client:close()
    end
  end)

  -- `make sanitize` finds what is not freed.
  it("may be used by a finalizer that runs after that of its last call", function()
    helper.static(server, {})
    local lists, finalized = 0, 0
    local function begin_and_end()
      local client = assert(podero.new(helper.options(server, { access_token = "static" })))
      local guard = helper.finalized(function()
        finalized = finalized + 1
        client:each_user(ORG)()
      end)
      assert(client:list_users(ORG)) -- its call is younger than the guard
      lists = lists + (guard and 1 or 0)
    end
    for _ = 1, 20 do begin_and_end() end
    collectgarbage()
    collectgarbage()
    assert.equal(lists, finalized)
  end)

  it("causes no error in the server's log", function()
    assert.equal("", server:error_log())
  end)
end)
