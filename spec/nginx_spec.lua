-- nginx brings a LuaJIT of its own: one run is enough, and it is LuaJIT's.
if not rawget(_G, "jit") then return end

local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local socket = require "socket"

local ORG, OTHER_ORG = helper.ORG, helper.OTHER_ORG
local DELAY = 0.4

--- What handlers share. Each of `calls` is run in a phase, and tells what has come of it.
local INIT = [[
podero = require "podero"
ORG, OTHER_ORG = %q, %q
client = assert(podero.new { base_url = %q, client_id = "demo-client", client_secret = "demo-secret", proxy = "" })
sharing = assert(podero.new { base_url = %q, client_id = "demo-client", client_secret = "demo-secret", proxy = "",
  token_store = ngx.shared.tokens })

local function told(users, err)
  return users and #users .. " users" or tostring(err)
end

calls = {}
function calls.list_users(org) return told(client:list_users(org)) end
function calls.each_user(org)
  local count = 0
  local ok, err = pcall(function()
    for user in client:each_user(org) do
      assert(user.organization_id == org)
      count = count + 1
    end
  end)
  return ok and count .. " users" or tostring(err)
end
function calls.list_users_of()
  local results, errors = client:list_users_of { ORG, OTHER_ORG }
  if next(errors) then return tostring(select(2, next(errors))) end
  return #results[ORG] + #results[OTHER_ORG] .. " users"
end
function calls.get() return told(client:get("/api/partners/v2.0/org/" .. ORG .. "/users")) end
function calls.token()
  local token, err = client:token()
  return token and "a token" or tostring(err)
end

function say(text) ngx.print(text) ngx.exit(200) end
]]

