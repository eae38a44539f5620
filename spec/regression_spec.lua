-- What once went wrong, each by a spec that failed before it was mended.
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local podero = require "podero"

local ORG = helper.ORG

describe("a client", function()
  local server

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(function() helper.close_clients() end)

  it("says the same of a host that cannot be resolved however often it is asked", function()
    local client = assert(podero.new {
      base_url = "https://no-such-host.invalid", access_token = "x", max_retries = 0, proxy = "",
    })
    for _ = 1, 3 do
      local err = helper.failed("network", client:get("/x"))
      assert.truthy(err.message:find("resolve", 1, true), err.message)
      assert.is_true(err.retryable)
    end
    client:close()
  end)

  it("can be made with a token of the caller's own and half of other credentials", function()
    assert(podero.new { access_token = "x", client_secret = "y" }):close()
    assert(podero.new { access_token = "x", username = "y" }):close()
  end)

  it("shows no password of a proxy", function()
    for proxy, kind in pairs {
      ["http://user:s3cretword@127.0.0.1:99999"] = "argument", ["ftp://user:s3cretword@127.0.0.1:1"] = "argument",
      ["http://user:s3cretword@[::1:80"] = "argument", ["http://user:s3cretword@127.0.0.1:1"] = "network",
    } do
      local client = assert(podero.new {
        base_url = server.url, access_token = "x", max_retries = 0, proxy = proxy,
      })
      helper.without(helper.failed(kind, client:list_users(ORG)), { "s3cretword" })
      client:close()
    end
  end)

  it("sends plain http to this machine past a proxy that the environment names", function()
    local program = ("local c = require('podero').new{base_url=%q, access_token='static'} print(c:list_users(%q))")
      :format(server.url, ORG)
    helper.static(server, {})
    local output = helper.run(program, { http_proxy = "http://127.0.0.1:1", all_proxy = "http://127.0.0.1:1" })
    assert.truthy(output:find("^table"), output)
  end)

  it("drops a refresh token that gets an error with status 200", function()
    server:configure { refresh = true }
    local client = helper.client(server)
    assert(client:list_users(ORG))
    server:revoke()
    server:patch { script = { token = { { status = 200, body = "{\"error\": \"invalid_grant\"}" } } } }
    assert.equal(25, #assert(client:list_users(ORG)))
    assert.same({ client_credentials = 2 }, server:counts().tokens_by_grant)
  end)

  it("is closed by a finalizer at any moment without harm", function()
    for round = 1, 60 do
      local client = helper.client(server, { on_event = function() end })
      -- Garbage whose collection closes the client, sometime in the call.
      local closer = helper.finalized(function() client:close() end)
      assert.is_not_nil(closer)
      collectgarbage("setpause", 0)
      collectgarbage("setstepmul", 10 + round * 10)
      closer = nil -- luacheck: ignore 311
      local method = ({ "list_users", "token", "get", "each_user" })[round % 4 + 1]
      local ok, result, err = pcall(client[method], client, method == "get" and helper.users_path() or ORG)
      if ok and result == nil then assert.equal("closed", err.kind) end
      if ok and result and method == "each_user" then pcall(result) end
      collectgarbage("setpause", 200)
      collectgarbage("setstepmul", 200)
      client:close()
    end
    collectgarbage()
    collectgarbage()
  end)

  it("has other calls go on beside a slow each_user over HTTP/2", function()
    helper.static(server, { organizations = { [ORG] = { users = 50000, seed = 3 } } })
    local client = helper.tls_client(server, { access_token = "static", timeout = 5 })
    local iterator = client:each_user(ORG)
    assert(iterator())
    for _ = 1, 3 do assert.equal(25, #assert(client:list_users(helper.OTHER_ORG))) end
    local count = 1
    for _ in iterator do count = count + 1 end
    assert.equal(50000, count)
    assert.equal(2, server:counts().connections) -- its own, and that of the others
  end)

  it("holds a slow each_user over HTTP/2 though other calls are made in its loop", function()
    helper.static(server, { organizations = { [ORG] = { users = 150000, seed = 3 } } })
    local client = helper.tls_client(server, { access_token = "static" })
    local iterator = client:each_user(ORG)
    assert(iterator())
    for _ = 1, 300 do assert(client:list_users(helper.OTHER_ORG)) end
    for _, request in ipairs(server:requests("api")) do
      if request.path == helper.users_path() then assert.is_true(request.sent < 20000000, request.sent) end
    end
    local count = 1
    for _ in iterator do count = count + 1 end
    assert.equal(150000, count)
  end)

  it("does not keep what calls of list_users_of have left", function()
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

  it("gives a response that came in time to a caller that comes late", function()
    local client = helper.client(server, { timeout = 0.4, on_event = function() require("socket").sleep(0.12) end })
    local ids = {}
    for i = 1, 8 do ids[i] = ("%08x-0000-4000-8000-000000000000"):format(i) end
    local results, errors = client:list_users_of(ids)
    assert.is_nil(next(errors))
    for _, id in ipairs(ids) do assert.equal(25, #results[id]) end
  end)

  it("does not run out of descriptors where loops are left early", function()
    local client = helper.client(server)
    local junk = {}
    for i = 1, 200000 do junk[i] = {} end -- so that the collector does not come round by itself
    server:configure { default_users = 5000 }
    for _ = 1, 150 do
      for _ in client:each_user(ORG) do break end -- luacheck: ignore 512
    end
    assert.is_true(server:counts().in_flight.api < 40, server:counts().in_flight.api)
    assert.equal(200000, #junk)
  end)

  it("is closed, or asked again, by a finalizer while a user is being decoded", function()
    helper.static(server, { organizations = { [ORG] = { users = 3000, seed = 3 } } })
    for _, deed in ipairs { "close", "list", "same" } do
      local client = helper.client(server, { access_token = "static" })
      local iterator = client:each_user(ORG)
      assert(iterator())
      local function act()
        if deed == "close" then client:close() elseif deed == "list" then client:list_users(ORG) else iterator() end
      end
      local count, done = 1, false
      local ok, err = pcall(function()
        for _ in iterator do
          count = count + 1
          if count % 50 == 0 and not done then -- garbage that is collected somewhere in the next users
            done = true
            helper.finalized(function() pcall(act) end)
          end
        end
      end)
      if ok then assert.equal(3000, count) else assert.is_not_nil(err) end
      client:close()
    end
  end)

  -- In `make sanitize`, what is not freed is found.
  it("is used by a finalizer that runs after that of its last call, and loses nothing", function()
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

  it("keeps the deadline however fast bytes come", function()
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
end)
