-- The module with a server as Podero runs it: Django with OAuth Toolkit, on gunicorn behind nginx.
local django = require "spec.support.django"
local helper = require "spec.support.helper"
local mime = require "mime"
local mock = require "spec.support.mock"
local versions = require "spec.support.versions"

local ORG, OTHER_ORG, EMPTY_ORG = django.ORG, django.OTHER_ORG, django.EMPTY_ORG
local CREDENTIALS = mock.credentials
local TOKEN_URL = "/oauth2/token/"
local BACKENDS = { "form", "json" }

describe("a server with Django and OAuth Toolkit", function()
  local server

  setup(function() server = django.start() end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(function() helper.close_clients() end)

  --- A client that uses the token endpoint of Podero's guides.
  local function client_of(more)
    local options = { token_url = TOKEN_URL }
    for name, value in pairs(more or {}) do options[name] = value end
    return helper.client(server, options)
  end

  --- Checks the token requests since the last reset, each as "encoding authentication grant".
  local function asked(expected)
    assert.same(expected, helper.token_requests(server))
  end

  --- The response's status of each request of a kind since the last reset.
  local function statuses(kind)
    local list = {}
    for index, request in ipairs(server:requests(kind)) do list[index] = request.status end
    return list
  end

  --- As helper.failed, for a response of this status; checks that the Basic credential is not in the error, too.
  local function failed(kind, status, result, err)
    helper.failed(kind, result, err)
    assert.equal(status, err.status)
    local basic = mime.b64(CREDENTIALS.client_id .. ":" .. CREDENTIALS.client_secret)
    helper.without(err, { basic })
    helper.without(tostring(err), { basic })
    return err
  end

  local function contains(text, part)
    assert.truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
  end


  for _, backend in ipairs(BACKENDS) do
    describe("whose /oauth2/token/ reads " .. backend .. ",", function()
      before_each(function() server:configure { backend = backend } end)

      -- The first token requests of a client that finds out the encoding.
      local function first(grant)
        return backend == "form" and { "form basic " .. grant } or { "form basic " .. grant, "json basic " .. grant }
      end

      --- A client that is given the encoding, and uses the password grant.
      local function user_client(more)
        server:application("dashboard", "s3cret", "password")
        local options = { token_encoding = backend, client_id = "dashboard", client_secret = "s3cret",
          username = CREDENTIALS.username, password = CREDENTIALS.password }
        for name, value in pairs(more or {}) do options[name] = value end
        return client_of(options)
      end

      local function requests_of(...)
        local list = {}
        for index, grant in ipairs { ... } do list[index] = backend .. " basic " .. grant end
        return list
      end

      it("accepts client credentials, and the client finds out the encoding once", function()
        local client = client_of()
        assert.equal(2, #assert(client:list_users(ORG)))
        asked(first "client_credentials")
        server:revoke_tokens()
        assert.equal(2, #assert(client:list_users(ORG)))
        local expected = first "client_credentials"
        expected[#expected + 1] = backend .. " basic client_credentials"
        asked(expected)
      end)

      it("accepts the first request of a client that is given encoding and authentication", function()
        for _, auth in ipairs { "basic", "body" } do
          assert(client_of { token_encoding = backend, client_auth = auth }:list_users(ORG))
        end
        asked { backend .. " basic client_credentials", backend .. " body client_credentials" }
        assert.same({ "client_id", "client_secret", "grant_type" }, helper.last(server, "token").fields)
      end)

      it("issues tokens for ten hours with all scopes", function()
        local token, expires_at, scope = assert(client_of():token())
        assert.truthy(token:find("^%w+$"))
        assert.is_true(math.abs(expires_at - os.time() - 36000) < 60, tostring(expires_at))
        assert.equal("read write", scope)
      end)

      it("makes a client replace an expired or revoked token within the call", function()
        local client = client_of { token_encoding = backend }
        assert(client:list_users(ORG))
        for _, name in ipairs { "expire_tokens", "revoke_tokens" } do
          assert.equal(1, server[name](server))
          assert(client:list_users(ORG))
          server:revoke_tokens()
          assert(client:list_users(ORG))
        end
        asked(requests_of("client_credentials", "client_credentials", "client_credentials", "client_credentials",
          "client_credentials"))
        assert.same({ 200, 401, 200, 401, 200, 401, 200, 401, 200 }, statuses "api")
      end)

      it("accepts a password, and each refresh token once", function()
        local client = user_client()
        assert.equal(2, #assert(client:list_users(ORG)))
        for _ = 1, 3 do
          server:expire_tokens()
          assert.equal(2, #assert(client:list_users(ORG)))
        end
        asked(requests_of("password", "refresh_token", "refresh_token", "refresh_token"))
        assert.same({ 200, 200, 200, 200 }, statuses "token")
        assert.same({ "grant_type", "refresh_token" }, helper.last(server, "token").fields)
      end)

      it("gets each refresh token once from simultaneous calls and from clients that share a store", function()
        local tokens = {}
        local store = {}
        function store.get(_, key) return tokens[key] end
        function store.set(_, key, value) tokens[key] = value return true end
        function store.delete(_, key) tokens[key] = nil end
        local one, other = user_client { token_store = store }, user_client { token_store = store }
        assert(one:list_users(ORG))
        assert(other:list_users(ORG))
        for _ = 1, 2 do
          server:expire_tokens()
          local _, errors = one:list_users_of { ORG, OTHER_ORG, EMPTY_ORG }
          assert.same({}, errors)
          assert(other:list_users(ORG))
        end
        asked(requests_of("password", "refresh_token", "refresh_token"))
        assert.same({ 200, 200, 200 }, statuses "token")
      end)

      it("gets the password again after the refresh token was revoked", function()
        local client = user_client()
        assert(client:list_users(ORG))
        assert.equal(1, server:revoke_refresh_tokens())
        assert(client:list_users(ORG))
        asked(requests_of("password", "refresh_token", "password"))
        assert.same({ 200, 400, 200 }, statuses "token")
      end)

      it("gets the password again after the access token was deleted, since a refresh fails", function()
        local client = user_client()
        local is_granted = versions.toolkit_refreshes_without_scope(server:toolkit_version())
        assert(client:list_users(ORG))
        for round = 1, 2 do
          -- From the second round on, also the token that was issued and refused.
          assert.equal(is_granted and round or 1, server:revoke_tokens())
          -- A call requests one new token. If the API refuses it, the client drops the refresh token.
          if is_granted then assert.equal(401, helper.failed("auth", client:list_users(ORG)).status) end
          assert(client:list_users(ORG))
        end
        asked(requests_of("password", "refresh_token", "password", "refresh_token", "password"))
      end)

      it("is found by token_url = \"auto\", once for all clients that share a store", function()
        local values = {}
        local store = { get = function(_, key) return values[key] end,
          set = function(_, key, value) values[key] = value end }
        local function asked_at(wanted)
          local list = {}
          for index, request in ipairs(server:requests "token") do
            list[index] = (request.path == helper.TOKEN_PATH and "A " or "B ") .. request.encoding
          end
          assert.same(wanted, list)
        end
        local expected = { "A form", "A json", "B form", backend == "json" and "B json" or nil }
        assert.equal(2, #assert(helper.client(server, { token_store = store }):list_users(ORG)))
        asked_at(expected)
        assert.equal(2, #assert(helper.client(server, { token_store = store }):list_users(ORG)))
        asked_at(expected)
        server:revoke_tokens()
        assert.equal(2, #assert(helper.client(server, { token_store = store }):list_users(ORG)))
        expected[#expected + 1] = expected[#expected]
        asked_at(expected)
        local _, err = helper.client(server, { client_id = "demo-client", client_secret = "wrong" }):list_users(ORG)
        assert.equal("invalid_client", err.code)
        assert.is_true(#server:requests "token" - #expected <= 5)
      end)

      it("refuses a wrong password and an inactive user after one login each", function()
        server:application("dashboard", "s3cret", "password")
        local options = { token_encoding = backend, client_id = "dashboard", client_secret = "s3cret",
          username = CREDENTIALS.username, password = "wrong-pass" }
        local err = failed("auth", 400, client_of(options):list_users(ORG))
        assert.equal("invalid_grant", err.code)
        assert.equal("Invalid credentials given.", err.description)
        contains(tostring(err), "username and password")
        helper.without(err, { "wrong-pass", "s3cret" })
        server:user(CREDENTIALS.username, CREDENTIALS.password, false)
        options.password = CREDENTIALS.password
        err = failed("auth", 400, client_of(options):list_users(ORG))
        assert.equal("invalid_grant", err.code)
        asked(requests_of("password", "password"))
      end)

      it("refuses a wrong secret and an unknown client, which fails the call", function()
        for _, pair in ipairs { { CREDENTIALS.client_id, "wrong-secret" }, { "nobody", CREDENTIALS.client_secret } } do
          server:reset()
          server:configure { backend = backend }
          local client = client_of { client_id = pair[1], client_secret = pair[2] }
          local err = failed("auth", 401, client:list_users(ORG))
          assert.equal("invalid_client", err.code)
          assert.is_false(err.retryable)
          contains(tostring(err), "client_id and client_secret")
          helper.without(err, { "wrong-secret" })
          local expected = first "client_credentials"
          expected[#expected + 1] = backend .. " body client_credentials"
          asked(expected)
          assert.equal(0, #server:requests "api")
        end
      end)

      it("refuses a deleted application, and accepts it when it has been created again", function()
        local client = client_of { token_encoding = backend }
        assert(client:list_users(ORG))
        server:delete_application(CREDENTIALS.client_id)
        local err = failed("auth", 401, client:list_users(ORG))
        assert.equal("invalid_client", err.code)
        server:application(CREDENTIALS.client_id, CREDENTIALS.client_secret)
        assert.equal(2, #assert(client:list_users(ORG)))
      end)

      it("refuses a grant that the application may not use", function()
        local options = { token_encoding = backend, username = CREDENTIALS.username, password = CREDENTIALS.password,
          client_id = CREDENTIALS.client_id, client_secret = CREDENTIALS.client_secret }
        local err = failed("auth", 400, client_of(options):list_users(ORG))
        assert.equal("unauthorized_client", err.code)
        asked(requests_of "password")
      end)

      it("refuses an unknown scope", function()
        local err = failed("auth", 400, client_of { token_encoding = backend, scope = "admin" }:list_users(ORG))
        assert.equal("invalid_scope", err.code)
        asked(requests_of "client_credentials")
      end)

      it("refuses a list to a token without the scope for it", function()
        assert.equal(2, #assert(client_of { token_encoding = backend, scope = "read" }:list_users(ORG)))
        local client = client_of { token_encoding = backend, scope = "write" }
        local token, _, scope = assert(client:token())
        assert.equal("write", scope)
        local err = failed("auth", 401, client:list_users(ORG))
        contains(tostring(err), "Unauthorized")
        helper.without(err, { token })
        asked(requests_of("client_credentials", "client_credentials", "client_credentials")) -- and no more
        assert.same({ 200, 401, 401 }, statuses "api")
        server:configure { refusals = "toolkit" }
        err = failed("http", 403, client:list_users(ORG))
        assert.is_false(err.retryable)
        assert.same({ 200, 401, 401, 403 }, statuses "api")
      end)

      it("accepts any characters in a client's id and secret, in Basic and in the body", function()
        local printable = {}
        for code = 32, 126 do printable[#printable + 1] = string.char(code) end
        local texts = { table.concat(printable), "100%", "%41%zz%", "a+b c", " a ", "a:b::c", "a&b=c;d", "\"q\\\"\\",
          "/?#", "<>'`{|}~^", "ключ", "密码", "\240\159\148\145", "é\204\129", "=" }
        for _, text in ipairs(texts) do
          for _, auth in ipairs { "basic", "body" } do
            for _, pair in ipairs { { "plain", text }, { text, "plain" }, { text, text } } do
              server:application(pair[1], pair[2])
              local client = client_of { token_encoding = backend, client_auth = auth, client_id = pair[1],
                client_secret = pair[2] }
              local token, err = client:token()
              assert.is_string(token, ("%s: id %q, secret %q: %s"):format(auth, pair[1], pair[2], tostring(err)))
            end
          end
        end
      end)

      it("accepts any characters in a user's name and password", function()
        server:application("dashboard", "s3cret", "password")
        for _, text in ipairs { "100% +&=;:\"\\/?#<>'{|}~^", "ключ 密码 \240\159\148\145", " a ", "%41" } do
          server:user(text, text)
          assert(client_of { token_encoding = backend, client_id = "dashboard", client_secret = "s3cret",
            username = text, password = text }:token())
        end
      end)
    end)
  end

  describe("whose /api/partners/v2.0/auth/token is made with Django Ninja", function()
    local function partner(more)
      local options = { token_url = helper.TOKEN_PATH }
      for name, value in pairs(more) do options[name] = value end
      return helper.client(server, options)
    end

    it("accepts only JSON, a password, and each refresh token once", function()
      local client = partner(helper.PASSWORD)
      assert.equal(2, #assert(client:list_users(ORG)))
      for _ = 1, 2 do
        server:expire_tokens()
        assert.equal(2, #assert(client:list_users(ORG)))
      end
      server:revoke_refresh_tokens()
      assert.equal(2, #assert(client:list_users(ORG)))
      asked { "form none password", "json none password", "json none refresh_token", "json none refresh_token",
        "json none refresh_token", "json none password" }
      assert.same({ 400, 200, 200, 200, 400, 200 }, statuses "token")
    end)

    it("authenticates a client by id and secret", function()
      server:application("dashboard", "s3cret", "password")
      for _, auth in ipairs { "basic", "body" } do
        local options = { username = CREDENTIALS.username, password = CREDENTIALS.password, client_id = "dashboard",
          client_secret = "s3cret", client_auth = auth, token_encoding = "json" }
        local client = partner(options)
        assert(client:list_users(ORG))
        server:expire_tokens()
        assert(client:list_users(ORG))
        options.client_secret = "wrong-secret"
        assert.equal("invalid_client", failed("auth", 401, partner(options):list_users(ORG)).code)
      end
      asked { "json basic password", "json basic refresh_token", "json basic password",
        "json body password", "json body refresh_token", "json body password" }
    end)

    it("refuses a wrong password after one login", function()
      local client = partner { username = CREDENTIALS.username, password = "wrong-pass" }
      local err = failed("auth", 400, client:list_users(ORG))
      assert.equal("invalid_grant", err.code)
      contains(tostring(err), "username and password")
      helper.without(err, { "wrong-pass" })
      asked { "form none password", "json none password" } -- the form was not read
      assert.same({ 400, 400 }, statuses "token")
    end)

    it("refuses client credentials, and the error says what it accepts", function()
      local err = failed("auth", 422, partner({ token_encoding = "json" }):list_users(ORG))
      contains(tostring(err), "grant_type: Input should be 'password' or 'refresh_token'")
      assert.is_false(err.retryable)
      assert.same({ "body", "payload", "grant_type" }, err.detail.detail[1].loc)
      assert.equal("literal_error", err.detail.detail[1].type)
      asked { "json basic client_credentials" }
    end)
  end)

  describe("has a list of users that", function()
    it("is decoded completely, with deleted users only on request", function()
      local client = client_of()
      local list, all = assert(client:list_users(ORG)), assert(client:list_users(ORG, { include_deleted = true }))
      assert.equal(2, #list)
      assert.equal(3, #all)
      assert.equal("", server:requests("api")[1].query)
      assert.equal("include_deleted=true", server:requests("api")[2].query)
      local text = helper.shell(("curl -sS -H 'Authorization: Bearer %s' '%s?include_deleted=1'"):format(client:token(),
        server.url .. helper.users_path(ORG)))
      assert.is_nil(helper.difference(helper.oracle(text), all))
      assert.equal("Währinger Gürtel 5", list[1].street_and_number)
      assert.equal("2026-11-02T07:15:30.123456Z", list[1].last_login)
      assert.equal(-33, list[2].latitude)
      assert.is_nil(list[2].last_name)
      assert.same({}, assert(client:list_users(EMPTY_ORG)))
    end)

    it("is found for ids in upper case, which are sent in lower case as Django requires", function()
      local client = client_of()
      local upper = ORG:upper()
      assert.equal(2, #assert(client:list_users(upper)))
      local count = 0
      for user in client:each_user(upper) do
        assert.equal(ORG, user.organization_id)
        count = count + 1
      end
      assert.equal(2, count)
      local other = OTHER_ORG:gsub("%x", string.upper, 9)
      local results, errors = client:list_users_of { upper, other }
      assert.same({}, errors)
      assert.equal(2, #results[upper])
      assert.equal("Mo", results[other][1].first_name)
      for _, request in ipairs(server:requests "api") do assert.is_nil(request.path:find "%u") end
      failed("http", 404, client:get(helper.users_path(upper)))
    end)

    it("is an error for an unknown organization", function()
      local err = failed("http", 404, client_of():list_users("11111111-1111-4111-8111-111111111111"))
      contains(tostring(err), "Not Found")
      assert.is_false(err.retryable)
    end)

    it("requires a token that the server has issued", function()
      local err = failed("auth", 401, helper.client(server, { access_token = "made-up-token" }):list_users(ORG))
      contains(tostring(err), "Unauthorized")
      helper.without(err, { "made-up-token" })
      assert.same({ 401 }, statuses "api")
    end)
  end)

  -- Pages of Django itself, sent before anything reads the credentials. Pages of DEBUG show the whole request.
  describe("answers a token request with", function()
    local function refused(kind, status, more)
      return failed(kind, status, client_of(more):list_users(ORG))
    end

    it("a redirect if the slash is missing, which is not followed", function()
      local err = refused("http", 301, { token_url = "/oauth2/token" })
      contains(tostring(err), "a redirect to " .. server.url .. TOKEN_URL)
      contains(tostring(err), "write token_url with the slash at its end")
      assert.is_false(err.retryable)
      asked { "form basic client_credentials" }
    end)

    it("a page of DEBUG if the slash is missing and DEBUG is on", function()
      server:configure { debug = true }
      for _, auth in ipairs { "basic", "body" } do
        local err = refused("auth", 500, { token_url = "/oauth2/token", client_auth = auth, max_retries = 0 })
        contains(err.detail, "RuntimeError at /oauth2/token")
        contains(tostring(err), "write token_url with the slash at its end")
      end
    end)

    it("a page for an unknown path, with DEBUG or not", function()
      for _, debug in ipairs { false, true } do
        server:configure { debug = debug }
        local err = refused("auth", 404, { token_url = "/oauth/token/" })
        assert.is_false(err.retryable)
        contains(tostring(err), "this is not a token endpoint: check base_url and token_url")
      end
    end)

    it("a page that requires a CSRF token if the path is that of an HTML form", function()
      for _, debug in ipairs { false, true } do
        server:configure { debug = debug }
        local err = refused("auth", 403, { token_url = "/oauth2/applications/register/" })
        assert.is_false(err.retryable)
        contains(tostring(err), "this is not a token endpoint: check base_url and token_url")
        contains(tostring(err), "403 Forbidden")
        contains(tostring(err), "CSRF check")
      end
    end)

    it("a page for a host name that is not allowed", function()
      for _, debug in ipairs { false, true } do
        server:configure { debug = debug, allowed_hosts = { "app.podero.com" } }
        local err = refused("auth", 400)
        assert.is_false(err.retryable)
        contains(err.detail, debug and "DisallowedHost" or "Bad Request (400)")
        contains(tostring(err), debug and "DisallowedHost at" or "Bad Request (400)")
        contains(tostring(err), "this is not a token endpoint: check base_url and token_url")
        contains(tostring(err), "the server may not accept this host name")
      end
      server:configure { debug = false, allowed_hosts = { "127.0.0.1" } }
      refused("auth", 400, { base_url = server.url:gsub("127.0.0.1", "localhost") })
      assert(client_of():list_users(ORG))
    end)
  end)

  describe("answers an API request with", function()
    local TOKEN = "secret-bearer-token"

    local function refused(kind, status, path, more)
      local options = { access_token = TOKEN, max_retries = 0 }
      for name, value in pairs(more or {}) do options[name] = value end
      local client = helper.client(server, options)
      local err
      if path then
        err = failed(kind, status, client:get(path))
      else
        err = failed(kind, status, client:list_users(ORG))
      end
      helper.without(err, { TOKEN })
      helper.without(tostring(err), { TOKEN })
      return err
    end

    it("a redirect if the slash is missing, which is not followed", function()
      contains(tostring(refused("http", 301, "/oauth2/applications")), server.url .. "/oauth2/applications/")
    end)

    it("a page for an unknown path, with DEBUG or not", function()
      for _, debug in ipairs { false, true } do
        server:configure { debug = debug }
        refused("http", 404, "/api/partners/v2.0/nothing")
        refused("http", 404, nil, { base_url = server.url .. "/prefix" })
      end
    end)

    it("a page for a host name that is not allowed", function()
      for _, debug in ipairs { false, true } do
        server:configure { debug = debug, allowed_hosts = { "app.podero.com" } }
        refused("http", 400)
      end
    end)
  end)

  describe("behind nginx", function()
    local front

    after_each(function() front:stop() end)

    it("behaves as it does without", function()
      front = django.front(server.port)
      local client = client_of { base_url = front.url }
      assert.equal(2, #assert(client:list_users(ORG)))
      asked { "form basic client_credentials" }
      assert.equal(2, #assert(client:list_users(ORG:upper())))
      local err = failed("http", 301, client_of({ base_url = front.url, token_url = "/oauth2/token" }):list_users(ORG))
      contains(tostring(err), front.url .. TOKEN_URL)
    end)

    it("makes a call fail with nginx's page while it is down", function()
      front = django.front(helper.closed_port())
      local options = { base_url = front.url, max_retries = 1 }
      local err = failed("auth", 502, client_of(options):list_users(ORG))
      assert.is_true(err.retryable)
      assert.equal(2, err.attempts)
      contains(err.detail, "502 Bad Gateway")
      contains(tostring(err), "HTTP 502, an HTML page, \"502 Bad Gateway\"")
      options.access_token = "secret-bearer-token"
      err = failed("http", 502, helper.client(server, options):list_users(ORG))
      assert.is_true(err.retryable)
      assert.equal(2, err.attempts)
      contains(err.detail, "502 Bad Gateway")
      helper.without(err, { "secret-bearer-token" })
    end)
  end)
end)