local CONFIGURATION = [[
pid nginx.pid;
error_log stderr warn;
worker_processes %d;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  lua_package_cpath "%s";
  lua_shared_dict tokens 1m;
  lua_shared_dict told 1m;
  lua_check_client_abort on;
  lua_socket_log_errors off;
  init_by_lua_block {
    %s
    in_init = calls.list_users(ORG)
  }
  init_worker_by_lua_block {
    in_init_worker = calls.list_users(ORG)
    ngx.timer.at(0, function() ngx.shared.told:set("timer", calls.list_users(ORG)) end)
  }
  server {
    listen 127.0.0.1:%s;
    listen 127.0.0.1:%s ssl;
    ssl_certificate %s.pem;
    ssl_certificate_key %s.key;
    ssl_certificate_by_lua_block { ngx.shared.told:set("ssl_cert", calls.list_users(ORG)) }
    location /quick { return 200 "quick"; }
    location /call { content_by_lua_block { say(calls[ngx.var.arg_method](ngx.var.arg_org or ORG)) } }
    location /rewrite { rewrite_by_lua_block { say(calls.list_users(ORG)) } }
    location /access { access_by_lua_block { say(calls.list_users(ORG)) } }
    location /told { content_by_lua_block { say(ngx.shared.told:get(ngx.var.arg_key) or "nothing") } }
    location /init { content_by_lua_block { say(in_init .. ", " .. in_init_worker) } }
    location /header_filter {
      header_filter_by_lua_block { ngx.header["X-Told"] = calls[ngx.var.arg_method](ORG) }
      return 200 "x";
    }
    location /log {
      log_by_lua_block { ngx.shared.told:set("log", calls.list_users(ORG)) }
      return 200 "x";
    }
    location /threads {
      content_by_lua_block {
        local one = ngx.thread.spawn(calls.list_users, ORG)
        local other = ngx.thread.spawn(calls.each_user, OTHER_ORG)
        local _, first = ngx.thread.wait(one, other)
        say(first)
      }
    }
    location /coroutines {
      content_by_lua_block {
        say(coroutine.wrap(function() return coroutine.wrap(function() return calls.list_users(ORG) end)() end)())
      }
    }
    location /mine {
      content_by_lua_block {
        local org = ngx.var.arg_org
        local users = assert(client:list_users(org))
        for _, user in ipairs(users) do assert(user.organization_id == org) end
        say(#users .. " users")
      }
    }
    location /sharing {
      content_by_lua_block {
        local users, err = sharing:list_users(ORG)
        say(users and #users .. " users" or tostring(err))
      }
    }
    location /callbacks {
      content_by_lua_block {
        local mine, others = ngx.var.arg_mine, 0
        ngx.ctx.mine = mine
        assert(client:list_users(ORG, { on_progress = function()
          if ngx.ctx.mine ~= mine then others = others + 1 end
        end }))
        say(others .. " of others")
      }
    }
    location /garbage { content_by_lua_block { collectgarbage() collectgarbage() say("gone") } }
  }
}
]]

describe("in nginx", function()
  local api, server

  local function start(workers)
    local init = INIT:format(ORG, OTHER_ORG, api.url, api.url)
    return nginx.start {
      name = "podero-nginx", ports = { "plain", "tls" },
      configuration = function(ports)
        local certificate = api.dir .. "/server"
        return nginx.find().load_modules .. CONFIGURATION:format(workers or 1,
          nginx.output_of("pwd") .. "/" .. package.cpath:gsub(";.*", "") .. ";;", init, ports.plain, ports.tls,
          certificate, certificate)
      end,
    }
  end

  setup(function()
    api = mock.start()
    server = start()
  end)
  teardown(function()
    server:stop()
    api:stop()
  end)
  -- No reset: the worker keeps its token, and so does the mock.
  before_each(function() api:configure() end)

  --- Sends a request and returns its connection.
  local function send(path, to)
    local connection = assert(socket.connect("127.0.0.1", (to or server).ports.plain))
    connection:settimeout(20)
    assert(connection:send("GET " .. path .. " HTTP/1.0\r\n\r\n"))
    return connection
  end

  --- The answer's body and header.
  local function receive(connection)
    local text = assert(connection:receive("*a"))
    connection:close()
    local header, body = text:match("^(.-)\r\n\r\n(.*)$")
    assert.is_truthy(header, "no answer: " .. text)
    return body, header
  end

  local function get(path, to)
    return receive(send(path, to))
  end

  local function call(method, org)
    return "/call?method=" .. method .. (org and "&org=" .. org or "")
  end

  --- Waits until a test holds, which it has to within some seconds.
  local function eventually(test, what)
    local ends = socket.gettime() + 10
    while not test() do
      assert.is_true(socket.gettime() < ends, what)
      socket.sleep(0.02)
    end
  end

  local function workers_of(one)
    local ids = {}
    for id in nginx.output_of("pgrep -P " .. one:pid()):gmatch("%d+") do ids[#ids + 1] = id end
    return ids
  end

  local function descriptors()
    return tonumber(nginx.output_of("ls /proc/" .. workers_of(server)[1] .. "/fd | wc -l"))
  end

  describe("a call gives way", function()
    for _, phase in ipairs { "rewrite", "access" } do
      it("in phase " .. phase, function() assert.equal("25 users", get("/" .. phase)) end)
    end

    it("in timers", function() eventually(function() return get("/told?key=timer") == "25 users" end, "no timer") end)

    it("in ssl_certificate_by_lua", function()
      local command = "curl -sS --noproxy '*' --cacert %s/ca.pem https://localhost:%s/quick"
      local output = helper.shell(command:format(api.dir, server.ports.tls))
      assert.equal("quick", output:match("^%a+"))
      assert.equal("25 users", get("/told?key=ssl_cert"))
    end)

    for method, expected in pairs {
      list_users = "25 users", each_user = "25 users", list_users_of = "50 users", get = "25 users", token = "a token",
    } do
      it("in " .. method, function()
        assert.equal(expected, get(call(method)))
        api:configure { always_api = { delay = DELAY } }
        local start_time, waiting = socket.gettime(), send(call(method))
        assert.equal("quick", get("/quick"))
        assert.is_true(socket.gettime() - start_time < DELAY / 2)
        assert.equal(expected, receive(waiting))
      end)
    end

    it("and many run at once", function()
      api:configure { always_api = { delay = DELAY } }
      local start_time, waiting = socket.gettime(), {}
      for i = 1, 100 do waiting[i] = send(call(i % 2 == 0 and "list_users" or "each_user")) end
      for i = 1, 100 do assert.equal("25 users", receive(waiting[i])) end
      assert.is_true(socket.gettime() - start_time < 4 * DELAY)
    end)

    it("from a coroutine in a coroutine", function() assert.equal("25 users", get("/coroutines")) end)

    it("from threads of which one is waited for", function()
      for _ = 1, 5 do assert.equal("25 users", get("/threads")) end
      assert.equal("25 users", get(call "list_users"))
    end)

    it("and a list beside one that waits for its answer takes no longer than alone", function()
      local script = { api = { { delay = 3 } } }
      for _, method in ipairs { "list_users", "each_user" } do
        api:configure { organizations = { [ORG] = { users = 10000 } }, script = script }
        local slow = send(call(method, OTHER_ORG))
        socket.sleep(0.2)
        local seconds, body = helper.timed(get, call(method))
        assert.equal("10000 users", body)
        assert.is_true(seconds < 0.8, seconds)
        assert.equal("25 users", receive(slow))
      end
    end)

    it("while long lists are read, and others are served in between", function()
      api:configure { organizations = { [ORG] = { users = 10000 } } }
      local waiting, worst = {}, 0
      for i = 1, 8 do waiting[i] = send(call(i % 2 == 0 and "list_users" or "each_user")) end
      for _ = 1, 100 do
        local seconds = helper.timed(get, "/quick")
        worst = math.max(worst, seconds)
        socket.sleep(0.002)
      end
      for i = 1, 8 do assert.equal("10000 users", receive(waiting[i])) end
      assert.is_true(worst < 0.25, worst)
    end)
  end)

  it("init_by_lua and init_worker_by_lua block", function() assert.equal("25 users, 25 users", get("/init")) end)

  describe("where a call can neither yield nor block", function()
    for _, method in ipairs { "list_users", "each_user", "list_users_of", "get", "token" } do
      it(method .. " names the phase and ngx.timer.at, and sends nothing", function()
        local before = api:counts().api
        local _, header = get("/header_filter?method=" .. method)
        local told = header:match("X%-Told: ([^\r]*)")
        assert.truthy(told:find("podero: argument: ", 1, true), told)
        assert.truthy(told:find("'header_filter'", 1, true), told)
        assert.truthy(told:find("ngx.timer.at", 1, true), told)
        assert.equal(before, api:counts().api)
      end)
    end

    it("like log, too", function()
      get("/log")
      eventually(function() return get("/told?key=log"):find("'log'", 1, true) end, "no log")
    end)
  end)

  it("nobody gets another's users", function()
    local waiting = {}
    for i = 1, 200 do
      local org = ("%08x-0000-4000-8000-%012x"):format(i * 7919, i)
      waiting[i] = send("/mine?org=" .. org)
    end
    for i = 1, 200 do assert.equal("25 users", receive(waiting[i])) end
  end)

  it("callbacks run in the request that has made the call", function()
    local waiting = {}
    api:configure { organizations = { [ORG] = { users = 1000 } } }
    for i = 1, 20 do waiting[i] = send("/callbacks?mine=" .. i) end
    for i = 1, 20 do assert.equal("0 of others", receive(waiting[i])) end
  end)

  describe("a handler that is killed", function()
    it("while it drives for others does not hold them up", function()
      api:configure { always_api = { delay = DELAY } }
      for _ = 1, 3 do
        local start_time = socket.gettime()
        local driver = send(call "list_users")
        socket.sleep(0.05)
        local waiting = {}
        for i = 1, 10 do waiting[i] = send(call(i % 2 == 0 and "list_users" or "each_user")) end
        socket.sleep(0.05)
        driver:close()
        for i = 1, 10 do assert.equal("25 users", receive(waiting[i])) end
        assert.is_true(socket.gettime() - start_time < 3 * DELAY)
      end
    end)

    it("with all the others leaves nothing that hangs", function()
      api:configure { always_api = { delay = DELAY } }
      local waiting = {}
      for i = 1, 20 do waiting[i] = send(call "list_users") end
      socket.sleep(0.1)
      for i = 1, 20 do waiting[i]:close() end
      assert.equal("25 users", get(call "list_users"))
    end)

    it("a thousand times in a row leaks nothing", function()
      get(call "list_users")
      get("/garbage")
      local before = descriptors()
      api:configure { always_api = { delay = 0.05 } }
      for i = 1, 1000 do
        local connection = send(call(i % 3 == 0 and "each_user" or "list_users"))
        if i % 20 == 0 then socket.sleep(0.01) end
        connection:close()
      end
      api:configure()
      assert.equal("25 users", get(call "list_users"))
      -- Some connections stay open for the next calls.
      eventually(function()
        get("/garbage")
        return descriptors() <= before + 70
      end, "descriptors stay")
      assert.equal("25 users", get(call "each_user"))
    end)
  end)

  describe("calls in flight end well", function()
    it("when nginx is told to reload", function()
      local other = start()
      finally(function() other:stop() end)
      assert.equal("25 users", get(call "list_users", other))
      local old = workers_of(other)[1]
      api:configure { always_api = { delay = DELAY } }
      local waiting = {}
      for i, name in ipairs { "list_users", "each_user", "list_users_of" } do waiting[i] = send(call(name), other) end
      socket.sleep(0.1)
      assert(nginx.run("kill -HUP " .. other:pid()))
      assert.equal("25 users", receive(waiting[1]))
      assert.equal("25 users", receive(waiting[2]))
      assert.equal("50 users", receive(waiting[3]))
      eventually(function() return workers_of(other)[1] ~= old and #workers_of(other) == 1 end, "the old worker stays")
      assert.equal("25 users", get(call "list_users", other))
    end)

    it("when nginx is told to quit", function()
      local other = start()
      finally(function() other:stop() end)
      assert.equal("25 users", get(call "list_users", other))
      local worker = workers_of(other)[1]
      api:configure { always_api = { delay = DELAY } }
      local waiting = { send(call "list_users", other), send(call "each_user", other) }
      socket.sleep(0.1)
      assert(nginx.run("kill -QUIT " .. other:pid()))
      for i = 1, 2 do assert.equal("25 users", receive(waiting[i])) end
      eventually(function() return not nginx.run("kill -0 " .. worker .. " 2>/dev/null") end, "the worker stays")
    end)
  end)

  describe("with several workers", function()
    local several

    setup(function() several = start(4) end)
    teardown(function() several:stop() end)

    it("a client of init_by_lua serves every one of them", function()
      for _ = 1, 40 do assert.equal("25 users", get(call "list_users", several)) end
    end)

    it("and ngx.shared as token store, a token is fetched once for all", function()
      get("/sharing", several)
      for _ = 1, 3 do
        api:revoke()
        local before, waiting = api:counts().token, {}
        for i = 1, 256 do waiting[i] = send("/sharing", several) end
        for i = 1, 256 do assert.equal("25 users", receive(waiting[i])) end
        assert.equal(before + 1, api:counts().token)
      end
    end)
  end)
end)
