local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

describe("the example", function()
  local server, folder

  setup(function()
    server = mock.start { tls = false }
    folder = helper.shell("mktemp -d \"${TMPDIR:-/tmp}/podero-examples.XXXXXX\""):gsub("%s+$", "")
  end)
  teardown(function()
    server:stop()
    helper.shell("rm -rf " .. folder)
  end)
  before_each(function() server:reset() end)

  --- Runs an example with the mock's credentials in the environment, or with `environment`. Returns its output,
  -- standard error included, and its exit code.
  local function run(name, arguments, environment)
    local given = environment or {
      PODERO_BASE_URL = server.url,
      PODERO_CLIENT_ID = mock.credentials.client_id,
      PODERO_CLIENT_SECRET = mock.credentials.client_secret,
    }
    local program = "arg = { [0] = %q, %s } dofile 'examples/%s.lua'"
    local list = {}
    for i, argument in ipairs(arguments) do list[i] = ("%q"):format(argument) end
    return helper.run(program:format(name, table.concat(list, ", "), name), given)
  end

  local function lines(text)
    local list = {}
    for line in text:gmatch("[^\n]+") do list[#list + 1] = line end
    return list
  end

  --- Runs an example that has to succeed. Returns the lines of its output.
  local function lines_of(name, arguments)
    local output, code = run(name, arguments)
    assert.equal(0, code, output)
    return lines(output)
  end

  describe("list_users", function()
    it("prints role, e-mail and name of each user", function()
      local output = lines_of("list_users", { mock.ORG })
      assert.equal(26, #output)
      assert.equal("admin\tanna.gruber.100001@example.com\tAnna Gruber", output[1])
      assert.truthy(output[2]:find("\t- -$"))
      assert.equal("25 users", output[26])
    end)

    it("includes deleted users with --include-deleted", function()
      local output = lines_of("list_users", { mock.ORG, "--include-deleted" })
      assert.equal("27 users", output[28])
      assert.truthy(helper.last(server, "api").uri:find("include_deleted=true", 1, true))
    end)

    it("ends with exit code 1 and one line for an error", function()
      local output, code = run("list_users", { "no uuid" })
      assert.equal(1, code)
      assert.same({ "podero: argument: the organization id is not a UUID: 'no uuid'" }, lines(output))
      output, code = run("list_users", { mock.ORG }, {})
      assert.equal(1, code)
      assert.truthy(output:find("no credentials", 1, true))
      assert.equal(1, #lines(output))
    end)

    it("ends with exit code 2 after wrong use", function()
      assert.equal(2, select(2, run("list_users", {})))
      assert.equal(2, select(2, run("list_users", { mock.ORG, "--what" })))
    end)
  end)

  describe("filter_users", function()
    it("prints the users with a role", function()
      local output = lines_of("filter_users", { mock.ORG, "staff" })
      for i = 1, #output - 1 do assert.truthy(output[i]:find("^staff\t")) end
      assert.is_true(#output > 1)
      assert.equal(("%d found"):format(#output - 1), output[#output])
    end)

    it("prints the users with a text in a field, ignoring case", function()
      local output = lines_of("filter_users", { mock.ORG, "any", "GRUBER" })
      assert.equal("admin\tanna.gruber.100001@example.com\tCUST-100001", output[1])
      output = lines_of("filter_users", { mock.ORG, "any", "cust-100001" })
      assert.equal(2, #output)
      assert.equal("1 found", output[2])
      assert.same({ "0 found" }, lines_of("filter_users", { mock.ORG, "guest", "anna.gruber" }))
    end)
  end)

  describe("find_user", function()
    it("prints the user with a customer number", function()
      local output = lines_of("find_user", { mock.ORG, "CUST-100001" })
      assert.equal(1, #output)
      assert.truthy(output[1]:find("^%x[%x-]+\tanna.gruber.100001@example.com$"), output[1])
    end)

    it("ends with exit code 1 if there is none", function()
      local output, code = run("find_user", { mock.ORG, "CUST-0" })
      assert.equal(1, code)
      assert.same({ "no user has this customer number" }, lines(output))
    end)
  end)

  describe("join_csv", function()
    it("prints what the file and the list say about each customer", function()
      local name = folder .. "/tariffs.csv"
      local file = assert(io.open(name, "w"))
      file:write("CUST-100001;day\nCUST-0;night\r\n")
      file:close()
      local output = lines_of("join_csv", { mock.ORG, name })
      assert.equal(2, #output)
      assert.truthy(output[1]:find("^CUST%-100001\tday\t%d+$"), output[1])
      assert.equal("CUST-0\tnight\tnot a user", output[2])
    end)
  end)

  it("prints no control characters of users to a terminal", function()
    local user = [==[[{"id": "1", "organization_id": "2", "role": "\u001b[2J", "email": "a\u0007@example.com",
      "first_name": "A\u009b31m", "last_name": "B\nC", "external_user_id": "\r", "num_inverters": 1,
      "num_heat_pumps": 1, "num_electric_vehicles": 1, "num_wallboxes": 1}]]==]
    server:configure { organizations = { [mock.ORG] = { raw = user } } }
    assert.same({ "?[2J\ta?@example.com\tA?31m B?C", "1 users" }, lines_of("list_users", { mock.ORG }))
    assert.equal("?[2J\ta?@example.com\t?", lines_of("filter_users", { mock.ORG, "any" })[1])
  end)

  it("testing tests a function without a network", function()
    assert.same({ "3 tests passed" }, lines_of("testing", {}))
    assert.equal(0, #server:requests())
  end)

  describe("export_csv", function()
    it("writes a file and shows its progress", function()
      server:configure { default_users = 3000 }
      local name = folder .. "/users.csv"
      local output = lines_of("export_csv", { mock.ORG, name })
      assert.truthy(output[1]:find("\r3000 users, %d%.%d MB$"), output[1])
      local check = "import csv, sys; file = open(sys.argv[1], newline='', encoding='utf-8'); "
        .. "rows = list(csv.reader(file, strict=True)); print(len(rows), {len(row) for row in rows}, rows[4][3])"
      assert.equal("3001 {8} Zoë \"Zo\" \240\159\152\128\n",
        (helper.shell(("python3 -X utf8 -c %s %s"):format(helper.quoted(check), name))))
    end)

    it("leaves no incomplete file", function()
      server:configure { script = { api = { { fault = "truncate_chunked" } } } }
      local name = folder .. "/half.csv"
      local output, code = run("export_csv", { mock.ORG, name })
      assert.equal(1, code)
      assert.truthy(output:find("podero: ", 1, true))
      assert.is_nil(io.open(name))
      assert.equal("", (helper.shell("ls " .. folder .. " | grep part")))
    end)

    it("leaves an old file unchanged if the list cannot be read", function()
      server:configure { organizations = { [mock.ORG] = { status = 403 } } }
      local name = folder .. "/old.csv"
      helper.shell("echo old >" .. name)
      assert.equal(1, select(2, run("export_csv", { mock.ORG, name })))
      assert.equal("old\n", helper.read(name))
    end)
  end)

  describe("many_organizations", function()
    it("lists them at once, and prints the error of one beside the others", function()
      server:configure { organizations = { [helper.OTHER_ORG] = { status = 403 } } }
      local output, code = run("many_organizations", { mock.ORG, helper.OTHER_ORG })
      assert.equal(1, code)
      local table_ = lines(output)
      local counts = table_[1]:match("^" .. mock.ORG:gsub("%-", "%%-") .. "\t(.*)$")
      assert.truthy(counts:find("^25 users: %d admin, %d staff, %d+ user, %d guest$"), counts)
      assert.truthy(table_[2]:find(helper.OTHER_ORG .. "\tpodero: http: ", 1, true))
      assert.equal(0, select(2, run("many_organizations", { mock.ORG })))
    end)

    it("counts users with unknown roles as others", function()
      local user = [==[{"id": "1", "organization_id": "2", "role": "%s", "email": "a@example.com", "num_inverters": 1,
        "num_heat_pumps": 1, "num_electric_vehicles": 1, "num_wallboxes": 1}]==]
      local all = { user:format("admin"), user:format("owner"), user:format("other"), user:format("\\u001b[31m") }
      server:configure { organizations = { [mock.ORG] = { raw = "[" .. table.concat(all, ",") .. "]" } } }
      assert.same({ mock.ORG .. "\t4 users: 1 admin, 0 staff, 0 user, 0 guest, 3 other" },
        lines_of("many_organizations", { mock.ORG }))
    end)
  end)

  describe("cqueues", function()
    it("lets other coroutines run while calls wait", function()
      if not pcall(require, "cqueues") then return pending("Debian has no cqueues for this Lua") end
      server:configure { always_api = { delay = 0.3 } }
      local output = lines_of("cqueues", { mock.ORG, helper.OTHER_ORG })
      assert.equal(3, #output)
      assert.truthy(output[1]:find("\t25 users$"))
      assert.truthy(tonumber(output[3]:match("ticked (%d+) times$")) >= 5, output[3])
    end)
  end)
end)
