--- Makes one allocation after the other fail in one scenario, until there is none left to fail; run by memory_spec.lua,
-- in a Lua of its own. Arguments, in the environment: SCENARIO; WHICH and HOW, see allocations.c; URL, ID, SECRET and
-- CA_FILE of the server. Prints "<count> <outcome>" for each outcome that there was, or dies.

local allocations = require "allocations"
local podero = allocations.podero

local ORG = "016b78a7-0c7c-4241-a277-015c3ad3cb90"
local OTHER = "7f2c1e9a-3b4d-4c5e-8f60-718293a4b5c6"

local function options(more)
  local all = {
    base_url = os.getenv "URL", client_id = os.getenv "ID", client_secret = os.getenv "SECRET", max_retries = 0,
    proxy = "", tls = { ca_file = os.getenv "CA_FILE" },
  }
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

local function new(more) return assert(podero.new(options(more))) end

local function nothing() end

--- Each has `prepare`, which makes a client, and an argument perhaps, while memory suffices; `run`, which is given both
-- and returns something, or nil and an error; and `good`, whether that is right.
local scenarios = {}

scenarios["podero.new"] = {
  prepare = function() return nil, options { on_event = nothing, user_agent = "x", scope = "y", token_url = "/t" } end,
  run = function(_, all) return podero.new(all) end,
  good = function(client)
    client:close()
    return true
  end,
}

scenarios["list_users"] = {
  prepare = function() return new() end,
  run = function(client) return client:list_users(ORG) end,
  good = function(users) return #users == 3 and users[3].email ~= nil end,
}

scenarios["list_users with callbacks"] = {
  prepare = function() return new { on_event = nothing }, { on_progress = nothing, include_deleted = true } end,
  run = function(client, opts) return client:list_users(ORG, opts) end,
  good = function(users) return #users == 3 end,
}

scenarios["each_user"] = {
  prepare = function() return new() end,
  run = function(client)
    local count = 0
    for _ in client:each_user(ORG) do count = count + 1 end
    return count
  end,
  good = function(count) return count == 3 end,
}

scenarios["each_user left early"] = {
  prepare = function() return new() end,
  run = function(client)
    for user in client:each_user(ORG) do return user end -- luacheck: ignore 512
  end,
  good = function(user) return user.email ~= nil end,
}

scenarios["list_users_of"] = {
  prepare = function() return new(), { ORG, OTHER, ORG, "no uuid" } end,
  run = function(client, ids)
    local results, errors = client:list_users_of(ids)
    if results[ORG] and results[OTHER] then return results end
    return nil, results[ORG] and errors[OTHER] or errors[ORG]
  end,
  good = function(results) return #results[ORG] == 3 and #results[OTHER] == 3 end,
}

scenarios["get"] = {
  prepare = function() return new(), { a = "b c", d = 1, e = true } end,
  run = function(client, query) return client:get("/api/partners/v2.0/echo", query) end,
  good = function(answer) return answer.path ~= nil end,
}

scenarios["request"] = {
  prepare = function()
    return new { headers = { ["X-A"] = "1", ["X-B"] = "2" } }, { query = { a = { 1, 2 } }, body = { a = { b = "c" } },
      headers = function() return { ["x-b"] = "3" } end }
  end,
  run = function(client, opts)
    local answer, response = client:request("PUT", "/api/partners/v2.0/page", opts)
    if answer then assert(response.status == 200 and response.headers["content-type"]) end
    return answer, response
  end,
  good = function(answer) return answer.a == 1 end,
}

--- An error is what is asked for.
scenarios["a refused request"] = {
  prepare = function() return new(), { body = "text", content_type = "text/plain" } end,
  run = function(client, opts)
    local answer, err = client:request("POST", "/api/partners/v2.0/bad", opts)
    if answer or err.kind ~= "http" then return nil, err end
    return err
  end,
  good = function(err) return err.detail.detail == "bad" and err.headers["content-type"] ~= nil end,
}

scenarios["token"] = {
  prepare = function() return new { username = "ada@example.com", password = "correct horse" } end,
  run = function(client) return client:token() end,
  good = function(token) return #token > 0 end,
}

--- An error is what is asked for.
scenarios["a refused token"] = {
  prepare = function() return new { access_token = "bad" } end,
  run = function(client)
    local users, err = client:list_users(ORG)
    if users or err.kind == "memory" or err.status ~= 401 then return nil, err end
    return err
  end,
  good = function(err) return err.kind == "auth" and err.detail.detail == "Unauthorized" end,
  uses_up = true,
}

--- A store that always has this value, or else keeps what it is given.
local function new_store(value)
  local store = { value = value }
  function store:get() return self.value end
  function store:set(_, given) self.value = value or given end
  return store
end

scenarios["a token from a store"] = {
  prepare = function()
    local store = new_store()
    local other = new { token_store = store }
    assert(other:list_users(ORG))
    other:close()
    return new { token_store = store }
  end,
  run = function(client) return client:list_users(ORG) end,
  good = function(users) return #users == 3 end,
}

--- It is refused, and the first grant used.
scenarios["a refresh token from a store"] = {
  prepare = function()
    return new { token_store = new_store [[{"access_token":"old","renew_at":1,"refresh_token":"used up"}]] }
  end,
  run = function(client) return client:list_users(ORG) end,
  good = function(users) return #users == 3 end,
}

scenarios["close"] = {
  prepare = function()
    local client = new()
    local next_user = client:each_user(ORG)
    next_user()
    return client
  end,
  run = function(client)
    client:close()
    return true
  end,
  good = function() return true end,
  uses_up = true,
}

if jit then jit.off() end -- the compiler gives up without a word, and the program is interpreted

local scenario = assert(scenarios[os.getenv "SCENARIO"])
local which, how = os.getenv "WHICH", os.getenv "HOW"
local outcomes = {}

local function note(outcome)
  outcomes[outcome] = (outcomes[outcome] or 0) + 1
end

--- Runs the scenario with the n-th allocation failing. False where there are not that many.
local function attempt(n)
  local client, argument = scenario.prepare()
  allocations.fail(which, n, how)
  local ok, result, err = pcall(scenario.run, client, argument)
  local failed = allocations.stop()
  if ok and result then
    assert(scenario.good(result), "a wrong result")
    if failed then note "success" end
  elseif not ok and type(result) == "string" then
    assert(result:find("not enough memory", 1, true), result)
    note "not enough memory"
  else
    err = ok and err or result
    note(err.kind == "memory" and "memory" or tostring(err))
  end
  if client and not scenario.uses_up then assert(#assert(client:list_users(ORG)) == 3, "the client cannot be used") end
  if client then client:close() end
  return failed
end

--- How many blocks are left once everything is closed and collected.
local function left_over()
  collectgarbage()
  collectgarbage()
  return allocations.live()
end

attempt(1e9) -- what is made once for the whole process
local before, n = left_over(), 1
while attempt(n) do
  local leaked = left_over() - before
  assert(leaked == 0, ("allocation %d: %d blocks are left"):format(n, leaked))
  n = n + 1
end
for outcome, count in pairs(outcomes) do print(("%d %s"):format(count, outcome)) end
