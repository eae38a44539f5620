-- Whatever an option or argument contains, it is refused, or the requests are exactly as expected, field by field.
local cjson = require "cjson"
local faults = require "spec.support.faults"
local helper = require "spec.support.helper"
local peer = require "spec.support.peer"
local podero = require "podero"
local versions = require "spec.support.versions"

-- Every byte with a meaning in HTTP, URLs or forms, and some without. Under valgrind, which sets SPARSE, only the most
-- dangerous ones.
local BYTES = {}
if os.getenv("SPARSE") then
  for c in ("\r\n @#?%"):gmatch(".") do BYTES[#BYTES + 1] = c end
else
  for code = 0, 32 do BYTES[#BYTES + 1] = string.char(code) end
  for c in ("\127\128\255\"#%&'+,/:;<=>?@[\\]^`{|}~"):gmatch(".") do BYTES[#BYTES + 1] = c end
end
local CONTROL = "[%z\1-\31\127]"

local FIELDS = {
  token = { host = true, accept = true, ["accept-encoding"] = true, ["user-agent"] = true, authorization = true,
    ["content-type"] = true, ["content-length"] = true },
  api = { host = true, accept = true, ["accept-encoding"] = true, ["user-agent"] = true, authorization = true },
}

describe("requests", function()
  local server, listener

  setup(function() server = peer.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    listener = server:listen { good_api = faults.good.api, good_token = faults.good.token }
  end)
  after_each(function() listener:close() end)

  --- Checks that the requests since the last check are complete and have exactly the expected fields. Returns their
  -- number, and all requests.
  local seen = 0
  local function check(target)
    local requests, connections = listener:received()
    for i = seen + 1, #requests do
      local request = requests[i]
      assert.equal(request.kind == "token" and "POST" or "GET", request.method)
      if request.kind == "token" then assert.equal(helper.TOKEN_PATH, request.target) end
      if request.kind == "api" and target then assert.equal(target, request.target) end
      for name, value in pairs(request.headers) do
        assert.is_true(FIELDS[request.kind][name], name)
        assert.is_nil(value:find("%c"), value)
      end
      if request.kind == "token" then
        assert.equal(#request.body, tonumber(request.headers["content-length"]))
        assert.is_nil(request.body:find("[%c ]"), request.body)
      else
        assert.equal("", request.body)
      end
    end
    local count = #requests - seen
    seen = #requests
    assert.is_true(connections <= seen)
    return count, requests
  end

  before_each(function() seen = 0 end)

  local function options_with(name, value)
    local options = { base_url = listener.url, proxy = "", max_retries = 0, timeout = 5 }
    for key, credential in pairs(faults.credentials) do options[key] = credential end
    options[name] = value
    return options
  end

  describe("are well formed or not sent, whatever is in", function()
    -- The bytes that are refused; others arrive, percent-encoded if necessary.
    for name, refused in pairs {
      client_id = CONTROL, client_secret = CONTROL, scope = CONTROL, user_agent = CONTROL, username = "[%z\r\n]$",
      password = "[%z\r\n]$", access_token = "[^!-~]",
    } do
      it(name, function()
        for _, byte in ipairs(BYTES) do
          for _, text in ipairs { "x" .. byte .. "X-Injected: yes", "x" .. byte } do
            if name == "access_token" then text = text:gsub(" ", "") .. (byte == " " and " x" or "") end
            local ok, client, err = pcall(podero.new, options_with(name, text))
            if text:find(refused) or text:find("%z") then
              assert.is_true(not ok or client == nil, ("%q"):format(text))
              assert.truthy(tostring(ok and err or client):find(name, 1, true))
              if ok then helper.failed("argument", client, err) end
            else
              assert.equal(3, #assert(client:list_users(helper.ORG)))
              assert.equal(name == "access_token" and 1 or 2, check(helper.users_path()))
              client:close()
            end
          end
        end
        assert.equal(0, check())
      end)
    end

    for _, name in ipairs { "base_url", "token_url" } do
      it(name, function()
        local before = { base_url = listener.url .. "/prefix", token_url = helper.TOKEN_PATH }
        for _, byte in ipairs(BYTES) do
          local ok, client, err = pcall(podero.new, options_with(name, before[name] .. byte .. "x"))
          if byte:find("[^!-~]") or byte:find("[\"#%%<>?@\\%[%]^`{|}]") then
            assert.is_true(not ok or client == nil, ("%q"):format(byte))
            assert.truthy(tostring(ok and err or client):find(name, 1, true))
            if ok then helper.failed("argument", client, err) end
          else
            client:close()
          end
        end
        assert.equal(0, check())
      end)
    end

    it("proxy", function()
      local closed = ("http://127.0.0.1:%d/"):format(helper.closed_port())
      for _, byte in ipairs(BYTES) do
        local ok, client, err = pcall(podero.new, options_with("proxy", closed .. byte .. "x"))
        if byte:find(CONTROL) then
          assert.is_true(not ok or client == nil, ("%q"):format(byte))
          if ok then helper.failed("argument", client, err) end
        else
          local result, failure = client:list_users(helper.ORG) -- some bytes make the URL malformed
          helper.failed(failure.kind == "argument" and "argument" or "network", result, failure)
          client:close()
        end
      end
      assert.equal(0, check())
    end)

    it("the files of tls", function()
      for _, name in ipairs { "ca_file", "ca_path", "cert", "key" } do
        for _, byte in ipairs(BYTES) do
          local tls = { ca_file = server.ca_file }
          tls[name] = "/no/such" .. byte .. "\27[31mfile"
          local ok, client = pcall(podero.new, options_with("tls", tls))
          if byte == "\0" then
            assert.is_false(ok)
            assert.truthy(client:find("tls." .. name, 1, true))
          else
            client:close()
          end
        end
        local tls = { ca_file = server.ca_file }
        tls[name] = "/no/such\r\n\27[31m\194\155file"
        local client = assert(podero.new(options_with("tls", tls)))
        client:close()
        local other = assert(podero.new { base_url = "https://127.0.0.1:1", access_token = "x", tls = tls, proxy = "" })
        helper.failed("argument", other:list_users(helper.ORG)) -- helper.failed checks that the message is one line
        other:close()
      end
      assert.equal(0, check())
    end)
  end)

  describe("are well formed or not sent, whatever is given to", function()
    local client

    before_each(function() client = assert(podero.new(options_with("access_token", "static"))) end)
    after_each(function() client:close() end)

    it("list_users, each_user and list_users_of as an organization id", function()
      for _, byte in ipairs(BYTES) do
        for _, id in ipairs { byte, helper.ORG .. byte, byte .. helper.ORG, helper.ORG:sub(1, -2) .. byte,
          helper.ORG:sub(1, 8) .. byte .. helper.ORG:sub(10) } do
          helper.failed("argument", client:list_users(id))
          local results, errors = client:list_users_of { id }
          helper.failed("argument", results[id], errors[id])
          assert.is_false(pcall(client.each_user, client, id))
        end
      end
      assert.equal(0, check())
      assert(client:list_users(helper.ORG:upper()))
      assert.equal(1, check(helper.users_path(helper.ORG)))
    end)

    it("get as a path", function()
      for _, byte in ipairs(BYTES) do
        local path = "/api" .. byte .. "x"
        local result, err = client:get(path)
        if byte:find("[&'+,/:;=~]") then
          assert.equal(3, #assert(result))
          assert.equal(1, check(path))
        else
          helper.failed("argument", result, err)
        end
      end
      for _, path in ipairs { "", "x", "//elsewhere.example/x", "/%2", "/%zz", "/x%0", "/\0",
        "https://elsewhere.example/" } do
        helper.failed("argument", client:get(path))
      end
      assert.equal(0, check())
    end)

    it("get as a path with dot segments, separators, empty segments or control characters, however encoded", function()
      local dots = { ".", "%2e", "%2E", "%252e", "%252E", "%25%32%65", "%2%35%32e", "%25252e", "%c0%ae" }
      local separators = { "%2f", "%2F", "%5c", "%5C", "%252f", "%255c", "%25%32%66", "%25252F", "\\", "%c0%af",
        "%e0%80%af" }
      local controls = { "%00", "%0a", "%0D", "%09", "%1f", "%7F", "%250a", "%2500", "%c2%85" }
      for _, first in ipairs(dots) do
        for _, path in ipairs { "/org/%s/x", "/org/%s", "/%s/x", "/org/%s;/x", "/org/%s;a=b/x", "/org/%s%%3b/x",
          "/%s/" } do
          helper.failed("argument", client:get((path:format(first))))
          for _, second in ipairs(dots) do helper.failed("argument", client:get((path:format(first .. second)))) end
        end
      end
      for _, list in ipairs { separators, controls } do
        for _, spelling in ipairs(list) do
          for _, path in ipairs { "/org/x%sy", "/org/%s", "/%sx", "/org/..%s..", "/x/y%s" } do
            helper.failed("argument", client:get((path:format(spelling))))
          end
        end
      end
      for _, path in ipairs { "/x//y", "//x", "//", "/x//", "/;/x", "/x/;", "/%ff", "/%c3%28", "/%ed%a0%80" } do
        helper.failed("argument", client:get(path))
      end
      assert.equal(0, check())
    end)

    it("get as a path that only resembles one of those", function()
      for _, path in ipairs { "/", "/x/", "/.../x", "/..x/y", "/x../y", "/.x", "/x.", "/x.y/z..w", "/%2e%2e%2e/x",
        "/.hidden", "/x;..", "/x;a=..;b/y", "/a..%20b", "/100%25", "/100%25off", "/%25", "/%2541", "/a%20b", "/%C3%9C",
        "/%3F%23%40", "/a:b,c=d" } do
        assert.equal(3, #assert(client:get(path)), path)
        local sent = versions.escapes_become_capital and path:gsub("%%%x%x", string.upper) or path
        assert.equal(1, check(sent))
      end
    end)

    it("get as names and values of a query", function()
      for _, byte in ipairs(BYTES) do
        assert(client:get("/x", { ["a" .. byte .. "b"] = byte .. "\r\nX-Injected: yes" }))
        local count, requests = check()
        assert.equal(1, count)
        local target = requests[#requests].target
        assert.truthy(target:find("^/x%?a[%w%%*._+-]+b=[%w%%*._+-]+$"), target)
      end
    end)
  end)

  it("contain the server's refresh token completely, percent-encoded", function()
    for _, byte in ipairs(BYTES) do
      if byte:byte() > 127 then byte = "\195" .. byte:gsub("\255", "\191") end -- otherwise it would not be JSON
      local refresh = "ref" .. byte .. "&grant_type=x\r\nX-Injected: yes"
      listener:set { token = { { { "respond", 200, {}, faults.token_response { refresh_token = refresh } } } },
        api = { { { "respond", 401, {}, "" } } } }
      local client = assert(podero.new(options_with("token_encoding", "form")))
      assert(client:list_users(helper.ORG))
      client:close()
      local count, requests = check(helper.users_path())
      assert.equal(4, count)
      local body = requests[#requests - 1].body
      assert.truthy(body:find("^grant_type=refresh_token&refresh_token=ref[%w%%*._+-]+$"), body)
    end
  end)

  it("contain a new token if that of the store cannot be in a header", function()
    for _, byte in ipairs(BYTES) do
      if byte:find("[^!-~]") and byte:byte() < 128 then
        local store = {
          get = function()
            local token = "x" .. byte .. "\r\nX-Injected: yes"
            return cjson.encode { access_token = token, renew_at = 4e9, expires_at = 4e9 }
          end,
          set = function() end,
        }
        local client = assert(podero.new(options_with("token_store", store)))
        assert(client:list_users(helper.ORG))
        client:close()
        local count, requests = check(helper.users_path())
        assert.equal(2, count)
        assert.equal("Bearer " .. faults.secrets.access_token, requests[#requests].headers.authorization)
      end
    end
  end)
end)
