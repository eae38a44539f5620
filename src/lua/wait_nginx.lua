-- Waiting in nginx. A handler that waits sleeps on a semaphore. One light thread, the pump, runs the sockets of all
-- clients of the Lua VM, and posts to the semaphores of the handlers whose calls have something to do. The pump is
-- started when a handler waits, and ends when no call has been waiting for a while. While it has nothing to do, it
-- reads from a socket to which a thread of the module (core/notifier) writes when there is something.
--
-- A handler may be killed while it sleeps, because its visitor has gone: nothing else depends on its coming back.
--
-- c      the C functions of lua/wait
-- ngx    nginx's
-- pcall  Lua's own
local c, ngx, pcall, require, setmetatable, type = ...

-- Worker threads of nginx, and tests that stand in for it, have an `ngx` without this function.
local get_phase = type(ngx) == "table" and ngx.get_phase

-- Where light threads may yield; and where nothing can, but blocking harms nobody.
local YIELDING = {
  rewrite = true, server_rewrite = true, access = true, precontent = true, content = true, timer = true,
  preread = true, ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true, proxy_ssl_cert = true,
  proxy_ssl_verify = true,
}
local BLOCKING = { init = true, init_worker = true, exit_worker = true }

-- Seconds: what one iteration of the pump may cost for the sockets of one client, for those of all clients, for the
-- handlers that it wakes, and for one of these handlers.
local SOCKETS, ALL_SOCKETS, HANDLERS, STEP = 0.0005, 0.002, 0.002, 0.0005

-- How many bytes the handlers read that one iteration wakes, and how many the other work of each counts for.
local ITERATION_BYTES, HANDLER_BYTES = 128 * 1024, 8 * 1024

-- Seconds: how long an idle pump goes on; how long a handler waits for a pump to start, before it runs the sockets of
-- its client itself; how soon another is started if one has not started or has failed; how often sockets are looked at
-- without a notifier; how soon another notifier is tried, at first and at most; and how long a handler sleeps at most.
local LINGER, START, RESTART, POLL, REOPEN, MAX_REOPEN, MAX_SLEEP = 0.5, 0.1, 1, 0.001, 1, 60, 60

-- Milliseconds: for the connection to the notifier. The pump never reads for so long: the notifier's timer comes first,
-- and nginx would log it.
local CONNECT_TIMEOUT, READ_TIMEOUT = 100, 2147483

local NEVER = 1 / 0 -- seconds

local WEAK = { __mode = "v" } -- clients, and handlers that were killed, can be collected

-- The state of the scheduler. `waiters`: handlers that sleep, the longest asleep first. `clients`: those that the pump
-- runs. Both may have holes up to their counts. `crowded`: so many waiters are looked through if no pump does that.
-- `generation`: counts pumps. `running`: there is a pump. `start_at`: when the next may be started, 0 for at once.
-- `alone_at`: when a handler stops waiting for one to start. `notifier`, `connection`: the pump's, both or none.
-- `reading`: the pump waits for the notifier. `iteration`: counts the pumps' iterations. `ends`: when the time of the
-- handlers that the last one has woken is used up.
local waiters, waiter_count, crowded = setmetatable({}, WEAK), 0, 64
local clients, client_count = setmetatable({}, WEAK), 0
local generation, running, start_at, alone_at = 1, false, 0, 0
local notifier, connection, reading, iteration, ends = nil, nil, false, 0, 0
local semaphores = {} -- unused ones

-- While a TLS session is fetched, nginx can wait only if OpenSSL has OpenResty's patch, or is BoringSSL: both have this
-- function. Else nginx kills a handler that tries. Nil: not found out yet.
local fetch_can_wait

local function find_out()
  local ffi = require "ffi"
  ffi.cdef "const void *SSL_magic_pending_session_ptr(void);"
  return ffi.C.SSL_magic_pending_session_ptr
end

-- Whether light threads may yield in a phase.
local function is_yielding(phase)
  if phase == "ssl_session_fetch" and fetch_can_wait == nil then fetch_can_wait = pcall(find_out) end
  return YIELDING[phase] and (phase ~= "ssl_session_fetch" or fetch_can_wait)
end

-- The phase if a call can neither wait nor block in it, or nil.
local function refused_phase()
  local phase = get_phase and get_phase()
  return phase and not is_yielding(phase) and not BLOCKING[phase] and phase or nil
end

-- Whether a call can wait by yielding here.
local function can_yield()
  return get_phase and is_yielding(get_phase())
end

-- Wakes a waiter that sleeps.
local function wake(waiter)
  waiter.sleeping = false
  waiter.semaphore:post(1)
end

-- The pump ------------------------------------------------------------------------------------------------------------

