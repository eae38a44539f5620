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
    for _, method in ipairs { "GET", "HEAD" } do client:respond(method, "/api/partners/v2.0/raw", { a = 1 }) end
    client:respond("GET", "/api/partners/v2.0/x", { count = 1234567890123456, list = { 1.5, podero.null } })
    local value, response = client:get("/api/partners/v2.0/x")
    assert.same({ count = 1234567890123456, list = { 1.5, podero.null } }, value)
    assert.equal(200, response.status)
    client:respond("POST", "/api/partners/v2.0/x", true)
    assert.is_true((client:request("POST", "/api/partners/v2.0/x", { body = { a = 1 } })))
    assert.equal('{"a":1}', client:get("/api/partners/v2.0/raw", nil, { raw = true }))
    assert.is_true((client:request("HEAD", "/api/partners/v2.0/raw")))
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
    assert.equal("mock-token", (client:token()))
    client:fail_next { kind = "timeout", org_id = OTHER }
    assert(client:list_users(ORG))
    assert.is_true(helper.failed("timeout", client:list_users(OTHER)).retryable)
    client:fail_next { kind = "decode" }
    local ok, raised = pcall(function() for _ in client:each_user(ORG) do end end) -- luacheck: ignore 542
    assert.same({ false, "decode", 0 }, { ok, raised.kind, raised.delivered })
    helper.raises("unknown kind 'no'", client.fail_next, client, { kind = "no" })
    helper.raises("unknown field 'statsu'", client.fail_next, client, { statsu = 503 })
    helper.raises("unknown method 'list_user'", client.fail_next, client, { method = "list_user" })
    helper.raises("field 'status': expected a number, got string", client.fail_next, client, { status = "503" })
  end)

  it("gives errors URL and header fields, as far as there was a request and a response", function()
    local url = podero.PRODUCTION .. helper.users_path()
    client:fail_next { status = 503, retry_after = 6.5, headers = { ["X-Request-Id"] = "7" } }
    local err = helper.failed("http", client:list_users(ORG:upper(), { include_deleted = true, query = { a = "b c" } }))
    assert.equal(url .. "?include_deleted=true&a=b+c", err.url)
    assert.same({ ["x-request-id"] = "7", ["retry-after"] = "7" }, err.headers)
    client:fail_next { kind = "network" }
    err = helper.failed("network", client:get("/x", { n = 1 }))
    assert.same({ podero.PRODUCTION .. "/x?n=1" }, { err.url, err.headers })
    client:fail_next { kind = "auth", status = 401, url = podero.PRODUCTION .. "/oauth2/token/" }
    err = helper.failed("auth", client:list_users(ORG))
    assert.same({ podero.PRODUCTION .. "/oauth2/token/", {} }, { err.url, err.headers })
    client:fail_next { kind = "auth", status = 401 }
    assert.equal(podero.PRODUCTION .. "/oauth2/token/", helper.failed("auth", client:token()).url)
    err = helper.failed("not_found", client:find_user(ORG, { email = "nobody" }))
    assert.same({ url, {}, 200 }, { err.url, err.headers, err.status })
    err = helper.failed("argument", client:list_users("12345"))
    assert.same({ 0 }, { err.attempts, err.url, err.headers })
  end)

  it("has a token with expiry and scope", function()
    local token, expires_at, scope = client:token()
    assert.same({ "mock-token", "read write" }, { token, scope })
    assert.is_true(math.abs(expires_at - os.time() - 36000) < 60, tostring(expires_at))
    assert.same({ "t", 12.5, "read" }, { mock.new({ token = "t", expires_at = 12.5, scope = "read" }):token() })
  end)

  it("tells on_progress of the users that were read, at the end", function()
    local told = {}
    local opts = { limit = 1, role = "staff", on_progress = function(bytes, count) told = { bytes > 0, count } end }
    assert.equal("cleo@example.com", client:list_users(ORG, opts)[1].email)
    assert.same({ true, 3 }, told)
    told = nil
    local next_user = client:each_user(ORG, opts)
    next_user()
    assert.is_nil(told)
    next_user()
    assert.same({ true, 3 }, told)
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
    helper.raises({ "'user'", "table expected, got number" }, mock.user, 3)
    helper.raises("num_wallboxes", mock.new, { organizations = { [ORG] = { mock.user { num_wallboxes = "two" } } } })
    helper.raises("organization_id", mock.new, { organizations = { [ORG] = { { id = "1" } } } })
    helper.raises("UUID", mock.new, { organizations = { x = {} } })
    helper.raises("unknown option 'users'", mock.new, { users = {} })
    helper.raises("option 'token': expected a string, got number", mock.new, { token = 5 })
    helper.raises({ ORG, "user 1: " }, mock.new, { deleted = { [ORG] = { mock.user { x = print } } } })
  end)

  it("raises at what is no array of users, and says what it is", function()
    local function raises(text, list)
      for _, option in ipairs { "organizations", "deleted" } do
        local message = helper.raises({ "option '" .. option .. "'", ORG, text }, function()
          mock.new { [option] = { [ORG] = list } }
        end)
        assert.truthy(message:find("mock_module_spec.lua:%d+:"), message)
      end
    end
    raises("expected an array of users, got a table with the key", mock.user())
    raises("user 2 is nil, and there are users after it", { mock.user(), nil, mock.user() })
    raises("expected an array of users, got a table with the key '0'", { [0] = mock.user() })
    raises("expected an array of users, got a table with the key '1.5'", { [1.5] = mock.user() })
    raises("expected an array of users, got number", 5)
    raises("[1]: expected object, got string", { "x" })
    helper.raises({ ORG, "given twice" }, mock.new, { organizations = { [ORG] = {}, [ORG:upper()] = {} } })
  end)

  it("takes the JSON of a list for its users, if the API could send it", function()
    local same = mock.new {
      organizations = { [ORG] = " [" .. cjson.encode(mock.user { zip_code = 8010 }) .. "]\n" },
      deleted = { [ORG] = " [ ] ", [OTHER] = "[" .. cjson.encode(mock.user()) .. "]" },
    }
    assert.equal("8010", same:list_users(ORG, { include_deleted = true })[1].zip_code)
    assert.same({}, same:list_users(OTHER))
    assert.equal(1, #same:list_users(OTHER, { include_deleted = true }))
    helper.raises("expected an array of users, got object", mock.new, { organizations = { [ORG] = "{}" } })
    helper.raises("not JSON", mock.new, { organizations = { [ORG] = "[NaN]" } })
    helper.raises("num_wallboxes", mock.new, { organizations = { [ORG] = '[{"id":"1","organization_id":"2",'
      .. '"role":"user","email":"x","num_inverters":0,"num_heat_pumps":0,"num_electric_vehicles":0}]' } })
  end)
end)

