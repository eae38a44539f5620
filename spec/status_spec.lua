-- The status of a response decides first: if anything is wrong with the body of an error, only `err.detail` is missing.
-- And what is refused after the header, before anything is decoded.
local faults = require "spec.support.faults"
local helper = require "spec.support.helper"
local peer = require "spec.support.peer"
local podero = require "podero"

local CLOSE, RESET, STALL = faults.CLOSE, faults.RESET, faults.STALL

describe("a client", function()
  local server

  setup(function() server = peer.start() end)
  teardown(function() server:stop() end)

  local function send(...) return { "send", table.concat({ ... }, "\r\n") } end

  --- The header of a response with this status, with fields and a blank line.
  local function head(status, ...)
    local lines = { ("HTTP/1.1 %d Status"):format(status), ... }
    lines[#lines + 1] = ""
    lines[#lines + 1] = ""
    return send((table.unpack or unpack)(lines))
  end

  local function listen(settings)
    settings.good_api = settings.good_api or faults.good.api
    settings.good_token = settings.good_token or faults.good.token
    local listener = server:listen(settings)
    finally(function() listener:close() end)
    return listener
  end

  local function client_of(listener, more, credentials)
    local options = { base_url = listener.url, proxy = "", timeout = 10, max_retries = 0, token_encoding = "form",
      client_auth = "basic", tls = { ca_file = server.ca_file } }
    for name, value in pairs(credentials or faults.credentials) do options[name] = value end
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(podero.new(options))
  end

  local function requests_of(listener)
    local count = { api = 0, token = 0, connect = 0 }
    local requests = listener:received()
    for _, request in ipairs(requests) do count[request.kind] = count[request.kind] + 1 end
    return count, requests
  end

  --- Ways in which the body of an error can be damaged: acts for a status, and whether detecting it takes time.
  local damages = {
    { "is not in the coding that it names", function(status, ...)
      return { head(status, "Content-Length: 8", "Content-Encoding: gzip", ...), { "send", "{\"a\": 1}" } }
    end },
    { "is in an unknown coding", function(status, ...)
      return { head(status, "Content-Length: 8", "Content-Encoding: rot13", ...), { "send", "{\"a\": 1}" } }
    end },
    { "is in two codings", function(status, ...)
      return { head(status, "Content-Length: 8", "Content-Encoding: gzip, gzip", ...), { "send", "{\"a\": 1}" } }
    end },
    { "is in forty codings", function(status, ...)
      return { head(status, "Content-Encoding: " .. ("gzip, "):rep(40) .. "gzip", "Content-Length: 8", ...),
        { "send", "{\"a\": 1}" } }
    end },
    { "is cut short", function(status, ...)
      return { head(status, "Content-Length: 80", ...), { "send", "{\"a\": 1" }, CLOSE }
    end },
    { "is missing", function(status, ...) return { head(status, "Content-Length: 80", ...), CLOSE } end },
    { "is reset", function(status, ...)
      return { head(status, "Content-Length: 80", ...), { "send", "{\"a\": 1" }, RESET }
    end },
    { "has a chunk without a size", function(status, ...)
      return { head(status, "Transfer-Encoding: chunked", ...), { "send", "zz\r\n" }, CLOSE }
    end },
    { "decompresses to several megabytes", function(status, ...)
      return { head(status, "Content-Encoding: gzip", ...), { "packed_body", "[", "{},", 3000000 }, CLOSE }
    end },
    { "stalls", function(status, ...)
      return { head(status, "Content-Length: 80", ...), { "send", "{\"a\": 1" }, STALL }
    end, true },
    { "drips", function(status, ...)
      return { head(status, "Content-Length: 8000", ...), { "drip", (" "):rep(8000), 0.02 } }
    end, true },
  }

  for _, damage in ipairs(damages) do
    local name, acts, slow = damage[1], damage[2], damage[3]
    local function in_time(seconds) assert.is_true(seconds < (slow and 3.5 or 1.5), seconds) end

    describe("that receives an error whose body " .. name, function()
      it("fetches a new token after 401", function()
        local listener = listen { api = { acts(401) } }
        local seconds, list, err = helper.timed(function() return client_of(listener):list_users(helper.ORG) end)
        assert.equal(3, #assert(list, tostring(err)))
        in_time(seconds)
        assert.same({ api = 2, token = 2, connect = 0 }, (requests_of(listener)))
      end)

      it("retries after 503", function()
        local listener = listen { api = { acts(503, "Retry-After: 0") } }
        local client = client_of(listener, { max_retries = 1 })
        local seconds, list, err = helper.timed(client.list_users, client, helper.ORG)
        assert.equal(3, #assert(list, tostring(err)))
        in_time(seconds)
      end)

      it("returns an error with status 404 from each method", function()
        local listener = listen { api = { acts(404), acts(404), acts(404) } }
        local client = client_of(listener)
        for _, call in ipairs {
          function() return client:list_users(helper.ORG) end,
          function() return client:get(helper.users_path()) end,
          function()
            local _, err = pcall(function() for _ in client:each_user(helper.ORG) do error("a user") end end)
            err.delivered = nil
            return nil, err
          end,
        } do
          local seconds, list, err = helper.timed(call)
          err = helper.failed("http", list, err)
          assert.equal(404, err.status)
          assert.is_false(err.retryable)
          in_time(seconds)
        end
        assert.equal(3, #assert(client:list_users(helper.ORG)))
      end)

      it("returns an error with the status of the token endpoint", function()
        local listener = listen { token = { acts(503, "Retry-After: 0"), acts(401) } }
        local client = client_of(listener, { max_retries = 1 })
        local seconds, list, err = helper.timed(client.list_users, client, helper.ORG)
        err = helper.failed("auth", list, err)
        assert.equal(401, err.status)
        assert.is_false(err.retryable)
        assert.is_true(seconds < (slow and 5.5 or 1.5), seconds)
        assert.same({ api = 0, token = 2, connect = 0 }, (requests_of(listener)))
        assert.equal(3, #assert(client:list_users(helper.ORG)))
      end)
    end)
  end

  describe("that times out while the body of an error stalls", function()
    local stalled = damages[#damages - 1][2]

    it("returns an error with the status", function()
      local client = client_of(listen { api = { stalled(404) } }, { timeout = 0.4 })
      local seconds, list, err = helper.timed(client.list_users, client, helper.ORG)
      assert.equal(404, helper.failed("http", list, err).status)
      assert.is_true(seconds < 0.9, seconds)
    end)

    it("fetches a new token in the next call after 401", function()
      local listener = listen { api = { stalled(401) } }
      local client = client_of(listener, { timeout = 0.4 })
      local list, err = client:list_users(helper.ORG)
      assert.is_nil(list)
      assert.truthy(err.kind == "timeout" or err.kind == "auth", tostring(err))
      assert.equal(3, #assert(client:list_users(helper.ORG)))
      assert.same({ api = 2, token = 2, connect = 0 }, (requests_of(listener)))
    end)

    it("returns an error with the status of the token endpoint", function()
      local client = client_of(listen { token = { stalled(401) } }, { timeout = 0.4 })
      local seconds, list, err = helper.timed(client.list_users, client, helper.ORG)
      assert.equal(401, helper.failed("auth", list, err).status)
      assert.is_true(seconds < 0.9, seconds)
    end)
  end)

  describe("that receives part of a response returns an error with its status and headers", function()
    local begun = head(200, "Content-Length: 80", "X-Request-Id: 17")

    --- Makes a call that fails with this kind, and checks that the error and the last event have status and headers.
    local function fails(kind, listener, options)
      local last
      options.on_event = function(event) last = event end
      local err = helper.failed(kind, client_of(listener, options):list_users(helper.ORG))
      assert.equal(200, err.status)
      assert.equal("17", (err.headers or {})["x-request-id"])
      assert.equal(kind, last.error_kind)
      assert.equal("17", (last.headers or {})["x-request-id"])
    end

    it("after a timeout", function()
      fails("timeout", listen { api = { { begun, { "send", "[" }, STALL } } }, { timeout = 0.3 })
    end)

    it("after the connection is closed", function()
      fails("decode", listen { api = { { begun, { "send", "[" }, CLOSE } } }, {})
    end)

    it("after the token endpoint closes the connection", function()
      fails("decode", listen { token = { { begun, { "send", "{" }, CLOSE } } }, {})
    end)
  end)

  it("that receives a token response without a token returns an error with its status and headers", function()
    local response = { "respond", 200, { ["X-Request-Id"] = "17" }, "{}" }
    local err = helper.failed("auth", client_of(listen { token = { { response } } }):list_users(helper.ORG))
    assert.equal(200, err.status)
    assert.equal("17", (err.headers or {})["x-request-id"])
  end)

  it("that receives status 304 does not report a redirect", function()
    local err = helper.failed("http", client_of(listen { api = { { head(304, "ETag: \"x\"") } } })
      :get("/x", nil, { headers = { ["If-None-Match"] = "\"x\"" } }))
    assert.equal(304, err.status)
    assert.equal("\"x\"", err.headers.etag)
    assert.is_nil(err.message:find("redirect", 1, true), err.message)
  end)

  it("whose option access_token is refused returns an error that says what to check", function()
    local listener = listen { good_api = { { "respond", 401, { ["X-A"] = "1" }, "" } } }
    for _, token in ipairs { "static", function() return "static" end } do
      local err = helper.failed("auth", client_of(listener, nil, { access_token = token }):get("/x"))
      assert.truthy(err.message:find("check access_token", 1, true), err.message)
    end
    local err = helper.failed("auth", client_of(listener):get("/x"))
    assert.is_nil(err.message:find("access_token", 1, true), err.message)
  end)

  describe("that receives status 200 with a body that is not JSON", function()
    local PAGE = "\n<!doctype html><title>Welcome</title>"
    local WORDS = "by its Content-Type it is an HTML page: check base_url"

    local METHODS = {
      list_users = function(client) return client:list_users(helper.ORG) end,
      each_user = function(client)
        local _, err = pcall(client:each_user(helper.ORG))
        err.delivered = nil
        return nil, err
      end,
      get = function(client) return client:get("/x") end,
      request = function(client) return client:request("POST", "/x") end,
    }

    --- The message of each method's error for this response, by the method's name.
    local function messages(headers, body)
      local listener = listen { good_api = { { "respond", 200, headers, body } } }
      local list = {}
      for name, call in pairs(METHODS) do
        local err = helper.failed("decode", call(client_of(listener)))
        assert.equal(200, err.status)
        list[name] = err.message
      end
      return list
    end

    it("says if it is an HTML page, and that base_url may be wrong", function()
      for _, content_type in ipairs { "text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml;x=y" } do
        for name, message in pairs(messages({ ["content-type"] = content_type }, PAGE)) do
          assert.truthy(message:find("^the response is not JSON: "), name .. ": " .. message)
          assert.truthy(message:find(WORDS, 1, true), name .. ": " .. message)
        end
      end
    end)

    it("does not say so if it has another type, is the beginning of JSON, or cannot be decoded", function()
      for headers, body in pairs {
        [{ ["Content-Type"] = "text/plain" }] = PAGE, [{ ["Content-Type"] = "application/json" }] = PAGE, [{}] = PAGE,
        [{ ["Content-Type"] = "text/htmlx" }] = PAGE, [{ ["Content-Type"] = "text/html", ["X-A"] = "1" }] = "[",
        [{ ["Content-Type"] = "text/html", ["Content-Encoding"] = "gzip" }] = PAGE,
      } do
        for name, message in pairs(messages(headers, body)) do
          assert.is_nil(message:find("HTML", 1, true), name .. ": " .. message)
        end
      end
    end)

    it("ignores the type of an informational response", function()
      local listener = listen { good_api = { send("HTTP/1.1 103 Early Hints", "Content-Type: text/html", "", ""),
        head(200, "Content-Length: 3"), { "send", "abc" } } }
      local err = helper.failed("decode", client_of(listener):list_users(helper.ORG))
      assert.is_nil(err.message:find("HTML", 1, true), err.message)
    end)
  end)

  describe("whose proxy refuses the tunnel", function()
    local function ends_at_the_header(fields, unit)
      local proxy = listen { good_connect = {
        { "flood", "HTTP/1.1 407 Status\r\n" .. fields .. "\r\n\r\n", unit, 100000, "" } } }
      local client = assert(podero.new { base_url = "https://localhost:1", access_token = "static", proxy = proxy.url,
        timeout = 1, max_retries = 0 })
      local seconds, list, err = helper.timed(client.list_users, client, helper.ORG)
      err = helper.failed("network", list, err)
      assert.truthy(err.message:find("answered CONNECT with HTTP 407", 1, true), err.message)
      assert.is_true(seconds < 0.5, seconds)
    end

    it("does not read the proxy's body, however long", function()
      ends_at_the_header("Content-Length: 99999999999", ("x"):rep(65536))
    end)

    it("does not read the proxy's body, however many chunks", function()
      ends_at_the_header("Transfer-Encoding: chunked", "10000\r\n" .. ("x"):rep(65536) .. "\r\n")
    end)
  end)

  describe("that receives a list in", function()
    for name, fields in pairs {
      ["two codings"] = { "Content-Encoding: gzip, gzip" },
      ["three codings"] = { "Content-Encoding: gzip, gzip, gzip" },
      ["two codings, in two fields"] = { "Content-Encoding: gzip", "content-encoding:gzip" },
      ["forty codings"] = { "Content-Encoding: " .. ("gzip, "):rep(40) .. "gzip" },
      ["two codings, one of them unknown"] = { "Content-Encoding: gzip,rot13" },
      ["a transfer coding"] = { "Transfer-Encoding: gzip" },
      ["a transfer coding and chunks"] = { "Transfer-Encoding: gzip, chunked" },
      ["a transfer coding, in two fields"] = { "Transfer-Encoding: deflate", "Transfer-Encoding: chunked" },
      ["two codings, between them a field that looks like a status line"] = { "Content-Encoding: gzip", "HTTP/1.1: 200",
        "Content-Encoding: gzip" },
      ["a transfer coding before such a field"] = { "Transfer-Encoding: gzip", "HTTP/1.1: 200" },
      ["two codings, one of them in a 1xx response before it"] = { "Content-Encoding: gzip",
        early = "Content-Encoding: gzip" },
      ["a transfer coding in a 1xx response before it"] = { "X: y", early = "Transfer-Encoding: gzip" },
    } do
      local acts = { head(200, (table.unpack or unpack)(fields)), STALL }
      if fields.early then table.insert(acts, 1, head(103, fields.early)) end

      it(name .. " fails after the header", function()
        local client = client_of(listen { api = { acts, acts, acts } })
        for _, method in ipairs { "list_users", "get" } do
          local seconds, list, err = helper.timed(client[method], client,
            method == "get" and helper.users_path() or helper.ORG)
          err = helper.failed("decode", list, err)
          assert.equal(200, err.status)
          assert.is_false(err.retryable)
          assert.truthy(err.message:find("coding", 1, true), err.message)
          assert.is_true(seconds < 1.5, seconds)
        end
      end)

      it(name .. " from the token endpoint fails after the header", function()
        local client = client_of(listen { token = { acts } })
        local seconds, list, err = helper.timed(client.list_users, client, helper.ORG)
        err = helper.failed("decode", list, err)
        assert.truthy(err.message:find("coding", 1, true), err.message)
        assert.is_true(seconds < 1.5, seconds)
      end)
    end

    for name, field in pairs { ["identity"] = "Content-Encoding: identity", ["no coding"] = "Content-Encoding: ",
      ["identity and no coding"] = "Content-Encoding: identity, ,", ["chunks"] = "X: y",
      ["identity twice"] = "Content-Encoding: Identity, identity" } do
      it(name .. " decodes it", function()
        local body = faults.good.api[1][4]
        local client = client_of(listen { api = { { head(200, field, "Transfer-Encoding: Chunked"),
          { "send", ("%x\r\n%s\r\n0\r\n\r\n"):format(#body, body) } } } })
        assert.equal(3, #assert(client:list_users(helper.ORG)))
      end)
    end

    it("chunks with a trailer that names codings decodes it", function()
      local body = faults.good.api[1][4]
      local client = client_of(listen { api = { { head(200, "Transfer-Encoding: chunked"),
        send(("%x"):format(#body), body, "0", "Content-Encoding: gzip", "Content-Encoding: gzip",
          "Transfer-Encoding: gzip", "", "") } } })
      assert.equal(3, #assert(client:list_users(helper.ORG)))
    end)

    it("chunks with a trailer that looks like a status line decodes it", function()
      local body = faults.good.api[1][4]
      local client = client_of(listen { api = { { head(200, "Transfer-Encoding: chunked"),
        send(("%x"):format(#body), body, "0", "HTTP/1.1: 500", "Retry-After: 5", "", "") } } })
      assert.equal(3, #assert(client:list_users(helper.ORG)))
    end)

    it("a coding through a proxy that also named one decodes it", function()
      local packed = { "gzipped", faults.good.api[1][4], "" }
      local api = server:listen { good_api = { packed }, good_token = faults.good.token,
        tls = { certificate = "server" } }
      local proxy = listen { good_connect = { { "tunnel", api.port, "Content-Encoding: gzip" } } }
      finally(function() api:close() proxy:close() end)
      local client = client_of(api, { proxy = proxy.url })
      assert.equal(3, #assert(client:list_users(helper.ORG)))
    end)

    it("gzip that is cut short returns no part of it as text", function()
      local cut = "\31\139\8\0\0\0\0\0\0\3" .. "\0\5\0\250\255hello" -- a block that is not the last one
      local response = { head(200, "Content-Encoding: gzip", "Content-Length: " .. #cut), { "send", cut } }
      local refused = { head(404, "Content-Encoding: gzip", "Content-Length: " .. #cut), { "send", cut } }
      local listener = listen { api = { response, response, response, refused } }
      local client = client_of(listener)
      for _ = 1, 2 do
        local text, err = client:get("/page", nil, { raw = true })
        err = helper.failed("decode", text, err)
        assert.equal(200, err.status)
        assert.is_false(err.retryable)
        assert.truthy(err.message:find("content coding, which was not asked for", 1, true), err.message)
      end
      helper.failed("decode", client:request("POST", "/page", { raw = true }))
      assert.equal("hello", helper.failed("http", client:get("/page", nil, { raw = true })).detail)
      for _, request in ipairs(listener:received()) do
        if request.kind == "api" then assert.equal("identity", request.headers["accept-encoding"]) end
      end
      assert.equal(3, #assert(client:list_users(helper.ORG)))
      local requests = listener:received()
      assert.truthy(requests[#requests].headers["accept-encoding"]:find("gzip", 1, true))
    end)

    for name, more in pairs { ["a second member"] = "member", ["padding"] = ("\0"):rep(64), ["a line feed"] = "\n" } do
      it("gzip with " .. name .. " after it returns an error that says so", function()
        local client = client_of(listen { good_api = { { "gzipped", faults.good.api[1][4], more } } })
        for _, method in ipairs { "list_users", "get" } do
          local list, err = client[method](client, method == "get" and helper.users_path() or helper.ORG)
          err = helper.failed("decode", list, err)
          assert.truthy(err.message:find("after the compressed", 1, true), err.message)
          assert.is_false(err.retryable)
        end
      end)
    end
  end)

  describe("that receives a header", function()
    local function fails_alone(acts, tls)
      local listener = listen { tls = tls, api = { acts }, good_api = { { "await_gone" }, faults.good.api[1] } }
      local client = client_of(listener, nil, { access_token = "static" })
      local ids = {}
      for i = 1, 6 do ids[i] = ("%d"):format(i):rep(8) .. helper.ORG:sub(9) end
      -- The first request to arrive gets the header, while the others are in flight.
      local results, errors = client:list_users_of(ids)
      local good, bad = 0, nil
      for _, id in ipairs(ids) do
        if results[id] then good = good + 1 else bad = errors[id] end
      end
      assert.equal(5, good)
      return helper.failed("too_large", nil, bad)
    end

    for protocol, tls in pairs { HTTP = false, HTTPS = { certificate = "server" } } do
      for _, kilobytes in ipairs { 70, 150, 400 } do
        it(("with a field of %d KB over %s fails that call only"):format(kilobytes, protocol), function()
          local err = fails_alone({ { "meet", 6 }, { "flood", "HTTP/1.1 200 OK\r\nX: ", ("b"):rep(1024), kilobytes,
            "\r\nContent-Length: 2\r\n\r\n[]" } }, tls)
          assert.truthy(err.message:find("header", 1, true), err.message)
        end)
      end
    end

    it("with a field of 60 KB accepts it", function()
      local body = faults.good.api[1][4]
      local client = client_of(listen { api = { { head(200, "X: " .. ("b"):rep(60 * 1024),
        "Content-Length: " .. #body), { "send", body } } } })
      assert.equal(3, #assert(client:list_users(helper.ORG)))
    end)
  end)

  describe("that receives a token of more than 64 KB", function()
    for _, member in ipairs { "access_token", "refresh_token" } do
      it("as " .. member .. " refuses it", function()
        local long = { "respond", 200, {}, faults.token_response { [member] = ("x"):rep(65537) } }
        local client = client_of(listen { token = { { long } } })
        local err = helper.failed("auth", client:list_users(helper.ORG))
        assert.equal(200, err.status)
        assert.truthy(err.message:find(member .. " is longer than 64 KB", 1, true), err.message)
        assert.equal(3, #assert(client:list_users(helper.ORG)))
      end)
    end
  end)

  describe("whose proxy answers CONNECT with", function()
    for status, retryable in pairs { [400] = false, [403] = false, [407] = false, [302] = false, [408] = true,
      [429] = true, [500] = true, [502] = true, [503] = true } do
      it(("%d, %s"):format(status, retryable and "retries" or "fails at once, and names the proxy"), function()
        local target = listen { tls = { certificate = "server" } }
        local response = { { "respond", status, { ["Proxy-Authenticate"] = "Basic realm=\"x\"", ["Retry-After"] = "0" },
          "" }, CLOSE }
        local proxy = listen { good_connect = response }
        local client = client_of(target, { max_retries = 2,
          proxy = proxy.url:gsub("//", "//me:wrong-password@") }, { access_token = "static" })
        local err = helper.failed("network", client:list_users(helper.ORG))
        assert.equal(retryable, err.retryable)
        assert.is_nil(err.status)
        assert.truthy(err.message:find(("the proxy 127.0.0.1:%d answered CONNECT with HTTP %d")
          :format(proxy.port, status), 1, true), err.message)
        assert.equal(retryable and 3 or 1, requests_of(proxy).connect)
        assert.equal(0, select(2, target:received()))
        helper.without({ tostring(err), err.message }, { "wrong-password" })
      end)
    end
  end)

  it("whose proxy has an IPv6 address names it in brackets", function()
    local made, proxy = pcall(listen, { host = "::1", good_connect = { { "respond", 403, {}, "" }, CLOSE } })
    if not made then return pending("this machine has no IPv6") end
    local client = assert(podero.new { base_url = "https://localhost:1", access_token = "static", max_retries = 0,
      proxy = ("http://[::1]:%d"):format(proxy.port) })
    local err = helper.failed("network", client:list_users(helper.ORG))
    client:close()
    assert.truthy(err.message:find(("the proxy [::1]:%d answered CONNECT with HTTP 403"):format(proxy.port), 1, true),
      err.message)
  end)

  describe("that refreshes a token", function()
    it("sends no scope in either encoding, and keeps the granted scope", function()
      for _, encoding in ipairs { "form", "json" } do
        local first = { { "respond", 200, {},
          "{\"access_token\": \"one\", \"refresh_token\": \"ref-1\", \"scope\": \"read\", \"expires_in\": 0}" } }
        local second = { { "respond", 200, {}, "{\"access_token\": \"two\", \"expires_in\": 3600}" } }
        local listener = listen { token = { first, second } }
        local client = client_of(listener, { scope = "read write", token_encoding = encoding })
        assert(client:list_users(helper.ORG))
        assert(client:list_users(helper.ORG))
        local bodies = {}
        for _, request in ipairs((listener:received())) do
          if request.kind == "token" then bodies[#bodies + 1] = request.body end
        end
        assert.equal(2, #bodies)
        assert.truthy(bodies[1]:find("scope", 1, true))
        assert.truthy(bodies[2]:find("ref-1", 1, true))
        assert.is_nil(bodies[2]:find("scope", 1, true), bodies[2])
        assert.equal("read", (select(3, client:token())))
      end
    end)
  end)

  describe("that receives Retry-After", function()
    local function retry_after(acts)
      local err = helper.failed("http", client_of(listen { api = { acts } }):list_users(helper.ORG))
      assert.equal(503, err.status)
      return err.retry_after
    end
    local function date(seconds) return os.date("!%a, %d %b %Y %H:%M:%S GMT", seconds) end

    it("measures a date against the response's Date, wherever that is", function()
      for _, server_clock in ipairs { os.time() - 86400, os.time() + 3600, 784111777 } do
        local when, now = "Retry-After: " .. date(server_clock + 90), "Date: " .. date(server_clock)
        assert.equal(90, retry_after { head(503, now, when, "Content-Length: 0") })
        assert.equal(90, retry_after { head(503, when, now, "Content-Length: 0") })
      end
      local now = os.time()
      local seconds = retry_after { head(503, "Date: yesterday", "Retry-After: " .. date(now + 90),
        "Content-Length: 0") }
      assert.is_true(math.abs(seconds - 90) < 5, seconds)
    end)

    it("limits it to a year", function()
      local year = 365 * 86400
      for _, value in ipairs { ("9"):rep(60), "31536001", date(os.time() + 3 * year) } do
        assert.equal(year, retry_after { head(503, "Retry-After: " .. value, "Content-Length: 0") })
      end
    end)

    it("ignores one in a trailer", function()
      assert.is_nil(retry_after { head(503, "Transfer-Encoding: chunked"),
        send("2", "{}", "0", "Retry-After: 60", "", "") })
      assert.equal(5, retry_after { head(503, "Transfer-Encoding: chunked", "Retry-After: 5"),
        send("2", "{}", "0", "Retry-After: 60", "", "") })
    end)

    it("ignores one in a trailer over HTTP/2", function()
      for field, expected in pairs { ["X-Other"] = false, ["Retry-After"] = 5 } do
        local listener = listen { tls = { certificate = "server", h2 = true }, api = { { { "head", 503,
          { [field] = "5" } }, { "data", "{}" }, { "trailer", { ["Retry-After"] = "60" } } } } }
        local err = helper.failed("http", client_of(listener, nil, { access_token = "static" }):list_users(helper.ORG))
        assert.equal(expected or nil, err.retry_after)
      end
    end)
  end)
end)
