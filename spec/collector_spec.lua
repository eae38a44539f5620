local helper = require "spec.support.helper"
local mock = require "spec.support.mock"
local users = require "spec.support.mock.users"

local ORG, WRONG = helper.ORG, helper.OTHER_ORG
local USERS = 20000

-- Lua 5.1 cannot tell whether the collector runs, so the library never stops it there.
local IS_PLAIN_5_1 = _VERSION == "Lua 5.1" and not rawget(_G, "jit")

-- What each program below begins with. Each runs in a process that holds little but lists.
local PREAMBLE = [[
local podero = require "podero"
local URL, ORG, WRONG, USERS = %q, %q, %q, %d

local function new_client()
  return assert(podero.new { base_url = URL, access_token = "static", proxy = "" })
end

local client = new_client()

local function read()
  local list, err = client:list_users(ORG)
  if not list then error(tostring(err)) end
  assert(#list == USERS)
  return list
end

-- Calls f at the end of every cycle of the collector.
local function at_each_cycle(f)
  local watch
  local function ended() f() watch() end
  function watch()
    if newproxy then getmetatable(newproxy(true)).__gc = ended else setmetatable({}, { __gc = ended }) end
  end
  watch()
end

-- KB in use after a full collection.
local function used()
  collectgarbage()
  collectgarbage()
  return collectgarbage("count")
end

-- Whether most of about 60 MB of garbage is collected without a call of collectgarbage.
local function is_running()
  local before = collectgarbage("count")
  for i = 1, 500000 do garbage = { { i } } end
  return collectgarbage("count") - before < 45000
end
]]

describe("the garbage collector", function()
  local server

  setup(function()
    server = mock.start { tls = false }
    local wrong = users.list_json(3, USERS):gsub("%]$", ", {\"id\": 5}]")
    helper.static(server, { organizations = { [ORG] = { users = USERS, seed = 3 }, [WRONG] = { raw = wrong } } })
  end)
  teardown(function() server:stop() end)

  --- What the program prints.
  local function run(program)
    local output, code = helper.run(PREAMBLE:format(server.url, ORG, WRONG, USERS) .. program)
    assert.equal(0, code, output)
    return output
  end

  local function run_for_numbers(program)
    local numbers = {}
    for number in run(program):gmatch("[%d.]+") do numbers[#numbers + 1] = tonumber(number) end
    return (unpack or table.unpack)(numbers)
  end

  it("runs at most one cycle while a long list is read", function()
    if IS_PLAIN_5_1 then return pending("Lua 5.1: the library never stops the collector") end
    local cycles = run_for_numbers [[
      if _VERSION >= "Lua 5.4" then collectgarbage("incremental") end
      used()
      local cycles = 0
      at_each_cycle(function() cycles = cycles + 1 end)
      read()
      print(cycles)
    ]]
    assert.is_true(cycles <= 1, cycles .. " cycles")
  end)

  it("keeps memory bounded while lists are read one after another", function()
    local one, peak = run_for_numbers [[
      read()
      local before = used()
      local list = read()
      local one, peak = used() - before, 0
      list = nil
      for _ = 1, 12 do
        read()
        peak = math.max(peak, collectgarbage("count") - before)
      end
      print(one, peak)
    ]]
    assert.is_true(peak < 4 * one, ("%g KB for lists of %g KB"):format(peak, one))
  end)

  it("keeps memory bounded if each list is kept until the next one has been read", function()
    local one, peak = run_for_numbers [[
      read()
      local before = used()
      local list = read()
      local one, peak = used() - before, 0
      for _ = 1, 12 do
        list = read()
        peak = math.max(peak, collectgarbage("count") - before)
      end
      assert(list)
      print(one, peak)
    ]]
    -- Two lists are in use; Lua 5.3 lets its memory grow the furthest, to some seven lists.
    assert.is_true(peak < 8 * one, ("%g KB for lists of %g KB"):format(peak, one))
  end)

  it("keeps memory bounded if each list is read by a new client and fails at its end", function()
    local one, peak = run_for_numbers [[
      read()
      local before = used()
      local list = read()
      local one, peak = used() - before, 0
      list = nil
      for _ = 1, 12 do
        local other = new_client()
        local _, err = other:list_users(WRONG)
        assert(err.kind == "schema")
        other:close()
        peak = math.max(peak, collectgarbage("count") - before)
      end
      print(one, peak)
    ]]
    assert.is_true(peak < 4 * one, ("%g KB for lists of %g KB"):format(peak, one))
  end)

  it("runs again after a list, whether the call succeeded or failed", function()
    assert.equal("true\ttrue\ttrue\n", run [[
      read()
      local whole = is_running()
      assert(not client:list_users(WRONG))
      local wrong = is_running()
      assert(not pcall(client.list_users, client, ORG, { on_progress = error }))
      print(whole, wrong, is_running())
    ]])
  end)

  it("stays stopped if the program has stopped it", function()
    assert.equal("false\n", run [[
      collectgarbage("stop")
      read()
      print(is_running())
    ]])
  end)
end)
