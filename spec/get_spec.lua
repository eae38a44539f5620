local cjson = require "cjson"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local one_listener = require "spec.support.one_listener"
local podero = require "podero"

local ECHO = helper.API .. "/echo"

describe("client:get", function()
  local server, client

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function()
    server:reset()
    helper.static(server, {})
    client = helper.client(server, { access_token = "static" })
  end)
  after_each(function() helper.close_clients() end)

  local function page(body)
    helper.static(server, { paths = { [helper.API .. "/page"] = { body = body } } })
    return client:get(helper.API .. "/page")
  end

  it("returns the decoded JSON of another resource, with the same token", function()
    local echo = assert(client:get(ECHO))
    assert.equal("GET", echo.method)
    assert.equal(ECHO, echo.path)
    assert.equal("Bearer static", echo.headers.authorization)
    assert.equal(ECHO, helper.last(server, "api").uri)
    assert.is_nil(helper.last(server, "api").body)
  end)

  it("requests its path and query, whatever was requested before over the same connection", function()
    local asked = {
      { ECHO, { q = "1" } }, { ECHO }, { ECHO .. "/%C3%9C" }, { ECHO .. "/x" }, { ECHO, { q = "/?%" } },
      { ECHO .. "/x" },
    }
    local expected = { "?q=1", "", "/%C3%9C", "/x", "?q=%2F%3F%25", "/x" }
    for i, arguments in ipairs(asked) do
      client:get(arguments[1], arguments[2])
      assert.equal(ECHO .. expected[i], helper.last(server, "api").uri)
    end
    assert(client:list_users(helper.ORG, { include_deleted = true }))
    assert.equal(helper.users_path() .. "?include_deleted=true", helper.last(server, "api").uri)
    assert(client:list_users(helper.OTHER_ORG))
    assert.equal(helper.users_path(helper.OTHER_ORG), helper.last(server, "api").uri)
    assert.equal(1, server:counts().connections)
  end)

  it("returns null as podero.null, at any depth", function()
    local value = assert(page("{\"a\": null, \"b\": [null, 1, {\"c\": null}], \"d\": {}}"))
    assert.equal(podero.null, value.a)
    assert.equal(podero.null, value.b[1])
    assert.equal(1, value.b[2])
    assert.equal(podero.null, value.b[3].c)
    assert.same({}, value.d)
    assert.equal(podero.null, (page("null")))
  end)

  it("returns any JSON value", function()
    for body, value in pairs { ["7"] = 7, ["-1.5e3"] = -1500, ["\"x\""] = "x", ["true"] = true, ["[]"] = {},
      ["[[1], []]"] = { { 1 }, {} } } do
      assert.same(value, page(body))
    end
    local result, response = page("false")
    assert.is_false(result)
    assert.equal(200, response.status)
  end)

  it("does not check values against the schema of users", function()
    assert.same({ { id = 5 } }, page("[{\"id\": 5}]"))
    local user = assert(client:get(helper.users_path()))[2]
    assert.equal(podero.null, user.first_name)
  end)

  describe("query", function()
    local function sent(query)
      client:get(ECHO, query) -- the response is not JSON if the query is not UTF-8
      return helper.last(server, "api").uri:match("^[^?]*%??(.*)$")
    end

    it("accepts strings, numbers and booleans", function()
      assert.equal("a=text", sent { a = "text" })
      assert.equal("a=7", sent { a = 7 })
      assert.equal("a=-1.5", sent { a = -1.5 })
      assert.equal("a=true", sent { a = true })
      assert.equal("a=false", sent { a = false })
      assert.equal("a=", sent { a = "" })
      assert.equal("", sent {})
      assert.equal("", sent(nil))
    end)

    it("has integers without a fraction, and other numbers in the shortest form that reads back equal", function()
      for text, number in pairs {
        ["5"] = 10 / 2, ["1700000000123456"] = 1700000000123456, ["9007199254740992"] = 2 ^ 53,
        ["1000000000000000"] = 1e15, ["48.20817653000123"] = 48.20817653000123, ["0.1"] = 0.1, ["1e%2B300"] = 1e300,
        ["0.30000000000000004"] = 0.1 + 0.2, ["-0.5"] = -0.5, ["0"] = 0,
      } do
        assert.equal("a=" .. text, sent { a = number })
      end
      if math.type then
        assert.equal("a=9223372036854775807", sent { a = math.maxinteger })
        assert.equal("a=-9223372036854775808", sent { a = math.mininteger })
      end
    end)

    it("raises an error that names the parameter for NaN and infinity, and sends nothing", function()
      for _, value in ipairs { 0 / 0, math.huge, -math.huge, { 1, math.huge } } do
        helper.raises({ "get", "'page'", "number" }, client.get, client, ECHO, { page = value })
      end
      assert.equal(0, #server:requests())
    end)

    it("repeats a parameter for each value of an array, in order", function()
      assert.equal("a=1&a=x+y&a=true&a=0.5", sent { a = { 1, "x y", true, 0.5 } })
      assert.equal("a=only", sent { a = { "only" } })
      local parts = {}
      for part in sent({ ["b&"] = { 2, 3 }, c = "d" }):gmatch("[^&]+") do parts[#parts + 1] = part end
      table.sort(parts)
      assert.same({ "b%26=2", "b%26=3", "c=d" }, parts)
      local many = {}
      for i = 1, 2000 do many[i] = i end
      assert.equal(2000, select(2, sent({ a = many }):gsub("a=%d+", "")))
    end)

    it("raises an error that names the parameter for an array that is empty, mixed, or of other types", function()
      for _, value in ipairs { { 1, {} }, { podero.null }, { print }, { x = 1 }, { 1, x = 2 }, { [2] = "b" }, {} } do
        helper.raises({ "get", "'page'" }, client.get, client, ECHO, { page = value })
      end
      assert.equal(0, #server:requests())
    end)

    it("is percent-encoded", function()
      local characters = {}
      for code = 0, 255 do characters[#characters + 1] = string.char(code) end
      local all = table.concat(characters)
      local text = sent { ["n&=a"] = all }
      assert.is_nil(text:find("[^%w%%=+*._~-]"), text)
      local value = text:match("^n%%26%%3Da=(.*)$")
      assert.truthy(value, text)
      assert.equal(all, (value:gsub("+", " "):gsub("%%(%x%x)", function(hex)
        return string.char(tonumber(hex, 16))
      end)))
      local echo = assert(client:get(ECHO, { q = "a b+c&d=e?f#g/ü😀" }))
      assert.equal("a b+c&d=e?f#g/ü😀", echo.query.q)
    end)

    it("accepts many parameters", function()
      local query = {}
      for i = 1, 200 do query["name" .. i] = "value " .. i end
      local echo = assert(client:get(ECHO, query))
      assert.same(query, echo.query)
    end)

    it("raises an error that names the parameter for other types, and sends nothing", function()
      for _, value in ipairs { {}, print } do
        helper.raises({ "get", "'page'", type(value) }, client.get, client, ECHO, { page = value })
      end
      helper.raises("userdata", client.get, client, ECHO, { page = podero.null })
      helper.raises("string", client.get, client, ECHO, { "a=b" })
      helper.raises("string", client.get, client, ECHO, { [true] = "b" })
      helper.raises("table", client.get, client, ECHO, "a=b")
      helper.raises("table", client.get, client, ECHO, 5)
      assert.equal(0, #server:requests())
    end)

    it("is not modified", function()
      local query = { a = 1, b = true, c = "x" }
      assert(client:get(ECHO, query))
      assert.same({ a = 1, b = true, c = "x" }, query)
      if math.type then assert.equal("integer", math.type(query.a)) end
    end)
  end)

  describe("path", function()
    it("is sent unchanged if it is well formed", function()
      for _, path in ipairs { "/api/partners/v2.0/a%2Cb", "/api/partners/a-b._~!$&'()*+,;=:c", "/api/partners/x/",
        "/api/partners/.hidden/...", "/api/partners/%C3%BC" } do
        local err = helper.failed("http", client:get(path))
        assert.equal(404, err.status)
        assert.equal(path, helper.last(server, "api").uri)
      end
      assert.equal(5, server:counts().api)
    end)

    it("gives an error of kind argument if it could lead elsewhere, and nothing is sent", function()
      for _, path in ipairs {
        "", "x", "api/partners", "http://127.0.0.1/x", "@elsewhere.example/", ".elsewhere.example/x", ":80/x", "/a?b=c",
        "/a#b", "/a@b", "/a b", "/a/../b", "/..", "/a/./b", "/a/..", "/.", "/a\r\nX-Injected: yes", "/a\nb", "/a\rb",
        "/a\0b", "/a\tb", "/a\127", "/ü", "/a\\b", "\\\\elsewhere.example", "/a%", "/a%2", "/a%zz", "/a\"b", "/a<b>",
        "/a|b", "/a[b]", "/a{b}", "/a^b", "/a`b", "/a%2Fb", "/a%5cb", "/a//b",
      } do
        local err = helper.failed("argument", client:get(path))
        assert.equal(0, err.attempts)
      end
      assert.equal(0, #server:requests())
    end)

    it("is in the error, with the rule that it breaks", function()
      for path, rule in pairs {
        ["api/x"] = "does not begin with '/'", ["/a?b=c"] = "has a query", ["/a@b"] = "'@' is refused",
        ["/a b"] = "has to be escaped", ["/a//b"] = "empty segment", ["/a/%2e%2e/b"] = "'..'",
        ["/a%2Fb"] = "escaped slash", ["/a%ffb"] = "UTF-8",
      } do
        local err = helper.failed("argument", client:get(path))
        assert.truthy(err.message:find("'" .. path .. "'", 1, true), err.message)
        assert.truthy(err.message:find(rule, 1, true), err.message)
      end
    end)

    it("may not contain an escaped dot segment", function()
      for _, path in ipairs { "/a/%2e%2e/b", "/a/.%2E/b", "/%2e" } do
        helper.failed("argument", client:get(path)) -- injection_spec has every spelling
      end
      assert.equal(0, #server:requests())
    end)

    it("raises an error if it is not a string", function()
      for _, path in ipairs { 5, true, {} } do
        helper.raises({ "get", "string", type(path) }, client.get, client, path)
      end
      helper.raises({ "get", "string" }, client.get, client)
      helper.raises("get", client.get)
      helper.raises("get", client.get, {}, "/x")
    end)
  end)

  describe("opts", function()
    it("apply to this call only", function()
      helper.static(server, { always_api = { status = 503, headers = { ["Retry-After"] = "0" } } })
      assert.equal(2, helper.failed("http", client:get(ECHO, nil, { max_retries = 1 })).attempts)
      assert.equal(2, server:counts().api)
      helper.static(server, { always_api = { delay = 5 } })
      local seconds, result, err = helper.timed(client.get, client, ECHO, nil, { timeout = 0.2 })
      helper.failed("timeout", result, err)
      assert.is_true(seconds < 0.7)
      helper.static(server, {})
      helper.failed("too_large", client:get(ECHO, nil, { max_response_bytes = 10 }))
      assert(client:get(ECHO))
    end)
  end)

  it("uses tokens, retries and errors as list_users does", function()
    server:configure {}
    local other = helper.client(server)
    assert(other:get(ECHO))
    server:revoke()
    assert(other:get(ECHO))
    assert.equal(2, server:counts().token)
    local busy = { status = 502, headers = { ["Retry-After"] = "0" } }
    server:patch { script = { api = { busy, { fault = "truncate" } } } }
    assert(other:get(ECHO))
    local err = helper.failed("http", other:get(helper.API .. "/none"))
    assert.same({ detail = "Not Found" }, err.detail)
  end)

  it("returns integers exactly, as integers if Lua has them, and other numbers as doubles", function()
    for _, text in ipairs { "9007199254740991", "9007199254740993", "9223372036854775807", "-9223372036854775808" } do
      local value = page(text)
      if math.type then
        assert.equal("integer", math.type(value))
        assert.equal(text, ("%d"):format(value))
      else
        assert.equal(tonumber(text), value)
      end
    end
    assert.equal(9223372036854775808, page("9223372036854775808"))
    assert.equal(cjson.decode("[1e308]")[1], page("1e308"))
    assert.equal(48.20817653000123, page("[48.20817653000123]")[1])
    helper.failed("decode", page("1e309"))
  end)

  it("returns the last of equal keys", function()
    assert.same({ a = { 2 }, b = 0 }, page("{\"a\": {\"c\": 1}, \"b\": 0, \"\\u0061\": [2]}"))
  end)

  it("says where a body is not JSON, and retries only if it is cut short", function()
    for body, words in pairs {
      ["{\"a\" 1}"] = "not JSON: expected a colon at byte 5", ["[1] x"] = "not JSON: text after the value at byte 4",
      ["[\"\255\"]"] = "not JSON: invalid UTF-8 at byte 2", [""] = "empty: the input ended too early at byte 0",
      [("["):rep(600)] = "not JSON: arrays and objects are nested too deeply at byte 512",
    } do
      local err = helper.failed("decode", page(body))
      assert.truthy(err.message:find(words, 1, true), err.message)
      assert.equal(200, err.status)
      assert.equal(1, err.attempts)
      assert.is_false(err.retryable)
    end
    helper.static(server, { paths = { [helper.API .. "/page"] = { body = "[1, 2" } } })
    local err = helper.failed("decode", client:get(helper.API .. "/page", nil, { max_retries = 0 }))
    assert.truthy(err.message:find("cut short: the input ended too early at byte 5", 1, true), err.message)
    assert.is_true(err.retryable)
  end)
end)

describe("client:get", function()
  local server = one_listener()

  setup(server.start)
  teardown(server.stop)
  after_each(server.close)

  --- A client of a server that handles every API request with these acts.
  local function client_of(acts, more)
    return server.client({ good_api = acts }, more)
  end

  it("decodes a body that arrives byte by byte", function()
    local body = "{\"a\": [1.5, null, \"x\\u00e4\195\164\", true], \"b\": {\"c\": {}}, \"d\": -17}"
    local client = client_of { { "send", ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(#body) },
      { "drip", body, 0.001 } }
    assert.same({ a = { 1.5, podero.null, "x\195\164\195\164", true }, b = { c = {} }, d = -17 },
      assert(client:get("/x")))
  end)

  it("fails before the end of a body that is not JSON has arrived", function()
    local client = client_of { { "send", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<html>" }, { "stall" } }
    local seconds, value, err = helper.timed(client.get, client, "/x")
    helper.failed("decode", value, err)
    assert.is_true(seconds < 1, seconds)
  end)

  it("decodes from the beginning after a retry", function()
    local half = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"a\": [1, {\"b\": \"x"
    local client = client_of({ { "respond", 200, {}, "{\"c\": [2]}" } }, { max_retries = 1 })
    server.listener:set { api = { { { "send", half }, { "close" } } } }
    assert.same({ c = { 2 } }, assert(client:get("/x")))
    assert.equal(2, #server.listener:received())
  end)

  it("returns at most 16 MiB unless the client's options or opts say otherwise", function()
    local mib = 1024 * 1024
    local client = client_of { { "packed", "[]", " ", 16 * mib - 2 } }
    assert.same({}, assert(client:get("/x")))
    server.listener:set { good_api = { { "packed", "[]", " ", 16 * mib - 1 } } }
    local err = helper.failed("too_large", client:get("/x"))
    assert.truthy(err.message:find("max_response_bytes", 1, true), err.message)
    assert.same({}, assert(client:get("/x", nil, { max_response_bytes = 17 * mib })))
    local function get_with(limit)
      return helper.client(server.listener, { access_token = "x", max_response_bytes = limit }):get("/x")
    end
    assert.same({}, assert(get_with(17 * mib)))
    helper.failed("too_large", get_with(mib))
  end)

  --- Makes a call with a timeout of 2 s in a new process. Prints its seconds, the process's peak memory in MB, the
  -- outcome, and the process's seconds of CPU time.
  local PROGRAM = [[
    local podero, socket = require "podero", require "socket"
    local client = podero.new { base_url = %q, access_token = "static", proxy = "", timeout = 2, max_retries = 0 }
    local start = socket.gettime()
    local value, err = %s
    local seconds = socket.gettime() - start
    local status = io.open("/proc/self/status"):read("*a")
    print(("%%.3f %%.0f %%s %%.3f"):format(seconds, status:match("VmHWM:%%s*(%%d+)") / 1024,
      value and "value" or err.kind, os.clock()))]]

  local function measured(call)
    local output = helper.run(PROGRAM:format(server.listener.url, call))
    local seconds, megabytes, outcome, cpu = output:match("^([%d.]+) (%d+) ([%w_]+) ([%d.]+)")
    assert(seconds, output)
    return tonumber(seconds), tonumber(megabytes), outcome, tonumber(cpu)
  end

  it("ends in time and in little memory if few bytes decompress to very many values", function()
    client_of { { "packed", "[", "[],", 200 * 1024 * 1024 / 3 } }
    local call = "client:get('/x', { timeout = 30 })" -- however busy the machine
    local _, megabytes, outcome, seconds = measured(call)
    assert.equal("too_large", outcome)
    if helper.CHECKED then return end
    assert.is_true(seconds < 2.5, seconds)
    assert.is_true(megabytes < 100, megabytes)
    -- Fewer bytes than the limit, but too many values.
    server.listener:set { good_api = { { "packed", "[0", ",1.5", 1048600 } } }
    _, megabytes, outcome, seconds = measured(call)
    assert.equal("too_large", outcome)
    assert.is_true(seconds < 2.5, seconds)
    assert.is_true(megabytes < 100, megabytes)
  end)

  -- On Lua 5.1 to 5.3, decoding all of it would take a minute.
  for name, shape in pairs {
    ["client:get('/x')"] = { "", "" },
    [("client:list_users('%s')"):format(helper.ORG)] = { "[{\"x\":", "}]" },
    [("(function() return select(2, pcall(function() for _ in client:each_user('%s') do end end)) end)()"):format(
      helper.ORG)] = { "[{\"x\":", "}]" },
  } do
    it("ends in time even if the keys collide in Lua's table of strings: " .. name, function()
      if helper.CHECKED then return pending("a checked build is slow") end
      client_of { { "colliding", shape[1], 120000, shape[2] } }
      local seconds = measured(name)
      assert.is_true(seconds < 2.5, seconds)
    end)
  end
end)
