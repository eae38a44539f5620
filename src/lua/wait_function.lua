-- Waiting with the caller's own function (the option wait), and ready-made ones for some event loops (podero.waits).
--
-- c          the C functions of lua/wait and lua/call_object
-- pcall      Lua's own
-- coroutine  Lua's library, or nil
-- require    Lua's own
local c, pcall, coroutine, require, setmetatable, next, type = ...

-- The function may be one that only sleeps, or one that watches the descriptor, too. So the poll interval is short at
-- first and grows up to MAX_INTERVAL, until the function has been seen to watch the descriptor TIMES times in a row.
local MIN_INTERVAL, MAX_INTERVAL, GROWTH, LONG_INTERVAL, TIMES = 0.001, 0.02, 1.25, 1, 3

-- Whether pcall can be yielded across, once that is known: plain Lua 5.1's cannot.
local catches

local function find_out()
  local thread = coroutine.create(function() pcall(coroutine.yield) end)
  coroutine.resume(thread)
  catches = coroutine.status(thread) == "suspended"
end

-- The coroutine that cannot be protected while it waits, or nil.
local function unprotected_thread()
  local thread, is_main = nil, nil
  if coroutine then thread, is_main = coroutine.running() end
  if not thread or is_main then return nil end
  if catches == nil then find_out() end
  return not catches and thread or nil
end

-- Waiters in coroutines of plain Lua 5.1, by the calls that they wait for: an error out of `wait` leaves them there.
local unprotected = setmetatable({}, { __mode = "kv" })

-- Calls `wait`. An error in it ends the calls, and is raised again.
local function call_wait(wait, calls, seconds, fd)
  local thread = not catches and unprotected_thread()
  if thread then
    unprotected[calls] = thread
    wait(seconds, fd)
    unprotected[calls] = nil
    return
  end
  local ok, err = pcall(wait, seconds, fd)
  if not ok then
    c.stop(calls)
    c.raise(err)
  end
end

-- Ends the calls whose coroutine has died in an unprotected wait.
local function stop_dead()
  for calls, thread in next, unprotected do
    if coroutine.status(thread) == "dead" then
      unprotected[calls] = nil
      c.stop(calls)
    end
  end
end

local function wait(waiter)
  local shared, calls, wakeup = waiter.shared, waiter.calls, waiter.wakeup
  if not c.is_usable(wakeup) then wakeup = c.new_wakeup(calls) end
  waiter.wakeup = wakeup
  shared.watches_descriptor = shared.watches_descriptor or 0
  local interval = shared.watches_descriptor >= TIMES and LONG_INTERVAL or waiter.interval or MIN_INTERVAL
  local seconds, started = c.due(calls, true), c.clock()
  if seconds > interval then seconds = interval end
  if c.pending(calls) then seconds = 0 end
  if wakeup then c.set_wakeup(calls, wakeup) end
  call_wait(shared.wait, calls, seconds, wakeup and c.descriptor(wakeup))
  local readable, took = c.clear(wakeup), c.clock() - started
  if readable and took < seconds / 2 then
    shared.watches_descriptor = shared.watches_descriptor + 1
  elseif readable and took >= seconds and seconds > 0 then
    shared.watches_descriptor = 0
  end
  waiter.interval = (readable or c.pending(calls)) and MIN_INTERVAL
    or interval < MAX_INTERVAL and interval * GROWTH or interval
end

-- Keeps for others what the waiter has used.
local function leave(waiter)
  local wakeup = waiter.wakeup
  waiter.wakeup = nil
  if wakeup then c.keep_wakeup(wakeup) end
end

-- podero.waits: functions for the option wait. Each loads its library when it is first called.

local waits = {}

function waits.cqueues(seconds, fd)
  local cqueues = require "cqueues"
  if not fd then return cqueues.sleep(seconds) end
  cqueues.poll({ pollfd = fd, events = "r" }, seconds)
  cqueues.cancel(fd) -- else it would take another descriptor with this number for the same
end

function waits.luv(seconds, fd)
  local uv = require "luv"
  local thread, is_main = coroutine.running()
  if not thread or is_main then
    c.raise("podero.waits.luv: calls have to be made in a coroutine")
  end
  local timer, poll = uv.new_timer(), fd and uv.new_poll(fd)
  local function resume()
    timer:close()
    if poll then poll:close() end
    local ok, err = coroutine.resume(thread)
    if not ok then c.raise(err) end
  end
  local milliseconds = seconds * 1000
  timer:start(milliseconds - milliseconds % 1 + 1, 0, resume)
  if poll then poll:start("r", resume) end
  return coroutine.yield()
end

function waits.copas(seconds)
  local copas = require "copas"
  local pause = copas.pause or copas.sleep
  if type(pause) ~= "function" then c.raise("podero.waits.copas: this Copas has neither pause nor sleep") end
  return pause(seconds)
end

return { wait = wait, leave = leave, stop_dead = stop_dead, waits = waits }
