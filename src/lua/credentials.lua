-- Supplies credentials from the caller's functions and from files when a token request needs them. Who calls the
-- functions depends on how calls wait: see supply_here, and in nginx wait_nginx.lua.
--
-- Arguments of this chunk, from methods.c:
--   c            C functions, see credentials.h
--   pcall, setmetatable, type, tostring: Lua's
--   by_function  what wait_function.lua returns
local c, pcall, setmetatable, type, tostring, by_function = ...

-- Functions that are being called, by thread: a list of the `shared` of their clients, the innermost first, linked by
-- `outer`. A call that would wait for the function that makes it is refused.
local MAIN = {} -- the thread that is no coroutine
local calling = setmetatable({}, { __mode = "k" })

-- Returns whether the current thread is within a function of this client.
local function is_within(shared)
  if shared.is_blocked then return true end
  local entry = calling[by_function.current_thread() or MAIN]
  while entry do
    if entry.shared == shared then return true end
    entry = entry.outer
  end
  return false
end

-- Calls a function of the client with pcall or the like, and returns what that does. Where an error could not be caught,
-- the function is not listed: it might stay so.
local function call_function(shared, protected, f)
  if by_function.is_unprotected() then return protected(f) end
  local thread = by_function.current_thread() or MAIN
  local entry = { shared = shared, outer = calling[thread] }
  calling[thread] = entry
  local ok, value, message = protected(f)
  calling[thread] = entry.outer
  return ok, value, message
end

-- Returns the message of an error, of any type, as text; nil if there is none.
local function text_of(message)
  if message == nil or type(message) == "string" then return message end
  local ok, text = pcall(tostring, message)
  return ok and type(text) == "string" and text or "(a " .. type(message) .. " value)"
end

-- Supplies all credentials that the holder of the ticket is asked for, with functions called by `protected`.
local function supply(client, ticket, protected)
  local shared = c.shared(client)
  local name = c.next_credential(client, ticket)
  while name do
    local source = shared.credentials[name]
    if type(source) == "table" then
      c.read_credential(client, ticket, source.path, source.label)
    else
      local ok, value, message = call_function(shared, protected, source)
      if not ok then value = text_of(value) end
      c.give_credential(client, ticket, ok, value, text_of(message))
    end
    name = c.next_credential(client, ticket)
  end
end

-- Supplies credentials in the current thread. `waiter.ticket` is for by_function.leave, if the thread never comes back.
local function supply_in_place(waiter, protected)
  waiter.ticket = c.ask_credentials(waiter.client)
  supply(waiter.client, waiter.ticket, protected)
  waiter.ticket = nil
end

-- Supplies credentials where nothing else runs meanwhile: the functions cannot yield.
local function supply_blocking(waiter)
  local shared = waiter.shared
  shared.is_blocked = true
  local ok, err = pcall(supply_in_place, waiter, c.protected_call)
  shared.is_blocked = nil
  if not ok then c.raise(err) end
end

-- Supplies credentials for a client with the option wait: in a coroutine of their own, if it can be made, else here.
local function supply_by_function(waiter)
  local client, spawn = waiter.client, by_function.spawner(waiter.shared.wait)
  if not spawn then
    return supply_in_place(waiter, function(f) return by_function.call(waiter, f) end)
  end
  local ticket = c.ask_credentials(client)
  spawn(function()
    supply(client, ticket, pcall)
    c.run(client, 0) -- begins the request: nobody may be stepping a call just now
  end)
end

-- Does what a call needs to get its credentials, unless the pump of nginx does it. Returns true if the call may have
-- something to do now. `how`: "yield" if functions may yield here, without the option wait; else nil.
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
