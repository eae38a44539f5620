-- The methods of a client: loops that step calls, and wait between the steps. They are written in Lua because a
-- coroutine cannot yield across a C function on Lua 5.1 and LuaJIT. The C functions that they call never wait, except
-- for block and step_blocking. Nothing here uses globals, since the program may change them.
--
-- Arguments of this chunk, from methods.c:
--   c            C functions, see call_object.h, wait.h, token_store.h, credentials.h, methods.c and client.c
--   begin        C functions that begin a call and return a call object, or nil and an error object; by method
--   pcall, setmetatable, next: Lua's
--   by_function  what wait_function.lua returns
--   credentials  what credentials.lua returns
--   in_nginx     what wait_nginx.lua returns
--
-- A waiter is a table made for one use of a method. Its fields are `client`; `calls`, a call object or an array of call
-- objects; and `shared`, a table that all waiters of the client share (see push_shared in client.c). wait_function.lua
-- and wait_nginx.lua add fields to both.
local c, begin, pcall, setmetatable, next, by_function, credentials, in_nginx = ...

-- waiting -------------------------------------------------------------------------------------------------------------

-- Time limits of one step, in seconds: without and with the option wait, which means that an event loop of the program
-- runs in this thread. For the limit in nginx, see wait_nginx.lua.
local STEP, STEP_BY_FUNCTION = 0.01, 0.002

-- Returns the time limit of one step, and whether the step runs the sockets.
local function step_options(shared)
  if shared.wait then return STEP_BY_FUNCTION, true end
  if in_nginx.can_yield() then return in_nginx.STEP, false end
  return STEP, true
end

-- Waits until one of the calls may have something to do.
local function wait(waiter)
  if waiter.shared.wait then
    by_function.wait(waiter)
  elseif in_nginx.can_yield() then
    in_nginx.wait(waiter)
  else
    c.block(waiter.calls)
  end
end

-- Releases what the waiter has used for waiting. Call it when its calls have ended.
local function leave(waiter)
  by_function.leave(waiter)
  in_nginx.leave(waiter)
end

-- Metatable of waiters. Lua 5.4 calls __close if an error leaves the loop that waits, or if its coroutine is closed.
local Waiter = {}

function Waiter.__close(waiter)
  c.stop(waiter.calls)
  leave(waiter)
end

-- Returns a waiter. If calls can neither wait nor block here, stops the calls and returns nil and an error object.
local function new_waiter(client, calls)
  local shared = c.shared(client)
  local phase = not shared.wait and in_nginx.refused_phase()
  if phase then
    c.stop(calls)
    return c.fail_argument(client, "a call can neither wait nor block in nginx's phase '" .. phase ..
      "'; run it in a timer (ngx.timer.at)")
  end
  if shared.wait then by_function.end_abandoned() end
  return setmetatable({ client = client, shared = shared, calls = calls }, Waiter)
end

-- Iterator of endless loops: in `for _ in forever, nil, nil, waiter do`, Lua 5.4 closes the waiter at the end.
local function forever()
  return true
end

-- the token store -----------------------------------------------------------------------------------------------------

-- A client that fetches a token holds a lock, so that other clients wait for the token. The lock is an entry of the
-- store that expires.
--   LOCK_SECONDS    lifetime of the entry
--   UNLOCK_SECONDS  after this time the entry is left to expire: with a slow store, deleting it might delete the lock
--                   of another client
--   CHECK_SECONDS   how often the store is checked while another client holds the lock
local LOCK_SECONDS, UNLOCK_SECONDS, CHECK_SECONDS = 5, 4, 0.05

local function call_method(store, name, ...)
  return store[name](store, ...)
end

