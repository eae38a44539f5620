local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local versions = require "spec.support.versions"

local SCENARIOS = {
  "podero.new", "list_users", "list_users with callbacks", "each_user", "each_user left early", "list_users_of", "get",
  "request", "a refused request",
  "token", "a refused token", "a token store that fails", "pages in place of token endpoints", "a token from a store",
  "a refresh token from a store", "close",
  "credentials from functions", "credentials from files", "podero.new with files",
  "rows of CSV and JSON",
  "podero.mock", "a client of podero.mock",
}

-- Those in which libcurl does nothing.
local WITHOUT_LIBCURL = {
  ["podero.new"] = true, ["podero.new with files"] = true, ["rows of CSV and JSON"] = true, ["podero.mock"] = true,
  ["a client of podero.mock"] = true,
}

-- If libcurl cannot continue, it usually says that it is out of memory, and sometimes this.
local WORDS_OF_LIBCURL = { "Could not resolve host", "getaddrinfo() thread failed to start" }

-- How often a scenario enlarges a Lua stack at most, and what it returns if that fails.
local MAX_STACKS = 3
local STACK_OUTCOMES = { ["not enough memory"] = true, memory = true }

local MODES = {
  { which = "lua", how = "once", name = "when an allocation by Lua fails" },
  { which = "lua", how = "on", name = "when all allocations by Lua fail after some" },
  { which = "own", how = "once", name = "when an allocation in C fails", tls = true },
  { which = "own", how = "on", name = "when all allocations in C fail after some", tls = true },
  -- Not over TLS and HTTP/2, where libcurl 7.88 itself frees TLS sessions twice and keeps broken connections.
  { which = "libcurl", how = "once", name = "when an allocation by libcurl fails" },
  { which = "libcurl", how = "on", name = "when all allocations by libcurl fail after some" },
}

-- Lua 5.1 and LuaJIT do not collect garbage before they give up.
if _VERSION ~= "Lua 5.1" then
  MODES[#MODES + 1] = { which = "lua", how = "retried", name = "when Lua has to collect garbage for an allocation",
    succeeds = true }
end

describe("a lack of memory", function()
  local server

  setup(function()
    server = mock.start()
    local page = { status = 404, body = "<html><title>Not here &amp; not there</title>", content_type = "text/html" }
    server:configure { default_users = 3, paths = {
      ["/pages/api/partners/v2.0/auth/token"] = page, ["/pages/oauth2/token/"] = page,
      ["/api/partners/v2.0/page"] = { body = "{\"a\": 1}" },
      ["/api/partners/v2.0/bad"] = { status = 400, body = "{\"detail\": \"bad\"}" },
    } }
  end)
  teardown(function() server:stop() end)

  local function outcomes(scenario, mode, tls)
    local output, code = helper.run("dofile 'spec/support/short_of_memory.lua'", {
      SCENARIO = scenario, WHICH = mode.which, HOW = mode.how, URL = tls and server.tls_url or server.url,
      CA_FILE = server.ca_file, ID = mock.credentials.client_id, SECRET = mock.credentials.client_secret,
    })
    assert.equal(0, code, output)
    local found = {}
    for count, outcome in output:gmatch "(%d+) ([^\n]+)" do found[outcome] = tonumber(count) end
    return found
  end

  local function explained(outcome)
    for _, words in ipairs(WORDS_OF_LIBCURL) do
      if outcome:find(words, 1, true) then return true end
    end
  end

  local function check(scenario, mode, tls)
    local found, failures, stacks = outcomes(scenario, mode, tls), 0, 0
    for outcome, count in pairs(found) do
      failures = failures + count
      if STACK_OUTCOMES[outcome] and mode.succeeds and not versions.lua_collects_for_its_stack then
        stacks = stacks + count
        assert.is_true(stacks <= MAX_STACKS, stacks)
      elseif mode.succeeds then
        assert.equal("success", outcome)
      elseif mode.which == "lua" then -- in C, an allocation may not be needed
        local may_succeed = scenario:find("store", 1, true) and outcome == "success" -- a store may fail
        assert.is_true(outcome == "memory" or outcome == "not enough memory" or may_succeed, outcome)
      elseif outcome ~= "success" and outcome ~= "memory" and outcome ~= "not enough memory" then
        assert.is_true(mode.which == "libcurl" and explained(outcome) or false, outcome)
      end
    end
    if scenario == "close" then
      assert.equal(0, failures)
    elseif mode.which ~= "libcurl" or not WITHOUT_LIBCURL[scenario] then
      assert.is_true(failures > 0)
    end
  end

  for _, mode in ipairs(MODES) do
    describe(mode.name, function()
      for _, scenario in ipairs(SCENARIOS) do
        local what = scenario == "close" and "makes no difference to close"
          or mode.succeeds and "makes no difference to " .. scenario
          or "is an error of " .. scenario .. " that leaks nothing and leaves the client usable"
        it(what, function() check(scenario, mode, false) end)
        if mode.tls then
          it(what .. ", over TLS", function() check(scenario, mode, true) end)
        end
      end
    end)
  end
end)
