--- The option token_store: what is kept there, and what calls make of what they find.

local cjson = require "cjson"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local socket = require "socket"

local ORG = helper.ORG

--- A store in the manner of ngx.shared.DICT, in this process; `calls` tells what it was asked, `lives` for how long.
local function new_store(without)
  local store = { values = {}, lives = {}, calls = {} }

  local function count(name) store.calls[name] = (store.calls[name] or 0) + 1 end

  function store:get(key)
    count "get"
    return self.values[key]
  end

  function store:set(key, value, seconds)
    count "set"
    self.values[key], self.lives[key] = value, seconds or "for good"
    return true
  end

  function store:add(key, value, seconds)
    count "add"
    if self.values[key] ~= nil then return false, "exists" end
    self.values[key], self.lives[key] = value, seconds
    return true
  end

  function store:delete(key)
    count "delete"
    self.values[key] = nil
  end

  for _, name in ipairs(without or {}) do store[name] = nil end
  return store
end

--- The only key in the store, and its value.
local function kept(store)
  local key, value = next(store.values)
  assert.is_string(key)
  assert.is_nil(next(store.values, key))
  return key, value
end

describe("a token store", function()
  local server

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(helper.close_clients)

  local function client_of(store, more)
    local options = { token_store = store }
    for name, value in pairs(more or {}) do options[name] = value end
    return helper.client(server, options)
  end

  --- What one client has stored.
  local function filled(more)
    local store = new_store()
    assert(client_of(store, more):list_users(ORG))
    return store
  end

  it("gives a client the token that another has fetched", function()
    local store = filled()
    assert.equal(25, #assert(client_of(store):list_users(ORG)))
    assert.equal(1, server:counts().token)
    assert.equal(2, server:counts().api)
    assert.equal(1, store.calls.set)
  end)

  it("keeps one text for as long as the token lives, under a key that tells whose it is and no secret", function()
    local store = filled { scope = "read users" }
    local key, value = kept(store)
    assert.truthy(key:find("demo-client", 1, true) and key:find("read+users", 1, true), key)
    helper.without(key, { mock.credentials.client_secret })
    local token = cjson.decode(value)
    assert.is_string(token.access_token)
    assert.is_true(math.abs(token.expires_at - socket.gettime() - 36000) < 10)
    assert.is_true(math.abs(store.lives[key] - 36000) < 10)
  end)

  it("has other keys for other credentials, scopes and servers", function()
    local store = filled()
    for _, more in ipairs { { scope = "read" }, helper.PASSWORD } do
      assert(client_of(store, more):list_users(ORG))
    end
    assert.equal(3, server:counts().token)
    local count = 0
    for _ in pairs(store.values) do count = count + 1 end
    assert.equal(3, count)
  end)

  it("has a key that tells the grants apart, and what is missing from what is not", function()
    local keys, count = {}, 0
    for _, more in ipairs {
      { client_id = "x", client_secret = "demo-secret" }, { username = "x", password = "demo-secret" },
      { username = "x", password = "demo-secret", client_id = "x" }, { username = "x&client_id=x", password = "x" },
      { client_id = "x&username=x", client_secret = "x" }, { client_id = "x", client_secret = "x", scope = "x" },
      { username = "x", password = "x", scope = "x" }, { client_id = "x", client_secret = "x", scope = "x&lock" },
    } do
      local asked = {}
      local store = { get = function(_, key) asked[key] = true end, set = function() end }
      client_of(store, more):list_users(ORG)
      local key = next(asked)
      assert.is_nil(next(asked, key))
      assert.truthy(key:find(more.username and "grant=password&" or "grant=client_credentials&", 1, true), key)
      keys[key] = true
    end
    for _ in pairs(keys) do count = count + 1 end
    assert.equal(8, count)
  end)

  it("whose refresh token is empty has none", function()
    local key, value = kept(filled())
    local all = cjson.decode(value)
    all.refresh_token, all.expires_at = "", 1
    local store = new_store()
    store.values[key] = cjson.encode(all)
    assert(client_of(store):list_users(ORG))
    assert.equal(2, server:counts().token)
    assert.equal("client_credentials", helper.last(server, "token").grant)
  end)

  it("keeps a token of unknown life for good, and none that expires at once", function()
    server:configure { expires_in = "none" }
    local store = filled()
    assert.equal("for good", store.lives[kept(store)])
    assert(client_of(store):list_users(ORG))
    assert.equal(1, server:counts().token)
    server:configure { expires_in = 0, token_lifetime = 60 }
    assert.is_nil(next(filled().values))
  end)

  it("loses a token that the API has refused, and is given the new one", function()
    local store = filled()
    local first = select(2, kept(store))
    server:revoke()
    assert.equal(25, #assert(client_of(store):list_users(ORG)))
    assert.equal(3, store.calls.delete) -- the token, and the lock after each request
    local second = select(2, kept(store))
    assert.are_not.equal(first, second)
    assert.equal(2, server:counts().token)
  end)

  it("shares refresh tokens, too, beyond the token's life", function()
    server:configure { refresh = true, expires_in = 1 }
    local store = filled()
    assert.equal(30 * 86400, store.lives[kept(store)])
    socket.sleep(1)
    assert(client_of(store):list_users(ORG))
    assert.equal("refresh_token", helper.last(server, "token").grant)
  end)

  it("is waited on while another fetches", function()
    local key, value = kept(filled())
    local store, looks = new_store(), 0
    function store.add() return false, "exists" end -- another has the lock
    function store.get()
      looks = looks + 1
      return looks > 3 and value or nil
    end
    local seconds = helper.timed(function() assert(client_of(store):list_users(ORG)) end)
    assert.is_true(seconds >= 0.14 and seconds < 0.6, tostring(seconds))
    assert.equal(1, server:counts().token)
    assert.is_nil(store.values[key])
  end)

  it("is not waited on beyond the timeout", function()
    local store = new_store()
    function store.add() return nil, "exists" end
    local seconds, users, err = helper.timed(function() return client_of(store, { timeout = 0.3 }):list_users(ORG) end)
    helper.failed("timeout", users, err)
    assert.truthy(err.message:find("waiting for a token", 1, true), err.message)
    assert.is_true(seconds < 0.8, tostring(seconds))
    assert.equal(0, server:counts().token)
  end)

  it("locks others out while a token is fetched, and lets them in again", function()
    local store = new_store()
    local locks = {}
    local add = store.add
    function store:add(key, ...)
      locks[#locks + 1] = key
      return add(self, key, ...)
    end
    assert(client_of(store):list_users(ORG))
    assert.equal(1, #locks)
    assert.is_nil(store.values[locks[1]])
    assert.equal(5, store.lives[locks[1]]) -- seconds for which one that dies holds up the others
    server:configure { always_token = { status = 400 } }
    store = new_store()
    helper.failed("auth", client_of(store):list_users(ORG))
    assert.is_nil(next(store.values))
  end)

  it("is settled though on_event raises at the token: the token is kept, and the lock given back", function()
    local store = new_store()
    local client = client_of(store, { on_event = function(event)
      if event.purpose == "token" then error("mine", 0) end
    end })
    local ok, raised = pcall(client.list_users, client, ORG)
    assert.is_false(ok)
    assert.equal("mine", raised)
    local key, value = kept(store)
    assert.is_nil(key:find("lock", 1, true))
    assert.is_string(cjson.decode(value).access_token)
    assert(client_of(store, { timeout = 2 }):list_users(ORG))
    assert.equal(1, server:counts().token)
  end)

  it("is given back the lock of a call that was cancelled", function()
    local store = new_store()
    local now = true
    local client = client_of(store, { wait = function(seconds)
      if now then error("cancelled", 0) end
      socket.sleep(seconds)
    end })
    server:configure { always_token = { delay = 0.05 } }
    assert.is_false(pcall(client.list_users, client, ORG))
    local lock = kept(store)
    now = false
    assert(client:list_users(ORG))
    assert.is_nil(store.values[lock])
  end)

  it("needs neither add nor delete", function()
    local store = new_store { "add", "delete" }
    assert(client_of(store):list_users(ORG))
    server:revoke()
    assert(client_of(store):list_users(ORG))
    assert.equal(2, server:counts().token)
    assert(client_of(store):list_users(ORG))
    assert.equal(2, server:counts().token)
  end)

  it("may fail: calls go on as without it", function()
    local failures = {
      function() error("the store is down") end,
      function() return nil, "timeout" end,
      function() error { code = 1 } end,
    }
    for _, failing in ipairs(failures) do
      local store = { get = failing, set = failing, add = failing, delete = failing }
      assert.equal(25, #assert(client_of(store):list_users(ORG)))
    end
    assert.equal(#failures, server:counts().token)
  end)

  it("may hold anything: what is no token that serves is replaced", function()
    local key, value = kept(filled())
    local now = os.time()
    local function token(changes)
      local all = cjson.decode(value)
      for name, change in pairs(changes) do all[name] = change end
      return cjson.encode(all)
    end
    local rubbish = {
      "", "null", "[]", "{}", "not JSON", 7, true, {}, value .. "x", value:sub(1, -2), "\0",
      token { access_token = 1 }, token { access_token = "" }, token { access_token = "a\r\nb" },
      token { access_token = "a\0b" }, token { access_token = "a b" }, token { renew_at = now - 1 },
      token { expires_at = now - 1 }, token { renew_at = -1e300 },
    }
    for i, text in ipairs(rubbish) do
      local store = new_store()
      store.values[key] = text
      assert.equal(25, #assert(client_of(store):list_users(ORG)), i)
      assert.equal(1 + i, server:counts().token, i)
      assert.equal("string", type(store.values[key]))
    end
  end)

  it("serves every method", function()
    local store = filled()
    assert.is_string(client_of(store):token())
    assert.is_table(client_of(store):get(helper.users_path()))
    assert.is_nil(next(select(2, client_of(store):list_users_of { ORG, helper.OTHER_ORG })))
    local count = 0
    for _ in client_of(store):each_user(ORG) do count = count + 1 end
    assert.equal(25, count)
    assert.equal(1, server:counts().token)
  end)

  it("is not asked where the token is the caller's own", function()
    local store = new_store()
    helper.static(server, {})
    assert(client_of(store, { access_token = "static" }):list_users(ORG))
    assert.is_nil(next(store.calls))
  end)
end)