-- Wakes the handlers that have something to do, as far as the bytes for one iteration go. True if they do not suffice.
local function wake_waiters()
  local kept, more, budget = 0, false, ITERATION_BYTES
  for i = 1, waiter_count do
    local waiter = waiters[i]
    waiters[i] = nil
    local bytes = waiter and waiter.sleeping and c.pending(waiter.calls)
    if bytes and budget > 0 then
      budget = budget - bytes - HANDLER_BYTES
      waiter.listed, waiter.woken = false, true
      wake(waiter)
    elseif waiter and waiter.sleeping then
      kept = kept + 1
      waiters[kept] = waiter
      more = more or bytes
    elseif waiter then
      waiter.listed = false
    end
  end
  waiter_count = kept
  return more
end

-- Runs the sockets of all clients, and forgets those of which no call is waiting. Returns the seconds until there is
-- something to do for one of them, whatever arrives; nil if no call is waiting.
local function run_clients()
  local due, kept = nil, 0
  local each = client_count * SOCKETS > ALL_SOCKETS and ALL_SOCKETS / client_count or SOCKETS
  for i = 1, client_count do
    local client = clients[i]
    clients[i] = nil
    local seconds = client and c.run(client, each)
    if seconds then
      kept = kept + 1
      clients[kept] = client
      if not due or seconds < due then due = seconds end
    elseif client then
      c.shared(client).pumped = nil
    end
  end
  client_count = kept
  return due
end

-- Has the notifier tell of all that the pump runs, within so many seconds.
local function arm(seconds)
  for i = 1, client_count do
    local client = clients[i]
    if client then
      if not c.notifier_watch(notifier, client) and seconds > POLL then seconds = POLL end
      c.shared(client).armed = iteration
    end
  end
  c.notifier_expect(notifier, seconds)
end

local function close_notifier()
  if notifier then c.notifier_close(notifier) end
  if connection then connection:close() end
  notifier, connection = nil, nil
end

-- Leaves `notifier` nil if there can be none now.
local function open_notifier()
  local cookie, address
  notifier, cookie, address = c.notifier_new()
  if not notifier then return end
  connection = ngx.socket.tcp()
  connection:settimeouts(CONNECT_TIMEOUT, CONNECT_TIMEOUT, READ_TIMEOUT)
  local connected
  if type(address) == "string" then
    connected = connection:connect("unix:" .. address)
  else
    connected = connection:connect("127.0.0.1", address)
  end
  if not (connected and connection:send(cookie) and c.notifier_start(notifier)) then close_notifier() end
end

-- Waits for the notifier's byte. False if none will come any more.
local function read()
  reading = true
  local byte = connection:receive(1)
  reading = false
  c.notifier_clear(notifier)
  return byte ~= nil
end

-- Gives others of the worker their turn, and comes back when there may be something to do: at once, or within so many
-- seconds.
local function pause(seconds)
  if not notifier then return ngx.sleep(POLL) end
  if seconds == 0 then c.notifier_wake(notifier) else arm(seconds) end
  if not read() then close_notifier() end
end

-- Whether a handler sleeps: nobody waits on the semaphore of one that was killed. If that were wrong, another pump
-- would be started.
local function is_needed()
  for i = 1, waiter_count do
    local waiter = waiters[i]
    if waiter and waiter.sleeping and waiter.semaphore:count() < 0 then return true end
  end
  return false
end

local function run_pump()
  local open_at, reopen, idle_since, look_at = 0, REOPEN, nil, 0
  while true do
    if not notifier and c.clock() >= open_at then
      open_notifier()
      open_at, reopen = c.clock() + reopen, reopen < MAX_REOPEN and reopen * 2 or reopen
    end
    iteration = iteration + 1
    local exiting = ngx.worker.exiting()
    if exiting and c.clock() >= look_at then
      if not is_needed() then return end -- an exit does not wait for calls that nobody waits for
      look_at = c.clock() + LINGER
    end
    local due = run_clients()
    ends = c.clock() + HANDLERS
    if wake_waiters() then due = 0 end
    if not due then
      local now = c.clock()
      idle_since = idle_since or now
      due = idle_since + LINGER - now
      if due <= 0 or exiting then return end
    else
      idle_since = nil
    end
    pause(exiting and due > LINGER and LINGER or due)
  end
end

local function pump()
  if running then return end -- two were started, since the first was late
  running = true
  local ok, problem = pcall(run_pump)
  close_notifier()
  running, reading = false, false
  clients, client_count, generation = setmetatable({}, WEAK), 0, generation + 1
  if ok then
    start_at = 0
  else
    ngx.log(ngx.ERR, "podero: waiting goes on without the pump, which has failed: ", problem)
  end
  for i = 1, waiter_count do -- those that began to wait just now, or all if it has failed
    local waiter = waiters[i]
    if waiter and waiter.sleeping then wake(waiter) end
  end
end

