-- Supplies credentials from the caller's functions and from files when a token request needs them. Where the functions
-- are called depends on how calls wait: see supply_here, and for nginx wait_nginx.lua.
--
-- Arguments of this chunk, from methods.c:
--   c            C functions, see credentials.h
--   pcall, setmetatable, type, tostring: Lua's
--   by_function  what wait_function.lua returns
local c, pcall, setmetatable, type, tostring, by_function = ...

local NO_MEMORY = "not enough memory" -- Lua's message

-- For each coroutine, the functions that it is calling: a linked list of { shared =, outer = }, the innermost first,
-- with the `shared` of the function's client. With this, a call is refused if it would wait for the function that makes
-- it.
local MAIN = {} -- stands for the main thread
local calling = setmetatable({}, { __mode = "k" })

-- Returns whether the current coroutine is in a credential function of this client.
local function is_within(shared)
  if shared.is_blocked then return true end
  local entry = calling[by_function.current_thread() or MAIN]
  while entry do
    if entry.shared == shared then return true end
    entry = entry.outer
  end
  return false
end

-- Calls a credential function of the client with `protected`, which is pcall or similar, and returns its results. If
-- errors cannot be caught here, the function is not added to `calling`, since it might never be removed.
local function call_function(shared, protected, f)
  if by_function.is_unprotected() then return protected(f) end
  local thread = by_function.current_thread() or MAIN
  local entry = { shared = shared, outer = calling[thread] }
  calling[thread] = entry
  local ok, value, message = protected(f)
  calling[thread] = entry.outer
  return ok, value, message
end

-- Returns an error message of any type as text, or nil if it is nil.
local function text_of(message)
  if message == nil or type(message) == "string" then return message end
  local ok, text = pcall(tostring, message)
  return ok and type(text) == "string" and text or "(a " .. type(message) .. " value)"
end

-- Supplies all credentials that the ticket asks for. Calls functions with `protected`. Raises an error on out of
-- memory.
local function supply_all(client, ticket, protected)
  local shared = c.shared(client)
  local name = c.next_credential(client, ticket)
  while name do
    local source = shared.credentials[name]
    if type(source) == "table" then
      c.read_credential(client, ticket, source.path, source.label)
    else
      local ok, value, message = call_function(shared, protected, source)
      if not ok and value == NO_MEMORY then c.raise(value) end
      if not ok then value = text_of(value) end
      c.give_credential(client, ticket, ok, value, text_of(message))
    end
    name = c.next_credential(client, ticket)
  end
end

-- The same. On error, returns the ticket, so that another waiter can get one, and raises the error again.
local function supply(client, ticket, protected)
  local ok, err = pcall(supply_all, client, ticket, protected)
  if ok then return end
  c.release_credentials(client, ticket)
  c.raise(err)
end

-- Gets a ticket and supplies its credentials. Keeps it in waiter.ticket meanwhile, so that by_function.leave can return
-- it if this never finishes.
local function supply_for(waiter, protected)
  waiter.ticket = c.ask_credentials(waiter.client)
  supply_all(waiter.client, waiter.ticket, protected)
  waiter.ticket = nil
end

-- Supplies credentials in the current coroutine.
local function supply_in_place(waiter, protected)
  waiter.ticket = false -- makes the field, so that setting it later needs no memory
  if by_function.is_unprotected() then return supply_for(waiter, protected) end
  local ok, err = pcall(supply_for, waiter, protected)
  if ok then return end
  if waiter.ticket then c.release_credentials(waiter.client, waiter.ticket) end
  waiter.ticket = nil
  c.raise(err)
end

-- Supplies credentials for a call that blocks: the functions cannot yield.
local function supply_blocking(waiter)
  local shared = waiter.shared
  shared.is_blocked = true
  local ok, err = pcall(supply_in_place, waiter, c.protected_call)
  shared.is_blocked = nil
  if not ok then c.raise(err) end
end

-- Has the event loop run a new coroutine that supplies the credentials.
local function supply_apart(client, spawn)
  local ticket = false
  local function run()
    supply(client, ticket, pcall)
    c.run(client, 0) -- begins the token request, since perhaps no call is being stepped
  end
  local ok, err = pcall(function()
    ticket = c.ask_credentials(client)
    spawn(run)
  end)
  if ok then return end
  if ticket then c.release_credentials(client, ticket) end
  c.raise(err)
end

-- Supplies credentials for a client with the option wait: in a new coroutine if possible, else here.
local function supply_by_function(waiter)
  local spawn = by_function.spawner(waiter.shared.wait)
  if spawn then return supply_apart(waiter.client, spawn) end
  supply_in_place(waiter, function(f) return by_function.call(waiter, f) end)
end

-- Supplies the credentials for which a call waits, if there is no ticket for them yet. Refuses a call that would wait
-- for the function that makes it. Returns true if the call may have something to do now. `how`: "yield" if functions
-- may yield here although the option wait is not set, else nil or false.
local function supply_here(waiter, call, how)
  local shared, state = waiter.shared, c.credentials_state(call)
  if state == "wanted" then
    if shared.wait then
      supply_by_function(waiter)
    elseif how == "yield" then
      supply_in_place(waiter, pcall)
    else
      supply_blocking(waiter)
    end
    return c.credentials_state(call) ~= "asked"
  end
  if state ~= "asked" or not is_within(shared) then return false end
  c.refuse_credentials(call)
  return true
end

return { supply = supply, supply_here = supply_here }
