local cjson = require "cjson"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local podero = require "podero"

describe("the module", function()
  it("has its version and the URLs of the two environments", function()
    assert.equal("podero 0.2.0", podero._VERSION)
    assert.equal("https://app.podero.com", podero.PRODUCTION)
    assert.equal("https://sandbox-app.podero.com", podero.SANDBOX)
  end)

  it("has exactly the names of the contract", function()
    local names = {}
    for name in pairs(podero) do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "PRODUCTION", "Role", "SANDBOX", "_VERSION", "is_error", "new", "null", "time", "waits" }, names)
  end)

  it("is one shared object that needs no Lua file", function()
    local text, code = helper.run("package.path = '' print(require('podero')._VERSION)")
    assert.equal("podero 0.2.0\n", text)
    assert.equal(0, code)
  end)

  it("exports the functions that open podero and podero.mock, and nothing else", function()
    local text, code = helper.shell("nm -D --defined-only " .. helper.quoted(helper.module_file()))
    assert.equal(0, code, text)
    local exported = {}
    for kind, name in text:gmatch("%x+ (%a) (%S+)") do exported[#exported + 1] = kind .. " " .. name end
    assert.same({ "T luaopen_podero", "T luaopen_podero_mock" }, exported)
  end)

  it("is built with stack protection and read-only relocations", function()
    local file = helper.quoted(helper.module_file())
    local text, code = helper.shell("nm -D --undefined-only " .. file .. " && readelf -dlW " .. file)
    assert.equal(0, code, text)
    for _, sign in ipairs { "__stack_chk_fail", "GNU_RELRO", "BIND_NOW" } do
      assert.truthy(text:find(sign, 1, true), sign)
    end
  end)

  it("creates no globals", function()
    local text = helper.run([[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      local podero = require "podero"
      podero.new { access_token = "abcd" }:close()
      for name in pairs(_G) do
        if not before[name] and name ~= "before" then print(name) end
      end
      print("end")
    ]])
    assert.equal("end\n", text)
  end)

  it("can be loaded twice", function()
    local text = helper.run([[
      local first = require "podero"
      package.loaded.podero = nil
      local second = require "podero"
      local a, b = first.new { access_token = "abcd" }, second.new { access_token = "abcd" }
      b:close()
      a:close()
      print(first ~= second, first._VERSION == second._VERSION)
    ]])
    assert.equal("true\ttrue\n", text)
  end)

  it("has cjson.null as podero.null", function()
    assert.equal(cjson.null, podero.null)
  end)

  it("works without the global pcall", function()
    local output = helper.run(([[
      pcall = nil
      local podero = require "podero"
      local client = podero.new { base_url = "http://127.0.0.1:%d", access_token = "x", proxy = "", max_retries = 0 }
      local org = "016b78a7-0c7c-4241-a277-015c3ad3cb90"
      local results, errors = client:list_users_of { org }
      print(next(results), errors[org].kind)
    ]]):format(helper.closed_port()))
    assert.equal("nil\tnetwork", output:match("^[^\n]*"))
  end)
end)

describe("podero.is_error", function()
  local _, err = podero.new {}

  it("returns true for the module's errors, wherever they come from", function()
    assert.is_true(podero.is_error(err))
    local client = podero.new { access_token = "x" }
    assert.is_true(podero.is_error(select(2, client:list_users("no UUID"))))
    local _, raised = pcall(client.each_user, client, "no UUID")
    assert.is_true(podero.is_error(raised))
    local id = "no UUID"
    assert.is_true(podero.is_error(select(2, client:list_users_of { id })[id]))
    client:close()
    assert.is_true(podero.is_error(select(2, client:token())))
  end)

  it("returns false for anything else", function()
    local client = podero.new { access_token = "x" }
    local looks_alike = setmetatable({ kind = "auth", message = "x", attempts = 0, retryable = false },
      { __name = "podero.error", __tostring = function() return tostring(err) end })
    for _, value in ipairs { "x", 1, true, false, {}, print, tostring(err), client, podero, podero.null, looks_alike,
      coroutine.create(function() end) } do
      assert.is_false(podero.is_error(value))
    end
    assert.is_false(podero.is_error(nil))
    assert.is_false(podero.is_error())
    client:close()
  end)
end)

