--- The iterator of each_user in nginx, shared by several light threads. nginx contains a LuaJIT, so this runs on LuaJIT
-- only.
if not rawget(_G, "jit") then return end

local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local socket = require "socket"
local worker = require "spec.support.worker"

local ORG = helper.ORG

local HTTP = [[
  init_by_lua_block {
    client = assert(require("podero").new {
      base_url = "${base_url}", access_token = "static", proxy = "", timeout = 10,
    })
    function count_from(iterator)
      local count = 0
      while iterator() do count = count + 1 end
      return count
    end
    -- Three light threads that read from one iterator.
    function start_threads(iterator)
      local threads = {}
      for i = 1, 3 do threads[i] = ngx.thread.spawn(function() return pcall(count_from, iterator) end) end
      return threads
    end
    -- Prints the outcome of all.
    function say_all(threads)
      local sum, problems = 0, 0
      for _, thread in ipairs(threads) do
        local _, ok, count = ngx.thread.wait(thread)
        if ok then sum = sum + count else problems = problems + 1 end
      end
      ngx.print(sum, " users, ", problems, " errors")
    end
  }
  server {
    listen 127.0.0.1:${plain};
    location /all { content_by_lua_block { say_all(start_threads((client:each_user("${org}")))) } }
    location /raise { content_by_lua_block { for _ in client:each_user("${org}") do end } }
    location /close {
      content_by_lua_block {
        local iterator = client:each_user("${org}")
        local threads = start_threads(iterator)
        ngx.sleep(0.1)
        iterator:close()
        say_all(threads)
      }
    }
  }
]]

describe("in nginx, the iterator of each_user", function()
  local api, server

  setup(function()
    api = mock.start { tls = false }
    server = nginx.start {
      name = "podero-nginx", ports = { "plain" },
      configuration = function(ports)
        return worker.configuration(HTTP, { plain = ports.plain, base_url = api.url, org = ORG })
      end,
    }
  end)
  teardown(function()
    server:stop()
    api:stop()
  end)
  before_each(function() api:reset() end)

  local function get(path)
    local connection = assert(socket.connect("127.0.0.1", server.ports.plain))
    connection:settimeout(20)
    assert(connection:send("GET " .. path .. " HTTP/1.0\r\n\r\n"))
    local text = connection:receive("*a")
    connection:close()
    return text:match("\r\n\r\n(.*)$")
  end

  it("serves several light threads: each user goes to one of them, and it ends for all", function()
    helper.static(api, {
      organizations = { [ORG] = { users = 500, seed = 7 } },
      script = { api = { { fault = "drip", after = 100000, chunk = 4000, interval = 0.001 } } },
    })
    assert.equal("500 users, 0 errors", get("/all"))
  end)

  it("ends at once for waiting light threads if another one closes it", function()
    helper.static(api, { always_api = { fault = "stall", after = 0 } })
    local seconds, told = helper.timed(get, "/close")
    assert.equal("0 users, 0 errors", told)
    assert.is_true(seconds < 2, seconds) -- of a time limit of 10
    assert.equal(1, api:counts().api)
    local ends = socket.gettime() + 5
    while api:counts().in_flight.api > 0 do -- the server has to see the transfer end
      assert.is_true(socket.gettime() < ends)
      socket.sleep(0.02)
    end
  end)

  it("logs no error for the above", function() assert.is_nil(server:log():find("[error]", 1, true)) end)

  it("logs an error before it raises it, since nginx prints only strings", function()
    helper.static(api, { always_api = { status = 403 } })
    get("/raise")
    assert.truthy(server:log():find("podero: http: HTTP 403 from " .. api.url, 1, true), server:log())
  end)
end)
