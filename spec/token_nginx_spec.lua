-- How handlers of nginx wait for a token. nginx contains a LuaJIT, so this runs on LuaJIT only.
if not rawget(_G, "jit") then return end

local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local socket = require "socket"
local worker = require "spec.support.worker"

-- Seconds: a delay that exceeds the timeout of every client.
local SILENT = 10

local HTTP = [[
  lua_socket_log_errors off;
  init_by_lua_block {
    podero = require "podero"
    clients = {}
  }
  server {
    listen 127.0.0.1:${plain};
    location /flush { content_by_lua_block { ngx.shared.tokens:flush_all() } }
    location /list {
      content_by_lua_block {
        local arg = ngx.req.get_uri_args()
        local client = clients[arg.client] or assert(podero.new {
          base_url = "${base_url}", client_id = "demo-client", client_secret = "demo-secret", proxy = "",
          max_retries = 0, timeout = tonumber(arg.timeout), token_store = arg.store and ngx.shared.tokens,
        })
        clients[arg.client] = client
        local users, err = client:list_users "${org}"
        ngx.print(users and #users .. " users" or tostring(err))
      }
    }
  }
]]

describe("handlers of nginx that wait for a token", function()
  local api, server

  setup(function()
    api = mock.start { tls = false }
    server = nginx.start {
      name = "podero-token-nginx", ports = { "plain" },
      configuration = function(ports)
        return worker.configuration(HTTP, { plain = ports.plain, base_url = api.url, org = mock.ORG })
      end,
    }
  end)
  teardown(function()
    server:stop()
    api:stop()
  end)

  local function send(path)
    return worker.send(server.ports.plain, path)
  end

  local function receive(connection) return (worker.receive(connection)) end

  before_each(function()
    api:reset()
    receive(send "/flush")
  end)

  --- Waits until the API has received `count` token requests.
  local function await_token_requests(count)
    local ends = socket.gettime() + 10
    while api:counts().token < count do
      assert.is_true(socket.gettime() < ends, "no token request")
      socket.sleep(0.01)
    end
  end

  it("share a token request, which continues if the client that caused it has disconnected", function()
    api:configure { script = { token = { { delay = 0.6 } } } }
    local path = "/list?client=visited&timeout=5"
    local gone = send(path)
    await_token_requests(1)
    gone:close()
    local waiting = {}
    for i = 1, 3 do waiting[i] = send(path) end
    for i = 1, 3 do assert.equal("25 users", receive(waiting[i])) end
    assert.equal(1, api:counts().token)
  end)

  it("get a token if the first token request gets no response", function()
    api:configure { script = { token = { { delay = SILENT } } } }
    local path = "/list?client=patient&timeout=1"
    local first = send(path)
    await_token_requests(1)
    socket.sleep(0.4)
    local others = {}
    for i = 1, 3 do others[i] = send(path) end
    assert.truthy(receive(first):find("timeout", 1, true))
    for i = 1, 3 do assert.equal("25 users", receive(others[i])) end
    assert.equal(2, api:counts().token)
  end)

  it("use a token that another worker stores while their token request gets no response", function()
    api:configure { script = { token = { { delay = SILENT } } } }
    local waiting = {}
    for i = 1, 3 do waiting[i] = send "/list?client=silent&timeout=3&store=1" end
    await_token_requests(1)
    local began = socket.gettime()
    for i = 4, 6 do waiting[i] = send "/list?client=other&timeout=1&store=1" end -- they wait half a second for the lock
    for i = 1, 6 do assert.equal("25 users", receive(waiting[i])) end
    assert.is_true(socket.gettime() - began < 1.6)
    assert.equal(2, api:counts().token)
  end)

  it("write nothing to nginx's log", function()
    assert.equal("", server:log())
  end)
end)