describe("in nginx, which prints only strings,", function()
  --- The output of a program with this global ngx.
  local function run(ngx)
    return (helper.run(("ngx = %s local _, err = require('podero').new {} print('returned', err)"):format(ngx)))
  end

  it("podero.new names the directives that pass on credentials from the environment if there are none", function()
    local nginx = "{ get_phase = function() return 'init' end }"
    assert.truthy(run(nginx):find(" env PODERO_CLIENT_ID; env PODERO_CLIENT_SECRET;", 1, true))
    assert.is_nil(run("{}"):find("nginx", 1, true))
    local program = ("ngx = %s print(require('podero').new())"):format(nginx)
    local output = helper.run(program, { PODERO_CLIENT_ID = "x" })
    assert.truthy(output:find("PODERO_CLIENT_ID is set without PODERO_CLIENT_SECRET; nginx", 1, true), output)
    output = helper.run(("ngx = %s print(require('podero').new { client_id = 'x' })"):format(nginx))
    assert.is_nil(output:find("nginx", 1, true), output)
  end)

  it("podero.new logs the error that it returns", function()
    local line = "podero: argument: no credentials[^\n]*\n"
    local output = run "{ ERR = 4, log = function(...) print('logged', ...) end }"
    assert.truthy(output:find("^logged\t4\t" .. line .. "returned\t" .. line .. "$"), output)
    for _, broken in ipairs { "{}", "5", "{ ERR = 4, log = error }", "{ log = 5 }" } do
      output = run(broken)
      assert.truthy(output:find("^returned\t" .. line .. "$"), output)
    end
  end)
end)

describe("an error", function()
  local _, err = podero.new { access_token = "a b" }
  local line = tostring(err)

  it("can be concatenated with strings, numbers and other errors", function()
    assert.equal("text: " .. line, "text: " .. err)
    assert.equal(line .. " (text)", err .. " (text)")
    assert.equal("1. " .. line .. ".", "1. " .. err .. ".")
    assert.equal(line .. "5", err .. 5)
    assert.equal("5" .. line, 5 .. err)
    assert.equal(line .. line, err .. err)
    assert.equal("\0" .. line, "\0" .. err)
  end)

  it("cannot be concatenated with other values, which raises an error as Lua does", function()
    for _, value in ipairs { {}, print, true } do
      helper.raises({ "concatenate", type(value) }, function() return value .. err end)
      helper.raises({ "concatenate", type(value) }, function() return err .. value end)
    end
    helper.raises({ "concatenate", "nil" }, function() return err .. nil end)
  end)

  it("leaves concatenation to the first operand if that has a __concat", function()
    local other = setmetatable({}, { __concat = function() return "other" end })
    assert.equal("other", other .. err)
  end)
end)

describe("podero.Role", function()
  it("has the roles of the schema as strings", function()
    assert.equal("admin", podero.Role.ADMIN)
    assert.equal("staff", podero.Role.STAFF)
    assert.equal("user", podero.Role.USER)
    assert.equal("guest", podero.Role.GUEST)
  end)

  it("raises an error if it is written to", function()
    helper.raises("Role", function() podero.Role.ADMIN = "root" end)
    helper.raises("Role", function() podero.Role.OWNER = "owner" end)
    helper.raises("Role", function() podero.Role.GUEST = nil end)
    assert.equal("admin", podero.Role.ADMIN)
    assert.equal("guest", podero.Role.GUEST)
  end)

  it("raises an error that names the key if another key is read", function()
    helper.raises("OWNER", function() return podero.Role.OWNER end)
    helper.raises("admin", function() return podero.Role.admin end)
    helper.raises("Role", function() return podero.Role[1] end)
  end)

  it("hides its metatable", function()
    assert.is_not_table(getmetatable(podero.Role))
    assert.has_error(function() setmetatable(podero.Role, {}) end)
  end)

  local has_pairs = false
  pairs(setmetatable({}, { __pairs = function() has_pairs = true end }))
  if has_pairs then
    it("can be traversed with pairs", function()
      local seen = {}
      for name, role in pairs(podero.Role) do seen[name] = role end
      assert.same({ ADMIN = "admin", STAFF = "staff", USER = "user", GUEST = "guest" }, seen)
    end)
  end
end)

