--- The arguments of the methods: surplus ones, which Lua itself would ignore, and organization ids.
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

local ORG, OTHER = helper.ORG, helper.OTHER_ORG

describe("methods", function()
  local server, client

  setup(function() server = mock.start { tls = false } end)
  teardown(function() server:stop() end)
  before_each(function()
    server:reset()
    client = helper.client(server)
  end)
  after_each(helper.close_clients)

  it("raise an error that names a surplus argument", function()
    local function raises(number, method, ...)
      helper.raises({ "bad argument #" .. number .. " to '" .. method .. "'", "no value expected" }, client[method],
        client, ...)
    end
    raises(1, "token", "rubbish", 5)
    raises(2, "token", nil, 5)
    raises(1, "token", {})
    raises(3, "list_users", ORG, nil, 5)
    raises(3, "list_users", ORG, {}, {})
    raises(3, "each_user", ORG, nil, true)
    raises(3, "list_users_of", { ORG }, nil, "x")
    raises(4, "list_users_of", { ORG }, nil, nil, "x")
    raises(4, "get", "/x", {}, {}, false)
    raises(1, "close", "x")
    assert.equal(0, #server:requests())
    assert(client:token()) -- it is not closed
  end)

  it("raise it with the position of the caller", function()
    for _, method in ipairs { "token", "close" } do
      local message = helper.raises("'" .. method .. "'", function() client[method](client, 5) end)
      assert.truthy(message:find("arguments_spec.lua:%d+:"), message)
    end
  end)

  it("accept nil as a surplus argument", function()
    assert(client:token(nil, nil))
    assert(client:list_users(ORG, nil, nil))
    assert.equal(25, #client:list_users_of({ ORG }, nil, nil)[ORG])
    assert(client:each_user(ORG, nil, nil))
    client:get("/x", nil, nil, nil)
    client:close(nil)
    helper.failed("closed", client:token())
  end)

  it("raise an error if self is not a client", function()
    helper.raises("'close'", client.close, {})
    helper.raises("'token'", client.token, "x")
    helper.raises("'list_users_of'", client.list_users_of, {}, { ORG })
  end)

  it("close a client at the end of its scope, and keep the scope's error", function()
    local scope = (loadstring or load) [[
      local client, fail = ...
      local held <close> = client
      if fail then error("mine", 0) end
    ]]
    if not scope then return end -- only Lua 5.4 has such variables
    scope(client)
    helper.failed("closed", client:token())
    client = helper.client(server)
    assert.same({ false, "mine" }, { pcall(scope, client, true) })
    helper.failed("closed", client:token())
  end)

  describe("that take many organizations", function()
    it("raise an error that says what is wrong with a table that is not an array of ids", function()
      for _, case in ipairs {
        { { [ORG] = true }, "key of type string" }, { { ORG, [OTHER] = true }, "key of type string" },
        { { ORG, n = 1 }, "key of type string" }, { { [0] = ORG }, "0" }, { { ORG, [-1] = OTHER }, "-1" },
        { { [1.5] = ORG }, "1.5" }, { { [true] = ORG }, "key of type boolean" },
        { { ORG, nil, OTHER }, "organization id 2: string expected, got nil" },
        { { [2] = ORG }, "organization id 1: string expected, got nil" },
        { { [2 ^ 40] = ORG }, "organization id 1: string expected, got nil" },
        { { ORG, 5 }, "organization id 2: string expected, got number" },
        { { ids = { ORG } }, "key of type string" },
      } do
        helper.raises({ "'list_users_of'", case[2] }, client.list_users_of, client, case[1])
      end
      for _, value in ipairs { ORG, 5, true } do
        helper.raises({ "'list_users_of'", type(value) }, client.list_users_of, client, value)
      end
      assert.equal(0, #server:requests())
    end)

    it("accept an array whose elements come from a metatable", function()
      local ids = { ORG, OTHER }
      local proxy = setmetatable({}, { __index = function(_, i) return ids[i] end })
      local results, errors = client:list_users_of(proxy)
      assert.equal(25, #results[ORG])
      assert.truthy(results[OTHER] or errors[OTHER])
      assert.equal(2, server:counts().api)
      helper.raises("key of type string", client.list_users_of, client, setmetatable({ x = 1 }, { __index = ids }))
      assert.same({ {}, {} }, { client:list_users_of {} })
    end)
  end)

  describe("send an organization's id in lower case,", function()
    local MIXED = "016B78a7-0C7C-4241-A277-015c3ad3CB90"

    it("whatever its case in the argument", function()
      for _, id in ipairs { ORG:upper(), MIXED } do
        assert.equal(25, #assert(client:list_users(id)))
        assert.equal(helper.users_path(), helper.last(server, "api").uri)
        local count = 0
        for _ in client:each_user(id) do count = count + 1 end
        assert.equal(25, count)
        assert.equal(helper.users_path(), helper.last(server, "api").uri)
      end
    end)

    it("and return its results under the caller's spelling", function()
      local results, errors = client:list_users_of { MIXED }
      assert.equal(25, #results[MIXED])
      assert.is_nil(results[ORG])
      assert.is_nil(next(errors))
    end)

    it("and request ids that differ only in case once", function()
      local results, errors = client:list_users_of({ ORG:upper(), ORG, MIXED, ORG }, { concurrency = 1 })
      assert.equal(1, server:counts().api)
      for _, id in ipairs { ORG, ORG:upper(), MIXED } do assert.equal(25, #results[id], id) end
      assert.is_nil(next(errors))
      server:configure { always_api = { status = 404 } }
      results, errors = client:list_users_of { ORG, MIXED }
      assert.equal(2, server:counts().api)
      assert.is_nil(next(results))
      for _, id in ipairs { ORG, MIXED } do helper.failed("http", nil, errors[id]) end
    end)

    it("and report what is not a UUID in the caller's spelling", function()
      local results, errors = client:list_users_of { "X", "x", ORG }
      assert.equal(25, #results[ORG])
      for _, id in ipairs { "x", "X" } do
        local err = helper.failed("argument", results[id], errors[id])
        assert.truthy(err.message:find("'" .. id .. "'", 1, true), err.message)
      end
    end)
  end)

  describe("give the requested URL in err.url,", function()
    it("if no response came", function()
      local base_url = ("http://127.0.0.1:%d"):format(helper.closed_port())
      local other = helper.client(server, { base_url = base_url, access_token = "x", max_retries = 0 })
      local err = helper.failed("network", other:list_users(ORG:upper()))
      assert.equal(base_url .. helper.users_path(), err.url)
      err = helper.failed("network", other:get("/x", { a = "b c" }))
      assert.equal(base_url .. "/x?a=b+c", err.url)
      local ok, raised = pcall(other:each_user(ORG))
      assert.is_false(ok)
      assert.equal(base_url .. helper.users_path(), raised.url)
      other = helper.client(server, { base_url = base_url, max_retries = 0 })
      err = helper.failed("network", other:list_users(ORG))
      assert.equal(base_url .. helper.TOKEN_PATH, err.url)
    end)

    it("if the response is an error", function()
      server:configure { always_api = { status = 404 } }
      local err = helper.failed("http", client:list_users(ORG))
      assert.equal(server.url .. helper.users_path(), err.url)
      server:configure { always_token = { status = 400 } }
      client = helper.client(server, { max_retries = 0 })
      for _, method in ipairs { "list_users", "token" } do
        err = helper.failed("auth", client[method](client, method == "list_users" and ORG or nil))
        assert.equal(server.url .. helper.TOKEN_PATH, err.url)
      end
      local _, errors = client:list_users_of { ORG }
      assert.equal(server.url .. helper.TOKEN_PATH, errors[ORG].url)
    end)

    it("if the call timed out", function()
      helper.static(server, { always_api = { delay = 5 } })
      client = helper.client(server, { access_token = "static", timeout = 0.2 })
      local err = helper.failed("timeout", client:list_users(ORG))
      assert.equal(server.url .. helper.users_path(), err.url)
      server:configure { always_token = { delay = 5 } }
      client = helper.client(server, { timeout = 0.2 })
      err = helper.failed("timeout", client:list_users(ORG))
      assert.equal(server.url .. helper.TOKEN_PATH, err.url)
    end)

    it("and give none if nothing was requested", function()
      assert.is_nil(helper.failed("argument", client:list_users("x")).url)
      assert.is_nil(helper.failed("argument", client:get("x")).url)
      client:close()
      assert.is_nil(helper.failed("closed", client:list_users(ORG)).url)
    end)

    it("without a secret that is in its query", function()
      server:configure { always_api = { status = 404 } }
      local _, err = client:get("/x", { secret = mock.credentials.client_secret })
      assert.equal(server.url .. "/x?secret=***", err.url)
    end)
  end)
end)
