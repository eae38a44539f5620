local cjson = require "cjson"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local podero = require "podero"

local ECHO = helper.API .. "/echo"

describe("client:get", function()
  local server, client

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function()
    server:reset()
    helper.static(server, {})
    client = helper.client(server, { access_token = "static" })
  end)
  after_each(function() helper.close_clients() end)

  local function page(body)
    helper.static(server, { paths = { [helper.API .. "/page"] = { body = body } } })
    return client:get(helper.API .. "/page")
  end

  it("gives the decoded JSON of another page, with the same token", function()
    local echo = assert(client:get(ECHO))
    assert.equal("GET", echo.method)
    assert.equal(ECHO, echo.path)
    assert.equal("Bearer static", echo.headers.authorization)
    assert.equal(ECHO, helper.last(server, "api").uri)
    assert.is_nil(helper.last(server, "api").body)
  end)

  it("asks for its own path and query, whatever was asked for before over the same connection", function()
    local asked = {
      { ECHO, { q = "1" } }, { ECHO }, { ECHO .. "/%C3%9C" }, { ECHO .. "/x" }, { ECHO, { q = "/?%" } },
      { ECHO .. "/x" },
    }
    local expected = { "?q=1", "", "/%C3%9C", "/x", "?q=%2F%3F%25", "/x" }
    for i, arguments in ipairs(asked) do
      client:get(arguments[1], arguments[2])
      assert.equal(ECHO .. expected[i], helper.last(server, "api").uri)
    end
    assert(client:list_users(helper.ORG, { include_deleted = true }))
    assert.equal(helper.users_path() .. "?include_deleted=true", helper.last(server, "api").uri)
    assert(client:list_users(helper.OTHER_ORG))
    assert.equal(helper.users_path(helper.OTHER_ORG), helper.last(server, "api").uri)
    assert.equal(1, server:counts().connections)
  end)

  it("gives null as podero.null, at any depth", function()
    local value = assert(page("{\"a\": null, \"b\": [null, 1, {\"c\": null}], \"d\": {}}"))
    assert.equal(podero.null, value.a)
    assert.equal(podero.null, value.b[1])
    assert.equal(1, value.b[2])
    assert.equal(podero.null, value.b[3].c)
    assert.same({}, value.d)
    assert.equal(podero.null, (page("null")))
  end)

  it("gives JSON of any kind", function()
    for body, value in pairs { ["7"] = 7, ["-1.5e3"] = -1500, ["\"x\""] = "x", ["true"] = true, ["[]"] = {},
      ["[[1], []]"] = { { 1 }, {} } } do
      assert.same(value, page(body))
    end
    local result, err = page("false")
    assert.is_false(result)
    assert.is_nil(err)
  end)

  it("does not hold other pages against the schema of users", function()
    assert.same({ { id = 5 } }, page("[{\"id\": 5}]"))
    local user = assert(client:get(helper.users_path()))[2]
    assert.equal(podero.null, user.first_name)
  end)

  describe("query", function()
    local function sent(query)
      assert(client:get(ECHO, query))
      return helper.last(server, "api").uri:match("^[^?]*%??(.*)$")
    end

    it("takes strings, numbers and booleans", function()
      assert.equal("a=text", sent { a = "text" })
      assert.equal("a=7", sent { a = 7 })
      assert.equal("a=-1.5", sent { a = -1.5 })
      assert.equal("a=true", sent { a = true })
      assert.equal("a=false", sent { a = false })
      assert.equal("a=", sent { a = "" })
      assert.equal("", sent {})
      assert.equal("", sent(nil))
      if math.type then
        assert.equal("a=9223372036854775807", sent { a = math.maxinteger })
      else
        assert.equal("a=1e%2B15", sent { a = 1e15 })
      end
    end)

    it("encodes what would mean something else", function()
      local characters = {}
      for code = 0, 255 do characters[#characters + 1] = string.char(code) end
      local all = table.concat(characters)
      local text = sent { ["n&=a"] = all }
      assert.is_nil(text:find("[^%w%%=+*._~-]"), text)
      local value = text:match("^n%%26%%3Da=(.*)$")
      assert.truthy(value, text)
      assert.equal(all, (value:gsub("+", " "):gsub("%%(%x%x)", function(hex)
        return string.char(tonumber(hex, 16))
      end)))
      local echo = assert(client:get(ECHO, { q = "a b+c&d=e?f#g/ü😀" }))
      assert.equal("a b+c&d=e?f#g/ü😀", echo.query.q)
    end)

    it("takes many", function()
      local query = {}
      for i = 1, 200 do query["name" .. i] = "value " .. i end
      local echo = assert(client:get(ECHO, query))
      assert.same(query, echo.query)
    end)

    it("raises, with the name, on what is none of these, and sends nothing", function()
      for _, value in ipairs { {}, print } do
        helper.raises({ "get", "'page'", type(value) }, client.get, client, ECHO, { page = value })
      end
      helper.raises("userdata", client.get, client, ECHO, { page = podero.null })
      helper.raises("string", client.get, client, ECHO, { "a=b" })
      helper.raises("string", client.get, client, ECHO, { [true] = "b" })
      helper.raises("table", client.get, client, ECHO, "a=b")
      helper.raises("table", client.get, client, ECHO, 5)
      assert.equal(0, #server:requests())
    end)

    it("leaves its table as it was", function()
      local query = { a = 1, b = true, c = "x" }
      assert(client:get(ECHO, query))
      assert.same({ a = 1, b = true, c = "x" }, query)
      if math.type then assert.equal("integer", math.type(query.a)) end
    end)
  end)

  describe("path", function()
    it("is sent as it is where it is well formed", function()
      for _, path in ipairs { "/api/partners/v2.0/a%2Cb", "/api/partners/a-b._~!$&'()*+,;=:c", "/api/partners/x/",
        "/api/partners/.hidden/...", "/api/partners/%C3%BC" } do
        local err = helper.failed("http", client:get(path))
        assert.equal(404, err.status)
        assert.equal(path, helper.last(server, "api").uri)
      end
      assert.equal(5, server:counts().api)
    end)

    it("that could lead elsewhere is an error of kind argument, and nothing is sent", function()
      for _, path in ipairs {
        "", "x", "api/partners", "http://127.0.0.1/x", "@elsewhere.example/", ".elsewhere.example/x", ":80/x", "/a?b=c",
        "/a#b", "/a@b", "/a b", "/a/../b", "/..", "/a/./b", "/a/..", "/.", "/a\r\nX-Injected: yes", "/a\nb", "/a\rb",
        "/a\0b", "/a\tb", "/a\127", "/ü", "/a\\b", "\\\\elsewhere.example", "/a%", "/a%2", "/a%zz", "/a\"b", "/a<b>",
        "/a|b", "/a[b]", "/a{b}", "/a^b", "/a`b", "/a%2Fb", "/a%5cb", "/a//b",
      } do
        local err = helper.failed("argument", client:get(path))
        assert.equal(0, err.attempts)
      end
      assert.equal(0, #server:requests())
    end)

    it("cannot hide a dot segment behind escapes", function()
      for _, path in ipairs { "/a/%2e%2e/b", "/a/.%2E/b", "/%2e" } do
        helper.failed("argument", client:get(path)) -- injection_spec has every spelling
      end
      assert.equal(0, #server:requests())
    end)

    it("raises where it is no string", function()
      for _, path in ipairs { 5, true, {} } do
        helper.raises({ "get", "string", type(path) }, client.get, client, path)
      end
      helper.raises({ "get", "string" }, client.get, client)
      helper.raises("get", client.get)
      helper.raises("get", client.get, {}, "/x")
    end)
  end)

  describe("opts", function()
    it("hold for this call", function()
      helper.static(server, { always_api = { status = 503, headers = { ["Retry-After"] = "0" } } })
      assert.equal(2, helper.failed("http", client:get(ECHO, nil, { max_retries = 1 })).attempts)
      assert.equal(2, server:counts().api)
      helper.static(server, { always_api = { delay = 5 } })
      local seconds, result, err = helper.timed(client.get, client, ECHO, nil, { timeout = 0.2 })
      helper.failed("timeout", result, err)
      assert.is_true(seconds < 0.7)
      helper.static(server, {})
      helper.failed("too_large", client:get(ECHO, nil, { max_response_bytes = 10 }))
      assert(client:get(ECHO))
    end)
  end)

  it("has the same tokens, retries and errors as list_users", function()
    server:configure {}
    local other = helper.client(server)
    assert(other:get(ECHO))
    server:revoke()
    assert(other:get(ECHO))
    assert.equal(2, server:counts().token)
    local busy = { status = 502, headers = { ["Retry-After"] = "0" } }
    server:patch { script = { api = { busy, { fault = "truncate" } } } }
    assert(other:get(ECHO))
    local err = helper.failed("http", other:get(helper.API .. "/none"))
    assert.same({ detail = "Not Found" }, err.detail)
  end)

  it("gives large numbers as doubles have them", function()
    assert.equal(9007199254740991, page("9007199254740991"))
    assert.equal(cjson.decode("[1e308]")[1], page("1e308"))
  end)
end)
