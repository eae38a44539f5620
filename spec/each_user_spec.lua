local cjson = require "cjson"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local socket = require "socket"
local users = require "spec.support.mock.users"

local ORG = helper.ORG

--- All users of the iterator.
local function collect(client, opts, org_id)
  local list = {}
  for user in client:each_user(org_id or ORG, opts) do list[#list + 1] = user end
  return list
end

--- The users until the loop fails, and the error that it raises.
local function collect_until_error(client, opts, org_id)
  local list = {}
  local ok, err = pcall(function()
    for user in client:each_user(org_id or ORG, opts) do list[#list + 1] = user end
  end)
  assert.is_false(ok, "the loop has not failed")
  return list, err
end

describe("each_user", function()
  local server

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(function() helper.close_clients() end)

  local function serve(count, more)
    local organization = { users = count, seed = 7 }
    for name, value in pairs(more or {}) do organization[name] = value end
    helper.static(server, { organizations = { [ORG] = organization } })
    return helper.client(server, { access_token = "static" })
  end

  --- The bytes that the server has sent of the list of ORG.
  local function sent_of_list()
    for _, request in ipairs(server:requests("api")) do
      if request.path == helper.users_path() then return request.sent end
    end
    error("there was no request")
  end

  it("returns the users of list_users one by one", function()
    for _, count in ipairs { 0, 1, 2, 25, 3000 } do
      local client = serve(count)
      local list = collect(client)
      assert.equal(count, #list)
      assert.is_nil(helper.difference(client:list_users(ORG), list))
    end
  end)

  it("returns the server's users over plain HTTP, over HTTP/2 with TLS, and with gzip", function()
    local expected = helper.oracle(users.list_json(7, 5000))
    for _, gzip in ipairs { false, true } do
      for _, make in ipairs { helper.client, helper.tls_client } do
        helper.static(server, { gzip = gzip, organizations = { [ORG] = { users = 5000, seed = 7 } } })
        local list = collect(make(server, { access_token = "static" }))
        assert.is_nil(helper.difference(expected, list))
      end
    end
  end)

  it("accepts the options of list_users", function()
    local client = serve(9)
    assert.equal(10, #collect(client, { include_deleted = true }))
    assert.equal(helper.users_path() .. "?include_deleted=true", helper.last(server, "api").uri)
    helper.raises({ "unknown option 'concurrency'", "each_user" }, client.each_user, client, ORG, { concurrency = 1 })
    helper.raises({ "string expected", "each_user" }, client.each_user, client, 1)
  end)

  it("raises an error that has the number of users delivered", function()
    local client = serve(0)
    local _, err = collect_until_error(client, nil, "no uuid")
    assert.equal("argument", err.kind)
    assert.equal(0, err.delivered)
    helper.static(server, { organizations = { [ORG] = { status = 404 } } })
    local list
    list, err = collect_until_error(client)
    assert.equal(0, #list)
    assert.equal("http", err.kind)
    assert.equal(404, err.status)
    assert.equal(0, err.delivered)
    local json = users.list_json(7, 40)
    helper.static(server, { organizations = { [ORG] = { raw = json:sub(1, -20) } } })
    list, err = collect_until_error(client)
    assert.equal("decode", err.kind)
    assert.equal(39, #list)
    assert.equal(39, err.delivered)
    assert.truthy(err.message:find("after 39 users", 1, true), err.message)
  end)

  it("delivers the users before an invalid one", function()
    local list, good = {}, users.user_json(7, 1)
    for i = 1, 9 do list[i] = good end
    list[10] = "{\"id\": true}"
    local client = serve(0, { raw = "[" .. table.concat(list, ",") .. "]" })
    local given, err = collect_until_error(client)
    assert.equal(9, #given)
    assert.equal("schema", err.kind)
    assert.equal(9, err.delivered)
    assert.truthy(err.message:find("[10].id: expected string, got boolean", 1, true), err.message)
    assert.equal(1, server:counts().api)
  end)

  it("retries until the first user is delivered, and not after that", function()
    local client = serve(100)
    server:patch { script = { api = { { status = 503, headers = { ["Retry-After"] = "0" } }, { fault = "reset" } } } }
    assert.equal(100, #collect(client))
    assert.equal(3, server:counts().api)
    server:reset()
    client = serve(5000)
    server:patch { script = { api = { { fault = "reset_in_body", after = 1000000 } } } }
    local list, err = collect_until_error(client)
    assert.is_true(#list > 0 and #list < 5000)
    assert.equal(#list, err.delivered)
    assert.equal("network", err.kind)
    assert.equal(1, server:counts().api)
  end)

  it("starts from the beginning if an attempt failed before the first user", function()
    local client = serve(3)
    server:patch { script = { api = { { fault = "truncate", after = 100 } } } }
    local list = collect(client)
    assert.equal(3, #list)
    assert.is_nil(helper.difference(helper.oracle(users.list_json(7, 3)), list))
    assert.equal(2, server:counts().api)
  end)

  it("pauses the transfer while the loop is slow", function()
    local client = serve(100000)
    local iterator = client:each_user(ORG)
    assert.is_table(iterator())
    for _ = 1, 100 do assert(client:list_users(helper.OTHER_ORG)) end -- these run the client's sockets
    -- As much as the kernel's buffers and ours hold; the list has 61 MB.
    assert.is_true(sent_of_list() < 20000000)
  end)

  it("does not delay other calls over HTTP/2 while the loop is slow", function()
    helper.static(server, { organizations = { [ORG] = { users = 50000, seed = 3 } } })
    local client = helper.tls_client(server, { access_token = "static", timeout = 5 })
    local iterator = client:each_user(ORG)
    assert(iterator())
    for _ = 1, 3 do assert.equal(25, #assert(client:list_users(helper.OTHER_ORG))) end
    local count = 1
    for _ in iterator do count = count + 1 end
    assert.equal(50000, count)
    assert.equal(2, server:counts().connections) -- its own, and one for the other calls
  end)

  it("pauses the transfer over HTTP/2, even if other calls are made in the loop", function()
    helper.static(server, { organizations = { [ORG] = { users = 150000, seed = 3 } } })
    local client = helper.tls_client(server, { access_token = "static" })
    local iterator = client:each_user(ORG)
    assert(iterator())
    for _ = 1, 300 do assert(client:list_users(helper.OTHER_ORG)) end
    assert.is_true(sent_of_list() < 20000000)
    local count = 1
    for _ in iterator do count = count + 1 end
    assert.equal(150000, count)
  end)

  it("returns the first user before 2 % of the list have arrived", function()
    serve(100000)
    local arrived
    local client = helper.client(server, {
      access_token = "static",
      on_event = function(event) arrived = event.bytes end,
    })
    local iterator = client:each_user(ORG)
    assert.is_table(iterator())
    client:close()
    assert.is_false((pcall(iterator))) -- closed, so the event tells how far the transfer was
    assert.is_true(arrived > 0 and arrived < 0.02 * 61000000, arrived)
  end)

  it("needs no more memory for a long list than for a short one", function()
    if helper.CHECKED then return pending("a checked build needs more memory") end
    local client = serve(1000)
    local function resident()
      collectgarbage()
      collectgarbage()
      for line in io.lines("/proc/self/status") do
        local kilobytes = line:match("^VmRSS:%s*(%d+)")
        if kilobytes then return tonumber(kilobytes) end
      end
    end
    local function run()
      local count = 0
      for _ in client:each_user(ORG, { timeout = 60 }) do count = count + 1 end
      return count
    end
    assert.equal(1000, run())
    local before = resident()
    server:configure { accept_tokens = { "static" }, organizations = { [ORG] = { users = 100000, seed = 7 } } }
    assert.equal(100000, run())
    assert.is_true(resident() - before < 4096, resident() - before)
  end)

  it("has no limit on the response unless opts give one", function()
    helper.static(server, { organizations = { [ORG] = { users = 1000, seed = 7 } } })
    local client = helper.client(server, { access_token = "static", max_response_bytes = 1000 })
    helper.failed("too_large", client:list_users(ORG))
    assert.equal(1000, #collect(client))
    local _, err = collect_until_error(client, { max_response_bytes = 100000 })
    assert.equal("too_large", err.kind)
  end)

  describe("ends the transfer and leaks nothing", function()
    --- Waits until the server has no list in flight.
    local function ended()
      for _ = 1, 200 do
        if server:counts().in_flight.api == 0 then return true end
        socket.sleep(0.02)
      end
      return false
    end

    it("if the loop is left early", function()
      local client = serve(100000)
      for _ in client:each_user(ORG) do break end -- luacheck: ignore 512
      collectgarbage()
      collectgarbage()
      assert.is_true(ended())
      assert.equal(100000, #client:list_users(ORG))
    end)

    it("if the loop raises an error", function()
      local client = serve(100000)
      local ok, err = pcall(function()
        for _ in client:each_user(ORG) do error("of the loop", 0) end -- luacheck: ignore 512
      end)
      assert.is_false(ok)
      assert.equal("of the loop", err)
      collectgarbage()
      collectgarbage()
      assert.is_true(ended())
    end)

    -- Lua 5.4 closes the iterator of a loop; other Luas leave it to the garbage collector, as above.
    if not _VERSION:find "5%.[123]" then
      it("without a collection if the loop is left early", function()
        local client = serve(100000)
        collectgarbage("stop")
        for _ in client:each_user(ORG) do break end -- luacheck: ignore 512
        local over = ended()
        collectgarbage("restart")
        assert.is_true(over)
      end)
    end

    it("if the client is closed in the loop", function()
      local client = serve(100000)
      local count, err = 0, nil
      local ok = pcall(function()
        local iterator = client:each_user(ORG)
        while true do
          local good, user = pcall(iterator)
          if not good then
            err = user
            break
          end
          assert(user)
          count = count + 1
          if count == 3 then client:close() end
        end
      end)
      assert.is_true(ok)
      assert.equal(3, count)
      assert.equal("closed", err.kind)
      assert.equal(3, err.delivered)
      assert.is_true(ended())
    end)

    it("if an iterator is never called, since nothing is sent before", function()
      local client = serve(10)
      client:each_user(ORG)
      collectgarbage()
      collectgarbage()
      assert.equal(0, server:counts().api)
      assert.equal(10, #client:list_users(ORG))
    end)

    it("before descriptors run out if many loops are left early", function()
      local client = helper.client(server)
      local junk = {}
      for i = 1, 200000 do junk[i] = {} end -- so that no collection starts by itself
      server:configure { default_users = 5000 }
      for _ = 1, 150 do
        for _ in client:each_user(ORG) do break end -- luacheck: ignore 512
      end
      assert.is_true(server:counts().in_flight.api < 40, server:counts().in_flight.api)
      assert.equal(200000, #junk)
    end)
  end)

  describe("returns an iterator with close, which", function()
    --- Waits until the server has no list in flight.
    local function ended()
      for _ = 1, 300 do
        if server:counts().in_flight.api == 0 then return true end
        socket.sleep(0.01)
      end
      return false
    end

    it("ends the transfer and the iterator at once, but not the client", function()
      local client = serve(100000)
      collectgarbage("stop")
      finally(function() collectgarbage("restart") end)
      local iterator = client:each_user(ORG)
      for _ = 1, 3 do assert.is_table(iterator()) end
      assert.equal(1, server:counts().in_flight.api)
      for _ = 1, 2 do
        assert.equal(0, select("#", iterator:close()))
        assert.is_nil(iterator())
      end
      assert.is_true(ended())
      local before = helper.descriptors()
      for _ = 1, 20 do
        iterator = client:each_user(ORG)
        assert.is_table(iterator())
        iterator:close()
      end
      assert.equal(before, helper.descriptors())
      assert.equal(100000, #client:list_users(ORG))
    end)

    it("ends the loop if it is called in its body", function()
      local client = serve(100000)
      local iterator, count = client:each_user(ORG), 0
      for _ in iterator do
        count = count + 1
        if count == 10 then iterator:close() end
      end
      assert.equal(10, count)
      assert.is_true(ended())
    end)

    it("is harmless before the first user, after the last one, after an error, and on a closed client", function()
      local client = serve(2)
      local iterator = client:each_user(ORG)
      iterator:close()
      assert.is_nil(iterator())
      assert.equal(0, server:counts().api)
      iterator = client:each_user(ORG)
      assert.equal(2, #{ iterator(), iterator() })
      assert.is_nil(iterator())
      iterator:close()
      assert.is_nil(iterator())
      server:patch { always_api = { status = 403 } }
      iterator = client:each_user(ORG)
      assert.is_false((pcall(iterator)))
      iterator:close()
      assert.is_nil(iterator())
      iterator = client:each_user(ORG)
      client:close()
      iterator:close()
      assert.is_nil(iterator())
    end)

    it("may be called by on_progress", function()
      local client, iterator = serve(100000), nil
      iterator = client:each_user(ORG, { on_progress = function() iterator:close() end })
      local count = 0
      for _ in iterator do count = count + 1 end
      assert.is_true(count > 0 and count < 100000, count)
      assert.is_true(ended())
    end)

    it("may be called by a finalizer while a user is being decoded", function()
      local closed_early = 0
      for _ = 1, 10 do
        local client, count, closed = serve(20000), 0, false
        local iterator = client:each_user(ORG)
        for _ in iterator do
          count = count + 1
          if count == 100 then
            helper.finalized(function() -- somewhere in the next users
              closed = true
              iterator:close()
            end)
          end
        end
        assert.equal(closed, count < 20000)
        if closed then closed_early = closed_early + 1 end
        assert.is_true(ended())
        assert.is_nil(iterator())
      end
      assert.is_true(closed_early > 0)
    end)
  end)

  it("serves several coroutines: each user goes to one of them, and it ends for all", function()
    helper.static(server, {
      organizations = { [ORG] = { users = 500, seed = 7 } },
      script = { api = { { fault = "drip", after = 100000, chunk = 4000, interval = 0.001 } } },
    })
    local client = helper.client(server, { access_token = "static", wait = function(seconds, fd)
      coroutine.yield(seconds, fd)
    end })
    local iterator = client:each_user(ORG)
    local seen, workers = {}, {}
    for i = 1, 3 do
      workers[i] = { thread = coroutine.create(function()
        local user = iterator()
        while user do
          seen[#seen + 1] = user
          user = iterator()
        end
        return "over"
      end) }
    end
    local over, ends = 0, socket.gettime() + 20
    -- As schedulers do: resumes each coroutine when its descriptor is readable or its time is up.
    while over < 3 and socket.gettime() < ends do
      local watched = {}
      for _, worker in ipairs(workers) do
        if worker.fd then watched[#watched + 1] = worker end
      end
      if #watched > 0 then socket.select(watched, nil, 0.05) end
      for _, worker in ipairs(workers) do
        local now = socket.gettime()
        if worker.thread and (not worker.fd or now >= worker.ends or socket.select({ worker }, nil, 0)[1]) then
          local ok, seconds, fd = coroutine.resume(worker.thread)
          assert.is_true(ok, tostring(seconds))
          if seconds == "over" then
            over, worker.thread, worker.fd = over + 1, nil, nil
          else
            worker.ends, worker.fd = now + seconds, fd
            worker.getfd = function() return fd end
            worker.dirty = function() return false end
          end
        end
      end
    end
    assert.equal(3, over)
    table.sort(seen, function(a, b) return a.id < b.id end)
    local expected = helper.oracle(users.list_json(7, 500))
    table.sort(expected, function(a, b) return a.id < b.id end)
    assert.is_nil(helper.difference(expected, seen))
  end)

  it("fails for all coroutines that wait for its next user", function()
    helper.static(server, { always_api = { fault = "stall", after = 0 } })
    local client = helper.client(server, { access_token = "static", wait = function(seconds, fd)
      coroutine.yield(seconds, fd)
    end })
    local iterator = client:each_user(ORG)
    local threads = {}
    for i = 1, 3 do
      threads[i] = coroutine.create(function() return iterator() end)
      assert.is_true(coroutine.resume(threads[i]))
    end
    client:close()
    for i = 1, 3 do
      local ok, err = coroutine.resume(threads[i])
      assert.is_false(ok)
      assert.equal("closed", err.kind)
    end
    assert.is_nil(iterator())
  end)

  it("returns nil after its end and after its error", function()
    local client = serve(2)
    local iterator = client:each_user(ORG)
    assert(iterator())
    assert(iterator())
    assert.is_nil(iterator())
    assert.is_nil(iterator())
    iterator = client:each_user("11111111-1111-4111-8111-111111111111")
    server:configure { always_api = { status = 403 } }
    assert.is_false((pcall(iterator)))
    assert.is_nil(iterator())
  end)

  it("may run several times at once, with other calls in between", function()
    local client = serve(300)
    local first, second = client:each_user(ORG), client:each_user(ORG)
    local count = 0
    for _ = 1, 300 do
      local a, b = first(), second()
      assert.equal(a.id, b.id)
      count = count + 1
      if count % 100 == 0 then assert.equal(300, #client:list_users(ORG)) end
    end
    assert.is_nil(first())
    assert.is_nil(second())
  end)

  it("times out if no byte arrives while the loop waits, not while the loop's body runs", function()
    local client = serve(5000)
    server:patch { script = { api = { { fault = "stall", after = 700000 } } } }
    local count = 0
    local seconds, ok, err = helper.timed(pcall, function()
      for _ in client:each_user(ORG, { timeout = 0.4 }) do
        count = count + 1
        if count == 10 then socket.sleep(0.6) end
      end
    end)
    assert.is_false(ok)
    assert.equal("timeout", err.kind)
    assert.is_true(count > 10)
    assert.equal(count, err.delivered)
    assert.is_true(seconds > 0.9 and seconds < 2, seconds)
  end)

  it("times out before the first user as any call does", function()
    local client = serve(10)
    server:patch { always_api = { delay = 5 } }
    local seconds, _, err = helper.timed(collect_until_error, client, { timeout = 0.3 })
    assert.equal("timeout", err.kind)
    assert.is_true(seconds < 0.8, seconds)
  end)

  it("works in a coroutine", function()
    local client = serve(50)
    local producer = coroutine.wrap(function()
      for user in client:each_user(ORG) do coroutine.yield(user) end
    end)
    local count = 0
    for _ in producer do count = count + 1 end
    assert.equal(50, count)
  end)
end)

describe("on_progress", function()
  local server

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(function() helper.close_clients() end)

  local function run(method, client, opts)
    if method == "list_users" then
      assert(client:list_users(ORG, opts))
    else
      for _ in client:each_user(ORG, opts) do end -- luacheck: ignore 542
    end
  end

  for _, method in ipairs { "list_users", "each_user" } do
    describe("of " .. method, function()
      it("is called with bytes and users at the end, and before that at most ten times a second", function()
        helper.static(server, { organizations = { [ORG] = { users = 50000, seed = 7 } } })
        local client = helper.client(server, { access_token = "static" })
        local calls = {}
        local seconds = helper.timed(run, method, client, { on_progress = function(bytes, count)
          calls[#calls + 1] = { bytes, count }
        end })
        local last = calls[#calls]
        assert.equal(50000, last[2])
        assert.equal(#users.list_json(7, 50000), last[1])
        assert.is_true(#calls <= seconds * 10 + 2, #calls)
        for i = 2, #calls do
          assert.is_true(calls[i][1] >= calls[i - 1][1] and calls[i][2] >= calls[i - 1][2])
        end
        if math.type then assert.equal("integer", math.type(last[1])) end
      end)

      it("ends the call with the error that it raises, unchanged", function()
        local client = helper.client(server)
        local problem = {}
        local ok, err = pcall(run, method, client, { on_progress = function() error(problem) end })
        assert.is_false(ok)
        assert.equal(problem, err)
        assert.equal(25, #client:list_users(ORG))
      end)

      it("must be a function", function()
        local client = helper.client(server)
        helper.raises({ "on_progress", method }, client[method], client, ORG, { on_progress = 1 })
      end)
    end)
  end

  it("is not called if a call fails before the list", function()
    helper.static(server, { always_api = { status = 404 } })
    local told = 0
    local client = helper.client(server, { access_token = "static" })
    helper.failed("http", client:list_users(ORG, { on_progress = function() told = told + 1 end }))
    assert.equal(0, told)
  end)
end)

describe("list_users_of", function()
  local server

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(function() helper.close_clients() end)

  local function organizations(count)
    local ids = {}
    for i = 1, count do ids[i] = ("%08x-0000-4000-8000-000000000000"):format(i) end
    return ids
  end

  it("returns results and errors keyed by organization id", function()
    local ids = organizations(12)
    server:configure { organizations = {
      [ids[2]] = { status = 404 }, [ids[5]] = { raw = "[{}]" }, [ids[7]] = { users = 0 }, [ids[8]] = { status = 403 },
    } }
    ids[13] = "no uuid"
    local results, errors = helper.client(server):list_users_of(ids)
    for i, id in ipairs(ids) do
      assert.is_true((results[id] == nil) ~= (errors[id] == nil), id)
      if i ~= 2 and i ~= 5 and i ~= 8 and i ~= 13 then
        assert.equal(i == 7 and 0 or 25, #results[id])
        for _, user in ipairs(results[id]) do assert.equal(id, user.organization_id) end
      end
    end
    assert.equal(404, errors[ids[2]].status)
    assert.equal("schema", errors[ids[5]].kind)
    assert.equal(403, errors[ids[8]].status)
    assert.equal("argument", errors["no uuid"].kind)
    assert.equal(1, server:counts().token)
    assert.equal(12, server:counts().api)
  end)

  it("runs at most opts.concurrency calls at once, eight by default, on shared connections", function()
    server:configure { always_api = { delay = 0.05 } }
    local client = helper.client(server)
    local ids = organizations(24)
    local results = client:list_users_of(ids)
    for _, id in ipairs(ids) do assert.equal(25, #results[id]) end
    assert.equal(8, server:counts().max_in_flight.api)
    assert.is_true(server:counts().connections <= 9)
    server:reset()
    server:configure { always_api = { delay = 0.05 } }
    client = helper.client(server)
    client:list_users_of(ids, { concurrency = 3 })
    assert.equal(3, server:counts().max_in_flight.api)
  end)

  it("sends all requests before the first response", function()
    helper.static(server, { always_api = { delay = 0.2 } })
    local ids = organizations(4)
    local results = helper.client(server, { access_token = "static" }):list_users_of(ids)
    for _, id in ipairs(ids) do assert.equal(25, #results[id]) end
    assert.equal(4, server:counts().max_in_flight.api)
  end)

  it("uses streams of one connection over HTTP/2", function()
    server:configure { always_api = { delay = 0.05 } }
    local ids = organizations(16)
    local results = helper.tls_client(server):list_users_of(ids, { concurrency = 16 })
    for _, id in ipairs(ids) do assert.equal(25, #results[id]) end
    assert.equal(2, server:counts().connections) -- the token request had its own, over HTTP/1.1
    assert.equal(16, server:counts().max_in_flight.api)
    assert.equal("HTTP/2.0", helper.last(server, "api").protocol)
  end)

  it("takes as long as the calls take with opts.concurrency at a time", function()
    server:configure { always_api = { delay = 0.1 } }
    local ids = organizations(50)
    local client = helper.client(server)
    local seconds, results = helper.timed(client.list_users_of, client, ids, { concurrency = 10 })
    for _, id in ipairs(ids) do assert.is_table(results[id]) end
    -- One by one they would take 5 s. A checked build is slow.
    assert.is_true(seconds < (helper.CHECKED and 2 or 0.9), seconds)
  end)

  it("retries each organization's call", function()
    server:configure { script = { api = {
      { status = 503, headers = { ["Retry-After"] = "0" }, times = 2 },
    } } }
    local ids = organizations(6)
    local results, errors = helper.client(server):list_users_of(ids)
    assert.is_nil(next(errors))
    for _, id in ipairs(ids) do assert.equal(25, #results[id]) end
    assert.equal(8, server:counts().api)
  end)

  it("requests an id once that is given twice, and nothing without ids", function()
    local client = helper.client(server)
    local results, errors = client:list_users_of { ORG, ORG }
    assert.equal(25, #results[ORG])
    assert.is_nil(next(errors))
    assert.equal(1, server:counts().api)
    results, errors = client:list_users_of {}
    assert.same({}, results)
    assert.same({}, errors)
    assert.equal(1, server:counts().api)
  end)

  it("requests a token once if it is refused, and returns the error for each organization", function()
    local client = helper.client(server, { client_id = "demo-client", client_secret = "wrong secret" })
    local ids = organizations(20)
    local results, errors = client:list_users_of(ids, { concurrency = 20 })
    assert.is_nil(next(results))
    for _, id in ipairs(ids) do assert.equal("auth", errors[id].kind) end
    assert.equal(2, server:counts().token) -- Basic, and then the secret in the body
  end)

  it("accepts the options of list_users", function()
    server:configure { default_users = 9 }
    local client = helper.client(server)
    local results = client:list_users_of({ ORG }, { include_deleted = true })
    assert.equal(10, #results[ORG])
    local _, errors = client:list_users_of({ ORG }, { max_response_bytes = 100 })
    assert.equal("too_large", errors[ORG].kind)
  end)

  it("raises an error for arguments of the wrong type", function()
    local client = helper.client(server)
    helper.raises({ "array of organization ids", "list_users_of" }, client.list_users_of, client, ORG)
    helper.raises({ "organization id 2", "string expected" }, client.list_users_of, client, { ORG, 5 })
    helper.raises({ "concurrency" }, client.list_users_of, client, { ORG }, { concurrency = 0 })
    helper.raises({ "unknown option 'on_progress'" }, client.list_users_of, client, { ORG }, { on_progress = print })
    assert.equal(0, server:counts().api)
  end)

  it("ends with the error that on_event raises, unchanged", function()
    local problem, calls = {}, 0
    local client = helper.client(server, { on_event = function()
      calls = calls + 1
      if calls == 4 then error(problem) end
    end })
    local ok, err = pcall(client.list_users_of, client, organizations(10))
    assert.is_false(ok)
    assert.equal(problem, err)
    assert.equal(25, #client:list_users(ORG))
  end)

  it("returns errors of kind closed if the client is closed", function()
    local client = helper.client(server)
    client:close()
    local results, errors = client:list_users_of { ORG }
    assert.is_nil(next(results))
    assert.equal("closed", errors[ORG].kind)
  end)

  it("decodes as list_users does", function()
    local results = helper.client(server):list_users_of { ORG }
    assert.is_nil(helper.difference(helper.client(server):list_users(ORG), results[ORG]))
    assert.equal(cjson.null, require("podero").null)
  end)

  it("keeps nothing of its calls but the results", function()
    local client, ids = helper.client(server), {}
    for i = 1, 300 do ids[i] = ("%08x-0000-4000-8000-000000000000"):format(i) end
    server:configure { default_users = 0 }
    client:list_users_of { ids[1] }
    collectgarbage()
    collectgarbage()
    local before = collectgarbage("count")
    local results = client:list_users_of(ids)
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 150, collectgarbage("count") - before)
    assert.is_table(results[ids[300]])
  end)
end)
