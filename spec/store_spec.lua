--- The option token_store: what is kept there, and how calls use it.

local cjson = require "cjson"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local socket = require "socket"

local ORG = helper.ORG

--- A store in the manner of ngx.shared.DICT, in this process. `calls` counts the calls by method; `lives` has the
-- lifetimes, and `deleted` the deleted keys.
local function new_store(without)
  local store = { values = {}, lives = {}, calls = {}, deleted = {} }

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
    self.deleted[#self.deleted + 1] = key
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

  --- A store with the token of a client.
  local function filled(more)
    local store = new_store()
    assert(client_of(store, more):list_users(ORG))
    return store
  end

  it("gives a client the token that another one has fetched", function()
    local store = filled()
    assert.equal(25, #assert(client_of(store):list_users(ORG)))
    assert.equal(1, server:counts().token)
    assert.equal(2, server:counts().api)
    assert.equal(1, store.calls.set)
  end)

  it("keeps one string for the token's lifetime, under a key that names the credentials without a secret", function()
    local store = filled { scope = "read users" }
    local key, value = kept(store)
    assert.truthy(key:find("demo-client", 1, true) and key:find("read+users", 1, true), key)
    helper.without(key, { mock.credentials.client_secret })
    local token = cjson.decode(value)
    assert.is_string(token.access_token)
    assert.is_true(math.abs(token.expires_at - socket.gettime() - 36000) < 10)
    assert.is_true(math.abs(store.lives[key] - 36000) < 10)
  end)

  it("has different keys for different credentials and scopes", function()
    local store = filled()
    for _, more in ipairs { { scope = "read" }, helper.PASSWORD } do
      assert(client_of(store, more):list_users(ORG))
    end
    assert.equal(3, server:counts().token)
    local count = 0
    for _ in pairs(store.values) do count = count + 1 end
    assert.equal(3, count)
  end)

  it("has different keys for different grants, and for missing and given values", function()
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

  it("counts an empty refresh token as none", function()
    local key, value = kept(filled())
    local all = cjson.decode(value)
    all.refresh_token, all.expires_at = "", 1
    local store = new_store()
    store.values[key] = cjson.encode(all)
    assert(client_of(store):list_users(ORG))
    assert.equal(2, server:counts().token)
    assert.equal("client_credentials", helper.last(server, "token").grant)
  end)

  it("keeps a token of unknown lifetime for ever, and none that expires at once", function()
    server:configure { expires_in = "none" }
    local store = filled()
    assert.equal("for good", store.lives[kept(store)])
    assert(client_of(store):list_users(ORG))
    assert.equal(1, server:counts().token)
    server:configure { expires_in = 0, token_lifetime = 60 }
    assert.is_nil(next(filled().values))
  end)

  it("gets the new token in place of one that the API has refused", function()
    local store = filled()
    local key, first = kept(store)
    local client = client_of(store)
    assert(client:list_users(ORG))
    server:revoke()
    assert.equal(25, #assert(client:list_users(ORG)))
    local second = select(2, kept(store))
    assert.are_not.equal(first, second)
    assert.equal(2, server:counts().token)
    -- If it contains the refused one again, that is not used.
    server:revoke()
    store.values[key] = first
    local before = server:counts().api
    assert.equal(25, #assert(client:list_users(ORG)))
    assert.equal(3, server:counts().token)
    assert.equal(before + 2, server:counts().api)
  end)

  it("has only locks deleted, since a token may have been replaced", function()
    local store = filled()
    local key = kept(store)
    local client = client_of(store)
    for _ = 1, 3 do
      server:revoke()
      assert(client:list_users(ORG))
    end
    assert.equal(4, #store.deleted)
    for _, deleted in ipairs(store.deleted) do assert.equal(key .. "&lock", deleted) end
  end)

  it("shares refresh tokens beyond the lifetime of the access token", function()
    server:configure { refresh = true, expires_in = 1 }
    local store = filled()
    assert.equal(30 * 86400, store.lives[kept(store)])
    socket.sleep(1)
    assert(client_of(store):list_users(ORG))
    assert.equal("refresh_token", helper.last(server, "token").grant)
  end)

  it("is polled while another client fetches a token", function()
    local key, value = kept(filled())
    local store, looks = new_store(), 0
    function store.add() return false, "exists" end -- another client has the lock
    function store.get()
      looks = looks + 1
      return looks > 3 and value or nil
    end
    local seconds = helper.timed(function() assert(client_of(store):list_users(ORG)) end)
    assert.is_true(seconds >= 0.14 and seconds < 0.6, tostring(seconds))
    assert.equal(1, server:counts().token)
    assert.is_nil(store.values[key])
  end)

  it("whose lock stays held delays a token request for half of the remaining time", function()
    local refusals = { function() return false end, function() return nil, "exists" end }
    for _, add in ipairs(refusals) do
      local store = new_store()
      store.add = add
      local before = server:counts().token
      local client = client_of(store, { timeout = 0.6, max_retries = 0 })
      local seconds, users = helper.timed(client.list_users, client, ORG)
      assert.equal(25, #assert(users))
      assert.is_true(seconds >= 0.3 and seconds < 0.55, tostring(seconds))
      assert.equal(before + 1, server:counts().token)
      assert.is_nil(store.calls.delete) -- the lock belongs to another client
      assert.is_string(cjson.decode(select(2, kept(store))).access_token)
    end
  end)

  it("whose lock stays held delays a token request for 5 s at most", function()
    local store = new_store()
    store.add = function() return false end
    local seconds, users = helper.timed(function() return client_of(store, { timeout = 30 }):list_users(ORG) end)
    assert.equal(25, #assert(users))
    assert.is_true(seconds >= 5 and seconds < 5.5, tostring(seconds))
  end)

  it("whose lock stays held delays only the first of the requests for a token", function()
    local store = new_store()
    store.add = function() return false end
    server:configure { script = { token = { { status = 503, headers = { ["Retry-After"] = "0" } } } } }
    local client = client_of(store, { timeout = 1.2 })
    local seconds, users = helper.timed(client.list_users, client, ORG)
    assert.equal(25, #assert(users))
    assert.is_true(seconds >= 0.6 and seconds < 0.85, tostring(seconds))
    assert.equal(2, server:counts().token)
  end)

  it("whose lock stays held does not increase the number of token requests", function()
    local store = new_store()
    store.add = function() return false end
    local client = client_of(store, { timeout = 0.6, max_retries = 0 })
    local ids = {}
    for i = 1, 5 do ids[i] = ("%d"):format(i) .. ORG:sub(2) end
    local _, errors = client:list_users_of(ids)
    assert.is_nil(next(errors))
    assert.equal(1, server:counts().token)
  end)

  it("does not have a lock deleted that another client may hold", function()
    local store = new_store()
    server:configure { script = { token = { { delay = 4.2 } } } }
    assert(client_of(store):list_users(ORG))
    assert.is_nil(store.calls.delete) -- it expires five seconds after it was taken
  end)

  it("that is slow to lock has the lock's time measured from the call of add", function()
    local store = new_store()
    local add = store.add
    function store:add(...)
      local added = add(self, ...)
      socket.sleep(4.2)
      return added
    end
    assert(client_of(store):list_users(ORG))
    assert.is_nil(store.calls.delete)
  end)

  it("is locked while a token is fetched, and unlocked afterwards", function()
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
    assert.equal(5, store.lives[locks[1]]) -- seconds for which a client that dies delays the others
    server:configure { always_token = { status = 400 } }
    store = new_store()
    helper.failed("auth", client_of(store):list_users(ORG))
    assert.is_nil(next(store.values))
  end)

  it("keeps the token and is unlocked if on_event raises an error after the token request", function()
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

  it("is unlocked after a call was cancelled", function()
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

  describe("that gets a token while the client's token request is not answered", function()
    --- Makes calls of one client at the same time, in coroutines, and calls `turn` between their steps. Raises their
    -- errors.
    local function together(client, count, turn)
      local threads, ended = {}, 0
      for i = 1, count do
        threads[i] = coroutine.create(function() assert(client:list_users(ORG)) end)
      end
      local began = socket.gettime()
      while ended < count do
        for _, thread in ipairs(threads) do
          if coroutine.status(thread) ~= "dead" then
            assert(coroutine.resume(thread))
            if coroutine.status(thread) == "dead" then ended = ended + 1 end
          end
        end
        turn(socket.gettime() - began)
        socket.sleep(0.001)
      end
      return socket.gettime() - began
    end

    local function yielding(store, more)
      local options = { wait = function() coroutine.yield() end, timeout = 5, max_retries = 0 }
      for name, value in pairs(more or {}) do options[name] = value end
      return client_of(store, options)
    end

    it("gives it to all waiting calls, and the request is abandoned", function()
      local key, fresh = kept(filled())
      server:patch { script = { token = { { delay = 10 } } } }
      local store, events = new_store(), {}
      local client = yielding(store, { on_event = function(event) events[#events + 1] = event end })
      local seconds = together(client, 3, function()
        if server:counts().token == 2 then store.values[key] = fresh end
      end)
      assert.is_true(seconds >= 0.4 and seconds < 1, tostring(seconds))
      assert.equal(2, server:counts().token)
      assert.same({ "token", "timeout" }, { events[1].purpose, events[1].error_kind })
      assert.equal(4, #events)
      local only, value = kept(store) -- the lock was deleted
      assert.same({ key, fresh }, { only, value })
      server:revoke()
      assert.is_true(together(client, 3, function() end) < 0.4) -- the abandoned request does not delay them
      assert.equal(3, server:counts().token)
    end)

    it("gives it to a call that blocks", function()
      local key, fresh = kept(filled())
      server:patch { script = { token = { { delay = 10 } } } }
      local store, looks = new_store(), 0
      function store.get(_, name)
        assert.equal(key, name)
        looks = looks + 1
        return looks >= 4 and fresh or nil -- 1: at first, 2: with the lock
      end
      local client = client_of(store, { timeout = 5, max_retries = 0 })
      local seconds, users = helper.timed(client.list_users, client, ORG)
      assert.equal(25, #assert(users))
      assert.is_true(seconds >= 1 and seconds < 1.4, tostring(seconds))
      assert.equal(4, looks)
      assert.equal(2, server:counts().token)
    end)

    it("is polled every half second, however many calls wait", function()
      local store = new_store()
      server:configure { script = { token = { { delay = 1.3 } } } }
      together(yielding(store), 20, function() end)
      assert.equal(4, store.calls.get)
    end)

    it("gets it from another worker that has waited long enough for the lock", function()
      local store = new_store()
      server:configure { script = { token = { { delay = 10 } } } }
      local silent, other = yielding(store, { timeout = 3 }), yielding(store, { timeout = 1 })
      local first = coroutine.create(function() together(silent, 3, function() coroutine.yield() end) end)
      repeat assert(coroutine.resume(first)) until server:counts().token == 1
      local function resume_first()
        if coroutine.status(first) ~= "dead" then assert(coroutine.resume(first)) end
      end
      together(other, 2, resume_first)
      repeat resume_first() until coroutine.status(first) == "dead"
      assert.equal(2, server:counts().token)
    end)
  end)

  describe("with refresh tokens:", function()
    --- A value of the store with changed members.
    local function changed(value, changes)
      local all = cjson.decode(value)
      for name, change in pairs(changes) do all[name] = change end
      return cjson.encode(all)
    end

    --- For each token request, its refresh token or otherwise its grant.
    local function sent()
      local list = {}
      for i, request in ipairs(server:requests("token")) do
        list[i] = request.body:match("refresh_token=([^&]+)") or request.grant
      end
      return list
    end

    it("one that arrives while another one is refused is kept and used next", function()
      server:configure { refresh = true, expires_in = 0, token_lifetime = 60 }
      local store, other = new_store(), new_store()
      local client = client_of(store, { max_retries = 0 })
      assert(client:list_users(ORG))
      server:patch { expires_in = 3600 }
      assert(client_of(other):list_users(ORG))
      local key, value = kept(other)
      local old = changed(value, { renew_at = 1, expires_at = 2 })
      server:patch { script = { token = { { delay = 0.8, status = 400, body = '{"error": "invalid_grant"}' } } } }
      function store.get(_, name) -- while the request with the first one is in flight
        assert.equal(key, name)
        return server:counts().token == 3 and old or nil
      end
      assert(client:list_users(ORG))
      local tokens = sent()
      assert.equal(4, #tokens)
      assert.truthy(tokens[3]:find("^ref%-"), tokens[3])
      assert.equal(cjson.decode(value).refresh_token, tokens[4])
    end)

    it("one that is found by a call that waits for the lock is kept if another request is refused", function()
      server:configure { refresh = true, expires_in = 0, token_lifetime = 60 }
      local store, other = new_store(), new_store()
      local client = client_of(store, { wait = function() coroutine.yield() end, max_retries = 0 })
      local function call() return coroutine.create(function() assert(client:list_users(ORG)) end) end
      local function finish(...)
        for _, thread in ipairs { ... } do
          while coroutine.status(thread) ~= "dead" do
            assert(coroutine.resume(thread))
            socket.sleep(0.001)
          end
        end
      end
      finish(call())
      server:patch { expires_in = 3600 }
      assert(client_of(other):list_users(ORG))
      local key, value = kept(other)
      server:patch { script = { token = { { delay = 0.3, status = 400, body = '{"error": "invalid_grant"}' } } } }
      local add = store.add
      function store.add() return false end
      local first, second = call(), call()
      assert(coroutine.resume(first))
      assert(coroutine.resume(second)) -- both wait for the lock
      store.add = add
      repeat
        assert(coroutine.resume(first))
        socket.sleep(0.001)
      until server:counts().token == 3
      store.values[key] = changed(value, { renew_at = 1, expires_at = 2 })
      local looks = store.calls.get
      repeat
        assert(coroutine.resume(second))
        socket.sleep(0.001)
      until store.calls.get > looks
      store.values[key] = nil
      finish(first, second)
      local tokens = sent()
      assert.equal(4, #tokens)
      assert.truthy(tokens[3]:find("^ref%-"), tokens[3])
      assert.equal(cjson.decode(value).refresh_token, tokens[4])
    end)

    it("one that was refused is not read from the store again", function()
      server:configure { refresh = true, expires_in = 0, token_lifetime = 60 }
      local store, other = new_store(), new_store()
      assert(client_of(other, { timeout = 5 }):list_users(ORG))
      server:patch { expires_in = 3600 }
      assert(client_of(other):list_users(ORG))
      local key, value = kept(other)
      store.values[key] = changed(value, { renew_at = 1, expires_at = 2 })
      store.set = function() end
      server:patch { expires_in = 0, refresh = false,
        script = { token = { { status = 400, body = '{"error": "invalid_grant"}' } } } }
      local client = client_of(store)
      assert(client:list_users(ORG))
      assert(client:list_users(ORG))
      local tokens = sent()
      assert.equal(cjson.decode(value).refresh_token, tokens[3])
      assert.same({ "client_credentials", "client_credentials" }, { tokens[4], tokens[5] })
      assert.equal(5, #tokens)
    end)

    it("one that was replaced does not replace its successor, and is not used if that is refused", function()
      server:configure { refresh = true, expires_in = 0, token_lifetime = 60 }
      local store = new_store()
      local client = client_of(store)
      for _ = 1, 3 do assert(client:list_users(ORG)) end -- the first grant, and two refresh tokens used up
      local tokens = sent()
      local used = tokens[3]
      assert.truthy(used:find("^ref%-"), used)
      local key
      function store.get(_, name) key = name end
      assert(client:list_users(ORG))
      assert.is_string(key)
      store.get = function()
        return cjson.encode { access_token = "x", refresh_token = used, renew_at = 1, expires_at = 2 }
      end
      assert(client:list_users(ORG))
      tokens = sent()
      assert.equal(5, #tokens)
      assert.truthy(tokens[5]:find("^ref%-"), tokens[5])
      assert.are_not.equal(used, tokens[5])
      server:patch { script = { token = { { status = 400, body = '{"error": "invalid_grant"}' } } } }
      assert(client:list_users(ORG))
      tokens = sent()
      assert.same({ "client_credentials" }, { tokens[7] })
      assert.equal(7, #tokens)
      assert(client:list_users(ORG))
      assert.equal(8, #sent())
    end)
  end)

  it("may contain a previous token, which was replaced, not refused", function()
    server:configure {
      token_raw = cjson.encode { access_token = "same", token_type = "Bearer", expires_in = 0 },
      accept_tokens = { "same", "other" },
    }
    local store = new_store()
    local client = client_of(store)
    for _ = 1, 2 do assert(client:list_users(ORG)) end -- fetched for each call
    server:patch { token_raw = cjson.encode { access_token = "other", token_type = "Bearer", expires_in = 0 } }
    assert(client:list_users(ORG))
    assert.equal(3, server:counts().token)
    server:patch { token_raw = cjson.encode { access_token = "same", token_type = "Bearer", expires_in = 3600 } }
    assert(client_of(store):list_users(ORG)) -- another client stores it
    for _ = 1, 2 do assert(client:list_users(ORG)) end
    assert.equal(4, server:counts().token)
    assert.equal("Bearer same", helper.last(server, "api").headers.authorization)
    assert.is_string(select(2, kept(store)))
  end)

  it("may contain a refused token that the server has handed out once more", function()
    local body = { access_token = "same", token_type = "Bearer", expires_in = 0 }
    server:configure { token_raw = cjson.encode(body), accept_tokens = { "same" },
      script = { api = { { status = 401 } } } }
    local store = new_store()
    local client = client_of(store)
    assert(client:list_users(ORG)) -- refused, and handed out once more
    assert.equal(2, server:counts().token)
    body.expires_in = 3600
    server:patch { token_raw = cjson.encode(body) }
    assert(client_of(store):list_users(ORG))
    assert(client:list_users(ORG))
    assert.equal(3, server:counts().token)
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

  it("may fail, and calls continue without it", function()
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

  it("may contain anything: what is not a usable token is replaced", function()
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
      token { access_token = ("x"):rep(65537) }, token { refresh_token = ("x"):rep(65537) },
    }
    for i, text in ipairs(rubbish) do
      local store = new_store()
      store.values[key] = text
      assert.equal(25, #assert(client_of(store):list_users(ORG)), i)
      assert.equal(1 + i, server:counts().token, i)
      assert.equal("string", type(store.values[key]))
    end
  end)

  it("may contain an access token and a refresh token of 64 KB each", function()
    local key, value = kept(filled())
    local long = cjson.decode(value)
    long.access_token, long.refresh_token = ("a"):rep(65536), ("r"):rep(65536)
    local store = new_store()
    store.values[key] = cjson.encode(long)
    assert.equal(long.access_token, (client_of(store):token()))
    assert.equal(1, server:counts().token)
  end)

  it("is used by every method", function()
    local store = filled()
    assert.is_string(client_of(store):token())
    assert.is_table(client_of(store):get(helper.users_path()))
    assert.is_nil(next(select(2, client_of(store):list_users_of { ORG, helper.OTHER_ORG })))
    local count = 0
    for _ in client_of(store):each_user(ORG) do count = count + 1 end
    assert.equal(25, count)
    assert.equal(1, server:counts().token)
  end)

  it("is not used with the option access_token", function()
    local store = new_store()
    helper.static(server, {})
    assert(client_of(store, { access_token = "static" }):list_users(ORG))
    assert.is_nil(next(store.calls))
  end)
end)
