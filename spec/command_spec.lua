local command = require "spec.support.command"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local users = require "spec.support.mock.users"

local FORMATS = { "table", "csv", "json", "ndjson" }
local OTHER = helper.OTHER_ORG

describe("the command podero", function()
  local folder, server

  command.set_up({ tls = false }, function(...) folder, server = ... end)

  --- Runs it with the server. Returns the exit code, standard output and standard error.
  local function run(arguments, more)
    return command.run(arguments, command.environment(server, more))
  end

  local function line(arguments, more)
    return command.line(arguments, command.environment(server, more))
  end

  --- Runs it; it has to succeed without output to standard error. Returns its output.
  local function output_of(arguments, more)
    local code, output, errors = run(arguments, more)
    assert.equal("", errors)
    assert.equal(0, code)
    return output
  end

  --- Checks that it exits with this code, one line on standard error that has the text, and no output.
  local function fails(expected, text, arguments, more)
    local code, output, errors = run(arguments, more)
    assert.equal(expected, code, errors)
    assert.equal("", output)
    assert.truthy(errors:find("^podero: [^\n]+\n$"), errors)
    assert.truthy(errors:find(text, 1, true), errors)
    return errors
  end

  describe("users", function()
    --- The output for these arguments.
    local function list(arguments)
      return output_of("users " .. arguments)
    end

    --- Checks that Python's parsers read the output in this format as what the API sent.
    local function equals_source(format, source)
      local output = list(mock.ORG .. " --format " .. format)
      local report, code = helper.shell(("python3 spec/support/compare.py %s %s %s"):format(format,
        command.write("source", source), command.write("result", output)))
      assert.equal(0, code, report)
    end

    -- Values that are difficult for spreadsheets, terminals and parsers, and keys that the schema lacks.
    local HARD = [==[[{"id": "1", "organization_id": "2", "role": "admin", "email": "a,b\"c@example.com",
      "num_inverters": 0, "num_heat_pumps": 9007199254740991, "num_electric_vehicles": -3, "num_wallboxes": 1,
      "first_name": "=1+1", "last_name": "+43 1", "street_and_number": "-2+3", "street_add_info": "@SUM(A1)",
      "town": "a\r\nb", "zip_code": "007", "country": "", "external_user_id": "'=quoted",
      "latitude": 48.208493123456789, "longitude": -9.139337,
      "is_onboarded": false, "last_login": "2025-02-28T23:59:59.999+02:00", "joined_at": null},
    {"id": "\tx", "organization_id": "", "role": "owner", "email": "\u001b[31m\u009b31m\u202ex", "num_inverters": 1,
      "num_heat_pumps": 2, "num_electric_vehicles": 3, "num_wallboxes": 4, "first_name": "  two   spaces ",
      "last_name": "'t Hooft", "town": "\uff1d1", "latitude": 0.1, "longitude": 1e-7, "is_onboarded": true,
      "country_iso2": "AT", "more": {"list": [1, null, {"b": 2.5, "a": "\\"}], "deep": {"x": false}}, "big": 1e300}]]==]

    for _, format in ipairs(FORMATS) do
      it("writes " .. format .. " that another parser reads as what the API sent", function()
        server:configure { organizations = { [mock.ORG] = { users = 700, seed = 5 } } }
        equals_source(format, users.list_json(5, 700))
      end)

      it("writes correct " .. format .. " whatever is in the texts", function()
        server:configure { organizations = { [mock.ORG] = { raw = HARD } } }
        equals_source(format, HARD)
      end)

      it("writes an empty list as " .. format, function()
        server:configure { organizations = { [mock.ORG] = { raw = "[]" } } }
        equals_source(format, "[]")
      end)
    end

    it("prints a table by default", function()
      local header = "^ROLE +NAME +E%-MAIL +EXTERNAL ID +INV +HP +EV +WB +LAST LOGIN %(UTC%)\n"
      assert.truthy(list(mock.ORG):find(header))
    end)

    it("prints a table without much padding, however long one of its cells is", function()
      local user = [==[{"id": "1", "organization_id": "2", "role": "admin", "email": "%s", "num_inverters": 1,
        "num_heat_pumps": 1, "num_electric_vehicles": 1, "num_wallboxes": 1}]==]
      local all = { user:format(("x"):rep(1e5)) }
      for i = 2, 300 do all[i] = user:format("anna@example.com") end
      server:configure { organizations = { [mock.ORG] = { raw = "[" .. table.concat(all, ",") .. "]" } } }
      local output = list(mock.ORG)
      assert.truthy(output:find(("x"):rep(1e5) .. "  -", 1, true))
      assert.equal(301, select(2, output:gsub("\n", "")))
      assert.is_true(#output < 2e5, #output)
    end)

    it("guards texts that a spreadsheet would execute, but not numbers", function()
      server:configure { organizations = { [mock.ORG] = { raw = HARD } } }
      local output = list(mock.ORG .. " --format csv")
      for _, cell in ipairs { "'=1+1", "'+43 1", "'-2+3", "'@SUM(A1)", "''=quoted", "-9.139337", "-3", "'t Hooft" } do
        assert.truthy(output:find("," .. cell .. ",", 1, true), cell)
      end
    end)

    it("escapes control characters for terminals in JSON", function()
      server:configure { organizations = { [mock.ORG] = { raw = HARD } } }
      local output = list(mock.ORG .. " --format ndjson")
      assert.truthy(output:find("\\u001b[31m\\u009b31m", 1, true))
      assert.is_nil(output:find("\194\155"))
    end)

    it("accepts values of the wrong type only with --no-validate", function()
      local raw = '[{"first_name": [5]}]'
      server:configure { organizations = { [mock.ORG] = { raw = raw } } }
      local code, _, errors = run("users " .. mock.ORG .. " --format csv")
      assert.equal(1, code)
      assert.truthy(errors:find("^podero: schema: %[1%]%.first_name: [^\n]+\n$"), errors)
      for _, format in ipairs(FORMATS) do
        assert.truthy(list(mock.ORG .. " --no-validate --format " .. format):find("5", 1, true))
      end
    end)

    it("requests deleted users with --include-deleted", function()
      list(mock.ORG)
      assert.is_nil(helper.last(server, "api").uri:find("include_deleted", 1, true))
      local _, count = list(mock.ORG .. " --include-deleted --format ndjson"):gsub("\n", "")
      assert.equal(27, count)
      assert.truthy(helper.last(server, "api").uri:find("include_deleted=true", 1, true))
    end)

    --- The e-mails of the users that are printed.
    local function emails(arguments)
      local found = {}
      for email in list(mock.ORG .. " --format ndjson " .. arguments):gmatch('"email":"(.-)"') do
        found[#found + 1] = email
      end
      return table.concat(found, " ")
    end

    it("prints only users with the given role, or one of several", function()
      local member = '{"id": "1", "organization_id": "2", "email": "%s", "role": "%s", "num_inverters": 0, '
        .. '"num_heat_pumps": 0, "num_electric_vehicles": 0, "num_wallboxes": 0}'
      local members = {}
      for i, role in ipairs { "admin", "staff", "user", "guest", "owner" } do members[i] = member:format(role, role) end
      server:configure { organizations = { [mock.ORG] = { raw = "[" .. table.concat(members, ",") .. "]" } } }
      assert.equal("staff", emails "--role staff")
      assert.equal("admin guest", emails "--role guest --role=admin")
      assert.equal("", emails "--role admin --search staff")
    end)

    it("prints only users with a text in e-mail, names or external id, ignoring case", function()
      local member = '{"id": "%s", "organization_id": "find", "email": "%s", "role": "user", "num_inverters": 0, '
        .. '"num_heat_pumps": 0, "num_electric_vehicles": 0, "num_wallboxes": 0, %s}'
      local members = {
        member:format("find", "one", '"town": "find"'),
        member:format("x", "FIND.me", '"first_name": null'),
        member:format("x", "two", '"first_name": "Zoë", "last_name": "Müller"'),
        member:format("x", "three", '"first_name": "ŽIGA", "last_name": "ĐORĐEVIĆ Ÿ × ß"'),
        member:format("x", "four", '"external_user_id": "A.find%.B"'),
      }
      server:configure { organizations = { [mock.ORG] = { raw = "[" .. table.concat(members, ",") .. "]" } } }
      assert.equal("FIND.me four", emails "--search find")
      assert.equal("two", emails "--search 'ZOË MÜL'")
      assert.equal("three", emails "--search 'žiga đorđević'")
      assert.equal("four", emails "--search 'find%'")
      assert.equal("", emails "--search 'nobody'")
      assert.equal(5, select(2, emails("--search ''"):gsub("%S+", "")))
    end)

    it("lists several organizations one after the other, with their ids in a table", function()
      server:configure { organizations = { [mock.ORG] = { users = 2 }, [OTHER] = { users = 3 } } }
      local output = list(OTHER .. " " .. mock.ORG)
      assert.truthy(output:find("^ORGANIZATION +ROLE"))
      assert.equal(3, select(2, output:gsub("\n" .. OTHER:gsub("%-", "%%-"), "")))
      assert.truthy(output:find(mock.ORG, 1, true) > output:find(OTHER, 1, true))
      assert.equal(5, select(2, list(OTHER .. " " .. mock.ORG .. " --format json"):gsub('"id"', "")))
    end)

    it("leaves a JSON array open if the list is incomplete, so that no parser accepts it", function()
      server:configure {
        organizations = { [mock.ORG] = { users = 2000 } },
        script = { api = { { fault = "truncate_chunked", after = 400000 } } },
      }
      local code, output, errors = run("users " .. mock.ORG .. " --format json")
      assert.equal(4, code) -- cut short: try again later
      assert.truthy(errors:find("^podero: decode: [^\n]+\n$") or errors:find("^podero: network: [^\n]+\n$"), errors)
      assert.truthy(#output > 100000)
      assert.is_nil(output:find("]\n$"))
    end)

    it("ends silently if its reader closes the pipe", function()
      server:configure { default_users = 20000 }
      local podero = line("users " .. mock.ORG .. " --format csv")
      for _, signal in ipairs { ":", "trap '' PIPE" } do -- killed by the signal, or by the error of write
        local code, output, errors = command.shell(("{ %s; %s; } | head -n 1"):format(signal, podero))
        assert.equal(0, code)
        assert.equal("", errors)
        assert.truthy(output:find("^id,[%w_,]+\r\n$"), output)
      end
    end)

    it("uses less than 20 MB however long the list is", function()
      if helper.CHECKED then return pending("a checked build needs more memory") end
      server:configure { default_users = 100000 }
      local measure = "import resource, subprocess, sys; subprocess.run(sys.argv[1], shell=True, check=True); "
        .. "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
      for _, format in ipairs { "table", "json" } do
        local podero = line("users " .. mock.ORG .. " --format " .. format) .. " >/dev/null"
        local code, output, errors = command.shell(
          ("python3 -c %s %s"):format(helper.quoted(measure), helper.quoted(podero)))
        assert.equal(0, code, errors)
        assert.is_true(tonumber(output) < 20 * 1000, output)
      end
    end)
  end)

  describe("on a terminal", function()
    local function screen(arguments, more, prompt, input)
      local text, code = command.on_terminal(line(arguments, more), prompt, input)
      assert.equal(0, code, text)
      return text
    end

    it("shows bytes, users and rate on a line that is removed at the end", function()
      server:configure { default_users = 20000 }
      local text = screen("users " .. mock.ORG .. " --format csv --output " .. folder .. "/users.csv")
      assert.truthy(text:find("\r%d+%.%d [kM]B, [%d,]+ users, %d+%.%d [kM]B/s\27%[K"), text)
      assert.truthy(text:find("\r\27[K20,000 users in " .. folder .. "/users.csv\r\n", 1, true), text)
      assert.is_nil(text:match("\27%[K([^\r\27]+)\r\27%[K%d"))
    end)

    it("shows how many of all users match", function()
      assert.truthy(screen("users " .. mock.ORG .. " --role staff"):find("\n%d of 25 users\r\n$"))
    end)

    it("colours the table unless NO_COLOR is set", function()
      local function paints(more) return screen("users " .. mock.ORG, more):find("\27%[1madmin\27%[0m") ~= nil end
      assert.is_true(paints())
      assert.is_true(paints { NO_COLOR = "" })
      assert.is_false(paints { NO_COLOR = "1" })
      assert.is_false(paints { TERM = "dumb" })
    end)

    it("shows the same table as in a pipe", function()
      local text = screen("users --wide " .. mock.ORG):gsub("\r\n", "\n"):gsub("\27%[%d*[mK]", ""):gsub("[^\n]*\r", "")
      assert.equal(output_of("users " .. mock.ORG) .. "25 users\n", text)
    end)

    it("writes no colours and no progress to a pipe", function()
      assert.is_nil(output_of("users " .. mock.ORG):find("[\27\r]"))
      local text = screen("users " .. mock.ORG .. " | cat")
      assert.is_nil(text:find("\27%[%d*m"))
    end)

    it("asks for a missing secret, and does not show what is typed", function()
      local text = screen("token", { PODERO_CLIENT_SECRET = false }, "Secret of client demo-client:",
        mock.credentials.client_secret)
      assert.is_nil(text:find(mock.credentials.client_secret, 1, true))
      assert.truthy(text:find("expires +%d%d%d%d%-"), text)
      text = screen("token --username " .. mock.credentials.username, {}, "Password of " .. mock.credentials.username,
        mock.credentials.password)
      assert.is_nil(text:find(mock.credentials.password, 1, true))
      assert.equal("password", helper.last(server, "token").grant)
    end)

    it("restores the terminal after asking", function()
      local quoted = helper.quoted("stty -a; " .. line("token", { PODERO_CLIENT_SECRET = false }) .. "; stty -a")
      local text = command.on_terminal("sh -c " .. quoted, "Secret of", mock.credentials.client_secret)
      local before, after = text:match("^(.-)Secret of.-scope[^\r]+\r\n(.*)$")
      assert.truthy(before:find(" echo ", 1, true))
      assert.equal(before, after)
    end)
  end)

  describe("with credentials", function()
    local NONE = { PODERO_CLIENT_ID = false, PODERO_CLIENT_SECRET = false }

    it("uses those in the environment", function()
      output_of "token"
      assert.same({ "form basic client_credentials" }, helper.token_requests(server))
      server:reset()
      output_of("token", { PODERO_CLIENT_ID = false, PODERO_CLIENT_SECRET = false,
        PODERO_USERNAME = mock.credentials.username, PODERO_PASSWORD = mock.credentials.password })
      assert.equal("password", helper.last(server, "token").grant)
    end)

    it("uses the first line of files", function()
      local secret = command.write("secret", mock.credentials.client_secret .. "\r\nmore\n")
      output_of("token --client-id demo-client --client-secret-file " .. secret, NONE)
      local password = command.write("password", mock.credentials.password)
      output_of("token --username ada@example.com --password-file " .. password, NONE)
      server:configure { accept_tokens = { "my-token" } }
      output_of("users " .. mock.ORG .. " --access-token-file " .. command.write("token", "my-token\n"), NONE)
      local marked = command.write("marked", "\239\187\191my-token\r\n")
      output_of("users " .. mock.ORG .. " --access-token-file " .. marked, NONE)
    end)

    it("uses files named in the environment", function()
      local secret = command.write("secret", mock.credentials.client_secret .. "\r\nmore\n")
      output_of("token", { PODERO_CLIENT_SECRET = false, PODERO_CLIENT_SECRET_FILE = secret })
      output_of("token", { PODERO_CLIENT_ID = false, PODERO_CLIENT_SECRET = false,
        PODERO_USERNAME = "ada@example.com",
        PODERO_PASSWORD_FILE = command.write("password", mock.credentials.password) })
      server:configure { accept_tokens = { "my-token" } }
      output_of("users " .. mock.ORG, { PODERO_CLIENT_ID = false, PODERO_CLIENT_SECRET = false,
        PODERO_ACCESS_TOKEN_FILE = command.write("token", "my-token\n") })
      fails(2, "podero: PODERO_CLIENT_SECRET_FILE (/no/such/file) cannot be used", "token",
        { PODERO_CLIENT_SECRET = false, PODERO_CLIENT_SECRET_FILE = "/no/such/file" })
    end)

    it("names the variable of wrong ones", function()
      fails(2, "podero: PODERO_CLIENT_SECRET contains a line feed", "token",
        { PODERO_CLIENT_SECRET = "x\n" })
      fails(2, "podero: PODERO_PASSWORD is set without PODERO_USERNAME", "token", { PODERO_CLIENT_ID = false,
        PODERO_CLIENT_SECRET = false, PODERO_PASSWORD = "x" })
      fails(2, "podero: PODERO_BASE_URL 'ftp://x' is not", "token", { PODERO_BASE_URL = "ftp://x" })
    end)

    it("does not combine given ones with those in the environment", function()
      fails(2, "the client's secret is missing", "token --client-id demo-client")
      fails(2, "the password is missing", "token --username ada@example.com", { PODERO_PASSWORD = "correct horse" })
    end)

    it("asks for missing ones on a terminal only", function()
      fails(2, "the client's secret is missing: give --client-secret-file, set PODERO_CLIENT_SECRET", "token",
        { PODERO_CLIENT_SECRET = false })
      fails(2, "no credentials: set PODERO_CLIENT_ID", "token", NONE)
    end)

    it("refuses secrets as arguments", function()
      for _, option in ipairs { "--client-secret", "--password", "--access-token" } do
        fails(2, option, "token --client-id demo-client " .. option .. " hush")
      end
    end)

    it("names files that cannot be used", function()
      fails(2, folder .. "/missing", "token --client-id x --client-secret-file " .. folder .. "/missing")
      fails(2, "its first line is empty", "token --client-id x --client-secret-file " .. command.write("empty", "\nx"))
    end)
  end)

  describe("token", function()
    it("prints the expiry and scope of the token, but not the token", function()
      local output = output_of "token"
      assert.truthy(output:find("\nscope    read write\n$"), output)
      assert.truthy(output:find("^expires  %d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d UTC %(in 9 h 59 min%)\n")
        or output:find("(in 10 h 00 min)", 1, true), output)
      assert.is_nil(output:find("tok-", 1, true))
      server:configure { expires_in = "none" }
      assert.truthy(output_of("token"):find("expires  unknown", 1, true))
    end)

    it("prints only the token with --show", function()
      assert.truthy(output_of("token --show"):find("^tok%-%d+%-%x+\n$"))
    end)

    it("fails if the request is refused", function()
      fails(3, "invalid_client", "token", { PODERO_CLIENT_SECRET = "wrong" })
    end)
  end)

  describe("get", function()
    it("prints the JSON of any path, with parameters", function()
      local path = "/api/partners/v2.0/things"
      server:configure { paths = { [path] = { content_type = "application/json",
        body = '{"b": [1, 2.5, null, "x\\u0007"], "a": {"d": [], "c": true}}' } } }
      local printed = output_of("get " .. path .. " --query 'name=a b=c' --query n=2")
      assert.equal('{"b": [1, 2.5, null, "x\\u0007"], "a": {"d": [], "c": true}}\n', printed)
      local uri = helper.last(server, "api").uri
      assert.truthy(uri:find("name=a%20b%3Dc", 1, true) or uri:find("name=a+b%3Dc", 1, true), uri)
      assert.truthy(uri:find("n=2", 1, true))
    end)

    it("says so if a web site responds", function()
      server:configure { paths = { ["/x"] = { content_type = "text/html; charset=utf-8", body = "<html></html>" } } }
      fails(1, "decode: the response is an HTML page: check the base URL (PODERO_BASE_URL) and the path", "get /x")
    end)

    it("fails with the API's error", function()
      fails(5, "HTTP 404", "get /api/partners/v2.0/nothing")
      fails(2, "podero: PATH 'nothing': expected a path that begins with '/'", "get nothing")
    end)
  end)

  describe("used wrongly", function()
    it("ends with exit code 2 and a line that says how to get help", function()
      fails(2, "ORG_ID is missing: podero users [OPTIONS] ORG_ID... (see podero users --help)", "users")
      fails(2, "unknown option '--what' (see podero users --help)", "users " .. mock.ORG .. " --what")
      fails(2, "unknown command 'list'", "list")
      fails(2, "--role 'owner': expected admin, staff, user or guest", "users " .. mock.ORG .. " --role owner")
      fails(2, "--timeout '0': expected a number of seconds above 0", "users " .. mock.ORG .. " --timeout 0")
      fails(2, "--max-retries '-1': expected a whole number", "token --max-retries=-1")
      fails(2, "--query 'x': expected NAME=VALUE", "get / --query x")
      fails(2, "--sandbox and --base-url", "token --sandbox --base-url https://x.example")
    end)

    it("says so if an argument is empty", function()
      fails(2, "--scope is empty (a variable that is not set?) (see podero token --help)", "token --scope ''")
      fails(2, "ORG_ID is empty (a variable that is not set?)", "users ''")
    end)

    it("names missing credentials and unusable URLs", function()
      fails(2, "podero: --password-file is given without --username (see podero token --help)",
        "token --password-file " .. command.write("password", "x"))
      fails(2, "podero: --base-url 'https:/host' is not an absolute URL", "token --base-url https:/host")
    end)
  end)

  it("fails with one line if an organization id is not a UUID, and sends nothing", function()
    fails(2, "podero: ORG_ID 'x': expected an organization's UUID", "users " .. mock.ORG .. " x")
    assert.equal(0, #server:requests())
  end)

  it("prints each exchange with --verbose", function()
    local code, _, errors = run("users " .. mock.ORG .. " --verbose")
    assert.equal(0, code)
    assert.truthy(errors:find("^token: POST http[^\n]+: 200, attempt 1, [%d.]+ k?B in %d+%.%d%d%d s\n"
      .. "api: GET http[^\n]+: 200, attempt 1, [%d.]+ kB in %d+%.%d%d%d s\n$"), errors)
    server:configure { script = { api = { { status = 503, headers = { ["Retry-After"] = "0" } } } } }
    code, _, errors = run("users " .. mock.ORG .. " --verbose")
    assert.equal(0, code)
    assert.truthy(errors:find("api: GET [^\n]+: 503, attempt 1, [^\n]+\napi: GET [^\n]+: 200, attempt 2,"), errors)
  end)

  it("prints its version, and help for each option of the module", function()
    assert.equal(require("podero")._VERSION .. "\n", output_of "--version")
    local help = output_of "users --help"
    for _, name in ipairs { "client-id", "username", "scope", "base-url", "token-url", "token-encoding", "client-auth",
      "proxy", "allow-http", "ca-file", "ca-path", "cert", "key", "timeout", "connect-timeout", "max-retries",
      "http-version", "user-agent", "include-deleted", "no-validate" } do
      assert.truthy(help:find("[ \n]%-%-" .. name:gsub("%-", "%%-") .. "[ \n,.]"), name)
    end
    for _, name in ipairs { "users", "token", "get", "completion" } do
      assert.truthy(output_of("--help"):find("\n  " .. name .. " +%u"), name)
    end
  end)

  it("prints completion scripts for shells", function()
    assert.truthy(output_of("completion bash"):find("complete -F _podero", 1, true))
  end)
end)
