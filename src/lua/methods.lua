-- The methods: loops that step calls and wait in between. On Lua 5.1 and LuaJIT a C function cannot be resumed in its
-- middle: so whatever waits is Lua, around C functions that never do. Nothing here uses globals.
--
-- c         the C functions of lua/client, lua/call_object, lua/wait and lua/token_store
-- begin     those of them that begin a call: its object, or nil and an error
-- pcall     Lua's own, across which coroutines can yield if Lua allows it
-- by_function, in_nginx: what lua/wait_function and lua/wait_nginx return
--
-- A waiter is one use of a method: `calls`, one call or a list of them; their `client`; and `shared`, the table that
-- all waiters of this client share.
local c, begin, pcall, setmetatable, next, by_function, in_nginx = ...

-- Waiting -------------------------------------------------------------------------------------------------------------

-- Seconds that one step may take where nobody else of the process is kept waiting, and beside a scheduler of the
-- caller's. In nginx, the pump runs the sockets, see lua/wait_nginx.
local STEP, STEP_BY_FUNCTION = 0.01, 0.002

-- Seconds that one step may take, and whether it runs the sockets.
local function pace(shared)
  if shared.wait then return STEP_BY_FUNCTION, true end
  if in_nginx.can_yield() then return in_nginx.STEP, false end
  return STEP, true
end

local function wait(waiter)
  if waiter.shared.wait then
    by_function.wait(waiter)
  elseif in_nginx.can_yield() then
    in_nginx.wait(waiter)
  else
    c.block(waiter.calls)
  end
end

-- Keeps for others what the waiter has used.
local function leave(waiter)
  by_function.leave(waiter)
  in_nginx.leave(waiter)
end

-- Lua 5.4 closes a waiter when the loop that waits with it is left, by an error or by coroutine.close, too.
local Waiter = {}

function Waiter.__close(waiter)
  c.stop(waiter.calls)
  leave(waiter)
end

-- Nil and an error if there is no way to wait.
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

-- The iterator of a loop that ends by `break`; it is a `for` to have a waiter closed.
local function forever()
  return true
end

-- The token store ---------------------------------------------------------------------------------

-- Seconds until others may take the lock of one that was never given back; until it is left to that, since the store
-- may be slow to take it back; and between two looks at the store while another holds it.
local LOCK_SECONDS, UNLOCK_SECONDS, LOOK_SECONDS = 5, 4, 0.05

local function ask_method(store, name, ...)
  return store[name](store, ...)
end

-- Asks the store. Whatever goes wrong in there is as if it had nothing: nil and a message.
local function ask(shared, name, ...)
  local ok, value, err = pcall(ask_method, shared.token_store, name, ...)
  if ok then return value, err end
  return nil, "it raised an error"
end

-- Gives the lock back, unless others may have it by now.
local function unlock(shared)
  local locked = shared.locked
  shared.locked = nil
  if shared.can_delete and c.clock() - locked < UNLOCK_SECONDS then ask(shared, "delete", shared.lock_key) end
end

-- Stores a token that was fetched, and gives the lock back when no more is being fetched.
local function settle(shared, call)
  local value, seconds = c.take_dirty(call)
  if value then ask(shared, "set", shared.token_key, value, seconds) end
  if shared.locked and not c.is_fetching(call) then unlock(shared) end
end

-- Has the call take the store's token. True if it needs none any more. One that does not serve is left there, to be
-- replaced: another may have stored a better one meanwhile, which it would be a loss to delete.
local function take_stored(shared, call)
  return c.import(call, (ask(shared, "get", shared.token_key)))
end

-- Gets the call a token: the store's, or one that is being fetched, here or elsewhere, or else a new one. Where another
-- holds the lock for too long, the call does without it.
local function find_token(shared, call)
  if take_stored(shared, call) then return end
  if not shared.can_add or c.is_fetching(call) then return c.fetch(call) end
  local locked = c.clock()
  local added, err = ask(shared, "add", shared.lock_key, "1", LOCK_SECONDS)
  if added then
    -- Another may have stored its token, and given the lock back, since we have looked.
    local taken = take_stored(shared, call)
    shared.locked = locked
    if taken then return unlock(shared) end
  elseif (err == nil or err == "exists") and c.postpone(call, LOOK_SECONDS) then
    return
  end
  c.fetch(call)
end

local function step(shared, call)
  if not shared.token_store then return c.step(call, pace(shared)) end
  local ok, ended, wants_token = pcall(c.step, call, pace(shared))
  settle(shared, call)
  if not ok then c.raise(ended) end
  return ended, wants_token
end

-- Moves the call on; true when it has ended.
local function advance(waiter, call)
  local shared = waiter.shared
  if in_nginx.is_late(waiter) then return false end
  local ended, wants_token = step(shared, call)
  while wants_token do
    find_token(shared, call)
    ended, wants_token = step(shared, call)
  end
  return ended
end

-- Methods -------------------------------------------------------------------------------------------------------------

-- Whether calls have nobody to make room for and nobody to ask.
local function is_alone(shared)
  return not in_nginx.is_here and not shared.wait and not shared.token_store
end

-- A method whose call is finished when it returns.
local function method(begin_call)
  return function(client, ...)
    local call, err = begin_call(client, ...)
    if not call then return nil, err end
    if is_alone(c.shared(client)) then
      repeat until c.attend(call, STEP)
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

