-- nginx contains a LuaJIT, so this runs on LuaJIT only.
if not rawget(_G, "jit") then return end

local cjson = require "cjson"
local helper = require "spec.support.helper"
local http = require "socket.http"
local ltn12 = require "ltn12"
local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local podero = require "podero"
local site = require "spec.support.site"
local socket = require "socket"
local users = require "spec.support.mock.users"

local ORG = mock.ORG
local TIMEOUT = 2

describe("the site of examples/nginx", function()
  local api, server

  local function environment()
    return {
      PODERO_BASE_URL = api.url,
      PODERO_CLIENT_ID = mock.credentials.client_id, PODERO_CLIENT_SECRET = mock.credentials.client_secret,
    }
  end

  setup(function()
    api = mock.start { tls = false }
    server = site.start(environment(), { timeout = TIMEOUT })
  end)
  teardown(function()
    server:stop()
    api:stop()
  end)
  -- No reset, since the site's workers keep their token.
  before_each(function() api:configure() end)

  --- Calls `f` with a new site in place of that of the other tests.
  local function afresh(f)
    local old = server
    server = site.start(environment(), { timeout = TIMEOUT })
    local ok, problem = pcall(f)
    server:stop()
    server = old
    if not ok then error(problem, 0) end
  end

  --- Sends a request. Returns status, body and headers; nil and a message if the connection broke. `form`: its body.
  -- `more`: further header fields.
  local function request(path, method, form, more)
    local chunks = {}
    local headers = {
      ["Content-Type"] = form and "application/x-www-form-urlencoded", ["Content-Length"] = form and #form,
    }
    for name, value in pairs(more or {}) do headers[name] = value end
    local ok, status, fields = http.request {
      url = server.url .. path, method = method or form and "POST" or "GET", headers = headers,
      source = form and ltn12.source.string(form), sink = ltn12.sink.table(chunks),
    }
    if not ok then return nil, status, table.concat(chunks) end
    return status, table.concat(chunks), fields
  end

  local function path(name, query, org_id)
    return "/orgs/" .. (org_id or ORG) .. "/" .. name .. (query or "")
  end

  --- The body of a response, which has to have status 200.
  local function get(name, query, org_id)
    local status, body = request(path(name, query, org_id))
    assert.equal(200, status, body)
    return body
  end

  --- The same for a search with a form.
  local function search(name, form, org_id)
    local status, body = request(path(name, "", org_id), "POST", form)
    assert.equal(200, status, body)
    return body
  end

  local function escaped(text)
    return (text:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end))
  end

  --- Waits until the site's log has this pattern, since nginx logs a request after its response. Returns the log.
  local function log_with(pattern)
    local log
    local ends = socket.gettime() + 5
    repeat
      log = server:log()
      if log:find(pattern) then return log end
      socket.sleep(0.01)
    until socket.gettime() > ends
    error(pattern .. " is not in the log: " .. log)
  end

  --- The peak memory of the site's workers, in kB.
  local function peak()
    local most = 0
    for id in nginx.output_of(("pgrep -P %d"):format(server:pid())):gmatch("%d+") do
      local kilobytes = tonumber(nginx.read_file("/proc/" .. id .. "/status"):match("VmHWM:%s*(%d+)"))
      most = math.max(most, kilobytes)
    end
    return most
  end

  --- The users of the mock's organization.
  local function all()
    return helper.oracle(users.list_json(tonumber(ORG:sub(1, 6), 16), 25))
  end

  --- The e-mails of all users in the list, or of those for which `f` is true.
  local function emails(list, f)
    local found = {}
    for _, user in ipairs(list) do
      if not f or f(user) then found[#found + 1] = user.email end
    end
    return found
  end

  local function filtered(form)
    return emails(cjson.decode(search("users", form)))
  end

  --- An organization with one user who has these fields and the required ones.
  local function organization_of(fields)
    local user = {
      id = "00000000-0000-4000-8000-000000000001", organization_id = helper.OTHER_ORG, role = "guest",
      email = "mallory@example.com", num_inverters = 0, num_heat_pumps = 0, num_electric_vehicles = 0,
      num_wallboxes = 0,
    }
    for name, value in pairs(fields) do user[name] = value end
    api:configure { organizations = { [helper.OTHER_ORG] = { raw = "[" .. cjson.encode(user) .. "]" } } }
    return helper.OTHER_ORG
  end

  describe("users", function()
    it("returns all users as JSON", function()
      local status, body, fields = request(path "users")
      assert.equal(200, status)
      assert.equal("application/json", fields["content-type"])
      assert.is_nil(helper.difference(all(), cjson.decode(body)))
    end)

    it("returns an empty array if nobody matches", function()
      assert.equal("[]\n", search("users", "q=nobody-has-this"))
    end)

    it("returns exact numbers, and keys that the schema lacks", function()
      local raw = [==[[{"id": "1", "organization_id": "2", "role": "owner", "email": "a@b.example", "num_wallboxes": 0,
        "num_inverters": 9007199254740991, "num_heat_pumps": -3, "num_electric_vehicles": 123456789012345,
        "latitude": 48.208493123456789, "longitude": -0.1, "big": 1.7976931348623157e308, "small": 5e-324,
        "more": {"list": [1, null, {"b": 2.5, "a": "\\\"\u0007"}, [[]], false], "1": "x"}}]]==]
      api:configure { organizations = { [ORG] = { raw = raw } } }
      assert.is_nil(helper.difference(cjson.decode(raw), cjson.decode(get("users"))))
      local csv = get("users.csv")
      for _, field in ipairs { "9007199254740991", "123456789012345", "48.20849312345679", "-0.1", "-3" } do
        assert.truthy(csv:find("," .. field .. ",", 1, true), field)
      end
    end)

    it("filters by role", function()
      for _, role in ipairs { "admin", "staff", "user", "guest" } do
        local wanted = emails(all(), function(user) return user.role == role end)
        assert.is_true(#wanted > 0)
        assert.same(wanted, filtered("role=" .. role))
        assert.same(wanted, emails(cjson.decode(get("users", "?role=" .. role))))
      end
      assert.same(emails(all()), filtered "role=&q=")
      assert.same(emails(all()), filtered "")
    end)

    it("filters by a role that the schema lacks, as the roster does", function()
      local org_id = organization_of { role = "owner", email = "boss@example.com" }
      for _, page in ipairs { "users", "users.csv", "roster" } do
        assert.truthy(get(page, "?role=owner", org_id):find("boss", 1, true), page)
        assert.is_nil(get(page, "?role=nobody", org_id):find("boss", 1, true), page)
      end
    end)

    it("searches in e-mail, names and external id, ignoring case", function()
      local first = { all()[1].email }
      assert.same(first, filtered "q=ANNA.GRUBER.100001%40")
      assert.same(first, filtered "q=aNNa+gRUB")
      assert.same(first, filtered "q=cust-100001")
      assert.same(first, filtered "role=admin&q=++gruber++")
      assert.same({}, filtered "role=guest&q=gruber.100001")
      assert.same({}, filtered "q=wien")
    end)

    it("ignores the case of letters that are not ASCII, and knows no patterns", function()
      local org_id = organization_of { first_name = "ŽIGA Ökonom", last_name = "Иван Ωmega 50%" }
      for _, q in ipairs { "žiga", "Žiga", "öKO", "ИВАН", "иван", "ωMEGA", "50%" } do
        assert.equal(1, #cjson.decode(search("users", "q=" .. escaped(q), org_id)), q)
      end
      for _, q in ipairs { "%.", ".*", "ziga", "\197" } do
        assert.equal(q == "\197" and 1 or 0, #cjson.decode(search("users", "q=" .. escaped(q), org_id)), q)
      end
    end)
  end)

  describe("roster", function()
    --- The text of a page, without markup.
    local function shown(body)
      return (body:gsub("<[^>]*>", ""):gsub("\194\160", " "):gsub("&quot;", '"'):gsub("&#39;", "'"):gsub("&amp;", "&"))
    end

    --- The count with this name at the top of the page.
    local function number_of(body, name)
      local count = body:gsub('<span aria%-hidden="true">✓ </span>', ""):match("<b>([%d,]+)</b> <span>" .. name .. "<")
        or body:match("<b>([%d,]+)</b> " .. name .. "<")
      return count and tonumber((count:gsub(",", "")))
    end

    --- Texts of the matching cells, row by row.
    local function cells(body, pattern)
      local list = {}
      for html in body:gmatch(pattern) do list[#list + 1] = shown(html) end
      return list
    end

    local function titles(body)
      return cells(body, '<bdi class="title">(.-)</bdi>')
    end

    local function title_of(user)
      local first, last = user.first_name or "", user.last_name or ""
      local name = first .. (first ~= "" and last ~= "" and " " or "") .. last
      return name ~= "" and name or user.email
    end

    --- The address of a link or a button, and the fields of a form. `label`: a pattern.
    local function link(body, label)
      for href, content in body:gmatch '<a href="([^"]*)"[^>]*>(.-)</a>' do
        if shown(content):find(label) then return (href:gsub("&amp;", "&")) end
      end
      for action, content in body:gmatch '<form method="post" action="([%w.]+)">(.-)</form>' do
        if shown(content):find(label) then
          local fields = {}
          for name, value in content:gmatch '<input type="hidden" name="(%w+)" value="([^"]*)">' do
            fields[#fields + 1] = name .. "=" .. value
          end
          return action, table.concat(fields, "&")
        end
      end
    end

    it("shows every user, and counts by role and by kind of device", function()
      local status, body, fields = request(path "roster")
      assert.equal(200, status)
      assert.equal("text/html; charset=utf-8", fields["content-type"])
      local roles, devices = {}, {}
      for _, user in ipairs(all()) do
        assert.truthy(shown(body):find(user.email, 1, true), user.email)
        roles[user.role] = (roles[user.role] or 0) + 1
        for name in pairs { num_inverters = 1, num_heat_pumps = 1, num_electric_vehicles = 1, num_wallboxes = 1 } do
          devices[name] = (devices[name] or 0) + user[name]
        end
      end
      assert.equal(25, number_of(body, "all"))
      assert.equal(roles.admin, number_of(body, "admins?"))
      assert.equal(roles.staff, number_of(body, "staff"))
      assert.equal(roles.user, number_of(body, "users?"))
      assert.equal(roles.guest, number_of(body, "guests?"))
      assert.equal(devices.num_inverters, number_of(body, "inverters"))
      assert.equal(devices.num_heat_pumps, number_of(body, "heat pumps"))
      assert.equal(devices.num_electric_vehicles, number_of(body, "EVs"))
      assert.equal(devices.num_wallboxes, number_of(body, "wallboxes"))
      assert.truthy(shown(body):find("\n25 users", 1, true))
    end)

    it("filters as the JSON does, and links to the CSV with the same filter", function()
      local body = search("roster", "role=admin&q=gruber")
      assert.same({ "Anna Gruber" }, titles(body))
      assert.truthy(shown(body):find("1 of the %d users? who match%a* “gruber”"))
      assert.truthy(body:find('<option value="admin" selected>admin</option>', 1, true))
      assert.truthy(body:find('name="q" value="gruber"', 1, true))
      local action, fields = link(body, "^Download as CSV$")
      assert.same({ "users.csv", "role=admin&q=gruber" }, { action, fields })
      local _, lines = search("users.csv", fields):gsub("\r\n", "")
      assert.equal(2, lines)
      -- A page without a search has an address.
      assert.equal("users.csv?role=admin", link(get("roster", "?role=admin&sort=name"), "^Download as CSV$"))
    end)

    it("counts the users that a search has found, whatever their role", function()
      local hits = cjson.decode(search("users", "q=example.org"))
      local admins = #emails(hits, function(user) return user.role == "admin" end)
      local body = search("roster", "role=admin&q=example.org")
      assert.is_true(admins > 0 and admins < #hits)
      assert.equal(#hits, number_of(body, "all"))
      assert.equal(admins, number_of(body, "admins?"))
      assert.truthy(shown(body):find(("%d of the %d users who match “example.org”"):format(admins, #hits), 1, true))
    end)

    it("has tiles that link to a role, and marks the current one", function()
      local function current(body)
        return cells(body, '<%a+ ?[^>]- aria%-current="true">.-<span>(.-)</span></%a+>')
      end
      local body = get "roster"
      assert.same({ "✓ all" }, current(body))
      assert.equal("roster?role=guest", link(body, "^%d+ guests?$"))
      body = get("roster", "?role=guest&sort=-name")
      assert.truthy(current(body)[1]:find("^✓ guests?$"))
      assert.equal("roster?role=staff&sort=-name", link(body, "^%d+ staff$"))
      assert.equal("roster?sort=-name", link(body, "^%d+ all$"))
      -- Searches are not in URLs.
      body = search("roster", "role=guest&q=e")
      assert.truthy(current(body)[1]:find("^✓ guests?$"))
      assert.same({ "roster", "role=staff&q=e" }, { link(body, "^%d+ staff$") })
      assert.is_nil(body:find('href="[^"]*q='))
    end)

    it("offers to clear the filter only if there is one", function()
      assert.is_nil(link(get "roster", "Clear"))
      assert.equal("roster", link(get("roster", "?role=admin"), "^Clear the filter$"))
      assert.equal("roster?sort=name", link(search("roster", "q=gruber&sort=name"), "^Clear the filter$"))
    end)

    it("says so if nobody is found, instead of showing an empty table", function()
      local body = search("roster", "q=%3Cnobody%3E&sort=role")
      assert.truthy(body:find("No user matches “<bdi>&lt;nobody&gt;</bdi>”.", 1, true))
      assert.equal("roster?sort=role", link(body, "^Clear the filter$"))
      assert.is_nil(body:find("<table", 1, true))
      assert.is_nil(link(body, "CSV"))
      body = search("roster", "q=gruber.100001&role=guest")
      assert.truthy(shown(body):find("No user with the role “guest” matches “gruber.100001”.", 1, true))
      body = get("roster", "?role=owner")
      assert.truthy(shown(body):find("There is no user with the role “owner”.", 1, true))
      assert.truthy(body:find('<option value="owner" selected>owner</option>', 1, true))
      api:configure { organizations = { [ORG] = { raw = "[]" } } }
      body = get "roster"
      assert.truthy(shown(body):find("This organization has no users yet.", 1, true))
      assert.is_nil(link(body, "Clear"))
    end)

    it("uses the singular for one, and groups digits", function()
      local body = get("roster", "", organization_of { role = "admin", num_heat_pumps = 1, num_wallboxes = 1234 })
      for _, name in ipairs { "admin", "staff", "users", "guests", "heat pump", "EVs", "wallboxes", "inverters" } do
        assert.truthy(number_of(body, name), name)
      end
      assert.truthy(shown(body):find("\n1 user\n", 1, true) or shown(body):find("\n1 user%a*Download"))
      assert.truthy(shown(body):find("1 heat pump, 1,234 wallboxes", 1, true))
      assert.truthy(body:find("<b>1,234</b> wallboxes", 1, true))
      assert.truthy(shown(search("roster", "q=mallory", helper.OTHER_ORG)):find("1 user matches “mallory”", 1, true))
      assert.truthy(shown(get("roster", "?role=admin", helper.OTHER_ORG)):find("1 of 1 user", 1, true))
    end)

    it("shows the e-mail address of a user without a name", function()
      for _, names in ipairs { {}, { first_name = "", last_name = "" }, { first_name = cjson.null } } do
        local body = get("roster", "", organization_of(names))
        assert.same({ "mallory@example.com" }, titles(body))
        assert.equal(1, select(2, shown(body):gsub("mallory@example.com", "")))
      end
      assert.same({ "Mallory" }, titles(get("roster", "", organization_of { last_name = "Mallory" })))
    end)

    it("has a table with a caption, column headers and row headers, even if it is shown as cards", function()
      local body = get "roster"
      assert.truthy(body:find('<table role="table">\n<caption class="unseen">Users of', 1, true))
      assert.equal(25, select(2, body:gsub('<tr role="row"><th role="rowheader" scope="row">', "")))
      assert.equal(6, select(2, body:gsub('<th role="columnheader" scope="col"', "")))
      assert.equal(25 * 5, select(2, body:gsub('<td role="cell" data%-label="%u', "")))
    end)

    describe("sorted", function()
      local function order_of(sort, list)
        local sorted = {}
        for i, user in ipairs(list) do sorted[i] = { user = user, position = i } end
        table.sort(sorted, function(a, b)
          local x, y = sort(a.user), sort(b.user)
          if x == y then return a.position < b.position end
          return x < y
        end)
        for i, entry in ipairs(sorted) do sorted[i] = title_of(entry.user) end
        return sorted
      end

      it("by name, ignoring case and accents", function()
        local list = {}
        for i, name in ipairs {
          "zoe", "Émile", "Zoë", "eva", "Ökonom", "Olga", "ärger", "Łukasz", "Lukas", "mallory",
        } do
          list[i] = cjson.encode {
            id = "00000000-0000-4000-8000-000000000001", organization_id = helper.OTHER_ORG, role = "user",
            email = name == "mallory" and "mallory@example.com" or "x@example.com",
            first_name = name ~= "mallory" and name or nil,
            num_inverters = 0, num_heat_pumps = 0, num_electric_vehicles = 0, num_wallboxes = 0,
          }
        end
        api:configure { organizations = { [helper.OTHER_ORG] = { raw = "[" .. table.concat(list, ",") .. "]" } } }
        local sorted = {
          "ärger", "Émile", "eva", "Lukas", "Łukasz", "mallory@example.com", "Ökonom", "Olga", "zoe", "Zoë",
        }
        assert.same(sorted, titles(get("roster", "?sort=name", helper.OTHER_ORG)))
        local reversed = {
          "zoe", "Zoë", "Olga", "Ökonom", "mallory@example.com", "Łukasz", "Lukas", "eva", "Émile", "ärger",
        }
        assert.same(reversed, titles(search("roster", "sort=-name", helper.OTHER_ORG)))
      end)

      it("by role, with admins or guests first", function()
        local ranks = { admin = "1", staff = "2", user = "3", guest = "4" }
        local roles = cells(get("roster", "?sort=role"), '<span class="badge [^"]*">(.-)</span>')
        local backwards = cells(get("roster", "?sort=-role"), '<span class="badge [^"]*">(.-)</span>')
        assert.equal(25, #roles)
        for i = 2, 25 do
          assert.is_true(ranks[roles[i - 1]] <= ranks[roles[i]])
          assert.is_true(ranks[backwards[i - 1]] >= ranks[backwards[i]])
        end
      end)

      it("by last login, with those who never logged in last", function()
        local function newest_first(user) return -(user.last_login and podero.time(user.last_login) or -math.huge) end
        local function oldest_first(user) return user.last_login and podero.time(user.last_login) or math.huge end
        assert.same(order_of(newest_first, all()), titles(get("roster", "?sort=-last_login")))
        assert.same(order_of(oldest_first, all()), titles(get("roster", "?sort=last_login")))
      end)

      it("has headers that link to an order and its reverse, and mark the current one", function()
        local body = get("roster", "?role=user")
        assert.equal("roster?role=user&sort=name", link(body, "^Name$"))
        assert.equal("roster?role=user&sort=-last_login", link(body, "^Last login %(UTC%)$"))
        assert.is_nil(body:find("aria-sort", 1, true))
        body = get("roster", "?sort=name")
        assert.equal("roster?sort=-name", link(body, "^Name ▲$"))
        assert.truthy(body:find('class="name" aria-sort="ascending">', 1, true))
        assert.truthy(body:find('<option value="name" selected>', 1, true))
        body = search("roster", "sort=-name&q=e")
        assert.same({ "roster", "q=e&sort=name" }, { link(body, "^Name ▼$") })
        assert.equal(1, select(2, body:gsub(' aria%-sort="descending"', "")))
      end)

      it("is refused in an unknown order", function()
        for _, sort in ipairs { "email", "--name", "-", "name;", "id" } do
          local status, body = request(path("roster", "?sort=" .. sort))
          assert.equal(400, status, sort)
          assert.truthy(body:find("no such order", 1, true))
        end
      end)
    end)

    describe("pages", function()
      it("have a hundred users each, and link to each other", function()
        api:configure { organizations = { [ORG] = { users = 2050 } } }
        local body = get "roster"
        assert.truthy(shown(body):find("2,050 users, 1 to 100 shown", 1, true))
        assert.equal(100, #titles(body))
        assert.equal("roster?page=2", link(body, "^Next$"))
        assert.equal("roster?page=21", link(body, "^Last$"))
        assert.is_nil(link(body, "^Previous$"))
        assert.truthy(shown(body):find("of 21", 1, true))
        body = get("roster", "?page=21&role=")
        assert.truthy(shown(body):find("2,050 users, 2,001 to 2,050 shown", 1, true))
        assert.equal(50, #titles(body))
        assert.equal("roster?page=20", link(body, "^Previous$"))
        assert.equal("roster", link(body, "^First$"))
        assert.is_nil(link(body, "^Next$"))
      end)

      it("contain each user once, sorted or not", function()
        api:configure { organizations = { [ORG] = { users = 450 } } }
        local list = cjson.decode(get "users")
        for _, sort in ipairs { "", "name", "-name", "role", "-role", "last_login", "-last_login" } do
          local seen, count = {}, 0
          for number = 1, 5 do
            for email in shown(get("roster", ("?sort=%s&page=%d"):format(sort, number))):gmatch "%S+@%S+" do
              assert.is_nil(seen[email], email)
              seen[email], count = true, count + 1
            end
          end
          assert.equal(#list, count, sort)
        end
      end)

      it("keep filter and order in their links", function()
        api:configure { organizations = { [ORG] = { users = 3000 } } }
        local body = search("roster", "q=example&role=user&sort=name&page=2")
        assert.same({ "roster", "role=user&q=example&sort=name&page=3" }, { link(body, "^Next$") })
        assert.same({ "roster", "role=user&q=example&sort=name" }, { link(body, "^First$") })
        assert.truthy(body:find('<form class="jump" method="post" action="roster">'
          .. '<input type="hidden" name="role" value="user"><input type="hidden" name="q" value="example">'
          .. '<input type="hidden" name="sort" value="name">', 1, true))
        -- A new filter starts at its first page.
        assert.same({ "roster", "role=staff&q=example&sort=name" }, { link(body, "^[%d,]+ staff$") })
      end)

      it("that do not exist are 404, and link to the last one", function()
        api:configure { organizations = { [ORG] = { users = 250 } } }
        local status, body = request(path("roster", "?page=4&sort=name"))
        assert.equal(404, status)
        assert.truthy(shown(body):find("There is no page 4", 1, true))
        assert.equal("roster?sort=name&page=3", link(body, "^To the last page$"))
        for _, number in ipairs { "0", "-1", "1.5", "x", "1e3", "99999999", "0x10", "%200" } do
          assert.equal(400, (request(path("roster", "?page=" .. number))), number)
        end
        assert.equal(404, (request(path("roster", "?page=9999999"))))
      end)

      it("of a sorted list end after 10,000 users, and say so", function()
        api:configure { organizations = { [ORG] = { users = 12000 } } }
        local body = get("roster", "?sort=name&page=100")
        assert.equal(100, #titles(body))
        assert.truthy(shown(body):find("12,000 users, 9,901 to 10,000 shown", 1, true))
        assert.truthy(shown(body):find("end with the first 10,000", 1, true))
        assert.equal(404, (request(path("roster", "?sort=name&page=101"))))
        assert.equal(100, #titles(get("roster", "?page=120")))
        assert.is_nil(shown(get("roster", "?page=120")):find("end with the first", 1, true))
      end)
    end)

    it("has a title for its content, without the search", function()
      api:configure { organizations = { [ORG] = { users = 250 } } }
      local seen = {}
      local function title(body)
        local text = body:match "<title>(.-)</title>"
        assert.is_nil(seen[text], text)
        seen[text] = true
        assert.is_nil(text:find("looked", 1, true))
        return text
      end
      assert.equal("Users – " .. ORG .. " – Roster", title(get "roster"))
      assert.equal("Users, page 2 – " .. ORG .. " – Roster", title(get("roster", "?page=2")))
      assert.equal("Admins – " .. ORG .. " – Roster", title(get("roster", "?role=admin")))
      title(search("roster", "q=looked"))
      title(search("roster", "q=looked&role=guest"))
      title(select(2, request "/"))
      title(select(2, request "/?org_id=looked"))
      title(select(2, request(path("roster", "", "looked"))))
      title(select(2, request("/looked", "GET", nil, { Accept = "text/html" })))
      api:configure { always_api = { status = 404 } }
      title(select(2, request(path "roster")))
      api:configure { always_api = { status = 403 } }
      title(select(2, request(path "roster")))
      api:configure { always_api = { status = 500 } }
      title(select(2, request(path "roster")))
    end)

    it("is made for phones, too, and loads nothing from other servers", function()
      local status, body, fields = request(path "roster")
      assert.equal(200, status)
      assert.truthy(body:find('<meta name="viewport" content="width=device-width, initial-scale=1">', 1, true))
      assert.is_nil(body:find("https?://"))
      assert.is_nil(body:find("<script", 1, true))
      assert.is_nil(body:find(' style="', 1, true))
      local nonce = body:match '<style nonce="(%x+)">'
      assert.truthy(fields["content-security-policy"]:find("default-src 'none'; style-src 'nonce-" .. nonce .. "';", 1,
        true))
    end)

    it("escapes the fields of users and the visitor's input", function()
      local hostile = "\"'><script>alert(1)</script>&amp;{{q}}"
      local org_id = organization_of {
        first_name = hostile, last_name = hostile, email = hostile, external_user_id = hostile, town = hostile,
        zip_code = hostile, role = "x\" onclick=\"alert(1)", last_login = "<b>",
      }
      local as_html = "&quot;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;{{q}}"
      local body = search("roster", "q=" .. escaped(hostile) .. "&sort=role", org_id)
      assert.is_nil(body:find("<script", 1, true))
      assert.is_nil(body:find(' onclick="', 1, true))
      assert.truthy(body:find('<bdi class="title">' .. as_html .. " " .. as_html .. "</bdi>", 1, true))
      assert.truthy(body:find('value="' .. as_html .. '"', 1, true))
      assert.truthy(body:find("“<bdi>" .. as_html .. "</bdi>”", 1, true))
      for _, form in ipairs { "q=nobody" .. escaped(hostile), "role=" .. escaped(hostile),
        "role=" .. escaped(hostile) .. "&q=" .. escaped(hostile) } do
        body = search("roster", form, org_id)
        assert.is_nil(body:find("<script", 1, true))
        assert.truthy(body:find(as_html .. '"', 1, true))
      end
      -- As the role in a URL, in links.
      body = get("roster", "?role=" .. escaped 'x" onclick="alert(1)', org_id)
      assert.is_nil(body:find(' onclick="', 1, true))
      assert.equal("users.csv?role=x%22%20onclick%3D%22alert(1)", link(body, "^Download as CSV$"))
      -- As an id and as a path.
      for _, target in ipairs { path("roster", "", escaped(hostile)), "/?org_id=" .. escaped(hostile),
        "/" .. escaped(hostile) } do
        local status
        status, body = request(target, "GET", nil, { Accept = "text/html" })
        assert.is_true(status == 400 or status == 404)
        assert.is_nil(body:find("<script", 1, true))
      end
    end)

    it("counts unknown roles together, however many there are", function()
      local list = {}
      for i = 1, 3000 do
        list[i] = cjson.encode {
          id = "00000000-0000-4000-8000-000000000001", organization_id = helper.OTHER_ORG, email = "a@example.com",
          role = i <= 2 and "admin" or i == 3 and "other" or ("role-%d-"):format(i) .. ("x"):rep(1000),
          num_inverters = 1, num_heat_pumps = 0, num_electric_vehicles = 0, num_wallboxes = 0,
        }
      end
      api:configure { organizations = { [helper.OTHER_ORG] = { raw = "[" .. table.concat(list, ",") .. "]" } } }
      local body = get("roster", "", helper.OTHER_ORG)
      assert.equal(2, number_of(body, "admins"))
      assert.equal(0, number_of(body, "guests"))
      assert.equal(2998, number_of(body, "others"))
      assert.equal(3000, number_of(body, "inverters"))
      assert.is_nil(get("roster"):find("others", 1, true))
    end)

    it("cuts off long texts, and limits impossible numbers", function()
      local long = ("ä"):rep(1e5)
      local org_id = organization_of {
        first_name = long, last_name = long, email = long, external_user_id = long, town = long, zip_code = long,
        role = long, num_inverters = -7, num_heat_pumps = 9007199254740991, num_wallboxes = 3,
        last_login = "9999-12-31T23:59:59Z",
      }
      for _, sort in ipairs { "", "name", "role" } do
        local body = get("roster", "?sort=" .. sort, org_id)
        assert.is_true(#body < 25000, #body)
        local cut = ("ä"):rep(100) .. "…"
        assert.truthy(body:find('<bdi class="title">' .. cut .. " " .. cut .. "</bdi>", 1, true))
        assert.truthy(body:find("9999-12-31 23:59", 1, true))
        assert.equal(0, number_of(body, "inverters"))
        assert.equal(3, number_of(body, "wallboxes"))
        assert.equal(1000000, number_of(body, "heat pumps"))
      end
    end)

    it("needs no more memory for a longer list, sorted or not", function()
      local function read()
        for _ = 1, 4 do
          get("roster", "?page=2")
          get("roster", "?sort=-name&page=2")
        end
      end
      api:configure { organizations = { [ORG] = { users = 2000 } } }
      read()
      local before = peak()
      api:configure { organizations = { [ORG] = { users = 40000 } } }
      read()
      assert.is_true(peak() - before < 6 * 1024, ("%d kB more"):format(peak() - before))
    end)
  end)

  describe("users.csv", function()
    --- The records of a CSV text (RFC 4180), with every line end a CRLF.
    local function parse(text)
      local records, record, position = {}, {}, 1
      while position <= #text do
        local value, stop
        if text:sub(position, position) == '"' then
          local quoted
          quoted, stop = text:match('^"([^"]*)"()', position)
          value = quoted
          while text:sub(stop, stop) == '"' do
            quoted, stop = text:match('^"([^"]*)"()', stop)
            value = value .. '"' .. quoted
          end
        else
          value, stop = text:match('^([^",\r\n]*)()', position)
        end
        record[#record + 1] = value
        local separator = text:match("^,", stop) or assert(text:match("^\r\n", stop), "no line end")
        if separator ~= "," then
          records[#records + 1], record = record, {}
        end
        position = stop + #separator
      end
      return records
    end

    it("returns all users, field by field", function()
      local status, body, fields = request(path "users.csv")
      assert.equal(200, status)
      assert.equal("text/csv; charset=utf-8; header=present", fields["content-type"])
      assert.equal('attachment; filename="users-' .. ORG .. '.csv"', fields["content-disposition"])
      local records = parse(body)
      assert.same(users.FIELDS, records[1])
      for i, user in ipairs(all()) do
        for k, name in ipairs(users.FIELDS) do
          local value = user[name]
          assert.equal(value == nil and "" or tostring(value), records[i + 1][k], name)
        end
      end
      assert.equal(26, #records)
    end)

    it("returns only the header if nobody matches", function()
      assert.same({ users.FIELDS }, parse(search("users.csv", "q=nobody-has-this")))
      api:configure { organizations = { [ORG] = { raw = "[]" } } }
      assert.same({ users.FIELDS }, parse(get("users.csv")))
    end)

    it("is safe to open in a spreadsheet", function()
      local org_id = organization_of {
        external_user_id = "-1+1", first_name = '=HYPERLINK("https://example.com","x")', last_name = "＝1+1",
        town = "\tx", country = "@x", zip_code = "+43", street_and_number = "a,\"b\"\r\nc", latitude = -9.139337,
      }
      local record = parse(get("users.csv", "", org_id))[2]
      local fields = {}
      for i, name in ipairs(users.FIELDS) do fields[name] = record[i] end
      assert.equal("'-1+1", fields.external_user_id)
      assert.equal('\'=HYPERLINK("https://example.com","x")', fields.first_name)
      assert.equal("'＝1+1", fields.last_name)
      assert.equal("'\tx", fields.town)
      assert.equal("'@x", fields.country)
      assert.equal("'+43", fields.zip_code)
      assert.equal('a,"b"\r\nc', fields.street_and_number)
      assert.equal("-9.139337", fields.latitude)
    end)

    it("needs no more memory for a long list", function()
      api:configure { organizations = { [ORG] = { users = 2000 } } }
      for _ = 1, 4 do get("users.csv") end
      local before = peak()
      api:configure { organizations = { [ORG] = { users = 40000 } } }
      local body = get("users.csv")
      assert.is_true(#body > 8e6)
      assert.is_true(peak() - before < 6 * 1024, ("%d kB more"):format(peak() - before))
    end)

    it("breaks the connection if the list breaks off", function()
      api:configure {
        organizations = { [ORG] = { users = 5000 } },
        always_api = { fault = "truncate", after = 1000000 },
      }
      local status, problem, part = request(path "users.csv")
      assert.is_nil(status)
      assert.truthy(problem == "closed" or problem == "connection reset by peer", problem)
      assert.is_true(#part < 1000000)
      assert.truthy(server:log():find("cut short: podero: ", 1, true))
    end)

    it("breaks the connection of HTTP/1.0 clients, too, for which its end would complete the list", function()
      api:configure {
        organizations = { [ORG] = { users = 5000 } },
        always_api = { fault = "truncate", after = 1000000 },
      }
      local connection = assert(socket.connect("127.0.0.1", server.ports.site))
      connection:send("GET " .. path "users.csv" .. " HTTP/1.0\r\nHost: localhost\r\n\r\n")
      local all_of_it, problem = connection:receive("*a")
      connection:close()
      -- After an orderly end, this would be the complete list.
      assert.is_nil(all_of_it)
      assert.equal("closed", problem)
    end)
  end)

  describe("errors", function()
    local NAMES = { "users", "users.csv", "roster" }

    --- Checks that each of the pages has this status. Returns the last one's headers.
    local function fail(status, org_id)
      local fields
      for _, name in ipairs(NAMES) do
        local given, body
        given, body, fields = request(path(name, "", org_id))
        assert.equal(status, given, name .. ": " .. tostring(body))
        if name == "roster" then
          assert.equal("text/html; charset=utf-8", fields["content-type"])
          assert.truthy(body:find("Error " .. status, 1, true))
        else
          local decoded = cjson.decode(body)
          assert.equal("application/json", fields["content-type"])
          assert.equal(status, decoded.status)
          assert.truthy(decoded.request_id:find("^%x+$"))
        end
        helper.without(body, { "127.0.0.1", mock.credentials.client_id, mock.credentials.client_secret })
      end
      return fields
    end

    it("are 400 for an invalid id", function()
      local before = api:counts().api
      fail(400, "no-uuid")
      assert.equal(before, api:counts().api)
    end)

    it("are 404 for an unknown organization", function()
      api:configure { organizations = { [ORG] = { status = 404 } } }
      fail(404)
    end)

    it("are 502 if Podero fails", function()
      api:configure { organizations = { [ORG] = { raw = "[{}]" } } }
      fail(502)
      api:configure { always_api = { status = 403 } }
      fail(502)
    end)

    it("are 504 if Podero does not respond in time", function()
      api:configure { always_api = { delay = TIMEOUT + 1 } }
      fail(504)
    end)

    it("pass on Retry-After, limited to a day", function()
      for given, passed in pairs { ["120"] = "120", [("9"):rep(60)] = "86400" } do
        api:configure { always_api = { status = 503, headers = { ["Retry-After"] = given } } }
        assert.equal(passed, fail(502)["retry-after"])
      end
    end)

    it("are 405 for other methods, and 404 for other paths", function()
      for _, method in ipairs { "PUT", "DELETE", "OPTIONS" } do
        local status, _, fields = request(path "users", method)
        assert.equal(405, status)
        assert.equal("GET, HEAD, POST", fields.allow)
      end
      local status, _, fields = request("/health", "POST", "")
      assert.equal(405, status)
      assert.equal("GET, HEAD", fields.allow)
      assert.equal(404, (request "/nothing"))
      assert.equal(404, (request(path "nothing")))
    end)

    it("look like the site for people, and are JSON for programs, even if nginx itself sends them", function()
      local person = { Accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" }
      api:configure { organizations = { [ORG] = { status = 404 } } }
      for _, case in ipairs {
        { 404, "/nothing", "There is no such page" }, { 404, path "nothing", "There is no such page" },
        { 404, path "users", "There is no such organization" },
        { 404, path "users.csv", "There is no such organization" },
        { 405, path "roster", "This page cannot be used that way", "PUT" },
        { 413, path "roster", "This is too much text", "POST", "q=" .. ("x"):rep(9000) },
        { 400, path("users", "", "x"), "This is not the id of an organization" },
        { 400, path("users.csv", "?q=x"), "This cannot be shown" },
      } do
        local expected, target, title, method, form = case[1], case[2], case[3], case[4], case[5]
        local status, body, fields = request(target, method, form, person)
        assert.same({ expected, "text/html; charset=utf-8" }, { status, fields["content-type"] }, target)
        assert.truthy(body:find("<h1>" .. title .. "</h1>", 1, true), body)
        assert.truthy(body:find('<header class="site"><a href="/">Roster</a></header>', 1, true))
        assert.is_nil(fields["content-disposition"])
        assert.truthy(fields["content-security-policy"]:find(body:match 'nonce="(%x+)"', 1, true))
        if not target:find "roster" then
          status, body, fields = request(target, method, form)
          assert.same({ expected, "application/json" }, { status, fields["content-type"] }, target)
          local decoded = cjson.decode(body)
          assert.equal(expected, decoded.status)
          assert.truthy(decoded.error:find(title, 1, true))
        end
      end
    end)

    it("say what to do: tell the operator, wait, or check the id", function()
      local function text_of(settings)
        api:configure(settings)
        local _, body = request(path "roster")
        return (body:gsub("<style.-</style>", ""):gsub("<[^>]*>", ""):gsub("\194\160", " ")), body
      end
      local OPERATOR = "Trying again will not help. Please tell the people who run this site."
      local AGAIN = "Please try again"
      for _, step in ipairs { { status = 401 }, { status = 403 }, { body = "[{}]", status = 200 } } do
        local text, body = text_of { always_api = step }
        assert.truthy(text:find(OPERATOR, 1, true), text)
        assert.is_nil(text:find(AGAIN, 1, true))
        assert.is_nil(body:find(">Try again<", 1, true))
      end
      for status, title in pairs { [401] = "This site cannot sign in to Podero",
        [403] = "This site may not read this organization" } do
        assert.truthy(text_of({ always_api = { status = status } }):find(title, 1, true))
      end
      for seconds, words in pairs { ["90"] = "2 minutes", ["45"] = "45 seconds", ["7200"] = "2 hours" } do
        local text, body = text_of { always_api = { status = 429, headers = { ["Retry-After"] = seconds } } }
        assert.truthy(text:find("Podero is getting too many requests", 1, true), text)
        assert.truthy(text:find("Please try again in " .. words .. ".", 1, true), text)
        assert.truthy(body:find('<a href="roster">Try again</a>', 1, true))
      end
      for _, step in ipairs { { status = 500 }, { delay = TIMEOUT + 1 }, { status = 429 }, { fault = "truncate" } } do
        local text, body = text_of { always_api = step }
        assert.truthy(text:find("Please try again in a minute.", 1, true), text)
        assert.truthy(body:find('<a href="roster">Try again</a>', 1, true))
      end
      local text, body = text_of { always_api = { status = 404 } }
      assert.truthy(text:find("Please check it, or enter another one.", 1, true))
      assert.truthy(body:find('<form class="finder" action="/">', 1, true))
    end)

    it("tell the operator if the site's secret has changed", function()
      afresh(function()
        api:configure { client_secret = "another" }
        local _, body = request(path "roster")
        assert.truthy(body:find("Podero does not accept the site&#39;s credentials; they may have", 1, true))
      end)
    end)

    it("link back and to another attempt with the same filter after a failed download", function()
      api:configure { always_api = { status = 500 } }
      local person = { Accept = "text/html" }
      local _, body = request(path("users.csv", "?role=admin"), "GET", nil, person)
      assert.truthy(body:find('<a href="users.csv?role=admin">Try again</a>', 1, true))
      assert.truthy(body:find('<a href="roster?role=admin">Back to the users</a>', 1, true))
      _, body = request(path "users.csv", "POST", "q=gruber", person)
      for _, action in ipairs { "users.csv", "roster" } do
        assert.truthy(body:find('<form method="post" action="' .. action
          .. '"><input type="hidden" name="q" value="gruber">', 1, true))
      end
      assert.is_nil(body:find('href="[^"]*gruber'))
    end)

    it("are 500 for a fault of the site, and look like the site", function()
      local broken = site.start(environment(), { timeout = TIMEOUT }, {
        ["lua/site/users.lua"] = "return { each = function() error('no user of this site') end }\n",
      })
      local chunks = {}
      local _, status = http.request {
        url = broken.url .. path "roster", headers = { Accept = "text/html" }, sink = ltn12.sink.table(chunks),
      }
      broken:stop()
      assert.equal(500, status)
      assert.truthy(table.concat(chunks):find("<h1>This site has a fault</h1>", 1, true), table.concat(chunks))
      assert.is_nil(table.concat(chunks):find("no user", 1, true))
    end)
  end)

  describe("the first page", function()
    it("has a form that redirects to an organization's users", function()
      local status, body, fields = request "/"
      assert.equal(200, status)
      assert.equal("text/html; charset=utf-8", fields["content-type"])
      assert.truthy(body:find('<form class="finder" action="/">', 1, true))
      assert.truthy(body:find('<label for="org_id">Organization id</label>', 1, true))
      for _, given in ipairs { ORG, ORG:upper(), "%20" .. ORG .. "%0A" } do
        local connection = assert(socket.connect("127.0.0.1", server.ports.site))
        connection:send(("GET /?org_id=%s HTTP/1.0\r\nHost: localhost\r\n\r\n"):format(given))
        local response = connection:receive "*a"
        connection:close()
        assert.truthy(response:find "^HTTP/1.1 303 ")
        -- Without the host, since a proxy may have another.
        assert.truthy(response:find("\nLocation: /orgs/" .. ORG .. "/roster\r\n", 1, true), response)
      end
    end)

    it("says what an id looks like if it is given an invalid one", function()
      for _, given in ipairs {
        "x", ORG .. "0", "//example.com", "%0D%0ALocation:%20x", ("x"):rep(1000), "%22%3E%3Cb%3E",
      } do
        local status, body = request("/?org_id=" .. given)
        assert.equal(400, status)
        assert.truthy(body:find('This is not an id: 32 digits', 1, true))
        assert.truthy(body:find('aria-invalid="true"', 1, true))
        assert.is_nil(body:find("<b>", 1, true))
        assert.is_true(#body < 12000)
      end
      for _, query in ipairs { "?org_id=", "?org_id", "?org_id=%20", "?org_id=a&org_id=b", "?" .. ("x=1&"):rep(100) } do
        assert.equal(200, (request("/" .. query)), query)
      end
    end)
  end)

  describe("health", function()
    it("is good while there is a token", function()
      get("users")
      local status, body, fields = request "/health"
      assert.equal(200, status)
      assert.equal("application/json", fields["content-type"])
      local decoded = cjson.decode(body)
      assert.equal("ok", decoded.status)
      assert.is_true(decoded.token_seconds > 30000)
    end)

    it("is bad if token requests are refused", function()
      afresh(function()
        api:configure { client_secret = "another" }
        local status, body = request "/health"
        assert.equal(503, status)
        assert.same({ status = "unavailable", reason = "auth" }, cjson.decode(body))
        assert.equal(502, (request(path "users")))
      end)
    end)
  end)

  it("answers HEAD with the same headers and no body", function()
    for _, name in ipairs { path "users", path "users.csv", path "roster", "/health", path("users", "", "no-uuid") } do
      local status, _, fields = request(name)
      local head_status, body, head = request(name, "HEAD")
      assert.equal(status, head_status, name)
      assert.equal("", body)
      assert.equal(fields["content-type"], head["content-type"])
      assert.equal(fields["content-disposition"], head["content-disposition"])
    end
  end)

  it("has security headers in every response", function()
    for _, name in ipairs { path "users", path "users.csv", path "roster", "/health", path("users", "", "x"), "/" } do
      local _, _, fields = request(name)
      assert.equal("no-store", fields["cache-control"], name)
      assert.equal("nosniff", fields["x-content-type-options"])
      assert.equal("no-referrer", fields["referrer-policy"])
      assert.truthy(fields["content-security-policy"]:find("frame-ancestors 'none'", 1, true))
      assert.is_nil(fields.server:find("%d"))
    end
  end)

  it("fetches one token for all workers", function()
    afresh(function()
      local before = api:counts().token
      for _ = 1, 20 do get("users") end
      assert.equal(before + 1, api:counts().token)
    end)
  end)

  it("logs each request to Podero, without secrets and searches", function()
    afresh(function()
      search("users", "q=looked-for")
      local log = log_with '"POST /orgs/[%x-]+/users" 200 '
      local _, lines = log:gsub("podero: %u+ http://%S+: 200, attempt 1, [%d.]+ s, %d+ bytes", "")
      assert.equal(2, lines)
      helper.without(log, { mock.credentials.client_secret, "tok-", "looked-for" })
    end)
  end)

  it("logs errors during a search without the search", function()
    afresh(function()
      local form = "q=%40post.example&role=user" -- a fifth of the e-mail addresses
      for _, name in ipairs { "users", "users.csv", "roster" } do
        -- Podero's error, a response that is cut short, a body that is too large, an invalid id.
        api:configure { always_api = { status = 500 } }
        assert.equal(502, (request(path(name), "POST", form)))
        api:configure { organizations = { [ORG] = { users = 5000 } }, always_api = { fault = "truncate", after = 9e5 } }
        request(path(name), "POST", form)
        api:configure()
        assert.equal(413, (request(path(name), "POST", form .. ("x"):rep(9000))))
        assert.equal(400, (request(path(name, "", "no-uuid"), "POST", form)))
        -- The visitor disconnects.
        api:configure { always_api = { delay = TIMEOUT } }
        local before = api:counts().api
        local connection = assert(socket.connect("127.0.0.1", server.ports.site))
        connection:send(("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nContent-Type: "
          .. "application/x-www-form-urlencoded\r\n\r\n%s"):format(path(name), #form, form))
        local ends = socket.gettime() + 5
        while api:counts().api == before do assert.is_true(socket.gettime() < ends) end
        connection:close()
        log_with('"POST /orgs/[%x-]+/' .. name:gsub("%.", "%%.") .. '" 499 ')
      end
      local log = server:log()
      assert.truthy(log:find('%[error%][^\n]* podero: http: [^\n]*request: "POST /orgs/'), log)
      assert.truthy(log:find('%[error%][^\n]* cut short: [^\n]*request: "POST /orgs/'), log)
      assert.truthy(log:find('%[error%][^\n]*too large body[^\n]*request: "POST /orgs/'), log)
      helper.without(log, { "post.ex", "@", "%40" })
    end)
  end)

  it("refuses a search in a URL, and does not log it", function()
    afresh(function()
      for _, name in ipairs { "users", "users.csv", "roster" } do
        for _, query in ipairs {
          "?q=looked-for", "?role=admin&q=looked-for", "?%71=looked-for", "?q", "?q=1&q=looked-for",
        } do
          local status, body, fields = request(path(name, query))
          assert.equal(400, status, query)
          assert.truthy(body:find("POST", 1, true))
          assert.equal(name == "roster" and "text/html; charset=utf-8" or "application/json", fields["content-type"])
          assert.equal(400, (request(path(name, query), "POST", "role=admin")))
        end
      end
      -- A request that nginx cannot parse.
      local connection = assert(socket.connect("127.0.0.1", server.ports.site))
      connection:send(("GET %s HTTP/1.1\r\nHost: localhost\r\n(:\r\nHost: localhost\r\n\r\n"):format(
        path("users", "?q=looked-for")))
      assert.truthy(connection:receive("*l"):find(" 400 ", 1, true))
      connection:close()
      assert.equal(200, (request "/health"))
      log_with '"GET /orgs/[%x-]+/roster" 400 '
      helper.without(server:log(), { "looked" })
    end)
  end)

  it("refuses parameters that are unreadable, too long or too many", function()
    local before = api:counts().api
    for _, name in ipairs { "users", "users.csv", "roster" } do
      assert.equal(400, (request(path(name), "POST", "q=" .. ("x"):rep(601))))
      assert.equal(400, (request(path(name), "POST", "role=" .. ("x"):rep(601))))
      assert.equal(400, (request(path(name, "?role=" .. ("x"):rep(601)))))
      assert.equal(400, (request(path(name), "POST", ("x=1&"):rep(100) .. "q=y")))
      assert.equal(400, (request(path(name, "?" .. ("x=1&"):rep(100) .. "role=admin"))))
      assert.equal(400, (request(path(name), "POST", '{"q":"x"}', { ["Content-Type"] = "application/json" })))
      assert.equal(413, (request(path(name), "POST", "q=" .. ("x"):rep(1e5))))
    end
    assert.equal(before, api:counts().api)
    assert.equal("[]\n", search("users", "q=" .. ("%C3%A4"):rep(200)))
  end)

  describe("host names", function()
    --- Sends a request with this request line and these header lines. Returns its status and the response.
    local function status_of(line, fields)
      local connection = assert(socket.connect("127.0.0.1", server.ports.site))
      connection:settimeout(10)
      connection:send(line .. "\r\n" .. fields .. "Connection: close\r\n\r\n")
      local all_of_it = assert(connection:receive "*a")
      connection:close()
      return tonumber(all_of_it:match "^HTTP/1.1 (%d+)"), all_of_it
    end

    it("of the site itself are accepted, with a port or without", function()
      for _, name in ipairs { "localhost", "127.0.0.1", "LOCALHOST", "localhost.", "localhost:8080" } do
        assert.equal(200, (status_of("GET /health HTTP/1.1", "Host: " .. name .. "\r\n")), name)
      end
    end)

    it("of others are refused, whatever is requested", function()
      local before = api:counts()
      for _, target in ipairs { path "users", path "users.csv", path "roster", "/health", "/" } do
        for _, method in ipairs { "GET", "HEAD", "POST" } do
          for _, name in ipairs { "rebound.example", "localhost.example", "127.0.0.1.example", "10.0.0.1", "[::1]" } do
            local status, response = status_of(method .. " " .. target .. " HTTP/1.1", "Host: " .. name .. "\r\n")
            assert.equal(421, status, name)
            assert.truthy(response:find("Cache-Control: no-store", 1, true))
          end
        end
        assert.equal(421, (status_of("GET http://rebound.example" .. target .. " HTTP/1.1", "Host: localhost\r\n")))
        assert.equal(421, (status_of("GET " .. target .. " HTTP/1.0", "")))
        assert.equal(400, (status_of("GET " .. target .. " HTTP/1.1", "")))
        assert.equal(400, (status_of("GET " .. target .. " HTTP/1.1", "Host: localhost\r\nHost: rebound.example\r\n")))
      end
      assert.same(before, api:counts())
    end)
  end)

  describe("texts", function()
    local text = dofile "examples/nginx/lua/site/text.lua"
    package.loaded["site.style"] = ""
    local page = dofile "examples/nginx/lua/site/page.lua"
    package.loaded["site.style"] = nil

    --- Processor time of one call, the minimum of a few.
    local function seconds_of(f, value)
      local least = math.huge
      for _ = 1, 3 do
        local calls, began = 0, os.clock()
        local seconds
        repeat
          f(value)
          calls = calls + 1
          seconds = os.clock() - began
        until seconds > 0.02
        least = math.min(least, seconds / calls)
      end
      return least
    end

    -- A ratio of 8 is linear, and of 64 quadratic. Other load on the machine does not blur that.
    it("take time in proportion to their length", function()
      local blanks = (" "):rep(20000)
      local inputs = { blanks, "a" .. blanks .. "b", blanks .. "a", "a" .. blanks, ("a "):rep(10000), ("Ä"):rep(10000),
        ("<"):rep(20000), ("{{a"):rep(7000), ("\128"):rep(20000) }
      local functions = {
        trim = text.trim, collation = text.collation, escape = page.escape,
        cut = function(value) return text.cut(value, 15000) end,
        fill = function(value) return page.fill("{{a}}", { a = value }) end,
      }
      for name, f in pairs(functions) do
        for i, input in ipairs(inputs) do
          local ratio = seconds_of(f, input:rep(8)) / seconds_of(f, input)
          assert.is_true(ratio < 24, ("%s, input %d: %.1f"):format(name, i, ratio))
        end
      end
    end)

    it("are trimmed at both ends, and cut between characters", function()
      for given, trimmed in pairs { ["  a b\t\r\n"] = "a b", [""] = "", [" \n "] = "", ["a"] = "a", [" ä "] = "ä" } do
        assert.equal(trimmed, text.trim(given))
      end
      assert.equal("äö", text.cut("äö", 4))
      assert.equal("ä…", text.cut("äö", 3))
      assert.equal("ä…", text.cut("äöü", 2))
      assert.equal("…", text.cut("\240\159\152\128", 3))
      assert.equal("…", text.cut(("\128"):rep(10), 5))
    end)

    it("group digits, and have counts and durations", function()
      for number, grouped in pairs {
        [0] = "0", [7] = "7", [999] = "999", [1000] = "1,000", [123456] = "123,456", [1e9] = "1,000,000,000",
      } do
        assert.equal(grouped, text.grouped(number))
      end
      assert.equal("1\194\160user", text.counted(1, "user", "users"))
      assert.equal("0\194\160users", text.counted(0, "user", "users"))
      for seconds, duration in pairs {
        [0] = "1 second", [0.2] = "1 second", [59] = "59 seconds", [60] = "1 minute", [61] = "2 minutes",
        [3600] = "1 hour", [5000] = "2 hours", [86400] = "1 day",
      } do
        assert.equal(duration, (text.duration(seconds):gsub("\194\160", " ")))
      end
    end)
  end)

  it("refuses to start without credentials", function()
    local ok, problem = pcall(site.start, { PODERO_BASE_URL = api.url, PODERO_CLIENT_ID = false,
      PODERO_CLIENT_SECRET = false })
    assert.is_false(ok)
    assert.truthy(tostring(problem):find("no credentials", 1, true), problem)
  end)

  it("runs as a demo, which leaves no files", function()
    local name = os.tmpname()
    -- The shell prints its process id, which becomes the demo's.
    assert.is_true(nginx.run(("sh -c 'echo $$; exec luajit spec/support/demo_nginx.lua' >%s 2>&1 &"):format(name)))
    local output
    local ends = socket.gettime() + 20
    repeat
      socket.sleep(0.05)
      output = nginx.read_file(name)
    until output:find("Ctrl-C", 1, true) or socket.gettime() > ends
    local pid, url, log = output:match "^%d+", output:match "(http://%S+/roster)", output:match "Log: (%S+)"
    assert.truthy(pid and url and log, output)
    assert.truthy(http.request(url):find("Anna Gruber", 1, true))
    assert.is_true(nginx.run("kill " .. pid))
    ends = socket.gettime() + 10
    repeat socket.sleep(0.05) until not nginx.read_file(log) or socket.gettime() > ends
    assert.is_nil(http.request(url))
    assert.is_nil(nginx.read_file(log))
    os.remove(name)
  end)
end)
