--- The option token_url and its "auto": which token endpoint gets requests, in which form, and what is remembered;
-- which response an error reports; and messages about responses that are not a token endpoint's.

local cjson = require "cjson"
local helper = require "spec.support.helper"
local mime = require "mime"
local mock = require "spec.support.mock"
local peer = require "spec.support.peer"
local podero = require "podero"

local unpack = unpack or table.unpack -- luacheck: ignore
local ORG = helper.ORG
local A, B = "/api/partners/v2.0/auth/token", "/oauth2/token/"
local NAMES = { [A] = "A", [B] = "B" }

-- Podero's own servers: A reads JSON and has no client credentials grant; B reads forms or JSON.
local PODERO_A = { encoding = "json", encoding_refusal = "ninja_400", grants = { "password", "refresh_token" },
  grant_refusal = "ninja_422" }
local FORM_B, JSON_B = { encoding = "form", encoding_refusal = "dot" }, { encoding = "json", encoding_refusal = "dot" }
local NONE = { always = { status = 404 } }
local NOT_A_TOKEN_ENDPOINT = "this is not a token endpoint: check base_url and token_url"

local function new_store()
  local store = { values = {}, lives = {} }
  function store:get(key) return self.values[key] end
  function store:set(key, value, seconds)
    self.values[key], self.lives[key] = value, seconds
    return true
  end
  return store
end

local function has(text, part)
  assert.truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

local function lacks(text, part)
  assert.is_nil(text:find(part, 1, true), ("%q is in %q"):format(part, text))
end

