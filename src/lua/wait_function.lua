-- Waiting with a function of the caller (the option wait), and ready-made functions for some event loops
-- (podero.waits).
--
-- Arguments of this chunk, from methods.c:
--   c                 C functions, see wait.h and call_object.h
--   coroutine, debug  Lua's libraries; nil or incomplete in a sandbox
--   pcall, require, setmetatable, next, type, tostring: Lua's
local c, pcall, coroutine, debug, require, setmetatable, next, type, tostring = ...

-- The function may only sleep, or also watch the descriptor. So the poll interval begins with MIN_INTERVAL and grows by
-- GROWTH up to MAX_INTERVAL. It becomes LONG_INTERVAL once the function was seen to watch the descriptor TIMES times in
-- a row. On systems without epoll it never does, since there the descriptor is not readable when a socket is ready.
-- Intervals are in seconds.
local MIN_INTERVAL, MAX_INTERVAL, GROWTH, LONG_INTERVAL, TIMES = 0.001, 0.02, 1.25, 1, 3

-- Maximum number of seconds for which waits.luv waits if luv cannot watch the descriptor.
local FALLBACK_INTERVAL = 0.01

-- Returns the current coroutine, or nil in the main thread.
local function current_thread()
  local thread, is_main = nil, nil
  if coroutine then thread, is_main = coroutine.running() end
  return not is_main and thread or nil
end

-- plain Lua 5.1 -------------------------------------------------------------------------------------------------------

-- Whether a coroutine can yield across pcall; nil if not yet known. On plain Lua 5.1 it cannot.
local pcall_yields

local function test_pcall()
  local thread = coroutine.create(function() pcall(coroutine.yield) end)
  coroutine.resume(thread)
  pcall_yields = coroutine.status(thread) == "suspended"
end

-- Returns the current coroutine if it cannot yield across pcall, else nil.
local function unprotected_thread()
  local thread = current_thread()
  if thread and pcall_yields == nil then test_pcall() end
  return not pcall_yields and thread or nil
end

-- Keeps the waiter's wakeup for reuse. If the waiter has a ticket to supply credentials (see credentials.lua), returns
-- it, so that another waiter can get one.
local function leave(waiter)
  local wakeup, ticket = waiter.wakeup, waiter.ticket
  waiter.wakeup, waiter.ticket = nil, nil
  if wakeup then c.keep_wakeup(wakeup) end
  if ticket then c.release_credentials(waiter.client, ticket) end
end

-- Ends the waiter's calls, after an error in `wait`.
local function abandon(waiter)
  c.stop(waiter.calls)
  leave(waiter)
end

-- Coroutines that are in a function of the caller without pcall, by waiter. If the function raises an error, the
-- coroutine stays in this table until end_abandoned finds it.
local unprotected = setmetatable({}, { __mode = "kv" })

local function call_unprotected(waiter, thread, f, ...)
  unprotected[waiter] = thread
  local value, message = f(...)
  unprotected[waiter] = nil
  return true, value, message
end

-- Calls a function of the caller that may yield. Returns what pcall returns. In a coroutine on plain Lua 5.1, errors of
-- the function are not caught.
local function call(waiter, f, ...)
  local thread = not pcall_yields and unprotected_thread()
  if thread then return call_unprotected(waiter, thread, f, ...) end
  return pcall(f, ...)
end

-- Returns whether `call` would not catch errors here.
local function is_unprotected()
  return not pcall_yields and unprotected_thread() ~= nil
end

-- Calls the client's function `wait`. If that raises an error, ends the waiter's calls and raises the error again.
local function call_wait(waiter, seconds, fd)
  local ok, err = call(waiter, waiter.shared.wait, seconds, fd)
  if not ok then
    abandon(waiter)
    c.raise(err)
  end
end

-- Returns whether the current coroutine is in call_unprotected with this waiter, or may be.
local function is_waiting_here(waiter)
  if not debug or not debug.getinfo or not debug.getlocal then return true end
  local level, info = 2, debug.getinfo(2, "f")
  while info do
    if info.func == call_unprotected then
      local _, value = debug.getlocal(level, 1)
      if value == waiter then return true end
    end
    level = level + 1
    info = debug.getinfo(level, "f")
  end
  return false
