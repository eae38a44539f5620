local cjson = require "cjson"
local helper = require "spec.support.helper"
local mime = require "mime"
local mock = require "spec.support.mock"
local socket = require "socket"

local ORG = helper.ORG
local CREDENTIALS = mock.credentials

describe("tokens", function()
  local server

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(function() helper.close_clients() end)

  --- Checks the token requests in order, each as "encoding authentication grant".
  local function asked(expected)
    assert.same(expected, helper.token_requests(server))
  end

  describe("of the client credentials grant", function()
    it("are requested with RFC 6749's form and Basic authentication", function()
      assert(helper.client(server):list_users(ORG))
      asked { "form basic client_credentials" }
      local request = helper.last(server, "token")
      assert.equal("POST", request.method)
      assert.equal(helper.TOKEN_PATH, request.uri)
      assert.equal("grant_type=client_credentials", request.body)
      assert.equal("application/x-www-form-urlencoded", request.headers["content-type"])
      assert.equal("application/json", request.headers.accept)
      assert.equal("Basic " .. mime.b64("demo-client:demo-secret"), request.headers.authorization)
      assert.is_nil(request.headers.expect)
    end)

    it("are requested with id and secret encoded as far as RFC 6749, section 2.3.1, requires", function()
      local id, secret = "a:b%c d+é", "s/=&é +%:\"\\*-._~"
      server:configure { client_id = id, client_secret = secret }
      assert(helper.client(server, { client_id = id, client_secret = secret }):list_users(ORG))
      local request = helper.last(server, "token")
      assert.equal(id, request.client_id)
      local pair = mime.unb64(request.headers.authorization:match("^Basic (%S+)$"))
      local first, second = pair:match("^([^:]*):(.*)$")
      assert.equal("a%3ab%25c d%2b%c3%a9", (first:gsub("%%%x%x", string.lower)))
      assert.equal("s/=&%c3%a9 %2b%25:\"\\*-._~", (second:gsub("%%%x%x", string.lower)))
    end)

    it("may be requested with a secret of any length", function()
      local secret = ("s3cr%t "):rep(500)
      server:configure { client_secret = secret }
      for _, auth in ipairs { "basic", "body" } do
        assert(helper.client(server, { client_id = "demo-client", client_secret = secret, client_auth = auth }):token())
      end
    end)
  end)

  describe("of the password grant", function()
    it("are requested with user name and password in the body, and no client if there is none", function()
      assert(helper.client(server, helper.PASSWORD):list_users(ORG))
      asked { "form none password" }
      local request = helper.last(server, "token")
      assert.equal("grant_type=password&username=ada%40example.com&password=correct+horse",
        (request.body:gsub("%%20", "+")))
      assert.is_nil(request.headers.authorization)
    end)

    it("are requested with the client's id and secret if there are any", function()
      server:configure { client_required = true }
      local options = helper.options(server, CREDENTIALS)
      assert(helper.client(server, options):list_users(ORG))
      asked { "form basic password" }
      assert.equal("demo-client", helper.last(server, "token").client_id)
    end)

    it("are requested with the client's id if it has no secret", function()
      assert(helper.client(server, { username = CREDENTIALS.username, password = CREDENTIALS.password,
        client_id = "public", client_auth = "body" }):get(helper.API .. "/none") == nil)
      local request = helper.last(server, "token")
      assert.truthy(("&" .. request.body .. "&"):find("&client_id=public&", 1, true))
      assert.is_nil(request.body:find("client_secret", 1, true))
      assert.is_nil(request.headers.authorization)
    end)
  end)

  it("are fetched when first needed, kept, and sent as Bearer", function()
    local client = helper.client(server)
    assert.equal(0, #server:requests())
    for _ = 1, 5 do assert(client:list_users(ORG)) end
    assert.equal(1, server:counts().token)
    assert.equal(5, server:counts().api)
    local token = assert(client:token())
    assert.truthy(token:match("^tok%-"))
    for _, request in ipairs(server:requests("api")) do
      assert.equal("Bearer " .. token, request.headers.authorization)
    end
    assert.equal(1, server:counts().token)
  end)

  it("are sent to the host of base_url and nowhere else", function()
    local other = mock.start { tls = false }
    finally(function() other:stop() end)
    other:configure { token_raw = "{\"access_token\": \"static\", \"token_type\": \"Bearer\", \"expires_in\": 60}" }
    server:configure { accept_tokens = { "static" } }
    local client = helper.client(server, { token_url = other.url .. "/oauth2/token/" })
    assert(client:list_users(ORG))
    assert.equal(0, server:counts().token)
    assert.equal(1, other:counts().token)
    assert.equal(0, other:counts().api)
    helper.without(other:requests(), { "static", "Bearer" })
    helper.without(server:requests(), { "demo-secret", mime.b64("demo-client:demo-secret") })
  end)

  it("and secrets are in no URL, and in no request that does not need them", function()
    local options = helper.options(server, CREDENTIALS)
    server:configure { refresh = true }
    local client = helper.client(server, options)
    assert(client:list_users(ORG))
    server:revoke()
    assert(client:list_users(ORG))
    local secrets = { "demo-secret", "correct horse", "correct+horse", mime.b64("demo-client:demo-secret") }
    for _, request in ipairs(server:requests("api")) do helper.without(request, secrets) end
    for _, request in ipairs(server:requests()) do
      helper.without(request.uri, secrets)
      helper.without(request.uri, { "tok-", "ref-" })
    end
    assert.is_nil(helper.last(server, "token").body:find("correct", 1, true)) -- the refresh token sufficed
  end)

  it("are requested with the given scope, and otherwise with none", function()
    assert(helper.client(server, { scope = "read write:all" }):list_users(ORG))
    local body = "&" .. helper.last(server, "token").body:gsub("%%20", "+") .. "&"
    assert.truthy(body:find("&scope=read+write%3Aall&", 1, true), body)
    assert(helper.client(server, { scope = "read \"all\"", token_encoding = "json" }):list_users(ORG))
    assert.same({ grant_type = "client_credentials", scope = "read \"all\"" },
      cjson.decode(helper.last(server, "token").body))
    assert(helper.client(server):list_users(ORG))
    assert.is_nil(helper.last(server, "token").body:find("scope", 1, true))
  end)

  -- Kinds of servers: encoding, client authentication, how they refuse others, and the maximum number of requests.
  local kinds = { { "both", "both", 1 } }
  for _, how in ipairs { "ninja_422", "ninja_400", "415", "dot", "invalid_request" } do
    kinds[#kinds + 1] = { "json", "both", 2, encoding_refusal = how }
    kinds[#kinds + 1] = { "json", "basic", 2, encoding_refusal = how }
    kinds[#kinds + 1] = { "json", "body", 3, encoding_refusal = how }
  end
  for _, how in ipairs { "invalid_client", "invalid_request", "unauthorized" } do
    kinds[#kinds + 1] = { "form", "body", 2, client_refusal = how }
    kinds[#kinds + 1] = { "json", "body", 3, client_refusal = how }
    kinds[#kinds + 1] = { "form", "basic", 1, client_refusal = how }
  end

  describe("without any option work with a server that accepts", function()
    for _, kind in ipairs(kinds) do
      local settings = { encoding = kind[1], client_auth = kind[2] }
      local name = ("%s as encoding and %s as client authentication"):format(kind[1], kind[2])
      for key, how in pairs(kind) do
        if type(key) == "string" then
          settings[key] = how
          name = ("%s (%s: %s)"):format(name, key, how)
        end
      end

      local function check(options)
        server:configure(settings)
        local client = helper.client(server, options)
        assert.equal(25, #assert(client:list_users(ORG)))
        assert.is_true(server:counts().token <= kind[3], table.concat(helper.token_requests(server), ", "))
        -- Later, one request renews the token.
        for _ = 1, 2 do
          local before = server:counts().token
          server:revoke()
          assert(client:list_users(ORG))
          assert.equal(before + 1, server:counts().token)
        end
      end

      it(name, function() check() end)

      -- A 401 without a code may mean a wrong password, which must not be sent again.
      if settings.client_refusal ~= "unauthorized" or kind[3] == 1 then
        it(name .. " for the password grant, too", function() check(helper.options(server, CREDENTIALS)) end)
      end
    end

    it("JSON only, without a client", function()
      server:configure { encoding = "json" }
      assert(helper.client(server, helper.PASSWORD):list_users(ORG))
      asked { "form - password", "json none password" }
      assert.same({ grant_type = "password", username = "ada@example.com", password = "correct horse" },
        cjson.decode(helper.last(server, "token").body))
      assert.equal("application/json", helper.last(server, "token").headers["content-type"])
    end)

    it("refresh tokens in JSON only", function()
      server:configure { encoding = "json", client_auth = "body", refresh = true }
      local client = helper.client(server, helper.options(server, CREDENTIALS))
      assert(client:list_users(ORG))
      local before = server:counts().token
      server:revoke()
      assert(client:list_users(ORG))
      assert.equal(before + 1, server:counts().token)
      local body = cjson.decode(helper.last(server, "token").body)
      assert.equal("refresh_token", body.grant_type)
      assert.equal("demo-secret", body.client_secret)
    end)
  end)

  describe("with a given option", function()
    it("are requested in that encoding only", function()
      for _, encoding in ipairs { "form", "json" } do
        server:reset()
        server:configure { encoding = encoding }
        assert(helper.client(server, { token_encoding = encoding }):list_users(ORG))
        asked { encoding .. " basic client_credentials" }
        server:reset()
        local other = encoding == "form" and "json" or "form"
        server:configure { encoding = other }
        helper.failed("auth", helper.client(server, { token_encoding = encoding,
          token_url = helper.TOKEN_PATH }):list_users(ORG))
        asked { encoding .. " - client_credentials" } -- refused before the client was authenticated
      end
    end)

    it("are requested with that client authentication only", function()
      for _, auth in ipairs { "basic", "body" } do
        server:reset()
        server:configure { client_auth = auth }
        assert(helper.client(server, { client_auth = auth }):list_users(ORG))
        asked { "form " .. auth .. " client_credentials" }
        server:reset()
        server:configure { client_auth = auth == "basic" and "body" or "basic" }
        helper.failed("auth", helper.client(server, { client_auth = auth }):list_users(ORG))
        asked { "form " .. auth .. " client_credentials" }
      end
    end)

    it("are requested with id and secret in the body, not in the header", function()
      for _, encoding in ipairs { "form", "json" } do
        assert(helper.client(server, { client_auth = "body", token_encoding = encoding }):list_users(ORG))
        local request = helper.last(server, "token")
        assert.is_nil(request.headers.authorization)
        assert.truthy(request.body:find("demo-client", 1, true))
        assert.truthy(request.body:find("demo-secret", 1, true))
      end
    end)
  end)

  describe("that are refused:", function()
    it("invalid_grant is final, and nothing else is tried", function()
      for _, more in ipairs { {}, { client_id = "demo-client", client_secret = "demo-secret" } } do
        server:reset()
        local options = { username = "ada@example.com", password = "wrong pass" }
        for name, value in pairs(more) do options[name] = value end
        local client = helper.client(server, options)
        local err = helper.failed("auth", client:list_users(ORG))
        assert.equal(1, server:counts().token)
        assert.equal(0, server:counts().api)
        assert.equal("invalid_grant", err.code)
        assert.equal("Invalid credentials given.", err.description)
        assert.equal(400, err.status)
        assert.is_false(err.retryable)
        helper.without(err, { "wrong pass", "wrong+pass" })
        helper.failed("auth", client:list_users(ORG))
        assert.equal(2, server:counts().token)
      end
    end)

    it("invalid_grant with any status or wording is final", function()
      for _, step in ipairs {
        { status = 400, body = "{\"error\": \"invalid_grant\"}" },
        { status = 401, body = "{\"error\": \"invalid_grant\", \"error_description\": \"grant_type client_id form\"}" },
        { status = 403, body = "{\"error\":\"invalid_grant\",\"detail\":[{\"loc\":[\"body\",\"grant_type\"]}]}" },
        { status = 422, body = "{\"error\": \"invalid_grant\"}" },
        { status = 415, body = "{\"error\": \"invalid_grant\"}" },
        { status = 500, body = "{\"error\": \"invalid_grant\"}" },
      } do
        server:reset()
        step.headers = { ["Retry-After"] = "0" }
        server:configure { always_token = step }
        local err = helper.failed("auth", helper.client(server, helper.options(server, CREDENTIALS)):list_users(ORG))
        assert.equal(1, server:counts().token, tostring(err))
        assert.equal("invalid_grant", err.code)
      end
    end)

    it("a wrong password is sent once in JSON if the server reads only JSON", function()
      server:configure { encoding = "json" }
      local client = helper.client(server, { username = "ada@example.com", password = "wrong pass" })
      helper.failed("auth", client:list_users(ORG))
      asked { "form - password", "json none password" } -- the server could not read the first
      helper.failed("auth", client:list_users(ORG))
      assert.equal(3, server:counts().token)
    end)

    it("nothing else is tried after a 401 without a code if there is a password", function()
      server:configure { always_token = { status = 401 } }
      helper.failed("auth", helper.client(server, helper.options(server, CREDENTIALS)):list_users(ORG))
      assert.equal(1, server:counts().token)
    end)

    it("a wrong client secret is an error of kind auth with the server's code", function()
      for _, encoding in ipairs { "both", "json", "form" } do
        server:reset()
        server:configure { encoding = encoding }
        local client = helper.client(server, { client_id = "demo-client", client_secret = "wrong secret" })
        local err = helper.failed("auth", client:list_users(ORG))
        assert.equal("invalid_client", err.code)
        assert.equal(401, err.status)
        assert.is_false(err.retryable)
        assert.is_true(server:counts().token <= 3)
        assert.equal(0, server:counts().api)
        helper.without(err, { "wrong secret", "wrong+secret" })
      end
    end)

    it("nothing else is tried if it has worked before", function()
      local client = helper.client(server)
      assert(client:list_users(ORG))
      server:revoke()
      server:patch { client_secret = "changed meanwhile" }
      helper.failed("auth", client:list_users(ORG))
      asked { "form basic client_credentials", "form basic client_credentials" }
      server:patch { client_secret = "demo-secret" }
      assert(client:list_users(ORG))
    end)

    it("a client works as soon as its server accepts it", function()
      server:configure { client_secret = "another" }
      local client = helper.client(server)
      helper.failed("auth", client:list_users(ORG))
      server:configure { client_auth = "basic" }
      assert(client:list_users(ORG))
    end)

    it("an unsupported grant is tried at most three times", function()
      server:configure { grants = { "password" } }
      local err = helper.failed("auth", helper.client(server, { token_url = helper.TOKEN_PATH }):list_users(ORG))
      assert.equal("unsupported_grant_type", err.code)
      assert.is_true(server:counts().token <= 3)
    end)
  end)

  describe("with a refresh token", function()
    for name, credentials in pairs { ["the client's grant"] = {}, ["the password grant"] = CREDENTIALS } do
      it("are renewed with it after " .. name, function()
        server:configure { refresh = true }
        local client = helper.client(server, helper.options(server, credentials))
        assert(client:list_users(ORG))
        local first = helper.last(server, "token").grant
        for _ = 1, 3 do -- each refresh token can be used once
          server:revoke()
          assert(client:list_users(ORG))
          assert.equal("refresh_token", helper.last(server, "token").grant)
        end
        assert.equal(4, server:counts().token)
        assert.same({ [first] = 1, refresh_token = 3 }, server:counts().tokens_by_grant)
      end)

      it("that is refused are requested with the first grant again, after " .. name, function()
        for _, step in ipairs {
          { status = 400, body = "{\"error\": \"invalid_grant\"}" }, { status = 401 },
          { status = 400, body = "{\"error\": \"unsupported_grant_type\"}" },
        } do
          server:reset()
          server:configure { refresh = true }
          local client = helper.client(server, helper.options(server, credentials))
          assert(client:list_users(ORG))
          local first = helper.last(server, "token").grant
          server:revoke()
          server:patch { script = { token = { step } } }
          assert(client:list_users(ORG))
          local list = server:requests("token")
          assert.equal(3, #list)
          assert.truthy(list[2].body:find("refresh_token=ref-", 1, true))
          assert.equal(first, list[3].grant)
          server:revoke()
          assert(client:list_users(ORG))
          assert.equal("refresh_token", helper.last(server, "token").grant) -- the new one
        end
      end)
    end

    it("that the server does not replace are renewed with it again", function()
      local body = "{\"access_token\": \"static\", \"token_type\": \"Bearer\", \"expires_in\": 0%s}"
      server:configure { accept_tokens = { "static" }, script = { token = {
        { body = body:format(", \"refresh_token\": \"ref-one\"") }, { body = body:format(""), times = 3 },
      } } }
      local client = helper.client(server)
      for _ = 1, 4 do assert(client:list_users(ORG)) end
      local list = server:requests("token")
      for i = 2, 4 do assert.truthy(list[i].body:find("refresh_token=ref-one", 1, true), list[i].body) end
    end)

    it("are not renewed with it again if the API refuses the first use of a renewed token", function()
      local body = "{\"access_token\": \"%s\", \"token_type\": \"Bearer\", \"refresh_token\": \"ref-one\"}"
      server:configure { accept_tokens = { "good" }, script = { token = {
        { body = body:format("old") }, { body = body:format("useless") }, { body = body:format("good") },
      } } }
      local client = helper.client(server)
      helper.failed("auth", client:list_users(ORG))
      assert(client:list_users(ORG))
      local grants = {}
      for i, request in ipairs(server:requests("token")) do grants[i] = request.body:match("grant_type=([^&]*)") end
      assert.same({ "client_credentials", "refresh_token", "client_credentials" }, grants)
    end)

    it("are renewed with it even if the server is busy at first", function()
      server:configure { refresh = true }
      local client = helper.client(server)
      assert(client:list_users(ORG))
      server:revoke()
      server:patch { script = { token = { { status = 503, headers = { ["Retry-After"] = "0" } } } } }
      assert(client:list_users(ORG))
      assert.equal(1, server:counts().tokens_by_grant.client_credentials)
      assert.equal("refresh_token", helper.last(server, "token").grant)
    end)

    it("that needs encoding are renewed with it", function()
      local refresh = "r+/= &%é\"\\"
      local body = "{\"access_token\": \"static\", \"refresh_token\": %s}"
      server:configure { script = { token = { { body = body:format(cjson.encode(refresh)) } } } }
      helper.client(server, { token_encoding = "json" }):list_users(ORG)
      assert.equal(refresh, cjson.decode(server:requests("token")[2].body).refresh_token)
    end)

    it("that is refused with status 200 are requested with the first grant again", function()
      server:configure { refresh = true }
      local client = helper.client(server)
      assert(client:list_users(ORG))
      server:revoke()
      server:patch { script = { token = { { status = 200, body = "{\"error\": \"invalid_grant\"}" } } } }
      assert.equal(25, #assert(client:list_users(ORG)))
      assert.same({ client_credentials = 2 }, server:counts().tokens_by_grant)
    end)
  end)

  describe("with expires_in", function()
    local function fetch(expires_in)
      server:configure { expires_in = expires_in, token_lifetime = 36000 }
      local client = helper.client(server)
      local token, expires_at = client:token()
      assert.is_string(token)
      return client, expires_at
    end

    for name, value in pairs { ["a number"] = 3600, ["a numeric string"] = "\"3600\"", ["a fraction"] = "3600.5" } do
      it("as " .. name .. " expire after it", function()
        local client, expires_at = fetch(value)
        local expected = socket.gettime() + 3600
        assert.is_true(math.abs(expires_at - expected) < 2, tostring(expires_at))
        assert(client:list_users(ORG))
        assert.equal(1, server:counts().token)
      end)
    end

    for name, value in pairs {
      null = "null", ["no value"] = "none", ["no number"] = "\"soon\"", ["an object"] = "{}", ["a boolean"] = "true",
      ["an empty string"] = "\"\"",
    } do
      it("of " .. name .. " are kept until they are refused", function()
        local client, expires_at = fetch(value)
        assert.is_nil(expires_at)
        for _ = 1, 3 do assert(client:list_users(ORG)) end
        assert.equal(1, server:counts().token)
        server:revoke()
        assert(client:list_users(ORG))
        assert.equal(2, server:counts().token)
      end)
    end

    for _, value in ipairs { "0", "-1", "-1e300", "\"0\"" } do
      it("of " .. value .. " are used by the call that waited for them", function()
        local client, expires_at = fetch(value)
        assert.is_true(expires_at == nil or expires_at <= socket.gettime() + 1)
        assert(client:list_users(ORG))
        assert(client:list_users(ORG))
        assert.equal(3, server:counts().token)
        assert.equal(2, server:counts().api)
      end)
    end

    for _, value in ipairs { "1e300", "\"1e300\"", "99999999999999999999" } do
      it("of " .. value .. " are kept, and expire some day", function()
        local client, expires_at = fetch(value)
        assert.is_true(expires_at == nil or expires_at > socket.gettime() + 86400 and expires_at < 1e300)
        assert(client:list_users(ORG))
        assert.equal(1, server:counts().token)
      end)
    end

    it("are renewed shortly before they expire", function()
      server:configure { expires_in = "1.0" }
      local client = helper.client(server)
      assert(client:list_users(ORG))
      assert(client:list_users(ORG))
      assert.equal(1, server:counts().token)
      socket.sleep(0.93)
      assert(client:list_users(ORG))
      assert.equal(2, server:counts().token)
      assert.is_nil(server:counts().statuses["401"])
    end)

    it("of a minute and a half or an hour are not renewed at once", function()
      for _, life in ipairs { 90, 3600 } do
        server:reset()
        local client = fetch(life)
        for _ = 1, 3 do assert(client:list_users(ORG)) end
        assert.equal(1, server:counts().token)
      end
    end)
  end)

  describe("that the API refuses", function()
    it("are dropped, and the call is retried once with a new one", function()
      local client = helper.client(server)
      assert(client:list_users(ORG))
      local old = client:token()
      server:revoke()
      assert.equal(25, #assert(client:list_users(ORG)))
      assert.equal(2, server:counts().token)
      assert.equal(3, server:counts().api)
      local requests = server:requests("api")
      assert.equal("Bearer " .. old, requests[2].headers.authorization)
      assert.equal("Bearer " .. client:token(), requests[3].headers.authorization)
      assert.are_not.equal(old, (client:token()))
      assert.equal(2, server:counts().token)
    end)

    it("are replaced even with max_retries = 0", function()
      local client = helper.client(server, { max_retries = 0 })
      assert(client:list_users(ORG))
      server:revoke()
      assert(client:list_users(ORG))
    end)

    it("again after renewal make the call fail with kind auth", function()
      server:configure { always_api = { status = 401 } }
      local client = helper.client(server)
      local err = helper.failed("auth", client:list_users(ORG))
      assert.equal(401, err.status)
      assert.same({ detail = "Unauthorized" }, err.detail)
      assert.is_false(err.retryable)
      assert.equal(2, server:counts().token)
      assert.equal(2, server:counts().api)
      server:configure {}
      assert(client:list_users(ORG))
    end)

    it("with status 403 are kept", function()
      server:configure { always_api = { status = 403 } }
      local client = helper.client(server)
      helper.failed("http", client:list_users(ORG))
      helper.failed("http", client:list_users(ORG))
      assert.equal(1, server:counts().token)
      assert.equal(2, server:counts().api)
    end)

    it("after a retry are renewed once", function()
      server:configure { script = { api = {
        { status = 503, headers = { ["Retry-After"] = "0" } }, { revoke = true }, { status = 503,
          headers = { ["Retry-After"] = "0" } },
      } } }
      assert(helper.client(server):list_users(ORG))
      assert.equal(2, server:counts().token)
      assert.equal(4, server:counts().api)
    end)
  end)

  describe("are refused, and never sent, if", function()
    for name, body in pairs {
      ["they have a line break"] = [[{"access_token": "a\r\nX-Injected: yes"}]],
      ["they have a line feed at the end"] = [[{"access_token": "abc\n"}]],
      ["they have a NUL"] = [[{"access_token": "abc\u0000def"}]],
      ["they have a control character"] = [[{"access_token": "abc\u007f"}]],
      ["they have a tab"] = [[{"access_token": "a\tb"}]],
      ["they have letters that are not ASCII"] = [[{"access_token": "tokén"}]],
      ["they are empty"] = [[{"access_token": ""}]],
      ["they are a number"] = [[{"access_token": 42}]],
      ["they are null"] = [[{"access_token": null}]],
      ["they are an object"] = [[{"access_token": {"value": "abc"}}]],
      ["they are absent"] = [[{"token": "abc"}]],
      ["they are of another type"] = [[{"access_token": "abc", "token_type": "mac"}]],
      ["they need a proof of possession"] = [[{"access_token": "abc", "token_type": "DPoP"}]],
      ["the response is an array"] = [=[["abc"]]=],
      ["the response is a string"] = [["abc"]],
      ["the response is HTML"] = "<html><body>Welcome</body></html>",
      ["the response is empty"] = "",
      ["the response is cut short"] = "{\"access_token\": \"ab",
    } do
      it(name, function()
        server:configure { token_raw = body }
        local err = helper.failed("auth", helper.client(server):list_users(ORG))
        assert.truthy(err.message:find("token_url", 1, true), err.message)
        assert.equal(0, server:counts().api)
        assert.equal(200, err.status)
        server:configure {}
      end)
    end

    it("the response with status 200 is an error", function()
      server:configure { token_raw = [[{"error": "access_denied", "error_description": "not today"}]] }
      local err = helper.failed("auth", helper.client(server):list_users(ORG))
      assert.truthy(err.message:find("access_denied", 1, true), err.message)
      assert.truthy(err.message:find("not today", 1, true), err.message)
    end)
  end)

  it("may have the type Bearer in upper or lower case, or none", function()
    for _, member in ipairs { "\"token_type\": \"bearer\"", "\"token_type\": \"BEARER\"", "\"token_type\": null",
      "\"scope\": null" } do
      server:configure { token_raw = "{\"access_token\": \"static\", " .. member .. "}", accept_tokens = { "static" } }
      assert(helper.client(server):list_users(ORG))
      assert.equal("Bearer static", helper.last(server, "api").headers.authorization)
    end
  end)

  it("may have thousands of characters, of all that are valid in a header", function()
    local characters = {}
    for code = 33, 126 do characters[#characters + 1] = string.char(code) end
    local token = table.concat(characters):gsub("[\"\\]", "") .. ("x"):rep(6000)
    server:configure { token_raw = cjson.encode { access_token = token }, accept_tokens = { token } }
    assert(helper.client(server):list_users(ORG))
  end)

  it("may be in JSON with escapes, equal names, of which the last one counts, and nested names", function()
    server:configure { accept_tokens = { "a/b+c=" .. ("d/"):rep(300) }, token_raw = [[ {"access_token": "first",
      "more": [{"access_token": "inner", "expires_in": 1}], "access_\u0074oken": "a\/\u0062+c=]] .. ("d\\/"):rep(300)
      .. [[", "expires_in": 9, "expires_in": " 600 ", "token_type": "Bearer", "scope": {"token_type": "mac"}} ]] }
    local client = helper.client(server)
    assert(client:list_users(ORG))
    local token, expires_at = client:token()
    assert.equal("a/b+c=" .. ("d/"):rep(300), token)
    assert.is_true(math.abs(expires_at - socket.gettime() - 600) < 2, tostring(expires_at))
    assert.equal(1, server:counts().token)
  end)

  describe("in a response with empty strings", function()
    local function response(more)
      local text = { access_token = "static", expires_in = 0 }
      for name, value in pairs(more) do text[name] = value end
      return { body = cjson.encode(text) }
    end

    it("are used, since an empty string counts as absent", function()
      helper.static(server, { always_token = response { token_type = "", scope = "", error = "", refresh_token = "" } })
      local client = helper.client(server, { scope = "read" })
      assert.equal(25, #assert(client:list_users(ORG)))
      assert.equal("read", select(3, client:token()))
      assert.equal(2, server:counts().token)
      helper.static(server, { always_token = response { expires_in = "" } })
      assert.same({ "static" }, { helper.client(server):token() })
    end)

    it("are renewed with the previous refresh token", function()
      helper.static(server, { always_token = response { refresh_token = "good" } })
      local client = helper.client(server)
      assert(client:list_users(ORG))
      server:patch { always_token = response { refresh_token = "" } }
      for _ = 1, 3 do
        assert(client:list_users(ORG))
        assert.truthy(helper.last(server, "token").body:find("refresh_token=good", 1, true))
      end
    end)

    it("are refused if the token itself is empty", function()
      server:configure { always_token = response { access_token = "" } }
      local err = helper.failed("auth", helper.client(server):token())
      assert.truthy(err.message:find("no access_token", 1, true), err.message)
    end)

    it("give errors without code and description", function()
      server:configure { always_token = { status = 400,
        body = cjson.encode { error = "", error_description = "", detail = "not today" } } }
      local client = helper.client(server, { token_encoding = "form", client_auth = "basic" })
      local err = helper.failed("auth", client:token())
      assert.is_nil(err.code)
      assert.is_nil(err.description)
      assert.truthy(err.message:find("not today$"), err.message)
    end)
  end)

  it("may be requested from /oauth2/token/", function()
    server:configure { encoding = "json", client_auth = "basic" } -- as in the service's guide
    local client = helper.client(server, { token_url = "/oauth2/token/" })
    assert(client:list_users(ORG))
    local request = helper.last(server, "token")
    assert.equal("/oauth2/token/", request.uri)
    assert.same({ grant_type = "client_credentials" }, cjson.decode(request.body))
    assert.equal(2, server:counts().token)
  end)

  describe("of client:token()", function()
    it("are returned with their expiry, and fetched once", function()
      server:configure { expires_in = 600 }
      local client = helper.client(server)
      local token, expires_at = client:token()
      assert.truthy(token:match("^tok%-"))
      assert.is_true(math.abs(expires_at - socket.gettime() - 600) < 2)
      assert.equal(token, (client:token()))
      assert(client:list_users(ORG))
      assert.equal("Bearer " .. token, helper.last(server, "api").headers.authorization)
      assert.equal(1, server:counts().token)
    end)

    it("are returned with the scope from the server, or otherwise the requested one", function()
      assert.equal("read write", (select(3, helper.client(server):token())))
      server:configure { token_raw = '{"access_token": "x", "token_type": "Bearer", "scope": null}' }
      assert.same({ "x", nil, "users:read" }, { helper.client(server, { scope = "users:read" }):token() })
      assert.equal(1, select("#", helper.client(server):token()))
      server:configure { token_raw = '{"access_token": "x", "token_type": "Bearer", "scope": "read"}' }
      local client = helper.client(server, { scope = "read write" })
      assert.equal("read", (select(3, client:token())))
      assert.equal("read", (select(3, client:token())))
      assert.equal(1, select("#", helper.client(server, { access_token = "mine" }):token()))
    end)

    it("are nil with an error if the request is refused", function()
      server:configure { always_token = { status = 403 } }
      local client = helper.client(server)
      assert.equal(2, select("#", client:token()))
      local err = helper.failed("auth", client:token())
      assert.equal(403, err.status)
      assert.equal(0, server:counts().api)
    end)
  end)
end)
