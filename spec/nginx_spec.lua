-- nginx contains a LuaJIT, so this runs on LuaJIT only.
if not rawget(_G, "jit") then return end

local faults = require "spec.support.faults"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local peer = require "spec.support.peer"
local socket = require "socket"
local versions = require "spec.support.versions"
local worker = require "spec.support.worker"

local ORG, OTHER_ORG = helper.ORG, helper.OTHER_ORG
local DELAY = 0.4
local SEED = tonumber(ORG:sub(1, 6), 16)

local eventually = worker.eventually

--- The response to a call of each method if lists have 25 users.
local METHODS = {
  list_users = "25 users", each_user = "25 users", list_users_of = "50 users", get = "25 users", request = "25 users",
  token = "a token",
}

local function call(method, org)
  return "/call?method=" .. method .. (org and "&org=" .. org or "")
end

local function whole(method)
  return "/whole?method=" .. method
end

--- Directives for a server with TLS.
local TLS_SERVER = [[
  listen 127.0.0.1:${tls} ssl;
  ssl_certificate ${certificate}.pem;
  ssl_certificate_key ${certificate}.key;
  ssl_session_tickets off;
]]

describe("in nginx", function()
  local api, server

  setup(function()
    api = mock.start()
    server = worker.start(api, {
      http = [[
        init_worker_by_lua_block {
          in_init_worker = calls.list_users()
          ngx.timer.at(0, function() ngx.shared.told:set("timer", calls.list_users()) end)
        }
      ]],
      after = [[
        in_init = calls.list_users()
        watched = new_client { on_event = function() ngx.ctx.events = (ngx.ctx.events or 0) + 1 end }
        short = new_client { timeout = 1 }
        shorter = new_client { timeout = 1 }
      ]],
      locations = [[
        location /init { content_by_lua_block { say(in_init .. ", " .. in_init_worker) } }
        location /rewrite { rewrite_by_lua_block { say(calls.list_users()) } }
        location /access { access_by_lua_block { say(calls.list_users()) } }
        location /header_filter {
          header_filter_by_lua_block { ngx.header["X-Told"] = calls[ngx.var.arg_method]() }
          return 200 "x";
        }
        location /log {
          log_by_lua_block { ngx.shared.told:set("log", calls.list_users()) }
          return 200 "x";
        }
        location /threads {
          content_by_lua_block {
            local one = ngx.thread.spawn(calls.list_users)
            local other = ngx.thread.spawn(calls.each_user, OTHER_ORG)
            local _, first = ngx.thread.wait(one, other)
            say(first)
          }
        }
        location /coroutines {
          content_by_lua_block {
            say(coroutine.wrap(function() return coroutine.wrap(function() return calls.list_users() end)() end)())
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
        location /callbacks {
          content_by_lua_block {
            local mine, others = ngx.var.arg_mine, 0
            ngx.ctx.mine = mine
            assert(watched:list_users(ORG, { on_progress = function()
              if ngx.ctx.mine ~= mine then others = others + 1 end
            end }))
            say(others .. " of others, " .. ngx.ctx.events .. " exchange")
          }
        }
        location /short { content_by_lua_block { say(calls[ngx.var.arg_method](nil, short)) } }
      ]],
    })
  end)
  teardown(function()
    server:stop()
    api:stop()
  end)
  -- No reset, since the worker keeps its token.
  before_each(function() api:configure() end)

  local function get(path) return (server:get(path)) end

  --- Sends a request to a worker over TLS.
  local function request_over_tls(other)
    local command = "curl -sS --noproxy '*' --cacert %s/ca.pem https://localhost:%s/quick"
    assert.equal("quick", helper.shell(command:format(api.dir, other.ports.tls)):match("^%a+"))
  end

  --- The number of requests of a kind that the mock server has not responded to.
  local function in_flight(kind)
    return api:counts().in_flight[kind]
  end

  describe("a call lets other requests run", function()
    for _, phase in ipairs { "rewrite", "access" } do
      it("in phase " .. phase, function() assert.equal("25 users", get("/" .. phase)) end)
    end

    it("in timers", function() eventually(function() return get("/told?key=timer") == "25 users" end, "no timer") end)

    for method, expected in pairs(METHODS) do
      it("in " .. method, function()
        assert.equal(expected, get(call(method)))
        api:configure { always_api = { delay = DELAY } }
        local start_time, waiting = socket.gettime(), server:send(call(method))
        assert.equal("quick", get("/quick"))
        assert.is_true(socket.gettime() - start_time < DELAY / 2)
        assert.equal(expected, (server:receive(waiting)))
      end)
    end

    it("and runs at the same time as many others", function()
      api:configure { always_api = { delay = DELAY } }
      local start_time, waiting = socket.gettime(), {}
      for i = 1, 100 do waiting[i] = server:send(call(i % 2 == 0 and "list_users" or "each_user")) end
      for i = 1, 100 do assert.equal("25 users", (server:receive(waiting[i]))) end
      assert.is_true(socket.gettime() - start_time < 4 * DELAY)
    end)

    it("in a coroutine of a coroutine", function() assert.equal("25 users", get("/coroutines")) end)

    it("in light threads of which one is waited for", function()
      for _ = 1, 5 do assert.equal("25 users", get("/threads")) end
      assert.equal("25 users", get(call "list_users"))
    end)

    it("during the pause before another attempt", function()
      api:configure { script = { api = { { status = 503, headers = { ["Retry-After"] = "1" } } } } }
      local start_time, waiting = socket.gettime(), server:send(call "list_users")
      assert.equal("quick", get("/quick"))
      assert.is_true(socket.gettime() - start_time < 0.5)
      assert.equal("25 users", (server:receive(waiting)))
      assert.is_true(socket.gettime() - start_time >= 1)
    end)

    it("and takes no longer if another one waits for a response", function()
      local script = { api = { { delay = 1.5 } } }
      for _, method in ipairs { "list_users", "each_user" } do
        api:configure { organizations = { [ORG] = { users = 10000 } }, script = script }
        local slow = server:send(call(method, OTHER_ORG))
        eventually(function() return in_flight "api" == 1 end)
        local seconds, body = helper.timed(get, call(method))
        assert.equal("10000 users", body)
        assert.is_true(seconds < 0.8, seconds)
        assert.equal("25 users", (server:receive(slow)))
      end
    end)

    it("while long lists are read", function()
      api:configure { organizations = { [ORG] = { users = 10000 } } }
      local waiting, worst = {}, 0
      for i = 1, 8 do waiting[i] = server:send(call(i % 2 == 0 and "list_users" or "each_user")) end
      for _ = 1, 100 do
        local seconds = helper.timed(get, "/quick")
        worst = math.max(worst, seconds)
        socket.sleep(0.002)
      end
      for i = 1, 8 do assert.equal("10000 users", (server:receive(waiting[i]))) end
      assert.is_true(worst < 0.25, worst)
    end)
  end)

  describe("long lists", function()
    for count, requests in pairs { [1000] = 200, [20000] = 15 } do
      for _, method in ipairs { "list_users", "each_user" } do
        it(("of %d users are returned completely by %s, five at a time"):format(count, method), function()
          api:configure { organizations = { [ORG] = { users = count } } }
          local bodies = server:load({ whole(method) }, requests, 5)
          assert.same({ [whole(method) .. ": " .. worker.whole(count, SEED)] = requests }, bodies)
        end)
      end
    end

    it("of 20000 users take a fraction of a second, and two at once about twice that at most", function()
      api:configure { organizations = { [ORG] = { users = 20000 } } }
      for _, method in ipairs { "list_users", "each_user" } do
        local one, two = math.huge, math.huge
        for _ = 1, 5 do
          local seconds, body = helper.timed(get, call(method))
          assert.equal("20000 users", body)
          one = math.min(one, seconds)
          local start_time, waiting = socket.gettime(), { server:send(call(method)), server:send(call(method)) }
          for i = 1, 2 do assert.equal("20000 users", (server:receive(waiting[i]))) end
          two = math.min(two, socket.gettime() - start_time)
        end
        assert.is_true(one < 0.4, one)
        assert.is_true(two < 2.5 * one + 0.05, two / one)
      end
    end)
  end)

  it("calls block in init_by_lua and init_worker", function() assert.equal("25 users, 25 users", get("/init")) end)

  describe("in a phase in which a call can neither yield nor block", function()
    for method in pairs(METHODS) do
      it(method .. " returns an error that names the phase and ngx.timer.at, and sends nothing", function()
        local before = api:counts().api
        local _, header = server:get("/header_filter?method=" .. method)
        local told = header:match("X%-Told: ([^\r]*)")
        assert.truthy(told:find("podero: argument: ", 1, true), told)
        assert.truthy(told:find("'header_filter'", 1, true), told)
        assert.truthy(told:find("ngx.timer.at", 1, true), told)
        assert.equal(before, api:counts().api)
      end)
    end

    it("such as log, a call returns an error that names the phase", function()
      get("/log")
      eventually(function() return get("/told?key=log"):find("'log'", 1, true) end, "no log")
    end)
  end)

  it("each of many calls returns its own users", function()
    local waiting = {}
    for i = 1, 200 do
      local org = ("%08x-0000-4000-8000-%012x"):format(i * 7919, i)
      waiting[i] = server:send("/mine?org=" .. org)
    end
    for i = 1, 200 do assert.equal("25 users", (server:receive(waiting[i]))) end
  end)

  it("callbacks run in the request that made the call", function()
    assert.equal("0 of others, 2 exchange", get("/callbacks?mine=0")) -- one for the token
    local waiting = {}
    api:configure { organizations = { [ORG] = { users = 1000 } } }
    for i = 1, 20 do waiting[i] = server:send("/callbacks?mine=" .. i) end
    for i = 1, 20 do assert.equal("0 of others, 1 exchange", (server:receive(waiting[i]))) end
  end)

  describe("an aborted handler", function()
    it("does not delay handlers that started after it", function()
      api:configure { always_api = { delay = DELAY } }
      for _ = 1, 3 do
        local start_time, before = socket.gettime(), api:counts().api
        local first = server:send(call "list_users")
        eventually(function() return api:counts().api == before + 1 end, "no first request")
        local waiting = {}
        for i = 1, 10 do waiting[i] = server:send(call(i % 2 == 0 and "list_users" or "each_user")) end
        eventually(function() return api:counts().api == before + 11 end, "no further requests")
        first:close()
        for i = 1, 10 do assert.equal("25 users", (server:receive(waiting[i]))) end
        assert.is_true(socket.gettime() - start_time < 3 * DELAY)
      end
    end)

    it("does not harm other handlers, whenever it is aborted", function()
      api:configure { organizations = { [ORG] = { users = 1000 } }, always_api = { delay = 0.01 } }
      for i = 0, 60 do
        local victims, waiting = {}, {}
        for k = 1, 3 do victims[k] = server:send(call(k % 2 == 0 and "list_users" or "each_user")) end
        waiting[1], waiting[2] = server:send(call "list_users"), server:send(call "each_user")
        socket.sleep(i * 0.0005)
        for k = 1, 3 do victims[k]:close() end
        for k = 1, 2 do assert.equal("1000 users", (server:receive(waiting[k]))) end
      end
    end)

    it("leaves its token request to other handlers that wait for it", function()
      for _, method in ipairs { "list_users", "token" } do
        api:configure { always_token = { delay = DELAY } }
        api:revoke()
        local before = api:counts().token
        local first = server:send(call "list_users") -- gets a 401 and requests a new token
        eventually(function() return in_flight "token" == 1 end, "no token request")
        local waiting = {}
        for i = 1, 5 do waiting[i] = server:send(call(method)) end
        socket.sleep(0.1)
        first:close()
        socket.sleep(0.05)
        waiting[6] = server:send(call(method))
        for i = 1, 6 do assert.equal(METHODS[method], (server:receive(waiting[i]))) end
        assert.equal(before + 1, api:counts().token)
      end
    end)

    it("leaves calls that end at their deadline, even if the worker gets no more requests", function()
      for _, method in ipairs { "list_users", "each_user", "list_users_of", "get", "request" } do
        assert.equal(METHODS[method], get("/short?method=" .. method))
        local start_time, victims = socket.gettime(), {}
        api:configure { always_api = { delay = 10 } }
        for i = 1, 5 do victims[i] = server:send("/short?method=" .. method) end
        eventually(function() return in_flight "api" >= 5 end)
        for i = 1, 5 do victims[i]:close() end
        eventually(function() return in_flight "api" == 0 end, method .. ": requests go on", 3)
        local seconds = socket.gettime() - start_time
        assert.is_true(seconds < 2, seconds)
        api:configure()
      end
    end)

    it("leaves no hanging call if all others are aborted, too", function()
      api:configure { always_api = { delay = DELAY } }
      local waiting = {}
      for i = 1, 20 do waiting[i] = server:send(call "list_users") end
      eventually(function() return in_flight "api" == 20 end)
      for i = 1, 20 do waiting[i]:close() end
      assert.equal("25 users", get(call "list_users"))
      eventually(function() return in_flight "api" == 0 end, "requests go on")
    end)

    it("leaks nothing, a thousand times", function()
      get(call "list_users")
      get("/garbage")
      local before = server:descriptors()
      api:configure { always_api = { delay = 0.05 } }
      for i = 1, 1000 do
        local connection = server:send(call(i % 3 == 0 and "each_user" or "list_users"))
        if i % 20 == 0 then socket.sleep(0.01) end
        connection:close()
      end
      api:configure()
      assert.equal("25 users", get(call "list_users"))
      -- Some connections stay open for the next calls.
      eventually(function()
        get("/garbage")
        return server:descriptors() <= before + 70
      end, "descriptors stay")
      assert.equal("25 users", get(call "each_user"))
    end)
  end)

  it("a hundred waiting handlers use almost no processor time", function()
    local waiting, SECONDS = {}, 2
    api:configure { always_api = { delay = SECONDS + 1 } }
    for i = 1, 100 do waiting[i] = server:send(call(i % 2 == 0 and "list_users" or "each_user")) end
    eventually(function() return in_flight "api" == 100 end)
    socket.sleep(0.1)
    local before = server:processor_time()
    socket.sleep(SECONDS)
    local share = (server:processor_time() - before) / SECONDS
    for i = 1, 100 do assert.equal("25 users", (server:receive(waiting[i]))) end
    assert.is_true(share < (helper.POLLS and 0.25 or 0.05), share) -- without a notifier, sockets are polled
  end)

  describe("a pump without waiting calls", function()
    it("ends within a second", function()
      assert.equal("25 users", get(call "list_users"))
      assert.equal("1 running", get("/timers"))
      local seconds = eventually(function() return get("/timers") == "0 running" end, "the pump goes on")
      assert.is_true(seconds < 1, seconds)
    end)

    for _, signal in ipairs { "QUIT", "HUP" } do
      it("does not delay the exit of the worker after " .. signal, function()
        local other = worker.start(api)
        finally(function() other:stop() end)
        assert.equal("25 users", (other:get(call "list_users")))
        local id = other:ids()[1]
        other:signal(signal)
        local seconds = eventually(function() return not worker.runs(id) end, "the worker stays")
        assert.is_true(seconds < 1.5, seconds)
        assert.equal("", other:complaints())
      end)
    end
  end)

  it("calls log nothing at level warn or above except an error that each_user raises", function()
    local raised = "podero: argument: a call can neither wait nor block in nginx's phase 'header_filter'"
    local count, others = 0, {}
    for line in server:complaints():gmatch("[^\n]+") do
      if line:find(raised, 1, true) and line:find("method=each_user", 1, true) then
        count = count + 1
      else
        others[#others + 1] = line
      end
    end
    assert.same({}, others)
    assert.is_true(count <= 1)
  end)

  describe("reload and quit", function()
    it("let lists under load complete", function()
      local methods = { whole "list_users", whole "each_user" }
      local other = worker.start(api)
      finally(function() other:stop() end)
      api:configure { organizations = { [ORG] = { users = 1000 } } }
      local bodies = other:load(methods, 500, 5, function(received)
        if received % 100 == 0 then other:signal(received < 500 and "HUP" or "QUIT") end
      end)
      local expected = worker.whole(1000, SEED)
      assert.same({ [methods[1] .. ": " .. expected] = 250, [methods[2] .. ": " .. expected] = 250 }, bodies)
      eventually(function() return other.server:pid() == nil end, "nginx stays")
      assert.equal("", other:complaints())
    end)

    for _, signal in ipairs { "HUP", "QUIT" } do
      it("let calls in flight complete, and calls that start later: " .. signal, function()
        local other = worker.start(api, {
          locations = [[
            location /later {
              content_by_lua_block {
                ngx.sleep(0.5)
                local exiting = ngx.worker.exiting() and "exiting: " or "not exiting: "
                say(exiting .. calls[ngx.var.arg_method]())
              }
            }
          ]],
        })
        finally(function() other:stop() end)
        assert.equal("25 users", (other:get(call "list_users")))
        local old = other:ids()[1]
        api:configure { always_api = { delay = DELAY }, always_token = { delay = DELAY } }
        local waiting = { [other:send(call "new_client")] = "a token" }
        for method, expected in pairs(METHODS) do
          waiting[other:send(call(method))] = expected
          waiting[other:send("/later?method=" .. method)] = "exiting: " .. expected
        end
        socket.sleep(0.15)
        other:signal(signal)
        for connection, expected in pairs(waiting) do assert.equal(expected, (other:receive(connection))) end
        eventually(function() return not worker.runs(old) end, "the old worker stays")
        if signal == "HUP" then assert.equal("25 users", (other:get(call "list_users"))) end
        assert.equal("", other:complaints())
      end)
    end

    it("do not wait for calls of aborted handlers", function()
      local other = worker.start(api)
      finally(function() other:stop() end)
      assert.equal("25 users", (other:get(call "list_users")))
      api:configure { always_api = { delay = 10 } }
      local victims = {}
      for i = 1, 5 do victims[i] = other:send(call(i % 2 == 0 and "list_users" or "each_user")) end
      eventually(function() return in_flight "api" == 5 end, "no requests")
      for i = 1, 5 do victims[i]:close() end
      local id = other:ids()[1]
      other:signal("QUIT")
      local seconds = eventually(function() return not worker.runs(id) end, "the worker stays")
      assert.is_true(seconds < 1.5, seconds)
      assert.equal("", other:complaints())
    end)

    it("let calls in exit_worker_by_lua block", function()
      local other = worker.start(api, {
        level = "notice",
        http = "exit_worker_by_lua_block { ngx.log(ngx.NOTICE, \"at last: \", calls.list_users()) }",
      })
      finally(function() other:stop() end)
      assert.equal("25 users", (other:get(call "list_users")))
      other:signal("QUIT")
      eventually(function() return other.server:log():find("at last: ", 1, true) end, "no exit")
      assert.truthy(other.server:log():find("at last: 25 users", 1, true), other.server:log())
    end)
  end)

  describe("with several workers", function()
    local several

    setup(function()
      several = worker.start(api, {
        workers = 4,
        after = "sharing = new_client { token_store = ngx.shared.tokens }",
        locations = "location /sharing { content_by_lua_block { say(calls.list_users(nil, sharing)) } }",
      })
    end)
    teardown(function() several:stop() end)

    it("a client of init_by_lua works in each of them", function()
      for _ = 1, 40 do assert.equal("25 users", (several:get(call "list_users"))) end
    end)

    it("and ngx.shared as token store, a token is fetched once for all", function()
      several:get("/sharing")
      for _ = 1, 3 do
        api:revoke()
        local before, waiting = api:counts().token, {}
        for i = 1, 256 do waiting[i] = several:send("/sharing") end
        for i = 1, 256 do assert.equal("25 users", (several:receive(waiting[i]))) end
        assert.equal(before + 1, api:counts().token)
      end
      assert.equal("", several:complaints())
    end)
  end)

  describe("a call lets other requests run in the following phases, if nginx has them:", function()
    --- For each phase, its text in the configuration, with ${phase} for the code, the text's place, and how to enter
    -- the phase.
    local PHASES = {
      server_rewrite = { place = "server", text = "server_rewrite_by_lua_block { ${phase} }" },
      precontent = { place = "location", text = "precontent_by_lua_block { ${phase} }", enter = "proxy" },
      ssl_client_hello = { place = "server", text = "ssl_client_hello_by_lua_block { ${phase} }", enter = "tls" },
      ssl_cert = { place = "server", text = "ssl_certificate_by_lua_block { ${phase} }", enter = "tls" },
      ssl_session_fetch = {
        place = "http", text = "ssl_session_fetch_by_lua_block { ${phase} }", enter = "tls_session",
        -- Without a patch, OpenSSL does not allow waiting there, and a handler that tries is killed.
        refused = "ssl_session_fetch: podero: argument: .*'ssl_session_fetch'.*ngx%.timer%.at",
      },
      proxy_ssl_cert = {
        place = "location", text = "proxy_ssl_certificate_by_lua_block { ${phase} }", enter = "proxy",
      },
      proxy_ssl_verify = {
        place = "location", text = "proxy_ssl_verify_by_lua_block { ${phase} }", enter = "proxy",
      },
    }
    local PROXY = "location /in { proxy_pass %s/; proxy_http_version 1.1; %s }"
    local other

    after_each(function()
      if other then other:stop() end
      other = nil
    end)

    local ENTER = {}

    function ENTER.plain() other:get("/quick") end

    function ENTER.proxy() other:get("/in") end

    function ENTER.tls() request_over_tls(other) end

    function ENTER.tls_session()
      local command = "echo | openssl s_client -connect 127.0.0.1:%s -tls1_2 -no_ticket -reconnect"
      helper.shell(command:format(other.ports.tls))
    end

    for name, phase in pairs(PHASES) do
      if worker.accepts(phase.place, (phase.text:gsub("${phase}", ""))) then
        it(name, function()
          local options = { server = phase.place ~= "location" and TLS_SERVER or nil }
          local text = phase.text:gsub("${phase}",
            "ngx.shared.told:set(\"phase\", ngx.get_phase() .. \": \" .. calls.list_users())")
          if phase.place == "location" then
            options.locations = PROXY:format(api.tls_url, text)
          else
            options[phase.place] = (options[phase.place] or "") .. text
          end
          other = worker.start(api, options)
          ENTER[phase.enter or "plain"]()
          local told = other:get("/told?key=phase")
          if not phase.refused or not told:match(phase.refused) then assert.equal(name .. ": 25 users", told) end
          assert.equal("", other:complaints())
        end)
      end
    end

    if worker.accepts("stream", "content_by_lua_block { }") then
      it("preread and content of stream", function()
        other = worker.start(api, {
          stream = [[
            stream {
              lua_package_cpath "${cpath}";
              init_by_lua_block { ${init} in_init = calls.list_users() }
              init_worker_by_lua_block { in_init_worker = calls.list_users() }
              server {
                listen 127.0.0.1:${other};
                preread_by_lua_block { ngx.ctx.told = ngx.get_phase() .. ": " .. calls.list_users() }
                content_by_lua_block {
                  ngx.print(in_init, ", ", in_init_worker, ", ", ngx.ctx.told, ", ", ngx.get_phase(), ": ",
                    calls.list_users())
                }
              }
            }
          ]],
        })
        for _ = 1, 3 do
          local connection = assert(socket.connect("127.0.0.1", other.ports.other))
          connection:settimeout(20)
          local text = connection:receive("*a")
          assert.equal("25 users, 25 users, preread: 25 users, content: 25 users", text)
        end
        local waiting = {}
        for i = 1, 20 do waiting[i] = assert(socket.connect("127.0.0.1", other.ports.other)) end
        for i = 1, 20 do assert.equal(56, #waiting[i]:receive("*a")) end
        assert.equal("", other:complaints())
      end)
    end
  end)

  it("podero.new names the directives that pass on credentials from the environment if there are none", function()
    local other = worker.start(api, {
      locations = [[
        location /missing {
          content_by_lua_block { say((select(2, require("podero").new { base_url = "http://127.0.0.1:1" })).message) }
        }
      ]],
    })
    finally(function() other:stop() end)
    local message = other:get("/missing")
    assert.truthy(message:find(" env PODERO_CLIENT_ID; env PODERO_CLIENT_SECRET;", 1, true), message)
  end)

  if worker.accepts("location", "content_by_lua_block { assert(ngx.run_worker_thread) }") then
    it("a call blocks in ngx.run_worker_thread, which may have no phase", function()
      local other = worker.start(api, {
        main = "thread_pool calls threads=2;",
        http = "lua_package_path \"${dir}/?.lua;;\";",
        locations = [[
          location /thread {
            content_by_lua_block {
              if not ngx.run_worker_thread then return say("no threads") end
              local ok, result = ngx.run_worker_thread("calls", "work", "count", ORG, "]] .. api.url .. [[")
              say(tostring(ok) .. ": " .. tostring(result))
            }
          }
        ]],
        files = {
          ["work.lua"] = [[
            local podero = require "podero"
            local function count(org, url)
              local client = assert(podero.new {
                base_url = url, client_id = "demo-client", client_secret = "demo-secret", proxy = "",
              })
              local users, err = client:list_users(org)
              local count = 0
              for _ in client:each_user(org) do count = count + 1 end
              client:close()
              return (users and #users or tostring(err)) .. " and " .. count .. " users"
            end
            return { count = count }
          ]],
        },
      })
      finally(function() other:stop() end)
      local body = other:get("/thread")
      assert.equal("true: 25 and 25 users", body)
      assert.equal("", other:complaints())
    end)
  end

  -- When nginx reads from a TLS connection, it checks OpenSSL's error queue, and attributes errors of others to that
  -- connection.
  describe("a later TLS connection is not logged for a failed call:", function()
    local TLS = { certificate = "server" }
    local good = faults.good.api[1]
    local remote, other

    setup(function()
      remote = peer.start()
      other = worker.start(api, {
        server = TLS_SERVER,
        files = { ["ca.pem"] = helper.read(remote.ca_file) },
        locations = [[
          location /of {
            content_by_lua_block {
              local of = assert(podero.new {
                base_url = "https://localhost:" .. ngx.var.arg_port, access_token = "static", proxy = "",
                max_retries = 0, timeout = 0.3, tls = { ca_file = ngx.var.arg_trusts and "${dir}/ca.pem" },
              })
              local words = {}
              for i = 1, tonumber(ngx.var.arg_calls or 1) do
                words[i] = calls.list_users(nil, of)
                ngx.sleep(0.1)
              end
              if ngx.var.arg_close then of:close() end
              say(table.concat(words, ", "))
            }
          }
        ]],
      })
    end)
    teardown(function()
      other:stop()
      remote:stop()
    end)

    local ROWS = {
      ["a certificate that it does not trust"] = { tls = TLS, trusts = false, told = "certificate" },
      ["no common version of TLS"] = { tls = { certificate = "server", version = "1.1" }, told = "network" },
      ["a server without TLS"] = { accept = { { { "send", "HTTP/1.1 400 Bad\r\n\r\n" } } }, told = "network" },
      ["a connection closed during the handshake"] = { tls = TLS, told = "network",
        accept = { { { "pause", 0.02 }, faults.CLOSE } } },
      ["a handshake that takes too long"] = { tls = TLS, accept = { { faults.STALL } }, told = "timeout" },
      ["a response that takes too long"] = { tls = TLS, api = { { faults.STALL } }, told = "timeout" },
      ["a response that is cut short"] = { tls = TLS, api = { { { "send", "HTTP/1.1 200 OK\r\n" }, faults.CLOSE } },
        told = "network" },
      ["an idle connection that the server has closed"] = { tls = TLS, api = { { good, { "end" } } },
        good_api = { good }, calls = 2, told = "^3 users, 3 users$" },
      ["a flood over HTTP/2"] = { tls = { certificate = "server", h2 = true },
        told = versions.returns_between_frames and "timeout" or "network",
        api = { { { "flood", "", ("\0\0\4\8\0\0\0\0\0\0\0\0\1"):rep(5000), 60000, "" } } } },
      ["a client that was closed"] = { tls = TLS, good_api = { good }, close = true, told = "^3 users$" },
    }
    for name, row in pairs(ROWS) do
      it(name, function()
        local listener = remote:listen(row)
        finally(function() listener:close() end)
        local path = ("/of?port=%s&calls=%d"):format(listener.url:match("%d+$"), row.calls or 1)
        if row.trusts ~= false then path = path .. "&trusts=1" end
        if row.close then path = path .. "&close=1" end
        local before = other:complaints()
        local told = other:get(path)
        assert.truthy(told:find(row.told), told)
        request_over_tls(other)
        assert.equal(before, other:complaints())
      end)
    end
  end)
end)
