local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local podero = require "podero"
local socket = require "socket"
local versions = require "spec.support.versions"

local ORG = helper.ORG

local STRINGS = {
  "base_url", "client_id", "client_secret", "username", "password", "access_token", "token_url", "scope", "proxy",
  "user_agent",
}

local function with(name, value)
  local options = { client_id = "id", client_secret = "secret" }
  options[name] = value
  return options
end

describe("podero.new", function()
  it("raises an error that names an unknown option", function()
    for _, name in ipairs { "clientid", "Base_url", "time_out", "", "retries", "verify", "ca_file" } do
      helper.raises({ "unknown option", "'" .. name .. "'" }, podero.new, with(name, "x"))
    end
    helper.raises("'tls.verify_peer'", podero.new, with("tls", { verify_peer = true }))
    helper.raises("strings", podero.new, { "id", "secret" })
    helper.raises("strings", podero.new, { [true] = "id" })
  end)

  it("raises an error if its argument is not a table", function()
    for _, value in ipairs { "https://app.podero.com", 42, true, print } do
      helper.raises({ "new", "table", type(value) }, podero.new, value)
    end
  end)

  it("raises errors with the position of the caller", function()
    local message = helper.raises("timeout", function() podero.new { timeout = "x" } end)
    assert.truthy(message:find("options_spec.lua:%d+:"), message)
  end)

  local SECRETS = { client_secret = true, password = true, access_token = true } -- they may be functions
  local wrong = {
    token_encoding = { 1, true, {}, "xml", "FORM", "" },
    client_auth = { 1, true, {}, "digest", "Basic", "" },
    http_version = { 1.1, 2, true, {}, "2", "1.0", "AUTO", "" },
    timeout = { "30", true, {}, 0, -1, 0 / 0 },
    connect_timeout = { "10", true, {}, 0, -1, 0 / 0 },
    max_retries = { "2", true, {}, -1, 1.5, 0 / 0, 1 / 0 },
    max_connections = { "2", true, {}, 0, -1, 1.5, 0 / 0, 1 / 0 },
    max_response_bytes = { "1000", true, {}, 0, -1, 0 / 0 },
    validate = { "true", 1, {} },
    allow_http = { "true", 1, {} },
    tls = { "x", 1, true },
    on_event = { "print", 1, true, {} },
  }
  for _, name in ipairs(STRINGS) do
    local a_function = not SECRETS[name] and print or nil
    wrong[name] = { 42, true, false, {}, "x\0y", name ~= "proxy" and "" or a_function, a_function }
  end
  for name, values in pairs(wrong) do
    it("raises an error that names a wrong " .. name, function()
      for _, value in ipairs(values) do
        helper.raises("option '" .. name .. "'", podero.new, with(name, value))
      end
    end)
  end

  for name, values in pairs {
    ca_file = { 1, true, {}, "" }, ca_path = { 1, true, {}, "" }, cert = { 1, true, {}, "" }, key = { 1, true, {}, "" },
    key_password = { 1, true, {}, "", "x\0y" }, verify = { 0, 1, "false", {} },
  } do
    it("raises an error that names a wrong tls." .. name, function()
      for _, value in ipairs(values) do
        helper.raises("option 'tls." .. name .. "'", podero.new, with("tls", { [name] = value }))
      end
    end)
  end

  it("raises errors that name the type of the value", function()
    helper.raises({ "timeout", "got string" }, podero.new, with("timeout", "30"))
    helper.raises({ "base_url", "got table" }, podero.new, with("base_url", {}))
    helper.raises({ "validate", "got number" }, podero.new, with("validate", 1))
  end)

  it("raises errors without secrets", function()
    for _, name in ipairs { "client_secret", "password", "access_token" } do
      local message = helper.raises(name, podero.new, with(name, "hushhush\0more"))
      assert.is_nil(message:find("hushhush", 1, true))
    end
    local tls = { cert = "x", key_password = "hushhush\0more" }
    assert.is_nil(helper.raises("tls.key_password", podero.new, with("tls", tls)):find("hushhush", 1, true))
  end)

  it("accepts every possible number", function()
    for name, values in pairs {
      timeout = { 0.001, 1, 1e9, 1e300, 1 / 0 }, connect_timeout = { 0.001, 1, 1e300, 1 / 0 },
      max_retries = { 0, 1, 100 }, max_connections = { 1, 256, 1e6 }, max_response_bytes = { 1, 1e9, 1e300, 1 / 0 },
    } do
      for _, value in ipairs(values) do assert(podero.new(with(name, value))):close() end
    end
  end)

  it("makes a client without sending anything", function()
    local client = assert(podero.new { base_url = "https://127.0.0.1:1", client_id = "id", client_secret = "secret" })
    assert.truthy(tostring(client):find("https://127.0.0.1:1", 1, true))
    assert.is_nil(tostring(client):find("secret", 1, true))
    client:close()
  end)

  it("returns an error that names the missing one of a pair of credentials, without secrets", function()
    for missing, options in pairs {
      client_secret = { client_id = "hushhush" }, client_id = { client_secret = "hushhush" },
      password = { username = "hushhush" }, username = { password = "hushhush" },
    } do
      local err = helper.failed("argument", podero.new(options))
      assert.truthy(err.message:find(missing, 1, true), err.message)
      assert.is_nil(err.message:find("hushhush", 1, true), err.message)
      assert.equal(0, err.attempts)
      assert.is_false(err.retryable)
    end
    helper.failed("argument", podero.new { username = "ada", client_id = "id", client_secret = "secret" })
    helper.failed("argument", podero.new { username = "ada", password = "pass", client_secret = "secret" })
    assert(podero.new { username = "ada", password = "pass", client_id = "public" }):close()
  end)

  it("returns an error that names the possible credentials if there are none", function()
    for _, options in ipairs { {}, { base_url = "http://127.0.0.1:1" }, { timeout = 3 } } do
      local err = helper.failed("argument", podero.new(options))
      for _, name in ipairs { "client_id", "client_secret", "username", "password", "access_token" } do
        assert.truthy(err.message:find(name, 1, true), err.message)
        assert.truthy(err.message:find("PODERO_" .. name:upper(), 1, true), err.message)
      end
    end
    helper.failed("argument", podero.new())
    helper.failed("argument", podero.new(nil))
    helper.raises("timeout", podero.new, { timeout = "x" }) -- errors in options come first
  end)

  it("returns an error for a string with a line end, another control character or a byte order mark", function()
    local function refused(options, name, word)
      local err = helper.failed("argument", podero.new(options))
      assert.truthy(err.message:find(name .. " contains a " .. word .. ": remove it", 1, true), err.message)
      assert.is_nil(err.message:find("hush", 1, true), err.message)
    end
    local at_an_end = {
      ["hushhush\n"] = "line feed", ["hushhush\r\n"] = "carriage return", ["\239\187\191hushhush"] = "byte order mark",
      ["\255\254hushhush"] = "byte order mark", ["\254\255hushhush"] = "byte order mark",
    }
    local anywhere = { ["hush\27hush"] = "control character", ["hush\nhush"] = "line feed",
      ["hushhush\127"] = "control character" }
    for _, name in ipairs { "client_id", "client_secret", "scope", "access_token", "user_agent" } do
      for _, texts in ipairs { at_an_end, anywhere } do
        for text, word in pairs(texts) do refused(with(name, text), name, word) end
      end
    end
    -- These may contain anything, except at an end, where it comes from a file or a shell.
    for text, word in pairs(at_an_end) do
      refused({ username = text, password = "hush" }, "username", word)
      refused({ username = "ada", password = text }, "password", word)
      refused(with("tls", { cert = "x", key_password = text }), "tls.key_password", word)
    end
    for text in pairs(anywhere) do
      assert(podero.new { username = text, password = text, tls = { cert = "x", key_password = text } }):close()
    end
  end)

  it("raises an error for a second argument, and for a call with a colon", function()
    helper.raises({ "#2", "'new'" }, podero.new, { access_token = "x" }, { timeout = 3 })
    helper.raises({ "#2", "'new'" }, podero.new, podero, { access_token = "x" })
    assert(podero.new({ access_token = "x" }, nil)):close()
  end)

  describe("accepts options that are inherited through __index", function()
    local function inherits(defaults, own) return setmetatable(own or {}, { __index = defaults }) end

    it("like those in the table itself", function()
      local client = assert(podero.new(inherits { access_token = "x", base_url = "https://127.0.0.1:1" }))
      assert.truthy(tostring(client):find("https://127.0.0.1:1", 1, true))
      client:close()
      local asked = {}
      client = assert(podero.new(inherits(function(_, name)
        asked[name] = (asked[name] or 0) + 1
        return name == "access_token" and "x" or nil
      end)))
      client:close()
      for _, name in ipairs(STRINGS) do assert.equal(1, asked[name], name) end
    end)

    it("and checks them by the same rules", function()
      helper.raises("option 'timeout'", podero.new, inherits({ timeout = "x" }, { access_token = "x" }))
      helper.raises("option 'scope'", podero.new, inherits({ scope = "" }, { access_token = "x" }))
      helper.raises("unknown option 'time_out'", podero.new, inherits({ access_token = "x" }, { time_out = 3 }))
      helper.raises("strings", podero.new, inherits({ access_token = "x" }, { 3 }))
      helper.raises("option 'tls.verify'", podero.new, { access_token = "x", tls = inherits { verify = 0 } })
      helper.raises("option 'tls.cert'", podero.new, inherits { access_token = "x", tls = inherits { cert = 1 } })
      helper.raises("unknown option 'tls.ca'", podero.new, { access_token = "x", tls = inherits({}, { ca = "x" }) })
      local ok, raised = pcall(podero.new, inherits(function() error("mine", 0) end))
      assert.same({ false, "mine" }, { ok, raised })
    end)

    it("but prefers those in the table itself", function()
      local client = assert(podero.new(inherits({ base_url = "https://127.0.0.1:1", access_token = "x" },
        { base_url = "https://127.0.0.1:2" })))
      assert.truthy(tostring(client):find("https://127.0.0.1:2", 1, true))
      client:close()
    end)

    it("but not from a metatable without __index", function()
      helper.failed("argument", podero.new(setmetatable({}, { access_token = "x" })))
    end)
  end)
end)

