local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local socket = require "socket"

local ORG = helper.ORG
local AT_ONCE = { ["Retry-After"] = "0" }

describe("a call", function()
  local server

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    server:reset()
    helper.static(server, {})
  end)
  after_each(function() helper.close_clients() end)

  local function static_client(more)
    local options = { access_token = "static" }
    for name, value in pairs(more or {}) do options[name] = value end
    return helper.client(server, options)
  end

  local function http_date(seconds)
    return os.date("!%a, %d %b %Y %H:%M:%S GMT", math.floor(seconds))
  end

  describe("is retried", function()
    for _, status in ipairs { 408, 429, 500, 502, 503, 504 } do
      it("after " .. status, function()
        helper.static(server, { script = { api = { { status = status, headers = AT_ONCE, times = 2 } } } })
        assert.equal(25, #assert(static_client():list_users(ORG)))
        assert.equal(3, server:counts().api)
        helper.static(server, { always_api = { status = status, headers = AT_ONCE } })
        local err = helper.failed("http", static_client():list_users(ORG))
        assert.equal(status, err.status)
        assert.equal(3, err.attempts)
        assert.is_true(err.retryable)
        assert.equal(6, server:counts().api)
      end)

      it("after " .. status .. " from the token endpoint", function()
        server:configure { script = { token = { { status = status, headers = AT_ONCE, times = 2 } } } }
        assert.equal(25, #assert(helper.client(server):list_users(ORG)))
        assert.equal(3, server:counts().token)
        assert.equal(1, server:counts().api)
        server:configure { always_token = { status = status, headers = AT_ONCE } }
        local err = helper.failed("auth", helper.client(server):list_users(ORG))
        assert.equal(status, err.status)
        assert.is_true(err.retryable)
        assert.equal(3, err.attempts)
        assert.equal(6, server:counts().token)
      end)
    end

    for _, fault in ipairs { "close", "reset", "reset_in_headers", "reset_in_body", "truncate", "truncate_chunked",
      "truncate_json_close" } do
      for _, protocol in ipairs { "HTTP/1.1", "HTTP/2.0" } do
        it("after the fault " .. fault .. " over " .. protocol, function()
          local make = protocol == "HTTP/2.0" and helper.tls_client or helper.client
          helper.static(server, { script = { api = { { fault = fault, times = 1 } } } })
          local client = make(server, { access_token = "static" })
          assert.equal(25, #assert(client:list_users(ORG)))
          assert.equal(2, server:counts().api)
          assert.equal(protocol, helper.last(server, "api").protocol)

          helper.static(server, { always_api = { fault = fault } })
          client = make(server, { access_token = "static", max_retries = 1 })
          local _, err = client:list_users(ORG)
          assert.truthy(err)
          helper.failed(err.kind, nil, err)
          assert.is_true(err.kind == "network" or err.kind == "decode" and fault:find("truncate") ~= nil, err.kind)
          if protocol == "HTTP/1.1" and fault:find("truncate") then assert.equal("decode", err.kind) end
          assert.is_true(err.retryable)
          assert.equal(2, err.attempts)
          assert.equal(4, server:counts().api)
        end)
      end
    end

    it("after a connection that failed", function()
      local client = static_client { base_url = ("http://127.0.0.1:%d"):format(helper.closed_port()), max_retries = 1 }
      local err = helper.failed("network", client:list_users(ORG))
      assert.equal(2, err.attempts)
      assert.is_true(err.retryable)
    end)

    it("after faults of the token endpoint", function()
      for _, fault in ipairs { "close", "reset", "truncate" } do
        server:reset()
        server:configure { script = { token = { { fault = fault } } } }
        assert(helper.client(server):list_users(ORG))
        assert.equal(2, server:counts().token)
        assert.equal(1, server:counts().api)
      end
    end)

    it("if its connection was closed between two calls", function()
      helper.static(server, { always_api = { fault = "close_after" } })
      local client = static_client()
      for _ = 1, 5 do assert(client:list_users(ORG)) end
      assert.equal(5, server:counts().api)
    end)
  end)

  describe("is not retried", function()
    for _, status in ipairs { 400, 402, 403, 404, 405, 406, 409, 410, 413, 415, 418, 421, 422, 425, 428, 451, 501, 505,
      507, 511, 301, 302, 303, 304, 307, 308 } do
      it("after " .. status, function()
        helper.static(server, { always_api = { status = status, headers = AT_ONCE } })
        local err = helper.failed("http", static_client():list_users(ORG))
        assert.equal(status, err.status)
        assert.equal(1, err.attempts)
        assert.is_false(err.retryable)
        assert.equal(1, server:counts().api)
      end)
    end

    it("after a complete response that is not JSON or not a list of users", function()
      for kind, step in pairs {
        decode = { body = "<html>", content_type = "text/html" }, schema = { body = "{}" },
      } do
        server:reset()
        helper.static(server, { always_api = step })
        local err = helper.failed(kind, static_client():list_users(ORG))
        assert.equal(1, err.attempts)
        assert.equal(1, server:counts().api)
      end
    end)
  end)

  describe("sends no more than max_retries further requests", function()
    it("of the client, or of the call", function()
      helper.static(server, { always_api = { status = 503, headers = AT_ONCE } })
      for _, retries in ipairs { 0, 1, 5 } do
        local before = server:counts().api
        local err = helper.failed("http", static_client({ max_retries = retries }):list_users(ORG))
        assert.equal(retries + 1, err.attempts)
        assert.equal(before + retries + 1, server:counts().api)
        before = before + retries + 1
        err = helper.failed("http", static_client({ max_retries = 3 }):list_users(ORG, { max_retries = retries }))
        assert.equal(retries + 1, err.attempts)
        assert.equal(before + retries + 1, server:counts().api)
      end
      local before = server:counts().api
      assert.equal(3, helper.failed("http", static_client():list_users(ORG)).attempts)
      assert.equal(before + 3, server:counts().api)
      helper.failed("http", static_client():get(helper.API .. "/echo", nil, { max_retries = 0 }))
      assert.equal(before + 4, server:counts().api)
    end)

    it("however its failures are mixed", function()
      helper.static(server, { script = { api = {
        { fault = "close" }, { status = 503, headers = AT_ONCE }, { fault = "truncate" }, { status = 429 },
      } } })
      local err = helper.failed("http", static_client({ max_retries = 3 }):list_users(ORG))
      assert.equal(429, err.status)
      assert.equal(4, err.attempts)
      assert.equal(4, server:counts().api)
    end)
  end)

  describe("pauses between attempts", function()
    it("for less than 2 s in all with two retries", function()
      helper.static(server, { always_api = { status = 503 } })
      local seconds = helper.timed(function()
        helper.failed("http", static_client():list_users(ORG))
      end)
      assert.is_true(seconds < 2, tostring(seconds))
      assert.equal(3, server:counts().api)
    end)

    it("for random times, so that clients that failed together retry at different times", function()
      helper.static(server, { always_api = { status = 503 } })
      local pauses = {}
      for i = 1, 4 do
        static_client({ max_retries = 1 }):list_users(ORG)
        local requests = server:requests("api")
        pauses[i] = requests[#requests].time - requests[#requests - 1].time
      end
      table.sort(pauses)
      assert.is_true(pauses[4] - pauses[1] > 0.004, table.concat(pauses, " "))
      assert.is_true(pauses[4] < 1)
    end)
  end)

  describe("obeys Retry-After", function()
    local function pause_after(value)
      helper.static(server, { script = { api = { { status = 503, headers = { ["Retry-After"] = value } } } } })
      assert(static_client():list_users(ORG))
      local requests = server:requests("api")
      return requests[#requests].time - requests[#requests - 1].time
    end

    it("in seconds", function()
      local pause = pause_after("1")
      assert.is_true(pause >= 0.99 and pause < 1.4, tostring(pause))
      assert.is_true(pause_after("0") < 0.2)
    end)

    it("as a date", function()
      local now = socket.gettime()
      local date = math.ceil(now) + 1
      local pause = pause_after(http_date(date))
      assert.is_true(pause >= date - now - 0.1 and pause < date - now + 1.4, tostring(pause))
      assert.is_true(pause_after(http_date(now - 3600)) < 0.2)
      assert.is_true(pause_after("Thu, 01 Jan 1970 00:00:00 GMT") < 0.2)
    end)

    it("of the token endpoint, too", function()
      server:configure { script = { token = { { status = 429, headers = { ["Retry-After"] = "1" } } } } }
      local seconds = helper.timed(function() assert(helper.client(server):list_users(ORG)) end)
      assert.is_true(seconds >= 0.99 and seconds < 1.5, tostring(seconds))
    end)

    it("and ends at once with the error if it ends after the deadline", function()
      for _, value in ipairs { "3600", "31", "99999999999999999999" } do
        server:reset()
        helper.static(server, { always_api = { status = 503, headers = { ["Retry-After"] = value } } })
        local seconds, result, err = helper.timed(function() return static_client():list_users(ORG) end)
        err = helper.failed("http", result, err)
        assert.equal(503, err.status)
        assert.equal(math.min(tonumber(value), 365 * 86400), err.retry_after)
        assert.equal(1, err.attempts)
        assert.is_true(err.retryable)
        assert.equal(1, server:counts().api)
        assert.is_true(seconds < 0.5, tostring(seconds))
      end
    end)

    it("of the token endpoint if it ends after the deadline", function()
      server:configure { always_token = { status = 429, headers = { ["Retry-After"] = "3600" } } }
      local seconds, result, err = helper.timed(function() return helper.client(server):list_users(ORG) end)
      err = helper.failed("auth", result, err)
      assert.equal(3600, err.retry_after)
      assert.equal(1, server:counts().token)
      assert.is_true(seconds < 0.5, tostring(seconds))
    end)

    it("in all date formats, and has it as err.retry_after", function()
      local when = math.floor(socket.gettime()) + 86400
      for _, format in ipairs { "!%a, %d %b %Y %H:%M:%S GMT", "!%A, %d-%b-%y %H:%M:%S GMT", "!%a %b %d %H:%M:%S %Y" } do
        helper.static(server, { always_api = { status = 503, headers = { ["Retry-After"] = os.date(format, when) } } })
        local err = helper.failed("http", static_client():list_users(ORG))
        assert.is_true(math.abs(err.retry_after - 86400) < 5, os.date(format, when) .. " " .. tostring(err.retry_after))
      end
    end)

    it("whatever the status of the error", function()
      helper.static(server, { always_api = { status = 403, headers = { ["Retry-After"] = "120" } } })
      assert.equal(120, helper.failed("http", static_client():list_users(ORG)).retry_after)
    end)

    it("but not if it is malformed", function()
      for _, value in ipairs { "soon", "-1", "1.5", "1,5", "0x10", "1e3", "inf", "nan", "", "5 seconds",
        "Thu, 99 Foo 2099" } do
        helper.static(server, { always_api = { status = 503, headers = { ["Retry-After"] = value } } })
        local err = helper.failed("http", static_client({ max_retries = 0 }):list_users(ORG))
        assert.is_nil(err.retry_after, value)
      end
    end)

    it("of the last response only", function()
      helper.static(server, { script = { api = {
        { status = 503, headers = AT_ONCE }, { status = 500 }, { fault = "close" },
      } } })
      local err = helper.failed("http", static_client({ max_retries = 1 }):list_users(ORG))
      assert.equal(500, err.status)
      assert.is_nil(err.retry_after)
    end)
  end)

  describe("ends at its deadline", function()
    local function in_time(timeout, f, ...)
      local seconds, result, err = helper.timed(f, ...)
      err = helper.failed("timeout", result, err)
      assert.is_true(err.retryable)
      assert.is_true(seconds > timeout - 0.02 and seconds < timeout + 0.5, tostring(seconds))
      return err
    end

    for name, settings in pairs {
      ["while it waits for the response"] = { always_api = { delay = 10 } },
      ["while it waits for a token"] = { always_token = { delay = 10 } },
      ["while the response stalls"] = { always_api = { fault = "stall" } },
      ["while the response drips in"] = { always_api = { fault = "drip", interval = 0.02 } },
      ["while the token's response stalls"] = { always_token = { fault = "stall" } },
    } do
      it(name, function()
        server:configure(settings)
        local client = helper.client(server, { timeout = 0.4 })
        in_time(0.4, client.list_users, client, ORG)
        server:reset() -- ends the stall
        assert(client:list_users(ORG, { timeout = 5 }))
      end)
    end

    it("whatever the number of attempts", function()
      local unavailable = { status = 503, headers = AT_ONCE }
      helper.static(server, { script = { api = { unavailable, unavailable, unavailable } },
        always_api = { delay = 10 } })
      local client = static_client { timeout = 0.5, max_retries = 100 }
      local err = in_time(0.5, client.list_users, client, ORG)
      assert.equal(4, err.attempts)
      assert.equal(server:counts().api, err.attempts)
    end)

    it("or before it if the next pause would end later", function()
      helper.static(server, { always_api = { status = 503 } })
      local client = static_client { timeout = 0.6, max_retries = 1000 }
      local seconds, result, err = helper.timed(client.list_users, client, ORG)
      assert.is_nil(result)
      helper.failed(err.kind, result, err)
      assert.is_true(err.kind == "http" or err.kind == "timeout", err.kind)
      assert.is_true(seconds < 1.1, tostring(seconds))
    end)

    it("however fast bytes arrive", function()
      helper.static(server, { organizations = { [ORG] = { users = 200000, seed = 3 } } })
      local client = helper.client(server, { access_token = "static", timeout = 0.15 })
      local seconds, result, err = helper.timed(client.list_users, client, ORG)
      helper.failed("timeout", result, err)
      assert.is_true(seconds < 0.65, seconds)
      local opts = { max_response_bytes = 1e9 }
      seconds, result, err = helper.timed(client.get, client, helper.users_path(), nil, opts)
      helper.failed("timeout", result, err)
      assert.is_true(seconds < 0.65, seconds)
    end)

    it("and leaves the client usable", function()
      helper.static(server, { script = { api = { { delay = 3 } } } })
      local client = static_client()
      helper.failed("timeout", client:list_users(ORG, { timeout = 0.1 }))
      for _ = 1, 3 do assert.equal(25, #assert(client:list_users(ORG))) end
    end)
  end)
end)
