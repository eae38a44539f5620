local cjson = require "cjson"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local podero = require "podero"
local users = require "spec.support.mock.users"

local ORG = helper.ORG

-- A user with the required fields only, whose values can be replaced or left out (false).
local REQUIRED = {
  id = "\"9e3779b1-24f4-4062-82f8-000000707053\"", organization_id = "\"" .. ORG .. "\"", role = "\"user\"",
  email = "\"ada@example.com\"", num_inverters = "1", num_heat_pumps = "0", num_electric_vehicles = "2",
  num_wallboxes = "1",
}

local function user_json(changes)
  local members, all = {}, {}
  for name, value in pairs(REQUIRED) do all[name] = value end
  for name, value in pairs(changes or {}) do all[name] = value end
  for name, value in pairs(all) do
    if value then members[#members + 1] = ("%s: %s"):format(cjson.encode(name), value) end
  end
  return "{" .. table.concat(members, ", ") .. "}"
end

describe("list_users", function()
  local server

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(function() helper.close_clients() end)

  --- Lists the users of a server that sends this text.
  local function list(raw, options)
    helper.static(server, { organizations = { [ORG] = { raw = raw } } })
    options = options or {}
    options.access_token = "static"
    return helper.client(server, options):list_users(ORG)
  end

  --- The second of three users, changed.
  local function list_changed(changes, options)
    local result, err = list(("[%s, %s, %s]"):format(user_json(), user_json(changes), user_json()), options)
    return result and result[2], err
  end

  it("returns an array of users with the fields of the schema", function()
    server:configure { organizations = { [ORG] = { users = 1, seed = 4 } } }
    local list_of_one = assert(helper.client(server):list_users(ORG))
    assert.equal(1, #list_of_one)
    local user = list_of_one[1]
    for _, name in ipairs(users.FIELDS) do assert.is_not_nil(user[name], name) end
    assert.equal("Anna", user.first_name)
    assert.equal(podero.Role.ADMIN, user.role)
    assert.equal(ORG, user.organization_id)
    local request = helper.last(server, "api")
    assert.equal("GET", request.method)
    assert.equal(helper.users_path(), request.uri)
    assert.equal("application/json", request.headers.accept)
  end)

  it("returns every user as another decoder reads it, without nulls", function()
    for seed = 1, 5 do
      server:configure { organizations = { [ORG] = { users = 700, seed = seed } } }
      local expected = helper.oracle(users.list_json(seed, 700, false))
      local actual = assert(helper.client(server):list_users(ORG))
      assert.is_nil(helper.difference(expected, actual))
    end
  end)

  it("returns no key for a nullable field that is null or absent", function()
    server:configure { organizations = { [ORG] = { users = 3, seed = 1 } } }
    local three = assert(helper.client(server):list_users(ORG))
    local names = {}
    for name in pairs(REQUIRED) do names[name] = true end
    for i = 2, 3 do
      for name, value in pairs(three[i]) do
        assert.is_true(names[name], name)
        assert.are_not.equal(podero.null, value)
      end
      for name in pairs(names) do assert.is_not_nil(three[i][name]) end
    end
  end)

  it("returns num_* as integers and coordinates as floats", function()
    local user = assert(list_changed { latitude = "48", longitude = "-9", num_inverters = "3.0", num_wallboxes = "2e1",
      num_heat_pumps = "-0" })
    assert.equal(48, user.latitude)
    assert.equal(-9, user.longitude)
    assert.equal(3, user.num_inverters)
    assert.equal(20, user.num_wallboxes)
    assert.equal("0", ("%d"):format(user.num_heat_pumps))
    if math.type then
      for _, name in ipairs { "num_inverters", "num_heat_pumps", "num_electric_vehicles", "num_wallboxes" } do
        assert.equal("integer", math.type(user[name]), name)
        assert.is_nil(tostring(user[name]):find(".", 1, true))
      end
      assert.equal("float", math.type(user.latitude))
      assert.equal("float", math.type(user.longitude))
      assert.equal("48.0", tostring(user.latitude))
    end
  end)

  it("keeps Unicode and escapes", function()
    local user = assert(list_changed {
      first_name = [["\"\\\/\b\f\n\r\t\u00fc\ud83d\ude00"]], last_name = "\"Übleis 😀\"", town = [["a\u0000b"]],
      street_and_number = "\"\"",
    })
    assert.equal("\"\\/\b\f\n\r\tü😀", user.first_name)
    assert.equal("Übleis 😀", user.last_name)
    assert.equal("a\0b", user.town)
    assert.equal("", user.street_and_number)
  end)

  it("keeps keys that the schema lacks, without null in objects", function()
    local user = assert(list_changed {
      country_iso2 = "\"AT\"", empty = "\"\"", off = "false", number = "7.5", none = "null",
      nested = [[{"a": null, "b": {"c": null, "d": {"e": null, "f": "x"}}, "g": [{"h": null, "i": 1}, "last"]}]],
      list = "[1, \"two\", true, [3, [4]]]", [""] = "\"nameless\"", ["ü \n"] = "1",
    })
    assert.equal("AT", user.country_iso2)
    assert.equal("", user.empty)
    assert.is_false(user.off)
    assert.equal(7.5, user.number)
    assert.is_nil(user.none)
    assert.same({ b = { d = { f = "x" } }, g = { { i = 1 }, "last" } }, user.nested)
    assert.same({ 1, "two", true, { 3, { 4 } } }, user.list)
    assert.equal("nameless", user[""])
    assert.equal(1, user["ü \n"])
  end)

  it("keeps the positions of elements after a null in an array", function()
    local user = assert(list_changed { list = "[null, 1, null, [null, 2]]" })
    assert.equal(1, user.list[2])
    assert.equal(2, user.list[4][2])
  end)

  it("keeps a role that the schema lacks", function()
    assert.equal("installer", assert(list_changed { role = "\"installer\"" }).role)
    assert.equal("", assert(list_changed { role = "\"\"" }).role)
  end)

  it("checks only types, not the content of strings", function()
    local user = assert(list_changed { id = "\"no uuid\"", last_login = "\"yesterday\"", email = "\"?\"" })
    assert.equal("no uuid", user.id)
    assert.equal("yesterday", user.last_login)
    assert.equal("?", user.email)
  end)

  it("returns an empty table for an empty list", function()
    for _, raw in ipairs { "[]", " [ ]\r\n", "\t[\n\n]" } do assert.same({}, list(raw)) end
    server:configure { default_users = 0 }
    assert.same({}, helper.client(server):list_users(ORG))
  end)

  describe("with include_deleted", function()
    it("requests deleted users, and returns them, too", function()
      server:configure { organizations = { [ORG] = { users = 90, seed = 3 } } }
      local client = helper.client(server)
      local all = assert(client:list_users(ORG, { include_deleted = true }))
      assert.equal(helper.users_path() .. "?include_deleted=true", helper.last(server, "api").uri)
      assert.equal(100, #all)
      assert.is_nil(helper.difference(helper.oracle(users.list_json(3, 90, true)), all))
    end)

    it("false or absent does not", function()
      server:configure { organizations = { [ORG] = { users = 90, seed = 3 } } }
      local client = helper.client(server)
      for _, opts in ipairs { {}, { include_deleted = false } } do
        assert.equal(90, #assert(client:list_users(ORG, opts)))
        assert.is_nil(helper.last(server, "api").uri:find("true", 1, true))
      end
      assert.equal(90, #assert(client:list_users(ORG, nil)))
    end)
  end)

  describe("of an organization", function()
    it("accepts a UUID in upper or lower case", function()
      local client = helper.client(server)
      for _, id in ipairs { helper.OTHER_ORG, helper.OTHER_ORG:upper() } do
        local result = assert(client:list_users(id))
        assert.equal(25, #result)
        assert.equal(helper.OTHER_ORG, result[1].organization_id)
      end
    end)

    it("returns an error for a string that is not a UUID, and sends nothing", function()
      local client = helper.client(server)
      for _, id in ipairs {
        "", "x", ORG:sub(1, 35), ORG .. "0", " " .. ORG, ORG .. " ", ORG:gsub("%-", "/"), ORG:gsub("^.", "g"),
        ORG:gsub("%-", ""), "{" .. ORG .. "}", "urn:uuid:" .. ORG, ORG .. "\0", ORG:gsub("^.", "\0"), ORG .. "/../x",
        ORG:gsub("^..", "%%30"), ORG:gsub("^.", "\n"), ORG .. "?a=b", "../../../../etc/passwd", ("-"):rep(36),
        ORG:gsub("^..", "é"), ("a"):rep(100000),
      } do
        local err = helper.failed("argument", client:list_users(id))
        assert.truthy(err.message:find("UUID", 1, true), err.message)
        assert.equal(0, err.attempts)
        assert.is_false(err.retryable)
        assert.is_nil(err.status)
      end
      assert.equal(0, #server:requests())
    end)

    it("raises an error if the id is not a string", function()
      local client = helper.client(server)
      for _, id in ipairs { 42, true, {}, print } do
        helper.raises({ "list_users", "string", type(id) }, client.list_users, client, id)
      end
      helper.raises({ "list_users", "string" }, client.list_users, client)
      helper.raises("list_users", client.list_users)
      helper.raises("list_users", client.list_users, {}, ORG)
      helper.raises("list_users", client.list_users, io.stdout, ORG)
      helper.raises("list_users", client.list_users, ORG)
    end)
  end)

  describe("checks users against the schema:", function()
    local VALUES = { string = "\"text\"", number = "1.5", boolean = "true", array = "[1]", object = "{\"a\": 1}" }
    local EXPECTED = {
      is_onboarded = "boolean", latitude = "number", longitude = "number", num_inverters = "integer",
      num_heat_pumps = "integer", num_electric_vehicles = "integer", num_wallboxes = "integer",
    }

    for _, name in ipairs(users.FIELDS) do
      local expected = EXPECTED[name] or "string"

      it(name .. " must be of type " .. expected, function()
        for got, value in pairs(VALUES) do
          if expected == "string" and got == "number" then
            assert.equal(value, assert(list_changed { [name] = value })[name])
          elseif got ~= expected then
            local err = helper.failed("schema", list_changed { [name] = value })
            assert.truthy(err.message:find(("[2].%s: expected %s, got %s"):format(name, expected, got), 1, true),
              err.message)
            assert.equal(200, err.status)
            assert.equal(1, err.attempts)
            assert.is_false(err.retryable)
          end
        end
        local err = select(2, list_changed { [name] = "[]" })
        assert.truthy(err.message:find(("[2].%s: expected %s, got "):format(name, expected), 1, true), err.message)
      end)

      if REQUIRED[name] then
        it(name .. " must be present, and not null", function()
          local err = helper.failed("schema", list_changed { [name] = false })
          assert.truthy(err.message:find("[2]." .. name .. ":", 1, true), err.message)
          err = helper.failed("schema", list_changed { [name] = "null" })
          assert.truthy(err.message:find(("[2].%s: expected %s, got null"):format(name, expected), 1, true),
            err.message)
        end)
      else
        it(name .. " may be null", function()
          local user = assert(list_changed { [name] = "null" })
          assert.is_nil(user[name])
        end)
      end
    end

    it("the error gives the position of the user", function()
      local parts = {}
      for i = 1, 1000 do parts[i] = user_json(i == 777 and { email = "[]" } or {}) end
      local err = helper.failed("schema", list("[" .. table.concat(parts, ",") .. "]"))
      assert.truthy(err.message:find("[777].email: expected string, got array", 1, true), err.message)
      assert.equal(1, server:counts().api)
    end)

    it("an element must be an object", function()
      for got, value in pairs { number = "1", string = "\"x\"", boolean = "true", null = "null", array = "[1]" } do
        local err = helper.failed("schema", list(("[%s, %s]"):format(user_json(), value)))
        assert.truthy(err.message:find("[2]: expected object, got " .. got, 1, true), err.message)
      end
    end)

    it("the list must be an array", function()
      for got, value in pairs { object = "{\"detail\": \"x\"}", string = "\"x\"", number = "7", boolean = "false",
        null = "null" } do
        local err = helper.failed("schema", list(value))
        assert.truthy(err.message:find("array", 1, true), err.message)
        assert.truthy(err.message:find("got " .. got, 1, true), err.message)
        helper.failed("schema", list(value, { validate = false }))
      end
      helper.failed("schema", list("{}"))
    end)

    it("a number that is too large for a double is refused", function()
      for _, number in ipairs { "1e400", "-1e400" } do
        local result, err = list_changed { latitude = number }
        assert.is_nil(result)
        assert.is_true(err.kind == "schema" or err.kind == "decode", err.kind)
        helper.failed(err.kind, list_changed { num_inverters = number })
      end
    end)
  end)

  describe("with validate = false", function()
    it("returns such values unchanged", function()
      local user = assert(list_changed({
        id = false, email = "5", role = "null", num_inverters = "\"3\"", num_wallboxes = "1.5", latitude = "\"48.2\"",
        zip_code = "1010", first_name = "[\"a\", \"b\"]", town = "{\"name\": \"Wien\", \"code\": null}",
        is_onboarded = "0", num_heat_pumps = "true", longitude = "16",
      }, { validate = false }))
      assert.is_nil(user.id)
      assert.equal(5, user.email)
      assert.is_nil(user.role)
      assert.equal("3", user.num_inverters)
      assert.equal(1.5, user.num_wallboxes)
      assert.equal("48.2", user.latitude)
      assert.equal(1010, user.zip_code)
      assert.same({ "a", "b" }, user.first_name)
      assert.same({ name = "Wien" }, user.town)
      assert.equal(0, user.is_onboarded)
      assert.is_true(user.num_heat_pumps)
      assert.equal(2, user.num_electric_vehicles)
      if math.type then
        assert.equal("integer", math.type(user.num_electric_vehicles))
        assert.equal("float", math.type(user.longitude))
      end
    end)

    it("returns the same users if all are valid", function()
      server:configure { organizations = { [ORG] = { users = 300, seed = 2 } } }
      local actual = assert(helper.client(server, { validate = false }):list_users(ORG))
      assert.is_nil(helper.difference(helper.oracle(users.list_json(2, 300, false)), actual))
    end)
  end)

  describe("returns 10,000 users completely", function()
    local text, expected

    setup(function()
      text = users.list_json(9, 10000, false)
      expected = helper.oracle(text)
    end)
    teardown(function() text, expected = nil, nil end)

    local function check(client, more)
      local settings = { organizations = { [ORG] = { users = 10000, seed = 9 } } }
      for name, value in pairs(more or {}) do settings[name] = value end
      server:configure(settings)
      local actual = assert(client:list_users(ORG))
      assert.equal(10000, #actual)
      assert.is_nil(helper.difference(expected, actual))
      return helper.last(server, "api")
    end

    it("over plain HTTP, chunked or with Content-Length", function()
      assert.is_true(#text > 5e6)
      local request = check(helper.client(server))
      assert.equal("http", request.scheme)
      assert.equal("HTTP/1.1", request.protocol)
      assert.is_true(request.bytes > #text)
      check(helper.client(server), { content_length = true })
    end)

    it("compressed with gzip", function()
      local request = check(helper.client(server), { gzip = true })
      assert.truthy(request.headers["accept-encoding"]:find("gzip", 1, true))
      assert.is_true(request.bytes < #text / 2)
    end)

    it("over TLS and HTTP/2, compressed or not", function()
      local request = check(helper.tls_client(server))
      assert.equal("https", request.scheme)
      assert.equal("HTTP/2.0", request.protocol)
      request = check(helper.tls_client(server), { gzip = true })
      assert.is_true(request.bytes < #text / 2)
    end)
  end)
end)