describe("base_url and token_url", function()
  local function refused(name, url, more)
    local options = with(name, url)
    for key, value in pairs(more or {}) do options[key] = value end
    local err = helper.failed("argument", podero.new(options))
    assert.truthy(err.message:find(name, 1, true), err.message)
    assert.equal(0, err.attempts)
    assert.is_false(err.retryable)
    return err
  end

  it("may not be plain http, unless the host is loopback", function()
    for _, host in ipairs {
      "app.podero.com", "127.0.0.1.example.com", "localhost.example.com", "notlocalhost", "192.168.0.1", "0.0.0.0",
      "10.0.0.1", "128.0.0.1", "[::2]", "[::]", "[::ffff:8.8.8.8]", "xn--localhost",
      versions.address_may_end_with_dot and "10.0.0.1." or "127.0.0.1.",
      "api.localhost", -- some resolvers ask name servers for such names
    } do
      for _, name in ipairs { "base_url", "token_url" } do
        local err = refused(name, "http://" .. host .. "/x")
        assert.truthy(err.message:find("allow_http", 1, true), err.message)
      end
    end
    for _, host in ipairs { "localhost", "LOCALHOST", "localhost:8080", "127.0.0.1", "127.9.8.7:80", "[::1]",
      "[::1]:80" } do
      for _, name in ipairs { "base_url", "token_url" } do
        assert(podero.new(with(name, "http://" .. host .. "/x"))):close()
      end
    end
  end)

  it("may be plain http anywhere with allow_http", function()
    local options = with("base_url", "http://app.podero.com")
    options.allow_http = true
    assert(podero.new(options)):close()
    refused("base_url", "http://app.podero.com", { allow_http = false })
  end)

  it("must be an absolute URL without user, query or fragment", function()
    for _, url in ipairs {
      "app.podero.com", "//app.podero.com", "https://", "https:///x", "ftp://localhost", "file:///etc/passwd",
      "gopher://localhost/", "javascript:alert(1)", "https://user@app.podero.com", "https://user:pass@app.podero.com",
      "http://127.0.0.1@example.com", "http://127.0.0.1:80\\@example.com", "https://app.podero.com?x=1",
      "https://app.podero.com/#x", "https://app.podero.com/a b", "https://app.podero.com/a/../b",
      "https://app.podero.com:99999", "https://app.podero.com:http", "https://[::1", "https://app podero.com",
    } do
      refused("base_url", url)
      refused("token_url", url)
    end
  end)

  it("must have a port from 1 to 65535, if any", function()
    for _, url in ipairs { "https://app.podero.com:99999", "https://app.podero.com:http" } do
      local err = helper.failed("argument", podero.new(with("base_url", url)))
      assert.truthy(err.message:find("base_url has a port that is not a number from 1 to 65535", 1, true), err.message)
    end
  end)

  it("are refused in spellings that only libcurl accepts as URLs", function()
    for _, scheme in ipairs { "http", "https", "HTTP", "hTTps" } do
      for _, url in ipairs {
        ":/127.0.0.1", ":127.0.0.1", ":///127.0.0.1", ":////127.0.0.1", ":/127.0.0.1/x", ":", ":/", "://", ":///",
        ":\\\\127.0.0.1", ":/\\127.0.0.1", ":\\/127.0.0.1", "://127.0.0.1\\x", ": //127.0.0.1", ":// 127.0.0.1",
        "://127.0.0.1 ", ":\t//127.0.0.1", "://\t127.0.0.1", "://127.0.0.1\t", "://127.0.0.1\n", "://127.0.0.1:80 ",
        "://127.0.0.1//", "://127.0.0.1:0x50/", "://127.0.0.1:-1", "://127.0.0.1:+80", "://127.0.0.1:80:80", "://:80",
        "://:80/x", "://%31%32%37.0.0.1", "://localhos%74", "://127.0.0.1%2f.example.com", "://127.0.0.1,example.com",
        "://127.0.0.1;x", "://[127.0.0.1", "://127.0.0.1]", "://[]", "://[x]", "://<127.0.0.1>", "://127.0.0.1\"",
      } do
        if url ~= "://127.0.0.1//" then refused("base_url", scheme .. url, { allow_http = true }) end
        refused("token_url", scheme .. url, { allow_http = true })
      end
    end
    for _, url in ipairs { " https://127.0.0.1", "\thttps://127.0.0.1", "/https://127.0.0.1", "\\\\127.0.0.1",
      "\239\187\191https://127.0.0.1", "127.0.0.1:80", "localhost/x", "https", "https//127.0.0.1", "xhttps://127.0.0.1",
      "http+unix://127.0.0.1", "httpss://127.0.0.1", "https;//127.0.0.1" } do
      refused("base_url", url, { allow_http = true })
    end
  end)

  it("may have a scheme in upper or lower case, and a port", function()
    for _, url in ipairs { "HTTPS://app.podero.com", "Https://app.podero.com:8443/x", "https://[::1]:443",
      "https://app.podero.com:0443/", "https://a-b_c.example/x/y", "http://127.0.0.1" } do
      for _, name in ipairs { "base_url", "token_url" } do assert(podero.new(with(name, url))):close() end
    end
  end)

  it("may not have dot segments, encoded separators, control characters or empty segments", function()
    for _, path in ipairs {
      "/../x", "/x/..", "/./x", "/x/%2e%2E", "/%2e", "/.%2e/x", "/x%2fy", "/x%2Fy", "/x%5cy", "/x%5Cy", "/%252e%252e/x",
      "/x%252fy", "/..;/x", "/..;a=b/x", "/%2e%2e%3b/x", "/x%00", "/x%0ay", "/x%7fy", "//x", "/x//y", "/%c0%ae%c0%ae/x",
      "/x%c0%afy",
    } do
      refused("base_url", "https://app.podero.com" .. path)
      refused("token_url", "https://app.podero.com" .. path)
      refused("token_url", path)
    end
  end)

  it("may not change the host through a path", function()
    -- The path is appended to base_url, and must not extend the host.
    for _, path in ipairs { "/x?y=1", "/x#y", "/../x", "/x y", "/x\\y", "/x\r\nHost: elsewhere.example",
      "//elsewhere.example/token" } do
      refused("token_url", path)
    end
  end)
end)