-- The same calls of a real client, whose server has the same users and responses. Every call is made on one line, since
-- messages name that.
describe("podero.mock, compared with a client,", function()
  local UNKNOWN, PAGE = "016b78a7-0c7c-4241-a277-015c3ad3cb92", helper.API .. "/x"
  local METHODS = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" }
  local list, server, real, same

  setup(function()
    local text = users.list_json(11, 60)
    list = cjson.decode(text)
    server = mock_api.start { tls = false }
    helper.static(server, {
      organizations = { [ORG] = { raw = text }, [OTHER] = { raw = "[]" }, [UNKNOWN] = { status = 404 } },
      paths = { [PAGE] = { body = '{"a":[1,2]}', content_type = "application/json" } },
    })
    real = helper.client(server, { access_token = "static" })
    same = mock.new { organizations = { [ORG] = list, [OTHER] = {} } }
    for _, method in ipairs(METHODS) do same:respond(method, PAGE, { a = { 1, 2 } }) end
  end)

  teardown(function()
    helper.close_clients()
    server:stop()
  end)

  --- What two errors have to have in common.
  local function essence(err)
    if not podero.is_error(err) then return err end
    local is_of_arguments = err.kind == "argument" or err.kind == "closed" or err.kind == "not_found"
    return { kind = err.kind, status = err.status, attempts = err.attempts, retryable = err.retryable,
      delivered = err.delivered, url = err.url and err.url:gsub("^https?://[^/]+", ""),
      has_headers = err.headers ~= nil, message = is_of_arguments and err.message or nil }
  end

  --- Returns what a call returns or raises.
  local function outcome(client, method, ...)
    local returned = { pcall(function(...)
      local first, second = client[method](client, ...)
      if method ~= "each_user" then return first, second end
      local all = {}
      for user in first do all[#all + 1] = user end
      return all
    end, ...) }
    for i = 2, 3 do returned[i] = essence(returned[i]) end
    if returned[1] and method == "list_users_of" then
      for id, err in pairs(returned[3]) do returned[3][id] = essence(err) end
    elseif returned[1] and (method == "get" or method == "request") and returned[2] ~= nil then
      returned[3] = returned[3].status
    end
    return returned
  end

  --- A value as text, for messages.
  local function shown(value)
    if type(value) ~= "table" then return tostring(value) end
    local parts = {}
    for name, member in pairs(value) do parts[#parts + 1] = shown(name) .. "=" .. shown(member) end
    return "{" .. table.concat(parts, ", ") .. "}"
  end

  --- Makes the call with both. Returns the outcome.
  local function compare(method, ...)
    local expected = outcome(real, method, ...)
    local difference = helper.difference(expected, outcome(same, method, ...))
    if not difference then return expected end
    local texts = {}
    for i = 1, select("#", ...) do texts[i] = shown((select(i, ...))) end
    error(("%s(%s): %s"):format(method, table.concat(texts, ", "), difference), 0)
  end

  local function refuses(text, method, ...)
    local expected = compare(method, ...)
    assert.is_false(expected[1], "it was taken")
    assert.truthy(expected[2]:find(text, 1, true), expected[2])
  end

  it("refuses the same options, queries, methods and bodies of get and request", function()
    refuses("unknown option 'rw'", "get", PAGE, nil, { rw = true })
    refuses("query: table expected", "get", PAGE, "a=1")
    refuses("query parameter 'a'", "get", PAGE, { a = print })
    refuses("no value expected", "get", PAGE, nil, nil, 5)
    refuses("option 'headers': 'Authorization'", "get", PAGE, nil, { headers = { Authorization = "x" } })
    refuses("got 'FOO'", "request", "FOO", PAGE)
    refuses("got 'post'", "request", "post", PAGE, { body = {} })
    refuses("option 'body': a GET request has no body", "request", "GET", PAGE, { body = {} })
    refuses("needs the option 'content_type'", "request", "POST", PAGE, { body = "x" })
    refuses("cannot be written as JSON", "request", "POST", PAGE, { body = { a = print } })
    refuses("there is no body", "request", "POST", PAGE, { content_type = "text/plain" })
    refuses("option 'query'", "request", "GET", PAGE, { query = 5 })
    refuses("path: string expected", "request", "GET", 5)
    assert.equal("argument", compare("get", "/a/../b")[3].kind)
    assert.same({ true, { a = { 1, 2 } }, 200 },
      compare("request", "POST", PAGE, { body = { a = 1 }, query = { b = 1 } }))
    assert.equal("too_large", compare("get", PAGE, nil, { max_response_bytes = 8 })[3].kind)
    assert.equal("too_large", compare("get", PAGE, nil, { max_response_bytes = 8, raw = true })[3].kind)
  end)

  it("refuses the same queries and header fields of lists", function()
    for _, method in ipairs { "list_users", "each_user", "find_user", "list_users_of" } do
      local function refuses_option(text, opts)
        if method == "find_user" then return refuses(text, method, ORG, { email = "x" }, opts) end
        refuses(text, method, method == "list_users_of" and { ORG } or ORG, opts)
      end
      refuses_option("query parameter 'a'", { query = { a = print } })
      refuses_option("query: names must be strings", { query = { 1 } })
      refuses_option("query parameter 'a': expected a finite number", { query = { a = 0 / 0 } })
      refuses_option("'Host' cannot be set", { headers = { Host = "x" } })
      refuses_option("got number", { headers = function() return 5 end })
    end
  end)

  it("refuses the same organizations of list_users_of, and shares results as it does", function()
    refuses("unknown option 'rle'", "list_users_of", {}, { rle = 1 })
    refuses("a key of type string", "list_users_of", { [ORG] = true })
    refuses("organization id 2: string expected, got nil", "list_users_of", { ORG, nil, OTHER })
    refuses("no value expected", "list_users_of", { ORG }, nil, 1)
    local results = compare("list_users_of", { ORG:upper(), ORG, OTHER, ORG, "x" })
    assert.same({ 60, 60 }, { #results[2][ORG], #results[2][ORG:upper()] })
    for _, client in ipairs { real, same } do
      local shared = client:list_users_of { ORG, ORG:upper() }
      assert.equal(shared[ORG], shared[ORG:upper()])
    end
    assert.equal("argument", results[3].x.kind)
  end)

  it("refuses surplus arguments of token and close, and what is no client", function()
    refuses("no value expected", "token", 1)
    refuses("no value expected", "close", 1)
    for _, method in ipairs { "list_users", "each_user", "find_user", "list_users_of", "get", "request", "token",
      "close" } do
      helper.raises({ "calling '" .. method .. "' on a bad self", "podero.mock.Client expected, got string",
        "client:" .. method }, same[method], ORG)
      helper.raises("bad self", same[method], {})
    end
  end)

  it("says of a closed client that it is closed, before it looks at options", function()
    local first, second = real, same
    real, same = helper.client(server, { access_token = "static" }), mock.new()
    finally(function() real, same = first, second end)
    real:close()
    same:close()
    assert.equal("closed", compare("list_users", ORG, { rle = 1 })[3].kind)
    assert.equal("closed", compare("find_user", "x", 5)[3].kind)
    assert.equal("closed", compare("get", "/a/../b", 5, 5)[3].kind)
    assert.equal("closed", compare("request", "GET", "x", 5)[3].kind)
    assert.equal("closed", compare("token")[3].kind)
    assert.equal("closed", compare("list_users_of", { ORG }, { rle = 1 })[3][ORG].kind)
    assert.equal("closed", compare("each_user", ORG, { rle = 1 })[2].kind)
    refuses("organization id: string expected", "list_users", 5)
    refuses("got 'FOO'", "request", "FOO", 5)
  end)

  -- random calls ------------------------------------------------------------------------------------------------------

  local NIL = {}

  local function pick(values)
    local value = values[math.random(#values)]
    if value == NIL then return nil end
    return value
  end

  --- Options that are added to those of a part of a list; most of them are refused.
  local FIELDS = {
    { "rle", 1 }, { "timeout", 0 }, { "timeout", "x" }, { "timeout", 20 }, { "max_retries", 1.5 }, { "max_retries", 0 },
    { "max_response_bytes", 0 }, { "query", 5 }, { "query", {} }, { "query", { a = 1, b = { "x", 2.5 } } },
    { "query", { a = print } }, { "query", { a = {} } }, { "query", { "x" } }, { "query", { a = 1 / 0 } },
    { "headers", 5 }, { "headers", { Authorization = "x" } }, { "headers", { ["X-A"] = "1" } },
    { "headers", { ["X-A"] = "a\nb" } }, { "headers", { ["X A"] = "a" } }, { "headers", { ["X-A"] = 1 } },
    { "headers", function() return { Host = "x" } end }, { "headers", function() error("mine", 0) end },
    { "headers", function() return { ["X-A"] = "1" } end }, { "headers", function() end },
    { "fields", {} }, { "fields", "email" }, { "fields", { 1 } }, { "role", {} }, { "role", "boss" }, { "role", 5 },
    { "search", 5 }, { "search", "" }, { "where", {} }, { "where", { email = {} } }, { "where", 5 },
    { "where", { zip_code = 8010 } }, { "limit", 0 }, { "limit", 1.5 }, { "limit", "1" }, { "include_deleted", 1 },
    { "include_deleted", true }, { "concurrency", 0 }, { "concurrency", 2 }, { "on_progress", 5 }, { "on_invalid", 5 },
    { "on_progress", function() end }, { "on_invalid", function() end }, { "raw", true }, { "raw", 1 },
    { "body", { a = 1 } }, { "body", "x" }, { "body", 5 }, { "body", { print } }, { "content_type", "text/plain" },
    { "content_type", "" }, { "content_type", 5 }, { 1, 1 }, { true, 1 },
  }

  --- Returns random options: often right ones.
  local function random_opts(is_list)
    if math.random(20) == 1 then return pick { "x", 5, true } end
    if math.random(5) == 1 then return nil end
    local opts = is_list and oracle.random_part(list, math.random) or {}
    while math.random(2) == 1 do
      local field = pick(FIELDS)
      opts[field[1]] = field[2]
    end
    if math.random(10) == 1 then return setmetatable({}, { __index = opts }) end
    return opts
  end

  local function surplus()
    if math.random(20) == 1 then return pick { 5, false, {} } end
  end

  local function random_id()
    return pick { ORG, ORG, ORG, ORG, ORG:upper(), OTHER, UNKNOWN, "12345", "", 5, NIL, true }
  end

  local function random_ids()
    if math.random(6) > 1 then
      local ids = {}
      for i = 1, math.random(0, 4) do ids[i] = pick { ORG, ORG:upper(), OTHER, OTHER, UNKNOWN, "x", "X" } end
      return ids
    end
    return pick { NIL, "x", 5, { [ORG] = true }, { ORG, 5 }, { ORG, nil, OTHER }, { [1.5] = ORG }, { [0] = ORG },
      setmetatable({}, { __index = function(_, i) return ({ ORG, OTHER })[i] end }) }
  end

  local function random_where()
    local opts = oracle.random_part(list, math.random)
    if math.random(3) > 1 then return opts.where or { role = "staff" } end
    return pick { NIL, {}, 5, "x", { email = {} }, { email = print }, { [1] = "x" } }
  end

  local RANDOM = {
    list_users = function() return random_id(), random_opts(true), surplus() end,
    each_user = function() return random_id(), random_opts(true), surplus() end,
    find_user = function()
      local opts = random_opts(true)
      if type(opts) == "table" and math.random(10) > 1 then opts.where, opts.limit = nil, nil end
      return random_id(), random_where(), opts, surplus()
    end,
    list_users_of = function() return random_ids(), random_opts(true), surplus() end,
    get = function()
      return pick { PAGE, PAGE, PAGE .. "y", "/a/../b", "", 5, NIL },
        pick { NIL, NIL, {}, { a = 1 }, 5, { a = print } }, random_opts(false), surplus()
    end,
    request = function()
      return pick { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "post", "FOO", "", 5, NIL },
        pick { PAGE, PAGE, PAGE, PAGE .. "y", "x", 5, NIL }, random_opts(false), surplus()
    end,
  }

  for method, random in pairs(RANDOM) do
    it("takes and refuses the same arguments of " .. method .. ", with the same results and messages", function()
      local seed = os.time()
      math.randomseed(seed)
      local taken, refused = 0, 0
      local i = 0
      while i < 300 or (taken <= 50 or refused <= 50) and i < 3000 do
        i = i + 1
        local ok, result = pcall(function() return compare(method, random()) end)
        if not ok then error(("seed %d, call %d: %s"):format(seed, i, tostring(result)), 0) end
        if result[1] then taken = taken + 1 else refused = refused + 1 end
      end
      assert.is_true(taken > 50 and refused > 50, taken .. " taken, " .. refused .. " refused")
    end)
  end
end)
