-- Connections that were never established, that the server closed while they were idle, or that have gone silent do not
-- harm later calls. The server is spec.support.peer.
local faults = require "spec.support.faults"
local helper = require "spec.support.helper"
local peer = require "spec.support.peer"
local podero = require "podero"
local process = require "spec.support.process"
local socket = require "socket"
local versions = require "spec.support.versions"

local ORG = helper.ORG
local TLS, HTTP2 = { certificate = "server" }, { certificate = "server", h2 = true }
local SILENT = {} -- no acts: a stream without a response, on a connection that stays open
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

  --- Makes each call in a coroutine, resumes them in turn until all have ended, for `seconds` at most, and returns
  -- their results.
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

  --- A port on both loopback addresses. IPv4, which libcurl tries first, accepts no connection.
  local function listen_twice(settings)
    local deaf = listen { state = "deaf" }
    settings.host, settings.port = "::1", deaf.port
    local ok, other = pcall(listen, settings)
    return ok and deaf, other, ("http://localhost:%d"):format(deaf.port)
  end

  -- connections that were never established ---------------------------------------------------------------------------

  it("is not harmed by a connection that was never established", function()
    local token = { "respond", 200, {}, faults.token_response { expires_in = 0 } }
    local deaf, _, url = listen_twice { good_token = { token } }
    if not deaf then return pending("this machine has no IPv6") end
    local client = client_of("https://no-such-host.invalid", { access_token = false, client_id = "a",
      client_secret = "some-secret", token_url = url .. helper.TOKEN_PATH })
    for _ = 1, 4 do
      local err = helper.failed("network", client:list_users(ORG))
      assert.truthy(err.message:find("resolve", 1, true), err.message)
    end
  end)

  it("connects to the next address if the first one does not accept", function()
    local deaf, other, url = listen_twice { good_api = { good } }
    if not deaf then return pending("this machine has no IPv6") end
    local client = client_of(url)
    for _ = 1, 2 do assert.equal(3, #assert(client:list_users(ORG))) end
    assert.equal(1, select(2, other:received()))
  end)

  it("waits without using the processor while a child holds a socket that never connected", function()
    local deaf, other, url = listen_twice { good_api = { good } }
    if not deaf then return pending("this machine has no IPv6") end
    local gate, pid, began = process.gate(), nil, nil
    local client = client_of(url, { wait = function(seconds, fd)
      began = began or socket.gettime()
      if not pid and socket.gettime() - began > 0.05 then -- the first address is being tried
        pid = process.fork()
        if pid == 0 then
          gate.wait()
          process.leave(0)
        end
      end
      socket.select({ { getfd = function() return fd end } }, nil, seconds)
    end })
    assert.equal(3, #assert(client:list_users(ORG)))
    deaf:set { state = "listening" } -- the child's socket, which tries again each second, connects
    other:set { api = { { { "pause", 2.5 }, good } } }
    local start = os.clock()
    assert.equal(3, #assert(client:list_users(ORG)))
    local seconds = os.clock() - start
    gate.open()
    process.wait(pid)
    assert.is_true(seconds < (helper.CHECKED and 1.5 or 0.5), seconds)
  end)

  -- connections that the server closes while they are idle ------------------------------------------------------------

  --- A client with `count` idle connections, all closed by the server.
  local function with_closed_connections(tls, count)
    local closing = { { "meet", count }, good, { "end" } }
    local api, ids = {}, {}
    for i = 1, count do api[i], ids[i] = closing, organization(i) end
    local listener = listen { tls = tls, api = api, good_api = { good } }
    local attempts = {}
    local client = client_of(listener.url, { on_event = function(event) attempts[#attempts + 1] = event.attempt end })
    local results, errors = client:list_users_of(ids, { concurrency = count, max_retries = 0 })
    assert.same({}, errors)
    for _, id in ipairs(ids) do assert.equal(3, #results[id]) end
    listener:wait_for_ended(count)
    for i = #attempts, 1, -1 do attempts[i] = nil end
    return client, listener, attempts
  end

  for name, tls in pairs { ["HTTP/1.1"] = false, ["HTTP/1.1 over TLS"] = TLS } do
    for _, retries in ipairs { 0, 2 } do
      it(("succeeds at once after the server has closed 40 idle connections over %s, with max_retries = %d")
        :format(name, retries), function()
        local client, listener, attempts = with_closed_connections(tls, 40)
        for _ = 1, 5 do
          local seconds, list, err = helper.timed(client.list_users, client, ORG, { max_retries = retries })
          assert.equal(3, #assert(list, tostring(err)))
          assert.is_true(seconds < 0.5, seconds) -- no pause
        end
        assert.same({ 1, 1, 1, 1, 1 }, attempts)
        assert.equal(45, #listener:received())
      end)
    end
  end

  it("opens a connection for each call over TLS without waiting for the first one", function()
    local listener = listen { tls = TLS, api = { { { "meet", 8 }, good } }, good_api = { good } }
    local client = client_of(listener.url)
    local ids = {}
    for i = 1, 8 do ids[i] = organization(i) end
    assert.same({}, select(2, client:list_users_of(ids, { concurrency = 8 })))
  end)

  it("opens one connection for all calls over HTTP/2", function()
    local listener = listen { tls = HTTP2, good_api = { good } }
    local client = client_of(listener.url)
    local ids = {}
    for i = 1, 8 do ids[i] = organization(i) end
    assert.same({}, select(2, client:list_users_of(ids, { concurrency = 8 })))
    assert.equal(1, select(2, listener:received()))
  end)

  it("makes many calls at a time over HTTP/2, although the first response changes the receive buffer", function()
    local listener = listen { tls = HTTP2, good_api = { good } }
    local client = client_of(listener.url, { wait = yield })
    for _ = 1, 10 do
      local calls = {}
      for i = 1, 8 do
        calls[i] = function() return client:list_users(organization(i)) end
      end
      for _, result in ipairs(together(calls)) do assert.equal(3, #assert(result[1], tostring(result[2]))) end
    end
  end)

  it("resends a request that a kept connection lost once, not twice", function()
    local listener = listen { api = { { good }, { faults.CLOSE }, { faults.CLOSE } }, good_api = { good } }
    local client = client_of(listener.url)
    assert(client:list_users(ORG))
    local err = helper.failed("network", client:list_users(ORG))
    assert.equal(1, err.attempts)
    assert.equal(3, #listener:received())
    assert(client:list_users(ORG))
  end)

  --- The number of refresh requests that a listener has received.
  local function refreshes(listener)
    local count = 0
    for _, request in ipairs((listener:received())) do
      if request.kind == "token" and request.body:find("grant_type=refresh_token", 1, true) then count = count + 1 end
    end
    return count
  end

  for name, tls in pairs { ["HTTP/1.1"] = false, ["HTTP/1.1 over TLS"] = TLS, ["HTTP/2"] = HTTP2 } do
    for how, act in pairs { ["with a FIN"] = faults.CLOSE, ["with a reset"] = faults.RESET } do
      it(("sends a refresh token once over %s to a server that reads it and closes %s"):format(name, how), function()
        local first = { "respond", 200, {}, faults.token_response { expires_in = 0, refresh_token = "refresh-1" } }
        local listener = listen { tls = tls, token = { { first }, { act } }, good_api = { good },
          good_token = { { "respond", 400, {}, "{\"error\": \"invalid_grant\"}" } } }
        local client = client_of(listener.url, { access_token = false, username = "ada", password = "some-secret",
          token_encoding = "form" })
        assert(client:list_users(ORG))
        helper.failed("network", client:list_users(ORG))
        assert.equal(1, refreshes(listener))
      end)
    end
  end

  for grant, credentials in pairs {
    password = { username = "ada", password = "some-secret" },
    client_credentials = { client_id = "a", client_secret = "some-secret" },
  } do
    it("does not resend a lost token request of the grant " .. grant, function()
      local first = { "respond", 200, {}, faults.token_response { expires_in = 0 } }
      local listener = listen { token = { { first } }, good_token = { faults.CLOSE }, good_api = { good } }
      credentials.access_token, credentials.token_encoding = false, "form"
      local client = client_of(listener.url, credentials)
      assert(client:token())
      helper.failed("network", client:token())
      assert.equal(2, #listener:received())
    end)
  end

  it("resends a lost request once, even if it has more idle connections that the server closes", function()
    local first = {}
    for i = 1, 5 do first[i] = { { "meet", 5 }, good } end
    local listener = listen { api = first, good_api = { faults.CLOSE } }
    local client = client_of(listener.url, { wait = yield })
    local calls = {}
    for i = 1, 5 do calls[i] = function() return assert(client:list_users(ORG)) end end
    together(calls)
    assert.equal(5, select(2, listener:received()))
    local err = together({ function() return client:list_users(ORG) end })[1][2]
    assert.equal("network", err.kind)
    assert.equal(1, err.attempts)
    assert.equal(7, #listener:received())
  end)

  it("keeps the parent's connections open when a child needs a connection for itself", function()
    local listener = listen { tls = TLS, good_api = { good } }
    local client = client_of(listener.url, { max_connections = 1 })
    assert(client:list_users(ORG))
    local child = process.start(function()
      local count = 0
      for _ in client:each_user(ORG) do count = count + 1 end
      return count
    end)
    assert.equal("3", child.result())
    assert(client:list_users(ORG))
    assert.equal(2, select(2, listener:received()))
  end)

  it("reuses the connections of abandoned loops when max_connections is reached", function()
    local listener = listen { good_api = { { "send", "HTTP/1.1 200 OK\r\n\r\n" .. good[4]:sub(1, -2) }, faults.STALL } }
    local client = client_of(listener.url, { max_connections = 4, timeout = 3 })
    for _ = 1, 8 do
      local iterator = client:each_user(ORG)
      assert.is_string(iterator().id)
    end
  end)

  -- connections that go silent ----------------------------------------------------------------------------------------

  it("opens another HTTP/2 connection if one goes silent after a good response", function()
    local listener = listen { tls = HTTP2, api = { { good }, { faults.STALL } }, good_api = { good } }
    local client = client_of(listener.url)
    assert(client:list_users(ORG))
    helper.failed("timeout", client:list_users(ORG, { timeout = 0.3 }))
    for _ = 1, 3 do assert.equal(3, #assert(client:list_users(ORG))) end
    assert.equal(2, select(2, listener:received()))
  end)

  it("opens another HTTP/2 connection if one is silent from its first request", function()
    local listener = listen { tls = HTTP2, api = { { faults.STALL } }, good_api = { good } }
    local client = client_of(listener.url)
    helper.failed("timeout", client:list_users(ORG, { timeout = 0.3 }))
    for _ = 1, 3 do assert.equal(3, #assert(client:list_users(ORG))) end
    assert.equal(2, select(2, listener:received()))
  end)

  it("sends the requests of waiting calls over another connection if theirs goes silent", function()
    local listener = listen { tls = HTTP2, api = { { good }, { faults.STALL } }, good_api = { good } }
    local attempts = {}
    local client = client_of(listener.url, { wait = yield,
      on_event = function(event) attempts[#attempts + 1] = event.error_kind or event.attempt end })
    together { function() assert(client:list_users(ORG)) end }
    local calls = { function() return client:list_users(ORG, { timeout = 1.2 }) end }
    for i = 2, 6 do
      calls[i] = function() return client:list_users(organization(i), { timeout = 8 }) end
    end
    local start = socket.gettime()
    local results = together(calls)
    helper.failed("timeout", results[1][1], results[1][2])
    for i = 2, 6 do assert.equal(3, #assert(results[i][1], tostring(results[i][2]))) end
    assert.is_true(socket.gettime() - start < 4)
    assert.same({ 1, "timeout", 1, 1, 1, 1, 1 }, attempts)
    assert.equal(2, select(2, listener:received()))
  end)

  it("ends only the stream that stays silent if others on its connection make progress", function()
    local listener = listen { tls = HTTP2, api = { { good }, SILENT }, good_api = { { "pause", 0.02 }, good } }
    local client = client_of(listener.url, { wait = yield })
    together { function() assert(client:list_users(ORG)) end }
    local over, served = false, 0
    local function silent()
      local list, err = client:list_users(ORG, { timeout = 1.5 })
      over = true
      helper.failed("timeout", list, err)
    end
    local function others()
      yield() -- after the silent one
      repeat
        assert(client:list_users(ORG))
        served = served + 1
      until over and served > 20
    end
    together { silent, others, others }
    for _ = 1, 3 do together { function() assert(client:list_users(ORG)) end } end
    assert.equal(1, select(2, listener:received()))
  end)

  it("keeps other calls on a connection that has been silent for less than a second", function()
    local listener = listen { tls = HTTP2, api = { { good }, { { "pause", 0.6 }, good } }, good_api = { good } }
    local client = client_of(listener.url, { wait = yield })
    together { function() assert(client:list_users(ORG)) end }
    local results = together {
      function() return client:list_users(ORG) end,
      function() return client:list_users(organization(1), { timeout = 0.2 }) end,
    }
    assert.equal(3, #assert(results[1][1], tostring(results[1][2])))
    helper.failed("timeout", results[2][1], results[2][2])
    assert.equal(1, select(2, listener:received()))
  end)

  -- descriptors -------------------------------------------------------------------------------------------------------

  --- Runs a program with a limit of 30 descriptors and returns what it prints. In it, `without_descriptors(left, f)`
  -- calls f while only `left` descriptors are free, and `client_of` makes clients.
  local function run_short_of_descriptors(url, program)
    local output = helper.shell("ulimit -n 30; " .. helper.command(([[
      local podero = require "podero"
      local url, ORG = %q, %q
      local function client_of(base_url, more)
        local options = { base_url = base_url, access_token = "static", proxy = "", max_retries = 0, timeout = 5,
          tls = { ca_file = %q } }
        for name, value in pairs(more or {}) do options[name] = value end
        return assert(podero.new(options))
      end
      local function without_descriptors(left, f)
        local files = {}
        repeat
          local file = io.open "/dev/null"
          files[#files + 1] = file
        until not file
        for _ = 1, left do table.remove(files):close() end
        f()
        for _, file in ipairs(files) do file:close() end
      end
    ]]):format(url, ORG, server.ca_file) .. program))
    return output
  end

  for name, tls in pairs { ["HTTP/1.1"] = false, ["HTTP/1.1 over TLS"] = TLS, ["HTTP/2"] = HTTP2 } do
    it("says that no descriptor is left for a connection over " .. name .. ", and recovers", function()
      local listener = listen { tls = tls, good_api = { good } }
      local output = run_short_of_descriptors(listener.url, [[
        for left = 0, 4 do
          for _, base_url in ipairs { url, "https://no-such-host.invalid" } do
            local client = client_of(base_url)
            without_descriptors(left, function()
              local list, err = client:list_users(ORG)
              local fine = list or err.kind == "network" and err.retryable and
                (err.message:find "too many open files" or left > 0 and err.message:find "resolve")
              print(left, fine and "fine" or tostring(err))
              if left == 0 then print(err.message:match "too many open files") end
            end)
            local list, err = client:list_users(ORG)
            print(base_url ~= url and err.message:match "resolve" or list and #list or tostring(err))
            client:close()
          end
        end
      ]])
      local expected = {}
      for left = 0, 4 do
        for _, good_end in ipairs { "3", "resolve" } do
          expected[#expected + 1] = left .. "\tfine"
          if left == 0 then expected[#expected + 1] = "too many open files" end
          expected[#expected + 1] = good_end
        end
      end
      assert.equal(table.concat(expected, "\n") .. "\n", output)
    end)
  end

  it("made when no descriptor is left says so in its calls, and recovers", function()
    local listener = listen { good_api = { good } }
    local output = run_short_of_descriptors(listener.url, ([[
      local client
      without_descriptors(0, function()
        client = client_of(url)
        print(select(2, client:list_users(ORG)).message:match "too many open files")
      end)
      without_descriptors(1 + %d, function() -- for libcurl and a socket, but none for a wakeup
        print(#assert(client:list_users(ORG)))
      end)
      for _ = 1, 2 do print(#assert(client:list_users(ORG))) end
    ]]):format(versions.multi_descriptors))
    assert.equal("too many open files\n3\n3\n3\n", output)
  end)

  it("continues other calls if no descriptor is left for one", function()
    local listener = listen { api = { { { "pause", 0.3 }, good } }, good_api = { good } }
    local output = run_short_of_descriptors(listener.url, [[
      local client = client_of(url, { wait = coroutine.yield })
      local threads = {}
      for i = 1, 2 do
        threads[i] = coroutine.create(function()
          local list, err = client:list_users(ORG)
          print(i, list and #list or err.message:match "too many open files" or err)
        end)
      end
      local function resume(i)
        if coroutine.status(threads[i]) ~= "dead" then assert(coroutine.resume(threads[i])) end
      end
      for _ = 1, 5 do resume(1) end
      without_descriptors(0, function()
        while coroutine.status(threads[2]) ~= "dead" do resume(2) end
      end)
      while coroutine.status(threads[1]) ~= "dead" do resume(1) end
    ]])
    assert.equal("2\ttoo many open files\n1\t3\n", output)
  end)

  -- long iterations ---------------------------------------------------------------------------------------------------

  for name, tls in pairs { ["HTTP/1.1"] = false, ["HTTP/1.1 over TLS"] = TLS, ["HTTP/2"] = HTTP2 } do
    it("calls wait every 50 ms while 60 KB over " .. name .. " unpack to 60 MB of blanks", function()
      local listener = listen { tls = tls, good_api = { { "blanks", 60 } } }
      --- Processor time of the longest run between two waits, in seconds. Other processes do not affect it.
      local function longest_run(call)
        local longest, ended = 0, nil
        local client = client_of(listener.url, { timeout = 60, wait = function(seconds, fd)
          if ended then longest = math.max(longest, os.clock() - ended) end
          socket.select({ { getfd = function() return fd end } }, nil, seconds)
          ended = os.clock()
        end })
        call(client)
        return longest
      end
      for _, call in ipairs {
        function(client) assert.same({}, assert(client:list_users(ORG))) end,
        function(client)
          for _ in client:each_user(ORG) do error("a user") end
        end,
      } do
        local seconds, bound = math.huge, helper.CHECKED and 2 or 0.05
        for _ = 1, 8 do -- the speed of a processor varies
          if seconds >= bound then seconds = longest_run(call) end
        end
        assert.is_true(seconds < bound, seconds)
      end
    end)
  end

  -- max_connections ---------------------------------------------------------------------------------------------------

  local SLOW = { { "pause", 0.02 }, good }

  for name, tls in pairs { ["HTTP/1.1"] = false, ["HTTP/1.1 over TLS"] = TLS } do
    it("opens at most max_connections at a time over " .. name .. "; further calls wait", function()
      for _, most in ipairs { 1, 3 } do
        local listener = listen { tls = tls, good_api = SLOW }
        local client = client_of(listener.url, { max_connections = most })
        local ids = {}
        for i = 1, 12 do ids[i] = organization(i) end
        local results, errors = client:list_users_of(ids, { concurrency = 12 })
        assert.same({}, errors)
        for _, id in ipairs(ids) do assert.equal(3, #results[id]) end
        assert.equal(most, select(4, listener:received()))
      end
    end)

    it("counts the connections of each_user towards max_connections over " .. name, function()
      local listener = listen { tls = tls, good_api = SLOW }
      local client = client_of(listener.url, { max_connections = 3, wait = yield })
      local function loop()
        local count, next_user = 0, client:each_user(ORG)
        while next_user() do -- Lua 5.1 cannot yield in a for loop's iterator
          count = count + 1
          assert(client:list_users(ORG)) -- waiting loops leave it a connection
        end
        return count
      end
      local calls = { loop, loop, loop, loop, loop, loop }
      for i = 7, 12 do
        calls[i] = function() return #assert(client:list_users(ORG)) end
      end
      for _ = 1, 2 do -- the second time, idle connections have to be closed
        for _, result in ipairs(together(calls)) do assert.equal(3, result[1]) end
      end
      assert.equal(3, select(4, listener:received()))
    end)
  end

  it("keeps a connection for calls in a loop of each_user, even if max_connections is 1", function()
    local listener = listen { good_api = { good } }
    local client = client_of(listener.url, { max_connections = 1 })
    for _ in client:each_user(ORG) do assert(client:list_users(ORG)) end
    assert.is_true(select(4, listener:received()) <= 2)
  end)

  it("ends a call that waits for a connection at its deadline, and serves those after it", function()
    local listener = listen { good_api = { good } }
    local client = client_of(listener.url, { max_connections = 2 })
    for _ = 1, 3 do
      local next_user = client:each_user(ORG)
      assert.is_table(next_user())
      local ok, err = pcall(client:each_user(ORG, { timeout = 0.1 }))
      assert.is_false(ok)
      assert.equal("timeout", err.kind)
      assert.is_table(next_user())
      assert.is_table(next_user())
      assert.is_nil(next_user())
    end
    for _ in client:each_user(ORG) do assert(client:list_users(ORG)) end
    assert.is_true(select(4, listener:received()) <= 2)
  end)

  it("closes an idle connection if each_user needs a new one", function()
    local listener = listen { good_api = SLOW }
    local client = client_of(listener.url, { max_connections = 3 })
    client:list_users_of({ organization(1), organization(2), organization(3) }, { concurrency = 3 })
    assert.equal(3, select(4, listener:received()))
    local count = 0
    for _ in client:each_user(ORG) do count = count + 1 end
    assert.equal(3, count)
    assert.equal(3, select(4, listener:received()))
    assert.equal(4, select(2, listener:received()))
    assert(client:list_users(ORG))
  end)

  it("makes each_user wait for a connection while calls use all of them", function()
    local listener = listen { good_api = { { "pause", 0.1 }, good } }
    local client = client_of(listener.url, { max_connections = 2, wait = yield })
    local function list() return #assert(client:list_users(ORG)) end
    local results = together { list, list, function()
      local count, next_user = 0, client:each_user(ORG)
      while next_user() do count = count + 1 end
      return count
    end }
    assert.same({ { 3 }, { 3 }, { 3 } }, results)
    assert.equal(2, select(4, listener:received()))
  end)

  it("ends a waiting each_user at its deadline, and still serves the one before it", function()
    local listener = listen { good_api = { good } }
    local client = client_of(listener.url, { max_connections = 2, wait = yield })
    local first = client:each_user(ORG)
    local function loop(timeout)
      local next_user = client:each_user(ORG, { timeout = timeout })
      return coroutine.create(function()
        local count = 0
        while next_user() do count = count + 1 end
        return count
      end)
    end
    local function run(thread)
      local ok, result
      repeat
        ok, result = coroutine.resume(thread)
        socket.sleep(0.001)
      until coroutine.status(thread) == "dead"
      return ok, result
    end
    together { function() assert(first()) end }
    local patient, hasty = loop(5), loop(0.1)
    assert(coroutine.resume(patient)) -- the first to wait
    local ok, err = run(hasty)
    assert.is_false(ok)
    assert.equal("timeout", err.kind)
    together { function() while first() do end end } -- luacheck: ignore 542
    assert.same({ true, 3 }, { run(patient) })
    assert.equal(2, #listener:received())
  end)
end)
