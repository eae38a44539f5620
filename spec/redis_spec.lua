-- The store is for nginx, which contains a LuaJIT, so this runs on LuaJIT only.
if not rawget(_G, "jit") then return end

local http = require "socket.http"
local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local redis = require "spec.support.redis"
local site = require "spec.support.site"
local socket = require "socket"
local worker = require "spec.support.worker"

local HTTP = [[
  lua_package_path "${root}/examples/nginx/lua/?.lua;;";
  lua_socket_log_errors off;
  init_by_lua_block { Store = require "site.redis_store" }
  server {
    listen 127.0.0.1:${listen};
    location / {
      content_by_lua_block {
        ngx.req.read_body()
        ngx.print(tostring(assert(loadstring(ngx.req.get_body_data()))()))
      }
    }
  }
]]

describe("the token store on Redis", function()
  local root = nginx.output_of("pwd")

  describe("behaves as ngx.shared.DICT and", function()
    local server, handlers

    setup(function()
      server = redis.start()
      handlers = nginx.start {
        name = "podero-redis-worker", ports = { "listen" },
        configuration = function(ports)
          return worker.configuration(HTTP, { level = "error", root = root, listen = ports.listen })
        end,
        environment = { LUA_PATH = false, LUA_CPATH = false },
      }
    end)
    teardown(function()
      handlers:stop()
      server:stop()
    end)
    before_each(function() server:command("flushall") end)

    --- Returns the result of a program in a handler. In it, `store` is a store on the server, or with other options.
    local function run(program, options)
      local text = ("local store = Store.new { %s }\n%s"):format(options or ("path = %q"):format(server.path), program)
      local body, status = http.request("http://127.0.0.1:" .. handlers.ports.listen, text)
      assert.equal(200, status, body .. handlers:log()) return body
    end

    it("returns what was set, and otherwise nil", function()
      assert.equal("nil nil", run [[local value, err = store:get "a" return tostring(value) .. " " .. tostring(err)]])
      assert.equal("true one", run [[return tostring(store:set("a", "one")) .. " " .. store:get "a"]])
      assert.equal("two", run [[store:set("a", "two", 60) return store:get "a"]])
      assert.equal("podero:a", server:command("keys '*'"))
    end)

    it("forgets values after their time to live, which may be a fraction of a second", function()
      assert.equal("nil", run [[store:set("a", "one", 0.05) ngx.sleep(0.1) return store:get "a"]])
      assert.equal("true", run [[store:add("a", "one", 0.05) ngx.sleep(0.1) return store:add("a", "two", 60)]])
      local left = tonumber(server:command("pttl podero:a"))
      assert.is_true(left > 50000 and left <= 60000)
    end)

    it("adds a value only if the key is new, and otherwise returns \"exists\"", function()
      assert.equal("true", run [[return store:add("a", "one", 60)]])
      assert.equal("nil exists one", run [[
        local ok, err = store:add("a", "two", 60)
        return tostring(ok) .. " " .. err .. " " .. store:get "a"
      ]])
      assert.equal("true", run [[store:delete "a" return store:add("a", "two")]])
    end)

    it("adds a value for only one of many callers at the same time", function()
      assert.equal("1", run [[
        local threads, added = {}, 0
        for i = 1, 50 do
          threads[i] = ngx.thread.spawn(function() return store:add("a", tostring(i), 60) end)
        end
        for i = 1, 50 do
          local _, ok = ngx.thread.wait(threads[i])
          if ok then added = added + 1 end
        end
        return added
      ]])
    end)

    it("keeps its connections", function()
      local program = [[for _ = 1, 20 do store:get "a" end return store:get "a"]]
      run(program)
      local before = tonumber(server:command("info stats"):match("total_connections_received:(%d+)"))
      run(program)
      local after = tonumber(server:command("info stats"):match("total_connections_received:(%d+)"))
      assert.equal(before + 1, after) -- that of redis-cli
    end)

    it("returns nil and a message if Redis is missing or refuses", function()
      local program = [[
        local texts = {}
        for _, name in ipairs { "get", "set", "add", "delete" } do
          local ok, err = store[name](store, "a", "one", 1)
          texts[#texts + 1] = tostring(ok) .. " " .. type(err) .. " " .. tostring(err == "exists")
        end
        return table.concat(texts, ", ")
      ]]
      local failed = "nil string false, nil string false, nil string false, nil string false"
      assert.equal(failed, run(program, 'path = "unix:/nowhere/redis.sock"'))
      local strict = redis.start("--requirepass secret")
      local path = ("path = %q"):format(strict.path)
      assert.equal(failed, run(program, path))
      assert.equal(failed, run(program, path .. ', password = "wrong"'))
      assert.equal("one", run([[store:set("a", "one") return store:get "a"]], path .. ', password = "secret"'))
      strict:stop()
    end)

    it("shares a connection only between stores with the same credentials and the same database", function()
      local strict = redis.start("--requirepass secret")
      finally(function() strict:stop() end)
      strict:command("-a secret --no-auth-warning acl setuser ada on '>pw' '~*' +@all")
      strict:command("-a secret --no-auth-warning acl setuser bob on '>pw' '~*' +@all -set")
      local path = ("path = %q"):format(strict.path)
      local set = [[local ok, err = store:set("a", "one") return tostring(ok) .. " " .. tostring(err)]]
      -- The worker keeps the connection of each store that works; others may not get it.
      assert.equal("true nil", run(set, path .. ', password = "secret"'))
      assert.truthy(run(set, path .. ', password = "wrong"'):find("^nil WRONGPASS"))
      assert.truthy(run(set, path):find("^nil NOAUTH"))
      assert.equal("true nil", run(set, path .. ', username = "ada", password = "pw"'))
      assert.truthy(run(set, path .. ', username = "bob", password = "pw"'):find("^nil NOPERM"))
      assert.truthy(run(set, path .. ', username = "eve", password = "pw"'):find("^nil WRONGPASS"))
      assert.equal("true nil", run(set, path .. ', username = "ada", password = "pw"'))

      local get = [[return tostring(store:get "a")]]
      assert.equal("nil", run(get, path .. ', password = "secret", database = 3'))
      assert.equal("true nil", run((set:gsub("one", "three")), path .. ', password = "secret", database = 3'))
      assert.equal("one", run(get, path .. ', password = "secret"'))
      assert.equal("three", run(get, path .. ', password = "secret", database = 3'))
    end)

    it("closes a refused connection at once", function()
      local strict = redis.start("--requirepass secret")
      finally(function() strict:stop() end)
      local path = ("path = %q"):format(strict.path)
      -- Another connection lists those that are open, until Redis has noticed that the other one is closed.
      local program = [[
        local ok, err = store:get "a"
        local watch = (pcall(require, "resty.redis") and require "resty.redis" or require "nginx.redis"):new()
        assert(watch:connect(store.options.path, { pool = "watch" }))
        assert(watch:auth "secret")
        local ends, connected = ngx.now() + 5
        repeat
          ngx.sleep(0.01)
          connected = select(2, watch:client("list"):gsub("\n", ""))
        until connected == 1 or ngx.now() > ends
        watch:close()
        return tostring(ok) .. " " .. tostring(err) .. ", " .. connected .. " connected"
      ]]
      assert.truthy(run(program, path .. ', password = "wrong"'):find("^nil WRONGPASS.*, 1 connected$"))
      assert.truthy(run(program, path .. ', password = "secret", database = 99'):find(
        "^nil ERR DB index is out of range, 1 connected$"))
      assert.truthy(run(program, path):find("^nil NOAUTH.*, 1 connected$"))
    end)

    it("accepts any time to live that a server can cause", function()
      local set = [[return tostring(store:set("a", "one", %s))]]
      for _, ttl in ipairs { "1e308", "math.huge", "2 ^ 63", "1e-300" } do
        assert.equal("true", run(set:format(ttl)), ttl)
      end
      assert.equal("true", run [[return tostring(store:set("b", "one", 1e308))]])
      assert.is_true(tonumber(server:command("pttl podero:b")) > 3e10)
      for _, ttl in ipairs { "-1", "0 / 0", "-math.huge" } do
        assert.equal("nil string nil", run(([[
          local ok, err = store:add("c", "one", %s)
          return tostring(ok) .. " " .. type(err) .. " " .. tostring(store:get "c")
        ]]):format(ttl)), ttl)
      end
    end)

    it("raises an error if its options cannot be used, and does not modify them", function()
      local program = [[
        local texts = {}
        for _, options in ipairs {
          {}, { host = "127.0.0.1", path = "unix:/x" }, { host = "" }, { host = "x", port = 0 },
          { host = "x", port = 1 / 0 }, { host = "x", port = 63.5 }, { host = "x", password = "" },
          { host = "x", username = "u" }, { host = "x", database = -1 }, { host = "x", database = 0 / 0 },
          { host = "x", timeout = 0 }, { host = "x", timeout = 0 / 0 }, { host = "x", timeout = 1e308 },
          { host = "x", pasword = "secret" },
        } do
          local ok, err = pcall(Store.new, options)
          texts[#texts + 1] = ok and "accepted" or err:find("redis_store: ", 1, true) and "raised" or err
          if tostring(err):find("secret", 1, true) then texts[#texts] = "tells the secret" end
        end
        local given = { host = "x" }
        local one = Store.new(given)
        given.host = "y"
        texts[#texts + 1] = tostring(getmetatable(given)) .. " " .. one.options.host
        return table.concat(texts, " ")
      ]]
      assert.equal(("raised "):rep(14) .. "nil x", run(program))
    end)
  end)

  describe("shared by two sites", function()
    local api, server, sites

    before_each(function()
      api, server, sites = mock.start { tls = false }, redis.start(), {}
    end)
    after_each(function()
      for _, one in ipairs(sites) do one:stop() end
      server:stop()
      api:stop()
    end)

    --- Starts a site. `options`: further options of its client, as Lua.
    local function start(options)
      local all = { token_store = ("require('site.redis_store').new { path = %q }"):format(server.path) }
      for name, value in pairs(options or {}) do all[name] = value end
      sites[#sites + 1] = site.start({
        PODERO_BASE_URL = api.url,
        PODERO_CLIENT_ID = mock.credentials.client_id, PODERO_CLIENT_SECRET = mock.credentials.client_secret,
      }, all)
      return sites[#sites]
    end

    local function list(one)
      local body, status = http.request(one.url .. "/orgs/" .. mock.ORG .. "/users")
      assert.equal(200, status, body .. one:log())
    end

    it("makes them fetch a token once, and a new one if it is refused", function()
      local first, second = start(), start()
      for _ = 1, 5 do
        list(first)
        list(second)
      end
      assert.equal(1, api:counts().token)
      api:revoke()
      list(first)
      assert.equal(2, api:counts().token)
      list(start())
      assert.equal(2, api:counts().token)
    end)

    it("gives a token to a site whose token request gets no response", function()
      local first, second = start { timeout = "4" }, start { timeout = "2" }
      api:configure { script = { token = { { delay = 10 } } } }
      local waiting = assert(socket.connect("127.0.0.1", first.ports.site))
      waiting:settimeout(10)
      assert(waiting:send(("GET /orgs/%s/users HTTP/1.0\r\nHost: localhost\r\n\r\n"):format(mock.ORG)))
      local ends = socket.gettime() + 10
      while api:counts().token == 0 do
        assert.is_true(socket.gettime() < ends, first:log())
        socket.sleep(0.01)
      end
      list(second) -- waits for the lock for a second, and continues without it
      assert.truthy(waiting:receive("*l"):find(" 200 ", 1, true), first:log())
      waiting:close()
      assert.equal(2, api:counts().token)
    end)

    it("costs a token request, but fails no call, if its values are invalid or it is down", function()
      list(start())
      server:command [[eval "for _, key in ipairs(redis.call('keys', '*')) do redis.call('set', key, 'x') end" 0]]
      list(start())
      assert.equal(2, api:counts().token)
      server:stop()
      list(start())
      assert.equal(3, api:counts().token)
    end)
  end)
end)
