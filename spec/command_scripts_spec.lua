-- What scripts, cron jobs and spreadsheets need from the command.

local command = require "spec.support.command"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

local cjson = require "cjson"

local OTHER = helper.OTHER_ORG
local PATH = "/api/partners/v2.0/things"

describe("the command", function()
  local folder, server

  command.set_up({ tls = false }, function(...) folder, server = ... end)

  local function line(arguments, more) return command.line(arguments, command.environment(server, more)) end

  local function run(arguments, more) return command.shell(line(arguments, more)) end

  local function output_of(arguments, more)
    local code, output, errors = run(arguments, more)
    assert.same({ 0, "" }, { code, errors })
    return output
  end

  local function respond(body)
    server:configure { paths = { [PATH] = { content_type = "application/json", body = body } } }
  end

  it("exits with a code that tells the cause", function()
    local users = "users --max-retries 0 " .. mock.ORG
    for status, expected in pairs { [403] = 3, [404] = 5, [503] = 4, [429] = 4, [400] = 1, [401] = 3 } do
      server:configure { organizations = { [mock.ORG] = { status = status } } }
      assert.equal(expected, (run(users)), status)
    end
    assert.equal(2, (run "users x"))
    assert.equal(3, (run("token", { PODERO_CLIENT_SECRET = "wrong" })))
    assert.equal(4, (run("token --max-retries 0", { PODERO_BASE_URL = "http://127.0.0.1:" .. helper.closed_port() })))
  end)

  it("writes errors as JSON objects, wrong use included", function()
    server:configure { organizations = { [mock.ORG] = { status = 403 } } }
    local _, output, errors = run("users --errors json " .. mock.ORG)
    assert.equal("", output)
    local err = cjson.decode(errors:match("^([^\n]+)\n$"))
    assert.same({ "http", 403, false }, { err.kind, err.status, err.retryable })
    assert.truthy(err.url:find(mock.ORG, 1, true))
    _, _, errors = run "users --errors=json --what"
    assert.equal("argument", cjson.decode(errors:match("^([^\n]+)\n$")).kind)
  end)

  it("continues with the next organization with --keep-going", function()
    server:configure { organizations = { [OTHER] = { status = 403 }, [mock.ORG] = { users = 3 } } }
    local code, output, errors = run(("users --keep-going --format json %s %s"):format(OTHER, mock.ORG))
    assert.equal(3, code)
    assert.equal(3, #cjson.decode(output))
    assert.truthy(errors:find("^podero: [^\n]*403[^\n]*\n$"), errors)
    server:configure { organizations = { [OTHER] = { status = 403 } } }
    local name = command.write("kept", "kept")
    code = run(("users --keep-going %s -o %s"):format(OTHER, name))
    assert.same({ 3, "kept" }, { code, helper.read(name) })
  end)

  it("prints the number of users with --count", function()
    assert.equal("25\n", output_of("users --count " .. mock.ORG))
    assert.equal(2, (run("users --count --bom " .. mock.ORG)))
  end)

  it("prints the requested columns in every format", function()
    server:configure { organizations = { [mock.ORG] = { users = 1 } } }
    local columns = "users --columns email,id,nothing " .. mock.ORG .. " -f "
    assert.truthy(output_of(columns .. "csv"):find("^email,id,nothing\r\n[^,]+@[^,]+,[%x-]+,\r\n$"))
    assert.truthy(output_of(columns .. "ndjson"):find('^{"email":"[^"]+","id":"[^"]+","nothing":null}\n$'))
    assert.truthy(output_of(columns .. "table"):find("^E%-MAIL +ID +NOTHING\n"))
    assert.equal(2, (run("users --columns id,,x " .. mock.ORG)))
    assert.equal(2, (run("users --columns id,id " .. mock.ORG)))
  end)

  it("prints JSON unchanged", function()
    for _, body in ipairs {
      '{"a":12345678901234567890123,"b":1e400,"c":{},"d":1.0,"b":[]}', "[ ]", '"x"', "-0.5E+3",
    } do
      respond(body)
      assert.equal(body .. "\n", output_of("get " .. PATH))
    end
    for _, body in ipairs { "[1,]", "[1", "{1:2}", "01", "1.", '"\1"', "[1]x", "", "nul", '{"a"}' } do
      respond(body)
      local code, output = run("get " .. PATH)
      if body ~= "" then assert.same({ 1, "" }, { code, output }, body) end
    end
  end)

  it("accepts a path with a query, and sends repeated parameters", function()
    respond "[]"
    output_of(("get '%s?a=1&a=b%%20c' --query a=3 --query d=4"):format(PATH))
    local uri = helper.last(server, "api").uri
    assert.truthy(uri:find("a=1&a=b[+%%20]+c&a=3"), uri)
    assert.truthy(uri:find("d=4", 1, true), uri)
  end)

  it("sends any request, with a body from a file or standard input", function()
    respond '{"ok": true}'
    local name = command.write("body", '{"x": 1}')
    assert.equal('{"ok": true}\n', output_of("request POST " .. PATH .. " --data " .. name))
    assert.equal("POST", helper.last(server, "api").method)
    local code, output = command.shell("printf '[]' | { " .. line("request put " .. PATH .. " --data -") .. "; }")
    assert.same({ 0, '{"ok": true}\n' }, { code, output })
    assert.equal("PUT", helper.last(server, "api").method)
    assert.equal(2, (run("request FOO " .. PATH)))
    assert.equal(2, (run("request POST " .. PATH .. " --data " .. folder .. "/missing")))
  end)

  it("sends further header fields", function()
    respond "{}"
    output_of("request POST " .. PATH .. " --header 'Idempotency-Key: a b' --header X-A:1 --header X-A:2")
    local headers = helper.last(server, "api").headers
    assert.same({ "a b", "1, 2" }, { headers["idempotency-key"], headers["x-a"] })
    for given, message in pairs { ["Authorization: x"] = "--header: 'Authorization' cannot be set",
      ["x"] = "--header 'x': expected NAME:VALUE", ["a b: c"] = "expected NAME:VALUE" } do
      local code, _, errors = run("get " .. PATH .. " --header '" .. given .. "'")
      assert.equal(2, code)
      assert.truthy(errors:find(message, 1, true), errors)
    end
  end)

  it("reads a secret from standard input", function()
    local none = { PODERO_CLIENT_ID = false, PODERO_CLIENT_SECRET = false }
    local with = line("token --client-id demo-client --client-secret-file -", none)
    local code = command.shell(("printf '\\357\\273\\277%s\\r\\nmore' | { %s; }"):format(
      mock.credentials.client_secret, with))
    assert.equal(0, code)
    assert.equal(2, (command.shell(with)))
    assert.equal(2, (run "token --client-secret-file - --password-file -"))
  end)

  it("fails if a standard descriptor is closed, or its output cannot be written", function()
    for _, closed in ipairs { "<&-", ">&-", "2>&-" } do
      local code = command.shell(line("token") .. " " .. closed)
      assert.equal(1, code, closed)
    end
    respond "{}"
    local list = { "", "token", "token --show", "--help", "help users", "users --help", "--version", "completion bash",
      "completion zsh", "completion fish", "doctor", "doctor " .. mock.ORG,
      "users --count " .. mock.ORG, "get " .. PATH, "request POST " .. PATH, "find role=user " .. mock.ORG }
    for _, format in ipairs { "table", "csv", "json", "ndjson" } do
      list[#list + 1] = ("users %s -f %s"):format(mock.ORG, format)
      list[#list + 1] = ("find %s role=user -f %s"):format(mock.ORG, format)
      list[#list + 1] = ("users %s -f %s -o -"):format(mock.ORG, format)
    end
    for _, arguments in ipairs(list) do
      local code, _, errors = command.shell(line(arguments) .. " >/dev/full")
      assert.equal(1, code, arguments)
      assert.truthy(errors:find("^podero: cannot write to standard output: [^\n]+\n$"), errors)
    end
  end)

  describe("for spreadsheets", function()
    it("guards cells that could become formulas with any delimiter", function()
      local guarded = require("podero.command.rows").guarded
      for text, expected in pairs { ["=1"] = "'=1", [" =1"] = "' =1", ['"=1'] = "'\"=1", ["a;=1"] = "a;'=1",
        ["a,b,+1"] = "a,b,'+1", ["a\t@x"] = "a\t'@x", ["a; \"-1"] = "a;' \"-1", ["\194\160=1"] = "'\194\160=1",
        ["\239\188\157"] = "'\239\188\157", ["x;\239\188\139"] = "x;'\239\188\139", ["a=b"] = "a=b", ["a-b"] = "a-b",
        ["'=1"] = "''=1", ["\tx"] = "'\tx", ["x\n=1"] = "x\n'=1", ["a@b.c"] = "a@b.c", ["\195\164"] = "\195\164" } do
        assert.equal(expected, guarded(text))
      end
    end)

    it("writes another delimiter and a byte order mark, and quotes nested values", function()
      local user = '{"id": "a;b", "organization_id": "2", "role": "user", "email": "e", "num_inverters": 0, '
        .. '"num_heat_pumps": 0, "num_electric_vehicles": 0, "num_wallboxes": 0, "more": {"a": [1, "x"]}}'
      server:configure { organizations = { [mock.ORG] = { raw = "[" .. user .. "]" } } }
      local output = output_of("users --columns id,more -f csv --bom --delimiter ';' " .. mock.ORG)
      assert.equal('\239\187\191id;more\r\n"a;b";"{""a"":[1,""x""]}"\r\n', output)
      assert.equal("id\tmore\r\n", output_of("users --columns id,more -f csv --delimiter tab " .. mock.ORG):sub(1, 9))
      assert.equal(2, (run("users --bom -f json " .. mock.ORG)))
      assert.equal(2, (run("users --delimiter = -f csv " .. mock.ORG)))
    end)
  end)

  describe("with --token-cache", function()
    local function cache(name) return "users --count --token-cache " .. folder .. "/" .. name .. " " .. mock.ORG end

    it("requests a token once", function()
      for _ = 1, 3 do output_of(cache "tokens") end
      assert.equal(1, #server:requests("token"))
      assert.equal("600", (helper.shell("stat -c %a " .. folder .. "/tokens"):gsub("%s+", "")))
    end)

    it("replaces invalid content", function()
      for _, text in ipairs { "", "rubbish", "podero token cache 1\n999999999999 x", ("\0"):rep(100) } do
        helper.shell("chmod 600 " .. command.write("damaged", text))
        server:reset()
        output_of(cache "damaged")
        output_of(cache "damaged")
        assert.equal(1, #server:requests("token"))
      end
    end)

    it("refuses a file that others can use, and a symbolic link", function()
      command.write("open", "")
      helper.shell(("chmod 640 %s/open; ln -s %s/elsewhere %s/link"):format(folder, folder, folder))
      local refused = { open = "0640", link = "symbolic link", ["no/x"] = "No such file", ["."] = "directory" }
      for name, text in pairs(refused) do
        local code, _, errors = run(cache(name))
        assert.equal(2, code)
        assert.truthy(errors:find(text, 1, true), errors)
      end
      assert.is_nil(io.open(folder .. "/elsewhere"))
      assert.equal(0, #server:requests())
    end)

    it("requests a token once for several runs at the same time", function()
      server:configure { always_token = { delay = 0.3 } }
      local one = line(cache "shared")
      local output = helper.shell(("for i in 1 2 3 4; do %s & done; wait"):format(one))
      assert.equal(("25\n"):rep(4), output)
      assert.equal(1, #server:requests("token"))
    end)
  end)
end)

describe("the command at its start", function()
  local folder

  command.set_up(nil, function(made) folder = made end)

  it("loads no module from the current folder", function()
    local here = folder .. "/here"
    local plant = "mkdir %s; for m in cjson podero argparse term; do echo 'print(1) os.exit(9)' >%s/$m.lua; done"
    helper.shell(plant:format(here, here))
    local source = helper.shell("pwd"):gsub("%s+$", "") .. "/src/command/podero"
    -- The current folder first.
    local paths = ("package.path, package.cpath = %q, %q"):format(
      "./?.lua;?.lua;" .. folder .. "/?.lua;" .. package.path, "./?.so;" .. package.cpath)
    local code, output = command.shell(("cd %s && %s -e %s %s --version"):format(here,
      helper.quoted(helper.interpreter()), helper.quoted(paths), source))
    assert.same({ 0, require("podero")._VERSION .. "\n" }, { code, output })
  end)

  it("says in one line which module is missing", function()
    local paths = ("package.path, package.cpath = %q, %q"):format(folder .. "/?.lua", "/nowhere/?.so")
    local code, output, errors = command.shell(("%s -e %s src/command/podero --version"):format(
      helper.quoted(helper.interpreter()), helper.quoted(paths)))
    assert.same({ 1, "" }, { code, output })
    assert.truthy(errors:find("^podero: the module [%w.]+ is missing for [^\n]+\n$"), errors)
  end)
end)
