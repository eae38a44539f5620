-- HTTP/2: when it is used, and what a server can do with it. The servers are spec.support.mock and spec.support.peer.
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

local ORG = helper.ORG

describe("HTTP/2", function()
  local server

  setup(function() server = mock.start() end)
  teardown(function() server:stop() end)
  before_each(function() server:reset() end)
  after_each(helper.close_clients)

  --- The protocols of the requests of a kind.
  local function protocols(kind)
    local list = {}
    for _, request in ipairs(server:requests(kind)) do list[#list + 1] = request.protocol end
    return table.concat(list, " ")
  end

  it("is used for API requests, and not for token requests, though the server offers it", function()
    local client = helper.tls_client(server)
    for _ = 1, 3 do assert.equal(25, #assert(client:list_users(ORG))) end
    assert.equal("HTTP/1.1", protocols "token")
    assert.equal("HTTP/2.0 HTTP/2.0 HTTP/2.0", protocols "api")
    assert.equal(2, server:counts().connections)
  end)

  it("is used for API requests after a token was renewed", function()
    local client = helper.tls_client(server)
    assert(client:list_users(ORG))
    server:configure { script = { api = { { status = 401 } } } }
    assert(client:list_users(ORG))
    assert.equal("HTTP/1.1 HTTP/1.1", protocols "token")
    assert.equal("HTTP/2.0 HTTP/2.0 HTTP/2.0", protocols "api")
  end)

  it("is not used with http_version = \"1.1\"; then requests for tokens and users share a connection", function()
    local client = helper.tls_client(server, { http_version = "1.1" })
    for _ = 1, 3 do assert.equal(25, #assert(client:list_users(ORG))) end
    assert.is_string(client:each_user(ORG)().id)
    assert.equal("HTTP/1.1", protocols "token")
    assert.equal("HTTP/1.1 HTTP/1.1 HTTP/1.1 HTTP/1.1", protocols "api")
    assert.equal(2, server:counts().connections) -- a loop has one of its own
  end)

  it("is used with http_version = \"auto\", as it is without the option", function()
    assert(helper.tls_client(server, { http_version = "auto" }):list_users(ORG))
    assert.equal("HTTP/2.0", protocols "api")
  end)

  it("is not used without TLS, where a token request's connection goes on to serve the API", function()
    local client = helper.client(server)
    for _ = 1, 2 do assert(client:list_users(ORG)) end
    assert.equal("HTTP/1.1", protocols "token")
    assert.equal("HTTP/1.1 HTTP/1.1", protocols "api")
    assert.equal(1, server:counts().connections)
  end)
end)
