--- One fetch of a token for all calls that wait for it: how long it may take, and how the waiting calls end.

local cjson = require "cjson"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local process = require "spec.support.process"
local socket = require "socket"

local ORG = helper.ORG

-- Seconds: the client's timeout, a delay that exceeds it, and the timeout of a call that exceeds it.
local LIMIT, SILENT, LONG = 0.5, 5, 5
local SLACK = os.getenv("SPARSE") and 4 or 0.4 -- seconds; SPARSE: under valgrind everything takes many times as long

local INVALID_GRANT = { status = 400, body = "{\"error\": \"invalid_grant\"}" }

describe("the fetch of a token", function()
  local server

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(helper.close_clients)

  --- A client whose calls can run at the same time, in coroutines.
  local function yielding(more)
    local options = { wait = function() coroutine.yield() end, timeout = LIMIT, max_retries = 0 }
    for name, value in pairs(more or {}) do options[name] = value end
    return helper.client(server, options)
  end

  --- Starts a call, which runs until it has to wait.
  local function begin(client, opts)
    local call = { began = socket.gettime() }
    call.thread = coroutine.create(function()
      call.users, call.err = client:list_users(ORG, opts)
      call.seconds = socket.gettime() - call.began
    end)
    call.resume = function() assert(coroutine.resume(call.thread)) end
    call.has_ended = function() return coroutine.status(call.thread) == "dead" end
    call.resume()
    return call
  end

  --- Runs the calls until all of them have ended.
  local function finish(...)
    local running = true
    while running do
      running = false
      for _, call in ipairs { ... } do
        if not call.has_ended() then
          running = true
          call.resume()
        end
      end
      socket.sleep(0.001)
    end
  end

  local function succeeded(call) assert.equal(25, #assert(call.users, call.err)) end

  local function summary(events)
    local list = {}
    for _, event in ipairs(events) do
      list[#list + 1] = ("%s %s %d %s"):format(event.purpose, event.status or "-", event.attempt,
        event.error_kind or "-")
    end
    return list
  end

  describe("that gets no response", function()
    it("is abandoned after the client's timeout, and calls with time left start a new one without a retry", function()
      server:configure { script = { token = { { delay = SILENT } } } }
      local client = yielding()
      local first, second, third = begin(client), begin(client, { timeout = LONG }), begin(client, { timeout = LONG })
      finish(first, second, third)
      local err = helper.failed("timeout", first.users, first.err)
      assert.truthy(err.message:find("waiting for a token", 1, true), err.message)
      assert.is_true(err.retryable)
      succeeded(second)
      succeeded(third)
      assert.is_true(second.seconds >= LIMIT and second.seconds < LIMIT + SLACK, tostring(second.seconds)) -- no pause
      assert.equal(2, server:counts().token)
    end)

    it("does not delay overlapping calls for longer than the client's timeout", function()
      server:configure { script = { token = { { delay = SILENT } } } }
      local client = yielding()
      local calls = {}
      repeat
        calls[#calls + 1] = begin(client)
        local next_at = socket.gettime() + LIMIT / 4
        repeat
          for _, call in ipairs(calls) do
            if not call.has_ended() then call.resume() end
          end
          socket.sleep(0.001)
        until socket.gettime() >= next_at
      until #calls == 8
      finish(unpack and unpack(calls) or table.unpack(calls))
      helper.failed("timeout", calls[1].users, calls[1].err)
      for i = 2, #calls do succeeded(calls[i]) end
      assert.equal(2, server:counts().token)
    end)

    it("is replaced by a new one in the same call if that has time left", function()
      server:configure { script = { token = { { delay = SILENT }, { delay = SILENT } } } }
      local client = helper.client(server, { timeout = LIMIT, max_retries = 0 })
      local seconds, users = helper.timed(client.list_users, client, ORG, { timeout = LONG })
      assert.equal(25, #assert(users))
      assert.is_true(seconds >= 2 * LIMIT and seconds < 2 * LIMIT + 0.4, tostring(seconds))
      assert.equal(3, server:counts().token)
    end)

    it("is limited to the client's timeout for all of its requests together", function()
      server:configure { script = { token = { { status = 415, delay = 0.3 }, { delay = 0.3 } } } }
      local client = helper.client(server, { timeout = LIMIT, max_retries = 0 })
      local seconds, users = helper.timed(client.list_users, client, ORG, { timeout = LONG })
      assert.equal(25, #assert(users))
      assert.is_true(seconds >= LIMIT and seconds < LIMIT + 0.3, tostring(seconds))
      local types = {}
      for i, request in ipairs(server:requests("token")) do types[i] = request.headers["content-type"] end
      assert.same({ "application/x-www-form-urlencoded", "application/json", "application/json" }, types)
    end)

    it("is reported to on_event, in the call that ends or continues after it", function()
      server:configure { script = { token = { { delay = SILENT }, { delay = SILENT } } } }
      local events = {}
      local function on_event(event) events[#events + 1] = event end
      local client = helper.client(server, { timeout = LIMIT, max_retries = 0, on_event = on_event })
      helper.failed("timeout", client:list_users(ORG))
      assert.same({ "token - 1 timeout" }, summary(events))
      assert.is_true(events[1].seconds > LIMIT - 0.2 and events[1].seconds < LIMIT + 0.2, events[1].seconds)
      assert(client:list_users(ORG, { timeout = LONG }))
      assert.same({ "token - 1 timeout", "token - 1 timeout", "token 200 1 -", "api 200 1 -" }, summary(events))
    end)
  end)

  describe("continues for later calls", function()
    it("if all waiting calls time out", function()
      server:configure { script = { token = { { delay = 0.4 } } } }
      local events = {}
      local client = helper.client(server, { on_event = function(event) events[#events + 1] = event end })
      helper.failed("timeout", client:list_users(ORG, { timeout = 0.1 }))
      assert.same({}, events)
      assert.equal(25, #assert(client:list_users(ORG)))
      assert.equal(1, server:counts().token)
      assert.same({ "token 200 1 -", "api 200 1 -" }, summary(events))
    end)

    it("if the only waiting call is cancelled by an error of wait, or dropped", function()
      server:configure { script = { token = { { delay = 0.2 } } } }
      local cancelled = true
      local client = helper.client(server, { wait = function(seconds)
        if cancelled then error("cancelled", 0) end
        socket.sleep(seconds)
      end })
      assert.is_false(pcall(client.list_users, client, ORG))
      cancelled = false
      assert.equal(25, #assert(client:list_users(ORG)))
      assert.equal(1, server:counts().token)

      server:reset()
      server:configure { script = { token = { { delay = 0.2 } } } }
      client = yielding { timeout = LONG }
      begin(client)
      collectgarbage()
      collectgarbage()
      local later = begin(client)
      finish(later)
      succeeded(later)
      assert.equal(1, server:counts().token)
    end)

    it("but ends with the client", function()
      server:configure { script = { token = { { delay = SILENT } } } }
      local client = helper.client(server)
      helper.failed("timeout", client:list_users(ORG, { timeout = 0.1 }))
      client:close()
      assert.equal(1, server:counts().token)
      helper.failed("closed", client:list_users(ORG))
    end)

    it("which get its error if it has failed", function()
      server:configure { script = { token = { { delay = 0.2, status = 403 } } } }
      local client = helper.client(server, { max_retries = 0, token_url = helper.TOKEN_PATH })
      helper.failed("timeout", client:list_users(ORG, { timeout = 0.1 }))
      assert.equal(403, helper.failed("auth", client:list_users(ORG)).status)
      assert.equal(1, server:counts().token)
    end)
  end)

  it("is repeated by a child that was forked during it, which counts as no attempt", function()
    server:configure { script = { token = { { delay = 0.5 } } } }
    local client = helper.client(server, { max_retries = 0 })
    helper.failed("timeout", client:list_users(ORG, { timeout = 0.1 }))
    local child = process.start(function() return #assert(client:list_users(ORG)) end)
    assert.equal("25", child.result())
    assert.equal(25, #assert(client:list_users(ORG)))
    assert.equal(2, server:counts().token)
  end)

  describe("has a separate outcome for each waiting call", function()
    it("success, even if another fetch has failed before it is resumed", function()
      server:configure { script = { token = { { delay = 0.1 }, INVALID_GRANT }, api = { { status = 401 } } } }
      local client = yielding { timeout = LONG }
      local first, second = begin(client), begin(client)
      finish(first) -- its token is refused, and the next request, too
      helper.failed("auth", first.users, first.err)
      assert.equal(2, server:counts().token)
      finish(second)
      succeeded(second)
    end)

    it("failure, even if another fetch has succeeded before it is resumed", function()
      server:configure { script = { token = { { delay = 0.1, status = 403 } } } }
      local client = yielding { timeout = LONG, token_url = helper.TOKEN_PATH }
      local first, second = begin(client), begin(client)
      finish(first)
      helper.failed("auth", first.users, first.err)
      local third = begin(client)
      finish(third)
      succeeded(third)
      finish(second)
      assert.equal(403, helper.failed("auth", second.users, second.err).status)
      assert.equal(2, server:counts().token)
    end)
  end)

  describe("after a refusal by the API", function()
    it("is made once for all calls with the refused token", function()
      server:configure { script = { api = {
        { ok = true }, { status = 401, delay = 0.1 }, { status = 401, delay = 0.4 },
      } } }
      local client = yielding { timeout = LONG }
      finish(begin(client))
      local first, second = begin(client), begin(client)
      finish(first)
      succeeded(first)
      assert.is_false(second.has_ended())
      local renewed = client:token()
      finish(second) -- the old token is refused, and it continues with the new one
      succeeded(second)
      assert.equal(renewed, (client:token()))
      assert.equal(2, server:counts().token)
    end)

    it("may return the same token, which is used again", function()
      server:configure {
        token_raw = cjson.encode { access_token = "same", token_type = "Bearer", expires_in = 3600 },
        accept_tokens = { "same" }, script = { api = { { ok = true }, { status = 401 } } },
      }
      local client = helper.client(server)
      for _ = 1, 3 do assert(client:list_users(ORG)) end
      assert.equal(2, server:counts().token)
      assert.equal(4, server:counts().api)
    end)
  end)
end)
