-- Parts of a list: the options fields, role, search, where, limit and on_invalid, and find_user.
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local podero = require "podero"
local users = require "spec.support.mock.users"

local ORG, OTHER = helper.ORG, helper.OTHER_ORG

local server
setup(function() server = mock.start() end)
teardown(function() server:stop() end)
before_each(function() server:reset() end)
after_each(function() helper.close_clients() end)

-- The JSON of a user; `changes` maps fields to other JSON.
local function user_json(changes, extra)
  local values = { id = '"9e3779b1-24f4-4062-82f8-000000707053"', organization_id = '"' .. ORG .. '"',
    role = '"user"', email = '"ada@example.com"', num_inverters = "1", num_heat_pumps = "0",
    num_electric_vehicles = "2", num_wallboxes = "1" }
  for name, value in pairs(changes) do values[name] = value end
  local members = { extra }
  for name, value in pairs(values) do members[#members + 1] = ('"%s": %s'):format(name, value) end
  return "{" .. table.concat(members, ", ") .. "}"
end

-- A client of a server whose list has these users, given as JSON.
local function client_of(list, options)
  server:configure { organizations = { [ORG] = { raw = "[" .. table.concat(list, ",") .. "]" } } }
  return helper.client(server, options)
end

local function emails(list)
  local result = {}
  for i, user in ipairs(list) do result[i] = user.email end
  return table.concat(result, " ")
end

-- For each method, a function that returns its users.
local METHODS = {
  list_users = function(client, opts) return assert(client:list_users(ORG, opts)) end,
  each_user = function(client, opts)
    local list = {}
    for user in client:each_user(ORG, opts) do list[#list + 1] = user end
    return list
  end,
  list_users_of = function(client, opts)
    local results, errors = client:list_users_of({ ORG }, opts)
    return assert(results[ORG], tostring(errors[ORG]))
  end,
}

local LIST = {
  user_json { email = '"a@x.at"', role = '"admin"', first_name = '"Zo\195\139"', last_name = '"M\195\156LLER"',
    external_user_id = '"C-1"', zip_code = "1010", town = "null", latitude = "48", num_inverters = "2.0" },
  user_json({ email = '"b@x.at"', role = '"staff"', first_name = "null", last_name = '"\206\163\206\145\206\163"',
    external_user_id = "null", zip_code = '"1010"', town = '"Wien"', latitude = "48.5", is_onboarded = "true" },
    '"country_iso2": "AT", "tags": ["x", null, {"y": 1, "z": null}]'),
  user_json({ email = '"c@x.at"', role = '"owner"', first_name = '"Anna"', last_name = '"Berg"',
    external_user_id = '"4711"', zip_code = '"020"', town = '"Linz"', is_onboarded = "false" },
    '"country_iso2": null, "n": 9007199254740993'),
}

for name, list_of in pairs(METHODS) do
  describe(name .. " delivers", function()
    local function found(opts, options) return emails(list_of(client_of(LIST, options), opts)) end

    it("only the keys in fields, whether the schema has them or not", function()
      local list = list_of(client_of(LIST), { fields = { "email", "tags", "zip_code", "email", "absent" } })
      assert.same({ email = "a@x.at", zip_code = "1010" }, list[1])
      assert.same({ email = "b@x.at", zip_code = "1010", tags = { "x", podero.null, { y = 1 } } }, list[2])
      assert.same({ email = "c@x.at", zip_code = "020" }, list[3])
    end)

    it("users with a role, or with one of several", function()
      assert.equal("a@x.at", found { role = "admin" })
      assert.equal("a@x.at b@x.at", found { role = { "staff", "admin" } })
      assert.equal("", found { role = podero.Role.GUEST })
    end)

    it("users whose name, e-mail or external_user_id contains a text, ignoring case", function()
      assert.equal("a@x.at", found { search = "zo\195\171 m\195\188" })
      assert.equal("a@x.at", found { search = "c-1" })
      assert.equal("b@x.at", found { search = "\207\131\206\177\207\130" }) -- final sigma
      assert.equal("c@x.at", found { search = "anna berg" })
      assert.equal("a@x.at b@x.at c@x.at", found { search = "@X." })
      assert.equal("a@x.at b@x.at c@x.at", found { search = "" })
    end)

    it("no users without the accents of the text, or with the text in another field only", function()
      assert.equal("", found { search = "zoe" })
      assert.equal("", found { search = "wien" })
      assert.equal("", found { search = "a@x.at c-1" })
      assert.equal("", found { search = "a@x.at\255c-1" })
    end)

    it("users whose fields have the values of where", function()
      assert.equal("a@x.at b@x.at", found { where = { zip_code = "1010" } })
      assert.equal("a@x.at b@x.at", found { where = { zip_code = 1010 } })
      assert.equal("", found { where = { zip_code = "01010" } })
      assert.equal("a@x.at", found { where = { latitude = 48 } })
      assert.equal("a@x.at", found { where = { num_inverters = 2 , zip_code = "1010", role = "admin" } })
      assert.equal("c@x.at", found { where = { is_onboarded = false } })
      assert.equal("c@x.at", found { where = { role = "owner" } })
      assert.equal("b@x.at", found { where = { country_iso2 = "AT" } })
      assert.equal("a@x.at c@x.at", found { where = { country_iso2 = podero.null } })
      assert.equal("a@x.at", found { where = { town = podero.null } })
      assert.equal("a@x.at c@x.at", found { where = { town = { "Linz", podero.null, "Graz" } } })
      assert.equal("", found { where = { tags = "x" } })
      assert.equal("", found { where = { num_inverters = "2" } })
    end)

    it("users that match all filters", function()
      assert.equal("b@x.at", found { role = { "admin", "staff" }, where = { zip_code = "1010" }, search = "B@" })
    end)

    it("fields that no filter uses, filtered by fields that are not delivered", function()
      local list = list_of(client_of(LIST), { fields = { "email" }, where = { tags = podero.null, town = "Linz" } })
      assert.same({ { email = "c@x.at" } }, list)
    end)

    it("at most limit users", function()
      assert.equal("a@x.at b@x.at", found { limit = 2 })
      assert.equal("b@x.at", found { limit = 1, role = "staff" })
      assert.equal("a@x.at b@x.at c@x.at", found { limit = 3 })
      assert.equal("a@x.at b@x.at c@x.at", found { limit = 1e12 })
    end)

    it("users whose numbers match as numbers if validate is false", function()
      assert.equal("a@x.at", found({ where = { zip_code = 1010 }, limit = 1 }, { validate = false }))
      assert.equal("b@x.at", found({ where = { zip_code = "1010" }, limit = 1 }, { validate = false }))
    end)

    it("an error if a user that is filtered out violates the schema", function()
      local bad = user_json { role = '"guest"', email = "true" }
      local client = client_of { LIST[1], bad, LIST[2] }
      local ok, err = pcall(list_of, client, { role = "admin", fields = { "id" } })
      assert.is_false(ok)
      assert.truthy(tostring(err):find("[2].email: expected string, got boolean", 1, true), tostring(err))
    end)

    it("users that violate the schema, and reports them to on_invalid", function()
      local bad = user_json({ email = "true", num_inverters = "[1, {}]", role = '"guest"' })
      local client = client_of({ LIST[1], bad, "{}", LIST[2] })
      local told = {}
      local function on_invalid(message, position) told[#told + 1] = position .. " " .. message end
      local list = list_of(client, { on_invalid = on_invalid, where = { role = { "guest", "staff" } } })
      assert.equal(2, #list)
      assert.is_true(list[1].email)
      assert.same({ 1, {} }, list[1].num_inverters)
      assert.equal("b@x.at", list[2].email)
      assert.equal(10, #told)
      assert.equal("2 [2].email: expected string, got boolean", told[1])
      assert.equal("2 [2].num_inverters: expected integer, got array", told[2])
      assert.equal("3 [3].id: missing", told[3])
      assert.equal("3 [3].num_wallboxes: missing", told[10])
    end)

    it("the error that on_invalid raises", function()
      local problem = {}
      local client = client_of { "{}", LIST[1] }
      local ok, err = pcall(list_of, client, { on_invalid = function() error(problem) end })
      assert.is_false(ok)
      assert.equal(problem, err)
    end)

    it("further query parameters and header fields to the server", function()
      list_of(client_of(LIST), { role = "admin", query = { page = 2 }, headers = { ["X-Trace"] = "t" } })
      local request = helper.last(server, "api")
        assert.equal(helper.users_path() .. "?page=2", request.uri)
      assert.equal("t", request.headers["x-trace"])
    end)
  end)
end

describe("an option of a list", function()
  local FIND = { fields = true, role = true, search = true }

  local function refused(name, value, words)
    local client = helper.client(server)
    local expected = { "option '" .. name .. "'", words }
    helper.raises(expected, client.list_users, client, ORG, { [name] = value })
    helper.raises(expected, client.each_user, client, ORG, { [name] = value })
    helper.raises(expected, client.list_users_of, client, {}, { [name] = value })
    if FIND[name] then
      helper.raises(expected, client.find_user, client, ORG, { email = "x" }, { [name] = value })
    end
    assert.equal(0, #server:requests())
  end

  it("raises an error that names it if it is malformed", function()
    refused("fields", {}, "not empty")
    refused("fields", "email", "array of names")
    refused("fields", { 1 }, "names must be strings, got number")
    refused("fields", { email = true }, "key of type string")
    refused("fields", { "a", nil, "b", [5] = "c" }, "holes")
    refused("fields", setmetatable({}, { __index = { "email" } }), "metatable")
    refused("role", {}, "not empty")
    refused("role", "Admin", '"admin", "staff", "user" or "guest"')
    refused("role", { "admin", "" }, '"admin"')
    refused("role", 1, "expected a role, got number")
    refused("role", { { "admin" } }, "expected a role, got table")
    refused("search", 5, "string, got number")
    refused("search", {}, "string, got table")
    refused("where", "x", "table, got string")
    refused("where", {}, "at least one field")
    refused("where", { "x" }, "field names must be strings, got number")
    refused("where", { town = {} }, "field 'town'")
    refused("where", { town = print }, "podero.null or an array of these, got function")
    refused("where", { town = { { "x" } } }, "got table")
    refused("where", { town = io.stdout }, "got userdata")
    refused("where", { latitude = 0 / 0 }, "NaN")
    refused("where", { latitude = { 1, math.huge } }, "infinity")
    refused("where", setmetatable({}, { __index = { town = "x" } }), "metatable")
    for _, limit in ipairs { 0, -1, 1.5, 0 / 0 } do refused("limit", limit, "positive integer") end
    refused("limit", "1", "integer, got string")
    refused("on_invalid", true, "function")
  end)

  it("may be inherited through __index", function()
    local opts = setmetatable({}, { __index = { role = "staff", limit = 1 } })
    assert.equal("b@x.at", emails(assert(client_of(LIST):list_users(ORG, opts))))
  end)
end)

describe("find_user", function()
  it("returns the first user that has the values", function()
    local client = client_of(LIST)
    assert.equal("c@x.at", assert(client:find_user(ORG, { external_user_id = "4711" })).email)
    assert.equal("c@x.at", assert(client:find_user(ORG, { external_user_id = 4711 })).email)
    assert.same({ email = "a@x.at" },
      assert(client:find_user(ORG, { zip_code = "1010" }, { fields = { "email" } })))
    assert.equal("b@x.at", assert(client:find_user(ORG, { zip_code = "1010" }, { role = "staff" })).email)
  end)

  it("returns an error of kind not_found if the whole list has none", function()
    local err = helper.failed("not_found", client_of(LIST):find_user(ORG, { external_user_id = "x" }))
    assert.truthy(err.message:find("none of the 3 users", 1, true), err.message)
    assert.is_false(err.retryable)
    assert.equal(1, server:counts().api)
    assert.truthy(err.url:find(ORG, 1, true))
  end)

  it("fails as list_users does for other errors", function()
    helper.failed("argument", client_of(LIST):find_user("x", { id = "x" }))
    server:configure { always_api = { status = 404 } }
    helper.failed("http", helper.client(server):find_user(ORG, { id = "x" }))
  end)

  it("raises an error without conditions, and for unknown options", function()
    local client = helper.client(server)
    helper.raises({ "find_user", "where: expected a table, got nil" }, client.find_user, client, ORG)
    helper.raises({ "#2", "find_user", "where: expected at least one field" }, client.find_user, client, ORG, {})
    helper.raises({ "#3", "find_user", "unknown option 'limit'" }, client.find_user, client, ORG, { id = "x" },
      { limit = 1 })
    helper.raises({ "#3", "unknown option 'where'" }, client.find_user, client, ORG, { id = "x" }, { where = {} })
    helper.raises({ "#4" }, client.find_user, client, ORG, { id = "x" }, {}, 1)
  end)

  it("reads a long list whatever the client's max_response_bytes is", function()
    server:configure { organizations = { [ORG] = { users = 20000, seed = 3 } } }
    local last = helper.oracle(users.list_json(3, 20000, false))[20000].id
    local client = helper.client(server, { max_response_bytes = 100000 })
    local err = helper.failed("not_found", client:find_user(ORG, { email = "nobody" }))
    assert.truthy(err.message:find("20000", 1, true))
    assert.equal(last, assert(client:find_user(ORG, { id = last })).id)
    helper.failed("too_large", client:find_user(ORG, { email = "nobody" }, { max_response_bytes = 100000 }))
  end)
end)

describe("a filtered list", function()
  it("counts only what is delivered towards max_response_bytes", function()
    server:configure { organizations = { [ORG] = { users = 5000, seed = 4 } } }
    local client = helper.client(server, { max_response_bytes = 300000 })
    helper.failed("too_large", client:list_users(ORG))
    local ids = assert(client:list_users(ORG, { fields = { "id" } }))
    assert.equal(5000, #ids)
    assert.equal(100, #assert(client:list_users(ORG, { limit = 100 })))
    helper.failed("too_large", client:list_users(ORG, { limit = 4000 }))
    helper.failed("too_large", client:list_users(ORG, { fields = { "id" }, max_response_bytes = 100000 }))
  end)

  it("reports all users that were read to on_progress", function()
    local read
    server:configure { organizations = { [ORG] = { users = 5000, seed = 4 } } }
    assert(helper.client(server):list_users(ORG, { where = { email = "nobody" },
      on_progress = function(_, count) read = count end }))
    assert.equal(5000, read)
  end)

  it("ends the transfer at its limit, and the next call works", function()
    server:configure { organizations = { [ORG] = { users = 200000, seed = 4 } } }
    local bytes = {}
    local client = helper.client(server, {
      on_event = function(event)
        if event.purpose == "api" then
          assert.is_nil(event.error_kind)
          bytes[#bytes + 1] = event.bytes
        end
      end,
    })
    assert.equal(3, #assert(client:list_users(ORG, { limit = 3 })))
    local count = 0
    for _ in client:each_user(ORG, { limit = 3 }) do count = count + 1 end
    assert.equal(3, count)
    assert(client:find_user(ORG, { role = "user" }))
    assert.equal(3, #bytes)
    for _, n in ipairs(bytes) do assert.is_true(n < 2e6, n) end
    assert.equal(3, #assert(client:list_users(ORG, { limit = 3 })))
  end)

  it("applies to each organization of list_users_of", function()
    server:configure { organizations = {
      [ORG] = { raw = "[" .. table.concat(LIST, ",") .. "]" }, [OTHER] = { raw = "[" .. LIST[2] .. "]" } } }
    local results, errors = helper.client(server):list_users_of({ ORG, OTHER },
      { where = { zip_code = "1010" }, limit = 1, fields = { "email" } })
    assert.same({ [ORG] = { { email = "a@x.at" } }, [OTHER] = { { email = "b@x.at" } } }, results)
    assert.same({}, errors)
  end)

  it("accepts an array of 20,000 values in where", function()
    local ids = {}
    for i = 1, 20000 do ids[i] = "id-" .. i end
    ids[#ids + 1] = "4711"
    assert.equal("c@x.at", emails(assert(client_of(LIST):list_users(ORG, { where = { external_user_id = ids } }))))
  end)
end)
