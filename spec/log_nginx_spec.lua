-- nginx contains a LuaJIT, so this runs on LuaJIT only.
if not rawget(_G, "jit") then return end

local mock = require "spec.support.mock"
local worker = require "spec.support.worker"

describe("in nginx, the log", function()
  local api, server

  setup(function()
    api = mock.start { tls = false }
    server = worker.start(api, {
      level = "notice",
      main = "env PODERO_LOG;",
      environment = { PODERO_LOG = "info" },
      after = [[
        debugged = new_client { log = "debug" }
        silent = new_client { log = function() end }
        yielding = new_client { log = function() ngx.sleep(0.05) ngx.shared.told:incr("slept", 1, 0) end }
        short = new_client { log = "debug", timeout = 1 }
      ]],
      locations = [[
        location /debugged { content_by_lua_block { say(calls.list_users(nil, debugged)) } }
        location /silent { content_by_lua_block { say(calls.list_users(nil, silent)) } }
        location /short { content_by_lua_block { say(calls.list_users(nil, short)) } }
        location /yielding {
          content_by_lua_block {
            local first = calls.list_users(nil, yielding)
            ngx.sleep(0.2)
            say(first .. ", " .. calls.list_users(nil, yielding))
          }
        }
      ]],
    })
  end)
  teardown(function()
    server:stop()
    api:stop()
  end)
  before_each(function() api:reset() end)

  --- Calls f, and returns its result and the lines of the log that are new.
  local function logged(f)
    local size = #server.server:log()
    local result = f()
    local lines = {}
    for line in server.server:log():sub(size + 1):gmatch("[^\n]+") do
      if line:find("source=podero", 1, true) then lines[#lines + 1] = line end
    end
    return result, lines
  end

  it("is nginx's log at level notice, with the request", function()
    local body, lines = logged(function() return (server:get("/debugged")) end)
    assert.equal("25 users", body)
    assert.equal(2, #lines)
    for i, text in ipairs { "level=info source=podero event=exchange purpose=token method=POST",
      "level=debug source=podero event=exchange purpose=api method=GET" } do
      assert.truthy(lines[i]:find("[notice]", 1, true), lines[i])
      assert.truthy(lines[i]:find(text, 1, true), lines[i])
      assert.truthy(lines[i]:find('request: "GET /debugged', 1, true), lines[i])
      assert.is_nil(lines[i]:find("demo-secret", 1, true))
    end
  end)

  it("is set by PODERO_LOG if the option is missing", function()
    local body, lines = logged(function() return (server:get("/call?method=new_client")) end)
    assert.equal("a token", body)
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find("level=info", 1, true))
  end)

  it("gets the line of a token request from the next call if the first client has disconnected", function()
    api:configure { script = { token = { { delay = 0.3 } } } }
    local _, lines = logged(function()
      local connection = server:send("/short")
      worker.eventually(function() return api:counts().token == 1 end)
      connection:close()
      worker.eventually(function() return api:counts().in_flight.token == 0 end)
      assert.equal("25 users", (server:get("/short?next")))
    end)
    assert.equal(2, #lines)
    assert.truthy(lines[1]:find("purpose=token", 1, true), lines[1])
    assert.truthy(lines[1]:find('request: "GET /short?next', 1, true), lines[1])
    assert.equal(1, api:counts().token)
  end)

  it("may be a function that yields, which is stopped", function()
    assert.equal("25 users, 25 users", (server:get("/yielding")))
    assert.equal("nothing", (server:get("/told?key=slept")))
    local bodies = server:load({ "/yielding" }, 20, 10)
    assert.same({ ["/yielding: 25 users, 25 users"] = 20 }, bodies)
    assert.equal("", server:complaints())
  end)
end)
