local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local socket = require "socket"

local ORG = helper.ORG
local AT_ONCE = { ["Retry-After"] = "0" }

describe("on_event", function()
  local server, events

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    server:reset()
    events = {}
  end)
  after_each(function() helper.close_clients() end)

  local function options(more)
    local all = { on_event = function(event) events[#events + 1] = event end }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  --- Each event as "purpose status attempt error_kind".
  local function summary()
    local list = {}
    for i, event in ipairs(events) do
      list[i] = ("%s %s %d %s"):format(event.purpose, tostring(event.status or "-"), event.attempt,
        event.error_kind or "-")
    end
    return list
  end

  it("is called after each HTTP exchange", function()
    local client = helper.client(server, options())
    assert.equal(0, #events)
    assert(client:list_users(ORG, { include_deleted = true }))
    assert.same({ "token 200 1 -", "api 200 1 -" }, summary())
    assert.equal(#server:requests(), #events)
    local token, api = events[1], events[2]
    assert.equal("exchange", token.type)
    assert.equal("POST", token.method)
    assert.equal(server.url .. helper.TOKEN_PATH, token.url)
    assert.equal("exchange", api.type)
    assert.equal("GET", api.method)
    assert.equal(server.url .. helper.users_path() .. "?include_deleted=true", api.url)
    for _, event in ipairs(events) do
      assert.is_true(event.seconds >= 0 and event.seconds < 5)
      assert.is_true(event.bytes > 50)
      if math.type then
        for _, name in ipairs { "status", "attempt", "bytes" } do assert.equal("integer", math.type(event[name])) end
      end
    end
    assert(client:list_users(ORG))
    assert.equal(3, #events)
  end)

  it("is given an event with these fields and no others", function()
    assert(helper.client(server, options()):list_users(ORG))
    for _, event in ipairs(events) do
      local names = {}
      for name in pairs(event) do names[#names + 1] = name end
      table.sort(names)
      assert.same({ "attempt", "bytes", "headers", "method", "purpose", "reused", "seconds", "seconds_to_first_byte",
        "status", "type", "url" }, names)
    end
  end)

  it("is given the response's headers without secrets, and none if there was no response", function()
    server:configure { script = { api = {
      { headers = { ["X-Request-ID"] = "abc", ["X-Echo"] = "<demo-secret>", ["Set-Cookie"] = "a=b" } },
      { status = 404, headers = { ["X-Request-ID"] = "def" } },
    } } }
    local client = helper.client(server, options())
    assert(client:list_users(ORG))
    helper.failed("http", client:list_users(ORG))
    assert.equal("application/json", events[1].headers["content-type"]:match("^[^;]+"))
    assert.equal("abc", events[2].headers["x-request-id"])
    assert.equal("<***>", events[2].headers["x-echo"])
    assert.is_nil(events[2].headers["set-cookie"])
    assert.equal("def", events[3].headers["x-request-id"])
    helper.static(server, { script = { api = { { fault = "close" } } } })
    events = {}
    client = helper.client(server, options { access_token = "static", max_retries = 0 })
    helper.failed("network", client:list_users(ORG))
    assert.is_nil(events[1].headers)
  end)

  it("is told whether the connection was used before", function()
    local client = helper.client(server, options())
    for _ = 1, 2 do assert(client:list_users(ORG)) end
    local reused = {}
    for i, event in ipairs(events) do reused[i] = event.reused end
    assert.same({ false, true, true }, reused)
    events = {}
    local base_url = ("http://127.0.0.1:%d"):format(helper.closed_port())
    client = helper.client(server, options { access_token = "static", base_url = base_url, max_retries = 0 })
    helper.failed("network", client:list_users(ORG))
    assert.is_false(events[1].reused)
    helper.static(server, {})
    client = helper.tls_client(server, options { access_token = "static" })
    events = {}
    for _ = 1, 2 do assert(client:list_users(ORG)) end
    assert.same({ false, true }, { events[1].reused, events[2].reused })
  end)

  it("is told whether the connection of a call that timed out was used before", function()
    helper.static(server, { script = { api = { { ok = true }, { delay = 5 } } } })
    local client = helper.client(server, options { access_token = "static" })
    assert(client:list_users(ORG))
    helper.failed("timeout", client:list_users(ORG, { timeout = 0.1 }))
    assert.same({ false, true }, { events[1].reused, events[2].reused })
    assert.is_nil(events[2].seconds_to_first_byte)
  end)

  it("is told when the first byte of the response arrived", function()
    helper.static(server, { script = { api = {
      { delay = 0.2 }, { fault = "drip", after = 100, chunk = 100, interval = 0.002 }, { fault = "close" },
    } } })
    local client = helper.client(server, options { access_token = "static", max_retries = 0 })
    assert(client:list_users(ORG))
    assert(client:list_users(ORG))
    client = helper.client(server, options { access_token = "static", max_retries = 0 })
    helper.failed("network", client:list_users(ORG))
    assert.is_true(events[1].seconds_to_first_byte >= 0.2)
    assert.is_true(events[1].seconds_to_first_byte <= events[1].seconds)
    assert.is_true(events[2].seconds_to_first_byte < events[2].seconds - 0.02)
    assert.is_nil(events[3].seconds_to_first_byte)
  end)

  it("is told a time before the first byte that includes waiting for one of max_connections", function()
    helper.static(server, { always_api = { delay = 0.2 } })
    local client = helper.client(server, options { access_token = "static", max_connections = 1 })
    assert(client:list_users_of { ORG, helper.OTHER_ORG })
    assert.is_true(events[2].seconds_to_first_byte >= 0.4)
    assert.is_true(events[2].seconds_to_first_byte <= events[2].seconds)
  end)

  --- Each event as "purpose status attempt", or as "retry after ATTEMPT, error_kind, status".
  local function with_retries()
    local list = {}
    for i, event in ipairs(events) do
      if event.type == "retry" then
        list[i] = ("retry after %d, %s, %s"):format(event.attempt, event.error_kind, tostring(event.status))
      else
        list[i] = ("%s %s %d"):format(event.purpose, tostring(event.status), event.attempt)
      end
    end
    return list
  end

  it("is called for each retry after the failed exchange, with the length of the pause", function()
    helper.static(server, { script = { api = {
      { fault = "truncate" }, { status = 401 }, { status = 503, headers = { ["Retry-After"] = "1" } },
    } } })
    server:patch { accept_tokens = {} }
    local client = helper.client(server, options())
    local seconds = helper.timed(function() assert(client:list_users(ORG)) end)
    assert.same({ "token 200 1", "api 200 1", "retry after 1, decode, 200", "api 401 2", "token 200 1", "api 503 3",
      "retry after 3, http, 503", "api 200 4" }, with_retries())
    local names = {}
    for name in pairs(events[3]) do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "attempt", "error_kind", "pause", "status", "type" }, names)
    assert.is_true(events[3].pause >= 0 and events[3].pause <= 0.5)
    assert.equal(1, events[7].pause)
    assert.is_true(seconds >= 1)
  end)

  it("is called without a status for a retry if there was no response", function()
    helper.static(server, { script = { api = { { fault = "close" } } } })
    assert(helper.client(server, options { access_token = "static" }):list_users(ORG))
    assert.same({ "api nil 1", "retry after 1, network, nil", "api 200 2" }, with_retries())
    assert.is_nil(events[2].status)
  end)

  it("is called for a retry before the pause", function()
    helper.static(server, { script = { api = { { status = 503, headers = { ["Retry-After"] = "1" } } } } })
    local told_at, start
    local client = helper.client(server, { access_token = "static", on_event = function(event)
      if event.type == "retry" then told_at = socket.gettime() - start end
    end })
    start = socket.gettime()
    assert(client:list_users(ORG))
    assert.is_true(told_at < 0.5, told_at)
  end)

  it("is called for retries of token requests, whose attempts are counted until there is a token", function()
    server:configure { script = { token = { { status = 503, headers = AT_ONCE }, { fault = "close" } } } }
    local client = helper.client(server, options())
    assert(client:list_users(ORG))
    assert.same({ "token 503 1", "retry after 1, auth, 503", "token nil 2", "retry after 2, network, nil",
      "token 200 3", "api 200 1" }, with_retries())
    events = {}
    server:revoke()
    assert(client:list_users(ORG))
    assert.same({ "api 401 1", "token 200 1", "api 200 2" }, with_retries())
  end)

  it("is not called for a retry that is not made", function()
    helper.static(server, { always_api = { status = 503, headers = AT_ONCE } })
    helper.failed("http", helper.client(server, options { access_token = "static", max_retries = 1 }):list_users(ORG))
    assert.same({ "api 503 1", "retry after 1, http, 503", "api 503 2" }, with_retries())
  end)

  describe("with a token store", function()
    local function run(store)
      assert(helper.client(server, options { token_store = store }):list_users(ORG))
      local list = {}
      for _, event in ipairs(events) do
        if event.type == "store" then
          local names = {}
          for name in pairs(event) do names[#names + 1] = name end
          table.sort(names)
          assert.same({ "message", "operation", "type" }, names)
          list[#list + 1] = event.operation .. ": " .. event.message
        end
      end
      return list
    end

    it("receives errors that the store raises", function()
      assert.same({ "get: no route", "add: no route", "set: a table value" }, run {
        get = function() error("no route", 0) end, add = function() error("no route", 0) end,
        set = function() error({}, 0) end,
      })
    end)

    it("receives errors that the store returns", function()
      assert.same({ "get: closed", "add: no memory", "set: 42" }, run {
        get = function() return nil, "closed" end, add = function() return false, "no memory" end,
        set = function() return nil, 42 end,
      })
    end)

    it("is called if a lock cannot be deleted", function()
      assert.same({ "delete: gone" }, run {
        get = function() end, add = function() return true end, set = function() return true end,
        delete = function() return nil, "gone" end,
      })
    end)

    it("is not called if the store works or returns nothing", function()
      assert.same({}, run { get = function() return nil, nil end, set = function() end })
      local values = {}
      assert.same({}, run {
        get = function(_, key)
          if values[key] then return values[key], 0 end -- flags, as ngx.shared.DICT returns
        end,
        set = function(_, key, value)
          values[key] = value
          return true, nil, true -- other values were removed
        end,
        add = function() return false, "exists" end, delete = function() end,
      })
      assert.truthy(next(values))
    end)

    it("may raise an error, which reaches the caller; the token is kept and the lock released", function()
      local deleted = 0
      local store = {
        get = function() end, add = function() return true end, set = function() error("full", 0) end,
        delete = function() deleted = deleted + 1 end,
      }
      local client = helper.client(server, { token_store = store, on_event = function(event)
        if event.type == "store" then error("mine", 0) end
      end })
      local ok, caught = pcall(client.list_users, client, ORG)
      assert.is_false(ok)
      assert.equal("mine", caught)
      assert.equal(1, deleted)
      assert.equal(25, #assert(client:list_users(ORG)))
      assert.equal(1, server:counts().token)
    end)
  end)

  it("is told the number of decoded bytes, and the time of the exchange", function()
    helper.static(server, { gzip = true, always_api = { body = "[" .. (" "):rep(9998) .. "]", delay = 0.1 } })
    assert(helper.client(server, options { access_token = "static" }):list_users(ORG))
    assert.equal(10000, events[1].bytes)
    assert.is_true(events[1].seconds >= 0.1 and events[1].seconds < 1)
    assert.is_true(helper.last(server, "api").bytes < 2000)
  end)

  it("is told the number of the attempt, and the kind of its error", function()
    helper.static(server, { script = { api = {
      { fault = "close" }, { status = 503, headers = AT_ONCE }, { fault = "truncate" },
      { status = 429, headers = AT_ONCE },
    } } })
    assert(helper.client(server, options { access_token = "static", max_retries = 4 }):list_users(ORG))
    for i = 8, 2, -2 do
      local retry = table.remove(events, i)
      assert.equal("retry", retry.type)
      assert.equal(events[i - 1].attempt, retry.attempt)
      assert.equal(events[i - 1].error_kind, retry.error_kind)
      assert.equal(events[i - 1].status, retry.status)
    end
    assert.same({ "api - 1 network", "api 503 2 http", "api 200 3 decode", "api 429 4 http", "api 200 5 -" }, summary())
  end)

  it("is told every kind of error that an exchange can end with", function()
    for kind, step in pairs {
      decode = { body = "<html>" }, schema = { body = "{}" }, too_large = { body = (" "):rep(3000) .. "[]" },
      auth = { status = 401 }, http = { status = 302 },
    } do
      events = {}
      helper.static(server, { always_api = step })
      helper.failed(kind, helper.client(server, options { access_token = "static", max_response_bytes = 2000 })
        :list_users(ORG))
      assert.equal(1, #events)
      assert.equal(kind, events[1].error_kind)
    end
    events = {}
    local base_url = ("http://127.0.0.1:%d"):format(helper.closed_port())
    helper.failed("network", helper.client(server, options { access_token = "static", base_url = base_url,
      max_retries = 0 }):list_users(ORG))
    assert.same({ "api - 1 network" }, summary())
    assert.equal(0, events[1].bytes)
  end)

  it("is called for a call that times out", function()
    helper.static(server, { always_api = { delay = 5 } })
    helper.failed("timeout", helper.client(server, options { access_token = "static", timeout = 0.1 }):list_users(ORG))
    assert.same({ "api - 1 timeout" }, summary())
  end)

  it("is called for each token request", function()
    server:configure { encoding = "json", client_auth = "body" }
    local client = helper.client(server, options())
    assert(client:list_users(ORG))
    assert.equal(#server:requests("token") + 1, #events)
    for i = 1, #events - 2 do
      assert.equal("token", events[i].purpose)
      assert.equal("auth", events[i].error_kind)
      assert.equal(i, events[i].attempt)
    end
    assert.same({ "token 200 3 -", "api 200 1 -" }, { summary()[3], summary()[4] })
    events = {}
    server:revoke()
    assert(client:list_users(ORG))
    assert.same({ "api 401 1 auth", "token 200 1 -", "api 200 2 -" }, summary())
  end)

  it("is given the headers of responses that refuse a token request", function()
    server:configure { always_token = { status = 401, headers = { ["X-Request-Id"] = "17" }, body = "{}" } }
    local err = helper.failed("auth", helper.client(server, options()):token())
    assert.same({ "token 401 1 auth", "token 401 2 auth" }, summary())
    for _, event in ipairs(events) do assert.equal("17", (event.headers or {})["x-request-id"]) end
    assert.equal("17", err.headers["x-request-id"])
  end)

  it("is called for token requests that fail", function()
    server:configure { always_token = { status = 400, body = "{\"error\": \"invalid_grant\"}" } }
    helper.failed("auth", helper.client(server, options(mock.credentials)):token())
    assert.same({ "token 400 1 auth" }, summary())
    events = {}
    server:configure { token_raw = "{}" }
    helper.failed("auth", helper.client(server, options()):token())
    assert.same({ "token 200 1 auth" }, summary())
  end)

  it("is never given a secret", function()
    server:configure { refresh = true, encoding = "json" }
    local client = helper.client(server, options(mock.credentials))
    assert(client:list_users(ORG))
    server:revoke()
    assert(client:list_users(ORG))
    assert.is_true(#events >= 6)
    helper.without(events, { "demo-secret", "correct", "tok-", "ref-", "Bearer", "Basic" })
  end)

  it("is not called if nothing is sent", function()
    local client = helper.client(server, options())
    helper.failed("argument", client:list_users("x"))
    helper.failed("argument", client:get("x"))
    client:close()
    helper.failed("closed", client:list_users(ORG))
    assert.equal(0, #events)
  end)

  describe("that raises an error", function()
    it("passes it to the caller unchanged, and the client stays usable", function()
      for _, problem in ipairs { { "a table" }, "a text", 42, false } do
        for _, which in ipairs { "token", "api" } do
          server:reset()
          local armed = true
          local client = helper.client(server, { on_event = function(event)
            if armed and event.purpose == which then error(problem, 0) end
          end })
          local ok, caught = pcall(client.list_users, client, ORG)
          assert.is_false(ok)
          assert.equal(problem, caught)
          armed = false
          assert.equal(25, #assert(client:list_users(ORG)))
          assert.equal(1, server:counts().token)
        end
      end
    end)

    it("passes it to the caller of a call that fails, too", function()
      helper.static(server, { always_api = { status = 404 } })
      local client = helper.client(server, { access_token = "static", on_event = function() error("mine", 0) end })
      local ok, caught = pcall(client.list_users, client, ORG)
      assert.is_false(ok)
      assert.equal("mine", caught)
      assert.equal(1, server:counts().api)
    end)

    it("passes it to the caller in a coroutine", function()
      local client = helper.client(server, { on_event = function() error("mine", 0) end })
      local thread = coroutine.create(function() return client:list_users(ORG) end)
      local ok, caught = coroutine.resume(thread)
      assert.is_false(ok)
      assert.equal("mine", caught)
    end)
  end)

  describe("that uses the client", function()
    it("may close it, which ends the call, with the users if they have arrived", function()
      for _, which in ipairs { "token", "api" } do
        server:reset()
        server:configure { always_api = { delay = which == "token" and 0.3 or 0 } }
        local client
        client = helper.client(server, { on_event = function(event)
          if event.purpose == which then client:close() end
        end })
        local seconds, result, err = helper.timed(client.list_users, client, ORG)
        if which == "token" then
          helper.failed("closed", result, err)
          assert.is_true(seconds < 0.25, tostring(seconds))
        else
          assert.equal(25, #assert(result, err))
        end
        helper.failed("closed", client:list_users(ORG))
        assert.equal(1, server:counts().token)
        assert.is_true(server:counts().api <= 1)
      end
    end)

    it("may close it in client:token, which returns the token that has arrived", function()
      local client
      client = helper.client(server, { on_event = function(event)
        events[#events + 1] = event
        client:close()
      end })
      assert.is_string((client:token()))
      helper.failed("closed", client:token())
      assert.same({ "token 200 1 -" }, summary())
      assert.equal(1, server:counts().token)
    end)

    it("may make another call, whichever of the two ends first", function()
      for _, delays in ipairs { { 0, 0.2 }, { 0.2, 0 } } do
        server:reset()
        server:configure { script = { api = { { delay = delays[1] }, { delay = delays[2] } } } }
        local inner = {}
        local client
        client = helper.client(server, { on_event = function(event)
          if event.purpose == "token" then inner[1] = #assert(client:list_users(ORG)) end
        end })
        local seconds, result, err = helper.timed(client.list_users, client, ORG)
        assert.equal(25, #assert(result, err))
        assert.same({ 25 }, inner)
        assert.equal(1, server:counts().token)
        assert.equal(2, server:counts().api)
        assert.is_true(seconds < 2, tostring(seconds))
      end
    end)

    it("may collect garbage", function()
      local client = helper.client(server, { on_event = function() collectgarbage() end })
      for _ = 1, 5 do assert(client:list_users(ORG)) end
    end)

    it("may take long, since a response that came in time counts", function()
      local timeout = helper.CHECKED and 2 or 0.4
      local client = helper.client(server, { timeout = timeout, on_event = function() socket.sleep(0.3 * timeout) end })
      local ids = {}
      for i = 1, 8 do ids[i] = ("%08x-0000-4000-8000-000000000000"):format(i) end
      local results, errors = client:list_users_of(ids)
      assert.is_nil(next(errors))
      for _, id in ipairs(ids) do assert.equal(25, #results[id]) end
    end)
  end)

  it("is given a new table each time", function()
    local client = helper.client(server, { on_event = function(event)
      events[#events + 1] = event
      for name in pairs(event) do event[name] = nil end
    end })
    assert(client:list_users(ORG))
    assert.are_not.equal(events[1], events[2])
    assert.equal(2, #events)
  end)
end)
