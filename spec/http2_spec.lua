-- HTTP/2: when it is used, and what a server can do over it. The servers are spec.support.mock and spec.support.peer.
local faults = require "spec.support.faults"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local peer = require "spec.support.peer"
local podero = require "podero"
local socket = require "socket"

local ORG = helper.ORG

describe("HTTP/2", function()
  local server

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(helper.close_clients)

  --- The protocols of all requests of a kind.
  local function protocols(kind)
    local list = {}
    for _, request in ipairs(server:requests(kind)) do list[#list + 1] = request.protocol end
    return table.concat(list, " ")
  end

  it("is used for API requests, and not for token requests even if the server offers it", function()
    local client = helper.tls_client(server)
    for _ = 1, 3 do assert.equal(25, #assert(client:list_users(ORG))) end
    assert.equal("HTTP/1.1", protocols "token")
    assert.equal("HTTP/2.0 HTTP/2.0 HTTP/2.0", protocols "api")
    assert.equal(2, server:counts().connections)
  end)

  it("is used for API requests after the token was renewed", function()
    local client = helper.tls_client(server)
    assert(client:list_users(ORG))
    server:configure { script = { api = { { status = 401 } } } }
    assert(client:list_users(ORG))
    assert.equal("HTTP/1.1 HTTP/1.1", protocols "token")
    assert.equal("HTTP/2.0 HTTP/2.0 HTTP/2.0", protocols "api")
  end)

  it("is not used with http_version = \"1.1\", when token and API requests share a connection", function()
    local client = helper.tls_client(server, { http_version = "1.1" })
    for _ = 1, 3 do assert.equal(25, #assert(client:list_users(ORG))) end
    assert.is_string(client:each_user(ORG)().id)
    assert.equal("HTTP/1.1", protocols "token")
    assert.equal("HTTP/1.1 HTTP/1.1 HTTP/1.1 HTTP/1.1", protocols "api")
    assert.equal(2, server:counts().connections) -- each_user has another
  end)

  it("is used with http_version = \"auto\", the default", function()
    assert(helper.tls_client(server, { http_version = "auto" }):list_users(ORG))
    assert.equal("HTTP/2.0", protocols "api")
  end)

  -- libcurl itself resends a request five times after these codes: REFUSED_STREAM and HTTP_1_1_REQUIRED.
  for name, code in pairs { ["refuses the stream"] = 7, ["requires HTTP/1.1"] = 13 } do
    it("resends a request no more often than HTTP/1.1 if the server " .. name, function()
      local other = peer.start()
      finally(function() other:stop() end)
      local reset = { { "rst", code } }
      local listener = other:listen { tls = { certificate = "server", h2 = true }, good_api = faults.good.api,
        api = { reset, reset, code == 13 and { faults.CLOSE } or reset } }
      local client = helper.client(listener, { access_token = "static", max_retries = 2,
        tls = { ca_file = other.ca_file } })
      local err = helper.failed("network", client:request("POST", "/page", { body = {} }))
      assert.equal(1, err.attempts)
      assert.is_false(err.retryable)
      assert.equal(1, #listener:received())
      helper.failed("network", client:get("/page", nil, { max_retries = 0 }))
      assert.equal(3, #listener:received())
      assert.equal(3, #assert(client:list_users(ORG)))
    end)
  end

  it("is not used without TLS, when token and API requests share a connection", function()
    local client = helper.client(server)
    for _ = 1, 2 do assert(client:list_users(ORG)) end
    assert.equal("HTTP/1.1", protocols "token")
    assert.equal("HTTP/1.1 HTTP/1.1", protocols "api")
    assert.equal(1, server:counts().connections)
  end)
end)

-- Frames that are not part of a response, sent as fast as the client reads them. libcurl 7.88 to 8.6 does not leave its
-- loop during such a flood, and calls nothing that could end it.
describe("a flood over HTTP/2", function()
  local server

  setup(function() server = peer.start() end)
  teardown(function() server:stop() end)

  local function frame(type, flags, stream, payload)
    return string.char(0, math.floor(#payload / 256), #payload % 256, type, flags, 0, 0, 0, stream) .. payload
  end

  local PRIORITIES = {}
  for i = 1, 120 do PRIORITIES[i] = frame(2, 0, 2 * i + 1, "\0\0\0\0\16") end
  local HEAD = { "head", 200, {} }
  local LIST = { "data", "[" }
  local ROWS = {
    ["empty DATA frames"] = { frame(0, 0, 1, ""), HEAD },
    ["empty DATA frames within a list"] = { frame(0, 0, 1, ""), HEAD, LIST },
    ["DATA frames with nothing but padding"] = { frame(0, 8, 1, "\200" .. ("\0"):rep(200)), HEAD },
    ["DATA frames with one blank"] = { frame(0, 0, 1, " "), HEAD, LIST },
    ["DATA frames without a header"] = { frame(0, 0, 1, "") },
    ["DATA frames after the end of the stream"] = { frame(0, 0, 1, ""), HEAD, LIST, { "rst", 2 } },
    ["PRIORITY frames"] = { frame(2, 0, 1, "\0\0\0\3\16") },
    ["PRIORITY frames of many streams"] = { table.concat(PRIORITIES) },
    ["WINDOW_UPDATE frames of the connection"] = { frame(8, 0, 0, "\0\0\0\1") },
    ["WINDOW_UPDATE frames of the stream"] = { frame(8, 0, 1, "\0\0\0\1") },
    ["PING frames"] = { frame(6, 0, 0, ("\0"):rep(8)) },
    ["acknowledgements of PING"] = { frame(6, 1, 0, ("\0"):rep(8)) },
    ["SETTINGS frames"] = { frame(4, 0, 0, "") },
    ["RST_STREAM frames"] = { frame(3, 0, 3, "\0\0\0\8") },
    ["GOAWAY frames"] = { frame(7, 0, 0, "\127\255\255\255\0\0\0\0") },
    ["PUSH_PROMISE frames"] = { frame(5, 4, 1, "\0\0\0\2\130\132\135") },
    ["empty CONTINUATION frames"] = { frame(9, 0, 1, ""), { "raw", frame(1, 0, 1, "") } },
    ["headers with status 103"] = { frame(1, 4, 1, "\8\003103") },
    ["trailers"] = { frame(1, 4, 1, "\0\1x\1y"), HEAD },
    ["frames of an unknown type"] = { frame(250, 0, 0, "") },
    ["large frames of an unknown type"] = { frame(250, 0, 0, ("x"):rep(16384)) },
  }

  --- A client of a listener that floods the connection of the first `times` requests with a few GB at most.
  local function flood(row, options, times)
    local acts = {}
    for i = 2, #row do acts[#acts + 1] = row[i] end
    local units = math.max(1, math.floor(65536 / #row[1]))
    acts[#acts + 1] = { "flood", "", row[1]:rep(units), 60000, "" }
    local script = {}
    for i = 1, times or 1 do script[i] = acts end
    local listener = server:listen { tls = { certificate = "server", h2 = true }, api = script,
      good_api = faults.good.api }
    local settings = { base_url = listener.url, access_token = "static", proxy = "", timeout = 2, max_retries = 0,
      tls = { ca_file = server.ca_file } }
    for name, value in pairs(options or {}) do settings[name] = value end
    local client = assert(podero.new(settings))
    finally(function()
      client:close()
      listener:close()
    end)
    return client
  end

  local function check(client, seconds, list, err)
    assert.is_nil(list)
    assert.is_true(podero.is_error(err), tostring(err))
    assert.is_true(seconds < 2.5, seconds)
    -- If libcurl returns between the frames, the connection is closed after a call that received nothing over it.
    local next_list = client:list_users(ORG, { timeout = 0.5 }) or assert(client:list_users(ORG))
    assert.equal(3, #next_list)
  end

  for name, row in pairs(ROWS) do
    it("of " .. name .. " cannot hold a call for longer than its timeout and half a second", function()
      local client = flood(row)
      check(client, helper.timed(client.list_users, client, ORG))
    end)
  end

  it("cannot hold each_user for longer than its timeout and half a second", function()
    local client = flood { frame(0, 0, 1, ""), HEAD, LIST }
    check(client, helper.timed(function() return nil, select(2, pcall(client:each_user(ORG))) end))
  end)

  it("of each attempt cannot hold a call for longer than its timeout and half a second", function()
    local client = flood({ frame(0, 0, 1, ""), HEAD }, { max_retries = 2 }, 3)
    local seconds, list = helper.timed(client.list_users, client, ORG)
    assert.is_nil(list)
    assert.is_true(seconds < 2.5, seconds)
  end)

  it("cannot delay other calls for more than half a second", function()
    local client = flood({ frame(0, 0, 1, ""), HEAD }, { wait = coroutine.yield })
    local longest = 0
    local thread = coroutine.create(client.list_users)
    repeat
      local seconds = helper.timed(coroutine.resume, thread, client, ORG)
      longest = math.max(longest, seconds)
      socket.sleep(0.001)
    until coroutine.status(thread) == "dead"
    assert.is_true(longest < 0.5, longest)
  end)
end)
