-- nginx brings a LuaJIT of its own: one run is enough, and it is LuaJIT's.
if not rawget(_G, "jit") then return end

local worker = require "spec.support.worker"

describe("podero.mock in nginx", function()
  local server

  setup(function()
    local api = { url = "http://127.0.0.1:1", dir = "/" } -- nothing is sent there
    server = worker.start(api, {
      after = [[
        local mock = require "podero.mock"
        local function user(org_id) return mock.user { organization_id = org_id } end
        same = mock.new { organizations = { [ORG] = { user(ORG), user(ORG) }, [OTHER_ORG] = { user(OTHER_ORG) } } }
        same:respond("GET", "/api/partners/v2.0/org/" .. ORG .. "/users", { 1, 2, 3, 4 })
        in_init = calls.list_users(ORG, same)
      ]],
      locations = [[
        location /mock { content_by_lua_block { say(calls[ngx.var.arg_method](ORG, same)) } }
        location /init { content_by_lua_block { say(in_init) } }
        location /header_filter {
          header_filter_by_lua_block { ngx.header["X-Told"] = calls[ngx.var.arg_method](ORG, same) }
          return 200 "x";
        }
        location /fails {
          content_by_lua_block {
            same:fail_next { status = 503, message = "not today" }
            say(calls.each_user(ORG, same))
          }
        }
      ]],
    })
  end)

  teardown(function() server:stop() end)

  it("answers in a handler, and in phases in which a client cannot wait", function()
    for method, told in pairs {
      list_users = "2 users", each_user = "2 users", list_users_of = "3 users", get = "4 users", request = "4 users",
      token = "a token",
    } do
      assert.equal(told, (server:get("/mock?method=" .. method)), method)
      local _, header = server:get("/header_filter?method=" .. method)
      assert.equal(told, header:match("X%-Told: ([^\r\n]*)"), method)
    end
    assert.equal("2 users", (server:get("/init")))
    assert.equal("", server:complaints())
  end)

  it("logs an error that it raises, as a client does", function()
    assert.equal("podero: http: not today", (server:get("/fails")))
    assert.truthy(server:complaints():find("podero: http: not today", 1, true))
  end)
end)
