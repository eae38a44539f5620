local cjson = require "cjson"
local helper = require "spec.support.helper"
local mock_api = require "spec.support.mock"
local mock = require "podero.mock"
local oracle = require "spec.support.oracle"
local podero = require "podero"
local users = require "spec.support.mock.users"

local ORG, OTHER = helper.ORG, "016b78a7-0c7c-4241-a277-015c3ad3cb91"

--- The names of the methods that types/podero.lua declares for a class.
local function methods_of(class)
  local names = {}
  for name in helper.read("types/podero.lua"):gmatch("\nfunction " .. class .. ":(%w[%w_]*)") do
    names[#names + 1] = name
  end
  return names
end

local function some_users()
  return {
    mock.user { email = "anna@example.com", role = "admin", external_user_id = "C-1", num_wallboxes = 2 },
    mock.user { email = "bert@example.com", first_name = "Bert", latitude = 47.5 },
    mock.user { email = "cleo@example.com", role = "staff", last_name = podero.null },
  }
end

local function emails(list)
  local texts = {}
  for i, user in ipairs(list) do texts[i] = user.email end
  return table.concat(texts, " ")
end

describe("podero.mock", function()
  local client

  before_each(function()
    client = mock.new {
      organizations = { [ORG] = some_users(), [OTHER] = {} },
      deleted = { [ORG] = { mock.user { email = "gone@example.com" } } },
    }
  end)

  it("has the methods of a client", function()
    local names = methods_of "Client"
    assert.is_true(#names >= 8, table.concat(names, " "))
    for _, name in ipairs(names) do assert.is_function(client[name], name) end
    assert.equal("podero.mock.Client", tostring(client))
  end)

  it("lists the users of the test, with the library's filters", function()
    assert.equal("anna@example.com bert@example.com cleo@example.com", emails(assert(client:list_users(ORG))))
    assert.equal("anna@example.com", emails(assert(client:list_users(ORG, { role = "admin" }))))
    assert.equal("bert@example.com", emails(assert(client:list_users(ORG:upper(), { search = "BERT" }))))
    assert.equal("anna@example.com bert@example.com", emails(assert(client:list_users(ORG, { limit = 2 }))))
    assert.same({ { email = "anna@example.com", num_wallboxes = 2 } },
      client:list_users(ORG, { where = { external_user_id = "C-1" }, fields = { "email", "num_wallboxes" } }))
    assert.equal(4, #assert(client:list_users(ORG, { include_deleted = true })))
    assert.same({}, client:list_users(OTHER))
    local user = client:list_users(ORG)[3]
    assert.same({ nil, "staff" }, { user.last_name, user.role })
  end)

  it("lists what the real client lists, whatever the users and the filters are", function()
    local server = mock_api.start()
    finally(function()
      helper.close_clients()
      server:stop()
    end)
    local text = users.list_json(11, 60)
    helper.static(server, { organizations = { [ORG] = { raw = text } } })
    local real = helper.client(server, { access_token = "static" })
    local list = cjson.decode(text)
    local same = mock.new { organizations = { [ORG] = list } }
    for _ = 1, 50 do
      local part = oracle.random_part(list, function(n) return math.random(n) end)
      local expected, err = real:list_users(ORG, part)
      local got, mock_err = same:list_users(ORG, part)
      assert.is_nil(helper.difference(expected, got))
      assert.equal(err and err.kind, mock_err and mock_err.kind)
    end
  end)

  it("reads users one by one, and ends when the loop wants no more", function()
    local list = {}
    for user in client:each_user(ORG, { role = { "admin", "staff" } }) do list[#list + 1] = user end
    assert.equal("anna@example.com cleo@example.com", emails(list))
    local iterator = client:each_user(ORG)
    assert.equal("anna@example.com", iterator().email)
    iterator:close()
    assert.is_nil(iterator())
  end)

  it("finds one user, or says that there is none", function()
    assert.equal("bert@example.com", client:find_user(ORG, { first_name = "Bert" }).email)
    helper.failed("not_found", client:find_user(ORG, { first_name = "Nobody" }))
  end)

  it("lists several organizations, each with its result or its error", function()
    local unknown = "016b78a7-0c7c-4241-a277-015c3ad3cb92"
    local results, errors = client:list_users_of({ ORG, OTHER, unknown }, { fields = { "email" } })
    assert.equal(3, #results[ORG])
    assert.same({}, results[OTHER])
    assert.equal(404, errors[unknown].status)
    assert.is_nil(results[unknown])
  end)

  it("answers requests with what the test has set", function()
    client:respond("GET", "/api/partners/v2.0/x", { count = 1234567890123456, list = { 1.5, podero.null } })
    local value, response = client:get("/api/partners/v2.0/x")
    assert.same({ count = 1234567890123456, list = { 1.5, podero.null } }, value)
    assert.equal(200, response.status)
    client:respond("POST", "/api/partners/v2.0/x", true)
    assert.is_true((client:request("post", "/api/partners/v2.0/x", { body = { a = 1 } })))
    assert.equal(404, helper.failed("http", client:get("/api/partners/v2.0/y")).status)
    helper.failed("argument", client:get("/a/../b"))
  end)

  it("fails as the test says, with errors of the library", function()
    client:fail_next { status = 503, times = 2, detail = { detail = "busy" }, retry_after = 7 }
    for _ = 1, 2 do
      local err = helper.failed("http", client:list_users(ORG))
      assert.is_true(podero.is_error(err))
      assert.same({ 503, true, 7, "busy" }, { err.status, err.retryable, err.retry_after, err.detail.detail })
      assert.truthy(tostring(err):find("^podero: http: HTTP 503"))
    end
    assert.equal(3, #assert(client:list_users(ORG)))
    client:fail_next { kind = "auth", status = 401, code = "invalid_client", method = "token" }
    assert.equal(3, #assert(client:list_users(ORG)))
    local err = helper.failed("auth", client:token())
    assert.same({ "invalid_client", false }, { err.code, err.retryable })
    assert.equal("mock-token", client:token())
    client:fail_next { kind = "timeout", org_id = OTHER }
    assert(client:list_users(ORG))
    assert.is_true(helper.failed("timeout", client:list_users(OTHER)).retryable)
    client:fail_next { kind = "decode" }
    local ok, raised = pcall(function() for _ in client:each_user(ORG) do end end) -- luacheck: ignore 542
    assert.same({ false, "decode", 0 }, { ok, raised.kind, raised.delivered })
    helper.raises("unknown kind 'no'", client.fail_next, client, { kind = "no" })
  end)

  it("records what was called", function()
    client:list_users(ORG, { role = "admin" })
    client:token()
    assert.same({ "list_users", "token" }, { client.calls[1].method, client.calls[2].method })
    assert.same({ ORG, "admin" }, { client.calls[1].org_id, client.calls[1].opts.role })
  end)

  it("refuses what a client refuses", function()
    helper.raises("rle", client.list_users, client, ORG, { rle = "admin" })
    helper.raises("organization id: string expected", client.list_users, client, 5)
    helper.failed("argument", client:list_users("12345"))
    client:close()
    helper.failed("closed", client:list_users(ORG))
    helper.failed("closed", client:token())
  end)

  it("raises at users that the API cannot return, and names the field", function()
    helper.raises("num_wallboxes", mock.new, { organizations = { [ORG] = { mock.user { num_wallboxes = "two" } } } })
    helper.raises("organization_id", mock.new, { organizations = { [ORG] = { { id = "1" } } } })
    helper.raises("UUID", mock.new, { organizations = { x = {} } })
    helper.raises("unknown option 'users'", mock.new, { users = {} })
  end)
end)
