local cjson = require "cjson"
local command = require "spec.support.command"
local helper = require "spec.support.helper"
local podero = require "podero"
local socket = require "socket"

describe("podero mock", function()
  local folder, running

  setup(function() folder = command.open() end)
  teardown(function() command.close() end)

  --- Starts the command, and returns what it says to set: a table of variables.
  local function start(arguments)
    local line = command.line("mock " .. (arguments or ""), {})
    running = io.popen(("sh -c %s 2>%s/errors"):format(helper.quoted("echo $$; exec " .. line), folder))
    local process = { pid = running:read("*l") }
    for _ = 1, 3 do
      local text = running:read("*l") or error(helper.read(folder .. "/errors"))
      for name, value in text:gmatch("([%u_]+)=(%S+)") do process[name] = value end
    end
    return process
  end

  local function stop(process, signal)
    helper.shell(("kill -%s %s"):format(signal or "TERM", process.pid))
    local rest = running:read("*a")
    running:close()
    running = nil
    return rest
  end

  after_each(function() helper.close_clients() end)

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
    local told = stop(process)
    assert.truthy(told:find("# GET /api/partners/v2.0/org/" .. process.ORG .. "/users: 200", 1, true), told)
  end)

  it("serves the command, with the variables that it prints", function()
    local process = start "--count 3 --quiet"
    local code, output, errors = command.run("users --count " .. process.ORG, process)
    assert.same({ 0, "3\n", "" }, { code, output, errors })
    assert.equal(0, (command.run("doctor " .. process.ORG, process)))
    assert.equal("", stop(process, "INT"))
  end)

  it("serves the users of a file, if the API could return them", function()
    local user = { id = "1", organization_id = "2", role = "staff", email = "a@example.com", num_inverters = 0,
      num_heat_pumps = 0, num_electric_vehicles = 0, num_wallboxes = 0 }
    local name = folder .. "/users.json"
    local file = assert(io.open(name, "w"))
    file:write(cjson.encode { user })
    file:close()
    local process = start("--users " .. name)
    assert.equal("a@example.com", client_of(process):list_users(process.ORG)[1].email)
    stop(process)
    user.num_wallboxes = "two"
    file = assert(io.open(name, "w"))
    file:write(cjson.encode { user })
    file:close()
    local code, _, errors = command.run("mock --users " .. name, {})
    assert.equal(2, code)
    assert.truthy(errors:find("%-%-users [^\n]*num_wallboxes"), errors)
    assert.equal(2, (command.run("mock --users " .. folder .. "/none", {})))
    assert.equal(2, (command.run("mock --count 3 --users " .. name, {})))
  end)

  it("goes on after clients that say nothing, the wrong thing or too much, and listens on loopback only", function()
    local process = start "--quiet"
    local port = tonumber(process.PODERO_BASE_URL:match("(%d+)$"))
    local silent = assert(socket.connect("127.0.0.1", port))
    for _, text in ipairs { "hello\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", ("x"):rep(20000) } do
      local connection = assert(socket.connect("127.0.0.1", port))
      connection:send(text)
      connection:close()
    end
    assert.equal(25, #assert(client_of(process, { timeout = 10 }):list_users(process.ORG)))
    silent:close()
    assert.equal("127.0.0.1", process.PODERO_BASE_URL:match("//([^:]+)"))
    local code, _, errors = command.run("mock --port " .. port, {})
    assert.equal(1, code)
    assert.truthy(errors:find("cannot listen on port " .. port, 1, true), errors)
    stop(process)
  end)
end)