end

-- Ends the calls whose function has raised an error that `call` did not catch. Their coroutine is dead, or it has
-- caught the error itself and is the current one.
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

-- waiting -------------------------------------------------------------------------------------------------------------

-- Waits until one of the waiter's calls may have something to do, or one poll interval.
local function wait(waiter)
  local shared, calls, wakeup = waiter.shared, waiter.calls, waiter.wakeup
  if not c.is_usable(wakeup) then
    wakeup = c.new_wakeup(calls, waiter.lacks_wakeup)
    waiter.wakeup, waiter.lacks_wakeup = wakeup, not wakeup
  end
  local attached = wakeup and c.set_wakeup(calls, wakeup)
  shared.watches_descriptor = shared.watches_descriptor or 0
  local interval = attached and shared.watches_descriptor >= TIMES and LONG_INTERVAL or waiter.interval or MIN_INTERVAL
  local seconds, started = c.due(calls), c.clock()
  if seconds > interval then seconds = interval end
  if c.pending(calls) then seconds = 0 end
  call_wait(waiter, seconds, wakeup and c.descriptor(wakeup))
  local readable, took = c.clear(wakeup), c.clock() - started
  if readable and took < seconds / 2 then
    shared.watches_descriptor = shared.watches_descriptor + 1
  elseif readable and took >= seconds and seconds > 0 then
    shared.watches_descriptor = 0
  end
  waiter.interval = (readable or c.pending(calls) or not attached and c.has_ready_socket(calls)) and MIN_INTERVAL
    or interval < MAX_INTERVAL and interval * GROWTH or interval
end

-- Wakes the coroutine that waits with this waiter.
local function wake(waiter)
  if waiter.wakeup then c.signal(waiter.wakeup) end
end

-- podero.waits --------------------------------------------------------------------------------------------------------

-- Functions for the option `wait`. Each loads its library when it is first called. Outside of a coroutine it blocks, as
-- a client without the option does.
local waits = setmetatable({}, { __index = function(_, name)
  c.raise("podero.waits has no '" .. tostring(name) .. "'; it has cqueues, luv and copas")
end })

function waits.cqueues(seconds, fd)
  local cqueues = require "cqueues"
  if not fd then return cqueues.sleep(seconds) end
  cqueues.poll({ pollfd = fd, events = "r" }, seconds)
  cqueues.cancel(fd) -- otherwise cqueues would mistake a later descriptor with this number for this one
end

-- Functions that end the wait on a descriptor, by descriptor. luv refuses to watch a descriptor twice, and if a
-- coroutine is closed while it waits, its watch remains.
local luv_stops = {}

-- Returns the error of a coroutine as text, with a traceback, because luv prints only strings.
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
  stop() -- in case the program itself has resumed the coroutine
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

-- new coroutines in the same event loop -------------------------------------------------------------------------------

-- For each function of podero.waits, a function that returns spawn(f), which has the event loop run f in a new
-- coroutine; or nil if that is not possible here.
local spawners = {
  [waits.cqueues] = function()
    local queue = require("cqueues").running()
    return queue and function(f) queue:wrap(f) end
  end,
  [waits.luv] = function()
    return current_thread() and function(f) coroutine.wrap(f)() end
  end,
  [waits.copas] = function()
    return current_thread() and require("copas").addthread
  end,
}

-- Returns spawn(f) for a function given as the option wait, or nil if there is none. There is none on plain Lua 5.1,
-- where an error in the new coroutine could not be caught.
local function spawner(wait_function)
  local find = spawners[wait_function]
  return find and not unprotected_thread() and find() or nil
end

return {
  wait = wait, leave = leave, wake = wake, end_abandoned = end_abandoned, waits = waits, call = call,
  is_unprotected = is_unprotected, current_thread = current_thread, spawner = spawner,
}
