-- The methods: loops that push calls forward and wait in between. On Lua 5.1 and LuaJIT a C function cannot be resumed
-- in its middle: so whatever waits is Lua, around C functions that never do. Nothing here uses globals.
--
-- c      the C functions of lua/client, lua/call, lua/wait and lua/store
-- begin  those of them that begin a call: its object, or nil and an error
-- pcall  Lua's own, across which coroutines can yield where Lua allows it
-- ngx    that of nginx's Lua module, or nil
local c, begin, pcall, ngx = ...

local setmetatable, require = c.setmetatable, c.require

-- waiting ----------------------------------------------------------------------------------------

-- A trip is one use of a method. What it waits for is `trip.calls`: one call, or a list of them. `trip.hub` is the
-- table that all trips of a client share.

-- With the caller's own function. It may be one that sleeps, or one that minds the descriptor too. So naps are short at
-- first and grow, up to MAX_NAP, until it has been seen to mind the descriptor several times in a row.
local MIN_NAP, MAX_NAP, LONG_NAP, TIMES = 0.001, 0.02, 1, 3

local function wait_by_function(trip)
  local hub, calls = trip.hub, trip.calls
  local bell = trip.bell
  if not c.serves(bell) then bell = c.lend_bell(calls) end
  trip.bell = bell
  local nap = hub.minds_descriptor >= TIMES and LONG_NAP or trip.nap or MIN_NAP
  local seconds, started = c.due(calls, true), c.clock()
  if seconds > nap then seconds = nap end
  if c.pending(calls) then seconds = 0 end
  if bell then c.set_bell(calls, bell) end
  hub.wait(seconds, bell and c.descriptor(bell))
  local readable, took = c.listen(bell), c.clock() - started
  if readable and took < seconds / 2 then
    hub.minds_descriptor = hub.minds_descriptor + 1
  elseif readable and took >= seconds and seconds > 0 then
    hub.minds_descriptor = 0
  end
  trip.nap = (readable or c.pending(calls)) and MIN_NAP or nap < MAX_NAP and nap * 1.25 or nap
end

-- In nginx, one of the trips that wait, the driver, runs the sockets of all, and wakes those that have something to do;
-- the others sleep on a semaphore each. Any of them can be killed in its sleep, its client gone, the driver too: so
-- nothing depends on its coming back. A trip that sleeps on its semaphore is alive while the semaphore counts it.

-- Seconds: how long the driver sleeps while nothing comes, and how often the others see whether there is a driver.
local IDLE, LOOK = 0.001, 0.05

-- What one turn may cost: seconds for the sockets, for one trip and for all of them, and bytes that those read whom the
-- driver wakes. Whoever is woken has other work as well, to the amount of some bytes more.
local SOCKETS, ONE, ALL = 0.0005, 0.0005, 0.002
local TURN_BYTES, WAKING_BYTES = 128 * 1024, 8 * 1024

-- Where ngx.sleep may yield, and where nothing can, but blocking harms nobody.
local YIELDING = {
  rewrite = true, server_rewrite = true, access = true, content = true, timer = true, preread = true,
  ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true,
}
local BLOCKING = { init = true, init_worker = true }

local WEAK = { __mode = "v" } -- trips that were killed are to be collected

local function is_alive(trip)
  return trip.semaphore:count() < 0
end

local function has_driver(hub)
  local driver = hub.asleep.driver
  return driver and (c.clock() < hub.driver_until or is_alive(driver))
end

-- Sleeps until another wakes the trip, or for that long.
local function sleep(trip, seconds)
  trip.semaphore:wait(seconds)
  trip.wakings = trip.wakings + 1
end

-- A driver that has not woken for a second since another took over was killed.
local function end_lost_driver(hub)
  local lost = hub.asleep.lost
  if not lost or c.clock() - hub.lost_at < 1 then return end
  hub.asleep.lost = nil
  if lost.wakings == hub.lost_wakings then c.stop(lost.calls) end
