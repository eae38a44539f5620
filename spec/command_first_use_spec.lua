-- What people try who use the command for the first time, and who know curl, gh and jq.

local command = require "spec.support.command"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

describe("the command, used for the first time,", function()
  local folder, server

  command.set_up({ tls = false }, function(...) folder, server = ... end)

  local function run(arguments, more)
    return command.run(arguments, command.environment(server, more))
  end

  --- It ends with this code and exactly this line, and nothing on standard output.
  local function says(expected, message, arguments, more)
    assert.same({ expected, "", "podero: " .. message .. "\n" }, { run(arguments, more) })
  end

  --- Wrong use of a command: nothing is requested.
  local function refuses(message, arguments, more)
    says(2, message, arguments, more)
    assert.equal(0, #server:requests())
  end

  local function screen(line, steps)
    return command.on_pty(command.line(line, command.environment(server)), 80, steps)
  end

  describe("says what is wrong with a path:", function()
    for path, problem in pairs {
      ["/a#b"] = "a fragment ('#' and what follows) is never sent: leave it out",
      ["/a b"] = "a character has to be escaped: /a%20b",
      ["/ä"] = "a character has to be escaped: /%C3%A4",
      ["/a\\b"] = "a backslash is refused",
      ["/a%5cb"] = "a backslash is refused",
      ["/a@b"] = "'@' is refused",
      ["/a%b"] = "'%' is not followed by two hexadecimal digits",
      ["/a//b"] = "it has an empty segment: '//'",
      ["/a/../b"] = "the segments '.' and '..' are refused",
      ["/a/%2e%2E"] = "the segments '.' and '..' are refused",
      ["/a%2fb"] = "an escaped slash (%2F) is refused",
      ["/a%252fb"] = "an escaped slash (%2F) is refused",
      ["/a/..;v=1/b"] = "the segments '.' and '..' are refused",
      ["/a/;v=1/b"] = "it has an empty segment: '/;'",
      ["/a%c2%85b"] = "it has a control character",
      ["/a%ffb"] = "it is not valid UTF-8",
    } do
      it(path, function()
        refuses(("PATH '%s': %s (see podero get --help)"):format(path, problem), ("get '%s'"):format(path))
      end)
    end

    it("but not with its query", function()
      server:configure { paths = { ["/x"] = { content_type = "application/json", body = "{}" } } }
      assert.same({ 0, "{}\n", "" }, { run "get '/x?q=a b//..%2f@#'" })
    end)
  end)

  describe("says what an option of other commands is called:", function()
    for given, expected in pairs {
      ["users --json"] = "'--json': did you mean '--format json'? (see podero users --help)",
      ["users -n 5"] = "'-n': did you mean '--limit'? (see podero users --help)",
      ["users --no-color"] = "'--no-color': did you mean '--color never'? (see podero users --help)",
      ["users --org x"] = "'--org': the organization's id is an argument without an option (see podero users --help)",
      ["users -k"] = "'-k': certificates are always checked: give that of the server's authority with --ca-file "
        .. "(see podero users --help)",
      ["get -H a:b /x"] = "'-H': did you mean '--header'? (see podero get --help)",
      ["get -f json /x"] = "'-f': it prints the JSON as it came (see podero get --help)",
      ["request -X POST /x"] = "'-X': podero request takes the method as its first argument "
        .. "(see podero request --help)",
      ["find --role admin"] = "'--role': did you mean 'role=VALUE'? (see podero find --help)",
      ["find --last-login x"] = "'--last-login': did you mean 'last_login=VALUE'? (see podero find --help)",
      ["-V"] = "'-V': did you mean '--version'? (see podero --help)",
    } do
      it(given, function() refuses("unknown option " .. expected, given) end)
    end

    it("but names no option that the command lacks", function()
      refuses("unknown option '-d' (see podero get --help)", "get -d x /x")
      refuses("unknown command 'version': did you mean 'podero --version'? (see podero --help)", "version")
    end)
  end)

  it("says what is missing of FIELD=VALUE", function()
    local find = "find " .. mock.ORG .. " "
    refuses("FIELD=VALUE 'anna@x.at': the name of a field is missing: did you mean 'email=anna@x.at'? "
      .. "(see podero find --help)", find .. "anna@x.at")
    refuses("FIELD=VALUE 'email': expected FIELD=VALUE, or email= for those without one (see podero find --help)",
      find .. "email")
    refuses("FIELD=VALUE 'x': expected FIELD=VALUE, such as role=admin (see podero find --help)", find .. "x")
    refuses("ORG_ID is missing: podero find [OPTIONS] ORG_ID FIELD=VALUE... (see podero find --help)", "find email=x")
    refuses("--columns 'wallboxes': there is no field 'wallboxes': did you mean 'num_wallboxes'? "
      .. "(see podero users --help)", "users --columns wallboxes " .. mock.ORG)
  end)

  describe("with credentials in options and in the environment", function()
    local BOTH = { PODERO_USERNAME = "u", PODERO_PASSWORD = "p" }

    it("says that they are not mixed", function()
      local unused = " (PODERO_%s is not used together with options for credentials), or run this on a terminal, to be "
        .. "asked for it"
      refuses("the client's secret is missing: give --client-secret-file" .. unused:format "CLIENT_SECRET",
        "token --client-id x", BOTH)
      refuses("the password is missing: give --password-file" .. unused:format "PASSWORD", "token --username x", BOTH)
    end)

    it("names the option that is missing, and not the variable that is set", function()
      local name = folder .. "/secret"
      helper.shell("printf x >" .. name)
      refuses("--client-secret-file is given without --client-id (see podero token --help)",
        "token --client-secret-file " .. name, BOTH)
      refuses("--password-file is given without --username (see podero token --help)",
        "token --password-file " .. name, BOTH)
    end)
  end)

  it("does not refer to help on arguments for a fault of the environment", function()
    refuses("PODERO_BASE_URL 'x.example' has no scheme: https://x.example?", "token", { PODERO_BASE_URL = "x.example" })
    refuses("PODERO_LOG: expected \"info\" or \"debug\"", "token", { PODERO_LOG = "x" })
  end)

  it("reads the first line of a file for each option in the same way", function()
    refuses("--key-password-file '/nope' cannot be read: No such file or directory",
      "token --key-password-file /nope")
    refuses("--data '/nope' cannot be read: No such file or directory", "request POST /x --data /nope")
    refuses("--data '/' cannot be read: Is a directory", "request POST /x --data /")
    refuses("--client-secret-file: standard input cannot be read: it is empty",
      "token --client-id x --client-secret-file -")
  end)

  it("creates no token cache with the name of standard input", function()
    refuses("--token-cache needs the name of a file: '-' cannot be read and written", "token --token-cache -")
    assert.is_nil(io.open("-"))
  end)

  it("says when to try again", function()
    server:configure { always_api = { status = 429, headers = { ["Retry-After"] = "300" } } }
    local _, _, errors = run("users " .. mock.ORG)
    assert.truthy(errors:find("^podero: http: HTTP 429 from [^\n]+/users[^\n]* %(try again in 300 s%)\n$"), errors)
  end)

  it("prints the number of users once with --count, on a terminal, too", function()
    local text, code = screen("users --count " .. mock.ORG)
    assert.equal(0, code)
    assert.truthy(text:find("\27%[K25\r\n$"), text)
  end)

  it("updates the numbers of the progress line at most five times a second", function()
    local clock = require "podero.command.tty".clock
    server:configure { script = { api = { { fault = "drip", chunk = 60, interval = 0.01 } } } }
    local start = clock()
    local text, code = screen("users -o " .. folder .. "/users.csv " .. mock.ORG)
    assert.equal(0, code)
    local lines = select(2, text:gsub("/s\27%[K", ""))
    assert.is_true(lines > 0)
    assert.is_true(lines <= (clock() - start) * 5 + 2, lines .. " lines")
  end)

  describe("doctor", function()
    --- Returns what it prints.
    local function examine(arguments, more)
      return select(2, run("doctor " .. (arguments or ""), more))
    end

    it("names no proxy that is not used", function()
      assert.is_nil(examine("", { https_proxy = "http://127.0.0.1:9" }):find("proxy", 1, true))
      -- plain http to this machine
      assert.is_nil(examine("", { http_proxy = "http://127.0.0.1:9" }):find("proxy", 1, true))
      local output = examine("--allow-http", { PODERO_BASE_URL = "http://podero.invalid", http_proxy = server.url })
      local expected = ("proxy        %s (http_proxy)\n"):format(server.url:match("//(.*)$"))
      assert.truthy(output:find(expected, 1, true), output)
      output = examine("--proxy http://me:hush@127.0.0.1:9")
      assert.truthy(output:find("proxy        127.0.0.1:9 (--proxy)\n", 1, true), output)
      assert.is_nil(output:find("hush", 1, true))
    end)

    it("names the variable that may except the host from the proxy", function()
      for _, name in ipairs { "no_proxy", "NO_PROXY" } do
        local output = examine("--proxy http://127.0.0.1:9", { [name] = "example.com, 127.0.0.1" })
        local expected = ("proxy        127.0.0.1:9 (--proxy, unless %s excepts the host)\n"):format(name)
        assert.truthy(output:find(expected, 1, true), output)
        assert.truthy(output:find("connection   127.0.0.1:%d+ answers"), output)
      end
    end)

    it("finds a file of TLS that is missing under settings", function()
      local output = examine("--ca-file /nope", { PODERO_BASE_URL = "https://127.0.0.1:9" })
      assert.truthy(output:find("settings     --ca-file /nope cannot be read", 1, true), output)
    end)
  end)

  it("keeps a list up to date with the crontab of the man page, in silence", function()
    -- cron's environment is small, and its folder is another one.
    local paths = ("package.path, package.cpath = %q, %q"):format(folder .. "/?.lua;" .. package.path, package.cpath)
    command.write("podero.sh", ("cd %s && PODERO_BASE_URL=%s exec %s -e %s src/command/podero \"$@\"\n"):format(
      helper.quoted((helper.shell("pwd"):gsub("%s+$", ""))), server.url, helper.quoted(helper.interpreter()),
      helper.quoted(paths)))
    helper.shell("umask 077; echo demo-secret >" .. folder .. "/podero-secret")

    local crontab = assert(helper.read("docs/podero.1"):match("every night:\n%.Pp\n(.-)%.Pp")):gsub("%.Dl ", "")
    local function replace(old, new)
      local from, to = crontab:find(old, 1, true)
      crontab = crontab:sub(1, assert(from, crontab) - 1) .. new .. crontab:sub(to + 1)
    end
    replace("/usr/local/bin/podero", "/bin/sh " .. folder .. "/podero.sh")
    replace("/home/me/podero-secret", folder .. "/podero-secret")
    replace("/home/me/users.csv", folder .. "/nightly.csv")
    replace("PODERO_CLIENT_ID=...", "PODERO_CLIENT_ID=demo-client")
    local variables, job = crontab:match("^(.*\n)[%d*]+ [%d*]+ [%d*]+ [%d*]+ [%d*]+ ([^\n]+)\n$")
    local line = ("cd / && env -i PATH=/usr/bin:/bin SHELL=/bin/sh %s /bin/sh -c %s"):format(
      variables:gsub("\n", " "), helper.quoted(job))
    assert.same({ 0, "", "" }, { command.shell(line) })
    assert.equal(26, select(2, helper.read(folder .. "/nightly.csv"):gsub("\r\n", "")))
  end)
end)