-- Notes a failure of the store, for report_store.
local function note_failure(shared, name, problem)
  if not shared.reports_store then return end
  local failures = shared.store_failures or {}
  failures[#failures + 1] = { name = name, problem = problem }
  shared.store_failures = failures
end

-- Calls a method of the store, notes a failure, and returns the method's first two results. If the method raises an
-- error, returns nil and a message.
local function call_store(shared, name, ...)
  local ok, value, err = pcall(call_method, shared.token_store, name, ...)
  if not ok then
    note_failure(shared, name, value)
    return nil, "it raised an error"
  end
  if not value and err ~= nil and not (name == "add" and err == "exists") then note_failure(shared, name, err) end
  return value, err
end

-- Reports the noted failures of the store to the log and to on_event. Raises errors of on_event.
local function report_store(shared, call)
  local failures = shared.store_failures
  shared.store_failures = nil
  for i = 1, #failures do c.report_store(call, failures[i].name, failures[i].problem) end
end

-- Releases the lock, unless it may have expired.
local function unlock(shared)
  local locked = shared.locked
  shared.locked = nil
  if shared.can_delete and c.clock() - locked < UNLOCK_SECONDS then call_store(shared, "delete", shared.lock_key) end
end

-- Stores a token that a step has fetched, and releases the lock if no token is being fetched any more.
local function save_token(shared, call)
  local value, seconds = c.take_dirty(call)
  if value then call_store(shared, "set", shared.token_key, value, seconds) end
  if shared.locked and not c.is_fetching(call) then unlock(shared) end
end

-- Imports the token of the store. Returns true if the call needs no other token. Does not delete a token that cannot be
-- used: another client may have replaced it meanwhile.
local function import_stored(shared, call)
  return c.import(call, (call_store(shared, "get", shared.token_key)))
end

-- Gets a token for a call that wants one: takes it from the store, fetches it, or waits for one that this client or
-- another is fetching. If another client holds the lock for too long (see call_wait_for_lock in core/call.h), fetches
-- one without the lock.
local function get_token(shared, call)
  if import_stored(shared, call) then return end
  if not shared.can_add or c.is_fetching(call) then return c.fetch(call) end
  local locked = c.clock()
  local added, err = call_store(shared, "add", shared.lock_key, "1", LOCK_SECONDS)
  if added then
    -- Check again: since the first import, another client may have stored a token and released the lock.
    local imported = import_stored(shared, call)
    shared.locked = locked
    if imported then return unlock(shared) end
  elseif (err == nil or err == "exists") and c.postpone(call, CHECK_SECONDS) then
    return
  end
  c.fetch(call)
end

-- Steps a call. Saves a token that it has fetched, even if the step raises an error. Returns what c.step returns.
local function step(shared, call)
  if not shared.token_store then return c.step(call, step_options(shared)) end
  local ok, ended, wants_token = pcall(c.step, call, step_options(shared))
  save_token(shared, call)
  if not ok then c.raise(ended) end
  if shared.store_failures then report_store(shared, call) end
  return ended, wants_token
end

-- Supplies the credentials for which a call waits, from the caller's functions and files. Returns true if the call may
-- have something to do now. In nginx this is left to the pump, if possible.
local function supply_credentials(waiter, call)
  local how = not waiter.shared.wait and in_nginx.can_yield() and "yield"
  local is_for_pump = how and not in_nginx.supplies_in_place(waiter.shared)
  if is_for_pump and c.credentials_state(call) == "wanted" then return false end
  return credentials.supply_here(waiter, call, how)
end

-- Runs a call until it has to wait. Returns true if it has ended.
local function advance(waiter, call)
  local shared = waiter.shared
  if in_nginx.must_yield(waiter) then return false end
  local ended, wants_token = step(shared, call)
  while wants_token or not ended and shared.credentials and supply_credentials(waiter, call) do
    if wants_token then get_token(shared, call) end
    ended, wants_token = step(shared, call)
  end
  return ended
end

-- methods -------------------------------------------------------------------------------------------------------------

-- Returns whether a call can simply block: nothing else runs in this thread, and there are neither a token store nor
-- credentials to be supplied.
local function can_block(shared)
  return not in_nginx.is_nginx and not shared.wait and not shared.token_store and not shared.credentials
end

-- Returns a method that begins one call, waits until it ends, and returns its results.
local function method(begin_call)
  return function(client, ...)
    local call, err = begin_call(client, ...)
    if not call then return nil, err end
    if can_block(c.shared(client)) then
      repeat until c.step_blocking(call, STEP)
      return c.finish(call, true)
    end
    local waiter
    waiter, err = new_waiter(client, call)
    if not waiter then return nil, err end
    for _ in forever, nil, nil, waiter do
      if advance(waiter, call) then break end
      wait(waiter)
    end
    leave(waiter)
    return c.finish(call)
  end
end

-- The iterator of each_user: a waiter with more fields. Several coroutines may call it.
--   waiting       how many coroutines wait for the next user
--   others        set of the waiters of these coroutines, except the first, whose waiter is the iterator itself
--   is_over       there are no more users: the call has ended, or the iterator was closed
--   failure       the error object, if the call has failed
--   count         how many times the iterator was called since yield_if_due
--   yields_at     in nginx: when to yield to other handlers
local Iterator = {}
Iterator.__index = Iterator
Iterator.__name = "podero.iterator"
Iterator.__metatable = Iterator.__name

local function wait_for_user(iterator)
  local waiter = iterator
  if iterator.waiting > 0 then
    waiter = { client = iterator.client, shared = iterator.shared, calls = iterator.calls }
    iterator.others[waiter] = true
  end
  iterator.waiting = iterator.waiting + 1
  wait(waiter)
  iterator.waiting = iterator.waiting - 1
  if waiter ~= iterator then
    iterator.others[waiter] = nil
    leave(waiter)
  end
  if iterator.is_over and iterator.waiting == 0 then leave(iterator) end
end

-- Wakes the coroutines that wait for the next user, after another one has run the call or ended it.
local function wake_waiting(iterator)
  if iterator.waiting == 0 then return end
  by_function.wake(iterator)
  for waiter in next, iterator.others do by_function.wake(waiter) end
  in_nginx.wake_pump()
end

-- Ends the loop, after the call has ended. Returns nil, or raises the error of the call, both here and in the
-- coroutines that wait.
local function end_loop(iterator)
  local _
  iterator.is_over = true
  _, iterator.failure = c.finish(iterator.calls)
  if iterator.waiting == 0 then leave(iterator) end
  wake_waiting(iterator)
  if iterator.failure then c.raise_failure(iterator.failure) end
  return nil
end

-- In nginx, yields to other handlers if this one has run for some time. Otherwise a loop whose users have all arrived
-- would never yield.
local function yield_if_due(iterator)
  iterator.count = 0
  if not in_nginx.can_yield() or c.clock() < iterator.yields_at then return end
  if not c.pending(iterator.calls) then return end -- the loop waits anyway
  repeat wait_for_user(iterator) until iterator.is_over or not in_nginx.must_yield(iterator)
  iterator.yields_at = c.clock() + in_nginx.STEP
end

local YIELD_COUNT = 16 -- the clock is read only once for this many users

-- Returns the next user, or nil at the end. Raises the error of the call.
function Iterator.__call(iterator)
  if iterator.is_over then return nil end
  local call = iterator.calls
  if iterator.waiting > 0 and iterator.shared.wait then by_function.end_abandoned() end
  iterator.count = iterator.count + 1
  if iterator.count == YIELD_COUNT then yield_if_due(iterator) end
  local user = c.next_user(call)
  while not user do
    if iterator.is_over then -- ended or closed by another coroutine meanwhile
      if iterator.failure then c.raise_failure(iterator.failure) end
      return nil
    end
    local ended = advance(iterator, call)
    if ended and not iterator.is_over then return end_loop(iterator) end
    if not ended then wait_for_user(iterator) end
    user = c.next_user(call)
  end
  if iterator.waiting > 0 then wake_waiting(iterator) end
  return user
end

-- Ends the call. From then on the iterator returns nil, also in coroutines that wait for a user.
function Iterator.close(iterator)
  iterator.is_over = true
  c.stop(iterator.calls)
  if iterator.waiting == 0 then leave(iterator) end
  wake_waiting(iterator)
  in_nginx.wake_stopped(iterator)
end

Iterator.__close = Iterator.close -- Lua 5.4 calls it at the end of the `for` loop, also after break and errors

-- Raises errors instead of returning them, because a `for` loop would call nil.
local function each_user(client, ...)
  local iterator
  local call, err = begin.each_user(client, ...)
  if call then iterator, err = new_waiter(client, call) end
  if not iterator then
    err.delivered = 0
    c.raise_failure(err)
  end
  iterator.count, iterator.yields_at, iterator.waiting, iterator.others = 0, 0, 0, {}
  setmetatable(iterator, Iterator)
  return iterator, nil, nil, iterator
end

-- list_users_of gets a token before its first request, so that wrong credentials are sent once and not for each id.
local authorize = method(begin.authorize)

-- A batch is one use of list_users_of.
--   client, opts     its arguments
--   ids, last        the ids to request; index of the last one whose call was begun
--   concurrency      how many calls may run at the same time
--   fields, filter   the header fields and the filter of each call, see check_org_ids in client.c
--   calls, id_of     array of the running calls; the id of each
--   last_index       index in `calls` of the call that was run last; they are run from the last to the first
--   waiter           of `calls`; nil if calls cannot wait here, and then `no_waiter` is the error object
--   authorized       authorize was called; `refusal` is its error object, or false or nil if it succeeded
--   results, errors  by id

-- Gets a token before the first call of a batch. That call was begun only to check the arguments. It is stopped first,
-- because authorize may raise an error. Returns a new call, or nil and an error object.
local function begin_authorized(batch, id, call)
  c.stop(call)
  local ok, failure = authorize(batch.client, batch.opts)
  batch.authorized, batch.refusal = true, not ok and failure
  if batch.refusal then return nil, batch.refusal end
  return begin.list_users_of(batch.client, id, batch.opts, batch.fields, batch.filter)
end

-- Returns a call for the id, or nil and an error object.
local function begin_one(batch, id)
  if not batch.waiter then return nil, batch.no_waiter end
  local call, err = begin.list_users_of(batch.client, id, batch.opts, batch.fields, batch.filter)
  if not call then return nil, err end
  if not batch.authorized then return begin_authorized(batch, id, call) end
  if not batch.refusal then return call end
  c.stop(call)
  return nil, batch.refusal
end

-- Begins calls until `concurrency` of them run, or no id is left.
local function begin_some(batch)
  local calls, ids = batch.calls, batch.ids
  while #calls < batch.concurrency and batch.last < #ids do
    batch.last = batch.last + 1
    local id = ids[batch.last]
    local call, err = begin_one(batch, id)
    if call then
      calls[#calls + 1], batch.id_of[call] = call, id
    else
      batch.errors[id] = err
    end
  end
end

-- Does what advance does. If that raises an error, ends all calls of the batch. On plain Lua 5.1, an error of a
-- function that supplies credentials and may yield cannot be caught here (see by_function.call); the calls then end at
-- the next use of the client.
local function advance_or_stop(batch, call)
  if batch.waiter.shared.credentials and by_function.is_unprotected() then return advance(batch.waiter, call) end
  local ok, ended = pcall(advance, batch.waiter, call)
  if ok then return ended end
  c.stop(batch.calls)
  c.raise(ended)
end

-- Runs the next call. Returns true if it has ended.
local function advance_next(batch)
  local calls, index = batch.calls, batch.last_index
  index = index > 1 and index <= #calls and index - 1 or #calls
  batch.last_index = index
  local call = calls[index]
  if not advance_or_stop(batch, call) then return false end
  local id = batch.id_of[call]
  batch.results[id], batch.errors[id] = c.finish(call)
  calls[index] = calls[#calls]
  calls[#calls], batch.id_of[call] = nil, nil
  return true
end

-- Runs each call once, or fewer of them if the time of a step is used up. Returns true if one has ended.
local function advance_some(batch)
  local ended, time = false, c.clock() + step_options(batch.waiter and batch.waiter.shared or {})
  for _ = 1, #batch.calls do
    ended = advance_next(batch) or ended
    if c.clock() >= time then break end
  end
  return ended
end

local function list_users_of(client, org_ids, opts, ...)
  local ids, concurrency, aliases, fields, filter = begin.check_org_ids(client, org_ids, opts, ...)
  local calls, results, errors = {}, {}, {}
  local waiter, no_waiter = new_waiter(client, calls)
  local batch = {
    client = client, opts = opts, ids = ids, last = 0, concurrency = concurrency, calls = calls, id_of = {},
    last_index = 0, waiter = waiter, no_waiter = no_waiter, authorized = false, results = results, errors = errors,
    fields = fields, filter = filter,
  }
  for _ in forever, nil, nil, waiter do
    begin_some(batch)
    local ended = advance_some(batch)
    if #calls == 0 and batch.last == #ids then break end
    if #calls > 0 and not ended then wait(waiter) end
  end
  if waiter then leave(waiter) end
  for i = 1, #aliases, 2 do
    local alias, id = aliases[i], aliases[i + 1]
    results[alias], errors[alias] = results[id], errors[id]
  end
  return results, errors
end

local function close(client, ...)
  begin.close(client, ...)
  in_nginx.wake_pump()
end

return {
  list_users = method(begin.list_users),
  find_user = method(begin.find_user),
  get = method(begin.get),
  request = method(begin.request),
  token = method(begin.token),
  each_user = each_user,
  list_users_of = list_users_of,
  close = close,
}
