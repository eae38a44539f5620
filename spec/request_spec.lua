--- client:request: every HTTP method, and what the server receives.

local cjson = require "cjson"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local one_listener = require "spec.support.one_listener"
local podero = require "podero"

local PAGE = helper.API .. "/page"
local METHODS = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" }
local SAFE_TO_REPEAT = { "GET", "HEAD", "PUT", "DELETE" }
local UNSAFE = { "POST", "PATCH" }
local SOON = { ["Retry-After"] = "0" }

describe("client:request", function()
  local server, client

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function()
    server:reset()
    helper.static(server, { paths = { [PAGE] = { status = 200, body = "{\"a\": [1, null]}" } } })
    client = helper.client(server, { access_token = "static" })
  end)
  after_each(function() helper.close_clients() end)

  --- The last API request.
  local function received()
    return helper.last(server, "api")
  end

  it("sends each method, and returns the decoded body with status and headers", function()
    for _, method in ipairs(METHODS) do
      local value, response = client:request(method, PAGE)
      if method == "HEAD" then
        assert.is_true(value)
      else
        assert.same({ a = { 1, podero.null } }, value, method)
      end
      assert.equal(200, response.status)
      assert.truthy(response.headers["content-type"]:find("application/json", 1, true))
      assert.equal(method, received().method)
      assert.equal(PAGE, received().uri)
      assert.equal("Bearer static", received().headers.authorization)
      assert.is_nil(received().headers["content-type"], method)
      assert.is_nil(received().body, method)
      local has_length = method == "POST" or method == "PUT" or method == "PATCH"
      assert.equal(has_length and "0" or nil, received().headers["content-length"], method)
      assert(client:list_users(helper.ORG))
      assert.equal("GET", received().method)
    end
  end)

  it("raises an error for other methods, and if the path is not a string", function()
    for _, method in ipairs { "get", "OPTIONS", "CONNECT", "TRACE", "", "GET /x HTTP/1.1\r\nX: y", 5, true } do
      helper.raises({ "request", "method", "\"PATCH\"" }, client.request, client, method, PAGE)
    end
    helper.raises({ "request", "method" }, client.request, client)
    helper.raises({ "request", "#2", "path", "string" }, client.request, client, "GET")
    helper.raises({ "request", "no value" }, client.request, client, "GET", PAGE, {}, 1)
    helper.raises({ "request", "bad self" }, client.request, {}, "GET", PAGE)
    assert.equal(0, #server:requests())
  end)

  it("refuses the paths that get refuses", function()
    for _, path in ipairs { "", "x", "/a?b", "/a/../b", "/a%2Fb", "/%2e%2e/b", "/a\\b", "/a//b", "/a\nb" } do
      helper.failed("argument", client:request("DELETE", path))
    end
    assert.equal(0, #server:requests())
  end)

  it("returns true if the response has no body", function()
    for status, body in pairs { [204] = "", [200] = "", [201] = "" } do
      helper.static(server, { paths = { [PAGE] = { status = status, body = body, headers = { ["X-A"] = "1" } } } })
      for _, method in ipairs(METHODS) do
        local value, response = client:request(method, PAGE)
        assert.is_true(value, method)
        assert.equal(status, response.status)
        assert.equal("1", response.headers["x-a"])
      end
    end
  end)

  it("returns false and podero.null for these values", function()
    helper.static(server, { paths = { [PAGE] = { body = "false" } } })
    local value, response = client:request("GET", PAGE)
    assert.is_false(value)
    assert.equal(200, response.status)
    helper.static(server, { paths = { [PAGE] = { body = "null" } } })
    assert.equal(podero.null, (client:request("POST", PAGE)))
  end)

  it("returns the errors of get", function()
    helper.static(server, { paths = { [PAGE] = { status = 422, headers = { ["X-Request-Id"] = "17" },
      body = "{\"detail\": [{\"loc\": [\"body\", \"email\"], \"msg\": \"field required\"}]}" } } })
    for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE" } do
      local err = helper.failed("http", client:request(method, PAGE))
      assert.equal(422, err.status)
      assert.truthy(err.message:find("body.email: field required", 1, true))
      assert.equal(server.url .. PAGE, err.url)
      assert.equal("17", err.headers["x-request-id"])
      assert.equal(1, err.attempts)
      assert.is_false(err.retryable)
    end
    assert.equal(422, helper.failed("http", client:request("HEAD", PAGE)).status)
    helper.static(server, { paths = { [PAGE] = { body = "<html>" } } })
    helper.failed("decode", client:request("POST", PAGE))
    client:close()
    helper.failed("closed", client:request("POST", PAGE))
  end)

  it("is reported to on_event with its method", function()
    local methods = {}
    local other = helper.client(server, { access_token = "static", on_event = function(event)
      methods[#methods + 1] = event.method
    end })
    for _, method in ipairs(METHODS) do assert(other:request(method, PAGE)) end
    assert.same(METHODS, methods)
  end)

  it("has the limits of get, where each JSON value counts 16 bytes", function()
    helper.static(server, { paths = { [PAGE] = { body = "[" .. ("1,"):rep(99) .. "1]" } } })
    assert(client:request("POST", PAGE, { max_response_bytes = 16 * 101 }))
    helper.failed("too_large", client:request("POST", PAGE, { max_response_bytes = 16 * 100 }))
    helper.failed("too_large", client:request("POST", PAGE, { max_response_bytes = 200, raw = true }))
    assert.equal(201, #assert(client:request("POST", PAGE, { max_response_bytes = 201, raw = true })))
  end)

  describe("raw", function()
    it("returns any body as a string, and response", function()
      local text = "<p>\0 no JSON \255\r\n"
      helper.static(server, { paths = { [PAGE] = { body = text, content_type = "text/html" } } })
      for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE" } do
        local value, response = client:request(method, PAGE, { raw = true })
        assert.equal(text, value)
        assert.equal("text/html", response.headers["content-type"])
      end
      local value, response = client:get(PAGE, nil, { raw = true })
      assert.equal(text, value)
      assert.equal(200, response.status)
      assert.equal("", (client:request("HEAD", PAGE, { raw = true })))
    end)

    it("returns an empty string if there is no body", function()
      helper.static(server, { paths = { [PAGE] = { status = 204, body = "" } } })
      local value, response = client:get(PAGE, nil, { raw = true })
      assert.equal("", value)
      assert.equal(204, response.status)
      assert.equal("", (client:request("POST", PAGE, { raw = true })))
    end)

    it("returns megabytes, and does not change errors", function()
      local text = ("0123456789abcdef"):rep(256 * 1024)
      helper.static(server, { paths = { [PAGE] = { body = text } } })
      assert.equal(text, (client:get(PAGE, nil, { raw = true })))
      helper.static(server, { paths = { [PAGE] = { status = 404, body = "{\"detail\": \"gone\"}" } } })
      assert.same({ detail = "gone" }, helper.failed("http", client:get(PAGE, nil, { raw = true })).detail)
      helper.raises({ "get", "'raw'", "boolean" }, client.get, client, PAGE, nil, { raw = 1 })
    end)
  end)

  describe("query", function()
    it("is encoded as it is by get", function()
      for _, method in ipairs(METHODS) do
        assert(client:request(method, PAGE, { query = { a = { 1, "x y", 0.5, true } } }))
        assert.equal(PAGE .. "?a=1&a=x+y&a=0.5&a=true", received().uri, method)
      end
      helper.raises({ "request", "#3", "query", "'page'" }, client.request, client, "GET", PAGE,
        { query = { page = 0 / 0 } })
      helper.raises({ "request", "'query'", "table" }, client.request, client, "GET", PAGE, { query = "a=b" })
    end)

    it("is an option of the list methods, along with include_deleted", function()
      local opts = { query = { a = { 1, 2 } } }
      assert(client:list_users(helper.ORG, opts))
      assert.equal(helper.users_path() .. "?a=1&a=2", received().uri)
      client:list_users_of({ helper.ORG }, opts)
      assert.equal(helper.users_path() .. "?a=1&a=2", received().uri)
      opts.include_deleted = true
      local iterator = client:each_user(helper.ORG, opts)
      assert.is_table(iterator())
      iterator:close()
      assert.equal(helper.users_path() .. "?include_deleted=true&a=1&a=2", received().uri)
      helper.raises({ "list_users", "#2", "'page'", "infinity" }, client.list_users, client, helper.ORG,
        { query = { page = math.huge } })
    end)
  end)

  describe("body", function()
    --- Sends a body. Returns the body and content type that the server received.
    local function sent(body, more)
      local opts = { body = body }
      for name, value in pairs(more or {}) do opts[name] = value end
      assert(client:request("POST", PAGE, opts))
      local request = received()
      assert.equal(("%d"):format(#(request.body or "")), request.headers["content-length"])
      assert.is_nil(request.headers.expect)
      return request.body, request.headers["content-type"]
    end

    it("is written as JSON if it is a table, for every method with a body", function()
      for _, method in ipairs { "POST", "PUT", "PATCH", "DELETE" } do
        assert(client:request(method, PAGE, { body = { email = "a/b@example.com", list = { 1, "x", true } } }))
        assert.equal(method, received().method)
        assert.same({ email = "a/b@example.com", list = { 1, "x", true } }, cjson.decode(received().body))
        assert.equal("application/json", received().headers["content-type"])
      end
    end)

    it("is an object for an empty table, and otherwise an array or object by the keys", function()
      assert.equal("{}", (sent {}))
      assert.equal("{\"a\":{}}", (sent { a = {} }))
      assert.equal("[1,2,3]", (sent { 1, 2, 3 }))
      assert.equal("[1,null,3]", (sent { 1, [3] = 3 }))
      assert.equal("{\"1\":2,\"a\":1}", (sent { [1] = 2, a = 1 }):gsub("^{\"a\":1,(.*)}$", "{%1,\"a\":1}"))
      assert.equal("{\"0\":1}", (sent { [0] = 1 }))
      assert.equal("{\"0.5\":1}", (sent { [0.5] = 1 }))
      assert.equal("{\"a\":null}", (sent { a = podero.null }))
      assert.equal("[[],[[]]]", (sent({ { podero.null }, { { podero.null } } }):gsub("null", "")))
    end)

    it("has exact numbers, and integers without a fraction", function()
      assert.equal("[5,1700000000123456,9007199254740991,0.1,1e+300,-0.5,0.30000000000000004,48.20817653000123]",
        (sent { 10 / 2, 1700000000123456, 9007199254740991, 0.1, 1e300, -0.5, 0.1 + 0.2, 48.20817653000123 }))
      if math.type then
        assert.equal("[9223372036854775807,-9223372036854775808]", (sent { math.maxinteger, math.mininteger }))
      end
    end)

    it("has strings with JSON's escapes", function()
      local characters = {}
      for code = 0, 127 do characters[#characters + 1] = string.char(code) end
      local text = table.concat(characters) .. "\195\164\240\159\152\128"
      assert.equal(text, cjson.decode((sent { text }))[1])
      assert.equal(1, cjson.decode((sent { [text] = 1 }))[text])
    end)

    it("raises an error for what cannot be JSON, and nothing is sent", function()
      local loop = {}
      loop[1] = loop
      local sparse = { [1000] = 1 }
      for words, body in pairs {
        ["NaN"] = { 0 / 0 }, ["infinity"] = { a = -math.huge }, ["a function"] = { print },
        ["a coroutine"] = { coroutine.create(function() end) }, ["a userdata"] = { io.stdout },
        ["not UTF-8"] = { "\255" }, ["512 levels"] = loop, ["mostly holes"] = sparse,
        ["a key that is neither"] = { [true] = 1 },
      } do
        helper.raises({ "request", "#3", "'body'", words, "JSON" }, client.request, client, "POST", PAGE,
          { body = body })
      end
      helper.raises("not UTF-8", client.request, client, "POST", PAGE, { body = { ["\255"] = 1 } })
      for _, body in ipairs { 5, true, print, podero.null } do
        helper.raises({ "request", "'body'", "a table or a string" }, client.request, client, "POST", PAGE,
          { body = body })
      end
      assert.equal(0, #server:requests())
    end)

    it("ignores metatables", function()
      local body = setmetatable({ a = 1 }, { __index = { b = 2 }, __pairs = error, __tojson = error })
      assert.equal("{\"a\":1}", (sent(body)))
    end)

    it("needs content_type if it is a string, which is sent unchanged", function()
      local body, content_type = sent("\0\255 any bytes \r\n", { content_type = "text/plain; charset=utf-8" })
      assert.equal("\0\255 any bytes \r\n", body)
      assert.equal("text/plain; charset=utf-8", content_type)
      helper.raises({ "request", "'body'", "content_type" }, client.request, client, "POST", PAGE, { body = "{}" })
      helper.raises({ "request", "'content_type'" }, client.request, client, "POST", PAGE,
        { body = "{}", content_type = "a\r\nX: y" })
      helper.raises({ "request", "'content_type'" }, client.request, client, "POST", PAGE,
        { body = "{}", content_type = "" })
      helper.raises({ "request", "'content_type'", "no body" }, client.request, client, "POST", PAGE,
        { content_type = "text/plain" })
    end)

    it("is sent with its content type if it is an empty string", function()
      local body, content_type = sent("", { content_type = "text/plain" })
      assert.is_nil(body)
      assert.equal("text/plain", content_type)
    end)

    it("may have another content type if it is a table", function()
      local _, content_type = sent({ a = 1 }, { content_type = "application/merge-patch+json" })
      assert.equal("application/merge-patch+json", content_type)
    end)

    it("is refused for GET and HEAD", function()
      for _, method in ipairs { "GET", "HEAD" } do
        helper.raises({ "request", "'body'", method }, client.request, client, method, PAGE, { body = {} })
      end
      assert.equal(0, #server:requests())
    end)

    it("may have any size", function()
      for _, size in ipairs { 1, 1023, 16384, 65536, 1048577, 9 * 1048576 } do
        local text = ("0123456789abcdef"):rep(math.ceil(size / 16)):sub(1, size)
        assert(client:request("PUT", PAGE, { body = text, content_type = "text/plain" }))
        assert.equal(("%d"):format(size), received().headers["content-length"])
        assert.equal(text:sub(1, 64 * 1024), received().body)
      end
    end)

    it("is sent with each attempt", function()
      helper.static(server, { script = { api = { { status = 503, headers = SOON }, { status = 429, headers = SOON } } },
        paths = { [PAGE] = { body = "1" } } })
      for _, method in ipairs { "PUT", "POST" } do
        server:patch { script = { api = { { status = 503, headers = SOON }, { status = 429, headers = SOON } } } }
        assert(client:request(method, PAGE, { body = { a = method } }))
        assert.equal("{\"a\":\"" .. method .. "\"}", received().body)
      end
      assert.equal(6, server:counts().api)
    end)
  end)

  describe("is retried", function()
    it("with a new token after a 401, once, whatever its method", function()
      server:configure { paths = { [PAGE] = { body = "1" } } }
      for _, method in ipairs(METHODS) do
        local other = helper.client(server)
        assert(other:token())
        server:revoke()
        local before = server:counts()
        assert(other:request(method, PAGE), method)
        local after = server:counts()
        assert.equal(2, after.api - before.api)
        assert.equal(1, after.token - before.token)
      end
      helper.static(server, { always_api = { status = 401 } })
      for _, method in ipairs(METHODS) do
        local other = helper.client(server)
        local before = server:counts().api
        helper.failed("auth", other:request(method, PAGE))
        assert.equal(2, server:counts().api - before, method)
      end
    end)

    it("for GET, HEAD, PUT and DELETE as for get", function()
      for _, method in ipairs(SAFE_TO_REPEAT) do
        for _, status in ipairs { 408, 429, 500, 502, 503, 504 } do
          server:patch { script = { api = { { status = status, headers = SOON } } } }
          assert(client:request(method, PAGE), method)
        end
        server:patch { script = { api = { { fault = "reset" } } } }
        assert(client:request(method, PAGE), method)
      end
    end)

    it("for POST and PATCH after 429, and after 503 with Retry-After", function()
      for _, method in ipairs(UNSAFE) do
        server:patch { script = { api = { { status = 429 }, { status = 503, headers = SOON } } } }
        local before = server:counts().api
        assert(client:request(method, PAGE))
        assert.equal(3, server:counts().api - before, method)
      end
    end)

    it("for POST and PATCH after no other response or failure, and the error is not retryable", function()
      for _, method in ipairs(UNSAFE) do
        for _, status in ipairs { 408, 500, 502, 503, 504 } do
          server:patch { script = { api = { { status = status, headers = status ~= 503 and SOON or nil } } } }
          local before = server:counts().api
          local err = helper.failed("http", client:request(method, PAGE))
          assert.equal(status, err.status)
          assert.is_false(err.retryable, status)
          assert.equal(1, server:counts().api - before, method)
        end
        for _, fault in ipairs { "close", "reset", "reset_in_headers", "truncate", "garbage" } do
          server:patch { script = { api = { { fault = fault } } } }
          local before = server:counts().api
          local result, err = client:request(method, PAGE)
          assert.is_nil(result, fault)
          assert.is_false(err.retryable, fault)
          assert.equal(1, err.attempts)
          assert.equal(1, server:counts().api - before, method .. " " .. fault)
        end
      end
    end)

    it("for POST and PATCH never after a timeout, and the error is not retryable", function()
      helper.static(server, { always_api = { delay = 5 } })
      for _, method in ipairs(UNSAFE) do
        local err = helper.failed("timeout", client:request(method, PAGE, { timeout = 0.2 }))
        assert.is_false(err.retryable)
      end
      assert.is_true(helper.failed("timeout", client:request("PUT", PAGE, { timeout = 0.2 })).retryable)
      assert.equal(3, server:counts().api)
    end)
  end)

  it("uses a new connection for POST and PATCH", function()
    assert(client:get(PAGE))
    for i, method in ipairs { "POST", "PATCH", "POST" } do
      assert(client:request(method, PAGE))
      assert.equal(i + 1, server:counts().connections)
    end
    local before = server:counts().connections
    for _, method in ipairs(SAFE_TO_REPEAT) do assert(client:request(method, PAGE)) end
    assert.equal(before, server:counts().connections)
  end)

  it("calls the option wait", function()
    local turns = 0
    local other = helper.client(server, { access_token = "static", wait = function() turns = turns + 1 end })
    helper.static(server, { always_api = { delay = 0.1, body = "{\"a\": 1}" } })
    assert.same({ a = 1 }, (other:request("POST", PAGE, { body = { b = 2 } })))
    assert.is_true(turns > 0)
  end)
end)

describe("client:request", function()
  local server = one_listener()

  setup(server.start)
  teardown(server.stop)
  after_each(server.close)

  local GOOD = { { "respond", 200, {}, "[]" } }

  --- The number of requests with this method that the server has received.
  local function count(method)
    local n = 0
    for _, request in ipairs((server.listener:received())) do
      if request.method == method then n = n + 1 end
    end
    return n
  end

  it("sends POST and PATCH once to a server that reads and closes, and retries the others", function()
    for _, tls in ipairs { false, { certificate = "server" }, { certificate = "server", h2 = true } } do
      local client = server.client({ tls = tls or nil, good_api = { { "close" } } }, { max_retries = 1 })
      for _, method in ipairs(UNSAFE) do
        local err = helper.failed("network", client:request(method, "/x", { body = { a = 1 } }))
        assert.equal(1, err.attempts)
        assert.is_false(err.retryable)
        assert.equal(1, count(method))
      end
      for _, method in ipairs(SAFE_TO_REPEAT) do
        helper.failed("network", client:request(method, "/x"))
        assert.is_true(count(method) >= 2, method)
      end
    end
  end)

  it("sends PUT and POST once each over a new connection if the server has closed an idle one", function()
    local client = server.client({ good_api = { { "respond", 200, {}, "[]" }, { "end" } } }, { max_retries = 0 })
    assert(client:get("/x"))
    server.listener:wait_for_ended(1)
    local _, response = assert(client:request("PUT", "/x", { body = { a = 1 } }))
    assert.equal(200, response.status)
    server.listener:wait_for_ended(2)
    assert(client:request("POST", "/x", { body = { a = 1 } }))
    assert.equal(1, count("PUT"))
    assert.equal(1, count("POST"))
    for _, request in ipairs((server.listener:received())) do
      assert.equal(request.method == "GET" and "" or "{\"a\":1}", request.body)
    end
  end)

  it("resends a PUT with its body if the server closes a kept connection after reading it", function()
    local client = server.client({ good_api = GOOD }, { max_retries = 0 })
    assert(client:get("/x"))
    server.listener:set { api = { { { "close" } } } }
    local _, response = client:request("PUT", "/x", { body = { a = 1 } })
    assert.equal(200, response.status)
    local requests = server.listener:received()
    assert.equal(3, #requests)
    assert.equal("{\"a\":1}", requests[2].body)
    assert.equal("{\"a\":1}", requests[3].body)
  end)

  it("retries every method if it cannot connect", function()
    for _, method in ipairs(METHODS) do
      local attempts = 0
      local client = helper.client({ url = "http://127.0.0.1:" .. helper.closed_port() },
        { access_token = "x", max_retries = 1, on_event = function(event)
          if event.type == "exchange" then attempts = attempts + 1 end
        end })
      local err = helper.failed("network", client:request(method, "/x"))
      assert.equal(2, attempts, method)
      assert.is_true(err.retryable)
    end
    -- TLS fails before a request can be sent.
    local client = server.client({ tls = { certificate = "server" }, accept = { { { "reset" } } }, good_api = GOOD },
      { max_retries = 1 })
    assert(client:request("POST", "/x"))
    assert.equal(1, count("POST"))
    assert.equal(2, select(2, server.listener:received()))
  end)

  it("accepts a response that comes before the server has read the body", function()
    local client = server.client({ good_api = GOOD, accept = { { { "send",
      "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" }, { "close" } } } })
    local err = select(2, client:request("POST", "/x",
      { body = ("x"):rep(4 * 1048576), content_type = "text/plain" }))
    assert.truthy(err and (err.status == 413 or err.kind == "network"), tostring(err))
    assert.is_false(err.retryable)
  end)

  it("sends method, body and headers over HTTP/2, and returns status and headers", function()
    local client = server.client { tls = { certificate = "server", h2 = true },
      good_api = { { "respond", 201, { ["X-Request-Id"] = "9" }, "{\"id\": 5}" } } }
    for _, method in ipairs { "POST", "PUT", "PATCH", "DELETE" } do
      local value, response = client:request(method, "/x", { body = { a = method }, headers = { ["X-A"] = "1" } })
      assert.same({ id = 5 }, value)
      assert.equal(201, response.status)
      assert.equal("9", response.headers["x-request-id"])
      local requests = server.listener:received()
      local last = requests[#requests]
      assert.equal(method, last.method)
      assert.equal("{\"a\":\"" .. method .. "\"}", last.body)
      assert.equal("1", last.headers["x-a"])
      assert.equal("application/json", last.headers["content-type"])
    end
  end)

  it("returns an error for a redirect of a POST, and sends nothing to the target", function()
    local client = server.client { good_api = { { "respond", 307, { Location = "/elsewhere" }, "" } } }
    local err = helper.failed("http", client:request("POST", "/x", { body = {} }))
    assert.equal(307, err.status)
    assert.equal("/elsewhere", err.headers.location)
    assert.equal(1, #server.listener:received())
  end)

  it("accepts a response to HEAD that has a length and no body", function()
    local client = server.client { good_api = { { "send", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" } } }
    for _ = 1, 2 do
      local value, response = client:request("HEAD", "/x")
      assert.is_true(value)
      assert.equal("1000", response.headers["content-length"])
    end
    assert.equal(1, select(2, server.listener:received()))
  end)
end)
