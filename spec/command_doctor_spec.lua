-- `podero doctor` says step by step what works, and what to change if something does not.

local command = require "spec.support.command"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

local cjson = require "cjson"

describe("podero doctor", function()
  local folder, server

  command.set_up({ tls = true }, function(...) folder, server = ... end)

  local NO_CLIENT = { PODERO_CLIENT_ID = false, PODERO_CLIENT_SECRET = false }
  local SECRETS = { mock.credentials.client_secret, mock.credentials.password, "hush", "tok-" }

  --- Runs it. Returns its exit code and its output, with blanks joined, after checking that this has no secret.
  local function run(arguments, more)
    more = more or {}
    more.LC_ALL = more.LC_ALL or "C.UTF-8"
    local code, output, errors = command.run("doctor " .. arguments, command.environment(server, more))
    assert.equal("", errors)
    helper.without({ output }, SECRETS)
    return code, output:gsub("[ \n]+", " ")
  end

  --- Checks that it exits with this code after the failure of this step, and prints these texts. Returns the output.
  local function fails(expected, step, texts, arguments, more)
    local code, output = run(arguments, more)
    assert.equal(expected, code, output)
    assert.truthy(output:find("✘ " .. step .. " ", 1, true), output)
    assert.equal(1, select(2, output:gsub("✘", "")))
    for _, text in ipairs(texts) do assert.truthy(output:find(text, 1, true), output) end
    return output
  end

  local function without_client(more)
    for name, value in pairs(NO_CLIENT) do more[name] = value end
    return more
  end

  it("ticks off what works: host, endpoint, grant and source of the credentials, clock, token and list", function()
    local code, output = run(mock.ORG)
    assert.equal(0, code)
    assert.equal("✔ base URL " .. server.url .. " (PODERO_BASE_URL) ✔ credentials client credentials grant, client "
      .. "demo-client (PODERO_CLIENT_ID), secret from PODERO_CLIENT_SECRET ✔ connection "
      .. server.url:match("//(.*)") .. " answers after ", output:match("^(.- answers after )"))
    local expected = " ✔ clock as the server's ✔ token from %s/api/partners/v2.0/auth/token, expires "
    assert.truthy(output:find(expected:format(server.url), 1, true), output)
    expected = ", scope read write ✔ users the list of organization %s can be read "
    assert.truthy(output:find(expected:format(mock.ORG), 1, true), output)
    assert.is_nil(output:find("✘", 1, true))
    local _, without_id = run ""
    assert.is_nil(without_id:find("users", 1, true))
  end)

  it("names the grant and the source of the credentials", function()
    local password = { PODERO_USERNAME = mock.credentials.username, PODERO_PASSWORD = mock.credentials.password }
    local _, output = run("", without_client(password))
    assert.truthy(output:find("password grant, user ada@example.com (PODERO_USERNAME), password from PODERO_PASSWORD ✔",
      1, true), output)
    server:configure { accept_tokens = { "hush" } }
    local code
    code, output = run("", without_client { PODERO_ACCESS_TOKEN = "hush" })
    assert.equal(0, code, output)
    assert.truthy(output:find("an access token, from PODERO_ACCESS_TOKEN", 1, true), output)
    assert.truthy(output:find("✔ token the API accepts it; when it expires is unknown", 1, true), output)
    code, output = run(mock.ORG, without_client { PODERO_ACCESS_TOKEN = "hush" })
    assert.equal(0, code, output)
    assert.truthy(output:find("✔ users the list", 1, true), output)
  end)

  it("says what is wrong with the settings", function()
    fails(2, "settings", { "PODERO_BASE_URL 'x.example' has no scheme: https://x.example?" }, "",
      { PODERO_BASE_URL = "x.example" })
    fails(2, "settings", { "no credentials: set PODERO_CLIENT_ID" }, "", without_client {})
    fails(2, "settings", { "✘ settings --ca-file /nope cannot be read: No such file" }, "--ca-file /nope",
      { PODERO_BASE_URL = server.tls_url })
    fails(2, "settings", { "the client's secret is missing" }, "", { PODERO_CLIENT_SECRET = false })
  end)

  it("warns about doubtful settings, and continues", function()
    local _, output = run("", { PODERO_BASE_URL = server.url .. "/api/partners/v2.0" })
    assert.truthy(output:find("! base URL ", 1, true), output)
    assert.truthy(output:find("The path /api/partners/v2.0 is added to it: leave that out", 1, true), output)
    for _, value in ipairs { "hush ", '"hush"' } do
      local _, other = run("", { PODERO_CLIENT_SECRET = value })
      assert.truthy(other:find("PODERO_CLIENT_SECRET begins or ends with a blank or a quotation mark", 1, true))
      assert.truthy(other:find("✘ token", 1, true), other)
    end
  end)

  describe("says what is wrong with the connection:", function()
    it("an unknown host name", function()
      fails(4, "connection", { "network: ", "Check the host in the base URL (PODERO_BASE_URL)", "network and DNS",
        "--proxy" }, "", { PODERO_BASE_URL = "https://podero.invalid" })
    end)

    it("a port without a server", function()
      fails(4, "connection", { "network: ", "Nothing answers there: check host and port", "firewalls" }, "",
        { PODERO_BASE_URL = "http://127.0.0.1:" .. helper.closed_port() })
    end)

    it("no response", function()
      server:configure { always_token = { delay = 2 } }
      fails(4, "connection", { "timeout: ", "The server did not respond in time: check firewalls" }, "--timeout 0.5")
      server:configure { script = { api = { { delay = 2 } } } }
      fails(4, "users", { "timeout: ", "The server responds, but too slowly" }, "--timeout 0.5 " .. mock.ORG)
    end)

    it("a proxy", function()
      local environment = { PODERO_BASE_URL = "https://podero.invalid" }
      environment.https_proxy = server.url:gsub("//", "//me:hush@")
      local output = fails(1, "connection", { "answered CONNECT with HTTP", "The proxy refuses", "✔ proxy 127.0.0.1:",
        "(https_proxy)" }, "", environment)
      assert.is_nil(output:find("me:", 1, true))
      fails(4, "connection", { "The proxy does not answer: check its host and port (--proxy)" },
        "--proxy http://me:hush@127.0.0.1:" .. helper.closed_port(), { PODERO_BASE_URL = "https://podero.invalid" })
      fails(4, "connection", { "Check the name of the proxy: --proxy" }, "--proxy http://proxy.invalid:3128",
        { PODERO_BASE_URL = "https://podero.invalid" })
    end)

    it("an unknown authority, an expired certificate, or one for another host", function()
      fails(1, "connection", { "The certificate authority of the server is not trusted here", "--ca-file" }, "",
        { PODERO_BASE_URL = server.tls_url })
      local ca = "--ca-file " .. server.ca_file
      fails(1, "connection", { "the clock, which says 2", "UTC here" }, ca, { PODERO_BASE_URL = server.expired_url })
      fails(1, "connection", { "The certificate is for another host: check the base URL (PODERO_BASE_URL)" }, ca,
        { PODERO_BASE_URL = server.wrong_host_url })
    end)

    it("a port that does not speak TLS", function()
      fails(4, "connection", { "does not speak TLS as expected" }, "",
        { PODERO_BASE_URL = server.url:gsub("^http:", "https:") })
    end)
  end)

  it("says what is wrong with the base URL if a web site responds", function()
    local page = { status = 404, content_type = "text/html", body = "<html><title>Welcome</title></html>" }
    server:configure { always_token = page, always_api = page }
    fails(3, "token", { "✔ connection", "Welcome",
      "this is not a token endpoint: check PODERO_BASE_URL and --token-url" }, "")
    fails(1, "token", { "✔ connection",
      "does not come from the Partner API (text/html): check the base URL (PODERO_BASE_URL)" }, "",
      without_client { PODERO_ACCESS_TOKEN = "hush" })
  end)

  describe("says what is wrong with the credentials:", function()
    it("a wrong secret", function()
      fails(3, "token", { "✔ connection", "✔ clock", "invalid_client",
        "check PODERO_CLIENT_ID and PODERO_CLIENT_SECRET",
        "Sandbox credentials work only with --sandbox" }, "", { PODERO_CLIENT_SECRET = "hush-hush" })
    end)

    it("but not if something else is wrong", function()
      server:configure { always_token = { status = 400, body = '{"error": "invalid_scope"}' } }
      local output = fails(3, "token", { "check --scope" }, "--scope x")
      assert.is_nil(output:find("sandbox", 1, true), output)
      server:configure { always_token = { status = 429, headers = { ["Retry-After"] = "30" }, body = "{}" } }
      fails(4, "token", { "The server cannot answer now: try again in 30 s." }, "")
    end)

    it("a refused grant", function()
      server:configure { grants = { "password" } }
      fails(3, "token", { "client credentials are not granted here" }, "")
    end)

    it("a refused access token", function()
      for _, id in ipairs { "", mock.ORG } do
        fails(3, id == "" and "token" or "users", { "the token was refused", "check PODERO_ACCESS_TOKEN" }, id,
          without_client { PODERO_ACCESS_TOKEN = "hush" })
      end
    end)
  end)

  it("says what is wrong with an organization", function()
    for status, text in pairs { [404] = "There is no such organization at " .. server.url,
      [403] = "may not read this organization" } do
      server:configure { organizations = { [mock.ORG] = { status = status } } }
      fails(status == 404 and 5 or 3, "users", { "✔ token", "HTTP " .. status, text }, mock.ORG)
    end
    server:configure { organizations = { [mock.ORG] = { raw = '[{"id": 5}]' } } }
    fails(1, "users", { "schema: ", "--no-validate" }, mock.ORG)
    server:reset()
    server:configure { organizations = { [mock.ORG] = { status = 503 } } }
    fails(4, "users", { "try again later" }, mock.ORG)
    assert.equal(1, #server:requests("api")) -- without retries
  end)

  it("says how far the clock is off", function()
    local function date(offset)
      local time = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + offset)
      server:configure { always_token = { ok = true, headers = { Date = time } } }
      return select(2, run "")
    end
    assert.truthy(date(-600):find("! clock 10 min ahead of the server's Set this machine's clock", 1, true))
    assert.truthy(date(10000):find("! clock 2 h behind the server's", 1, true))
    for _, time in ipairs { "x", "Fri, 27 anF 2026 12:00:00 GMT", "Fri, 99 Jan 2026 99:99:99 GMT",
      "Fri, 27 J 2026 12:00:00 GMT" } do
      server:configure { always_token = { ok = true, headers = { Date = time } } }
      local code, output = run ""
      assert.same({ 0, nil }, { code, (output:find("clock", 1, true)) })
    end
    assert.truthy(date(30):find("✔ clock [23]%d s behind the server's"))
  end)

  it("requests a new token, whatever is in --token-cache", function()
    local cache = "--token-cache " .. folder .. "/tokens"
    command.run("users --count " .. cache .. " " .. mock.ORG, command.environment(server))
    assert.equal(3, (run(cache, { PODERO_CLIENT_SECRET = "wrong" })))
  end)

  it("prints the failure for programs with --errors json, and needs no UTF-8", function()
    local code, output, errors = command.run("doctor --errors json",
      command.environment(server, { PODERO_CLIENT_SECRET = "wrong", LC_ALL = "C" }))
    assert.equal(3, code)
    assert.equal("auth", cjson.decode(errors).kind)
    assert.truthy(output:find("^ok base URL "), output)
    assert.truthy(output:find("\nNO token "), output)
    assert.is_nil(output:find("[\128-\255]"))
  end)

  it("prints lines that fit the terminal", function()
    for _, columns in ipairs { 20, 40, 80, 100 } do
      local text, code = command.on_pty(command.line("doctor " .. mock.ORG, command.environment(server,
        { PODERO_CLIENT_SECRET = "wrong", LC_ALL = "C.UTF-8" })), columns)
      assert.equal(3, code)
      for line in text:gsub("\27%[%d*m", ""):gmatch("([^\r\n]*)\r\n") do
        local is_word = not line:find("%S +%S")
        assert.is_true(is_word or #line:gsub("[\128-\191]", "") <= columns, line)
      end
    end
  end)
end)

describe("podero token with a given access token", function()
  local server

  command.set_up({ tls = false }, function(_, started) server = started end)

  local function run(arguments)
    return command.run("token " .. arguments, command.environment(server, { PODERO_CLIENT_ID = false,
      PODERO_CLIENT_SECRET = false, PODERO_ACCESS_TOKEN = "mine" }))
  end

  it("says so if the API refuses it", function()
    for _, arguments in ipairs { "", "--show" } do
      local code, output, errors = run(arguments)
      assert.same({ 3, "" }, { code, output })
      assert.truthy(errors:find("the token was refused (check PODERO_ACCESS_TOKEN", 1, true), errors)
    end
  end)

  it("says that the API accepts it", function()
    for _, status in ipairs { 200, 403, 404 } do
      server:configure { accept_tokens = { "mine" }, always_api = status ~= 200 and {
        status = status, content_type = "application/json", body = '{"detail": "no"}' } or nil }
      assert.same({ 0, "expires  unknown, but the API accepts it\nscope    unknown\n", "" }, { run "" })
      assert.same({ 0, "mine\n", "" }, { run "--show" })
    end
  end)

  it("fails if the API is down", function()
    server:configure { accept_tokens = { "mine" }, always_api = { status = 503 } }
    assert.equal(4, (run "--max-retries 0"))
  end)
end)
