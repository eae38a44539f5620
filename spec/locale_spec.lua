--- In every locale, numbers have a decimal point, and "I" is the capital of "i".

local cjson = require "cjson"
local helper = require "spec.support.helper"
local faults = require "spec.support.faults"
local mock = require "spec.support.mock"
local peer = require "spec.support.peer"

local NAMES = { "de_DE.UTF-8", "de_AT.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR" }

--- A program that sets a locale with a decimal comma after loading the module and making a client.
local function program(more)
  return ([[
    local podero = require "podero"
    local store = { values = {} }
    function store:get(key) return self.values[key] end
    function store:set(key, value) self.values[key] = value end
    local function new(more)
      local options = { base_url = os.getenv "URL", client_id = os.getenv "ID", client_secret = os.getenv "SECRET",
        proxy = "", max_retries = 0 }
      for name, value in pairs(more or {}) do options[name] = value end
      return assert(podero.new(options))
    end
    local client = new()
    local set
    for _, name in ipairs { %s } do set = set or os.setlocale(name) end
    if not set then print "no locale" return end
    local function same(number, thousandth) return number * 1000 == thousandth end
    %s]]):format("'" .. table.concat(NAMES, "', '") .. "'", more)
end

describe("a locale with a decimal comma that is set after the module was loaded", function()
  local server

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)

  local function prints(expected, more)
    local output, code = helper.run(program(more), { URL = server.url, ID = mock.credentials.client_id,
      SECRET = mock.credentials.client_secret })
    if output:find "^no locale" then return pending("no locale with a decimal comma is installed") end
    assert.equal(0, code, output)
    assert.equal(expected, output)
  end

  it("does not change values of get", function()
    server:configure { paths = { ["/page"] = { body = "[1,5,0.125,-2.5e-1,{\"a\":1.7976931348623157e308}]" } } }
    prints("true\n", [[
      local list = assert(client:get("/page"))
      print(#list == 5 and list[2] == 5 and same(list[3], 125) and same(list[4], -250) and list[5].a > 1e308)]])
  end)

  it("does not change values of users", function()
    server:configure { organizations = { [helper.ORG] = { raw = cjson.encode { {
      id = "a", organization_id = "b", role = "user", email = "c", num_inverters = 1, num_heat_pumps = 0,
      num_electric_vehicles = 0, num_wallboxes = 0, latitude = 48.125, longitude = -0.5,
    } } } } }
    prints("true\ntrue\n", ([[
      local function right(user) return same(user.latitude, 48125) and same(user.longitude, -500) end
      print(right(assert(client:list_users(%q))[1]))
      for user in client:each_user(%q) do print(right(user)) end]]):format(helper.ORG, helper.ORG))
  end)

  it("does not change numbers in queries", function()
    server:configure {}
    prints("0.5 1e-07 2.5\n", ([[
      local echo = assert(client:get(%q, { a = 0.5, b = 1e-7, c = { 2.5 } }))
      print(echo.query.a .. " " .. echo.query.b .. " " .. echo.query.c)]]):format(helper.API .. "/echo"))
  end)

  it("does not change numbers in request bodies", function()
    server:configure { paths = { [helper.API .. "/page"] = { body = "1" } } }
    prints("1\n", ([[
      print((client:request("PUT", %q, { body = { 0.5, 1e-7, { a = 2.5 } } })))]]):format(helper.API .. "/page"))
    assert.equal("[0.5,1e-07,{\"a\":2.5}]", helper.last(server, "api").body)
  end)

  it("does not change stored tokens", function()
    server:configure { expires_in = 3600.5 }
    prints("true\n", ([[
      for _ = 1, 2 do assert(new { token_store = store }:list_users(%q)) end
      local _, value = next(store.values)
      print(not value:find "%%d,%%d" and value:find '"expires_at":%%d+}' ~= nil)]]):format(helper.ORG))
    assert.equal(1, server:counts().token)
  end)

  it("does not change numbers in err.detail", function()
    server:configure { paths = { ["/page"] = { status = 422,
      body = "{\"detail\":[{\"loc\":[\"body\",0.5],\"msg\":\"bad\"}],\"at\":[0.25,1,5]}" } } }
    prints("true\ttrue\ttrue\n", [[
      local _, err = client:get "/page"
      print(same(err.detail.at[1], 250), #err.detail.at == 3, err.message:find("body.0.5: bad", 1, true) ~= nil)]])
  end)

  it("does not change numbers in messages", function()
    server:configure { always_api = { delay = 5 } }
    prints("true\n", ([[
      local _, err = client:get(%q, nil, { timeout = 0.1 })
      print(err.message:find("timeout of 0.1 s", 1, true) ~= nil)]]):format(helper.API .. "/echo"))
  end)
end)

-- In a Turkish locale, C's functions that ignore case fold "I" to a dotless letter.
describe("a Turkish locale", function()
  local server

  setup(function() server = peer.start() end)
  teardown(function() server:stop() end)

  --- Checks the output of a program that has a client of a listener with these settings.
  local function prints(expected, settings, program_text)
    settings.good_token = faults.good.token
    local listener = server:listen(settings)
    finally(function() listener:close() end)
    local output = helper.run([[
      if not os.setlocale "tr_TR.UTF-8" then print "no locale" return end
      local podero = require "podero"
      local client = assert(podero.new { base_url = os.getenv "URL", client_id = "id", client_secret = "secret",
        proxy = "", max_retries = 0, timeout = 5, token_encoding = "form", client_auth = "basic" })
      ]] .. program_text, { URL = listener.url })
    if output:find "^no locale" then return pending("no Turkish locale is installed") end
    assert.equal(expected, output)
  end

  it("does not change which codings are refused", function()
    local function head(fields)
      return { { "send", "HTTP/1.1 200 OK\r\n" .. fields .. "\r\n\r\n" }, faults.STALL }
    end
    prints("decode\ndecode\n", { api = { head "CONTENT-ENCODING: GZIP, GZIP", head "TRANSFER-ENCODING: gzip" } }, [[
      for _ = 1, 2 do print(select(2, client:get "/page").kind) end]])
  end)

  it("does not change which header fields are hidden, or their names in lower case", function()
    prints("nil 1\n", { good_api = { { "respond", 200, { ["SET-COOKIE"] = "a=b", ["X-ID"] = "1" }, "[]" } } }, [[
      local _, response = client:get "/page"
      print(tostring(response.headers["set-cookie"]) .. " " .. response.headers["x-id"])]])
  end)

  it("does not change which header fields cannot be set", function()
    prints("false\n", {}, [[
      print((pcall(client.get, client, "/page", nil, { headers = { ["AUTHORIZATION"] = "Bearer a" } })))]])
  end)
end)
