--- Tests of the mock server itself, with curl as a client that is not ours.
-- Run: lua5.4 /usr/bin/busted spec/support/mock_selftest.lua (or luajit, lua5.1)
-- luacheck: std +busted

local cjson = require "cjson"
local socket = require "socket"
local mock = require "spec.support.mock"
local users = require "spec.support.mock.users"
local versions = require "spec.support.versions"

local TOKEN_PATH = "/api/partners/v2.0/auth/token"
local USERS_PATH = "/api/partners/v2.0/org/" .. mock.ORG .. "/users"
local OTHER_ORG = mock.OTHER_ORG
local FORM_GRANT = "-d grant_type=client_credentials"
local JSON_GRANT = "-H 'Content-Type: application/json' -d '{\"grant_type\": \"client_credentials\"}'"
local CLIENT = "-u demo-client:demo-secret"

-- The oldest and the newest Lua will do: the server's part runs in nginx whatever Lua starts it.
if _VERSION ~= "Lua 5.4" and not rawget(_G, "jit") then return end

local function shell(command)
  local pipe = assert(io.popen("{ " .. command .. "; } 2>&1; echo; echo \"exit $?\""))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

--- Runs curl. Returns its exit code, the status, the body, its message and the head of the response.
local function curl(url, arguments)
  local folder = shell("mktemp -d"):match("^(%S+)")
  local command = ("curl -q -sS -m 20 -o body -D head -w 'status=%%{http_code}' %s '%s'"):format(arguments or "", url)
  local text = shell(("cd %s && touch body head; %s; printf '\\ncode=%%d' $?"):format(folder, command))
  local function read(name)
    local file = assert(io.open(folder .. "/" .. name, "rb"))
    local content = file:read("*a")
    file:close()
    return content
  end
  local body, head = read("body"), read("head")
  os.execute("rm -r " .. folder)
  return {
    code = tonumber(text:match("\ncode=(%d+)")), status = tonumber(text:match("status=(%d+)")), body = body,
    message = text:match("curl: ([^\n]*)"), head = head:lower(),
  }
end

local function process_state(pid)
  local file = io.open("/proc/" .. pid .. "/stat")
  if not file then return nil end
  local state = file:read("*a"):match("%) (%a)")
  file:close()
  return state ~= "Z" and state or nil
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

--- The Lua that runs these tests.
local function interpreter()
  local index = 0
  while arg[index - 1] do index = index - 1 end
  return index < 0 and arg[index] or "lua"
end

local function eventually(check)
  local ends = socket.gettime() + 5
  while not check() do
    if socket.gettime() > ends then return false end
    socket.sleep(0.02)
  end
  return true
end