describe("podero.time", function()
  local function is_integer(value)
    return not math.type or math.type(value) == "integer"
  end

  it("returns the seconds since 1970 as an integer if there is no fraction", function()
    for text, seconds in pairs {
      ["1970-01-01T00:00:00Z"] = 0,
      ["1969-12-31T23:59:59Z"] = -1,
      ["2001-09-09T01:46:40Z"] = 1000000000,
      ["2038-01-19T03:14:08Z"] = 2147483648,
      ["0001-01-01T00:00:00Z"] = -62135596800,
      ["0000-01-01T00:00:00Z"] = -62167219200,
      ["9999-12-31T23:59:59Z"] = 253402300799,
      ["1970-01-01t00:00:00z"] = 0,
    } do
      assert.equal(seconds, podero.time(text), text)
      assert.is_true(is_integer(podero.time(text)), text)
    end
  end)

  it("accepts offsets from UTC", function()
    assert.equal(851042397, podero.time("1996-12-19T16:39:57-08:00"))
    assert.equal(851042397, podero.time("1996-12-20T00:39:57+00:00"))
    assert.equal(851042397, podero.time("1996-12-20T00:39:57-00:00"))
    assert.equal(851042397, podero.time("1996-12-20T06:24:57+05:45"))
    assert.equal(-86340, podero.time("1970-01-01T00:00:00+23:59"))
    assert.equal(86340, podero.time("1970-01-01T00:00:00-23:59"))
  end)

  it("returns a float if there is a fraction", function()
    for text, seconds in pairs {
      ["1985-04-12T23:20:50.52Z"] = 482196050.52,
      ["1937-01-01T12:00:27.87+00:20"] = -1041337172.13,
      ["1970-01-01T00:00:00.5Z"] = 0.5,
      ["1969-12-31T23:59:59.75Z"] = -0.25,
      ["2024-05-06T07:08:09.123456Z"] = 1714979289.123456,
      ["1970-01-01T00:00:01." .. ("3"):rep(40) .. "Z"] = 4 / 3,
    } do
      assert.is_true(math.abs(seconds - podero.time(text)) < 1e-6, text)
    end
    assert.equal(7, podero.time("1970-01-01T00:00:07.0Z"))
    if math.type then assert.equal("float", math.type(podero.time("1970-01-01T00:00:07.000Z"))) end
  end)

  it("accepts February 29 in leap years only", function()
    assert.equal(951782400, podero.time("2000-02-29T00:00:00Z"))
    assert.equal(1709208000, podero.time("2024-02-29T12:00:00Z"))
    assert.equal(1709251200, podero.time("2024-03-01T00:00:00Z"))
    for _, year in ipairs { "1900", "2023", "2100" } do
      assert.is_nil((podero.time(year .. "-02-29T00:00:00Z")), year)
    end
  end)

  it("accepts a leap second where one can be, as the following second", function()
    assert.equal(1483228800, podero.time("2016-12-31T23:59:60Z"))
    assert.equal(662688000, podero.time("1990-12-31T15:59:60-08:00"))
    assert.equal(1483228800.5, podero.time("2016-12-31T23:59:60.5Z"))
    assert.is_nil((podero.time("2016-12-31T23:59:61Z")))
    assert.is_nil((podero.time("2016-12-31T12:30:60Z")))
  end)

  it("agrees with os.date", function()
    local moment = 0
    for _ = 1, 3000 do
      moment = (moment * 16807 + 12345) % 2147483647
      assert.equal(moment, podero.time(os.date("!%Y-%m-%dT%H:%M:%SZ", moment)))
    end
  end)

  it("returns nil and a message for a string that is not an RFC 3339 date-time", function()
    for _, text in ipairs {
      "", " ", "now", "2024", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01T00:00Z", "2024-13-01T00:00:00Z",
      "2024-00-01T00:00:00Z", "2024-01-00T00:00:00Z", "2024-01-32T00:00:00Z", "2024-04-31T00:00:00Z",
      "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:99Z", "2024-01-01T00:00:00.Z",
      "2024-01-01T00:00:00,5Z", "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+01:60", "2024-01-01T00:00:00+0100",
      "2024-01-01T00:00:00+01", "2024-01-01T00:00:00ZZ", " 2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z ",
      "2024-01-01T00:00:00Z\n", "2024-01-01T00:00:00Z\0", "2024-01-01\0T00:00:00Z", "+024-01-01T00:00:00Z",
      "-001-01-01T00:00:00Z", "12024-01-01T00:00:00Z", "24-01-01T00:00:00Z", "2024-1-1T0:0:0Z",
      "2024/01/01T00:00:00Z",
      "2024-01-01_00:00:00Z", "2024-01-01T-1:00:00Z", "2024-01-01T00:00:00 Z", "٢٠٢٤-01-01T00:00:00Z",
      ("9"):rep(100000),
    } do
      local result, message = podero.time(text)
      assert.is_nil(result, text)
      assert.is_string(message)
      assert.is_nil(message:find("%c"))
    end
  end)

  it("raises an error for a value that is not a string", function()
    for _, value in ipairs { 0, 1.5, true, {}, print } do
      helper.raises({ "time", "string", type(value) }, podero.time, value)
    end
    helper.raises("string", podero.time)
    helper.raises("string", podero.time, nil)
  end)
end)