-- The iterator of each_user is the waiter, too. `waiting`: how many coroutines wait for its next user; `others`: the
-- waiters of those that came while another one waited already.
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

-- Wakes the coroutines that wait for the iterator's next user: its call has moved on, or ended.
local function wake_waiting(iterator)
  if iterator.waiting == 0 then return end
  by_function.wake(iterator)
  for waiter in next, iterator.others do by_function.wake(waiter) end
  in_nginx.wake_pump()
end

-- The call has ended, and so has the loop, in each coroutine that waits for a user. Returns nil, or raises the error.
local function end_loop(iterator)
  local _
  iterator.is_over = true
  _, iterator.failure = c.finish(iterator.calls)
  if iterator.waiting == 0 then leave(iterator) end
  wake_waiting(iterator)
  if iterator.failure then c.raise(iterator.failure) end
  return nil
end

-- In nginx, a loop over users that has had its time lets others have theirs, though there are users left to read.
local function give_way(iterator)
  iterator.count = 0
  if not in_nginx.can_yield() or c.clock() < iterator.gives_way_at then return end
  if not c.pending(iterator.calls) then return end -- it will wait in any case
  repeat wait_for_user(iterator) until iterator.is_over or not in_nginx.is_late(iterator)
  iterator.gives_way_at = c.clock() + in_nginx.STEP
end

local GIVE_WAY_COUNT = 16 -- users

function Iterator.__call(iterator)
  if iterator.is_over then return nil end
  local call = iterator.calls
  if iterator.waiting > 0 and iterator.shared.wait then by_function.end_abandoned() end
  iterator.count = iterator.count + 1
  if iterator.count == GIVE_WAY_COUNT then give_way(iterator) end
  local user = c.take(call)
  while not user do
    if iterator.is_over then -- another coroutine has ended it, or closed it
      if iterator.failure then c.raise(iterator.failure) end
      return nil
    end
    local ended = advance(iterator, call)
    if ended and not iterator.is_over then return end_loop(iterator) end
    if not ended then wait_for_user(iterator) end
    user = c.take(call)
  end
  if iterator.waiting > 0 then wake_waiting(iterator) end
  return user
end

-- Ends the transfer, if it has not ended. The iterator then returns nil, to coroutines that wait for a user, too.
function Iterator.close(iterator)
  iterator.is_over = true
  c.stop(iterator.calls)
  if iterator.waiting == 0 then leave(iterator) end
  wake_waiting(iterator)
  in_nginx.stopped(iterator)
end

Iterator.__close = Iterator.close -- called by Lua 5.4 at the end of the loop, however it ends

local function each_user(client, ...)
  local iterator
  local call, err = begin.each_user(client, ...)
  if call then iterator, err = new_waiter(client, call) end
  if not iterator then
    err.delivered = 0
    c.raise(err)
  end
  iterator.count, iterator.gives_way_at, iterator.waiting, iterator.others = 0, 0, 0, {}
  setmetatable(iterator, Iterator)
  return iterator, nil, nil, iterator
end

-- Without a token no call of several is begun: a wrong password is sent once.
local authorize = method(begin.authorize)

local function list_users_of(client, org_ids, opts, ...)
  local ids, concurrency, aliases = begin.check_many(client, org_ids, opts, ...)
  local results, errors, calls, id_of, last, at = {}, {}, {}, {}, 0, 0
  local authorized, refusal = false, nil
  local waiter, no_way = new_waiter(client, calls)
  local function begin_call(id)
    if not waiter then return nil, no_way end
    local call, err = begin.list_users_of(client, id, opts)
    if not call then return nil, err end
    if not authorized then
      c.stop(call) -- begun to check the arguments; if an error leaves authorize, nothing is left of it
      local ok, failure = authorize(client, opts)
      authorized, refusal = true, not ok and failure
      if not refusal then return begin.list_users_of(client, id, opts) end
    elseif not refusal then
      return call
    end
    c.stop(call)
    return nil, refusal
  end
  local function fill()
    while #calls < concurrency and last < #ids do
      last = last + 1
      local id = ids[last]
      local call, err = begin_call(id)
      if call then
        calls[#calls + 1], id_of[call] = call, id
      else
        errors[id] = err
      end
    end
  end
  -- Moves the next of the calls on; true when it has ended. An error (of on_event, say) ends them all.
  local function advance_next()
    at = at > 1 and at <= #calls and at - 1 or #calls
    local call = calls[at]
    local ok, ended = pcall(advance, waiter, call)
    if not ok then
      c.stop(calls)
      c.raise(ended)
    end
    if not ended then return false end
    local id = id_of[call]
    results[id], errors[id] = c.finish(call)
    calls[at] = calls[#calls]
    calls[#calls], id_of[call] = nil, nil
    return true
  end
  for _ in forever, nil, nil, waiter do
    fill()
    local ended, time = false, c.clock() + pace(waiter and waiter.shared or {})
    for _ = 1, #calls do
      ended = advance_next() or ended
      if c.clock() >= time then break end
    end
    if #calls == 0 and last == #ids then break end
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
  get = method(begin.get),
  token = method(begin.token),
  each_user = each_user,
  list_users_of = list_users_of,
  close = close,
}
