local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local podero = require "podero"

local ORG = helper.ORG
local AT_ONCE = { ["Retry-After"] = "0" }

--- Returns the value in quotes that begins at a position, and the position after it.
local function quoted(line, position)
  local parts, start = {}, position + 1
  while true do
    local text, char, next_start = line:match('^([^"\\]*)(["\\])()', start)
    assert(char, line:sub(position))
    parts[#parts + 1] = text
    if char == '"' then return table.concat(parts), next_start end
    parts[#parts + 1] = line:match('^["\\]', next_start) or error(line:sub(position))
    start = next_start + 1
  end
end

--- Parses a line of logfmt. Returns the values by key, and the keys in order.
local function parse(line)
  local fields, order, position = {}, {}, 1
  while position <= #line do
    local key, start = line:match("^([%w_]+)=()", position)
    assert(key, line:sub(position))
    local value, stop
    if line:sub(start, start) == '"' then
      value, stop = quoted(line, start)
    else
      value, stop = line:match('^([^%s"=]+)()', start)
    end
    assert(value, line:sub(position))
    assert(stop > #line or line:sub(stop, stop) == " ", line:sub(stop))
    fields[key], order[#order + 1], position = value, key, stop + 1
  end
  return fields, order
end

describe("the log", function()
  local server, lines

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    server:reset()
    lines = {}
  end)
  after_each(function() helper.close_clients() end)

  local function keep(level, line)
    assert.equal("string", type(line))
    assert.is_nil(line:find("%c"), line)
    local fields = parse(line)
    assert.equal(level, fields.level)
    assert.equal("podero", fields.source)
    lines[#lines + 1] = fields
  end

  local function client_of(more)
    local options = { log = keep }
    for name, value in pairs(more or {}) do options[name] = value end
    return helper.client(server, options)
  end

  --- Each line as "level event purpose status".
  local function summary()
    local list = {}
    for i, line in ipairs(lines) do
      list[i] = ("%s %s %s %s"):format(line.level, line.event, line.purpose or line.call or line.operation or "-",
        line.status or "-")
    end
    return list
  end

  describe("as a function", function()
    it("gets a line for each exchange, at level info if it returned a token, and otherwise at level debug", function()
      assert(client_of():list_users(ORG))
      assert.same({ "info exchange token 200", "debug exchange api 200" }, summary())
      local line = lines[2]
      assert.equal("GET", line.method)
      assert.equal(server.url .. helper.users_path(), line.url)
      assert.equal("1", line.attempt)
      assert.same({ "false", "true" }, { lines[1].reused, line.reused })
      assert.truthy(line.seconds:find("^%d+%.%d%d%d%d%d%d$"), line.seconds)
      assert.truthy(line.seconds_to_first_byte:find("^%d+%.%d%d%d%d%d%d$"), line.seconds_to_first_byte)
      assert.is_true(tonumber(line.bytes) > 1000)
      assert.is_nil(line.error_kind)
    end)

    it("gets the fields in a fixed order", function()
      local raw = {}
      local client = client_of { log = function(_, line) raw[#raw + 1] = line end }
      assert(client:list_users(ORG))
      local _, order = parse(raw[2])
      assert.same({ "level", "source", "event", "purpose", "method", "url", "status", "attempt", "seconds",
        "seconds_to_first_byte", "bytes", "reused" }, order)
    end)

    it("gets a line at level info for each retry, and one for a call that fails", function()
      local body = '{"detail": "in \\"five\\"\\n = 5 min"}'
      helper.static(server, { always_api = { status = 503, headers = AT_ONCE, body = body } })
      helper.failed("http", client_of { access_token = "static", max_retries = 1 }:list_users(ORG))
      assert.same({ "debug exchange api 503", "info retry api 503", "debug exchange api 503",
        "info failure list_users 503" }, summary())
      assert.equal("1", lines[2].attempt)
      assert.equal("0.000000", lines[2].pause)
      assert.equal("http", lines[2].error_kind)
      local failure = lines[4]
      assert.equal("http", failure.kind)
      assert.equal("2", failure.attempts)
      assert.equal("true", failure.retryable)
      assert.equal(server.url .. helper.users_path(), failure.url)
      assert.truthy(failure.message:find('in "five"? = 5 min', 1, true), failure.message)
    end)

    it("gets a line of a failure for each method, with the method's name", function()
      helper.static(server, { always_api = { status = 404 } })
      local client = client_of { access_token = "static" }
      client:list_users(ORG)
      pcall(function() for _ in client:each_user(ORG) do error("a user") end end)
      client:get("/api/partners/v2.0/x")
      client:list_users_of { ORG }
      client:close()
      local names = {}
      for _, line in ipairs(lines) do
        if line.event == "failure" then names[#names + 1] = line.call end
      end
      assert.same({ "list_users", "each_user", "get", "list_users_of" }, names)
    end)

    it("gets a line at level info for a token request that fails", function()
      server:configure { always_token = { status = 400, body = "{\"error\": \"invalid_grant\"}" } }
      helper.failed("auth", client_of():token())
      assert.same({ "debug exchange token 400", "info failure token 400" }, summary())
    end)

    it("gets a line for a token store that fails", function()
      local store = { get = function() error("no\nroute = \"x\"", 0) end, set = function() return nil, "full" end }
      assert(client_of { token_store = store }:list_users(ORG))
      local list = {}
      for _, line in ipairs(lines) do
        if line.event == "store" then
          list[#list + 1] = ("%s %s: %s"):format(line.level, line.operation, line.message)
        end
      end
      assert.same({ 'info get: no?route = "x"', "info set: full" }, list)
    end)

    it("gets each line before on_event gets the event", function()
      local order = {}
      local client = client_of { log = function(_, line) order[#order + 1] = parse(line).purpose end,
        on_event = function(event) order[#order + 1] = "on_event " .. event.purpose end }
      assert(client:list_users(ORG))
      assert.same({ "token", "on_event token", "api", "on_event api" }, order)
    end)

    it("may raise any error, and the call continues", function()
      for _, problem in ipairs { "a text", {}, 42, false } do
        local count = 0
        local client = client_of { log = function()
          count = count + 1
          error(problem, 0)
        end }
        assert.equal(25, #assert(client:list_users(ORG)))
        assert.equal(2, count)
      end
    end)

    it("may not yield, which stops it, and the call continues", function()
      local reached, continued = 0, false
      local client = client_of { log = function()
        reached = reached + 1
        coroutine.yield "from the log"
        continued = true
      end }
      local thread = coroutine.create(function() return #assert(client:list_users(ORG)) end)
      local ok, users = coroutine.resume(thread)
      assert.is_true(ok, users)
      assert.equal(25, users)
      assert.equal("dead", coroutine.status(thread))
      assert.equal(2, reached)
      assert.is_false(continued)
    end)

    it("may close the client and collect garbage", function()
      server:configure { always_api = { delay = 0.3 } }
      local client
      client = client_of { log = function()
        collectgarbage()
        client:close()
      end }
      helper.failed("closed", client:list_users(ORG))
      helper.failed("closed", client:list_users(ORG))
    end)

    it("gets a line for a call that ends because the client is closed", function()
      server:configure { always_api = { delay = 0.3 } }
      local client
      client = client_of { on_event = function() client:close() end }
      helper.failed("closed", client:list_users(ORG))
      assert.equal("failure", lines[#lines].event)
      assert.equal("closed", lines[#lines].kind)
      assert.equal("the client was closed during the call", lines[#lines].message)
    end)

    it("may make calls of the client, which write no lines", function()
      local client, users
      local count = 0
      client = client_of { log = function()
        count = count + 1
        users = #assert(client:list_users(ORG))
      end }
      assert(client:list_users(ORG))
      assert.equal(25, users)
      assert.is_true(count <= 2, count)
      assert(client:list_users(ORG))
      assert.is_true(count <= 3, count)
    end)

    it("may resume a coroutine that waits in a call of the client", function()
      helper.static(server, { organizations = { [ORG] = { users = 2000 } } })
      local inner
      local client = client_of { access_token = "static", wait = coroutine.yield, log = function()
        if inner and coroutine.status(inner) == "suspended" then assert(coroutine.resume(inner)) end
      end }
      local function count()
        local users, iterator = 0, client:each_user(ORG)
        while iterator() do users = users + 1 end -- Lua 5.1 cannot yield in the iterator of a `for` loop
        return users
      end
      local outer = coroutine.create(count)
      local result
      inner = coroutine.create(function() result = count() end)
      local ok, users
      repeat
        ok, users = coroutine.resume(outer)
        assert.is_true(ok, users)
      until coroutine.status(outer) == "dead"
      assert.equal(2000, users)
      while coroutine.status(inner) == "suspended" do assert(coroutine.resume(inner)) end
      assert.equal(2000, result)
    end)
  end)

  describe("contains no secret:", function()
    it("no credential or token", function()
      server:configure { refresh = true, encoding = "json" }
      local raw = {}
      local client = client_of { log = function(_, line) raw[#raw + 1] = line end, username = mock.credentials.username,
        password = mock.credentials.password }
      assert(client:list_users(ORG))
      server:revoke()
      assert(client:list_users(ORG))
      assert.is_true(#raw >= 6)
      helper.without(raw, { "demo-secret", "correct", "tok-", "ref-", "Bearer", "Basic" })
    end)

    it("none of a URL or of a store's message", function()
      local raw, events = {}, {}
      local store = {
        get = function() return nil, "cannot read demo-secret" end, set = function() error "demo-secret is full" end,
      }
      local client = client_of { log = function(_, line) raw[#raw + 1] = line end, token_store = store,
        on_event = function(event) events[#events + 1] = event end }
      helper.static(server, { always_api = { status = 404 } })
      client:get("/api/partners/v2.0/x", { key = "demo-secret" })
      local text = table.concat(raw, "\n")
      assert.truthy(text:find("key=***", 1, true), text)
      assert.truthy(text:find("cannot read ***", 1, true), text)
      assert.truthy(text:find("event=failure", 1, true), text)
      helper.without(raw, { "demo-secret" })
      helper.without(events, { "demo-secret" })
    end)
  end)

  it("shortens long values to keep a line short", function()
    local raw = {}
    local client = client_of { access_token = "static", log = function(_, line) raw[#raw + 1] = line end }
    helper.static(server, { always_api = { status = 404 } })
    client:get("/api/partners/v2.0/x", { long = ("\"é"):rep(3000) })
    for _, line in ipairs(raw) do
      assert.is_true(#line < 4000, #line)
      parse(line)
      assert.truthy(line:match("^[%w%p ]*$"), line)
    end
    assert.truthy(raw[1]:find('%.%.%." status=404'), raw[1])
  end)

  it("has to be a level or a function", function()
    for _, value in ipairs { "", "warn", "INFO", 1, true, {} } do
      helper.raises("option 'log'", podero.new, { access_token = "x", log = value })
    end
    for _, value in ipairs { "info", "debug", print } do
      assert(podero.new { access_token = "x", log = value }):close()
    end
  end)

  it("may be missing, as may on_event, if a token store fails", function()
    local store = { get = function() error "x" end, set = function() error "y" end }
    assert(helper.client(server, { token_store = store }):list_users(ORG))
  end)

  describe("on standard error", function()
    local PROGRAM = [[
      local podero = require "podero"
      local client, err = podero.new(%s)
      if not client then print(err) os.exit(1) end
      print(#assert(client:list_users("%s")))
    ]]

    local function run(options, environment)
      local all = { PODERO_BASE_URL = server.url, PODERO_CLIENT_ID = mock.credentials.client_id,
        PODERO_CLIENT_SECRET = mock.credentials.client_secret }
      for name, value in pairs(environment or {}) do all[name] = value end
      local command = helper.command(PROGRAM:format(options, ORG), all)
      local folder = os.tmpname()
      local _, code = helper.shell(command .. " 2>" .. folder)
      local text = helper.read(folder)
      os.remove(folder)
      local list = {}
      for line in text:gmatch("([^\n]*)\n") do list[#list + 1] = parse(line) end
      return list, code, text
    end

    it("has a line with the time for each exchange at level debug", function()
      for _, list in ipairs { (run("{ log = 'debug' }")), (run("{}", { PODERO_LOG = "debug" })) } do
        assert.equal(2, #list)
        assert.equal("token", list[1].purpose)
        assert.equal("api", list[2].purpose)
        assert.truthy(list[1].time:find("^20%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$"), list[1].time)
        assert.is_true(math.abs(podero.time(list[1].time) - os.time()) < 60)
      end
    end)

    it("has lines only for tokens, retries and failures at level info", function()
      for _, list in ipairs { (run("{ log = 'info' }")), (run("{}", { PODERO_LOG = "info" })),
        (run("{ log = 'info' }", { PODERO_LOG = "debug" })) } do
        assert.equal(1, #list)
        assert.equal("token", list[1].purpose)
      end
    end)

    it("is empty without the option and PODERO_LOG", function()
      for _, environment in ipairs { {}, { PODERO_LOG = "" } } do
        local _, code, text = run("{}", environment)
        assert.equal(0, code)
        assert.equal("", text)
      end
    end)

    it("is refused if PODERO_LOG is not a level", function()
      local output, code = helper.run(PROGRAM:format("{}", ORG), { PODERO_LOG = "verbose", PODERO_ACCESS_TOKEN = "x" })
      assert.equal(1, code)
      assert.truthy(output:find("podero: argument: PODERO_LOG: expected \"info\" or \"debug\"", 1, true), output)
    end)
  end)
end)