describe("the module's JSON decoder", function()
  local server

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(function() helper.close_clients() end)

  it("is independent of cjson's settings", function()
    helper.static(server, { paths = { [helper.API .. "/deep"] = { body = "[[[[[[1e3, [true]]]]]]]" } } })
    local client = helper.client(server, { access_token = "static" })
    local depth, invalid = cjson.decode_max_depth(), cjson.decode_invalid_numbers()
    finally(function()
      cjson.decode_max_depth(depth)
      cjson.decode_invalid_numbers(invalid)
    end)
    cjson.decode_max_depth(2)
    cjson.decode_invalid_numbers(true)
    assert.has_error(function() cjson.decode("[[[1]]]") end)
    local value = assert(client:get(helper.API .. "/deep"))
    assert.equal(1000, value[1][1][1][1][1][1])
    server:patch { paths = { [helper.API .. "/deep"] = { body = "[NaN]" } } }
    helper.failed("decode", client:get(helper.API .. "/deep"))
  end)

  it("does not change cjson's settings", function()
    local text = helper.run([[
      local cjson = require "cjson"
      local before = { cjson.decode_max_depth(), tostring(cjson.decode_invalid_numbers()) }
      require "podero"
      print(before[1] == cjson.decode_max_depth(), before[2] == tostring(cjson.decode_invalid_numbers()))
      print(cjson.decode("[nan]")[1] ~= cjson.decode("[nan]")[1])
    ]])
    assert.equal("true\ttrue\ntrue\n", text)
  end)

  it("refuses NaN, Infinity and hexadecimal numbers", function()
    for _, number in ipairs { "NaN", "nan", "-NaN", "Infinity", "-Infinity", "inf", "0x10", "-0x1p3" } do
      helper.static(server, { paths = { [helper.API .. "/number"] = { body = "{\"a\": " .. number .. "}" } } })
      local client = helper.client(server, { access_token = "static" })
      local err = helper.failed("decode", client:get(helper.API .. "/number"))
      assert.equal(200, err.status)
    end
  end)
end)
