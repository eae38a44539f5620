--- Credentials that come from functions and files: client_secret, password, access_token and tls.key_password.

local cjson = require "cjson"
local helper = require "spec.support.helper"
local mime = require "mime"
local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local podero = require "podero"
local schedulers = require "spec.support.schedulers"
local socket = require "socket"

local ORG, quoted = helper.ORG, helper.quoted

-- Whether Lua can catch an error across a yield: not plain Lua 5.1.
local CATCHES = not (_VERSION == "Lua 5.1" and not rawget(_G, "jit"))

describe("credentials", function()
  local server, folder

  setup(function()
    server = mock.start { tls = false }
    folder = nginx.temporary_folder("podero-credentials")
  end)
  teardown(function()
    server:stop()
    nginx.run("rm -rf " .. quoted(folder))
  end)
  before_each(function() server:reset() end)
  after_each(helper.close_clients)

  --- A function that returns these values in turn, then always the last one; and a table with the number of its calls.
  local function giving(...)
    local values, last, calls = { ... }, select("#", ...), { count = 0 }
    return function(...)
      calls.count = calls.count + 1
      calls.arguments = select("#", ...)
      return values[math.min(calls.count, last)]
    end, calls
  end

  local function client_with(more)
    local options = { client_id = "demo-client", max_retries = 0 }
    for name, value in pairs(more) do options[name] = value end
    return helper.client(server, options)
  end

  local function password_client(password, more)
    local options = { username = mock.credentials.username, password = password, max_retries = 0 }
    for name, value in pairs(more or {}) do options[name] = value end
    return helper.client(server, options)
  end

  local function listed(client, ...) return assert.equal(25, #assert(client:list_users(ORG, ...))) end

  local function file(name, text)
    nginx.write_file(folder .. "/" .. name, text)
    return folder .. "/" .. name
  end

  describe("from a function", function()
    it("are requested without arguments, once per token request", function()
      for _, name in ipairs { "client_secret", "password" } do
        server:reset()
        local secret, calls = giving(mock.credentials[name])
        local client = name == "password" and password_client(secret) or client_with { client_secret = secret }
        assert.equal(0, calls.count)
        for _ = 1, 3 do listed(client) end
        assert.same({ count = 1, arguments = 0 }, calls)
        server:revoke()
        for _ = 1, 2 do listed(client) end
        assert.equal(2, calls.count)
        assert.equal(2, server:counts().token)
      end
    end)

    it("are requested once while the client tries what the server accepts", function()
      server:configure { encoding = "json", client_auth = "body" }
      local secret, calls = giving "demo-secret"
      listed(client_with { client_secret = secret })
      assert.equal(1, calls.count)
      assert.is_true(server:counts().token > 1)
    end)

    it("are not requested if they are not needed", function()
      server:configure { refresh = true }
      local password, calls = giving "correct horse"
      local client = password_client(password)
      listed(client)
      server:revoke()
      listed(client) -- the refresh token suffices
      assert.equal(1, calls.count)
      assert.equal("form none refresh_token", helper.token_requests(server)[2])
      local secret, secret_calls = giving "x"
      helper.static(server, { accept_tokens = { "static" } })
      listed(client_with { client_secret = secret, access_token = "static" })
      assert.equal(0, secret_calls.count)
    end)

    it("are requested once for all calls that wait", function()
      local secret, calls = giving "demo-secret"
      local client = client_with { client_secret = secret, wait = function() coroutine.yield() end }
      local threads, ended = {}, 0
      for i = 1, 4 do
        threads[i] = coroutine.create(function()
          listed(client)
          ended = ended + 1
        end)
      end
      while ended < 4 do
        for _, thread in ipairs(threads) do
          if coroutine.status(thread) ~= "dead" then assert(coroutine.resume(thread)) end
        end
        socket.sleep(0.001)
      end
      assert.equal(1, calls.count)
      assert.equal(1, server:counts().token)
    end)

    it("are used by every method", function()
      local secret, calls = giving "demo-secret"
      local client = client_with { client_secret = secret }
      local count = 0
      for _ in client:each_user(ORG) do count = count + 1 end
      assert.equal(25, count)
      local results = client:list_users_of { ORG, helper.OTHER_ORG }
      assert.equal(25, #results[helper.OTHER_ORG])
      assert.is_string(client:token())
      assert.is_table(client:get(helper.users_path()))
      assert.equal(1, calls.count)
      secret, calls = giving "demo-secret"
      client = client_with { client_secret = secret }
      results = client:list_users_of { ORG, helper.OTHER_ORG }
      assert.equal(25, #results[ORG])
      assert.equal(1, calls.count)
    end)

    it("may be inherited through __index", function()
      local secret, calls = giving "demo-secret"
      local client = assert(podero.new(setmetatable({ base_url = server.url, proxy = "" },
        { __index = { client_id = "demo-client", client_secret = secret } })))
      listed(client)
      client:close()
      assert.equal(1, calls.count)
    end)

    it("are requested again after a refusal, and tried in the same call if they have changed", function()
      for _, name in ipairs { "client_secret", "password" } do
        server:reset()
        local right = mock.credentials[name]
        local secret, calls = giving("yesterday's", right)
        listed(name == "password" and password_client(secret) or client_with { client_secret = secret })
        assert.equal(2, calls.count)
        -- A server that is known, and whose secret changes.
        secret, calls = giving(right, right, "tomorrow's")
        local client = name == "password" and password_client(secret) or client_with { client_secret = secret }
        listed(client)
        server:revoke()
        server:patch { [name] = "tomorrow's" }
        listed(client)
        assert.equal(3, calls.count)
      end
    end)

    it("are not sent again after a refusal if they have not changed", function()
      local secret, calls = giving "wrong-secret"
      local client = client_with { client_secret = secret, client_auth = "basic", token_encoding = "form" }
      local err = helper.failed("auth", client:list_users(ORG))
      assert.equal(401, err.status)
      assert.equal("invalid_client", err.code)
      assert.equal(2, calls.count)
      assert.equal(1, server:counts().token)
      assert.equal(1, err.attempts)
    end)

    it("are tried only once more in a call, even if they keep changing", function()
      local count = 0
      local client = client_with { client_auth = "basic", token_encoding = "form", client_secret = function()
        count = count + 1
        return "secret number " .. count
      end }
      helper.failed("auth", client:list_users(ORG))
      assert.equal(2, count)
      assert.equal(2, server:counts().token)
    end)

    it("are not requested again after an error that does not concern them", function()
      for _, step in ipairs { { status = 503 }, { status = 429 }, { status = 404 },
        { status = 400, body = [[{"error": "invalid_scope"}]] } } do
        server:configure { script = { token = { step } } }
        local secret, calls = giving("demo-secret", "another")
        local _, err = client_with { client_secret = secret, token_url = helper.TOKEN_PATH }:list_users(ORG)
        assert.equal(step.status, err.status)
        assert.equal(1, calls.count)
      end
    end)

    it("are requested for the first call and after a 401 if they are access tokens", function()
      helper.static(server, {})
      local token, calls = giving "static"
      local client = helper.client(server, { access_token = token })
      for _ = 1, 3 do listed(client) end
      assert.same({ count = 1, arguments = 0 }, calls)
      assert.equal("static", (client:token()))
      server:configure { accept_tokens = { "other" } }
      token, calls = giving("static", "other")
      client = helper.client(server, { access_token = token })
      listed(client)
      assert.equal(2, calls.count)
      assert.equal("other", (client:token()))
      assert.equal(0, server:counts().token)
    end)

    it("report the 401 if the access token has not changed", function()
      local token, calls = giving "stale-token"
      local client = helper.client(server, { access_token = token, max_retries = 0 })
      for count = 1, 2 do
        local err = helper.failed("auth", client:list_users(ORG))
        assert.equal(401, err.status)
        assert.equal(server.url .. helper.users_path(), err.url)
        assert.equal(1, err.attempts)
        assert.equal(count + 1, calls.count)
        assert.equal(count, server:counts().api)
      end
      server:configure { accept_tokens = { "stale-token" } }
      listed(client)
      assert.equal(3, calls.count)
    end)

    it("are not stored if they are access tokens", function()
      helper.static(server, {})
      local used = {}
      local store = {
        get = function() used[#used + 1] = "get" end,
        set = function() used[#used + 1] = "set" end,
      }
      local client = helper.client(server, { access_token = giving "static", token_store = store })
      listed(client)
      assert.same({}, used)
      listed(client_with { client_secret = giving "demo-secret", token_store = store })
      assert.equal("set", used[#used])
    end)

    it("fail the call with kind auth if the function raises an error or returns no usable string", function()
      local cases = {
        { function() error("the vault is sealed") end, "client_secret: its function raised an error: ", "is sealed" },
        { function() error(setmetatable({}, { __tostring = function() return "an object" end })) end, "an object" },
        { function() error({}) end, "raised an error: table" },
        { function() error() end, "client_secret: its function raised an error" },
        { function() return nil, "no such entry" end, "client_secret: its function returned nil: no such entry" },
        { function() return nil, { "x" } end, "returned nil: table" },
        { function() end, "client_secret: its function returned nil" },
        { function() return 42 end, "client_secret: its function returned a number, not a string" },
        { function() return false, "sealed" end, "returned a boolean" },
        { function() return {} end, "returned a table" },
        { function() return "" end, "client_secret (from its function) is empty" },
        { function() return "a\0b" end, "a string with a NUL" },
        { function() return "hush\n" end, "client_secret (from its function) contains a line feed: remove it" },
        { function() return "\239\187\191hush" end, "contains a byte order mark" },
      }
      for _, case in ipairs(cases) do
        local err = helper.failed("auth", client_with { client_secret = case[1] }:list_users(ORG))
        for i = 2, #case do assert.truthy(err.message:find(case[i], 1, true), err.message) end
        assert.is_nil(err.url)
        assert.is_nil(err.status)
        assert.is_false(err.retryable)
        assert.equal(0, err.attempts)
      end
      local err = helper.failed("auth", helper.client(server, { access_token = giving "a b" }):list_users(ORG))
      assert.truthy(err.message:find("access_token (from its function) has characters", 1, true), err.message)
      err = helper.failed("auth", password_client(function() error("sealed", 0) end):list_users(ORG))
      assert.truthy(err.message:find("password: its function raised an error: sealed", 1, true), err.message)
      assert.equal(0, server:counts().token + server:counts().api)
    end)

    it("are requested again by the next call after a failure", function()
      local secret, calls = giving(nil, "demo-secret")
      local client = client_with { client_secret = secret }
      helper.failed("auth", client:list_users(ORG))
      listed(client)
      assert.equal(2, calls.count)
    end)

    it("that cannot be had after a 401 give an error with the reason and the requested URL", function()
      local count = 0
      local client = helper.client(server, { max_retries = 0, access_token = function()
        count = count + 1
        if count == 1 then return "stale-token" end
        return nil, "the vault is sealed"
      end })
      local err = helper.failed("auth", client:list_users(ORG))
      assert.truthy(err.message:find("access_token: its function returned nil: the vault is sealed", 1, true))
      assert.equal(server.url .. helper.users_path(), err.url)
      assert.equal(1, err.attempts)
    end)

    it("that cannot be had after a refusal give an error with the reason", function()
      local client = client_with { client_auth = "basic", token_encoding = "form", client_secret = (function()
        local count = 0
        return function()
          count = count + 1
          if count == 1 then return "wrong-secret" end
          return nil, "the vault is sealed"
        end
      end)() }
      local err = helper.failed("auth", client:list_users(ORG))
      assert.truthy(err.message:find("the vault is sealed", 1, true), err.message)
    end)

    it("do not appear in errors, whether current or previous, nor do control characters", function()
      local secrets = { "first-hush-secret", "second-hush-secret" }
      local count = 0
      local client = client_with { client_auth = "basic", token_encoding = "form", client_secret = function()
        count = count + 1
        if secrets[count] then return secrets[count] end
        error("cannot choose between first-hush-secret and second-hush-secret\27[31m\n\226\128\174", 0)
      end }
      local basic = mime.b64("demo-client:first-hush-secret")
      server:configure { always_token = { status = 401, body = cjson.encode {
        error = "invalid_client", error_description = "not first-hush-secret, second-hush-secret, " .. basic,
      } } }
      local err = helper.failed("auth", client:list_users(ORG))
      assert.equal(2, count)
      helper.without({ err, tostring(err) }, { "hush", basic })
      assert.truthy(err.description:find("not ***, ***, ***", 1, true), err.description)
      err = helper.failed("auth", client:list_users(ORG))
      helper.without({ err, tostring(err) }, { "hush" })
      assert.truthy(err.message:find("between *** and ***", 1, true), err.message)
    end)

    it("may be given by a function that closes the client", function()
      local client
      client = client_with { client_secret = function()
        client:close()
        return "demo-secret"
      end }
      helper.failed("closed", client:list_users(ORG))
      client = client_with { client_secret = function()
        client:close()
        error("and fail")
      end }
      helper.failed("closed", client:list_users(ORG))
      assert.equal(0, server:counts().token)
    end)

    it("may be given by a function that collects garbage and drops every reference to the client", function()
      local client = client_with { client_secret = function()
        helper.close_clients()
        collectgarbage()
        return "demo-secret"
      end }
      helper.failed("closed", client:list_users(ORG))
    end)

    it("may not be fetched with a call of the same client", function()
      for _, wait in ipairs { false, function() end } do
        local client, inner
        client = client_with { wait = wait or nil, client_secret = function()
          local _
          _, inner = client:list_users(ORG)
          local ok, err = pcall(client.each_user(client, ORG))
          assert(not ok and err.kind == "argument")
          local results, errors = client:list_users_of { ORG }
          assert(not results[ORG] and errors[ORG].kind == "argument")
          return "demo-secret"
        end }
        local seconds = helper.timed(function() listed(client) end)
        assert.is_true(seconds < 2, seconds)
        inner = helper.failed("argument", nil, inner)
        assert.truthy(inner.message:find("its own client", 1, true), inner.message)
        listed(client)
      end
    end)

    it("may not be fetched with a call of the same client in another coroutine", function()
      local client, inner
      client = client_with { client_secret = function()
        coroutine.wrap(function()
          local _
          _, inner = client:list_users(ORG)
        end)()
        return "demo-secret"
      end }
      listed(client)
      helper.failed("argument", nil, inner)
    end)

    it("may be fetched with a call of another client", function()
      local other = client_with { client_secret = giving "demo-secret" }
      local client = client_with { client_secret = function()
        assert(other:token())
        return "demo-secret"
      end }
      listed(client)
    end)

    it("fail the call with kind auth if the function overflows the stack", function()
      local function deep() return 1 + deep() end
      helper.failed("auth", client_with { client_secret = deep }:list_users(ORG))
    end)

    it("count towards the time limit of the token request", function()
      local client = client_with { timeout = 0.3, client_secret = function()
        socket.sleep(0.5)
        return "demo-secret"
      end }
      local err = helper.failed("timeout", client:list_users(ORG))
      assert.truthy(err.message:find("client_secret", 1, true), err.message)
      assert.equal(0, server:counts().token)
    end)

    it("fail the call if the function yields and the call cannot", function()
      local client = client_with { client_secret = function()
        coroutine.yield()
        return "demo-secret"
      end }
      local result
      local thread = coroutine.create(function() result = { client:list_users(ORG) } end)
      assert(coroutine.resume(thread))
      assert.equal("dead", coroutine.status(thread))
      local err = helper.failed("auth", result[1], result[2])
      assert.truthy(err.message:find("yield", 1, true), err.message)
    end)

    describe("with the option wait", function()
      local function yielding(more)
        local options = { wait = function() coroutine.yield() end }
        for name, value in pairs(more) do options[name] = value end
        return client_with(options)
      end

      --- Starts a call in a coroutine; its results are in `results` when it has ended.
      local function begin(f)
        local call = {}
        call.thread = coroutine.create(function() call.results = { f() } end)
        assert(coroutine.resume(call.thread))
        return call
      end

      local function finish(call)
        while not call.results do
          assert(coroutine.resume(call.thread))
          socket.sleep(0.001)
        end
        return call.results[1], call.results[2]
      end

      it("may be given by a function that yields", function()
        local yields = 0
        local client = yielding { client_secret = function()
          for _ = 1, 5 do
            yields = yields + 1
            coroutine.yield()
          end
          return "demo-secret"
        end }
        assert.equal(25, #assert(finish(begin(function() return client:list_users(ORG) end))))
        assert.equal(5, yields)
      end)

      it("may be given by a function that yields if a token is refused during list_users_of", function()
        local yields = 0
        local client = yielding { client_secret = function()
          coroutine.yield()
          yields = yields + 1
          return "demo-secret"
        end }
        server:configure { script = { api = { { revoke = true } } } }
        local results = finish(begin(function() return client:list_users_of { ORG, helper.OTHER_ORG } end))
        assert.equal(25, #results[ORG])
        assert.equal(25, #results[helper.OTHER_ORG])
        assert.equal(2, yields)
      end)

      it("that do not come in time are named in the errors of waiting calls", function()
        local client = yielding { client_secret = function()
          while true do coroutine.yield() end
        end }
        begin(function() return client:list_users(ORG) end)
        local err = helper.failed("timeout", finish(begin(function()
          return client:list_users(ORG, { timeout = 0.1 })
        end)))
        assert.truthy(err.message:find("waiting for client_secret", 1, true), err.message)
      end)

      it("that never come delay other calls only until the token request times out", function()
        local count = 0
        local client = yielding { timeout = 0.4, client_secret = function()
          count = count + 1
          while count == 1 do coroutine.yield() end
          return "demo-secret"
        end }
        local lost = begin(function() return client:list_users(ORG) end)
        local others = {}
        for i = 1, 3 do others[i] = begin(function() return client:list_users(ORG, { timeout = 5 }) end) end
        local seconds = helper.timed(function()
          for _, call in ipairs(others) do assert.equal(25, #assert(finish(call))) end
        end)
        assert.is_true(seconds < 1.5, seconds)
        assert.equal(2, count)
        assert.is_nil(lost.results)
      end)

      it("are requested again by a waiting call if the coroutine that requested them is closed", function()
        if not coroutine.close then return end -- Lua 5.4
        local count = 0
        local client = yielding { client_secret = function()
          count = count + 1
          if count == 1 then coroutine.yield() end
          return "demo-secret"
        end }
        local killed = begin(function() return client:list_users(ORG) end)
        local other = begin(function() return client:list_users(ORG) end)
        coroutine.close(killed.thread)
        local seconds = helper.timed(function() assert.equal(25, #assert(finish(other))) end)
        assert.is_true(seconds < 2, seconds)
        assert.equal(2, count)
      end)

      it("fail the call if the function raises an error, which plain Lua 5.1 passes on", function()
        local client = yielding { client_secret = function()
          coroutine.yield()
          error("the vault is sealed", 0)
        end }
        local call = begin(function() return client:list_users(ORG) end)
        local ok, message
        repeat ok, message = coroutine.resume(call.thread) until coroutine.status(call.thread) == "dead"
        if CATCHES then
          local err = helper.failed("auth", call.results[1], call.results[2])
          assert.truthy(err.message:find("the vault is sealed", 1, true))
        else
          assert.same({ false, "the vault is sealed" }, { ok, message })
        end
      end)

      it("are requested again by the next call after an error", function()
        local count = 0
        local client = yielding { client_secret = function()
          count = count + 1
          coroutine.yield()
          if count == 1 then error("the vault is sealed", 0) end
          return "demo-secret"
        end }
        local call = begin(function() return client:list_users(ORG) end)
        repeat coroutine.resume(call.thread) until coroutine.status(call.thread) == "dead"
        call = begin(function() return client:list_users(ORG) end)
        local seconds = helper.timed(function() assert.equal(25, #assert(finish(call))) end)
        assert.is_true(seconds < 2, seconds)
        assert.equal(2, count)
      end)

      it("are not waited for if another client stores a token in the meantime", function()
        local stored
        local store = { get = function() return stored end, set = function() end }
        local is_over = false
        local client = yielding { token_store = store, client_secret = function()
          while not is_over do coroutine.yield() end
          return "demo-secret"
        end }
        local asking = begin(function() return client:list_users(ORG) end)
        local other = begin(function() return client:list_users(ORG) end)
        local token, expires_at = client_with({ client_secret = "demo-secret" }):token()
        stored = cjson.encode { access_token = token, renew_at = expires_at, expires_at = expires_at }
        assert.equal(25, #assert(finish(other)))
        is_over = true
        assert.equal(25, #assert(finish(asking)))
        assert.equal(1, server:counts().token)
      end)
    end)

    for _, name in ipairs { "cqueues", "luv" } do
      it("do not block other calls, or delay them beyond their limits, with podero.waits." .. name, function()
        if not CATCHES or not pcall(require, name) then return pending(name .. " cannot be tried on this Lua") end
        local output = helper.run(([[
          %s
          local podero = require "podero"
          local count, supplied = 0, false
          local client = assert(podero.new { base_url = %q, client_id = "demo-client", proxy = "",
            wait = podero.waits.%s, client_secret = function()
              count = count + 1
              sleep(0.8)
              supplied = true
              return "demo-secret"
            end })
          local function call(name, opts)
            spawn(function()
              local users, err = client:list_users(%q, opts)
              print(name, users and #users or err.kind, supplied and "late" or "early")
            end)
          end
          call("short", { timeout = 0.2 })
          call "long"
          call "longer"
          run()
          print("calls", count)
        ]]):format(schedulers[name], server.url, name, ORG))
        assert.truthy(output:find("short\ttimeout\tearly", 1, true), output)
        assert.truthy(output:find("long\t25\tlate", 1, true), output)
        assert.truthy(output:find("longer\t25\tlate", 1, true), output)
        assert.truthy(output:find("calls\t1", 1, true), output)
      end)
    end
  end)

  describe("from a file", function()
    local LINES = {
      "demo-secret", "demo-secret\n", "demo-secret\r\n", "demo-secret\r", "demo-secret\nmore\n",
      "\239\187\191demo-secret\r\n",
    }

    it("are its first line without byte order mark and line end", function()
      for _, text in ipairs(LINES) do
        server:reset()
        listed(client_with { client_secret_file = file("secret", text) })
        assert.same({ "form basic client_credentials" }, helper.token_requests(server))
      end
      listed(password_client(nil, { password_file = file("password", "correct horse\n") }))
      helper.static(server, {})
      listed(helper.client(server, { access_token_file = file("token", "static\n") }))
    end)

    it("are read for each token request, and again after a refusal", function()
      local path = file("rotated", "demo-secret\n")
      local client = client_with { client_secret_file = path }
      listed(client)
      file("rotated", "rotated-secret\n")
      server:revoke()
      server:patch { client_secret = "rotated-secret" }
      listed(client)
      assert.equal(2, server:counts().token)
      -- The file changes while a request with the old secret is in flight.
      server:revoke()
      server:configure { client_secret = "demo-secret", script = { token = { { status = 401, delay = 0.6 } } } }
      file("rotated", "rotated-secret\n")
      local writer = io.popen(("sleep 0.2; echo demo-secret >%s"):format(quoted(path)))
      listed(client)
      writer:close()
      assert.equal(4, server:counts().token)
    end)

    it("may be replaced through symbolic links, as Kubernetes does", function()
      local function shell(command)
        local text, code = helper.shell("cd " .. quoted(folder) .. " && " .. command)
        assert(code == 0, text)
      end
      shell [[mkdir -p ..1 ..2 && echo demo-secret >..1/key && echo next-secret >..2/key &&
        ln -sfn ..1 ..data && ln -sf ..data/key key]]
      local client = client_with { client_secret_file = folder .. "/key" }
      listed(client)
      shell "ln -sfn ..2 ..new && mv -T ..new ..data && rm -r ..1"
      server:revoke()
      server:patch { client_secret = "next-secret" }
      listed(client)
      assert.equal(2, server:counts().token)
    end)

    it("are read again after a 401 if they are access tokens", function()
      server:configure { accept_tokens = { "other" } }
      local path = file("token", "static\n")
      local client = helper.client(server, { access_token_file = path })
      local err = helper.failed("auth", client:list_users(ORG))
      assert.equal(401, err.status)
      file("token", "other\n")
      listed(client)
      assert.equal(0, server:counts().token)
    end)

    it("make podero.new return an error if the file cannot be used", function()
      local long = ("x"):rep(64 * 1024)
      local cases = {
        { folder .. "/missing", "No such file or directory" },
        { folder, "directory" },
        { file("empty", ""), "it is empty" },
        { file("blank", "\nsecret\n"), "its first line is empty" },
        { file("bom", "\239\187\191"), "its first line is empty" },
        { file("nul", "a\0b\n"), "NUL" },
        { file("utf16", "\255\254d\0e\0"), "UTF-16" },
        { file("control", "hush\27hush\n"), "contains a control character" },
        { file("long", long .. "x"), "too long" },
        { "/dev/zero", "too long" },
        { "/dev/null", "it is empty" },
      }
      for _, case in ipairs(cases) do
        local client, err = podero.new { client_id = "demo-client", client_secret_file = case[1] }
        err = helper.failed("argument", client, err)
        assert.truthy(err.message:find("client_secret_file (" .. case[1] .. ")", 1, true), err.message)
        assert.truthy(err.message:find(case[2], 1, true), err.message)
      end
      assert(podero.new { client_id = "demo-client", client_secret_file = file("long", long .. "\r\n") }):close()
      local client, err = podero.new { access_token_file = file("token", "a b") }
      assert.truthy(helper.failed("argument", client, err).message:find("access_token_file", 1, true))
    end)

    it("fail the call with kind auth if the file has become unusable", function()
      local path = file("gone", "demo-secret\n")
      local client = client_with { client_secret_file = path }
      os.remove(path)
      local err = helper.failed("auth", client:list_users(ORG))
      local label = "client_secret_file (" .. path .. ")"
      assert.truthy(err.message:find(label .. " cannot be used: No such", 1, true), err.message)
      file("gone", "hush\27hush")
      err = helper.failed("auth", client:list_users(ORG))
      assert.truthy(err.message:find("contains a control character", 1, true), err.message)
      file("gone", "demo-secret\n")
      listed(client)
      assert.equal(1, server:counts().token)
    end)

    it("are not waited for during a call if the file has become a pipe", function()
      local path = file("becomes-a-pipe", mock.credentials.client_secret)
      local client = client_with { client_secret_file = path, timeout = 1 }
      assert(os.remove(path))
      assert(nginx.run("mkfifo " .. quoted(path)))
      local writer = assert(io.open(path, "r+"))
      local seconds, list, err = helper.timed(client.list_users, client, helper.ORG)
      writer:close()
      err = helper.failed("auth", list, err)
      assert.truthy(err.message:find(path, 1, true), err.message)
      assert.is_true(seconds < 0.5, seconds)
    end)

    it("may come through a pipe, which podero.new reads once", function()
      local path = folder .. "/pipe"
      assert(nginx.run("mkfifo " .. quoted(path)))
      local writer = io.popen(("sh -c 'sleep 0.2; echo demo-secret' >%s"):format(quoted(path)), "w")
      socket.sleep(0.1)
      local client = client_with { client_secret_file = path }
      writer:close()
      listed(client)
      server:revoke()
      listed(client)
    end)

    it("raise an error if they are also given as strings or functions", function()
      for _, value in ipairs { "x", function() end } do
        helper.raises({ "client_secret", "client_secret_file" }, podero.new,
          { client_id = "x", client_secret = value, client_secret_file = "y" })
      end
      helper.raises("option 'password_file': expected", podero.new, { username = "x", password_file = 1 })
      helper.raises("option 'password_file': expected", podero.new, { username = "x", password_file = "" })
    end)

    describe("named in the environment", function()
      local function run(environment, options)
        return helper.run(([[
          local client, err = require("podero").new { base_url = %q, proxy = "", %s }
          if client then
            local users
            users, err = client:list_users(%q)
            print(users and #users or err.kind)
          else
            print("new", err.kind)
          end
          print(err)
        ]]):format(server.url, options or "", ORG), environment)
      end

      it("are used", function()
        local path = file("secret", "demo-secret\r\n")
        local output = run { PODERO_CLIENT_ID = "demo-client", PODERO_CLIENT_SECRET_FILE = path }
        assert.truthy(output:find("^25\n"), output)
        output = run { PODERO_USERNAME = mock.credentials.username,
          PODERO_PASSWORD_FILE = file("password", "correct horse\n") }
        assert.truthy(output:find("^25\n"), output)
        server:configure { accept_tokens = { "static" } }
        output = run { PODERO_ACCESS_TOKEN_FILE = file("token", "static\n") }
        assert.truthy(output:find("^25\n"), output)
        output = run { PODERO_ACCESS_TOKEN = "static", PODERO_ACCESS_TOKEN_FILE = "" } -- counts as unset
        assert.truthy(output:find("^25\n"), output)
      end)

      it("give errors that name the variable", function()
        local output = run { PODERO_CLIENT_ID = "x", PODERO_CLIENT_SECRET_FILE = folder .. "/missing" }
        assert.truthy(output:find("^new\targument\n"), output)
        local label = "PODERO_CLIENT_SECRET_FILE (" .. folder .. "/missing)"
        assert.truthy(output:find(label .. " cannot be used: No such", 1, true), output)
        output = run { PODERO_CLIENT_ID = "x", PODERO_CLIENT_SECRET_FILE = folder .. "/missing\n" }
        assert.truthy(output:find("^new\targument\n"), output)
        assert.truthy(output:find("PODERO_CLIENT_SECRET_FILE contains a line feed: remove it", 1, true), output)
        output = run { PODERO_CLIENT_ID = "x", PODERO_CLIENT_SECRET = "y",
          PODERO_CLIENT_SECRET_FILE = file("secret", "z") }
        assert.truthy(output:find("^new\targument\n"), output)
        assert.truthy(output:find("PODERO_CLIENT_SECRET_FILE and PODERO_CLIENT_SECRET are both set", 1, true), output)
      end)

      it("are not combined with credentials given as options", function()
        local path = file("secret", "demo-secret")
        local output = run({ PODERO_CLIENT_SECRET_FILE = path }, [[client_id = "demo-client"]])
        assert.truthy(output:find("^new\targument\n"), output)
        output = run({ PODERO_CLIENT_ID = "demo-client" }, ("client_secret_file = %q"):format(path))
        assert.truthy(output:find("client_secret is given without client_id", 1, true), output)
        output = run({ PODERO_CLIENT_ID = "demo-client" }, [[client_secret = function() return "x" end]])
        assert.truthy(output:find("client_secret is given without client_id", 1, true), output)
        output = run({ PODERO_ACCESS_TOKEN_FILE = folder .. "/missing" },
          ([[client_id = "demo-client", client_secret_file = %q]]):format(path))
        assert.truthy(output:find("^25\n"), output)
      end)
    end)
  end)

  describe("in the environment with a line feed or a byte order mark are refused with the reason:", function()
    for name, more in pairs {
      PODERO_CLIENT_SECRET = "PODERO_CLIENT_ID", PODERO_PASSWORD = "PODERO_USERNAME", PODERO_ACCESS_TOKEN = false,
    } do
      it(name, function()
        for text, what in pairs { ["hush-hush\n"] = "a line feed", ["\239\187\191hush-hush"] = "a byte order mark" } do
          local environment = { [name] = text }
          if more then environment[more] = "x" end
          local output = helper.run([[
            local client, err = require("podero").new()
            print(client, err.kind, err)
          ]], environment)
          assert.truthy(output:find("nil\targument", 1, true), output)
          assert.truthy(output:find(name .. ") contains " .. what .. ": remove it from the variable", 1, true), output)
          assert.is_nil(output:find("hush", 1, true), output)
        end
      end)
    end
  end)
end)

describe("tls.key_password as a function", function()
  local server

  setup(function()
    server = mock.start()
    local text, code = helper.shell("cd " .. quoted(server.dir)
      .. " && openssl pkey -in client.key -aes128 -passout pass:sesame -out encrypted.key")
    assert(code == 0, text)
  end)
  teardown(function() server:stop() end)
  before_each(function()
    server:reset()
    helper.static(server, { require_client_cert = true })
  end)
  after_each(helper.close_clients)

  local function tls_client(key_password, more)
    local options = { base_url = server.tls_url, max_retries = 0, tls = { ca_file = server.ca_file,
      cert = server.client_cert, key = server.dir .. "/encrypted.key", key_password = key_password } }
    for name, value in pairs(more or { access_token = "static" }) do options[name] = value end
    return helper.client(server, options)
  end

  it("is called once, before the first connection", function()
    for _, more in ipairs { { access_token = "static" }, { access_token = function() return "static" end },
      { client_id = "demo-client", client_secret = "demo-secret" },
      { client_id = "demo-client", client_secret = function() return "demo-secret" end } } do
      local count = 0
      local client = tls_client(function(...)
        count = count + 1 + select("#", ...)
        return "sesame"
      end, more)
      assert.equal(0, count)
      for _ = 1, 3 do assert.equal(25, #assert(client:list_users(helper.ORG))) end
      assert.is_table(client:each_user(helper.ORG)())
      assert.equal(1, count)
    end
  end)

  it("is called even if the token comes from the store", function()
    local values = {}
    local store = {
      get = function(_, key) return values[key] end,
      set = function(_, key, value) values[key] = value end,
    }
    local credentials = { client_id = "demo-client", client_secret = "demo-secret", token_store = store }
    for _ = 1, 2 do
      local count = 0
      local client = tls_client(function()
        count = count + 1
        return "sesame"
      end, credentials)
      for _ = 1, 2 do assert.equal(25, #assert(client:list_users(helper.ORG))) end
      assert.equal(1, count)
    end
    assert.equal(1, server:counts().token)
  end)

  it("is not called for a URL without TLS", function()
    local client = tls_client(function() error("called") end, { base_url = server.url, access_token = "static" })
    helper.static(server, {})
    assert.equal(25, #assert(client:list_users(helper.ORG)))
  end)

  it("fails the call with kind auth if it returns nil or raises an error", function()
    local functions = { function() return nil, "the vault is sealed" end, function() error("the vault is sealed") end }
    for _, f in ipairs(functions) do
      local err = helper.failed("auth", tls_client(f):list_users(helper.ORG))
      assert.truthy(err.message:find("tls.key_password: its function r", 1, true), err.message)
      assert.truthy(err.message:find("the vault is sealed", 1, true), err.message)
    end
  end)

  it("is called again by the next call if its password was wrong", function()
    local passwords, count = { "open", "sesame" }, 0
    local client = tls_client(function()
      count = count + 1
      return passwords[count]
    end)
    local err = helper.failed("argument", client:list_users(helper.ORG))
    assert.truthy(err.message:find("tls.key_password", 1, true), err.message)
    assert.equal(25, #assert(client:list_users(helper.ORG)))
    assert.equal(2, count)
  end)
end)
