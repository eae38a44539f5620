-- Waiting with the caller's own function (the option wait), and ready-made ones for some event loops (podero.waits).
--
-- c          the C functions of lua/wait and lua/call_object
-- pcall      Lua's own
-- coroutine  Lua's library, or nil
-- debug      Lua's library, or nil, or what a sandbox has left of it
-- require    Lua's own
local c, pcall, coroutine, debug, require, setmetatable, next, type, tostring = ...

-- The function may be one that only sleeps, or one that watches the descriptor, too. So the poll interval is short at
-- first and grows up to MAX_INTERVAL, until the function has been seen to watch the descriptor TIMES times in a row.
local MIN_INTERVAL, MAX_INTERVAL, GROWTH, LONG_INTERVAL, TIMES = 0.001, 0.02, 1.25, 1, 3

-- Seconds between two looks at a descriptor that an event loop refuses to watch.
local FALLBACK_INTERVAL = 0.01

-- The coroutine that this runs in, or nil in the main one.
local function current_thread()
  local thread, is_main = nil, nil
  if coroutine then thread, is_main = coroutine.running() end
  return not is_main and thread or nil
end

-- Plain Lua 5.1 ----------------------------------------------------------------------------------

-- Whether pcall can be yielded across, once that is known: plain Lua 5.1's cannot.
local catches

local function find_out()
  local thread = coroutine.create(function() pcall(coroutine.yield) end)
  coroutine.resume(thread)
  catches = coroutine.status(thread) == "suspended"
end

-- The coroutine that cannot be protected while it waits, or nil.
local function unprotected_thread()
  local thread = current_thread()
  if thread and catches == nil then find_out() end
  return not catches and thread or nil
end

-- Keeps for others what the waiter has used.
local function leave(waiter)
  local wakeup = waiter.wakeup
  waiter.wakeup = nil
  if wakeup then c.keep_wakeup(wakeup) end
end

-- Ends the waiter's calls: an error has left its wait.
local function abandon(waiter)
  c.stop(waiter.calls)
  leave(waiter)
end

-- Coroutines that wait unprotected, by their waiters: an error out of `wait` leaves them there.
local unprotected = setmetatable({}, { __mode = "kv" })

-- Calls the client's `wait`. An error in it ends the calls, and is raised again.
local function call_wait(waiter, seconds, fd)
  local thread = not catches and unprotected_thread()
  if thread then
    unprotected[waiter] = thread
    waiter.shared.wait(seconds, fd)
    unprotected[waiter] = nil
    return
  end
  local ok, err = pcall(waiter.shared.wait, seconds, fd)
  if not ok then
    abandon(waiter)
    c.raise(err)
  end
end

-- Whether this coroutine is within call_wait with this waiter.
local function is_waiting_here(waiter)
  if not debug or not debug.getinfo or not debug.getlocal then return true end -- cannot be found out
  local level, info = 2, debug.getinfo(2, "f")
  while info do
    if info.func == call_wait then
      local _, value = debug.getlocal(level, 1)
      if value == waiter then return true end
    end
    level = level + 1
    info = debug.getinfo(level, "f")
  end
  return false
end

-- Ends the calls whose unprotected wait was left by an error: the coroutine is dead, or, having caught it, goes on.
local function end_abandoned()
  if next(unprotected) == nil then return end
  local current = current_thread()
  for waiter, thread in next, unprotected do
    if coroutine.status(thread) == "dead" or thread == current and not is_waiting_here(waiter) then
      unprotected[waiter] = nil
      abandon(waiter)
    end
  end
end

-- Waiting ----------------------------------------------------------------------------------------

local function wait(waiter)
  local shared, calls, wakeup = waiter.shared, waiter.calls, waiter.wakeup
  if not c.is_usable(wakeup) then
    wakeup = c.new_wakeup(calls, waiter.lacks_wakeup)
    waiter.wakeup, waiter.lacks_wakeup = wakeup, not wakeup
  end
  shared.watches_descriptor = shared.watches_descriptor or 0
  local interval = shared.watches_descriptor >= TIMES and LONG_INTERVAL or waiter.interval or MIN_INTERVAL
  local seconds, started = c.due(calls, true), c.clock()
  if seconds > interval then seconds = interval end
  if c.pending(calls) then seconds = 0 end
  if wakeup then c.set_wakeup(calls, wakeup) end
  call_wait(waiter, seconds, wakeup and c.descriptor(wakeup))
  local readable, took = c.clear(wakeup), c.clock() - started
  if readable and took < seconds / 2 then
    shared.watches_descriptor = shared.watches_descriptor + 1
  elseif readable and took >= seconds and seconds > 0 then
    shared.watches_descriptor = 0
  end
  waiter.interval = (readable or c.pending(calls)) and MIN_INTERVAL
    or interval < MAX_INTERVAL and interval * GROWTH or interval
end

-- Ends the wait of a waiter, with which another coroutine waits.
local function wake(waiter)
  if waiter.wakeup then c.signal(waiter.wakeup) end
end

-- podero.waits -----------------------------------------------------------------------------------

-- Functions for the option `wait`. Each loads its library when it is first called. Outside of any coroutine they block,
-- as a client without the option does.
local waits = setmetatable({}, { __index = function(_, name)
  c.raise("podero.waits has no '" .. tostring(name) .. "'; it has cqueues, luv and copas")
end })

function waits.cqueues(seconds, fd)
  local cqueues = require "cqueues"
  if not fd then return cqueues.sleep(seconds) end
  cqueues.poll({ pollfd = fd, events = "r" }, seconds)
  cqueues.cancel(fd) -- else it would take another descriptor with this number for the same
end

-- What ends the latest wait on a descriptor. luv refuses to watch one twice: of a coroutine that was closed, the watch
-- is still there.
local luv_stops = {}

-- The error that has ended a coroutine, as text: luv prints nothing else.
local function luv_message(thread, err)
  local message = tostring(err)
  return debug and debug.traceback and debug.traceback(thread, message) or message
end

function waits.luv(seconds, fd)
  local uv = require "luv"
  local thread = current_thread()
  if not thread then
    if uv.loop_mode and uv.loop_mode() then
      c.raise("podero.waits.luv: in a callback of luv, a call has to be made in a coroutine (coroutine.wrap)")
    end
    return c.poll(seconds, fd)
  end
  local stop = luv_stops[fd]
  if stop then stop() end
  local timer, watch, resumable = uv.new_timer(), fd and uv.new_poll(fd), true
  stop = function()
    if not resumable then return end
    resumable = false
    if fd then luv_stops[fd] = nil end
    timer:close()
    if watch then watch:close() end
  end
  local function resume()
    stop()
    if coroutine.status(thread) ~= "suspended" then return end
    local ok, err = coroutine.resume(thread)
    if not ok then c.raise(luv_message(thread, err)) end
  end
  if not watch and seconds > FALLBACK_INTERVAL then seconds = FALLBACK_INTERVAL end
  local milliseconds = seconds * 1000
  timer:start(milliseconds + -milliseconds % 1, 0, resume)
  if watch then
    luv_stops[fd] = stop
    watch:start("r", resume)
  end
  coroutine.yield()
  stop() -- others may have resumed it
end

function waits.copas(seconds)
  local copas = require "copas"
  local pause = copas.pause or copas.sleep
  if type(pause) ~= "function" then
    c.raise("podero.waits.copas: this Copas (" .. tostring(copas._VERSION) .. ") is too old: it has no pause or sleep")
  end
  if not current_thread() then return c.poll(seconds) end
  pause(seconds)
end

return { wait = wait, leave = leave, wake = wake, end_abandoned = end_abandoned, waits = waits }
