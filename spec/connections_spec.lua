-- What becomes of connections: those that never came about, those that the server has closed while they were idle, and
-- those that have gone silent harm no later call. The server is spec.support.peer.
local faults = require "spec.support.faults"
local helper = require "spec.support.helper"
local peer = require "spec.support.peer"
local podero = require "podero"
local process = require "spec.support.process"
local socket = require "socket"

local ORG = helper.ORG
local TLS, HTTP2 = { certificate = "server" }, { certificate = "server", h2 = true }
local SILENT = {} -- no acts: a stream that is not answered, on a connection that goes on
local good = faults.good.api[1]

--- Other organizations, so that requests can be told apart.
local function organization(number)
  return ("%08d"):format(number) .. ORG:sub(9)
end

describe("a client", function()
  local server

  setup(function() server = peer.start() end)
  teardown(function() server:stop() end)

  local function listen(settings)
    local listener = server:listen(settings)
    finally(function() listener:close() end)
    return listener
  end

  local function client_of(url, more)
    local options = { base_url = url, access_token = "static", proxy = "", max_retries = 0, timeout = 5,
      tls = { ca_file = server.ca_file } }
    for name, value in pairs(more or {}) do options[name] = value or nil end
    local client = assert(podero.new(options))
    finally(function() client:close() end)
    return client
  end

  --- Calls in coroutines of their own, resumed in turn until all have ended or `seconds` are over: their results.
  local function together(calls, seconds)
    local threads, results, ends = {}, {}, socket.gettime() + (seconds or 20)
    for i, call in ipairs(calls) do
      threads[i] = coroutine.create(function() results[i] = { call() } end)
    end
    local left = #calls
    while left > 0 and socket.gettime() < ends do
      left = 0
      for _, thread in ipairs(threads) do
        if coroutine.status(thread) ~= "dead" then
          assert(coroutine.resume(thread))
          left = left + 1
        end
      end
      socket.sleep(0.001)
    end
    assert.equal(0, left, "calls have not ended")
    return results
  end

  local function yield() coroutine.yield() end

  --- A port on both loopback addresses: that of IPv4, which libcurl tries first, does not answer.
  local function listen_twice(settings)
    local deaf = listen { state = "deaf" }
    settings.host, settings.port = "::1", deaf.port
    local ok, other = pcall(listen, settings)
    return ok and deaf, other, ("http://localhost:%d"):format(deaf.port)
  end

  -- connections that never came about --------------------------------------------------------------------------------

  it("is not harmed by a connection that never came about", function()
    local deaf, _, url = listen_twice { good_token = { { "respond", 200, {}, faults.token_answer { expires_in = 0 } } } }
    if not deaf then return pending("this machine has no IPv6") end
    local client = client_of("https://no-such-host.invalid", { access_token = false, client_id = "a",
      client_secret = "some-secret", token_url = url .. helper.TOKEN_PATH })
    for _ = 1, 4 do
      local err = helper.failed("network", client:list_users(ORG))
      assert.truthy(err.message:find("resolve", 1, true), err.message)
    end
  end)

  it("tries the next address if the first one does not answer", function()
    local deaf, other, url = listen_twice { good_api = { good } }
    if not deaf then return pending("this machine has no IPv6") end
    local client = client_of(url)
    for _ = 1, 2 do assert.equal(3, #assert(client:list_users(ORG))) end
    assert.equal(1, select(2, other:received()))
  end)

  it("waits without turning though a child has kept what never became a connection, and it fails there", function()
    local deaf, other, url = listen_twice { good_api = { good } }
    if not deaf then return pending("this machine has no IPv6") end
    local pid, began
    local client = client_of(url, { wait = function(seconds, fd)
      began = began or socket.gettime()
      if not pid and socket.gettime() - began > 0.05 then -- the first address is being tried
        pid = process.fork()
        if pid == 0 then
          os.execute("sleep 4")
          process.leave(0)
        end
      end
      socket.select({ { getfd = function() return fd end } }, nil, seconds)
    end })
    assert.equal(3, #assert(client:list_users(ORG)))
    deaf:set { state = "listening" } -- the child's socket, which asks again each second, gets its answer
    other:set { api = { { { "pause", 2.5 }, good } } }
    local start = os.clock()
    assert.equal(3, #assert(client:list_users(ORG)))
    local seconds = os.clock() - start
    process.wait(pid)
    assert.is_true(seconds < (helper.CHECKED and 1.5 or 0.5), seconds)
  end)
end)