describe("with a server", function()
  local server

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(function() helper.close_clients() end)

  describe("string options", function()
    it("put no line break or NUL into a request", function()
      for _, name in ipairs(STRINGS) do
        for _, line_break in ipairs { "\r\n", "\n", "\r", "\0" } do
          local bad = "x" .. line_break .. "X-Injected: yes"
          local before = { base_url = server.url .. "/", token_url = "/oauth2/token/" }
          local options = helper.options(server, helper.PASSWORD)
          options.client_id, options.client_secret = "demo-client", "demo-secret"
          options[name] = (before[name] or "") .. bad
          local ok, client, err = pcall(podero.new, options)
          if not ok then
            assert.truthy(client:find(name, 1, true), client)
          elseif not client then
            helper.failed("argument", client, err)
            assert.truthy(err.message:find(name, 1, true), err.message)
          else
            client:list_users(ORG)
            client:close()
          end
        end
      end
      for _, request in ipairs(server:requests()) do
        assert.is_nil(request.headers["x-injected"])
        assert.equal("token", request.kind) -- for user names and passwords, which are encoded in a body
      end
    end)

    it("raise an error if they contain a NUL", function()
      for _, name in ipairs(STRINGS) do
        helper.raises("option '" .. name .. "'", podero.new, with(name, "x\0y"))
      end
    end)

    it("are refused if they cannot be in a header field", function()
      for name, value in pairs {
        user_agent = "x\ry", client_id = "x\ny", client_secret = "x\1y", access_token = "x\ny", scope = "x\127y",
      } do
        local err = helper.failed("argument", podero.new(with(name, value)))
        assert.truthy(err.message:find(name, 1, true), err.message)
      end
      for _, token in ipairs { " ", "a b", "a\tb", "ü" } do
        local err = helper.failed("argument", podero.new { access_token = token })
        assert.truthy(err.message:find("access_token", 1, true), err.message)
      end
    end)

    it("may contain any characters if they are passwords", function()
      local password = "a&b=c+d e%20\r\n\tü\"\\/😀"
      for _, encoding in ipairs { "form", "json" } do
        server:configure { password = password, encoding = encoding }
        local client = helper.client(server, { username = "ada@example.com", password = password })
        assert(client:list_users(ORG))
      end
    end)
  end)

  describe("access_token", function()
    it("is sent unchanged, without a token request", function()
      helper.static(server, {})
      local client = helper.client(server, { access_token = "static" })
      assert.equal(25, #assert(client:list_users(ORG)))
      assert.same({ "static" }, { client:token() })
      assert.equal(0, server:counts().token)
      assert.equal("Bearer static", helper.last(server, "api").headers.authorization)
    end)

    it("is sent without a token request even if it is refused", function()
      local client = helper.client(server, { access_token = "made-up", client_id = "demo-client",
        client_secret = "demo-secret" })
      local err = helper.failed("auth", client:list_users(ORG))
      assert.equal(401, err.status)
      assert.equal(0, server:counts().token)
      assert.equal(1, server:counts().api)
    end)

    it("may be given with half of other credentials", function()
      assert(podero.new { access_token = "x", client_secret = "y" }):close()
      assert(podero.new { access_token = "x", username = "y" }):close()
    end)
  end)

  describe("user_agent", function()
    it("is put before the library's own", function()
      assert(helper.client(server):list_users(ORG))
      local own = helper.last(server, "api").headers["user-agent"]
      assert.truthy(own:find("^podero%-lua/0%.2%.0"), own)
      assert(helper.client(server, { user_agent = "billing/2.1 (night run)" }):list_users(ORG))
      for _, kind in ipairs { "token", "api" } do
        assert.equal("billing/2.1 (night run) " .. own, helper.last(server, kind).headers["user-agent"])
      end
    end)
  end)

  describe("base_url", function()
    it("may have a path and slashes at its end", function()
      local settings = { paths = {
        ["/prefix/v1" .. helper.TOKEN_PATH] = { body = "{\"access_token\": \"abc\", \"token_type\": \"Bearer\"}" },
        ["/prefix/v1" .. helper.users_path()] = { body = "[]" },
      } }
      for _, ending in ipairs { "", "/", "//" } do
        server:reset()
        server:configure(settings)
        local client = helper.client(server, { base_url = server.url .. "/prefix/v1" .. ending })
        assert.same({}, client:list_users(ORG))
        local requests = server:requests()
        assert.equal(2, #requests)
        assert.equal("POST /prefix/v1" .. helper.TOKEN_PATH .. " HTTP/1.1", requests[1].request_line)
        assert.equal("GET /prefix/v1" .. helper.users_path() .. " HTTP/1.1", requests[2].request_line)
        assert.equal("Bearer abc", requests[2].headers.authorization)
      end
      server:reset()
      assert(helper.client(server, { base_url = server.url .. "/" }):list_users(ORG))
      assert.equal(helper.users_path(), helper.last(server, "api").uri)
    end)

    it("may have a host name", function()
      assert(helper.client(server, { base_url = ("http://localhost:%d"):format(server.port) }):list_users(ORG))
      assert.equal(1, server:counts().api)
    end)
  end)

  describe("token_url", function()
    it("is the specification's by default", function()
      assert(helper.client(server):list_users(ORG))
      assert.equal(helper.TOKEN_PATH, helper.last(server, "token").uri)
    end)

    it("may be a path on base_url or an absolute URL", function()
      for _, url in ipairs { "/oauth2/token/", server.url .. "/oauth2/token/" } do
        server:reset()
        assert(helper.client(server, { token_url = url }):list_users(ORG))
        assert.equal(1, server:counts().token)
        assert.equal("/oauth2/token/", helper.last(server, "token").uri)
      end
    end)
  end)

  describe("timeout", function()
    it("applies to the whole call, and can be set for one call", function()
      helper.static(server, { always_api = { delay = 5 } })
      local client = helper.client(server, { access_token = "static", timeout = 0.3 })
      local seconds, result, err = helper.timed(client.list_users, client, ORG)
      helper.failed("timeout", result, err)
      assert.is_true(seconds >= 0.29 and seconds < 0.8, tostring(seconds))
      client = helper.client(server, { access_token = "static" })
      seconds, result, err = helper.timed(client.list_users, client, ORG, { timeout = 0.2 })
      helper.failed("timeout", result, err)
      assert.is_true(seconds >= 0.19 and seconds < 0.7, tostring(seconds))
      server:patch { always_api = { delay = 0.3 } }
      client = helper.client(server, { access_token = "static", timeout = 0.1 })
      assert(client:list_users(ORG, { timeout = 5 }))
    end)
  end)

  describe("connect_timeout", function()
    it("limits an attempt to connect, which is then retried", function()
      -- A listener with a full queue that accepts no connection: further ones get no response.
      local listener = assert(socket.tcp())
      assert(listener:bind("127.0.0.1", 0))
      assert(listener:listen(0))
      local _, port = listener:getsockname()
      local held = { listener }
      finally(function()
        for _, one in ipairs(held) do one:close() end
      end)
      for _ = 1, 4 do
        local one = socket.tcp()
        one:settimeout(0)
        one:connect("127.0.0.1", port)
        held[#held + 1] = one
      end
      local client = helper.client(server, { base_url = ("http://127.0.0.1:%d"):format(port), access_token = "static",
        connect_timeout = 0.2, max_retries = 1 })
      local seconds, result, err = helper.timed(client.list_users, client, ORG)
      err = helper.failed("timeout", result, err)
      assert.equal(2, err.attempts)
      assert.is_true(err.retryable)
      assert.is_true(seconds >= 0.4 and seconds < 1.5, tostring(seconds))
    end)
  end)

  describe("tls", function() -- more of it in tls_spec
    local function tls_client(url, tls, more)
      local options = { base_url = url, tls = tls, access_token = "static", max_retries = 0 }
      for name, value in pairs(more or {}) do options[name] = value end
      return helper.client(server, options)
    end

    before_each(function() helper.static(server, {}) end)

    it("ca_file has the trusted authorities", function()
      assert(tls_client(server.tls_url, { ca_file = server.ca_file }):list_users(ORG))
      assert.equal("https", helper.last(server, "api").scheme)
      local version = helper.last(server, "api").tls
      assert.is_true(version == "TLSv1.2" or version == "TLSv1.3", version)
    end)

    it("ca_path has the trusted authorities", function()
      local folder = server.dir .. "/hashed"
      local text, code = helper.shell(("mkdir %s && cp %s %s/$(openssl x509 -hash -noout -in %s).0"):format(folder,
        server.ca_file, folder, server.ca_file))
      assert.equal(0, code, text)
      assert(tls_client(server.tls_url, { ca_path = folder }):list_users(ORG))
    end)

    it("refuses a certificate from an unknown authority, and sends nothing", function()
      for _, tls in ipairs { {}, { verify = true } } do
        local err = helper.failed("network", tls_client(server.tls_url, tls):list_users(ORG))
        assert.truthy(err.message:lower():find("certificate", 1, true), err.message)
        assert.is_false(err.retryable)
      end
      assert.equal(0, #server:requests())
    end)

    it("refuses a certificate of another host, or an expired one", function()
      for _, url in ipairs { server.expired_url, server.wrong_host_url } do
        helper.failed("network", tls_client(url, { ca_file = server.ca_file }):list_users(ORG))
      end
    end)

    it("verify = false accepts any certificate", function()
      assert(tls_client(server.tls_url, { verify = false }):list_users(ORG))
      for _, url in ipairs { server.expired_url, server.wrong_host_url } do
        local err = helper.failed("decode", tls_client(url, { verify = false }):list_users(ORG))
        assert.equal(204, err.status)
      end
    end)

    it("cert and key authenticate the client", function()
      helper.static(server, { require_client_cert = true })
      local err = helper.failed("http", tls_client(server.tls_url, { ca_file = server.ca_file }):list_users(ORG))
      assert.equal(403, err.status)
      local tls = { ca_file = server.ca_file, cert = server.client_cert, key = server.client_key }
      assert(tls_client(server.tls_url, tls):list_users(ORG))
      assert.equal("CN=mock client", helper.last(server, "api").client_cert)
    end)

    it("files that cannot be read fail the call", function()
      for _, name in ipairs { "ca_file", "cert", "key" } do
        local tls = { ca_file = server.ca_file, cert = server.client_cert, key = server.client_key }
        tls[name] = server.dir .. "/no-such-file.pem"
        local err = helper.failed("argument", tls_client(server.tls_url, tls):list_users(ORG))
        assert.is_false(err.retryable)
      end
      assert.equal(0, server:counts().api)
    end)
  end)

  describe("proxy", function()
    it("gets the requests", function()
      local options = { base_url = "http://api.podero.test", proxy = server.url, allow_http = true }
      local client = helper.client(server, options)
      assert(client:list_users(ORG))
      assert.equal("GET http://api.podero.test" .. helper.users_path() .. " HTTP/1.1",
        helper.last(server, "api").request_line)
    end)

    it("is that of the environment, as libcurl reads it, by default", function()
      local program = ("print(#require('podero').new { base_url = 'http://api.podero.test', allow_http = true, "
        .. "client_id = 'demo-client', client_secret = 'demo-secret'%s }:list_users('%s'))")
      assert.equal("25\n", helper.run(program:format("", ORG), { http_proxy = server.url }))
      assert.equal(1, server:counts().api)
    end)

    it("is not that of the environment for plain http to a loopback address", function()
      local program = ("local c = require('podero').new{base_url=%q, access_token='static'} print(c:list_users(%q))")
        :format(server.url, ORG)
      helper.static(server, {})
      local closed = "http://127.0.0.1:" .. helper.closed_port()
      local output = helper.run(program, { http_proxy = closed, all_proxy = closed })
      assert.truthy(output:find("^table"), output)
    end)
  end)

  describe("validate", function()
    it("is on by default", function()
      helper.static(server, { organizations = { [ORG] = { raw = "[{\"id\": 5}]" } } })
      helper.failed("schema", helper.client(server, { access_token = "static" }):list_users(ORG))
      local options = { access_token = "static", validate = true }
      helper.failed("schema", helper.client(server, options):list_users(ORG))
      options.validate = false
      assert.equal(5, assert(helper.client(server, options):list_users(ORG))[1].id)
    end)
  end)

  describe("opts of a call", function()
    it("raise an error that names an unknown or wrong option, and nothing is sent", function()
      local client = helper.client(server)
      local function raises(texts, method, ...) helper.raises(texts, client[method], client, ...) end
      for _, name in ipairs { "include_delete", "validate", "concurrency", "" } do
        raises({ "list_users", "'" .. name .. "'" }, "list_users", ORG, { [name] = true })
        raises({ "get", "'" .. name .. "'" }, "get", "/x", nil, { [name] = true })
      end
      raises("'include_deleted'", "get", "/x", nil, { include_deleted = true })
      for name, values in pairs {
        include_deleted = { "true", 1, {} }, timeout = { "1", 0, -1, 0 / 0 }, max_retries = { "1", -1, 0.5 },
        max_response_bytes = { "1", 0, true },
      } do
        for _, value in ipairs(values) do
          raises({ "list_users", "'" .. name .. "'" }, "list_users", ORG, { [name] = value })
          if name ~= "include_deleted" then raises("'" .. name .. "'", "get", "/x", nil, { [name] = value }) end
        end
      end
      for _, method in ipairs { "list_users", "each_user", "list_users_of" } do
        local ids = method == "list_users_of" and { ORG } or ORG
        raises({ method, "'timeout'" }, method, ids, setmetatable({}, { __index = { timeout = 0 } }))
        raises({ method, "'time_out'" }, method, ids, setmetatable({ time_out = 1 }, { __index = { timeout = 1 } }))
      end
      raises({ "list_users", "table" }, "list_users", ORG, true)
      raises("table", "get", "/x", nil, "opts")
      assert.equal(0, #server:requests())
    end)

    it("may be inherited through __index", function()
      helper.static(server, { always_api = { delay = 5 } })
      local client = helper.client(server, { access_token = "static", max_retries = 0 })
      local opts = setmetatable({}, { __index = { timeout = 0.1 } })
      local seconds = helper.timed(function()
        helper.failed("timeout", client:list_users(ORG, opts))
        helper.failed("timeout", client:get(helper.users_path(), nil, opts))
        local _, errors = client:list_users_of({ ORG }, opts)
        helper.failed("timeout", nil, errors[ORG])
      end)
      assert.is_true(seconds < 3, tostring(seconds))
      helper.static(server, {})
      local told
      opts = setmetatable({}, { __index = { on_progress = function(...) told = { ... } end, include_deleted = true } })
      local users = assert(client:list_users(ORG, opts))
      assert.equal(helper.users_path() .. "?include_deleted=true", helper.last(server, "api").uri)
      assert.equal(#users, told[2])
    end)

    it("raise errors with the position of the caller", function()
      local client = helper.client(server)
      local message = helper.raises("timeout", function() client:list_users(ORG, { timeout = "x" }) end)
      assert.truthy(message:find("options_spec.lua:%d+:"), message)
    end)
  end)

  describe("the environment", function()
    local PROGRAM = [[
      local podero = require "podero"
      local ok, client, err = pcall(function() return podero.new(%s) end)
      if not ok then print("raised", client) return end
      if not client then print("failed", err) return end
      local users, problem = client:list_users("%s")
      print(users and #users or problem)
    ]]

    local function run(options, environment)
      return (helper.run(PROGRAM:format(options, ORG), environment):gsub("\n$", ""))
    end

    local function environment(more)
      local all = { PODERO_BASE_URL = server.url }
      for name, value in pairs(more) do all["PODERO_" .. name] = value end
      return all
    end

    local CLIENT = { CLIENT_ID = "demo-client", CLIENT_SECRET = "demo-secret" }
    local PERSON = { USERNAME = "ada@example.com", PASSWORD = "correct horse" }

    it("replaces options that are not given", function()
      for _, options in ipairs { "", "nil", "{}" } do
        server:reset()
        assert.equal("25", run(options, environment(CLIENT)))
        assert.same({ "form basic client_credentials" }, helper.token_requests(server))
      end
      server:reset()
      assert.equal("25", run("{}", environment(PERSON)))
      assert.same({ "form none password" }, helper.token_requests(server))
      helper.static(server, {})
      assert.equal("25", run("{}", environment { ACCESS_TOKEN = "static" }))
      assert.equal(1, server:counts().token)
      assert.equal("25", run("{}", environment { TOKEN_URL = "/oauth2/token/", CLIENT_ID = "demo-client",
        CLIENT_SECRET = "demo-secret" }))
      assert.equal("/oauth2/token/", helper.last(server, "token").uri)
    end)

    it("is overridden by options", function()
      local options = ("{ base_url = '%s', token_url = '%s', client_id = 'demo-client', "
        .. "client_secret = 'demo-secret' }"):format(server.url, helper.TOKEN_PATH)
      assert.equal("25", run(options, { PODERO_BASE_URL = "https://127.0.0.1:1", PODERO_TOKEN_URL = "/elsewhere",
        PODERO_CLIENT_ID = "other", PODERO_CLIENT_SECRET = "other" }))
    end)

    it("does not add credentials to those given as options", function()
      local all = environment(CLIENT)
      for name, value in pairs(environment(PERSON)) do all[name] = value end
      assert.equal("25", run("{ username = 'ada@example.com', password = 'correct horse' }", all))
      assert.same({ "form none password" }, helper.token_requests(server))
      server:reset()
      assert.equal("25", run("{ client_id = 'demo-client', client_secret = 'demo-secret' }", all))
      assert.same({ "form basic client_credentials" }, helper.token_requests(server))
      server:reset()
      helper.static(server, {})
      assert.equal("25", run("{ access_token = 'static' }", all))
      assert.equal(0, server:counts().token)
      server:reset()
      all.PODERO_ACCESS_TOKEN = "static"
      assert.equal("25", run("{ client_id = 'demo-client', client_secret = 'demo-secret' }", all))
      assert.equal(1, server:counts().token)
      server:reset()
      assert.truthy(run("{ client_id = 'demo-client' }", all):find("^failed.*argument.*client_secret"))
      assert.truthy(run("{ username = 'ada@example.com' }", all):find("^failed.*argument.*password"))
      assert.equal(0, #server:requests())
    end)

    it("counts an empty variable as unset", function()
      assert.truthy(run("{}", environment { CLIENT_ID = "", CLIENT_SECRET = "" }):find("^failed.*argument"))
      local all = environment(CLIENT)
      all.PODERO_TOKEN_URL, all.PODERO_USERNAME, all.PODERO_PASSWORD, all.PODERO_ACCESS_TOKEN = "", "", "", ""
      assert.equal("25", run("{}", all))
      assert.same({ "form basic client_credentials" }, helper.token_requests(server))
    end)

    it("without credentials makes podero.new return an error that says which are needed", function()
      local message = run("{}", {})
      assert.truthy(message:find("^failed.*argument"), message)
      for _, name in ipairs { "client_id", "client_secret", "username", "password", "access_token" } do
        assert.truthy(message:find(name, 1, true), message)
      end
    end)

    it("is checked by the same rules, in errors that name the variable", function()
      for variable, value in pairs {
        PODERO_BASE_URL = "http://app.podero.com", PODERO_TOKEN_URL = "https:/host/token",
      } do
        local all = environment(CLIENT)
        all[variable] = value
        local message = run("{}", all)
        assert.truthy(message:find("^failed.*argument"), message)
        assert.truthy(message:find(variable, 1, true), message)
        assert.truthy(message:find(variable:match("PODERO_(.*)"):lower(), 1, true), message)
      end
    end)

    it("with half of a pair gives an error that names both variables", function()
      for _, pair in ipairs { { "CLIENT_ID", "CLIENT_SECRET" }, { "USERNAME", "PASSWORD" } } do
        for i = 1, 2 do
          local message = run("{}", environment { [pair[i]] = "hushhush" })
          assert.truthy(message:find("^failed.*argument"), message)
          for _, name in ipairs(pair) do assert.truthy(message:find("PODERO_" .. name, 1, true), message) end
          assert.is_nil(message:find("hushhush", 1, true), message)
        end
      end
    end)

    it("with a line end, another control character or a byte order mark is refused, and nothing is sent", function()
      local wrong = { ["%s\n"] = "line feed", ["%s\r"] = "carriage return", ["\239\187\191%s"] = "byte order mark",
        ["%s\t"] = "control character", ["%s\27[31m"] = "control character" }
      for _, given in ipairs { CLIENT, PERSON, { ACCESS_TOKEN = "static" },
        { ACCESS_TOKEN = "static", TOKEN_URL = "/oauth2/token/" } } do
        for name in pairs(given) do
          for format, word in pairs(wrong) do
            local all = environment(given)
            all["PODERO_" .. name] = format:format(given[name])
            local message = run("{}", all)
            assert.truthy(message:find("^failed.*argument"), message)
            assert.truthy(message:find("PODERO_" .. name, 1, true), message)
            assert.truthy(message:find("contains a " .. word, 1, true), message)
            assert.truthy(message:find("remove it from the variable", 1, true), message)
            if name ~= "TOKEN_URL" then assert.is_nil(message:find(given[name], 1, true), message) end
          end
        end
      end
      local message = run("{}", { PODERO_BASE_URL = server.url .. "\n", PODERO_ACCESS_TOKEN = "static" })
      assert.truthy(message:find("PODERO_BASE_URL) contains a line feed", 1, true), message)
      assert.equal(0, #server:requests())
    end)
  end)

  it("max_response_bytes limits what is kept", function()
    helper.static(server, {})
    local client = helper.client(server, { access_token = "static", max_response_bytes = 1000 })
    helper.failed("too_large", client:list_users(ORG))
    assert(client:list_users(ORG, { max_response_bytes = 1000000 }))
  end)
end)
