-- Secrets are shown to nobody, and do not outlive what they are kept for. SECURITY.md says what is promised.
local faults = require "spec.support.faults"
local helper = require "spec.support.helper"
local peer = require "spec.support.peer"
local wiped = require "spec.support.wiped"

-- A program's use of a client: every method, again and again.
local USE = ([[
for _ = 1, 3 do
  print((client:list_users("ORG")))
  print((client:get("/api/partners/v2.0/x")))
  for user in client:each_user("ORG") do print(user.id) break end
end]]):gsub("ORG", helper.ORG)

-- Several requests at once, and then some one after the other.
local function burst(at_once, then_more)
  return ([[
    local orgs = {}
    for i = 1, %d do orgs[i] = i .. ("%s"):sub(2) end
    for org, users in pairs(client:list_users_of(orgs)) do print(org, #users) end
    for _ = 1, %d do print(#assert(client:list_users("%s"))) end]]):format(at_once, helper.ORG, then_more, helper.ORG)
end

describe("secrets", function()
  local server

  setup(function() server = peer.start() end)
  teardown(function() server:stop() end)

  for _, encoding in ipairs { "form", "json" } do
    for _, auth in ipairs { "basic", "body" } do
      it(("are gone from memory once the client is closed: %s, %s"):format(encoding, auth), function()
        if helper.CHECKED then return pending("a checked build has memory of its own") end
        local refused = { { "respond", 401, {}, "{}" } }
        local listener = server:listen {
          api = { refused, refused, { faults.CLOSE }, refused },
          good_api = faults.good.api, good_token = faults.good.token,
        }
        finally(function() listener:close() end)
        local texts = {} -- of memory that was freed, malloc itself writes over the beginning
        for name, text in pairs(faults.forms) do texts[name] = text:sub(33) end
        local open, closed = wiped.look({
          PODERO_BASE_URL = listener.url, PODERO_CLIENT_ID = faults.credentials.client_id,
          PODERO_CLIENT_SECRET = faults.credentials.client_secret, PODERO_USERNAME = faults.credentials.username,
          PODERO_PASSWORD = faults.credentials.password, TOKEN_ENCODING = encoding, CLIENT_AUTH = auth,
        }, texts, USE)
        local names = table.concat(open, "\n")
        for name in pairs(faults.secrets) do assert.truthy(names:find(name, 1, true), names) end
        assert.is_nil(names:find("password, ", 1, true), names) -- what was sent is gone already
        assert.same({}, closed)
      end)
    end
  end

  -- Where the tokens lie that a server gives one after the other, while the client is open: how often each of them.
  local function count_tokens(count, api, use)
    local tokens, texts, found = {}, {}, {}
    for i = 1, count do
      local token = ""
      for k = 10, 49 do token = token .. i .. k .. "-" end
      tokens[i] = { { "respond", 200, { ["Content-Type"] = "application/json" },
        ('{"access_token":"%s","token_type":"Bearer","expires_in":3600}'):format(token) } }
      texts[i], found[i] = token:sub(33, 132), 0
    end
    local listener = server:listen { api = api, token = tokens, good_api = faults.good.api }
    finally(function() listener:close() end)
    local open, closed, printed = wiped.look({
      PODERO_BASE_URL = listener.url, PODERO_CLIENT_ID = "id", PODERO_CLIENT_SECRET = "secret",
    }, texts, use)
    assert.same({}, closed)
    for _, place in ipairs(open) do
      local i = tonumber(place:match("^%d+"))
      found[i] = found[i] + 1
    end
    return found, #printed - 2
  end

  local users, refused = faults.good.api[1], { { "respond", 401, {}, "{}" } }

  it("that are tokens of before are gone from memory while the client is open, but for the last few", function()
    if helper.CHECKED then return pending("a checked build has memory of its own") end
    local api = {}
    for _ = 1, 8 do api[#api + 1] = { { "pause", 0.2 }, users } end
    for _ = 1, 6 do
      api[#api + 1] = refused
      api[#api + 1] = { users }
    end
    local found, printed = count_tokens(7, api, burst(8, 6))
    assert.equal(8 + 6, printed)
    assert.same({ 0, 0 }, { found[1], found[2] })
    assert.is_true(found[7] >= 1)
  end)

  it("that are tokens of before do not lie with idle connections", function()
    if helper.CHECKED then return pending("a checked build has memory of its own") end
    local api = { { { "pause", 0.3 }, users }, refused, { { "pause", 0.8 }, users } }
    local found, printed = count_tokens(2, api, burst(2, 5))
    assert.equal(2 + 5, printed)
    assert.equal(1, found[1]) -- it is remembered, to be found in what a server repeats
    assert.is_true(found[2] >= 1)
  end)

  -- Every fault, in a process of its own, so that whatever it prints is seen, too.
  local PROGRAM = [[
    local faults = require "spec.support.faults"
    local helper = require "spec.support.helper"
    local server = require("spec.support.peer").start()
    local count = 0

    local function try(rows, how)
      for _, row in ipairs(rows) do
        if not row.waits then
          local outcome = faults.run(server, row, how)
          helper.strings(outcome.seen, print)
          if outcome.err then count = count + 1 end
        end
      end
    end

    for _, at in ipairs { "api", "token" } do
      try(faults.responses, { at = at })
      for _, encoding in ipairs { "form", "json" } do
        for _, auth in ipairs { "basic", "body" } do
          try(faults.echoes, { at = at, options = { token_encoding = encoding, client_auth = auth } })
        end
      end
    end
    try(faults.api, {})
    try(faults.tokens, { at = "token" })
    try(faults.connections, {})
    try(faults.tls, { static = true, tls = { certificate = "server" } })
    try(faults.http2, { static = true, tls = { certificate = "server", h2 = true } })
    server:stop()
    print("errors: " .. count)
  ]]

  it("stand in nothing that a failure tells: errors, events, progress, the process's output", function()
    local output, code = helper.run(PROGRAM)
    assert.equal(0, code, output)
    local count = tonumber(output:match("errors: (%d+)"))
    assert.is_true(count > 200, count)
    assert.truthy(output:find("***", 1, true)) -- some would have told them
    for _, text in ipairs(faults.telltales) do
      local at = output:find(text, 1, true)
      assert.is_nil(at, at and output:sub(math.max(at - 300, 1), at + 100))
    end
  end)
end)
