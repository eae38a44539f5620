-- nginx brings a LuaJIT of its own: one run is enough, and it is LuaJIT's.
if not rawget(_G, "jit") then return end

local cjson = require "cjson"
local helper = require "spec.support.helper"
local http = require "socket.http"
local ltn12 = require "ltn12"
local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
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
  -- No reset: the site's workers keep their token, and so does the mock.
  before_each(function() api:configure() end)

  --- Calls `f` with a site that has seen no requests in place of that of the other tests.
  local function afresh(f)
    local old = server
    server = site.start(environment(), { timeout = TIMEOUT })
    local ok, problem = pcall(f)
    server:stop()
    server = old
    if not ok then error(problem, 0) end
  end

  --- Status, body and header fields of a request; nil and a message where the connection broke.
  local function request(path, method)
    local chunks = {}
    local ok, status, fields = http.request {
      url = server.url .. path, method = method or "GET", sink = ltn12.sink.table(chunks),
    }
    if not ok then return nil, status, table.concat(chunks) end
    return status, table.concat(chunks), fields
  end

  local function path(name, query, org_id)
    return "/orgs/" .. (org_id or ORG) .. "/" .. name .. (query or "")
  end

  --- The body of an answer that has to be good.
  local function get(name, query, org_id)
    local status, body = request(path(name, query, org_id))
    assert.equal(200, status, body)
    return body
  end

  --- The users of the mock's organization.
  local function all()
    return helper.oracle(users.list_json(tonumber(ORG:sub(1, 6), 16), 25))
  end

  --- The e-mails of those of the list for which `f` is true, or of all.
  local function emails(list, f)
    local found = {}
    for _, user in ipairs(list) do
      if not f or f(user) then found[#found + 1] = user.email end
    end
    return found
  end

  local function filtered(query)
    return emails(cjson.decode(get("users", query)))
  end

  --- An organization with one user who has these fields, beside what every user has.
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
    it("gives all users as JSON", function()
      local status, body, fields = request(path "users")
      assert.equal(200, status)
      assert.equal("application/json", fields["content-type"])
      assert.is_nil(helper.difference(all(), cjson.decode(body)))
    end)

    it("gives an empty array for nobody", function()
      assert.equal("[]\n", get("users", "?q=nobody-has-this"))
    end)

    it("filters by role", function()
      for _, role in ipairs { "admin", "staff", "user", "guest" } do
        local wanted = emails(all(), function(user) return user.role == role end)
        assert.is_true(#wanted > 0)
        assert.same(wanted, filtered("?role=" .. role))
      end
      assert.same(emails(all()), filtered "?role=&q=")
    end)

    it("searches in e-mail, names and external id, in capitals or not", function()
      local first = { all()[1].email }
      assert.same(first, filtered "?q=ANNA.GRUBER.100001%40")
      assert.same(first, filtered "?q=aNNa+gRUB")
      assert.same(first, filtered "?q=cust-100001")
      assert.same(first, filtered "?role=admin&q=++gruber++")
      assert.same({}, filtered "?role=guest&q=gruber.100001")
      assert.same({}, filtered "?q=wien")
    end)

    it("knows the capitals of other letters than ASCII's, and no patterns", function()
      local org_id = organization_of { first_name = "ŽIGA Ökonom", last_name = "Иван Ωmega 50%" }
      for _, q in ipairs { "žiga", "Žiga", "öKO", "ИВАН", "иван", "ωMEGA", "50%" } do
        assert.equal(1, #cjson.decode(get("users", "?q=" .. q:gsub("%%", "%%25"), org_id)), q)
      end
      for _, q in ipairs { "%.", ".*", "ziga", "\197" } do
        local encoded = q:gsub(".", function(c) return ("%%%02X"):format(c:byte()) end)
        assert.equal(q == "\197" and 1 or 0, #cjson.decode(get("users", "?q=" .. encoded, org_id)), q)
      end
    end)
  end)

  describe("roster", function()
    local function number_of(body, name)
      return tonumber(body:match("<b>(%d+)</b> <span>" .. name .. "</span>"))
    end

    it("shows every user, and counts by role and by device kind", function()
      local status, body, fields = request(path "roster")
      assert.equal(200, status)
      assert.equal("text/html; charset=utf-8", fields["content-type"])
      local roles, devices = {}, {}
      for _, user in ipairs(all()) do
        assert.truthy(body:find(user.email, 1, true), user.email)
        roles[user.role] = (roles[user.role] or 0) + 1
        for name in pairs { num_inverters = 1, num_heat_pumps = 1, num_electric_vehicles = 1, num_wallboxes = 1 } do
          devices[name] = (devices[name] or 0) + user[name]
        end
      end
      assert.equal(roles.admin, number_of(body, "admins"))
      assert.equal(roles.staff, number_of(body, "staff"))
      assert.equal(roles.user, number_of(body, "users"))
      assert.equal(roles.guest, number_of(body, "guests"))
      assert.equal(devices.num_inverters, number_of(body, "inverters"))
      assert.equal(devices.num_heat_pumps, number_of(body, "heat pumps"))
      assert.equal(devices.num_electric_vehicles, number_of(body, "EVs"))
      assert.equal(devices.num_wallboxes, number_of(body, "wallboxes"))
      assert.truthy(body:find("25 of 25 users", 1, true))
    end)

    it("filters as the JSON does, and leads to the CSV with the same filter", function()
      local body = get("roster", "?role=admin&q=gruber")
      assert.truthy(body:find(all()[1].email, 1, true))
      assert.is_nil(body:find(all()[2].email, 1, true))
      assert.truthy(body:find("1 of 25 users", 1, true))
      assert.truthy(body:find("<option selected>admin</option>", 1, true))
      assert.truthy(body:find('name="q" value="gruber"', 1, true))
      local query = body:match 'href="users%.csv(%?[^"]*)"':gsub("&amp;", "&")
      local _, lines = get("users.csv", query):gsub("\r\n", "")
      assert.equal(2, lines)
    end)

    it("is made for phones too, and needs nothing from elsewhere", function()
      local status, body, fields = request(path "roster")
      assert.equal(200, status)
      assert.truthy(body:find('<meta name="viewport" content="width=device-width, initial-scale=1">', 1, true))
      assert.is_nil(body:find("https?://"))
      assert.is_nil(body:find("<script", 1, true))
      local nonce = body:match '<style nonce="(%x+)">'
      assert.truthy(fields["content-security-policy"]:find("default-src 'none'; style-src 'nonce-" .. nonce .. "';", 1,
        true))
    end)

    it("escapes what people typed, and what the visitor did", function()
      local hostile = "\"'><script>alert(1)</script>&amp;{{q}}"
      local org_id = organization_of {
        first_name = hostile, last_name = hostile, email = hostile, external_user_id = hostile, town = hostile,
        zip_code = hostile, role = "x\" onclick=\"alert(1)", last_login = "<b>",
      }
      local escaped = "&quot;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;{{q}}"
      local q = hostile:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end)
      local body = get("roster", "?q=" .. q, org_id)
      assert.is_nil(body:find("<script", 1, true))
      assert.is_nil(body:find(' onclick="', 1, true))
      assert.truthy(body:find("<bdi>" .. escaped .. " " .. escaped .. "</bdi>", 1, true))
      assert.truthy(body:find('value="' .. escaped .. '"', 1, true))
    end)

    it("keeps and shows the first users of a long list", function()
      api:configure { organizations = { [ORG] = { users = 2000 } } }
      local body = get("roster")
      assert.truthy(body:find("2000 of 2000 users, of which the first 500 are shown", 1, true))
      assert.equal(500, select(2, body:gsub("<tr><td>", "")))
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

    it("gives all users, field by field", function()
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

    it("gives the first line alone for nobody", function()
      assert.same({ users.FIELDS }, parse(get("users.csv", "?q=nobody-has-this")))
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

    it("takes no more memory for a long list", function()
      local function peak()
        local most = 0
        for id in nginx.output_of(("pgrep -P %d"):format(server:pid())):gmatch("%d+") do
          local kilobytes = tonumber(nginx.read_file("/proc/" .. id .. "/status"):match("VmHWM:%s*(%d+)"))
          most = math.max(most, kilobytes)
        end
        return most
      end
      api:configure { organizations = { [ORG] = { users = 2000 } } }
      for _ = 1, 4 do get("users.csv") end
      local before = peak()
      api:configure { organizations = { [ORG] = { users = 40000 } } }
      local body = get("users.csv")
      assert.is_true(#body > 8e6)
      assert.is_true(peak() - before < 6 * 1024, ("%d kB more"):format(peak() - before))
    end)

    it("breaks the connection where the list breaks off", function()
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

    it("breaks it for clients of HTTP/1.0 too, to whom its end would mean the end of the list", function()
      api:configure {
        organizations = { [ORG] = { users = 5000 } },
        always_api = { fault = "truncate", after = 1000000 },
      }
      local connection = assert(socket.connect("127.0.0.1", server.ports.site))
      connection:send("GET " .. path "users.csv" .. " HTTP/1.0\r\n\r\n")
      local all_of_it, problem = connection:receive("*a")
      connection:close()
      -- After an orderly end it would be all there was.
      assert.is_nil(all_of_it)
      assert.equal("closed", problem)
    end)
  end)

  describe("errors", function()
    local NAMES = { "users", "users.csv", "roster" }

    --- Each of the pages answers with this status; the last answer's header fields.
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
          local answer = cjson.decode(body)
          assert.equal("application/json", fields["content-type"])
          assert.equal(status, answer.status)
          assert.truthy(answer.request_id:find("^%x+$"))
        end
        helper.without(body, { "127.0.0.1", mock.credentials.client_id, mock.credentials.client_secret })
      end
      return fields
    end

    it("are 400 for what is no id", function()
      local before = api:counts().api
      fail(400, "no-uuid")
      assert.equal(before, api:counts().api)
    end)

    it("are 404 for an unknown organization", function()
      api:configure { organizations = { [ORG] = { status = 404 } } }
      fail(404)
    end)

    it("are 502 where Podero fails", function()
      api:configure { organizations = { [ORG] = { raw = "[{}]" } } }
      fail(502)
      api:configure { always_api = { status = 403 } }
      fail(502)
    end)

    it("are 504 where Podero does not answer in time", function()
      api:configure { always_api = { delay = TIMEOUT + 1 } }
      fail(504)
    end)

    it("pass Retry-After on", function()
      api:configure { always_api = { status = 503, headers = { ["Retry-After"] = "120" } } }
      assert.equal("120", fail(502)["retry-after"])
    end)

    it("are 405 for other methods, and 404 for other paths", function()
      for _, method in ipairs { "POST", "PUT", "DELETE" } do
        local status, _, fields = request(path "users", method)
        assert.equal(405, status)
        assert.equal("GET, HEAD", fields.allow)
      end
      assert.equal(404, (request "/"))
      assert.equal(404, (request(path "nothing")))
    end)
  end)

  describe("health", function()
    it("is good while there is a token", function()
      get("users")
      local status, body, fields = request "/health"
      assert.equal(200, status)
      assert.equal("application/json", fields["content-type"])
      local answer = cjson.decode(body)
      assert.equal("ok", answer.status)
      assert.is_true(answer.token_seconds > 30000)
    end)

    it("is bad where there is none to be had", function()
      afresh(function()
        api:configure { client_secret = "another" }
        local status, body = request "/health"
        assert.equal(503, status)
        assert.same({ status = "unavailable", reason = "auth" }, cjson.decode(body))
        assert.equal(502, (request(path "users")))
      end)
    end)
  end)

  it("answers HEAD with the same fields and no body", function()
    for _, name in ipairs { path "users", path "users.csv", path "roster", "/health", path("users", "", "no-uuid") } do
      local status, _, fields = request(name)
      local head_status, body, head = request(name, "HEAD")
      assert.equal(status, head_status, name)
      assert.equal("", body)
      assert.equal(fields["content-type"], head["content-type"])
      assert.equal(fields["content-disposition"], head["content-disposition"])
    end
  end)

  it("has security headers on every answer", function()
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

  it("logs each request to Podero, and neither secrets nor what people search for", function()
    afresh(function()
      get("users", "?q=looked-for")
      local log, access
      local ends = socket.gettime() + 5
      repeat -- nginx writes a request's line after its answer
        log = server:log()
        access = log:match '[^\n]*"GET /orgs/[%x-]+/users" 200 [^\n]*'
      until access or socket.gettime() > ends
      local _, lines = log:gsub("podero: %u+ http://%S+: 200, attempt 1, [%d.]+ s, %d+ bytes", "")
      assert.equal(2, lines)
      helper.without(log, { mock.credentials.client_secret, "tok-" })
      assert.is_nil(access:find("looked-for", 1, true))
    end)
  end)

  it("does not start without credentials, and says so", function()
    local ok, problem = pcall(site.start, { PODERO_BASE_URL = api.url, PODERO_CLIENT_ID = false,
      PODERO_CLIENT_SECRET = false })
    assert.is_false(ok)
    assert.truthy(tostring(problem):find("no credentials", 1, true), problem)
  end)

  it("runs as a demo, which leaves nothing behind", function()
    local name = os.tmpname()
    -- The shell's own process id becomes the demo's.
    local command = "sh -c 'echo $$; exec luajit spec/support/demo_nginx.lua' >%s 2>&1 & sleep 0.2; head -n 1 %s"
    local pid = nginx.output_of(command:format(name, name))
    local output
    local ends = socket.gettime() + 20
    repeat
      socket.sleep(0.05)
      output = nginx.read_file(name)
    until output:find("Ctrl-C", 1, true) or socket.gettime() > ends
    local url, log = output:match "(http://%S+/roster)", output:match "Log: (%S+)"
    assert.truthy(url and log, output)
    assert.truthy(http.request(url):find("Anna Gruber", 1, true))
    assert.is_true(nginx.run("kill " .. pid))
    ends = socket.gettime() + 10
    repeat socket.sleep(0.05) until not nginx.read_file(log) or socket.gettime() > ends
    assert.is_nil(http.request(url))
    assert.is_nil(nginx.read_file(log))
    os.remove(name)
  end)
end)
