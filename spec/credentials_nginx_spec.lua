-- Credential functions in nginx, where the pump calls them. nginx contains a LuaJIT, so this runs on LuaJIT only.
if not rawget(_G, "jit") then return end

local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local socket = require "socket"
local worker = require "spec.support.worker"

local MAIN = [[
worker_shutdown_timeout 20s;
env PODERO_CLIENT_ID;
env PODERO_CLIENT_SECRET_FILE;
]]

local HTTP = [[
  lua_socket_log_errors off;
  lua_max_running_timers ${timers};
  init_by_lua_block {
    podero = require "podero"
    clients, counts, running = {}, {}, {}
  }
  server {
    listen 127.0.0.1:${plain};
    location = /vault { content_by_lua_block { ngx.sleep(0.3) ngx.print "demo-secret" } }
    location = /counts {
      content_by_lua_block {
        local name = ngx.var.arg_client
        ngx.print(("%d %d"):format(counts[name] or 0, running[name] or 0))
      }
    }
    location = /timers { content_by_lua_block { ngx.print(ngx.timer.running_count()) } }
    location = /occupy { # as many timers as may run
      content_by_lua_block {
        occupied = true
        for _ = 1, tonumber(ngx.var.arg_count) do
          ngx.timer.at(0, function() while occupied and not ngx.worker.exiting() do ngx.sleep(0.01) end end)
        end
      }
    }
    location = /free { content_by_lua_block { occupied = false } }
    location = /list {
      content_by_lua_block {
        -- The functions use variables of this function, not of the handler: nginx gives the stack of a handler that it
        -- has killed to another one (lua_resetthread), and functions that still use its variables find other values.
        local function options_for(name, how, timeout)
          local functions = {}
          function functions.vault()
            local connection = ngx.socket.tcp()
            assert(connection:connect("127.0.0.1", ${plain}))
            connection:send "GET /vault HTTP/1.0\r\n\r\n"
            local text = assert(connection:receive "*a")
            connection:close()
            return text:match "\r\n\r\n(.*)$"
          end
          function functions.never() while true do ngx.sleep(0.01) end end
          function functions.first_never() if counts[name] == 1 then functions.never() end return "demo-secret" end
          function functions.exits() ngx.sleep(0.01) ngx.exit(500) end
          function functions.fails() ngx.sleep(0.01) error("the vault is sealed", 0) end
          function functions.rotates() return counts[name] == 1 and "yesterday's" or "demo-secret" end
          function functions.reenters()
            local users, err = clients[name]:list_users "${org}"
            return users, err
          end
          function functions.closes() clients[name]:close() ngx.sleep(0.05) return "demo-secret" end
          local options = { base_url = "${base_url}", proxy = "", max_retries = 0, timeout = tonumber(timeout) }
          if functions[how] then
            options.client_id = "demo-client"
            options.client_secret = function()
              counts[name] = (counts[name] or 0) + 1
              running[name] = (running[name] or 0) + 1
              local secret, message = functions[how]()
              running[name] = running[name] - 1
              return secret, message
            end
          end
          return options
        end
        local arg = ngx.req.get_uri_args()
        local name = arg.client
        local client = clients[name] or assert(podero.new(options_for(name, arg.how, arg.timeout)))
        clients[name] = client
        local users, err = client:list_users("${org}", { timeout = tonumber(arg.call) })
        ngx.print(users and #users .. " users" or tostring(err))
      }
    }
  }
]]

describe("credential functions in nginx", function()
  local api, server, number, folder

  local function start(timers)
    return nginx.start {
      name = "podero-credentials-nginx", ports = { "plain" },
      environment = { PODERO_CLIENT_ID = "demo-client", PODERO_CLIENT_SECRET_FILE = folder .. "/secret" },
      configuration = function(ports)
        return worker.configuration(HTTP, {
          main = MAIN, timers = timers, plain = ports.plain, base_url = api.url, org = mock.ORG,
        })
      end,
    }
  end

  setup(function()
    api = mock.start { tls = false }
    folder = nginx.temporary_folder("podero-credentials")
    nginx.write_file(folder .. "/secret", "demo-secret\n")
    nginx.run(("chmod -R a+rX %s"):format(nginx.quoted(folder))) -- workers may be another user's
    server = start(256)
    number = 0
  end)
  teardown(function()
    server:stop()
    api:stop()
    nginx.run("rm -rf " .. nginx.quoted(folder))
  end)
  before_each(function()
    api:reset()
    number = number + 1
  end)

  local function send(path, other)
    return worker.send((other or server).ports.plain, path)
  end

  local function receive(connection) return (worker.receive(connection)) end

  local function path(how, more) return ("/list?client=%d&how=%s%s"):format(number, how, more or "") end

  --- Waits until the function has been called `count` times, and `running` of these calls have not returned.
  local function await_counts(count, running, other)
    local ends, now = socket.gettime() + 10
    repeat
      now = receive(send("/counts?client=" .. number, other))
      assert.is_true(socket.gettime() < ends, now)
    until now == ("%d %d"):format(count, running)
  end

  it("may yield, and are called once for all handlers that wait", function()
    local waiting = {}
    for i = 1, 4 do waiting[i] = send(path "vault") end
    for i = 1, 4 do assert.equal("25 users", receive(waiting[i])) end
    await_counts(1, 0)
    assert.equal(1, api:counts().token)
  end)

  it("continue if the client of the request that started them disconnects", function()
    local gone = send(path "vault")
    await_counts(1, 1)
    gone:close()
    assert.equal("25 users", receive(send(path "vault")))
    await_counts(1, 0)
  end)

  it("do not delay a call beyond its own time limit", function()
    local began = socket.gettime()
    local short, long = send(path("vault", "&call=0.1")), send(path "vault")
    assert.truthy(receive(short):find("timeout", 1, true))
    assert.is_true(socket.gettime() - began < 0.28)
    assert.equal("25 users", receive(long))
    await_counts(1, 0)
  end)

  it("that never return are ended with the token request, and called again for calls with time left", function()
    local own = start(256)
    finally(function() own:stop() end)
    local first = send(path("first_never", "&timeout=0.5"), own)
    await_counts(1, 1, own)
    local other = send(path("first_never", "&timeout=0.5&call=5"), own)
    assert.truthy(receive(first):find("timeout", 1, true))
    assert.equal("25 users", receive(other))
    await_counts(2, 1, own) -- the first one was killed before it could count
    local began = socket.gettime()
    while receive(send("/timers", own)) ~= "0" do -- the pump could not end if the function's light thread were alive
      assert.is_true(socket.gettime() - began < 5)
      socket.sleep(0.02)
    end
  end)

  it("that raise an error fail the calls", function()
    local one, two = send(path "fails"), send(path "fails")
    local text = "podero: auth: client_secret: its function raised an error: the vault is sealed"
    assert.equal(text, receive(one))
    assert.equal(text, receive(two))
  end)

  it("are called again after a refusal", function()
    assert.equal("25 users", receive(send(path "rotates")))
    await_counts(2, 0)
  end)

  it("cannot call their own client", function()
    local began = socket.gettime()
    local text = receive(send(path "reenters"))
    assert.truthy(text:find("auth: client_secret: its function returned nil: podero: argument: ", 1, true), text)
    assert.truthy(text:find("its own client", 1, true), text)
    assert.is_true(socket.gettime() - began < 5)
  end)

  it("may close their client", function()
    local text = receive(send(path "closes"))
    assert.truthy(text:find("closed", 1, true), text)
  end)

  it("are not needed if the secret is in a file", function()
    assert.equal("25 users", receive(send(path "file")))
  end)

  it("are called by a handler if the pump cannot start", function()
    local other = start(2)
    finally(function() other:stop() end)
    receive(send("/occupy?count=8", other))
    local waiting = {}
    for i = 1, 3 do waiting[i] = send(path "vault", other) end
    for i = 1, 3 do assert.equal("25 users", receive(waiting[i])) end
    await_counts(1, 0, other)
  end)

  it("are called by a handler if no timer is left for them", function()
    local other = start(2)
    finally(function() other:stop() end)
    receive(send("/occupy?count=1", other))
    local waiting = {}
    for i = 1, 3 do waiting[i] = send(path "vault", other) end
    for i = 1, 3 do assert.equal("25 users", receive(waiting[i])) end
    await_counts(1, 0, other)
  end)

  it("may call ngx.exit, which ends only the function", function()
    local text = receive(send(path("exits", "&timeout=0.5")))
    assert.truthy(text:find("timeout", 1, true), text)
    assert.equal("25 users", receive(send("/list?client=another&how=file")))
  end)

  it("end when the worker exits", function()
    local other = start(256)
    finally(function() other:stop() end)
    local gone = send(path("never", "&timeout=60"), other)
    await_counts(1, 1, other)
    gone:close()
    local pid = other:pid()
    local began = socket.gettime()
    nginx.run("kill -QUIT " .. pid)
    while mock.process(pid) do
      assert.is_true(socket.gettime() - began < 10, "the worker does not exit")
      socket.sleep(0.02)
    end
    assert.is_nil(other:log():find("podero", 1, true), other:log())
  end)

  it("write nothing to nginx's log", function()
    assert.equal("", server:log())
  end)
end)
