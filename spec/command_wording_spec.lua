-- The command's messages name its options and variables, and never the options of the library.

local command = require "spec.support.command"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

local cjson = require "cjson"

describe("the command's messages", function()
  local folder, server, wording

  command.set_up({ tls = true }, function(...)
    folder, server = ...
    local before = package.path
    package.path = folder .. "/?.lua;" .. before
    wording = require "podero.command.wording"
    package.path = before
  end)

  local NO_CREDENTIALS = { PODERO_CLIENT_ID = false, PODERO_CLIENT_SECRET = false }

  --- Checks that it exits with this code and one line that has the text.
  local function says(expected, text, arguments, more)
    local code, _, errors = command.run(arguments, command.environment(server, more))
    assert.equal(expected, code, errors)
    assert.truthy(errors:find("^podero: [^\n]+\n$"), errors)
    assert.truthy(errors:find(text, 1, true), errors)
    for _, name in ipairs { "base_url", "token_url", "client_id", "client_secret", "access_token", "allow_http", "tls.",
      "ca_file", "max_response_bytes", "token_encoding", "client_auth" } do
      assert.is_nil(errors:find(name, 1, true), errors)
    end
  end

  it("name the option or the variable, and its value", function()
    says(2, "podero: PODERO_BASE_URL 'app.podero.com' has no scheme: https://app.podero.com?", "token",
      { PODERO_BASE_URL = "app.podero.com" })
    says(2, "podero: --base-url 'localhost:8080' has no scheme: http://localhost:8080?",
      "token --base-url localhost:8080")
    says(2, "podero: --base-url 'http://x.example' is plain http, which would send secrets in the clear; use https "
      .. "(or give --allow-http)", "token --base-url http://x.example")
    says(2, "podero: --token-url 'x' is neither", "token --token-url x")
    says(2, "podero: --user-agent 'a?b' contains a line feed", "token --user-agent 'a\nb'")
    says(2, "podero: PODERO_CLIENT_ID 'a?' contains a line feed", "token", { PODERO_CLIENT_ID = "a\n" })
  end)

  it("say that an access token has to be given without its scheme", function()
    says(2, "podero: PODERO_ACCESS_TOKEN begins with 'Bearer ': leave that out", "token", {
      PODERO_CLIENT_ID = false, PODERO_CLIENT_SECRET = false, PODERO_ACCESS_TOKEN = "Bearer hush" })
  end)

  it("name the command's --help if an argument is wrong, whatever it contains", function()
    says(2, "podero: --base-url 'PODERO_BASE_URL' has no scheme: https://PODERO_BASE_URL? (see podero token --help)",
      "token --base-url PODERO_BASE_URL")
    says(2, "podero: --client-secret-file (PODERO_SECRET) cannot be used",
      "token --client-id x --client-secret-file PODERO_SECRET")
    says(2, "(see podero token --help)", "token --client-id x --client-secret-file PODERO_SECRET")
    says(2, "podero: --base-url 'x user_agent y' ", "token --base-url 'x user_agent y'")
    local code, _, errors = command.run("token", command.environment(server, { PODERO_BASE_URL = "app.podero.com" }))
    assert.same({ 2, "podero: PODERO_BASE_URL 'app.podero.com' has no scheme: https://app.podero.com?\n" },
      { code, errors })
  end)

  it("show no secret", function()
    local function hides(arguments, more)
      local code, output, errors = command.run(arguments, command.environment(server, more))
      assert.same({ 2, "" }, { code, output })
      assert.is_nil(errors:find("hush", 1, true), errors)
    end
    hides("token", { PODERO_CLIENT_SECRET = "hush\n" })
    hides("token --base-url https://me:hush@x.example")
    hides("token --proxy ftp://me:hush@x.example")
    hides("token --client-id x --client-secret-file " .. command.write("two", "hush\1"))
  end)

  it("say which TLS files cannot be used", function()
    local tls = { PODERO_BASE_URL = server.tls_url }
    says(2, "podero: --ca-file /nope cannot be read: No such file", "token --ca-file /nope", tls)
    says(2, "podero: --key is given without --cert", "token --key " .. command.write("key", "x"), tls)
    says(2, "podero: --key-password-file '/nope' cannot be read: No such file", "token --key-password-file /nope")
    says(2, "podero: --client-secret-file (/nope) cannot be used", "token --client-id x --client-secret-file /nope")
    says(2, "podero: --ca-file holds no certificate in PEM form", "token --ca-file " .. command.write("ca", "x"), tls)
  end)

  it("ask for the password of an encrypted key, which may be in a file or standard input", function()
    local key = folder .. "/encrypted.key"
    assert.equal(0, select(2, helper.shell(("openssl pkey -in %s -aes128 -passout pass:sesame -out %s"):format(
      server.client_key, key))))
    local tls = { PODERO_BASE_URL = server.tls_url }
    local token = ("token --ca-file %s --cert %s --key %s"):format(server.ca_file, server.client_cert, key)
    says(2, "--key-password-file is missing or wrong", token, tls)
    local bad = command.write("bad", "open")
    says(2, "--key-password-file is missing or wrong", token .. " --key-password-file " .. bad, tls)
    server:configure { require_client_cert = true }
    local name = command.write("password", "\239\187\191sesame\r\nmore")
    assert.equal(0, (command.run(token .. " --key-password-file " .. name, command.environment(server, tls))))
    local line = command.line(token .. " --key-password-file -", command.environment(server, tls))
    assert.equal(0, (command.shell("printf 'sesame\\n' | { " .. line .. "; }")))
    says(2, "its first line is empty", token .. " --key-password-file " .. command.write("none", "\n"), tls)
  end)

  it("say what to check, by the source of the credentials", function()
    says(3, "(check PODERO_CLIENT_ID and PODERO_CLIENT_SECRET, and that they are for this base URL)", "token",
      { PODERO_CLIENT_SECRET = "wrong" })
    says(3, "(check --client-id and --client-secret-file, and that they are for this base URL)",
      "token --client-id x --client-secret-file " .. command.write("secret", "wrong"))
    says(3, "(check PODERO_USERNAME and PODERO_PASSWORD)", "token", {
      PODERO_CLIENT_ID = false, PODERO_CLIENT_SECRET = false, PODERO_USERNAME = "x", PODERO_PASSWORD = "y" })
    says(3, "(check PODERO_ACCESS_TOKEN: it may have expired, or be for another base URL)", "users " .. mock.ORG,
      { PODERO_CLIENT_ID = false, PODERO_CLIENT_SECRET = false, PODERO_ACCESS_TOKEN = "wrong" })
    local _, _, errors = command.run("token --errors json", command.environment(server, { PODERO_CLIENT_SECRET = "x" }))
    assert.truthy(cjson.decode(errors).message:find("check PODERO_CLIENT_ID and", 1, true), errors)
  end)

  it("do not name variables that are not used", function()
    server:configure { always_token = { status = 400, body = '{"error": "invalid_scope"}' } }
    says(3, "(check --scope)", "token", { PODERO_SCOPE = "x" })
  end)

  it("name --max-response-bytes if it is exceeded", function()
    server:configure { paths = { ["/x"] = { content_type = "application/json", body = '"' .. ("x"):rep(100) .. '"' } } }
    says(1, "too_large: ", "get /x --max-response-bytes 50")
    says(1, "exceeds --max-response-bytes", "get /x --max-response-bytes 50")
  end)

  it("name missing credentials", function()
    says(2, "podero: no credentials: set PODERO_CLIENT_ID and PODERO_CLIENT_SECRET", "token", NO_CREDENTIALS)
    says(2, "podero: the client's secret is missing: give --client-secret-file, set PODERO_CLIENT_SECRET", "token",
      { PODERO_CLIENT_SECRET = false })
  end)

  --- Calls `visit` with each string in the C sources that may be part of a message, adjacent literals joined.
  local function texts(visit)
    local sources = helper.shell("cat src/core/*.c src/core/*/*.c src/core/*/*.h src/lua/*.c src/lua/*.h")
    sources = sources:gsub("/%*.-%*/", ""):gsub("#include[^\n]*", ""):gsub("\"%s*\\?\n%s*\"", "")
    for text in sources:gmatch("\"([^\"\n]*)\"") do
      if text:find(" ", 1, true) then visit(text) end -- not names of fields
    end
  end

  -- Texts that are not in messages of functions that the command calls.
  local OTHERS = {
    ["the response has no access_token"] = true, ["the access_token is longer than 64 KB"] = true,
    ["the access_token is empty or has characters that a header cannot carry"] = true,
  }

  it("replace every option of the library that its texts name", function()
    local names = { "base_url", "token_url", "client_id", "client_secret", "access_token", "token_encoding",
      "client_auth", "connect_timeout", "max_retries", "max_response_bytes", "http_version", "user_agent", "allow_http",
      "ca_file",
      "ca_path", "key_password" }
    local count = 0
    texts(function(text)
      if OTHERS[text] or text:find("^no credentials: give") then return end
      for _, name in ipairs(names) do
        if (" " .. text .. " "):find("[^%w_]" .. name .. "[^%w_]") then
          count = count + 1
          local is_argument = text:find("^%%s") or text:find("is given without") or text:find("PEM")
            or text:find("allow_http")
          local own = wording.of(is_argument and "argument" or "auth", text, {})
          assert.is_nil((" " .. own:gsub("%-%-[%l-]+", "") .. " "):find("[^%w_]" .. name .. "[^%w_]"), own)
          assert.is_nil(own:find("tls.", 1, true), own)
        end
      end
    end)
    assert.is_true(count > 15, count)
  end)
end)
