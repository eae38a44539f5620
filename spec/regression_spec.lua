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
    for _, proxy in ipairs {
      "http://user:s3cretword@127.0.0.1:99999", "ftp://user:s3cretword@127.0.0.1:1", "http://user:s3cretword@[::1:80",
      "http://user:s3cretword@127.0.0.1:1",
    } do
      local client = assert(podero.new {
        base_url = server.url, access_token = "x", max_retries = 0, proxy = proxy,
      })
      helper.without(helper.failed("network", client:list_users(ORG)), { "s3cretword" })
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
      local closer = newproxy and newproxy(true) or setmetatable({}, {})
      if newproxy then
        getmetatable(closer).__gc = function() client:close() end
      else
        closer = setmetatable({}, { __gc = function() client:close() end })
      end
      assert.is_not_nil(closer)
      collectgarbage("setpause", 0)
      collectgarbage("setstepmul", 10 + round * 10)
      closer = nil -- luacheck: ignore 311
      local method = ({ "list_users", "token", "get", "each_user" })[round % 4 + 1]
      local ok, result, err = pcall(client[method], client, method == "get" and helper.users_path() or ORG)
      if ok and result == nil then assert.equal("closed", err.kind) end
      if ok and type(result) == "function" then pcall(result) end
      collectgarbage("setpause", 200)
      collectgarbage("setstepmul", 200)
      client:close()
    end
    collectgarbage()
    collectgarbage()
  end)

  it("has other calls go on beside a slow each_user on the same HTTP/2 connection", function()
    helper.static(server, { organizations = { [ORG] = { users = 50000, seed = 3 } } })
    local client = helper.tls_client(server, { access_token = "static", timeout = 5 })
    local iterator = client:each_user(ORG)
    assert(iterator())
    for _ = 1, 3 do assert.equal(25, #assert(client:list_users(helper.OTHER_ORG))) end
    local count = 1
    for _ in iterator do count = count + 1 end
    assert.equal(50000, count)
    assert.equal(1, server:counts().connections)
  end)

  it("keeps the deadline however fast bytes come", function()
    helper.static(server, { organizations = { [ORG] = { users = 200000, seed = 3 } } })
    local client = helper.client(server, { access_token = "static", timeout = 0.15 })
    local seconds, result, err = helper.timed(client.list_users, client, ORG)
    helper.failed("timeout", result, err)
    assert.is_true(seconds < 0.65, seconds)
    seconds, result, err = helper.timed(client.get, client, helper.users_path())
    helper.failed("timeout", result, err)
    assert.is_true(seconds < 0.65, seconds)
  end)
end)