describe("generated users", function()
  local FIRST = "{\"id\":\"9e3779b1-24f4-4062-82f8-000000707053\",\"organization_id\":"

  it("are the same on every Lua", function()
    assert.equal(FIRST, users.user_json(7, 1):sub(1, #FIRST))
    local checksum = 0
    for piece in users.pieces(3, 1200, true) do
      for i = 1, #piece do checksum = (checksum * 31 + piece:byte(i)) % 2147483647 end
    end
    assert.equal("1824470219", ("%d"):format(checksum))
  end)

  it("have every field in the order of the schema", function()
    local position = 0
    for _, name in ipairs(users.FIELDS) do
      local at = assert(users.user_json(11, 1):find("\"" .. name .. "\":", 1, true), name)
      assert.is_true(at > position)
      position = at
    end
  end)

  it("are JSON with every kind of value", function()
    local seen, ids = {}, {}
    local list = cjson.decode(users.list_json(5, 2000, true))
    assert.equal(2222, #list)
    for _, user in ipairs(list) do
      assert.is_nil(ids[user.id])
      ids[user.id] = true
      assert.truthy(user.id:match("^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+$"))
      assert.equal(36, #user.id)
      for _, name in ipairs(users.FIELDS) do
        local value = user[name]
        seen[name .. (value == nil and " absent" or value == cjson.null and " null" or " value")] = true
      end
      seen[user.role] = true
    end
    for _, name in ipairs { "external_user_id", "first_name", "is_onboarded", "latitude", "last_login", "joined_at" } do
      for _, fate in ipairs { " absent", " null", " value" } do assert.is_true(seen[name .. fate], name .. fate) end
    end
    for _, role in ipairs { "admin", "staff", "user", "guest" } do assert.is_true(seen[role]) end
    for _, name in ipairs { "id", "email", "role", "num_inverters" } do
      assert.is_nil(seen[name .. " null"])
      assert.is_nil(seen[name .. " absent"])
    end
  end)

  it("use raw UTF-8 and every escape", function()
    local text = users.list_json(5, 500, false)
    for _, part in ipairs { "\\ud83d\\ude00", "\\\"", "\\\\", "\\n", "\\t", "\\/", "\\u00fc", "ü", "\240\159\152\128",
      "Z\"", "+00:00\"", "\"latitude\": 48," } do
      assert.truthy(text:find(part, 1, true), part)
    end
  end)

  it("count the soft-deleted ones on top", function()
    assert.equal(25, #cjson.decode(users.list_json(1, 25, false)))
    assert.equal(27, #cjson.decode(users.list_json(1, 25, true)))
    assert.equal(27, users.count(25, true))
    assert.equal("[]", users.list_json(1, 0, true))
    for n = 1, 40 do assert.equal(n, #cjson.decode(users.list_json(1, n, false))) end
  end)

  it("take members that the schema lacks", function()
    local user = cjson.decode(users.user_json(1, 1, { extra = "\"country_iso2\": \"AT\"", org_id = OTHER_ORG }))
    assert.equal("AT", user.country_iso2)
    assert.equal(OTHER_ORG, user.organization_id)
  end)

  it("come in pieces of about 64 KB that make up the list", function()
    local parts = {}
    for piece in users.pieces(9, 3000, true) do
      assert.is_true(#piece < 80000)
      parts[#parts + 1] = piece
    end
    assert.is_true(#parts > 20)
    assert.equal(users.list_json(9, 3000, true), table.concat(parts))
  end)
end)

describe("mock server", function()
  local server

  local function api(arguments, path)
    return curl(server.url .. (path or USERS_PATH), "-H 'Authorization: Bearer static' " .. (arguments or ""))
  end

  local function secure(arguments, path)
    return curl(server.tls_url .. (path or USERS_PATH),
      "-H 'Authorization: Bearer static' --cacert " .. server.ca_file .. " " .. (arguments or ""))
  end

  local function token(arguments, path)
    local result = curl(server.url .. (path or TOKEN_PATH), arguments)
    local ok, answer = pcall(cjson.decode, result.body)
    result.answer = ok and answer or {}
    return result
  end

  local function configure(settings)
    settings.accept_tokens = { "static" }
    server:configure(settings)
  end

  local function last(kind)
    local list = server:requests(kind)
    return list[#list]
  end

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    server:reset()
    configure {}
  end)

  describe("token endpoint", function()
    it("takes form and JSON, basic and body, at both addresses", function()
      local secret = " -d client_id=demo-client -d client_secret=demo-secret"
      for _, path in ipairs { TOKEN_PATH, "/oauth2/token/" } do
        for _, arguments in ipairs { CLIENT .. " " .. FORM_GRANT, CLIENT .. " " .. JSON_GRANT, FORM_GRANT .. secret } do
          local result = token(arguments, path)
          assert.equal(200, result.status)
          assert.truthy(result.answer.access_token:match("^tok%-%d+%-%x+$"))
          assert.equal(36000, result.answer.expires_in)
          assert.equal("Bearer", result.answer.token_type)
          assert.equal("read write", result.answer.scope)
          assert.is_nil(result.answer.refresh_token)
        end
      end
      local seen = {}
      for _, request in ipairs(server:requests("token")) do
        seen[#seen + 1] = request.encoding .. " " .. request.client_auth .. " " .. request.grant
      end
      assert.same({
        "form basic client_credentials", "json basic client_credentials", "form body client_credentials",
        "form basic client_credentials", "json basic client_credentials", "form body client_credentials",
      }, seen)
      assert.equal(6, server:counts().tokens_by_grant.client_credentials)
    end)

    it("decodes basic credentials as RFC 6749 has them encoded", function()
      configure { client_id = "a b:c", client_secret = "ä+%/?" }
      assert.equal(200, token("-u 'a+b%3Ac:%C3%A4%2B%25%2F%3F' " .. FORM_GRANT).status)
      assert.equal(401, token("-u 'a b:c:ä+%/?' " .. FORM_GRANT).status)
    end)

    it("does not decode basic credentials if it is not to", function()
      configure { client_id = "a b+c", client_secret = "ä+%/?", basic_decode = false }
      assert.equal(200, token("-u 'a b+c:ä+%/?' " .. FORM_GRANT).status)
      assert.equal(401, token("-u 'a+b%2Bc:%C3%A4%2B%25%2F%3F' " .. FORM_GRANT).status)
    end)

    it("differs from the other endpoint where it is to", function()
      configure { grants = {}, endpoints = {
        ["/oauth2/token/"] = { grants = { "client_credentials" } },
        [TOKEN_PATH] = { grant_refusal = "ninja_422", client_secret = "another" },
      } }
      local result = token("-u demo-client:another " .. FORM_GRANT)
      assert.equal(422, result.status)
      assert.truthy(result.body:find("Input should be 'password' or 'refresh_token'", 1, true))
      assert.equal(200, token(CLIENT .. " " .. FORM_GRANT, "/oauth2/token/").status)
      configure { endpoints = { [TOKEN_PATH] = { always = { status = 404 } } } }
      assert.equal(404, token(CLIENT .. " " .. FORM_GRANT).status)
      assert.equal(200, token(CLIENT .. " " .. FORM_GRANT, "/oauth2/token/").status)
      for _, wrong in ipairs { { ["/x"] = {} }, { [TOKEN_PATH] = { unknown = 1 } },
        { [TOKEN_PATH] = { always = { fault = "unknown" } } }, { [TOKEN_PATH] = { encoding = "xml" } } } do
        assert.is_false(pcall(configure, { endpoints = wrong }))
      end
    end)

    it("refuses the wrong encoding in the words asked for", function()
      local words = {
        ninja_422 = { 422, "Field required" }, ninja_400 = { 400, "Cannot parse request body" },
        ["415"] = { 415, "Unsupported Media Type" }, dot = { 400, "unsupported_grant_type" },
        invalid_request = { 400, "Missing grant_type parameter." },
      }
      for how, expected in pairs(words) do
        configure { encoding = "json", encoding_refusal = how }
        local result = token(CLIENT .. " " .. FORM_GRANT)
        assert.equal(expected[1], result.status)
        assert.truthy(result.body:find(expected[2], 1, true))
        assert.equal(200, token(CLIENT .. " " .. JSON_GRANT).status)
        configure { encoding = "form", encoding_refusal = how }
        assert.equal(expected[1], token(CLIENT .. " " .. JSON_GRANT).status)
        assert.equal(200, token(CLIENT .. " " .. FORM_GRANT).status)
      end
    end)

    it("refuses the wrong way of client authentication", function()
      local body = FORM_GRANT .. " -d client_id=demo-client -d client_secret=demo-secret"
      configure { client_auth = "body" }
      local result = token(CLIENT .. " " .. FORM_GRANT)
      assert.equal(401, result.status)
      assert.equal("invalid_client", result.answer.error)
      assert.truthy(result.head:find("www-authenticate: basic", 1, true))
      assert.equal(200, token(body).status)
      configure { client_auth = "basic", client_refusal = "invalid_request" }
      result = token(body)
      assert.equal(400, result.status)
      assert.equal("Missing client_id parameter.", result.answer.error_description)
      configure { client_auth = "basic", client_refusal = "unauthorized" }
      result = token(body)
      assert.equal(401, result.status)
      assert.equal("Unauthorized", result.answer.detail)
      configure {}
      result = token(CLIENT .. " " .. body)
      assert.equal(400, result.status)
      assert.equal("invalid_request", result.answer.error)
      assert.equal("both", last("token").client_auth)
      assert.equal(401, token("-u demo-client:wrong " .. FORM_GRANT).status)
      assert.equal(401, token(FORM_GRANT).status)
    end)

    it("knows the password grant", function()
      local right = "-d grant_type=password -d username=ada@example.com --data-urlencode 'password=correct horse'"
      local wrong = "-d grant_type=password -d username=ada@example.com -d password=wrong"
      assert.equal(200, token(right).status)
      assert.equal(200, token(CLIENT .. " " .. right).status)
      local result = token(wrong)
      assert.equal(400, result.status)
      assert.equal("invalid_grant", result.answer.error)
      configure { client_required = true }
      assert.equal(401, token(right).status)
      assert.equal(200, token(CLIENT .. " " .. right).status)
      configure { grants = { "client_credentials" } }
      assert.equal("unsupported_grant_type", token(right).answer.error)
    end)

    it("gives refresh tokens for one use each", function()
      configure { refresh = true }
      local first = token(CLIENT .. " " .. FORM_GRANT).answer.refresh_token
      local second = token("-d grant_type=refresh_token -d refresh_token=" .. first).answer
      assert.truthy(second.refresh_token)
      assert.are_not.equal(first, second.refresh_token)
      local again = token("-d grant_type=refresh_token -d refresh_token=" .. first)
      assert.equal(400, again.status)
      assert.equal("invalid_grant", again.answer.error)
    end)

    it("words expires_in and the whole answer as asked", function()
      configure { expires_in = "\"3600\"", token_extra = "\"region\": \"eu\"" }
      local result = token(CLIENT .. " " .. FORM_GRANT)
      assert.equal("3600", result.answer.expires_in)
      assert.equal("eu", result.answer.region)
      configure { expires_in = 60 }
      assert.equal(60, token(CLIENT .. " " .. FORM_GRANT).answer.expires_in)
      configure { expires_in = "null" }
      assert.equal(cjson.null, token(CLIENT .. " " .. FORM_GRANT).answer.expires_in)
      configure { expires_in = "none" }
      assert.is_nil(token(CLIENT .. " " .. FORM_GRANT).answer.expires_in)
      configure { token_raw = "[]" }
      assert.equal("[]", token(CLIENT .. " " .. FORM_GRANT).body)
    end)
  end)

  describe("users", function()
    it("need a token that is known, unexpired and unrevoked", function()
      local function with(access)
        return curl(server.url .. USERS_PATH, "-H 'Authorization: Bearer " .. access .. "'")
      end
      assert.equal(401, curl(server.url .. USERS_PATH).status)
      assert.equal("{\"detail\": \"Unauthorized\"}", with("made-up").body)
      local access = token(CLIENT .. " " .. FORM_GRANT).answer.access_token
      assert.equal(200, with(access).status)
      server:revoke()
      assert.equal(401, with(access).status)
      configure { token_lifetime = 1 }
      access = token(CLIENT .. " " .. FORM_GRANT).answer.access_token
      assert.equal(200, with(access).status)
      socket.sleep(1.05)
      assert.equal(401, with(access).status)
    end)

    it("are the generated ones", function()
      configure { organizations = { [mock.ORG:upper()] = { users = 30, seed = 4, extra = "\"a\": 1" } } }
      local options = { extra = "\"a\": 1" }
      assert.equal(users.list_json(4, 30, false, options), api().body)
      assert.equal(users.list_json(4, 30, true, options), api(nil, USERS_PATH .. "?include_deleted=true").body)
      local other = cjson.decode(api(nil, USERS_PATH:gsub("016b.*3cb90", OTHER_ORG)).body)
      assert.equal(25, #other)
      assert.equal(OTHER_ORG, other[1].organization_id)
    end)

    it("are refused in the manner of Django Ninja", function()
      local result = api(nil, "/api/partners/v2.0/org/no-uuid/users")
      assert.equal(422, result.status)
      assert.equal("uuid_parsing", cjson.decode(result.body).detail[1].type)
      result = api(nil, USERS_PATH .. "?include_deleted=maybe")
      assert.equal(422, result.status)
      assert.equal("include_deleted", cjson.decode(result.body).detail[1].loc[2])
      configure { organizations = { [mock.ORG] = { status = 403 }, [OTHER_ORG] = { raw = "{" } } }
      result = api()
      assert.equal(403, result.status)
      assert.equal("{\"detail\": \"Forbidden\"}", result.body)
      assert.equal("{", api(nil, USERS_PATH:gsub("016b.*3cb90", OTHER_ORG)).body)
      assert.equal(405, api("-X POST").status)
    end)

    it("come chunked or with their length", function()
      assert.truthy(api().head:find("transfer-encoding: chunked", 1, true))
      configure { content_length = true }
      local result = api()
      assert.truthy(result.head:find(("content-length: %d"):format(#result.body), 1, true))
      configure { content_length = true, default_users = 30000 }
      result = api()
      assert.truthy(result.head:find(("content-length: %d"):format(#result.body), 1, true))
    end)

    it("are compressed when that is on and the client asks", function()
      assert.is_nil(api("-H 'Accept-Encoding: gzip'").head:find("content-encoding", 1, true))
      configure { gzip = true, default_users = 500 }
      local result = api("--compressed")
      assert.truthy(result.head:find("content-encoding: gzip", 1, true))
      assert.equal(500, #cjson.decode(result.body))
      assert.is_nil(api().head:find("content-encoding", 1, true))
    end)

    it("stream in bounded memory, however many", function()
      configure { default_users = 300000 }
      local text = shell(("curl -s -H 'Authorization: Bearer static' %s | wc -c"):format(server.url .. USERS_PATH))
      assert.is_true(tonumber(text:match("%d+")) > 150e6)
      for line in io.lines("/proc/" .. server.pid .. "/status") do
        local peak = line:match("VmHWM:%s+(%d+)")
        if peak then assert.is_true(tonumber(peak) < 150 * 1024) end
      end
    end)

    it("wait for a slow reader, and stop when it leaves", function()
      configure { default_users = 300000 }
      assert.equal(28, api("-m 0.5 --limit-rate 1M").code)
      assert.is_true(eventually(function() return last("api").done end))
      assert.is_true(last("api").sent < 40e6)
      assert.equal(0, server:counts().in_flight.api)
    end)
  end)

  describe("other pages", function()
    it("echo, configured pages and 404", function()
      local echo = cjson.decode(api("-H 'X-Test: ä'", "/api/partners/v2.0/echo?a=1%2B2&b=%C3%BC&a=3").body)
      assert.equal("GET", echo.method)
      assert.same({ "1+2", "3" }, echo.query.a)
      assert.equal("ü", echo.query.b)
      assert.equal("ä", echo.headers["x-test"])
      configure { paths = {
        ["/api/partners/v2.0/page"] = { body = "<p>", content_type = "text/html", headers = { ["X-A"] = "b" } },
        ["/api/partners/v2.0/moved"] = { status = 302, headers = { Location = "http://other.example/" } },
      } }
      local page = api(nil, "/api/partners/v2.0/page")
      assert.equal("<p>", page.body)
      assert.truthy(page.head:find("x-a: b", 1, true))
      assert.truthy(page.head:find("content-type: text/html", 1, true))
      assert.truthy(api(nil, "/api/partners/v2.0/moved").head:find("location: http://other.example/", 1, true))
      assert.equal("{\"detail\": \"Not Found\"}", api(nil, "/api/partners/v2.0/none").body)
      assert.equal(404, api(nil, "/elsewhere").status)
      assert.equal(1, server:counts().other)
    end)
  end)

  describe("script", function()
    it("takes one step a request, then all is normal", function()
      configure { script = {
        api = { { status = 503, times = 2, headers = { ["Retry-After"] = "2" } }, { ok = true }, { body = "[1]" } },
        token = { { status = 500, body = "<html>", content_type = "text/html" } },
      } }
      local first = api()
      assert.equal(503, first.status)
      assert.equal("{\"detail\": \"Service Unavailable\"}", first.body)
      assert.truthy(first.head:find("retry-after: 2", 1, true))
      assert.equal(503, api().status)
      assert.equal(200, api().status)
      assert.equal("[1]", api().body)
      assert.equal(25, #cjson.decode(api().body))
      assert.truthy(token(CLIENT .. " " .. FORM_GRANT).head:find("text/html", 1, true))
      assert.equal(200, token(CLIENT .. " " .. FORM_GRANT).status)
      assert.same({ ["503"] = 2, ["200"] = 4, ["500"] = 1 }, server:counts().statuses)
    end)

    it("can hold for every request, and be patched", function()
      configure { always_api = { status = 429 }, script = { api = { { ok = true } } } }
      assert.equal(200, api().status)
      assert.equal(429, api().status)
      assert.equal(429, api().status)
      server:patch { always_api = false }
      assert.equal(200, api().status)
    end)

    it("delays and revokes", function()
      local access = token(CLIENT .. " " .. FORM_GRANT).answer.access_token
      configure { script = { api = { { delay = 0.3, revoke = true } } } }
      local start = socket.gettime()
      assert.equal(401, curl(server.url .. USERS_PATH, "-H 'Authorization: Bearer " .. access .. "'").status)
      assert.is_true(socket.gettime() - start >= 0.3)
    end)

    it("refuses what it does not know", function()
      assert.has_error(function() server:configure { sript = {} } end)
      assert.has_error(function() server:configure { encoding = "xml" } end)
      assert.has_error(function() server:configure { script = { api = { { falt = "close" } } } } end)
      assert.has_error(function() server:configure { script = { api = { { fault = "explode" } } } } end)
      assert.has_error(function() server:configure { always_api = { { ok = true } } } end)
    end)
  end)

  describe("fault", function()
    local function faulty(name, more)
      local step = { fault = name }
      for key, value in pairs(more or {}) do step[key] = value end
      configure { default_users = 2, always_api = step, always_token = step }
    end

    -- What curl says over plain HTTP/1.1, HTTP/1.1 in TLS, and HTTP/2. `cut`: that of plain HTTP/1.1, or 56.
    local function cut(code) return versions.truncated_tls_is_an_error and 56 or code end
    local expected = {
      close = { 52, cut(52), 92 },
      reset = { "reset", "reset", "reset" },
      reset_in_headers = { "reset", "reset", "reset" },
      reset_in_body = { "reset", "reset", "reset" },
      truncate = { 18, cut(18), 92 },
      truncate_chunked = { 18, cut(18), 92 },
      truncate_json_close = { 0, cut(0), 92 },
      garbage = { 1, 1, 92 },
      close_after = { 0, 0, 0 },
      informational = { 0, 0, 0 },
      big_headers = { 0, 0, 0 },
    }
    for name, codes in pairs(expected) do
      it(name .. " works on every protocol", function()
        faulty(name)
        local results = { api("--http1.1"), secure("--http1.1"), secure("--http2") }
        for i, result in ipairs(results) do
          if codes[i] == "reset" then
            assert.truthy(result.message:find("Connection reset by peer", 1, true), result.message)
          else
            assert.equal(codes[i], result.code, result.message)
          end
          if codes[i] == 0 then assert.equal(200, result.status) end
        end
        assert.equal(3, server:counts().api)
        assert.equal(0, server:counts().in_flight.api)
      end)

      it(name .. " works on the token endpoint", function()
        faulty(name)
        local result = token(CLIENT .. " " .. FORM_GRANT)
        if codes[1] == "reset" then
          assert.truthy(result.message:find("Connection reset by peer", 1, true), result.message)
        else
          assert.equal(codes[1], result.code, result.message)
        end
      end)
    end

    it("truncate_json_close leaves half a list", function()
      faulty("truncate_json_close")
      assert.has_error(function() cjson.decode(api().body) end)
      faulty("truncate_json_close", { after = 10 })
      assert.equal(10, #api().body)
    end)

    it("close_after closes a connection that was to be kept", function()
      faulty("close_after")
      local result = api()
      assert.truthy(result.head:find("connection: keep-alive", 1, true))
      assert.equal(2, #cjson.decode(result.body))
      local url = server.url .. USERS_PATH
      shell(("curl -s -H 'Authorization: Bearer static' %s %s"):format(url, url))
      assert.equal(3, server:counts().connections)
    end)

    it("informational sends a 103 first", function()
      faulty("informational")
      local result = api()
      assert.truthy(result.head:find("^http/1.1 103"))
      assert.equal(200, result.status)
      assert.equal(2, #cjson.decode(result.body))
    end)

    it("big_headers are 100 KB", function()
      faulty("big_headers")
      assert.is_true(#api().head > 100000)
      assert.is_true(#secure().head > 100000)
    end)

    it("stall says nothing more until the client goes", function()
      faulty("stall")
      for _, result in ipairs { api("-m 0.5"), secure("-m 0.5 --http1.1"), secure("-m 0.5 --http2") } do
        assert.equal(28, result.code)
        assert.is_true(#result.body > 100)
        assert.has_error(function() cjson.decode(result.body) end)
      end
      assert.is_true(eventually(function() return server:counts().in_flight.api == 0 end))
    end)

    it("stall ends by itself when told to", function()
      faulty("stall", { seconds = 0.2, after = 5 })
      local result = api()
      assert.equal(18, result.code)
      assert.equal(5, #result.body)
    end)

    it("drip sends byte by byte", function()
      faulty("drip", { interval = 0.05, after = 100 })
      local result = api("-m 0.6")
      assert.equal(28, result.code)
      assert.is_true(#result.body > 101 and #result.body < 120)
      faulty("drip", { interval = 0.001, chunk = 100 })
      assert.equal(2, #cjson.decode(api().body))
    end)

    it("bad_gzip cannot be unpacked", function()
      faulty("bad_gzip")
      assert.equal(61, api("--compressed").code)
      assert.equal(61, secure("--compressed").code)
    end)

    it("gzip_bomb unpacks to a large array", function()
      faulty("gzip_bomb", { bytes = 20000000 })
      local result = api("--compressed")
      assert.equal(0, result.code)
      assert.equal(20000000, #result.body)
      assert.same({}, cjson.decode(result.body))
      assert.is_true(#api().body < 25000)
      assert.is_true(#secure("--compressed").body == 20000000)
    end)
  end)

  describe("connections and records", function()
    it("speak HTTP/2 and HTTP/1.1 over TLS", function()
      secure("--http2")
      local request = last("api")
      assert.equal("HTTP/2.0", request.protocol)
      assert.equal("https", request.scheme)
      assert.equal(server.tls_port, request.port)
      secure("--http1.1")
      assert.equal("HTTP/1.1", last("api").protocol)
      api()
      request = last("api")
      assert.equal("http", request.scheme)
      assert.equal(server.port, request.port)
      assert.equal("Bearer static", request.headers.authorization)
      assert.equal(USERS_PATH, request.uri)
      assert.equal(200, request.status)
    end)

    it("TLS works by address and needs our CA", function()
      assert.equal(404, curl("https://127.0.0.1:" .. server.tls_port .. "/", "--cacert " .. server.ca_file).status)
      assert.equal(60, curl(server.tls_url .. "/").code)
    end)

    it("bad certificates are refused", function()
      local expired = curl(server.expired_url .. "/", "--cacert " .. server.ca_file)
      assert.equal(60, expired.code)
      assert.truthy(expired.message:find("expired", 1, true))
      local wrong = curl(server.wrong_host_url .. "/", "--cacert " .. server.ca_file)
      assert.equal(60, wrong.code)
      assert.equal(204, curl(server.wrong_host_url .. "/", "-k").status)
    end)

    it("client certificates can be asked for", function()
      configure { require_client_cert = true }
      assert.equal(403, secure().status)
      assert.equal(200, secure(("--cert %s --key %s"):format(server.client_cert, server.client_key)).status)
      assert.equal("CN=mock client", last("api").client_cert)
    end)

    it("are counted, also past what is kept", function()
      local file = assert(io.open(server.dir .. "/urls", "w"))
      for _ = 1, 700 do
        file:write(("url = \"%s/api/partners/v2.0/none\"\noutput = \"/dev/null\"\n"):format(server.url))
      end
      file:close()
      shell("curl -s -K " .. server.dir .. "/urls")
      local received = server:received()
      assert.equal(700, received.counts.api)
      assert.equal(1, received.counts.connections)
      assert.equal(500, #received.requests)
      assert.equal(201, received.requests[1].number)
      assert.equal(700, received.requests[500].number)
      assert.equal(received.requests[1].connection, received.requests[500].connection)
      server:reset()
      assert.equal(0, server:counts().api)
      assert.same({}, server:received().requests)
    end)

    it("show how many requests ran at once", function()
      configure { always_api = { delay = 0.3 } }
      local url = server.url .. USERS_PATH
      shell(("curl -s -Z --parallel-immediate -o /dev/null -o /dev/null -o /dev/null %s %s %s"):format(url, url, url))
      assert.equal(3, server:counts().max_in_flight.api)
      assert.equal(0, server:counts().in_flight.api)
    end)

    it("serve as an HTTP proxy's recorder", function()
      curl("http://app.podero.example/oauth2/token/", "--proxy " .. server.url .. " " .. FORM_GRANT)
      local request = last("token")
      assert.equal("POST http://app.podero.example/oauth2/token/ HTTP/1.1", request.request_line)
      assert.equal("app.podero.example", request.headers.host)
    end)
  end)

  it("logs no error", function()
    assert.equal("", server:error_log())
  end)
end)

describe("mock servers", function()
  it("run side by side and leave nothing", function()
    local first, second = mock.start { tls = false }, mock.start { tls = false }
    assert.are_not.equal(first.port, second.port)
    assert.is_nil(first.tls_url)
    assert.equal(401, curl(first.url .. USERS_PATH).status)
    assert.equal(0, second:counts().api)
    first:stop()
    assert.is_nil(process_state(first.pid))
    assert.is_false(exists(first.dir .. "/nginx.conf"))
    assert.equal(7, curl(first.url .. USERS_PATH).code)
    assert.equal(401, curl(second.url .. USERS_PATH).status)
    second:stop()
    second:stop()
  end)

  it("end when the process that started them is gone", function()
    local program = "local s = require(\"spec.support.mock\").start { tls = false } print(s.pid, s.dir) os.exit(1)"
    local text = shell(("%s -e '%s'"):format(interpreter(), program))
    local pid, dir = text:match("(%d+)%s+(%S+)")
    assert.truthy(pid, text)
    assert.is_true(eventually(function() return not process_state(pid) and not exists(dir .. "/nginx.conf") end))
  end)

  it("can be started by hand", function()
    local text = shell(("%s spec/support/mock/serve.lua --tls </dev/null"):format(interpreter()))
    assert.truthy(text:find("PODERO_BASE_URL='https://localhost:%d+'"), text)
    assert.truthy(text:find("exit 0", 1, true))
  end)
end)