end

local function enlist(trip)
  local hub = trip.hub
  trip.called, trip.gone = false, false
  if c.pending(trip.calls) then hub.more = true end -- it has more to do: the driver is to know
  if trip.enlisted then return end
  trip.enlisted = true
  hub.count = hub.count + 1
  hub.asleep[hub.count] = trip
end

local function wake(trip)
  trip.called = true
  trip.semaphore:post(1)
end

-- Goes through those who sleep: ends the calls of the dead, forgets those who have gone or were called, and wakes those
-- who have something to do, the longest asleep first, as far as the turn's bytes go. True where they did not suffice.
local function wake_ready(hub, budget)
  local asleep, count, kept, more = hub.asleep, hub.count, 0, false
  end_lost_driver(hub)
  for i = 1, count do
    local trip = asleep[i]
    asleep[i] = nil
    if trip and (trip.gone or trip.called) then
      trip.enlisted = false
    elseif trip and not is_alive(trip) then
      c.stop(trip.calls)
    elseif trip then
      local bytes = c.pending(trip.calls)
      if bytes and budget > 0 then
        budget = budget - bytes - WAKING_BYTES
        trip.enlisted = false
        wake(trip)
      else
        kept = kept + 1
        asleep[kept] = trip
        more = more or bytes
      end
    end
  end
  hub.count = kept
  return more
end

-- Hands the driving over to another that sleeps, if there is one.
local function resign(hub)
  local asleep = hub.asleep
  asleep.driver = nil
  for i = 1, hub.count do
    local trip = asleep[i]
    if trip and not trip.gone and is_alive(trip) then
      wake(trip)
      asleep.driver, hub.driver_until = trip, c.clock() + LOOK
      return
    end
  end
end

local function post(_, semaphore)
  semaphore:post(1)
end

-- Lets the worker's other events have their turn, and returns as soon as they have had it. (ngx.sleep(0) would do, but
-- that logs a warning each time where nginx lacks a patch of OpenResty's.)
local function yield_to_events(trip)
  if ngx.timer.at(0, post, trip.semaphore) then
    sleep(trip, LOOK)
  else -- the worker is exiting
    sleep(trip, IDLE)
  end
end

-- Drives for all until there is something to do for this trip itself, or another has taken over. At least once, the
-- others of the worker have had their turn when it returns true.
local function drive(trip)
  local hub, calls, turns = trip.hub, trip.calls, 0
  while true do
    hub.asleep.driver, hub.driver_until = trip, 0
    local moved = false
    if turns > 0 or c.clock() - hub.driven >= IDLE then
      moved = c.drive(calls, SOCKETS)
      hub.driven = c.clock()
    end
    local bytes = c.pending(calls)
    hub.turn_ends = c.clock() + ALL
    if moved or hub.more or turns % 50 == 0 then hub.more = wake_ready(hub, TURN_BYTES - (bytes or 0)) end
    local due = bytes and 0 or c.due(calls)
    if due == 0 and turns > 0 then
      resign(hub)
      return true
    end
    turns = turns + 1
    if moved or hub.more or bytes then
      yield_to_events(trip)
    else
      sleep(trip, due < IDLE and due or IDLE)
    end
    if hub.asleep.driver ~= trip then return false end
  end
end