-- Starts a pump unless that was tried just now. nginx says nothing if it drops the timer: so a handler waits for a
-- while, but not again for another attempt.
local function start_pump()
  local now = c.clock()
  if now < start_at then return end
  local is_first = start_at == 0
  start_at = now + RESTART
  local ok = ngx.timer.at(0, pump)
  alone_at = ok and is_first and now + START or now
end

-- Waiters -------------------------------------------------------------------------------------------------------------

local function sleep(waiter, seconds)
  waiter.sleeping = true
  local ok, problem = waiter.semaphore:wait(seconds < POLL and POLL or seconds < MAX_SLEEP and seconds or MAX_SLEEP)
  waiter.sleeping = false
  if not ok and problem ~= "timeout" then -- nginx has come to let nobody wait here
    c.block(waiter.calls)
    c.run(waiter.client, SOCKETS)
  end
end

-- Forgets the handlers that do not sleep any more.
local function forget_awake()
  local kept = 0
  for i = 1, waiter_count do
    local waiter = waiters[i]
    waiters[i] = nil
    if waiter and waiter.sleeping then
      kept = kept + 1
      waiters[kept] = waiter
    elseif waiter then
      waiter.listed = false
    end
  end
  waiter_count, crowded = kept, 2 * kept + 64
end

local function enlist(waiter)
  local client, shared = waiter.client, waiter.shared
  if not waiter.listed then
    if not running and waiter_count >= crowded then forget_awake() end
    waiter.listed = true
    waiter_count = waiter_count + 1
    waiters[waiter_count] = waiter
  end
  if shared.pumped ~= generation then
    shared.pumped = generation
    client_count = client_count + 1
    clients[client_count] = client
  end
end

-- Has the pump, if it is reading, come back when the client's next timer is due, or within so many seconds.
local function tell_timers(client, seconds)
  if not reading then return end
  local timer = c.timer(client)
  c.notifier_expect(notifier, timer < seconds and timer or seconds)
end

-- Tells the pump, if it is reading, what the waiter waits for.
local function tell_pump(waiter, due)
  if not reading then return end
  if c.pending(waiter.calls) then return c.notifier_signal(notifier) end
  local client, shared = waiter.client, waiter.shared
  if shared.armed ~= iteration then
    shared.armed = iteration
    if not c.notifier_watch(notifier, client) then due = POLL end
  end
  tell_timers(client, due)
end

-- Runs the sockets of the waiter's client until there is something to do for it, or a pump has started.
local function wait_alone(waiter)
  local client, shared, calls = waiter.client, waiter.shared, waiter.calls
  repeat
    sleep(waiter, POLL)
    local now = c.clock()
    if now - (shared.ran_at or 0) >= POLL / 2 then -- others may wait in the same way
      shared.ran_at = now
      c.run(client, SOCKETS)
    end
    start_pump()
  until running or c.pending(calls) or c.due(calls) == 0
end

-- Sleeps until there may be something to do for the waiter, and gives others of the worker their turn at least once.
local function wait(waiter)
  if not waiter.semaphore then
    local count = #semaphores
    waiter.semaphore = semaphores[count] or require("ngx.semaphore").new()
    semaphores[count] = nil
  end
  enlist(waiter)
  local due = c.due(waiter.calls)
  if running then
    tell_pump(waiter, due)
    return sleep(waiter, due)
  end
  start_pump()
  local patience = alone_at - c.clock()
  if patience > 0 then
    sleep(waiter, due < patience and due or patience)
  else
    wait_alone(waiter)
  end
end

-- Whether the waiter was woken by an iteration of the pump whose time is used up, and is to wait again: the next one
-- wakes it. Not twice in a row: others may use up the time of every iteration.
local function is_late(waiter)
  local late = waiter.woken and not waiter.was_late and c.clock() >= ends and c.pending(waiter.calls)
  waiter.woken, waiter.was_late = false, late
  return late
end

-- The waiter's calls have ended. Keeps for others what it has used.
local function leave(waiter)
  local semaphore = waiter.semaphore
  waiter.semaphore = nil
  if semaphore and semaphore:count() == 0 then semaphores[#semaphores + 1] = semaphore end
  tell_timers(waiter.client, NEVER) -- another call may have been waiting for a connection
end

-- The waiter's calls were stopped: by somebody else, if it sleeps.
local function stopped(waiter)
  if waiter.sleeping then wake(waiter) end
  tell_timers(waiter.client, NEVER)
end

-- The client was closed: who waits for its calls is to hear of it.
local function wake_pump()
  if reading then c.notifier_signal(notifier) end
end

return {
  wait = wait, leave = leave, stopped = stopped, can_yield = can_yield, refused_phase = refused_phase,
  wake_pump = wake_pump, is_late = is_late, is_here = get_phase and true, STEP = STEP,
}
