--- Runs one scenario repeatedly, and makes its first allocation fail, then its second, until it has no more.
-- memory_spec runs it in a new Lua. Environment variables: SCENARIO; WHICH and HOW, see allocations.c; URL, ID, SECRET
-- and CA_FILE of the server. Prints "<count> <outcome>" for each outcome, or fails with an error.

local allocations = require "allocations"
local podero = allocations.podero
package.loaded.podero = podero
local mock = allocations.open_mock()

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

--- Each scenario has `prepare`, which returns a client and an optional argument while no allocation fails; `run`, which
-- is given both and returns a result, or nil and an error; and `good`, which returns whether a result is correct.
-- `uses_up`: the client cannot be used afterwards.
local scenarios = {}

scenarios["podero.new"] = {
  prepare = function()
    return nil, options { on_event = nothing, log = nothing, user_agent = "x", scope = "y", token_url = "/t" }
  end,
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

--- The expected result is an error of the API.
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

scenarios["credentials from functions"] = {
  prepare = function()
    local secret, password = os.getenv "SECRET", "correct horse"
    return new {
      client_secret = function() return secret end,
      username = "ada@example.com", password = function() return password end,
    }
  end,
  run = function(client) return client:list_users(ORG) end,
  good = function(users) return #users == 3 end,
}

local secret_file = os.tmpname()
local file = assert(io.open(secret_file, "w"))
file:write(os.getenv "SECRET", "\n")
file:close()

scenarios["credentials from files"] = {
  prepare = function()
    local all = options { client_secret_file = secret_file }
    all.client_secret = nil
    return assert(podero.new(all))
  end,
  run = function(client) return client:list_users(ORG) end,
  good = function(users) return #users == 3 end,
}

scenarios["podero.new with files"] = {
  prepare = function()
    local all = options { client_secret_file = secret_file, tls = { key_password = function() return "x" end } }
    all.client_secret = nil
    return nil, all
  end,
  run = function(_, all) return podero.new(all) end,
  good = function(client)
    client:close()
    return true
  end,
}

--- The expected result is an error.
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

--- The expected result is an error. Both token endpoints are pages; see memory_spec.lua.
scenarios["pages in place of token endpoints"] = {
  prepare = function() return new { base_url = os.getenv "URL" .. "/pages" } end,
  run = function(client)
    local token, err = client:token()
    if token or err.kind == "memory" or err.status ~= 404 then return nil, err end
    return err
  end,
  good = function(err) return err.kind == "auth" and err.message:find("this is not a token endpoint", 1, true) end,
  uses_up = true,
}

--- Returns a store that always has this value, or without a value keeps what it is given.
local function new_store(value)
  local store = { value = value }
  function store:get() return self.value end
  function store:set(_, given) self.value = value or given end
  return store
end

scenarios["a token store that fails"] = {
  prepare = function()
    local store = { get = function() error "no get" end, set = function() return nil, "no set" end }
    return new { token_store = store, on_event = nothing, log = nothing }
  end,
  run = function(client) return client:list_users(ORG) end,
  good = function(users) return #users == 3 end,
}

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

--- The server refuses it, and the client uses its first grant.
scenarios["a refresh token from a store"] = {
  prepare = function()
    return new { token_store = new_store [[{"access_token":"old","renew_at":1,"refresh_token":"used up",
      "endpoint":"/oauth2/token/","encoding":"json","client_auth":"body"}]] }
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

scenarios["a client of podero.mock"] = {
  prepare = function()
    local client = mock.new { organizations = { [ORG] = { mock.user(), mock.user(), mock.user { role = "admin" } } } }
    client:respond("POST", "/x", { 1 })
    return client, { body = { a = { b = "c" } }, query = { d = 1 }, headers = { ["X-A"] = "1" } }
  end,
  run = function(client, opts)
    local results, errors = client:list_users_of({ ORG, ORG:upper() }, { role = "admin" })
    if not results[ORG] then return nil, errors[ORG] end
    local user, err = client:find_user(ORG, { role = "admin" })
    if not user then return nil, err end
    return client:request("POST", "/x", opts)
  end,
  good = function(answer) return answer[1] == 1 end,
}

scenarios["podero.mock"] = {
  prepare = function() return nil, { mock.user(), mock.user { first_name = "x", x = { 1, {} } } } end,
  run = function(_, list) return mock.new { organizations = { [ORG] = list } } end,
  good = function(client) return #client:list_users(ORG) == 2 end,
}

--- Returns texts of all kinds of the module. Keeps the writers in `kept`: Lua forgets what a finalizer was to free if
-- there is no memory to call it.
local function make_rows(user, kept)
  local rows, texts = allocations.rows, {}
  for i, make in ipairs { rows.json, rows.csv } do
    local writer = make { columns = i == 2 and { "id", "more", "email" } or nil }
    kept[i] = writer
    for _ = 1, 3 do writer:add(user) end
    texts[i] = writer:take()
  end
  texts[3], texts[4] = rows.encode(user), rows.guarded(user.email)
  return texts
end

scenarios["rows of CSV and JSON"] = {
  prepare = function()
    local user = { id = ("x"):rep(3000), email = "=1,\"2", more = { { a = ("\1"):rep(3000) }, {} } }
    local texts = make_rows(user, {})
    collectgarbage()
    collectgarbage()
    return nil, { user = user, texts = texts, kept = {} }
  end,
  run = function(_, given) return { made = make_rows(given.user, given.kept), expected = given.texts } end,
  good = function(texts)
    for i = 1, 4 do
      if texts.made[i] ~= texts.expected[i] then return false end
    end
    return true
  end,
}

if jit then jit.off() end -- LuaJIT's compiler reports no failed allocation: it falls back to its interpreter

local scenario = assert(scenarios[os.getenv "SCENARIO"])
local which, how = os.getenv "WHICH", os.getenv "HOW"
local outcomes = {}

local function note(outcome)
  outcomes[outcome] = (outcomes[outcome] or 0) + 1
end

--- Runs the scenario with the n-th allocation failing. Returns whether there were that many.
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

--- Returns how many blocks remain after a full collection.
local function left_over()
  collectgarbage()
  collectgarbage()
  return allocations.live()
end

attempt(1e9) -- allocates what a process allocates only once
local before, n = left_over(), 1
while attempt(n) do
  local leaked = left_over() - before
  assert(leaked == 0, ("allocation %d: %d blocks are left"):format(n, leaked))
  n = n + 1
end
os.remove(secret_file)
for outcome, count in pairs(outcomes) do print(("%d %s"):format(count, outcome)) end