local function lend_semaphore(trip)
  local spare = trip.hub.semaphores
  local semaphore = spare[#spare]
  spare[#spare] = nil
  semaphore = semaphore or require("ngx.semaphore").new()
  trip.semaphore = semaphore
end

local function wait_in_nginx(trip)
  local hub = trip.hub
  if not trip.semaphore then lend_semaphore(trip) end
  while true do
    local driver = hub.asleep.driver
    if driver == trip or not has_driver(hub) then
      if driver and driver ~= trip then
        hub.asleep.lost, hub.lost_wakings, hub.lost_at = driver, driver.wakings, c.clock()
      end
      trip.gone = true
      if drive(trip) then return end
    end
    local due = c.due(trip.calls)
    if due == 0 then break end
    enlist(trip)
    sleep(trip, due < LOOK and due or LOOK)
    if trip.called and hub.asleep.driver ~= trip then return end
  end
  trip.gone = true
end

local function yields()
  return ngx and YIELDING[ngx.get_phase()]
end

-- Seconds that one step may take, and whether it drives: blocking nobody but its own thread, or where others of the
-- process want their turn.
local function pace(hub)
  if hub.wait then return 0.002, true end
  if yields() then return ONE, false end
  return 0.01, true
end

local function wait(trip)
  if trip.hub.wait then
    wait_by_function(trip)
  elseif yields() then
    wait_in_nginx(trip)
  else
    c.block(trip.calls)
  end
end

-- The token store ---------------------------------------------------------------------------------

-- Seconds until others may take the lock of one that was never given back; until it is left to that, since the store
-- may be slow to take it back; and between two looks at the store while another holds it.
local LOCK_SECONDS, UNLOCK_SECONDS, LOOK_SECONDS = 5, 4, 0.05

local function ask_method(store, name, ...)
  return store[name](store, ...)
end

-- Asks the store. Whatever goes wrong in there is as if it had nothing: nil and a message.
local function ask(hub, name, ...)
  local ok, value, err = pcall(ask_method, hub.token_store, name, ...)
  if ok then return value, err end
  return nil, "it raised an error"
end

-- Gives the lock back, unless others may have it by now.
local function unlock(hub)
  local locked = hub.locked
  hub.locked = nil
  if hub.can_delete and c.clock() - locked < UNLOCK_SECONDS then ask(hub, "delete", hub.lock_key) end
end

-- Stores a token that was fetched, and gives the lock back when no more is being fetched.
local function settle(hub, call)
  local value, seconds = c.take_unstored(call)
  if value then ask(hub, "set", hub.token_key, value, seconds) end
  if hub.locked and not c.is_fetching(call) then unlock(hub) end
end

-- Has the call take the store's token. True if it needs none any more. One that does not serve is left there, to be
-- replaced: another may have stored a better one meanwhile, which it would be a loss to delete.
local function take_stored(hub, call)
  return c.adopt(call, (ask(hub, "get", hub.token_key)))
end

-- Gets the call a token: the store's, or one that is being fetched, here or elsewhere, or else a new one. Where another
-- holds the lock for too long, the call does without it.
local function find_token(hub, call)
  if take_stored(hub, call) then return end
  if not hub.can_add or c.is_fetching(call) then return c.fetch(call) end
  local locked = c.clock()
  local added, err = ask(hub, "add", hub.lock_key, "1", LOCK_SECONDS)
  if added then
    -- Another may have stored its token, and given the lock back, since we have looked.
    local taken = take_stored(hub, call)
    hub.locked = locked
    if taken then return unlock(hub) end
  elseif (err == nil or err == "exists") and c.postpone(call, LOOK_SECONDS) then
    return
  end
  c.fetch(call)
end

local function step(hub, call)
  if not hub.token_store then return c.step(call, pace(hub)) end
  local ok, ended, wants_token = pcall(c.step, call, pace(hub))
  settle(hub, call)
  if not ok then c.raise(ended) end
  return ended, wants_token
end

-- Pushes the call forward; true when it has ended.
local function push(trip, call)
  local hub = trip.hub
  if trip.called and c.clock() >= hub.turn_ends then -- others have used up the turn: to the end of the line
    trip.called = false
    return false
  end
  local ended, wants_token = step(hub, call)
  while wants_token do
    find_token(hub, call)
    ended, wants_token = step(hub, call)
  end
  return ended
end

-- Trips ---------------------------------------------------------------------------------------------

-- In nginx, a loop over users that has had its time lets others have theirs, though there are users left to read.
local function give_way(trip)
  wait(trip)
  trip.turn_ends = c.clock() + ONE
end

-- Nil and an error where there is no way to wait.
local function new_trip(client, calls)
  local hub = c.hub(client)
  local phase = ngx and not hub.wait and ngx.get_phase()
  if phase and not YIELDING[phase] and not BLOCKING[phase] then
    c.stop(calls)
    return c.fail_argument(client, "a call can neither wait nor block in nginx's phase '" .. phase ..
      "'; run it in a timer (ngx.timer.at)")
  end
  if not hub.asleep then
    hub.asleep, hub.count, hub.driver_until, hub.driven = setmetatable({}, WEAK), 0, 0, 0
    hub.semaphores, hub.minds_descriptor = {}, 0
  end
  return { hub = hub, calls = calls, wakings = 0 }
end

-- Keeps for others what the trip has used.
local function end_trip(trip)
  local hub, bell, semaphore = trip.hub, trip.bell, trip.semaphore
  trip.bell, trip.semaphore = nil, nil
  if bell then c.give_back(bell) end
  if semaphore and semaphore:count() == 0 then hub.semaphores[#hub.semaphores + 1] = semaphore end
end

-- Whether calls have nobody to make room for and nobody to ask.
local function is_alone(hub)
  return not ngx and not hub.wait and not hub.token_store
end

-- A method whose call is finished when it returns.
local function method(begin_call)
  return function(client, ...)
    local call, err = begin_call(client, ...)
    if not call then return nil, err end
    if is_alone(c.hub(client)) then
      repeat until c.attend(call, 0.01)
      return c.finish(call, true)
    end
    local trip
    trip, err = new_trip(client, call)
    if not trip then return nil, err end
    while not push(trip, call) do wait(trip) end
    end_trip(trip)
    return c.finish(call)
  end
end

-- An iterator; the call is closed with the loop where Lua does that, and else when collected.
local function each_user(client, ...)
  local trip
  local call, err = begin.each_user(client, ...)
  if call then trip, err = new_trip(client, call) end
  if not trip then
    err.delivered = 0
    c.raise(err)
  end
  local count = 0
  local function next_user()
    count = count + 1
    if count % 16 == 0 and yields() and c.clock() >= (trip.turn_ends or 0) then give_way(trip) end
    local user = c.take(call)
    while not user do
      if push(trip, call) then
        end_trip(trip)
        local _, failure = c.finish(call)
        if failure then c.raise(failure) end
        return nil
      end
      wait(trip)
      user = c.take(call)
    end
    return user
  end
  return next_user, nil, nil, call
end

-- Without a token no call of several is begun: a wrong password is sent once.
local authorize = method(begin.authorize)

local function list_users_of(client, org_ids, opts)
  local ids, concurrency = begin.check_many(client, org_ids, opts)
  local results, errors, calls, id_of, last, at = {}, {}, {}, {}, 0, 0
  local authorized, refusal = false, nil
  local trip, no_way = new_trip(client, calls)
  local function begin_call(id)
    if not trip then return nil, no_way end
    local call, err = begin.list_users_of(client, id, opts)
    if not call then return nil, err end
    if not authorized then
      local ok, failure = authorize(client, opts)
      authorized, refusal = true, not ok and failure
    end
    if not refusal then return call end
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
  -- Pushes the next of the calls; true when it has ended. An error (of on_event, say) ends them all.
  local function push_next()
    at = at > 1 and at <= #calls and at - 1 or #calls
    local call = calls[at]
    local ok, ended = pcall(push, trip, call)
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
  repeat
    fill()
    local ended, time = false, c.clock() + pace(trip and trip.hub or {})
    for _ = 1, #calls do
      ended = push_next() or ended
      if c.clock() >= time then break end
    end
    if #calls > 0 and not ended then wait(trip) end
  until #calls == 0 and last == #ids
  if trip then end_trip(trip) end
  return results, errors
end

return {
  list_users = method(begin.list_users),
  get = method(begin.get),
  token = method(begin.token),
  each_user = each_user,
  list_users_of = list_users_of,
}
