--- The option `headers` of clients and calls: what the server receives.

local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local one_listener = require "spec.support.one_listener"
local podero = require "podero"
local versions = require "spec.support.versions"

local ECHO = helper.API .. "/echo"

--- The results of a failed call; an error that each_user raises becomes its second result.
local function results_of(call, ...)
  local ok, result, err = pcall(call, ...)
  if ok then return result, err end
  assert.equal(0, result.delivered)
  result.delivered = nil
  return nil, result
end

--- The methods that send requests to the API, each called with these headers.
local METHODS = {
  list_users = function(client, headers) return client:list_users(helper.ORG, { headers = headers }) end,
  each_user = function(client, headers)
    local count = 0
    for _ in client:each_user(helper.ORG, { headers = headers }) do count = count + 1 end
    return count
  end,
  list_users_of = function(client, headers)
    local results, errors = client:list_users_of({ helper.ORG }, { headers = headers })
    return results[helper.ORG], errors[helper.ORG]
  end,
  get = function(client, headers) return client:get(ECHO, nil, { headers = headers }) end,
  request = function(client, headers) return client:request("GET", ECHO, { headers = headers }) end,
}

describe("headers", function()
  local server, client

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function()
    server:reset()
    helper.static(server, {})
    client = helper.client(server, { access_token = "static" })
  end)
  after_each(function() helper.close_clients() end)

  --- The header fields of the last API request.
  local function received()
    return helper.last(server, "api").headers
  end

  it("of a call are sent by every method, and not by the next call", function()
    for name, call in pairs(METHODS) do
      assert(call(client, { ["X-Trace"] = "one", ["x-empty"] = "", ["X-Blanks"] = "a b\tc" }), name)
      assert.equal("one", received()["x-trace"], name)
      assert.equal("", received()["x-empty"], name)
      assert.equal("a b\tc", received()["x-blanks"], name)
      assert.equal("Bearer static", received().authorization)
      assert.equal("application/json", received().accept)
      assert(call(client, nil), name)
      assert.is_nil(received()["x-trace"], name)
      assert.is_nil(received()["x-empty"], name)
    end
    assert(client:get(ECHO, nil, { headers = {} }))
  end)

  it("of a client are sent with every API request, and never with a token request", function()
    server:configure {}
    local other = helper.client(server, { headers = { ["X-Trace"] = "of the client" } })
    for name, call in pairs(METHODS) do
      assert(call(other), name)
      assert.equal("of the client", received()["x-trace"], name)
    end
    assert(other:token())
    assert.equal(1, server:counts().token)
    server:revoke()
    assert(METHODS.get(other, { ["X-Own"] = "of the call" }))
    assert.equal(2, server:counts().token)
    for _, request in ipairs(server:requests("token")) do
      assert.is_nil(request.headers["x-trace"])
      assert.is_nil(request.headers["x-own"])
    end
  end)

  it("of a call override those of its client, whatever their case", function()
    local other = helper.client(server, { access_token = "static", headers = { ["X-A"] = "1", ["X-B"] = "2" } })
    assert(METHODS.get(other, { ["x-a"] = "3", ["X-C"] = "4" }))
    assert.equal("3", received()["x-a"])
    assert.equal("2", received()["x-b"])
    assert.equal("4", received()["x-c"])
    assert(METHODS.get(other))
    assert.equal("1", received()["x-a"])
    assert.is_nil(received()["x-c"])
  end)

  it("of a client are copied by podero.new", function()
    local headers = { ["X-A"] = "1" }
    local other = helper.client(server, { access_token = "static", headers = headers })
    headers["X-A"], headers["X-B"] = "2", "bad\n"
    assert(METHODS.get(other))
    assert.equal("1", received()["x-a"])
    assert.is_nil(received()["x-b"])
  end)

  it("may replace Accept, which is sent once", function()
    assert(METHODS.get(client, { accept = "text/plain" }))
    assert.equal("text/plain", received().accept)
    assert(METHODS.get(client))
    assert.equal("application/json", received().accept)
  end)

  it("are sent on every attempt of a call", function()
    helper.static(server, { script = { api = { { status = 503, headers = { ["Retry-After"] = "0" } } } } })
    assert(METHODS.get(client, { ["X-Trace"] = "same" }))
    local requests = server:requests("api")
    assert.equal(2, #requests)
    for _, request in ipairs(requests) do assert.equal("same", request.headers["x-trace"]) end
  end)

  it("may differ from call to call on one connection", function()
    for i = 1, 5 do
      assert(METHODS.list_users(client, { ["X-Number"] = ("%d"):format(i) }))
      assert.equal(("%d"):format(i), received()["x-number"])
      assert(client:list_users(helper.ORG))
      assert.is_nil(received()["x-number"])
    end
    assert.equal(1, server:counts().connections)
  end)

  describe("as a function", function()
    it("are its result, and it is called once per call, in the caller's coroutine", function()
      local count, thread = 0, nil
      local function headers()
        count = count + 1
        thread = coroutine.running()
        return { ["X-Number"] = ("%d"):format(count) }
      end
      local expected = 0
      for name, call in pairs(METHODS) do
        expected = expected + 1
        local caller = coroutine.create(function() assert(call(client, headers), name) end)
        assert(coroutine.resume(caller))
        assert.equal(expected, count, name)
        assert.equal(caller, thread, name)
        assert.equal(("%d"):format(expected), received()["x-number"], name)
      end
      local other = helper.client(server, { access_token = "static", headers = headers })
      assert.equal(expected, count)
      for name, call in pairs(METHODS) do
        expected = expected + 1
        assert(call(other), name)
        assert.equal(expected, count, name)
        assert.equal(("%d"):format(expected), received()["x-number"], name)
      end
    end)

    it("are the same for all attempts, and for all organizations of a call", function()
      local count = 0
      local function headers()
        count = count + 1
        return { ["X-Number"] = ("%d"):format(count) }
      end
      helper.static(server, { script = { api = { { status = 503, headers = { ["Retry-After"] = "0" } } } } })
      local _, errors = client:list_users_of({ helper.ORG, helper.OTHER_ORG }, { headers = headers })
      assert.same({}, errors)
      assert.equal(1, count)
      assert.equal(3, server:counts().api)
      for _, request in ipairs(server:requests("api")) do assert.equal("1", request.headers["x-number"]) end
    end)

    it("may be absent", function()
      assert(METHODS.get(client, function() end))
      local other = helper.client(server, { access_token = "static", headers = function() end })
      assert(METHODS.get(other, { ["X-A"] = "1" }))
      assert.equal("1", received()["x-a"])
    end)

    it("pass its error to the caller, and nothing is sent", function()
      local failure = {}
      for name, call in pairs(METHODS) do
        local ok, err = pcall(call, client, function() error(failure) end)
        assert.is_false(ok, name)
        assert.equal(failure, err, name)
      end
      local other = helper.client(server, { access_token = "static", headers = function() error(failure) end })
      assert.equal(failure, select(2, pcall(METHODS.get, other)))
      assert.equal(0, #server:requests())
    end)

    it("raise an error if it yields or returns what cannot be sent", function()
      for name, call in pairs(METHODS) do
        local co = coroutine.create(function() return call(client, coroutine.yield) end)
        assert.is_false((coroutine.resume(co)), name)
        helper.raises({ name, "headers", "table" }, call, client, function() return "X-A: 1" end)
        helper.raises({ name, "headers", "X-A" }, call, client, function() return { ["X-A"] = "a\nb" } end)
        local other = helper.client(server, { access_token = "static", headers = function() return { Host = "x" } end })
        helper.raises({ "headers", "podero.new", "Host" }, call, other)
      end
      assert.equal(0, #server:requests())
    end)

    it("may be computed with calls of the same client, or while closing it", function()
      assert(METHODS.get(client, function()
        assert(client:list_users(helper.ORG))
        return { ["X-A"] = "1" }
      end))
      assert.equal("1", received()["x-a"])
      for _, call in pairs(METHODS) do
        local other = helper.client(server, { access_token = "static" })
        helper.failed("closed", results_of(call, other, function()
          other:close()
          return { ["X-A"] = "1" }
        end))
      end
    end)
  end)

  describe("that are refused", function()
    local function refused(words, headers)
      for name, call in pairs(METHODS) do
        helper.raises({ name, "headers", words }, call, client, headers)
      end
      helper.raises({ "new", "headers", words }, podero.new, { access_token = "static", headers = headers })
    end

    it("are those that the library or the connection sets, in upper or lower case", function()
      for _, name in ipairs { "Authorization", "Host", "Content-Length", "Content-Type", "Transfer-Encoding",
        "Connection", "Keep-Alive", "Accept-Encoding", "TE", "Trailer", "Upgrade", "Expect", "Proxy-Authorization",
        "Proxy-Connection", "Proxy-Anything", "Cookie", "User-Agent" } do
        refused(name, { [name] = "x" })
        refused(name:lower(), { [name:lower()] = "x" })
        refused(name:upper(), { [name:upper()] = "x" })
      end
    end)

    it("have an invalid name", function()
      for _, name in ipairs { "", " ", "X A", "X:", "X-A: 1\r\nX-B", "X-A\n", "X\0A", "\195\164", "X(A)", "X\127" } do
        refused("is not a field name", { [name] = "x" })
      end
      refused("strings", { "X-A: 1" })
      refused("strings", { [true] = "1" })
    end)

    it("have an invalid value", function()
      for _, value in ipairs { "a\nb", "a\r\nX-B: 1", "a\rb", "a\0b", "\27", "a\127", " a", "a ", "\ta", "a\t", " " } do
        refused("X-A", { ["X-A"] = value })
      end
      for _, value in ipairs { 5, true, {}, podero.null } do refused("expected a string", { ["X-A"] = value }) end
    end)

    it("have names that differ only in case", function()
      refused("twice", { ["X-A"] = "1", ["x-a"] = "2" })
    end)

    it("have more than 64 KB", function()
      refused("64 KB", { ["X-A"] = ("x"):rep(64 * 1024) })
      assert(METHODS.get(client, { ["X-A"] = ("x"):rep(60 * 1024) }))
      assert.equal(60 * 1024, #received()["x-a"])
    end)

    it("are in a table with __index, or not in a table", function()
      refused("__index", setmetatable({}, { __index = { ["X-A"] = "1" } }))
      refused("table", "X-A: 1")
      refused("table", 5)
    end)

    after_each(function() if server then server:reset() end end)
  end)

  it("may have values with letters that are not ASCII, which are sent unchanged", function()
    assert(METHODS.get(client, { ["X-Name"] = "J\195\188rgen" }))
    assert.equal("J\195\188rgen", received()["x-name"])
  end)
end)

describe("response.headers", function()
  local server = one_listener()

  setup(server.start)
  teardown(server.stop)
  after_each(server.close)

  --- A client of a server that always sends this text.
  local function client_of(text, more)
    return server.client({ good_api = { { "send", text } }, good_token = { { "send", text } } },
      more or { access_token = "static-token" })
  end

  local FIELDS = "X-Request-Id: 17\r\nVARY: a\r\nSet-Cookie: secret=1\r\nset-cookie2: secret=2\r\nvary:b\r\n"
    .. "X-Empty:\r\nVary: \t c  \r\nX-Folded: one\r\n  two\r\nSet-Cookies: no cookie\r\nContent-Length: 2\r\n\r\n"

  local EXPECTED = {
    ["x-request-id"] = "17", vary = "a, b, c", ["x-empty"] = "", ["set-cookies"] = "no cookie",
    ["content-length"] = "2",
  }

  it("have names in lower case, joined values, and no cookies", function()
    local client = client_of("HTTP/1.1 200 OK\r\n" .. FIELDS .. "[]")
    for _, method in ipairs { "get", "request" } do
      local value, response
      if method == "get" then
        value, response = client:get("/x")
      else
        value, response = client:request("GET", "/x")
      end
      assert.same({}, value)
      assert.equal(200, response.status)
      assert.truthy(response.headers["x-folded"]:find("^one +two$"), response.headers["x-folded"])
      response.headers["x-folded"] = nil
      assert.same(EXPECTED, response.headers)
      if math.type then assert.equal("integer", math.type(response.status)) end
    end
  end)

  it("are in err.headers for every method", function()
    local client = client_of("HTTP/1.1 418 Teapot\r\n" .. FIELDS .. "[]")
    for name, call in pairs(METHODS) do
      local err = helper.failed("http", results_of(call, client))
      err.headers["x-folded"] = nil
      assert.same(EXPECTED, err.headers, name)
    end
  end)

  it("are in err.headers if the body of a 200 is wrong", function()
    local client = client_of("HTTP/1.1 200 OK\r\nX-Request-Id: 17\r\nContent-Length: 2\r\n\r\n[}")
    for name, call in pairs(METHODS) do
      local err = helper.failed("decode", results_of(call, client))
      assert.equal("17", err.headers["x-request-id"], name)
    end
  end)

  it("are in err.headers for a response of the token endpoint", function()
    local client = client_of("HTTP/1.1 403 Forbidden\r\nX-Request-Id: 17\r\nContent-Length: 0\r\n\r\n",
      { client_id = "a", client_secret = "very secret" })
    local err = helper.failed("auth", client:list_users(helper.ORG))
    assert.equal("17", err.headers["x-request-id"])
  end)

  it("are those of the final response, not of an informational one or of a trailer", function()
    local client = client_of("HTTP/1.1 103 Early Hints\r\nX-Early: yes\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\nX-Late: yes\r\n\r\n")
    local _, response = client:get("/x")
    assert.same({ ["x-a"] = "1", ["transfer-encoding"] = "chunked" }, response.headers)
  end)

  it("are nil if no response came", function()
    local client = client_of("")
    server.listener:set { good_api = { { "close" } } }
    assert.is_nil(helper.failed("network", client:get("/x")).headers)
    client = helper.client({ url = "http://127.0.0.1:" .. helper.closed_port() },
      { access_token = "x", max_retries = 0 })
    assert.is_nil(helper.failed("network", client:get("/x")).headers)
  end)

  it("contain no secret in an error", function()
    local client = client_of("HTTP/1.1 400 Bad\r\nX-Token: Bearer static-token\r\nstatic-token: 1\r\n"
      .. "X-Twice: static-\r\nLocation: /?t=static-token\r\nContent-Length: 0\r\n\r\n")
    local err = helper.failed("http", client:get("/x"))
    helper.without(err, { "static-token" })
    assert.equal("Bearer ***", err.headers["x-token"])
    assert.equal("/?t=***", err.headers.location)
    assert.equal("1", err.headers["***"])
  end)

  it("are sent and received over HTTP/2, too", function()
    local client = server.client { tls = { certificate = "server", h2 = true },
      good_api = { { "respond", 200, { ["X-Request-Id"] = "17" }, "[]" } } }
    local _, response = client:get("/x", nil, { headers = { ["X-Trace"] = "2" } })
    assert.same({ ["x-request-id"] = "17" }, response.headers)
    assert.equal("2", server.listener:received()[1].headers["x-trace"])
  end)

  it("join many repeated fields in a short time", function()
    local count = math.min(30000, versions.max_header_fields - 1)
    local client = client_of("HTTP/1.1 200 OK\r\n" .. ("a: bcd\r\n"):rep(count) .. "Content-Length: 2\r\n\r\n[]")
    local seconds, value, response = helper.timed(client.get, client, "/x")
    assert.same({}, value)
    assert.equal(count * 5 - 2, #response.headers.a)
    assert.is_true(seconds < 2, seconds)
  end)

  it("are replaced by an error if there are more fields than libcurl accepts", function()
    if versions.max_header_fields == math.huge then return end
    local client = client_of("HTTP/1.1 200 OK\r\n" .. ("a: bcd\r\n"):rep(versions.max_header_fields)
      .. "Content-Length: 2\r\n\r\n[]")
    local err = helper.failed("too_large", client:get("/x"))
    assert.truthy(err.message:find("the header has more fields than libcurl accepts", 1, true), err.message)
  end)
end)
