local cjson = require "cjson"
local helper = require "spec.support.helper"
local mime = require "mime"
local mock = require "spec.support.mock"
local users = require "spec.support.mock.users"

local ORG = helper.ORG

--- An error of each_user as other methods return it.
local function without_delivered(err)
  err.delivered = nil
  return err
end

describe("an error", function()
  local server

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    server:reset()
    helper.static(server, {})
  end)
  after_each(function() helper.close_clients() end)

  local function static_client(more)
    local options = { access_token = "static" }
    for name, value in pairs(more or {}) do options[name] = value end
    return helper.client(server, options)
  end

  --- Lists users while every response is this one.
  local function responded(step, more)
    helper.static(server, { always_api = step })
    return static_client(more):list_users(ORG)
  end

  describe("as a value", function()
    it("is the second of two results, whose tostring is one readable line", function()
      local results = { n = select("#", responded { status = 403 }) }
      assert.equal(2, results.n)
      local err = helper.failed("http", responded { status = 403 })
      assert.truthy(tostring(err):find("^podero: .*http.*403"), tostring(err))
      assert.is_true(#tostring(err) < 1000)
    end)

    it("can be raised as it is, and caught", function()
      local err = helper.failed("http", responded { status = 403 })
      local ok, caught = pcall(error, err)
      assert.is_false(ok)
      assert.equal(err, caught)
    end)

    it("has the fields of the contract", function()
      local err = helper.failed("http", responded { status = 429, headers = { ["Retry-After"] = "7200" } })
      assert.equal(429, err.status)
      assert.equal(7200, err.retry_after)
      assert.equal(1, err.attempts)
      assert.is_true(err.retryable)
      assert.same({ detail = "Too Many Requests" }, err.detail)
      if math.type then
        assert.equal("integer", math.type(err.status))
        assert.equal("integer", math.type(err.attempts))
      end
    end)

    -- In a new process, which has little to collect, so that finalizers run at nearly every allocation.
    local CLOSING = [[
      local podero = require "podero"
      local client = podero.new { base_url = %q, access_token = "static", proxy = "", max_retries = 0,
        on_event = function(event) assert(event.status == 403 and event.url:find("/users", 1, true)) end }
      local function on_collection(f)
        if newproxy then getmetatable(newproxy(true)).__gc = f else setmetatable({}, { __gc = f }) end
      end

      --- Runs a loop that the n-th finalizer closes. Returns whether it ran, and the error.
      local function loop(n)
        local count, active, iterator = 0, true, nil
        local function trap()
          if not active then return end
          count = count + 1
          if count == n and iterator then iterator:close() end
          on_collection(trap)
        end
        local _, err = pcall(function()
          iterator = client:each_user(%q)
          trap()
          for _ in iterator do error("a user") end
        end)
        active = false
        return count >= n, err
      end

      if _VERSION >= "Lua 5.5" then
        collectgarbage("incremental")
        for name, value in pairs { pause = 1, stepmul = 100000, stepsize = 8 } do
          collectgarbage("param", name, value)
        end
      else
        collectgarbage("setpause", 1)
        collectgarbage("setstepmul", 100000)
        if _VERSION == "Lua 5.4" then collectgarbage("incremental", 1, 1000, 3) end
      end
      local n, closed, err = 0
      repeat
        n = n + 1
        closed, err = loop(n)
        if err then
          assert(err.status == 403 and err.message:find("HTTP 403", 1, true), err)
          assert(err.detail == nil or #err.detail.detail == 300)
        end
      until not closed or n == 2000
      print(closed, err.detail.detail[300])]]

    it("is complete even if a finalizer closes the loop while the error or its event is made", function()
      local texts = {}
      for i = 1, 300 do texts[i] = ("text %d"):format(i) end
      helper.static(server, { always_api = { status = 403, body = cjson.encode { detail = texts } } })
      assert.equal("false\ttext 300\n", (helper.run(CLOSING:format(server.url, ORG))))
    end)

    it("may be given fields, and has a tostring even if its fields are removed", function()
      local err = helper.failed("http", responded { status = 403 })
      err.context = "mine"
      assert.equal("mine", err.context)
      err.message, err.kind = nil, {}
      assert.is_string(tostring(err))
    end)
  end)

  describe("of kind argument", function()
    it("comes from an id that is not a UUID, and nothing is sent", function()
      local err = helper.failed("argument", helper.client(server):list_users("not-a-uuid\n\27[2Jx"))
      assert.truthy(err.message:find("not-a-uuid", 1, true))
      assert.equal(0, #server:requests())
      assert.is_nil(err.status)
      assert.is_nil(err.detail)
    end)
  end)

  describe("of kind http", function()
    it("has the server's message", function()
      for status, word in pairs { [403] = "Forbidden", [404] = "Not Found" } do
        helper.static(server, { organizations = { [ORG] = { status = status } } })
        local err = helper.failed("http", static_client():list_users(ORG))
        assert.equal(status, err.status)
        assert.truthy(err.message:find(word, 1, true), err.message)
        assert.truthy(err.message:find(tostring(status), 1, true), err.message)
        assert.truthy(err.message:find(helper.users_path(), 1, true), err.message)
        assert.same({ detail = word }, err.detail)
        assert.is_false(err.retryable)
      end
    end)

    it("has message and location of a validation error", function()
      helper.static(server, {})
      local err = helper.failed("http", static_client():get(helper.users_path(), { include_deleted = "maybe" }))
      assert.equal(422, err.status)
      assert.truthy(err.message:find("Input should be a valid boolean", 1, true), err.message)
      assert.truthy(err.message:find("query.include_deleted", 1, true), err.message)
      assert.equal("bool_parsing", err.detail.detail[1].type)
    end)

    it("has the first 1,024 bytes of a body that is not JSON as detail", function()
      local err = helper.failed("http", responded { status = 404, body = "<h1>no such page</h1>" })
      assert.equal("<h1>no such page</h1>", err.detail)
      local long = ("<p>"):rep(5000)
      err = helper.failed("http", responded { status = 404, body = long, content_type = "text/html" })
      assert.equal(long:sub(1, 1024), err.detail)
      err = helper.failed("http", responded { status = 404, body = "\0\1\255" })
      assert.equal("\0\1\255", err.detail)
    end)

    it("has no detail if there was no body", function()
      local err = helper.failed("http", responded { status = 404, body = "" })
      assert.is_nil(err.detail)
      assert.equal(404, err.status)
    end)

    it("has any JSON value as detail", function()
      for text, value in pairs {
        ["{\"detail\": [1, {\"a\": true}]}"] = { detail = { 1, { a = true } } },
        ["[1, 2]"] = { 1, 2 }, ["\"gone\""] = "gone", ["42"] = 42, ["false"] = false, ["null"] = cjson.null,
        ["{}"] = {},
        ["{\"detail\": null}"] = { detail = cjson.null },
        ["{\"detail\": [null]}"] = { detail = { cjson.null } },
        ["{\"detail\": [{\"msg\": 5, \"loc\": 7}]}"] = { detail = { { msg = 5, loc = 7 } } },
        ["{\"detail\": [{\"msg\": \"bad\", \"loc\": {\"a\": 1}}]}"] = { detail = { { msg = "bad", loc = { a = 1 } } } },
        ["{\"error\": {\"code\": 5}}"] = { error = { code = 5 } },
      } do
        assert.same(value, helper.failed("http", responded { status = 400, body = text }).detail, text)
      end
    end)

    it("has code and description if the body is an OAuth 2 error", function()
      local err = helper.failed("http", responded { status = 403,
        body = "{\"error\": \"insufficient_scope\", \"error_description\": \"read is missing\"}" })
      assert.equal("insufficient_scope", err.code)
      assert.equal("read is missing", err.description)
      assert.truthy(err.message:find("read is missing", 1, true), err.message)
    end)

    it("has integers in its detail if Lua has integers", function()
      local err = helper.failed("http", responded { status = 400,
        body = "{\"detail\": [{\"loc\": [\"body\", 0, 1.5], \"msg\": \"bad\"}], \"limit\": 9007199254740993}" })
      assert.equal(9007199254740993, err.detail.limit)
      if math.type then assert.equal("integer", math.type(err.detail.limit)) end
      assert.truthy(err.message:find("body.0.1.5: bad", 1, true), err.message)
    end)

    it("has a body as text if it is JSON only at its beginning, or nested too deeply", function()
      for _, body in ipairs { "{\"detail\": \"x\"", "{\"detail\": \"x\"}}", ("["):rep(600) .. ("]"):rep(600) } do
        assert.equal(body:sub(1, 1024), helper.failed("http", responded { status = 400, body = body }).detail)
      end
    end)

    it("has a message of one line, whatever the server says", function()
      local err = helper.failed("http", responded { status = 400,
        body = cjson.encode { detail = "a\r\nb\tc\27[31m\0\127\194\155d " .. ("long "):rep(1000) } })
      assert.truthy(err.message:find("a??b?c?", 1, true), err.message)
      assert.is_true(#tostring(err) < 2000)
    end)

    it("shows characters of every length, and a question mark for each byte that is not in one", function()
      for text, shown in pairs {
        ["\195\164 \226\130\172 \224\160\128 \237\159\191 \240\159\152\128 \240\144\128\128 \244\143\191\191"] = true,
        ["\194\128 \194\159 \194\160"] = "?? ?? \194\160",
        ["\224\159\191 \237\160\128"] = "??? ???",
        ["\240\143\191\191 \244\144\128\128 \245\128\128\128"] = "???? ???? ????",
        ["\226\130 \240\159\152 \195 \128 \255"] = "?? ??? ? ? ?",
        ["\226\130\65 \195\65"] = "??A ?A",
      } do
        local err = helper.failed("http", responded { status = 400, body = cjson.encode { detail = text } })
        assert.truthy(err.message:find(shown == true and text or shown, 1, true), err.message)
      end
    end)

    it("keeps only the beginning of a large body", function()
      helper.static(server, { gzip = true, always_api = { status = 400, fault = "gzip_bomb", bytes = 30000000 } })
      local before = collectgarbage("count")
      local err = helper.failed("http", static_client():list_users(ORG))
      assert.equal(400, err.status)
      assert.equal("string", type(err.detail))
      assert.equal(1024, #err.detail)
      assert.is_true(collectgarbage("count") - before < 2000)
    end)
  end)

  describe("of kind http for a redirect", function()
    local other

    setup(function() other = mock.start { tls = false } end)
    teardown(function() other:stop() end)
    before_each(function() other:reset() end)

    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      it("names the target of a " .. status .. ", and nothing is sent there", function()
        local target = other.url .. "/api/partners/elsewhere?next=1"
        local step = { status = status, headers = { Location = target } }
        local err = helper.failed("http", responded(step))
        assert.equal(status, err.status)
        assert.truthy(err.message:find(target, 1, true), err.message)
        assert.is_false(err.retryable)
        assert.equal(1, server:counts().api)

        server:configure { always_token = step }
        err = helper.failed("http", helper.client(server):list_users(ORG))
        assert.equal(status, err.status)
        assert.truthy(err.message:find(target, 1, true), err.message)
        assert.equal(1, server:counts().token)
        assert.equal(0, #other:requests())
      end)
    end

    it("names a relative target in full", function()
      local err = helper.failed("http", responded { status = 302, headers = { Location = "/login?next=/x" } })
      assert.truthy(err.message:find(server.url .. "/login?next=/x", 1, true), err.message)
      assert.equal(0, server:counts().other)
    end)

    it("comes if the target is missing or unusable, too", function()
      helper.failed("http", responded { status = 302 })
      for _, location in ipairs { "", "javascript:alert(1)", "//elsewhere.example/x", "ht!tp://x", "file:///etc/passwd",
        ("x"):rep(20000) } do
        local err = helper.failed("http", responded { status = 302, headers = { Location = location } })
        assert.equal(302, err.status)
      end
      assert.equal(7, server:counts().api)
    end)
  end)

  describe("of kind network", function()
    it("names the server that accepts no connection", function()
      local url = ("http://127.0.0.1:%d"):format(helper.closed_port())
      local err = helper.failed("network", static_client({ base_url = url, max_retries = 0 }):list_users(ORG))
      assert.truthy(err.message:find(url, 1, true), err.message)
      assert.is_true(err.retryable)
      assert.is_nil(err.status)
      assert.equal(1, err.attempts)
      local client = helper.client(server, { token_url = url .. "/token", max_retries = 0 })
      err = helper.failed("network", client:list_users(ORG))
      assert.truthy(err.message:find("token_url " .. url .. "/token", 1, true), err.message)
      assert.equal(0, server:counts().api)
    end)

    it("comes from what is not HTTP", function()
      local err = helper.failed("network", responded({ fault = "garbage" }, { max_retries = 0 }))
      assert.is_nil(err.detail)
    end)
  end)

  describe("of kind timeout", function()
    it("names the time limit and the URL", function()
      local err = helper.failed("timeout", responded({ delay = 5 }, { timeout = 0.1 }))
      assert.truthy(err.message:find("0.1", 1, true), err.message)
      assert.truthy(err.message:find(helper.users_path(), 1, true), err.message)
      assert.is_true(err.retryable)
      assert.equal(1, err.attempts)
      server:configure { always_token = { delay = 5 } }
      err = helper.failed("timeout", helper.client(server, { timeout = 0.1 }):list_users(ORG))
      assert.truthy(err.message:find(helper.TOKEN_PATH, 1, true), err.message)
    end)
  end)

  describe("of kind decode", function()
    it("comes from a body that is not JSON", function()
      for _, body in ipairs {
        "<!DOCTYPE html><html><body>Sign in</body></html>", "", " ", "[,]", "[{\"a\": }]", "[{]", "'x'",
        "[] x", "undefined", "\239\187\191[]", "[{\"a\" 1}]", "[{\"a\": \"\1", "tru", "\0", "[]\0[]",
      } do
        local client = static_client { max_retries = 0 }
        helper.static(server, { always_api = { body = body, content_type = "text/html" } })
        local err = helper.failed("decode", client:list_users(ORG))
        assert.equal(200, err.status)
        err = helper.failed("decode", client:get(helper.API .. "/x"))
        assert.equal(200, err.status)
      end
    end)

    it("says that a response is empty", function()
      local err = helper.failed("decode", responded { body = "" })
      assert.truthy(err.message:find("empty", 1, true), err.message)
      assert.equal(1, server:counts().api)
    end)

    it("comes from a complete response with half a list, which is retried", function()
      helper.static(server, { organizations = { [ORG] = { raw = "[{\"id\": \"a" } } })
      local err = helper.failed("decode", static_client({ max_retries = 1 }):list_users(ORG))
      assert.truthy(err.message:find("cut short", 1, true), err.message)
      assert.is_true(err.retryable)
      assert.equal(2, server:counts().api)
    end)

    it("comes from a compressed body that cannot be decompressed", function()
      helper.static(server, { gzip = true, always_api = { fault = "bad_gzip" } })
      local err = helper.failed("decode", static_client():list_users(ORG))
      assert.equal(200, err.status)
      assert.equal(1, server:counts().api)
    end)

    it("comes from JSON that is nested too deeply", function()
      for _, body in ipairs {
        ("["):rep(100000) .. ("]"):rep(100000),
        ("{\"a\":"):rep(5000) .. "1" .. ("}"):rep(5000),
      } do
        helper.static(server, { always_api = { body = body } })
        helper.failed("decode", static_client():get(helper.API .. "/x"))
        helper.static(server, { organizations = { [ORG] = { users = 1, seed = 1, extra = "\"x\": " .. body } } })
        helper.failed("decode", static_client():list_users(ORG))
      end
    end)
  end)

  describe("of kind too_large", function()
    it("comes if a response exceeds max_response_bytes, which is not retried", function()
      local client = static_client { max_response_bytes = 1000 }
      local err = helper.failed("too_large", client:list_users(ORG))
      assert.truthy(err.message:find("max_response_bytes", 1, true), err.message)
      assert.is_false(err.retryable)
      assert.equal(1, err.attempts)
      assert.equal(1, server:counts().api)
      helper.failed("too_large", client:get(helper.users_path()))
      assert(client:get(helper.users_path(), nil, { max_response_bytes = 1000000 }))
    end)

    it("comes from one byte more than the limit", function()
      local body = "[" .. (" "):rep(998) .. "]"
      for _, encoding in ipairs { false, true } do
        helper.static(server, { gzip = encoding, always_api = { body = body } })
        assert.same({}, static_client({ max_response_bytes = 1000 }):list_users(ORG))
        helper.failed("too_large", static_client({ max_response_bytes = 999 }):list_users(ORG))
      end
    end)

    it("comes from at least 16 bytes for each JSON value, wherever it is", function()
      local user = assert(cjson.decode(users.list_json(7, 1, false, { org_id = ORG })))[1]
      user.more = {}
      for i = 1, 1000 do user.more[i] = { {} } end -- 4 bytes and 3 values each
      local body = cjson.encode { user }
      local first = body:find("[{", 1, true)
      helper.static(server, { always_api = { body = body } })
      local client = static_client { max_response_bytes = 2000 * 16 }
      assert.is_true(#body < 2000 * 16 and first == 1)
      for _, call in ipairs {
        function(opts) return client:list_users(ORG, opts) end,
        function(opts) return client:get(helper.users_path(), nil, opts) end,
        function(opts)
          local results, errors = client:list_users_of({ ORG }, opts)
          return results[ORG], errors[ORG]
        end,
      } do
        local err = helper.failed("too_large", call())
        assert.truthy(err.message:find("max_response_bytes", 1, true), err.message)
        assert.is_false(err.retryable)
        assert(call { max_response_bytes = 2100 * 16 })
      end
      -- A loop keeps nothing: only a limit in its opts counts.
      local count = 0
      for _ in client:each_user(ORG) do count = count + 1 end
      assert.equal(1, count)
      local ok, err = pcall(function()
        for _ in client:each_user(ORG, { max_response_bytes = 2000 * 16 }) do count = count + 1 end
      end)
      assert.is_false(ok)
      assert.equal(1, count)
      helper.failed("too_large", nil, without_delivered(err))
    end)

    it("comes from a user of more than 65,536 values, whatever the limit is", function()
      local user = users.list_json(7, 1, false, { org_id = ORG }):match("^%[(.*)%]$")
      local large = user:sub(1, -2) .. ',"more":[' .. ("[],"):rep(65536) .. "0]}"
      helper.static(server, { always_api = { body = "[" .. user .. "," .. large .. "]" } })
      local client = static_client { max_response_bytes = 1e9 }
      local err = helper.failed("too_large", client:list_users(ORG))
      assert.equal("[2]: more than 65536 values", err.message)
      local count = 0
      local ok, raised = pcall(function()
        for _ in client:each_user(ORG) do count = count + 1 end
      end)
      assert.is_false(ok)
      assert.equal(1, count)
      assert.equal(1, raised.delivered)
      assert.equal("[2]: more than 65536 values", helper.failed("too_large", nil, without_delivered(raised)).message)
      assert(client:get(helper.users_path()))
    end)

    it("comes from decoded bytes, not from those received", function()
      helper.static(server, { gzip = true, always_api = { fault = "gzip_bomb", bytes = 50000000 } })
      for _, make in ipairs { helper.client, helper.tls_client } do
        local client = make(server, { access_token = "static", max_response_bytes = 1000000 })
        helper.failed("too_large", client:list_users(ORG))
        assert.is_true(helper.last(server, "api").bytes < 1000000)
      end
      assert.equal(2, server:counts().api)
    end)

    it("comes from token responses, too", function()
      server:configure { gzip = true, always_token = { fault = "gzip_bomb", bytes = 50000000 } }
      helper.failed("too_large", helper.client(server):list_users(ORG))
      assert.equal(0, server:counts().api)
    end)

    it("comes from header fields only above the size that servers send", function()
      assert.equal(25, #assert(responded { fault = "big_headers" }))
      local result, err = responded { fault = "big_headers", bytes = 1500000 }
      assert.is_nil(result)
      assert.is_true(err.kind == "too_large" or err.kind == "network", err.kind)
    end)
  end)

  it("does not come from an informational response before the real one", function()
    assert.equal(25, #assert(responded { fault = "informational" }))
  end)

  describe("of kind auth", function()
    it("names the requested URL and token_url if a grant is refused", function()
      for _, step in ipairs {
        { status = 401, body = "{\"error\": \"invalid_client\"}" }, { status = 404 }, { status = 403 },
        { status = 400, body = "{\"error\": \"invalid_scope\", \"error_description\": \"no such scope\"}" },
        { status = 404, body = "<html>", content_type = "text/html" },
      } do
        server:configure { always_token = step }
        local client = helper.client(server)
        local err = helper.failed("auth", client:list_users(ORG))
        assert.truthy(err.message:find(server.url .. helper.TOKEN_PATH, 1, true), err.message)
        assert.truthy(err.message:find("token_url", 1, true), err.message)
        assert.truthy(err.message:find(tostring(step.status), 1, true), err.message)
        assert.equal(step.status, err.status)
        assert.is_false(err.retryable)
        local body = step.body and step.body:sub(1, 1) == "{" and cjson.decode(step.body) or {}
        assert.equal(body.error, err.code)
        assert.equal(body.error_description, err.description)
        if err.description then assert.truthy(err.message:find(err.description, 1, true), err.message) end
      end
      assert.equal(0, server:counts().api)
    end)

    it("has the token endpoint's body as detail", function()
      server:configure { always_token = { status = 403, body = "{\"detail\": \"IP address not allowed\"}" } }
      local err = helper.failed("auth", helper.client(server):list_users(ORG))
      assert.same({ detail = "IP address not allowed" }, err.detail)
      assert.truthy(err.message:find("IP address not allowed", 1, true), err.message)
    end)
  end)

  describe("shows no secret that the server repeats", function()
    local secret, password = "s3cr/t +%:\"\\é", "pass word&=\"é\""

    local function percent_encoded(text)
      return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
    end

    local function form_encoded(text)
      return (percent_encoded(text):gsub("%%20", "+"))
    end

    local function json_encoded(text)
      return (text:gsub("[\"\\]", "\\%0"))
    end

    local function check(err, secrets)
      helper.without(err, secrets)
      helper.without(tostring(err), secrets)
    end

    local options = { client_id = "demo-client", client_secret = secret, username = "ada@example.com",
      password = password }
    local basic = mime.b64("demo-client:" .. secret:gsub("[%%+\128-\255]", percent_encoded)) -- as it is sent

    for name, body in pairs {
      ["in JSON values"] = function(texts)
        return cjson.encode { error = "invalid_request", error_description = "got " .. table.concat(texts, " and "),
          detail = texts }
      end,
      ["in JSON keys"] = function(texts)
        local echo = {}
        for i, text in ipairs(texts) do echo["x" .. i .. text] = { [text] = i } end
        return cjson.encode { detail = { echo } }
      end,
      ["as validation errors"] = function(texts)
        return cjson.encode { detail = { { type = "x", loc = texts, msg = "bad " .. table.concat(texts, ", "),
          input = texts } } }
      end,
      ["as text"] = function(texts) return "<html>" .. table.concat(texts, "</p>\n<p>") .. "</html>" end,
    } do
      it(name .. " of the token endpoint", function()
        for _, status in ipairs { 400, 401, 403, 422 } do
          server:configure { always_token = { status = status, body = body { secret, password, basic } } }
          local _, err = helper.client(server, options):list_users(ORG)
          helper.failed("auth", nil, err)
          check(err, { secret, password, basic })
          assert.is_not_nil(err.detail)
        end
      end)

      it(name .. " of the API", function()
        local client = helper.client(server)
        local token = client:token()
        server:patch { always_api = { status = 403, body = body { token, "Bearer " .. token, "demo-secret" } } }
        local err = helper.failed("http", client:list_users(ORG))
        check(err, { token, "demo-secret" })
      end)
    end

    for name, encode in pairs {
      ["unchanged"] = function(text) return text end,
      ["form-encoded, as it was sent"] = form_encoded,
      ["in JSON, as it was sent"] = json_encoded,
      ["in JSON with escaped slashes and letters"] = function(text) return cjson.encode(text):sub(2, -2) end,
      ["percent-encoded"] = percent_encoded,
      ["percent-encoded in lower case"] = function(text)
        return (percent_encoded(text):gsub("%%%x%x", string.lower))
      end,
    } do
      it(name .. ", in a text", function()
        for _, text in ipairs { encode(secret), encode(password) } do
          server:configure { always_token = { status = 400, body = "you sent: " .. text .. "." } }
          local _, err = helper.client(server, options):list_users(ORG)
          helper.failed("auth", nil, err)
          assert.truthy(err.detail:find("you sent", 1, true))
          check(err, { text })
        end
      end)
    end

    it("in the letters of another encoding", function()
      local cyrillic = "пароль"
      for _, text in ipairs { "pass word&=\"Ã©\"", "pass word&=\"\233\"", "pass word&=\"\"",
        "pass+word%26%3D%22%E9%22" } do
        server:configure { always_token = { status = 400, body = "you sent: " .. text .. "." } }
        local err = helper.failed("auth", helper.client(server, options):list_users(ORG))
        assert.equal("you sent: ***.", err.detail)
        err = helper.failed("auth", helper.client(server, { username = "a", password = cyrillic }):list_users(ORG))
        assert.equal("you sent: " .. text .. ".", err.detail)
      end
      server:configure { always_token = { status = 400, body = "вы сказали «" .. cyrillic .. "»" } }
      local err = helper.failed("auth", helper.client(server, { username = "a", password = cyrillic }):list_users(ORG))
      assert.equal("вы сказали «***»", err.detail)
    end)

    it("of which only the beginning is repeated", function()
      local token = ("0123456789abcdef"):rep(10)
      helper.static(server, { always_api = { status = 403, body = "token " .. token:sub(1, 100) .. "..." } })
      local client = helper.client(server, { access_token = token })
      assert.equal("token ***...", helper.failed("http", client:list_users(ORG)).detail)
    end)

    it("with the escapes of a JSON string, in a text that is not JSON", function()
      local odd = "p\195\164\226\130\172\240\159\152\128\n\"\\/x"
      local client = helper.client(server, { username = "ada@example.com", password = odd })
      for _, text in ipairs {
        "p\\u00e4\\u20ac\\ud83d\\ude00\\n\\\"\\\\\\/x",
        "\\u0070\\u00E4\\u20AC\\uD83D\\uDE00\\u000a\\u0022\\u005c\\u002Fx",
        "p\195\164\226\130\172\240\159\152\128\\n\\\"\\\\/x",
      } do
        server:configure { always_token = { status = 400, body = "got: " .. text .. "." } }
        assert.equal("got: ***.", helper.failed("auth", client:list_users(ORG)).detail)
      end
      -- Text that is no escape, or only part of one, stays.
      for _, text in ipairs { "p\\u00e", "p\\u00xy", "p\\ud83d\\n", "p\\ud83d\\u0041", "p\\",
        "p\\q", "p%", "p%e", "p%zz" } do
        server:configure { always_token = { status = 400, body = "got: " .. text } }
        assert.equal("got: " .. text, helper.failed("auth", client:list_users(ORG)).detail)
      end
    end)

    it("and keeps the other text, even if most of the secret is not ASCII", function()
      local umlauts = ("\195\164"):rep(40) .. "abcd"
      local client = helper.client(server, { username = "ada@example.com", password = umlauts })
      server:configure { always_token = { status = 400, body = "a bad cad" } }
      assert.equal("a bad cad", helper.failed("auth", client:list_users(ORG)).detail)
      server:configure { always_token = { status = 400, body = "it was " .. umlauts .. "!" } }
      assert.equal("it was ***!", helper.failed("auth", client:list_users(ORG)).detail)
    end)

    it("in a short time, whatever the server's tokens are", function()
      -- A checked build is slow; a search without bound would take minutes.
      local limit = helper.CHECKED and 30 or 5
      local token = ("a"):rep(60000)
      server:configure { token_raw = cjson.encode { access_token = token .. "b", refresh_token = token .. "c" },
        always_api = { status = 403, body = token } }
      local seconds, list, err = helper.timed(function() return helper.client(server):list_users(ORG) end)
      helper.failed("http", list, err)
      assert.equal("***", err.detail)
      assert.is_true(seconds < limit, seconds)
      server:patch { always_api = { status = 403, body = (("a"):rep(63) .. "!"):rep(1000) } }
      seconds, list, err = helper.timed(function() return helper.client(server):list_users(ORG) end)
      helper.failed("http", list, err)
      assert.is_true(seconds < limit, seconds)
    end)

    it("where a text is cut off", function()
      local long = "0123456789abcdefghijklmnopqrstuvwxyz"
      local client = helper.client(server, { client_id = "demo-client", client_secret = long })

      local function refused()
        local _, err = client:list_users(ORG)
        assert.is_true(err.kind == "auth" or err.kind == "http", err.kind)
        check(err, { long:sub(1, 12) })
      end

      for length = 0, 330, 10 do
        local filler = ("."):rep(length)
        server:configure { always_token = { status = 400, body = cjson.encode {
          error = "invalid_scope", error_description = filler .. long,
        } } }
        refused()
        server:configure { always_token = { status = 400, body = cjson.encode { detail = filler .. long } } }
        refused()
        server:configure { always_token = { status = 302, headers = { Location = "/" .. filler .. long } } }
        refused()
      end
      for length = 980, 1030, 7 do
        server:configure { always_token = { status = 400, body = ("."):rep(length) .. long } }
        refused()
      end
      for _, length in ipairs { 65480, 65500, 65520, 65530 } do -- only the beginning of a body is kept
        server:configure { always_token = { status = 400, body = cjson.encode { detail = ("."):rep(length) .. long } } }
        refused()
      end
    end)

    it("with characters that a message cannot show", function()
      local odd = "sesame\tunfold\1beyond\127doors"
      server:configure { always_token = { status = 400, body = cjson.encode { error = "invalid_grant",
        error_description = "the value " .. odd .. " is wrong" } } }
      local _, err = helper.client(server, { username = "ada", password = odd }):list_users(ORG)
      helper.failed("auth", nil, err)
      check(err, { odd, "sesame", "unfold", "beyond", "doors" })
    end)

    it("in the target of a redirect", function()
      local client = helper.client(server)
      local token = client:token()
      server:patch { always_api = { status = 302, headers = { Location = "/login?token=" .. token } } }
      check(helper.failed("http", client:list_users(ORG)), { token })
      server:configure { always_token = { status = 302,
        headers = { Location = "/login?password=correct%20horse&again=correct+horse&secret=demo-secret" } } }
      local err = helper.failed("http", helper.client(server, mock.credentials):list_users(ORG))
      check(err, { "correct%20horse", "correct+horse", "demo-secret" })
    end)

    it("if it is a refused, a replaced, or a refresh token", function()
      server:configure { refresh = true }
      local client = helper.client(server)
      local first = client:token()
      server:revoke()
      assert(client:list_users(ORG))
      local second = client:token()
      local refresh = helper.last(server, "token").body:match("refresh_token=([%w-]+)")
      for _, text in ipairs { first, second, refresh } do
        server:patch { always_api = { status = 403, body = cjson.encode { detail = "bad: " .. text } } }
        check(helper.failed("http", client:list_users(ORG)), { text })
      end
    end)

    it("in a body with status 200 that is not JSON", function()
      local client = helper.client(server)
      local token = client:token()
      for _, body in ipairs { token, "[" .. token, "{\"" .. token .. "\": 1}", "[{\"id\": " .. token } do
        server:patch { always_api = { body = body } }
        local _, err = client:list_users(ORG, { max_retries = 0 })
        helper.failed(err.kind, nil, err)
        check(err, { token })
      end
    end)
  end)
end)