describe("token_url", function()
  local server

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(helper.close_clients)

  --- "A form", "B json body" and so on, for each token request since the last reset.
  local function asked()
    local list = {}
    for i, request in ipairs(server:requests("token")) do
      local encoding = request.headers["content-type"] == "application/json" and "json" or "form"
      list[i] = NAMES[request.path] .. " " .. encoding .. (request.headers.authorization and "" or " body")
    end
    return list
  end

  local function configure(a, b, more)
    local settings = { endpoints = { [A] = a, [B] = b } }
    for name, value in pairs(more or {}) do settings[name] = value end
    server:configure(settings)
  end

  --- The error of a client's first call.
  local function failure(options)
    local before = server:counts().token
    local err = helper.failed("auth", helper.client(server, options):list_users(ORG))
    assert.equal(0, server:counts().api)
    assert.equal(server:counts().token - before, err.attempts)
    return err
  end

  describe("\"auto\" is the default:", function()
    -- The two endpoints, and the requests that are needed to find the right one.
    local FOUND = {
      ["Podero's, B with forms"] = { PODERO_A, FORM_B, "A form", "A json", "B form" },
      ["Podero's, B with JSON"] = { PODERO_A, JSON_B, "A form", "A json", "B form", "B json" },
      ["as in the specification"] = { { encoding = "both" }, NONE, "A form" },
      ["as in the specification with JSON"] = {
        { encoding = "json", encoding_refusal = "ninja_422" }, NONE, "A form", "A json" },
      ["only B, with forms"] = { NONE, FORM_B, "A form", "B form" },
      ["only B, with JSON"] = { NONE, JSON_B, "A form", "B form", "B json" },
      ["only B, with JSON and the client in the body"] = {
        NONE, { encoding = "json", client_auth = "body" }, "A form", "B form", "B json", "B json body" },
      ["A without the grant, with its OAuth code"] = {
        { grants = { "password" } }, FORM_B, "A form", "A json", "B form" },
      ["A forbidden"] = { { always = { status = 403, body = "<html><title>Forbidden" } }, FORM_B, "A form", "B form" },
      ["A that does not allow this client the grant"] = {
        { always = { status = 400, body = "{\"error\": \"unauthorized_client\"}" } }, FORM_B, "A form", "B form" },
      ["A that requires another method"] = { { always = { status = 405 } }, FORM_B, "A form", "B form" },
    }
    for name, case in pairs(FOUND) do
      it("finds endpoint, encoding and authentication: " .. name, function()
        local expected = { unpack(case, 3) }
        assert.is_true(#expected <= 4)
        configure(case[1], case[2])
        local client = helper.client(server)
        assert.equal(25, #assert(client:list_users(ORG)))
        assert.same(expected, asked())
        for _ = 1, 2 do -- and remembers it
          server:revoke()
          assert.equal(25, #assert(client:list_users(ORG)))
          expected[#expected + 1] = expected[#expected]
          assert.same(expected, asked())
        end
      end)
    end

    it("may be given explicitly, also in the environment", function()
      configure(PODERO_A, FORM_B)
      assert(helper.client(server, { token_url = "auto" }):list_users(ORG))
      assert.same({ "A form", "A json", "B form" }, asked())
      local output, code = helper.run(([[
        local client = assert(require("podero").new { base_url = %q, client_id = "demo-client",
          client_secret = "demo-secret", proxy = "" })
        assert(client:token())]]):format(server.url), { PODERO_TOKEN_URL = "auto" })
      assert.equal(0, code, output)
      assert.same({ "A form", "A json", "B form" }, { select(4, unpack(asked())) })
    end)

    it("uses paths below the path of base_url", function()
      local client = helper.client(server, { base_url = server.url .. "/prefix" })
      local _, err = client:token()
      assert.equal(server.url .. "/prefix" .. A, err.url)
      local uris = {}
      for i, request in ipairs(server:requests()) do uris[i] = request.uri end
      assert.same({ "/prefix" .. A, "/prefix" .. B }, uris)
    end)

    it("uses only A for the password grant", function()
      configure(NONE, { encoding = "both" })
      local err = failure(helper.PASSWORD)
      assert.equal(404, err.status)
      assert.same({ "A form body" }, asked())
      server:reset()
      configure(PODERO_A, FORM_B)
      assert(helper.client(server, helper.PASSWORD):list_users(ORG))
      assert.same({ "A form body", "A json body" }, asked())
      assert(helper.client(server, helper.options(server, mock.credentials)):list_users(ORG))
      assert.same({ "A form", "A json" }, { select(3, unpack(asked())) })
    end)

    -- Responses of A that show that it is the right one.
    for _, step in ipairs {
      { status = 401 }, { status = 407 }, { status = 408 }, { status = 429 }, { status = 500 }, { status = 503 },
      { status = 302 }, { status = 200, body = "<html>" },
      { status = 400, body = "{\"error\": \"invalid_client\"}" },
      { status = 403, body = "{\"error\": \"invalid_client\"}" },
      { status = 400, body = "{\"error\": \"invalid_grant\"}" },
      { status = 400, body = "{\"error\": \"invalid_scope\"}" },
    } do
      it(("does not leave an endpoint for %d %s"):format(step.status, step.body or ""), function()
        configure({ always = step }, {})
        local client = helper.client(server, { max_retries = 0 })
        assert.is_nil((client:list_users(ORG)))
        for _, request in ipairs(asked()) do has(request, "A ") end
        assert.is_true(server:counts().token <= 2)
      end)
    end

    it("continues with the same request after an endpoint was busy", function()
      configure(PODERO_A, FORM_B, { script = { token = {
        { status = 400, body = "{\"detail\": \"Cannot parse request body\"}" }, { status = 422, body = "{}" },
        { status = 503, headers = { ["Retry-After"] = "0" } },
      } } })
      assert(helper.client(server):list_users(ORG))
      assert.same({ "A form", "A json", "B form", "B form" }, asked())
    end)

    it("uses only the given encoding and authentication", function()
      configure(NONE, JSON_B)
      assert(helper.client(server, { token_encoding = "json" }):list_users(ORG))
      assert.same({ "A json", "B json" }, asked())
      server:reset()
      configure(PODERO_A, FORM_B)
      failure { token_encoding = "json", client_auth = "body" }
      assert.same({ "A json body", "B json body" }, asked())
    end)

    it("needs at most five requests for refused credentials", function()
      for _, case in ipairs {
        { PODERO_A, FORM_B }, { PODERO_A, JSON_B }, { NONE, JSON_B }, { {}, {} }, { JSON_B, NONE }, { NONE, NONE },
        { { encoding = "json", client_auth = "body" }, JSON_B }, { { grants = {} }, { grants = {} } },
        { { client_auth = "body", client_refusal = "invalid_request", encoding = "json", grants = {} },
          { client_auth = "body", client_refusal = "invalid_request", encoding = "json" } },
      } do
        server:reset()
        configure(case[1], case[2])
        local client = helper.client(server, { client_secret = "wrong", client_id = "demo-client" })
        for _ = 1, 2 do
          local before = server:counts().token
          helper.failed("auth", client:list_users(ORG))
          local requests = asked()
          assert.is_true(#requests - before <= 5, table.concat(requests, ", "))
        end
      end
    end)

    it("tries B first on Podero's own hosts, with JSON, then with a form, and then A", function()
      local tls = mock.start()
      finally(function() tls:stop() end)
      local odd = peer.start()
      finally(function() odd:stop() end)
      local proxy = odd:listen { good_connect = { { "tunnel", tls.tls_port } } }
      server, tls = tls, server -- for `asked`
      finally(function() server = tls end)
      for _, base_url in ipairs { podero.PRODUCTION, podero.SANDBOX, "https://APP.podero.com/" } do
        for _, case in ipairs {
          { PODERO_A, JSON_B, { "B json" } }, { PODERO_A, FORM_B, { "B json", "B form" } },
          { { encoding = "json" }, NONE, { "B json", "A form", "A json" } },
        } do
          server:reset()
          configure(case[1], case[2])
          local client = helper.client(server, { base_url = base_url, proxy = proxy.url, tls = { verify = false } })
          assert(client:list_users(ORG))
          assert.same(case[3], asked())
        end
      end
      server:reset()
      configure(PODERO_A, FORM_B)
      assert(helper.client(server, { base_url = podero.PRODUCTION, proxy = proxy.url, tls = { verify = false },
        username = helper.PASSWORD.username, password = helper.PASSWORD.password }):list_users(ORG))
      assert.same({ "A form body", "A json body" }, asked())
    end)

    it("gives events and errors the requested URL", function()
      configure(PODERO_A, FORM_B)
      local urls = {}
      local client = helper.client(server, { on_event = function(event)
        if event.purpose == "token" then urls[#urls + 1] = event.url end
      end })
      assert(client:list_users(ORG))
      assert.same({ server.url .. A, server.url .. A, server.url .. B }, urls)
      server:revoke()
      configure(PODERO_A, { always = { status = 500 } })
      local _, err = client:list_users(ORG, { max_retries = 0 })
      assert.equal(server.url .. B, err.url)
      has(err.message, server.url .. B .. ": HTTP 500")
      configure(PODERO_A, { always = { status = 503, fault = "stall" } })
      _, err = client:list_users(ORG, { timeout = 0.2, max_retries = 0 })
      assert.equal(server.url .. B, err.url)
      local stalled = helper.client(server, { timeout = 0.2, max_retries = 0 })
      configure({ always = { delay = 0.5 } }, {})
      _, err = stalled:list_users(ORG)
      assert.equal("timeout", err.kind)
      has(err.message, server.url .. A)
    end)
  end)

  describe("\"auto\" remembers what has worked,", function()
    it("until it stops working", function()
      configure(PODERO_A, JSON_B)
      local client = helper.client(server)
      assert(client:list_users(ORG))
      for _, case in ipairs {
        { PODERO_A, FORM_B, { "B json", "A form", "A json", "B form" } },
        { {}, NONE, { "B form", "A form" } },
        { NONE, FORM_B, { "A form", "B form" } },
        { PODERO_A, JSON_B, { "B form", "A form", "A json", "B form", "B json" } },
      } do
        server:reset()
        configure(case[1], case[2])
        assert(client:list_users(ORG))
        assert.same(case[3], asked())
      end
    end)

    it("and tries nothing else if credentials are refused, before the next call", function()
      configure(PODERO_A, JSON_B)
      local client = helper.client(server)
      assert(client:list_users(ORG))
      server:revoke()
      configure(PODERO_A, JSON_B, { client_secret = "another" })
      helper.failed("auth", client:list_users(ORG))
      assert.equal("B json", asked()[5])
      assert.equal(5, #asked())
      helper.failed("auth", client:list_users(ORG))
      assert.equal(10, #asked())
      configure(PODERO_A, { encoding = "json", client_auth = "body", encoding_refusal = "dot" })
      assert(client:list_users(ORG))
    end)
  end)

  describe("\"auto\" with a token_store", function()
    local function value_of(store)
      local key, value = next(store.values)
      return cjson.decode(value), key
    end

    it("spares the next client all token requests, and after the token expires all but one", function()
      for _, b in ipairs { FORM_B, JSON_B } do
        server:reset()
        configure(PODERO_A, b)
        local store = new_store()
        assert(helper.client(server, { token_store = store }):list_users(ORG))
        local first = #asked()
        assert(helper.client(server, { token_store = store }):list_users(ORG))
        assert.equal(first, #asked())
        local value, key = value_of(store)
        assert.same({ B, b.encoding, "basic" }, { value.endpoint, value.encoding, value.client_auth })
        assert.is_true(store.lives[key] >= 30 * 86400) -- longer than the token
        value.renew_at, value.expires_at = 1, 1
        store.values[key] = cjson.encode(value)
        assert(helper.client(server, { token_store = store }):list_users(ORG))
        assert.equal(first + 1, #asked())
        server:revoke()
        assert(helper.client(server, { token_store = store }):list_users(ORG))
        assert.equal(first + 2, #asked())
        has(asked()[first + 2], "B " .. b.encoding)
      end
    end)

    it("stores nothing else if the first request works", function()
      local store = new_store()
      assert(helper.client(server, { token_store = store }):list_users(ORG))
      local value, key = value_of(store)
      assert.same({}, { value.endpoint, value.encoding, value.client_auth })
      assert.is_true(store.lives[key] <= 36000)
      has(key, "token_url=auto")
    end)

    it("accepts only its two endpoints, encodings and authentications from the store", function()
      configure(PODERO_A, JSON_B)
      local good = new_store()
      assert(helper.client(server, { token_store = good }):list_users(ORG))
      local value, key = value_of(good)
      for _, wrong in ipairs {
        { endpoint = "/oauth2/token" }, { endpoint = server.url .. B }, { endpoint = "http://evil.example/" },
        { endpoint = "/../oauth2/token/" }, { endpoint = 2 }, { encoding = "xml" }, { client_auth = "none" },
        { encoding = {} }, { endpoint = "auto" }, { client_auth = "auto" },
      } do
        server:reset()
        configure(PODERO_A, JSON_B)
        local store, new = new_store(), {}
        for name, member in pairs(value) do new[name] = member end
        new.renew_at, new.expires_at = 1, 1
        for name, member in pairs(wrong) do new[name] = member end
        store.values[key] = cjson.encode(new)
        assert(helper.client(server, { token_store = store }):list_users(ORG))
        assert.same({ "A form", "A json", "B form", "B json" }, asked())
      end
    end)

    it("never sends a password to B", function()
      configure(PODERO_A, { encoding = "both" })
      local store = new_store()
      assert(helper.client(server, { token_store = store, username = helper.PASSWORD.username,
        password = helper.PASSWORD.password }):list_users(ORG))
      local value, key = value_of(store)
      assert.equal(A, value.endpoint)
      value.renew_at, value.expires_at, value.endpoint, value.refresh_token = 1, 1, B, "mine"
      store.values[key] = cjson.encode(value)
      assert(helper.client(server, { token_store = store, username = helper.PASSWORD.username,
        password = helper.PASSWORD.password }):list_users(ORG))
      for _, request in ipairs(asked()) do has(request, "A ") end
    end)

    it("does not accept from the store what has failed before", function()
      configure(PODERO_A, JSON_B)
      local store = new_store()
      assert(helper.client(server, { token_store = store }):list_users(ORG))
      local value, key = value_of(store)
      value.renew_at, value.expires_at = 1, 1
      local client = helper.client(server, { token_store = store })
      store.values[key] = cjson.encode(value)
      server:reset()
      configure({ client_auth = "basic" }, { encoding = "json", client_auth = "body" }) -- now it is A
      helper.failed("auth", client:list_users(ORG))
      assert.same({ "B json" }, asked())
      assert(client:list_users(ORG))
      assert.same({ "B json", "A form" }, asked())
      assert.is_nil(value_of(store).endpoint)
    end)

    it("prefers the client's options", function()
      configure(PODERO_A, JSON_B)
      local store = new_store()
      assert(helper.client(server, { token_store = store }):list_users(ORG))
      local value, key = value_of(store)
      value.renew_at, value.expires_at = 1, 1
      server:reset()
      configure(PODERO_A, FORM_B)
      store.values[key] = cjson.encode(value)
      assert(helper.client(server, { token_store = store, token_encoding = "form" }):list_users(ORG))
      assert.same({ "A form", "B form" }, asked())
    end)

    it("shares encoding and authentication of a given token_url, too", function()
      configure({}, { encoding = "json", client_auth = "body" })
      local store = new_store()
      assert(helper.client(server, { token_store = store, token_url = B }):list_users(ORG))
      local value, key = value_of(store)
      assert.same({ nil, "json", "body" }, { value.endpoint, value.encoding, value.client_auth })
      value.renew_at, value.expires_at = 1, 1
      store.values[key] = cjson.encode(value)
      server:reset()
      configure({}, { encoding = "json", client_auth = "body" })
      assert(helper.client(server, { token_store = store, token_url = B }):list_users(ORG))
      assert.same({ "B json body" }, asked())
      value.endpoint = A -- a store cannot change a given token_url
      store.values[key] = cjson.encode(value)
      assert(helper.client(server, { token_store = store, token_url = B }):list_users(ORG))
      for _, request in ipairs(asked()) do has(request, "B ") end
    end)
  end)

  describe("\"auto\" sends a refresh token", function()
    local function grants()
      local list = {}
      for i, request in ipairs(server:requests("token")) do
        list[i] = NAMES[request.path] .. " " .. request.body:match("grant_type[\":=]+([%w_]+)")
      end
      return list
    end

    it("to the endpoint that issued it", function()
      configure(PODERO_A, JSON_B, { refresh = true })
      local client = helper.client(server)
      assert(client:list_users(ORG))
      server:revoke()
      assert(client:list_users(ORG))
      assert.same({ "B client_credentials", "B refresh_token" }, { select(4, unpack(grants())) })
    end)

    it("from a store to that endpoint, too, and to no other if it is refused", function()
      configure(PODERO_A, JSON_B, { refresh = true })
      local store = new_store()
      assert(helper.client(server, { token_store = store }):list_users(ORG))
      local key, value = next(store.values)
      value = cjson.decode(value)
      value.renew_at, value.expires_at = 1, 1
      store.values[key] = cjson.encode(value)
      assert(helper.client(server, { token_store = store }):list_users(ORG))
      assert.equal("B refresh_token", grants()[5])
      value.refresh_token = "refused"
      store.values[key] = cjson.encode(value)
      assert(helper.client(server, { token_store = store }):list_users(ORG))
      assert.same({ "B refresh_token", "B client_credentials" }, { select(6, unpack(grants())) })
    end)

    for _, case in ipairs {
      { own = {}, other = NONE, endpoint = B, grants = { "B refresh_token", "A client_credentials" } },
      { own = NONE, other = {}, endpoint = A,
        grants = { "A refresh_token", "A client_credentials", "B client_credentials" } },
    } do
      it("from a store once to that endpoint if the client uses the other: " .. NAMES[case.endpoint], function()
        configure(case.own, case.other)
        local store = new_store()
        local client = helper.client(server, { token_store = store })
        assert(client:list_users(ORG))
        store.values[next(store.values)] = cjson.encode {
          access_token = "old", renew_at = 1, expires_at = 1, refresh_token = "mine", endpoint = case.endpoint,
        }
        local count = #grants()
        server:revoke()
        assert(client:list_users(ORG))
        assert.same(case.grants, { select(count + 1, unpack(grants())) })
      end)
    end

    it("and does not store it with the token of the other endpoint", function()
      configure(NONE, {}, { script = { token = { { status = 404 }, { ok = true, delay = 1.5 } } } })
      local store, gets = new_store(), 0
      function store.get()
        gets = gets + 1
        return gets > 1 and cjson.encode { access_token = "old", renew_at = 1, expires_at = 1, refresh_token = "mine" }
      end
      assert(helper.client(server, { token_store = store }):list_users(ORG))
      assert.same({ "A client_credentials", "B client_credentials" }, grants())
      assert.is_true(gets > 1)
      local _, value = next(store.values)
      value = cjson.decode(value)
      assert.same({ B, nil }, { value.endpoint, value.refresh_token })
    end)

    it("once to an endpoint that is no longer there", function()
      configure(NONE, {}, { refresh = true })
      local client = helper.client(server)
      assert(client:list_users(ORG))
      configure({}, NONE)
      server:revoke()
      assert(client:list_users(ORG))
      assert.same({ "A client_credentials", "B client_credentials", "B refresh_token", "A client_credentials" },
        grants())
    end)

    it("whose refusal is not reported if the credentials are refused, too", function()
      configure(PODERO_A, JSON_B, { refresh = true })
      local client = helper.client(server)
      assert(client:list_users(ORG))
      server:revoke()
      configure(PODERO_A, JSON_B, { script = { token = {
        { status = 400, body = "{\"error\": \"invalid_grant\"}" },
        { status = 401, body = "{\"error\": \"invalid_client\"}" },
      } } })
      assert.equal("invalid_client", helper.failed("auth", client:list_users(ORG)).code)
    end)
  end)

  describe("an error reports", function()
    local function script(...)
      server:configure { script = { token = { ... } }, always_token = { status = 404 } }
    end
    local UNSUPPORTED = { status = 400, body = "{\"error\": \"unsupported_grant_type\"}" }
    local ONLY_FORMS = { status = 415, body = "{\"detail\": \"only form-encoded bodies\"}" }
    local INVALID_CLIENT = { status = 401, body = "{\"error\": \"invalid_client\"}" }
    local INVALID_REQUEST = { status = 400, body = "{\"error\": \"invalid_request\"}" }
    local UNREADABLE = { status = 400, body = "{\"detail\": \"Cannot parse request body\"}" }

    it("the first response about the credentials", function()
      for _, token_url in ipairs { A, "auto" } do
        for _, steps in ipairs {
          { UNSUPPORTED, INVALID_CLIENT, INVALID_REQUEST }, { UNREADABLE, INVALID_CLIENT, INVALID_REQUEST },
          { INVALID_CLIENT, { status = 401 }, UNSUPPORTED }, { INVALID_CLIENT, UNSUPPORTED, ONLY_FORMS },
        } do
          server:reset()
          script(unpack(steps))
          local err = failure { token_url = token_url }
          assert.equal("invalid_client", err.code)
          assert.equal(401, err.status)
          assert.equal(server.url .. A, err.url)
          has(err.message, "check client_id and client_secret")
        end
      end
      script({ status = 400, body = "{}" }, { status = 401, body = "{\"detail\": \"Unauthorized\"}" })
      assert.same({ detail = "Unauthorized" }, failure().detail)
    end)

    it("otherwise the first response with an OAuth error code", function()
      script(UNSUPPORTED, ONLY_FORMS)
      local err = failure()
      assert.equal("unsupported_grant_type", err.code)
      assert.equal(400, err.status)
      assert.same({ error = "unsupported_grant_type" }, err.detail)
      server:reset()
      script(UNREADABLE, ONLY_FORMS, UNSUPPORTED)
      err = failure()
      assert.equal("unsupported_grant_type", err.code)
      assert.equal(server.url .. B, err.url)
      has(err.message, server.url .. B)
    end)

    it("otherwise the first response", function()
      script({ status = 404, body = "{\"error\": \"Not Found\"}" }, UNSUPPORTED) -- not an OAuth code
      assert.equal("unsupported_grant_type", failure().code)
      server:reset()
      script(UNREADABLE, { status = 422, body = "{\"detail\": \"more\"}" })
      local err = failure { token_url = A }
      assert.equal(400, err.status)
      has(err.message, "HTTP 400")
      has(err.message, "Cannot parse request body")
    end)

    it("that the other endpoint was tried, too", function()
      configure({ always = { status = 404 } }, { always = { status = 410 } })
      local err = failure()
      assert.equal(404, err.status)
      has(err.message, server.url .. A)
      has(err.message, server.url .. B .. " (HTTP 410)")
    end)

    it("a response that is retried, since it may change", function()
      script(UNREADABLE, { status = 404 }, { status = 503, headers = { ["Retry-After"] = "0" } })
      local _, err = helper.client(server, { max_retries = 0 }):list_users(ORG)
      assert.equal(503, err.status)
      assert.is_true(err.retryable)
      assert.equal(server.url .. B, err.url)
    end)
  end)

  describe("whose response is not a token endpoint's gives an error that says so:", function()
    local PAGES = {
      ["a 404 page"] = { status = 404, title = "Page not found at /x",
        body = "<!DOCTYPE html>\n<html lang=\"en\"><head>\n  <meta charset=\"utf-8\">\n<title>\n Page not found at "
          .. "&#x2F;x\n</title></head><body><h1>Page not found</h1>" },
      ["a page of DEBUG about an unknown host name"] = { status = 400,
        title = "DisallowedHost at /oauth2/token/", more = "the server may not accept this host name",
        body = "DisallowedHost at /oauth2/token/\nInvalid HTTP_HOST header: 'x'. You may need to add it to "
          .. "ALLOWED_HOSTS.\nCSRF_COOKIE_NAME = 'csrftoken'" },
      ["a page about a CSRF check"] = { status = 403, title = "403 Forbidden", more = "CSRF check",
        body = "\n<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>403 Forbidden</title></head>\n<body>\n"
          .. "<h1>Forbidden <span>(403)</span></h1>\n<p>CSRF verification failed. Request aborted.</p>" },
      ["a page about an unknown host name"] = { status = 400, title = "Bad Request (400)",
        more = "the server may not accept this host name",
        body = "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>Bad Request (400)</title>\n</head>" },
      ["an old page without a title"] = { status = 400, title = "Bad Request (400)",
        body = "<html><h1 class=\"x\">Bad Request (400)</h1></html>" },
      ["a proxy's page"] = { status = 403, title = "ERROR: The requested URL could not be retrieved",
        body = "<html><head><TITLE>ERROR: The requested URL could not be retrieved</TITLE></head>" },
      ["a proxy that requires a password"] = { status = 401, title = "401 Authorization Required",
        body = "<html>\r\n<head><title>401 Authorization Required</title></head>" },
      ["an empty page"] = { status = 404, body = "<html>" },
      ["text"] = { status = 404, title = "404 page not found", body = "\n\n404 page not found\nmore of it\n" },
      ["JSON"] = { status = 404, title = "Not Found", body = "{\"detail\": \"Not Found\"}" },
      ["JSON of another kind of server"] = { status = 404, title = "Not Found",
        body = "{\"status\": 404, \"error\": \"Not Found\", \"path\": \"/oauth2/token/\"}" },
      ["a wrong method"] = { status = 405, title = "Not Allowed", body = "{\"detail\": \"Not Allowed\"}" },
      ["a page with status 200"] = { status = 200, title = "Welcome & enter",
        body = "<!doctype html><html><title>Welcome &amp; enter</title>" },
    }
    for name, page in pairs(PAGES) do
      it(name, function()
        server:configure { always_token = { status = page.status, body = page.body, content_type = "text/html" } }
        for _, options in ipairs { {}, { token_url = B }, helper.PASSWORD } do
          local client = helper.client(server, options)
          local err = helper.failed("auth", client:list_users(ORG))
          assert.equal(page.status, err.status)
          has(err.message, NOT_A_TOKEN_ENDPOINT)
          has(err.message, ("HTTP %d"):format(page.status))
          if page.title then has(err.message, page.title) end
          if page.more then has(err.message, page.more) end
          lacks(err.message, "client_id")
          lacks(err.message, "more of it")
          assert.is_false(err.retryable)
        end
      end)
    end

    it("a gateway's page, which is quoted and retried", function()
      server:configure { always_token = { status = 502, headers = { ["Retry-After"] = "0" },
        body = "<html>\r\n<head><title>502 Bad Gateway</title></head>" } }
      local err = failure()
      assert.equal(3, err.attempts)
      has(err.message, "HTTP 502, an HTML page, \"502 Bad Gateway\"")
      lacks(err.message, NOT_A_TOKEN_ENDPOINT)
      assert.is_true(err.retryable)
    end)

    it("a page of DEBUG about a missing slash, with what to change", function()
      server:configure { always_token = { status = 500, headers = { ["Retry-After"] = "0" },
        body = "RuntimeError at /oauth2/token\nYou called this URL via POST, but the URL doesn't end in a slash and "
          .. "you have APPEND_SLASH set." } }
      local err = failure()
      has(err.message, "HTTP 500, \"RuntimeError at /oauth2/token\"")
      has(err.message, "write token_url with the slash at its end")
    end)

    it("any page, quoted in one short line without control characters and secrets", function()
      for _, body in ipairs {
        "<html><title>" .. ("x"):rep(100000) .. "</title>", ("x"):rep(60000), ("é"):rep(30000),
        "<title>\27[2J\7\0 demo-secret\194\155 de&#109;o-secret &#x64;emo-secret demo%2Dsecret</title>",
        "<title>" .. ("&amp;"):rep(10000), ("<"):rep(50000) .. "html>", "\255\254 demo-secret\r\nagain",
        "<title>" .. (" "):rep(20000) .. "demo-secret" .. (" "):rep(20000),
        "<title>" .. ("x"):rep(115) .. "demo-secret", "<title>" .. ("demo-secret "):rep(5500),
        "<title " .. ("x"):rep(1000), "<html><h1", "<html><title", "<html>&#",
        "<title>&#99999999999999999999;&#0;&#27;",
        "<title>" .. ("x"):rep(1020) .. "demo-secret",
      } do
        server:configure { always_token = { status = 403, body = body } }
        local err = failure()
        assert.is_true(#err.message < 500, err.message)
        for _, part in ipairs { "demo", "secret", "again", "\27", "\7", "\194\155" } do lacks(err.message, part) end
      end
    end)

    it("text with status 200, which is not quoted, since it may contain a token", function()
      server:configure { always_token = { status = 200, body = "access_token=gho-unknown&token_type=bearer" } }
      local err = failure()
      has(err.message, "the response is not a JSON object")
      has(err.message, NOT_A_TOKEN_ENDPOINT)
      lacks(err.message, "gho-unknown")
    end)

    it("a redirect, with its target and what to change", function()
      for target, advice in pairs {
        [A .. "/"] = "write token_url with the slash at its end",
        ["/login?next=%2F"] = "check base_url and token_url",
        ["https://elsewhere.example" .. A] = "check base_url and token_url",
      } do
        server:configure { always_token = { status = 301, headers = { Location = target } } }
        local client = helper.client(server, { token_url = A })
        local err = helper.failed("http", client:list_users(ORG))
        has(err.message, "HTTP 301, a redirect to " .. (target:find("^/") and server.url or "") .. target)
        has(err.message, "not followed")
        has(err.message, advice)
      end
    end)
  end)

  describe("a refusal says what to do", function()
    local CASES = {
      { { status = 401, body = "{\"error\": \"invalid_client\"}" }, "check client_id and client_secret" },
      { { status = 401, body = "{\"detail\": \"Unauthorized\"}" }, "check client_id and client_secret" },
      { { status = 400, body = "{\"error\": \"invalid_scope\"}" }, "check scope" },
      { { status = 400, body = "{\"error\": \"unauthorized_client\"}" },
        "this client may not use the client credentials grant: check how it is registered" },
      { { status = 400, body = "{\"error\": \"unsupported_grant_type\"}" },
        "client credentials are not granted here: check token_url" },
      { { status = 422, body = "{\"detail\": [{\"loc\": [\"body\", \"grant_type\"], \"msg\": \"Input should be\"}]}" },
        "client credentials are not granted here: check token_url" },
      { { status = 407, body = "<html><title>Proxy" }, "a proxy requires credentials: check proxy" },
    }
    for _, case in ipairs(CASES) do
      it("about " .. case[1].status .. " " .. case[1].body, function()
        server:configure { always_token = case[1] }
        has(failure().message, case[2])
      end)
    end

    it("about given client_auth and token_encoding", function()
      server:configure { client_auth = "body", client_secret = "another" }
      has(failure { client_auth = "basic" }.message, "check client_id, client_secret and client_auth")
      server:configure { encoding = "json" }
      has(failure { token_encoding = "form" }.message, "the request was not read: check token_encoding and token_url")
    end)

    it("about a password", function()
      for _, case in ipairs {
        { "{\"error\": \"invalid_grant\"}", "check username and password" },
        { "{\"detail\": \"Wrong credentials\"}", "check username and password" },
      } do
        server:configure { always_token = { status = 400, body = case[1] } }
        has(failure(helper.PASSWORD).message, case[2])
      end
    end)
  end)
end)

describe("the client's Basic credentials", function()
  local server

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(helper.close_clients)

  local function sent()
    return mime.unb64(helper.last(server, "token").headers.authorization:match("^Basic (%S+)$"))
  end

  -- All characters of password generators except "%" and "+".
  local ID, SECRET = "my client/1", "aZ09 !\"#$&'()*,-./:;<=>?@[\\]^_`{|}~"

  it("work with servers that decode them and with servers that do not", function()
    for _, decodes in ipairs { true, false } do
      server:reset()
      server:configure { client_id = ID, client_secret = SECRET, basic_decode = decodes, client_auth = "basic" }
      assert(helper.client(server, { client_id = ID, client_secret = SECRET }):list_users(ORG))
      assert.equal(1, server:counts().token)
      assert.equal(ID .. ":" .. SECRET, sent())
    end
  end)

  it("are encoded only as far as servers that decode them need", function()
    local id, secret = "a:b%c +é", "s:%41 +é"
    server:configure { client_id = id, client_secret = secret, client_auth = "basic" }
    assert(helper.client(server, { client_id = id, client_secret = secret }):list_users(ORG))
    assert.equal("a%3Ab%25c %2B%C3%A9:s:%2541 %2B%C3%A9", sent())
  end)

  it("with a percent or plus sign are sent in the body if a server does not decode them", function()
    for _, secret in ipairs { "100%41", "a+b" } do
      server:reset()
      server:configure { client_secret = secret, basic_decode = false }
      local client = helper.client(server, { client_id = "demo-client", client_secret = secret })
      assert(client:list_users(ORG))
      assert.same({ "form basic client_credentials", "form body client_credentials" }, helper.token_requests(server))
    end
  end)
end)
