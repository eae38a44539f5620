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

-- Seconds: what one iteration of the pump may cost for the sockets of one client, for all of them and the handlers that
-- it wakes, and for one of these handlers.
local SOCKETS, ITERATION, STEP = 0.0005, 0.002, 0.0005

-- How many bytes the handlers read that one iteration wakes, and how many the other work of each counts for.
local ITERATION_BYTES, HANDLER_BYTES = 128 * 1024, 8 * 1024

-- Seconds: how long an idle pump goes on; how long a handler waits for a pump to start, before it runs the sockets of
-- its client itself; how soon another is started if one has failed; how often sockets are looked at without a notifier;
-- and how long a handler sleeps at most.
local LINGER, START, RESTART, POLL, MAX_SLEEP = 0.5, 0.1, 1, 0.001, 60

-- Milliseconds. The pump never reads for so long: the notifier's timer comes first.
local READ_TIMEOUT = 2147483

local WEAK = { __mode = "v" } -- clients, and handlers that were killed, can be collected

-- The state of the scheduler. `waiters`: handlers that sleep, the longest asleep first. `clients`: those that the pump
-- runs. Both may have holes up to their counts. `generation`: counts pumps. `iteration`: counts their iterations.
-- `ends`: when the time of the current iteration is used up. `reading`: the pump waits for the notifier.
local waiters, waiter_count = setmetatable({}, WEAK), 0
local clients, client_count = setmetatable({}, WEAK), 0
local generation, running, start_again, started_by = 1, false, 0, 0
local notifier, reading, iteration, ends = nil, false, 0, 0
local semaphores = {} -- unused ones

-- The phase if a call can neither wait nor block in it, or nil.
local function refused_phase()
  local phase = get_phase and get_phase()
  return phase and not YIELDING[phase] and not BLOCKING[phase] and phase or nil
end

-- Whether a call can wait by yielding here.
local function can_yield()
  return get_phase and YIELDING[get_phase()]
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
      waiter.sleeping, waiter.listed, waiter.woken = false, false, true
      waiter.semaphore:post(1)
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
  for i = 1, client_count do
    local client = clients[i]
    clients[i] = nil
    local seconds = client and c.run(client, SOCKETS)
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
      c.notifier_watch(notifier, client)
      c.shared(client).armed = iteration
    end
  end
  c.notifier_expect(notifier, seconds)
end

-- Waits for the notifier's byte. Returns nil if none will come any more.
local function read(socket)
  reading = true
  local byte = socket:receive(1)
  reading = false
  c.notifier_clear(notifier)
  return byte
end

local function open_notifier()
  local new, cookie, address = c.notifier_new()
  if not new then return nil end
  local socket = ngx.socket.tcp()
  socket:settimeout(READ_TIMEOUT)
  local connected
  if type(address) == "string" then
    connected = socket:connect("unix:" .. address)
  else
    connected = socket:connect("127.0.0.1", address)
  end
  if connected and socket:send(cookie) and c.notifier_start(new) then
    notifier = new
    return socket
  end
  c.notifier_close(new)
  socket:close()
end

local function run_pump()
  local socket, idle_since = open_notifier(), nil
  while true do
    iteration = iteration + 1
    local due = run_clients()
    ends = c.clock() + ITERATION
    local more = wake_waiters()
    if due then
      idle_since = nil
    else
      local now = c.clock()
      idle_since, due = idle_since or now, LINGER
      if now - idle_since >= LINGER or ngx.worker.exiting() then return socket end
    end
    if not socket then
      ngx.sleep(POLL)
    else
      -- Others of the worker have their turn before the byte comes.
      if more or due == 0 then c.notifier_wake(notifier) else arm(due) end
      if not read(socket) then socket = nil end
    end
  end
end

local function pump()
  running = true
  local ok, socket = pcall(run_pump)
  if notifier then c.notifier_close(notifier) end
  notifier, running, reading = nil, false, false
  clients, client_count, generation = setmetatable({}, WEAK), 0, generation + 1
  if not ok then
    ngx.log(ngx.ERR, "podero: waiting goes on without the pump, which has failed: ", socket)
  else
    start_again = 0
    if socket then socket:close() end
  end
  for i = 1, waiter_count do -- those that began to wait just now, or all if it has failed
    local waiter = waiters[i]
    if waiter and waiter.sleeping then waiter.semaphore:post(1) end
  end
end

-- Starts the pump unless that was tried just now. nginx says nothing if it cannot run another timer.
local function start_pump()
  local now = c.clock()
  if now < start_again then return end
  start_again = now + RESTART
  started_by = ngx.timer.at(0, pump) and now + START or now
end

-- Waiters -------------------------------------------------------------------------------------------------------------

local function sleep(waiter, seconds)
  waiter.sleeping = true
  waiter.semaphore:wait(seconds < POLL and POLL or seconds < MAX_SLEEP and seconds or MAX_SLEEP)
  waiter.sleeping = false
end

local function enlist(waiter)
  local client, shared = waiter.client, waiter.shared
  if not waiter.listed then
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

-- Tells the pump, which may be reading, what the waiter waits for.
local function tell_pump(waiter)
  if not reading then return end
  if c.pending(waiter.calls) then return c.notifier_signal(notifier) end
  if waiter.shared.armed ~= iteration then
    waiter.shared.armed = iteration
    c.notifier_watch(notifier, waiter.client)
  end
  c.notifier_expect(notifier, c.due(waiter.calls, true))
end

-- Runs the sockets of the waiter's client until there is something to do for it, or a pump has started.
local function wait_alone(waiter)
  local calls = waiter.calls
  repeat
    sleep(waiter, POLL)
    c.run(waiter.client, SOCKETS)
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
    tell_pump(waiter)
    return sleep(waiter, due)
  end
  start_pump()
  local patience = started_by - c.clock()
  if patience > 0 then
    sleep(waiter, due < patience and due or patience)
  else
    wait_alone(waiter)
  end
end

-- Whether the waiter was woken by an iteration of the pump whose time is used up, and is to wait again. Not twice in a
-- row: others may use up the time of every iteration.
local function is_late(waiter)
  local late = waiter.woken and not waiter.was_late and c.clock() >= ends
  waiter.woken, waiter.was_late = false, late
  return late
end

-- Keeps for others what the waiter has used.
local function leave(waiter)
  local semaphore = waiter.semaphore
  waiter.semaphore = nil
  if semaphore and semaphore:count() == 0 then semaphores[#semaphores + 1] = semaphore end
end

-- The client was closed: who waits for its calls is to hear of it.
local function wake_pump()
  if reading then c.notifier_signal(notifier) end
end

return {
  wait = wait, leave = leave, can_yield = can_yield, refused_phase = refused_phase, wake_pump = wake_pump,
  is_late = is_late, is_here = get_phase and true, STEP = STEP,
}
