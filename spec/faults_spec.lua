-- Whatever the network or the server does, a call ends in time with users or with one clear error, sends no more
-- requests than it should, and leaves the client usable. The faults are in spec/support/faults.lua.
local faults = require "spec.support.faults"
local helper = require "spec.support.helper"
local peer = require "spec.support.peer"
local podero = require "podero"
local preload = require "spec.support.preload"

-- ioctl tells how many bytes are unread. Here a thread that calls it is interrupted first, as on a busy machine.
local SLOW_IOCTL = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...) {
  int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
  va_list arguments;
  va_start(arguments, request);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  usleep(100000);
  return real(fd, request, argument);
}
]]

local MARGIN = 0.5 -- seconds beyond the timeout that no call may take

describe("a client", function()
  local server

  setup(function() server = peer.start() end)
  teardown(function() server:stop() end)

  --- The expected outcome of a fault, if it is caused in this way.
  local function expected_of(row, how)
    local more = how.at == "token" and row.token or row[how.method or "list_users"]
    local expected = {}
    for name, value in pairs(row) do expected[name] = value end
    for name, value in pairs(more or {}) do expected[name] = value end
    return expected
  end

  local function check_error(expected, err, method)
    if method == "each_user" then
      assert.equal(expected.delivered or 0, err.delivered)
      err.delivered = nil
    end
    helper.failed(expected.kind, nil, err)
    if expected.status then assert.equal(expected.status, err.status) end
    if expected.retryable ~= nil then assert.equal(expected.retryable, err.retryable, tostring(err)) end
    if expected.message then assert.truthy(tostring(err):find(expected.message, 1, true), tostring(err)) end
    if expected.retry_after then
      local difference = math.abs(err.retry_after - expected.retry_after)
      assert.is_true(difference <= 5 + expected.retry_after / 1e6, err.retry_after)
    elseif expected.status then
      assert.is_nil(err.retry_after)
    end
  end

  local function check(row, how)
    local at, expected = how.at or "api", expected_of(row, how)
    local outcome = faults.run(server, row, how)
    if expected.good then
      assert.equal(3, outcome.count, tostring(outcome.err))
    else
      check_error(expected, outcome.err, how.method)
    end
    assert.is_true(outcome.seconds < outcome.timeout + MARGIN, outcome.seconds)
    if expected.waits then assert.is_true(outcome.seconds > outcome.timeout - 0.02, outcome.seconds) end
    if expected.at_least then assert.is_true(outcome.seconds >= expected.at_least, outcome.seconds) end
    assert.equal(expected.requests or 1, outcome.requests[at])
    if at == "token" and not expected.good then assert.equal(0, outcome.requests.api) end
    if at == "api" and (expected.requests or 1) > 0 then
      assert.equal(expected.token_requests or how.static and 0 or 1, outcome.requests.token)
    end
    if not expected.good then assert.equal(expected.attempts or expected.requests or 1, outcome.err.attempts) end
    assert.equal(0, outcome.elsewhere)
    helper.without(outcome.seen, faults.telltales)
    assert.equal(3, outcome.recovered, tostring(outcome.problem))
  end

  --- Causes the fault once, with one retry allowed.
  local function check_retry(row, how)
    local outcome = faults.run(server, row, how)
    assert.equal(3, outcome.count, tostring(outcome.err))
    assert.equal(2, outcome.requests[how.at or "api"])
    assert.is_true(outcome.seconds < outcome.timeout + MARGIN, outcome.seconds)
  end

  it("handles an endless header field of which more arrives while it counts what it has read", function()
    if os.getenv "VARIANT" == "-sanitized" then return pending "no library can be preloaded" end
    local library, remove = preload(SLOW_IOCTL)
    finally(remove)
    local acts, lists = { { "flood", "HTTP/1.1 200 OK\r\nX: ", ("x"):rep(100), 100000, "" } }, {}
    for i = 1, 12 do lists[i] = acts end
    local listener = server:listen { api = lists }
    local output = helper.run(([[
      local client = require("podero").new { base_url = %q, access_token = "static", proxy = "", max_retries = 0 }
      for _ = 1, 12 do print(select(2, client:list_users(%q)).kind) end
    ]]):format(listener.url, helper.ORG), { LD_PRELOAD = library })
    listener:close()
    assert.equal(("too_large\n"):rep(12), output)
  end)

  describe("handles a response:", function()
    for _, row in ipairs(faults.responses) do
      it(row.name, function() check(row, {}) end)
      if row.methods then
        it(row.name .. ", in each_user", function() check(row, { method = "each_user" }) end)
        it(row.name .. ", in get", function() check(row, { method = "get" }) end)
      end
      if row.token ~= false then
        it(row.name .. ", from the token endpoint", function() check(row, { at = "token" }) end)
      end
    end
  end)

  describe("handles a response of the API:", function()
    for _, row in ipairs(faults.api) do
      it(row.name, function() check(row, {}) end)
      if row.methods then
        it(row.name .. ", in each_user", function() check(row, { method = "each_user" }) end)
        it(row.name .. ", in get", function() check(row, { method = "get" }) end)
      end
    end
    for _, row in ipairs(faults.echoes) do
      it(row.name, function() check(row, {}) end)
    end
  end)

  describe("handles a response of the token endpoint:", function()
    for _, row in ipairs(faults.tokens) do
      it(row.name, function() check(row, { at = "token" }) end)
    end
    for _, row in ipairs(faults.echoes) do
      it(row.name, function() check(row, { at = "token" }) end)
    end
  end)

  describe("retries once after a response:", function()
    for _, row in ipairs(faults.responses) do
      if row.retryable and not row.waits and (row.status == nil or row.retry_after == 0) then
        it(row.name, function() check_retry(row, { retries = 1 }) end)
        if row.name:find("reset before") then
          it(row.name .. ", from the token endpoint", function() check_retry(row, { at = "token", retries = 1 }) end)
        end
      end
    end
  end)

  describe("handles a connection", function()
    for _, row in ipairs(faults.connections) do
      local expected = { requests = 0, attempts = 1, token_requests = 0 }
      for name, value in pairs(row) do expected[name] = value end
      it(row.name .. ", to the API", function() check(expected, { static = true }) end)
      it(row.name .. ", to the token endpoint", function() check(expected, { at = "token" }) end)
    end
  end)

  for protocol, tls in pairs { tls = { certificate = "server" }, http2 = { certificate = "server", h2 = true } } do
    describe("handles a response over " .. protocol .. ":", function()
      for _, row in ipairs(faults[protocol]) do
        it(row.name, function() check(row, { static = true, tls = tls }) end)
        if not row.good and not tls.h2 then -- token requests do not use HTTP/2
          it(row.name .. ", from the token endpoint", function() check(row, { at = "token", tls = tls }) end)
        end
      end
    end)
  end

  -- several calls or connections --------------------------------------------------------------------------------------

  local TLS, HTTP2 = { certificate = "server" }, { certificate = "server", h2 = true }
  local good = faults.good.api[1]

  local function listen(settings)
    local listener = server:listen(settings)
    finally(function() listener:close() end)
    return listener
  end

  --- A client with an access token for a listener, and the array of its events.
  local function client_of(url, more)
    local events = {}
    local options = { base_url = url, access_token = "static", proxy = "", max_retries = 0, timeout = 5,
      tls = { ca_file = server.ca_file }, on_event = function(event) events[#events + 1] = event end }
    for name, value in pairs(more or {}) do options[name] = value end
    local client = assert(podero.new(options))
    return client, events
  end

  --- Makes calls that have to succeed. Returns how many requests and connections the server has received.
  local function all_succeed(settings, calls)
    local listener = listen(settings)
    local client, events = client_of(listener.url)
    for _ = 1, calls do
      local list, err = client:list_users(helper.ORG)
      assert.equal(3, #assert(list, tostring(err)))
    end
    client:close()
    assert.equal(calls, #events)
    for _, event in ipairs(events) do assert.is_nil(event.error_kind) end
    local requests, connections = listener:received()
    return #requests, connections
  end

  describe("whose connection the server ends between two calls", function()
    for name, act in pairs { ["with a FIN"] = faults.CLOSE, ["with a reset"] = faults.RESET } do
      it(name .. " opens another", function()
        local requests, connections = all_succeed({ api = { { good, act } }, good_api = { good } }, 3)
        assert.equal(3, requests)
        assert.equal(2, connections)
      end)

      it(name .. " just as the second request arrives resends it", function()
        local requests, connections = all_succeed({ api = { { good }, { act } }, good_api = { good } }, 3)
        assert.equal(4, requests)
        assert.equal(2, connections)
      end)

      it(name .. " just as the second request arrives over HTTP/2 resends it", function()
        local requests = all_succeed({ tls = HTTP2, api = { { good }, { act } }, good_api = { good } }, 3)
        assert.equal(4, requests)
      end)
    end

    it("with GOAWAY opens another", function()
      local requests, connections = all_succeed({ tls = HTTP2, good_api = { good },
        api = { { good, { "goaway", 1, 0 } }, { good, { "goaway", 1, 0 }, faults.CLOSE } } }, 4)
      assert.is_true(requests >= 4 and requests <= 6, requests) -- a request can cross the GOAWAY
      assert.is_true(connections >= 2, connections)
    end)

    it("with GOAWAY just as the second request arrives resends it", function()
      local requests = all_succeed({ tls = HTTP2, good_api = { good },
        api = { { good }, { { "goaway", 1, 0 }, faults.CLOSE } } }, 3)
      assert.equal(4, requests)
    end)
  end)

  describe("whose connection is dead although neither side has closed it", function()
    for name, tls in pairs { ["HTTP/1.1"] = false, ["HTTP/1.1 over TLS"] = TLS, ["HTTP/2"] = HTTP2 } do
      it("fails one call over " .. name .. ", not the following ones", function()
        local listener = listen { tls = tls, api = { { good }, { faults.STALL } }, good_api = { good } }
        local client = client_of(listener.url)
        assert(client:list_users(helper.ORG))
        helper.failed("timeout", client:list_users(helper.ORG, { timeout = 0.2 }))
        for _ = 1, 2 do assert.equal(3, #assert(client:list_users(helper.ORG))) end
        assert.equal(2, select(2, listener:received()))
        client:close()
      end)
    end
  end)

  describe("handles a proxy's response to CONNECT:", function()
    for _, row in ipairs(faults.proxies) do
      it(row.name .. ", and sends the proxy no secret", function()
        local target = listen { tls = TLS, good_api = faults.good.api, good_token = faults.good.token }
        local proxy = listen { connect = { row.acts }, good_connect = { { "tunnel" } } }
        local client = client_of(target.url, { access_token = faults.secrets.access_token, proxy = proxy.url,
          timeout = row.waits and 0.25 or 5 })
        local seconds, list, err = helper.timed(client.list_users, client, helper.ORG)
        err = helper.failed(row.waits and "timeout" or "network", list, err)
        assert.equal(1, err.attempts)
        assert.is_true(seconds < (row.waits and 0.75 or 5.5), seconds)
        assert.equal(0, select(2, target:received()))
        assert.equal(3, #assert(client:list_users(helper.ORG, { timeout = 5 })))
        local requests = proxy:received()
        assert.equal(2, #requests)
        helper.without(requests, faults.telltales)
        client:close()
      end)
    end
  end)

  it("returns the same error for each call to a host name that does not resolve, in time", function()
    local client, events = client_of("https://no-such-host.invalid")
    for i = 1, 3 do
      local seconds, list, err = helper.timed(client.list_users, client, helper.ORG)
      err = helper.failed("network", list, err)
      assert.truthy(err.message:find("resolve", 1, true), err.message)
      assert.is_true(err.retryable)
      assert.equal(1, err.attempts)
      assert.equal(i, #events)
      assert.is_true(seconds < 5.5, seconds)
    end
    client:close()
  end)

  describe("that receives a gzip bomb of 10 GB", function()
    --- Megabytes of /proc/self/status.
    local function megabytes(name)
      for line in io.lines("/proc/self/status") do
        local kilobytes = line:match("^" .. name .. ":%s+(%d+) kB")
        if kilobytes then return tonumber(kilobytes) / 1024 end
      end
    end

    for layers = 1, 2 do
      --- Returns by how many megabytes a method makes the peak of resident memory grow, its seconds of processor time
      -- (it never waits for long), and its results.
      local function attack(method, options)
        local listener = listen { api = { { { "bomb", 10240, layers } } }, good_api = { good } }
        local client = client_of(listener.url, options)
        collectgarbage()
        local file = assert(io.open("/proc/self/clear_refs", "w"))
        file:write("5") -- resets the peak
        file:close()
        local before, start = megabytes("VmRSS"), os.clock()
        local list, err = method(client)
        local grown, seconds = megabytes("VmHWM") - before, os.clock() - start
        assert.equal(3, #assert(client:list_users(helper.ORG, { timeout = 5 })))
        client:close()
        return grown, seconds, list, err
      end

      local function list_users(client) return client:list_users(helper.ORG) end
      local function get(client) return client:get(helper.users_path()) end
      local function each_user(client)
        local ok, err = pcall(function()
          for _ in client:each_user(helper.ORG) do error("a user") end
        end)
        assert.is_false(ok)
        err.delivered = nil
        return nil, err
      end

      local name = layers == 1 and "" or ", in a gzip bomb"
      local refused = layers == 2 and "decode" -- at the header
      it("ends the call at max_response_bytes, in bounded memory" .. name, function()
        local grown, _, list, err = attack(get, { max_response_bytes = 20000000 })
        helper.failed(refused or "too_large", list, err)
        assert.is_true(grown < 60, grown)
      end)

      it("ends the call in bounded memory if no limit is set" .. name, function()
        for _, method in ipairs { list_users, each_user } do
          local grown, _, list, err = attack(method)
          assert.is_nil(list)
          assert.is_true(err.kind == (refused or "too_large") or not refused and err.kind == "timeout", tostring(err))
          assert.is_true(grown < 200, grown)
        end
      end)

      it("ends the call in time, whatever the limit" .. name, function()
        for _, method in ipairs { list_users, each_user, get } do
          local _, seconds, list, err = attack(method, { timeout = 0.2, max_response_bytes = 1e10 })
          assert.is_nil(list)
          assert.is_true(err.kind == (refused or "too_large") or not refused and err.kind == "timeout", tostring(err))
          -- Under valgrind, which sets SPARSE, everything takes many times as long.
          assert.is_true(seconds < (os.getenv("SPARSE") and 10 or 0.7), seconds)
        end
      end)
    end
  end)
end)
