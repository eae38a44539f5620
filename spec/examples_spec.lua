local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

describe("examples/list_users.lua", function()
  local server

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)

  --- Runs the example as a person would, with credentials in the environment unless told otherwise.
  local function run(arguments, environment)
    local given = environment or {
      PODERO_BASE_URL = server.url,
      PODERO_CLIENT_ID = mock.credentials.client_id,
      PODERO_CLIENT_SECRET = mock.credentials.client_secret,
    }
    local program = "arg = { [0] = 'list_users.lua', %s } dofile 'examples/list_users.lua'"
    return helper.run(program:format(arguments), given)
  end

  local function lines(text)
    local list = {}
    for line in text:gmatch("[^\n]+") do list[#list + 1] = line end
    return list
  end

  it("prints a table of users: role, name, e-mail, devices, last login", function()
    local output, code = run(("%q"):format(mock.ORG))
    assert.equal(0, code, output)
    local table_ = lines(output)
    assert.equal(27, #table_)
    assert.truthy(table_[1]:find("^ROLE +NAME +E%-MAIL +DEVICES +LAST LOGIN"))
    assert.truthy(table_[2]:find("^admin +Anna Gruber +anna%.gruber%.100001@.- +1 EV, 2 inverters +2025%-09%-19"))
    assert.equal("25 users", table_[27])
  end)

  it("asks for deleted users too, if told so", function()
    local output = run(("%q, '--include-deleted'"):format(mock.ORG))
    assert.truthy(output:find("27 users", 1, true))
    assert.truthy(helper.last(server, "api").uri:find("include_deleted=true", 1, true))
  end)

  it("ends with exit code 1 and one line for an error", function()
    local output, code = run("'no uuid'")
    assert.equal(1, code)
    assert.same({ "podero: argument: the organization id is not a UUID: 'no uuid'" }, lines(output))
    output, code = run(("%q"):format(mock.ORG), {})
    assert.equal(1, code)
    assert.truthy(output:find("no credentials", 1, true))
    assert.equal(1, #lines(output))
  end)

  it("ends with exit code 2 where it is used wrongly", function()
    assert.equal(2, select(2, run("")))
    assert.equal(2, select(2, run(("%q, '--what'"):format(mock.ORG))))
  end)
end)
