local cjson = require "cjson"
local command = require "spec.support.command"
local helper = require "spec.support.helper"
local podero = require "podero"
local socket = require "socket"

describe("podero mock", function()
  local folder, running, running_pid

  command.set_up(nil, function(made) folder = made end)

  --- Returns the shell command that runs a Lua program, and then the command in the same interpreter.
  local function line_after(program, arguments)
    local line = command.line("mock " .. arguments, {})
    local from = line:find("src/command/podero mock", 1, true)
    return ("%s -e %s %s"):format(line:sub(1, from - 1), helper.quoted(program), line:sub(from))
  end

  --- Starts the command, and returns what it says to set: a table of variables. `program`: see line_after; `setting`:
  -- a shell command that is run before.
  local function start(arguments, program, setting)
    local line = ("echo $$; %s; exec %s"):format(setting or ":", line_after(program or "", arguments or ""))
    running = io.popen(("sh -c %s 2>%s/errors"):format(helper.quoted(line), folder))
    running_pid = running:read("*l")
    local process = {}
    for _ = 1, 3 do
      local text = running:read("*l") or error(helper.read(folder .. "/errors"))
      for name, value in text:gmatch("([%u_]+)=(%S+)") do process[name] = value end
    end
    return process
  end

  --- Ends the command by a signal, and returns what it has printed after its first lines, and the seconds until it
  -- has ended.
  local function stop(signal)
    helper.shell(("kill -%s %s"):format(signal or "TERM", running_pid))
    local seconds, rest = helper.timed(function() return running:read("*a") end)
    running:close()
    running = nil
    return rest, seconds
  end

  --- Returns the processor time that the command has used.
  local function cpu_seconds()
    local fields = helper.read("/proc/" .. running_pid .. "/stat"):match("%) (.*)")
    local user, kernel = fields:match("^" .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
    return (user + kernel) / tonumber((helper.shell("getconf CLK_TCK")))
  end

  after_each(function()
    if running then stop "KILL" end
    helper.close_clients()
  end)

  --- Connects to the command, sends a request for the users, and returns the connection.
  local function request_users(process, query)
    local connection = assert(socket.connect("127.0.0.1", tonumber(process.PODERO_BASE_URL:match("(%d+)$"))))
    connection:settimeout(20)
    connection:send(("GET %s%s HTTP/1.1\r\nAuthorization: Bearer demo-token\r\n\r\n"):format(
      helper.users_path(process.ORG), query or ""))
    return connection
  end

  local function client_of(process, more)
    local options = {
      base_url = process.PODERO_BASE_URL, client_id = process.PODERO_CLIENT_ID,
      client_secret = process.PODERO_CLIENT_SECRET, max_retries = 0,
    }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(podero.new(options))
  end

  it("serves users to a client with the credentials that it prints, and tells of each request", function()
    local process = start()
    local client = client_of(process)
    assert.equal(25, #assert(client:list_users(process.ORG)))
    assert.is_true(#assert(client:list_users(process.ORG, { role = "admin" })) > 0)
    assert.equal(404, helper.failed("http", client:list_users(helper.OTHER_ORG)).status)
    helper.failed("auth", client_of(process, { client_secret = "wrong" }):token())
    local password = { username = "demo-user", password = "demo-password", client_id = "demo-client",
      client_secret = "demo-secret" }
    assert.equal(25, #assert(client_of(process, password):list_users(process.ORG)))
    password.password = "wrong"
    helper.failed("auth", client_of(process, password):token())
    local told = stop()
    assert.truthy(told:find("# GET /api/partners/v2.0/org/" .. process.ORG .. "/users: 200", 1, true), told)
  end)

  it("serves the command, with the variables that it prints", function()
    local process = start "--count 3 --quiet"
    local code, output, errors = command.run("users --count " .. process.ORG, process)
    assert.same({ 0, "3\n", "" }, { code, output, errors })
    assert.equal(0, (command.run("doctor " .. process.ORG, process)))
    local example = helper.read("README.md"):match("\npodero (find [^\n]+)")
    assert.equal(0, (command.run(example, process)), example)
    assert.equal("", (stop "INT"))
  end)

  it("serves the users of a file, if the API could return them", function()
    local user = { id = "1", organization_id = "2", role = "staff", email = "a@example.com", num_inverters = 0,
      num_heat_pumps = 0, num_electric_vehicles = 0, num_wallboxes = 0 }
    local name = command.write("users.json", cjson.encode { user })
    local process = start("--users " .. name)
    assert.equal("a@example.com", client_of(process):list_users(process.ORG)[1].email)
    assert.equal(1, #client_of(process):list_users(process.ORG, { include_deleted = true }))
    stop()
    assert.equal(2, (command.run("mock --users " .. folder .. "/none", {})))
    assert.equal(2, (command.run("mock --count 3 --users " .. name, {})))
  end)

  it("refuses a file that is no array of users, and says what is wrong", function()
    local user = '{"id":"1","organization_id":"2","role":"user","email":"x","num_inverters":0,"num_heat_pumps":0,'
      .. '"num_electric_vehicles":0,"num_wallboxes":%s}'
    for text, problem in pairs {
      ["{}"] = "expected an array of users, got object", ['{"a":1}'] = "expected an array of users, got object",
      ['"x"'] = "expected an array of users, got string", ["[1]"] = "[1]: expected object, got number",
      ["["] = "cut short", [""] = "empty", ["[]x"] = "not JSON",
      ["[" .. user:format('"two"') .. "]"] = "[1].num_wallboxes: expected integer, got string",
      ["[" .. user:format("NaN") .. "]"] = "not JSON",
    } do
      local name = command.write("wrong.json", text)
      for _, option in ipairs { "--users", "--deleted" } do
        local line = command.line(("mock %s %s"):format(option, name), {})
        local code, output, errors = command.shell("timeout 10 " .. line)
        assert.same({ 2, "" }, { code, output }, text)
        local message = ("podero: %s %s: %s"):format(option, name, problem)
        assert.equal(message, errors:sub(1, #message))
        assert.is_nil(errors:find("\n."), errors)
      end
    end
  end)

  it("lists deleted users if the request includes them", function()
    local process = start()
    local client = client_of(process)
    assert.equal(25, #assert(client:list_users(process.ORG)))
    assert.equal(28, #assert(client:list_users(process.ORG, { include_deleted = true })))
    local connection = request_users(process, "?include_deleted=maybe")
    assert.equal("HTTP/1.1 422 Unprocessable Content", (connection:receive("*l")))
    connection:close()
    stop()
    local user = '{"id":"1","organization_id":"2","role":"user","email":"gone@example.com","num_inverters":0,'
      .. '"num_heat_pumps":0,"num_electric_vehicles":0,"num_wallboxes":0}'
    process = start("--count 2 --deleted " .. command.write("deleted.json", "[" .. user .. "]"))
    client = client_of(process)
    assert.equal(2, #assert(client:list_users(process.ORG)))
    assert.equal("gone@example.com", client:list_users(process.ORG, { include_deleted = true })[3].email)
    stop()
    process = start("--count 0")
    assert.same({}, client_of(process):list_users(process.ORG, { include_deleted = true }))
    stop()
  end)

  it("serves others while a client reads slowly, or nothing", function()
    local process = start "--count 100000 --quiet"
    local slow = request_users(process)
    slow:receive(100) -- the response has begun; the rest is more than the buffers of the sockets
    local stalled = request_users(process)
    local client = client_of(process, { timeout = 5, access_token = "demo-token" })
    local seconds = helper.timed(function()
      for _ = 1, 3 do assert.equal(1, #assert(client:list_users(process.ORG, { limit = 1 }))) end
    end)
    assert.is_true(seconds < 2, seconds)
    assert.is_true(#assert(slow:receive("*a")) > 20e6)
    stalled:close()
    stop()
  end)

  it("ends a response that the client has not received in time", function()
    local process = start("--count 100000 --quiet", "require('podero.command.http_server').RESPONSE_SECONDS = 0.2")
    local slow = request_users(process)
    slow:receive(100)
    socket.sleep(0.3) -- now it sends nothing more, however fast the client is
    assert.is_true(#assert(slow:receive("*a")) < 20e6)
    assert.equal(1, #assert(client_of(process):list_users(process.ORG, { limit = 1 })))
    slow:close()
    stop()
  end)

  it("waits for connections to end if no descriptor is left for further ones, and uses no processor time", function()
    local process = start("--quiet", "require('podero.command.http_server').REQUEST_SECONDS = 2", "ulimit -n 8")
    local silent = {}
    for i = 1, 4 do
      silent[i] = assert(socket.connect("127.0.0.1", tonumber(process.PODERO_BASE_URL:match("(%d+)$"))))
    end
    local request = request_users(process)
    request:settimeout(0.5)
    assert.equal("timeout", select(2, request:receive(1)))
    request:settimeout(20)
    assert.equal("HTTP/1.1 200 OK", (request:receive("*l"))) -- after the time limit of the silent ones
    for _, connection in ipairs(silent) do connection:close() end
    request:close()
    local seconds = cpu_seconds()
    assert.is_true(seconds < 0.5, seconds)
    assert.equal("", (stop()))
  end)

  it("dies at once of SIGTERM and SIGINT, also during a request", function()
    for signal, number in pairs { TERM = 15, INT = 2, HUP = 1 } do
      local process = start "--count 100000 --quiet"
      local slow = request_users(process)
      slow:receive(100)
      local _, seconds = stop(signal)
      assert.is_true(seconds < 1, signal .. ": " .. seconds)
      slow:close()
      local line, lines = command.line("mock --quiet", {}), folder .. "/lines"
      local code = command.shell(([[
        %s >%s & pid=$!
        until grep -q ORG= %s; do sleep 0.02; done
        kill -%s $pid
        wait $pid]]):format(line, lines, lines, signal))
      assert.equal(128 + number, code, signal)
    end
  end)

  it("says what to install if LuaSocket is missing", function()
    for _, name in ipairs { "socket.core", "mime.core" } do
      local without = ("package.preload[%q] = function() error 'none' end"):format(name)
      local code, output, errors = command.shell(line_after(without, ""))
      assert.same({ 2, "" }, { code, output })
      assert.equal("podero: podero mock needs LuaSocket: apt-get install lua-socket, or luarocks install luasocket\n",
        errors)
    end
  end)

  it("goes on after clients that say nothing, the wrong thing or too much, and listens on loopback only", function()
    local process = start "--quiet"
    local port = tonumber(process.PODERO_BASE_URL:match("(%d+)$"))
    local silent = assert(socket.connect("127.0.0.1", port))
    local token = "POST /oauth2/token/ HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    local body = '{"grant_type":"client_credentials","client_id":5,"client_secret":{}}'
    for _, text in ipairs { "hello\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", ("x"):rep(20000),
      token:format(#body, body) } do
      local connection = assert(socket.connect("127.0.0.1", port))
      connection:send(text)
      connection:close()
    end
    assert.equal(25, #assert(client_of(process, { timeout = 10 }):list_users(process.ORG)))
    silent:settimeout(20)
    assert.equal("closed", select(2, silent:receive()))
    silent:close()
    assert.equal("127.0.0.1", process.PODERO_BASE_URL:match("//([^:]+)"))
    local code, _, errors = command.run("mock --port " .. port, {})
    assert.equal(1, code)
    assert.truthy(errors:find("cannot listen on port " .. port, 1, true), errors)
    stop()
  end)
end)
