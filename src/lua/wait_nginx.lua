-- Waiting in nginx. Each handler that waits sleeps on its own semaphore. The pump, one light thread per Lua VM, runs
-- the sockets of all clients, and posts to the semaphores of handlers whose calls have something to do. A handler that
-- waits starts the pump if there is none. The pump ends when no call has waited for a while. When the pump has nothing
-- to do, it reads from a socket. The notifier, a thread of this module (core/loop/notifier.h), writes a byte to that
-- socket when a socket of a client is ready, or at a given time.
--
-- nginx may kill a handler while it sleeps, for example if its client disconnects. So no handler depends on another.
--
-- Arguments of this chunk, from methods.c:
--   c            C functions, see wait.h, credentials.h and client.c
--   ngx          nginx's global, or nil
--   pcall, require, setmetatable, type: Lua's
--   credentials  what credentials.lua returns
local c, ngx, pcall, require, setmetatable, type, credentials = ...

-- False or nil outside of nginx, and in worker threads (ngx.run_worker_thread), whose `ngx` lacks this function.
local get_phase = type(ngx) == "table" and ngx.get_phase

-- Phases in which light threads can yield; and phases in which they cannot, but in which blocking delays no request.
local YIELDING = {
  rewrite = true, server_rewrite = true, access = true, precontent = true, content = true, timer = true,
  preread = true, ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true, proxy_ssl_cert = true,
  proxy_ssl_verify = true,
}
local BLOCKING = { init = true, init_worker = true, exit_worker = true }

-- Time limits in seconds. In one iteration of the pump: SOCKETS for the sockets of one client, ALL_SOCKETS for those of
-- all clients, and HANDLERS for all handlers that it wakes. In a handler: STEP for one step.
local SOCKETS, ALL_SOCKETS, HANDLERS, STEP = 0.0005, 0.002, 0.002, 0.0005

-- One iteration wakes handlers until they have about ITERATION_BYTES to read. Each of them counts for HANDLER_BYTES
-- more, since the rest of its work takes as long as reading that many bytes.
local ITERATION_BYTES, HANDLER_BYTES = 128 * 1024, 8 * 1024

-- While calls overlap, the next response often arrives soon. So after an iteration that has woken handlers, the pump
-- lets other requests run and iterates again, and then REPEATS times more, before it waits for the notifier, whose
-- thread takes longer. Calls no longer overlap after OVERLAP such iterations in a row in which only one call waited.
local REPEATS, OVERLAP = 2, 4

-- In seconds:
--   LINGER      how long the pump continues if no call waits
--   START       how long a handler waits for the pump to start before it runs the sockets of its client itself
--   RESTART     how long to wait before another pump is started, if one did not start or has failed
--   POLL        how often sockets are polled without a notifier
--   REOPEN      how long to wait before another notifier is opened; doubled each time, up to MAX_REOPEN
--   MAX_SLEEP   how long a handler sleeps at most
local LINGER, START, RESTART, POLL, REOPEN, MAX_REOPEN, MAX_SLEEP = 0.5, 0.1, 1, 0.001, 1, 60, 60

-- Timeouts of the connection to the notifier, in milliseconds. nginx logs an error when a read times out, so
-- READ_TIMEOUT is longer than the pump ever waits for the notifier.
local CONNECT_TIMEOUT, READ_TIMEOUT = 100, 2147483

local NEVER = 1 / 0 -- seconds

local WEAK = { __mode = "v" } -- lets Lua collect clients, and the waiters of killed handlers

-- Scheduler state of this Lua VM. Times are those of c.clock. The arrays `waiters` and `clients` are weak, so they may
-- have holes up to their counts.
--   waiters, waiter_count   waiters (see methods.lua) whose handlers sleep or have slept, the longest asleep first
--   prune_count    at this many waiters, if there is no pump, those that do not sleep are removed
--   clients, client_count   clients that the pump runs
--   generation     1 plus the number of pumps that have ended
--   running        there is a pump
--   start_at       when another pump may be started; 0 if none was started since the last one ended without an error
--   alone_at       when handlers stop waiting for a pump to start
--   notifier, connection   of the pump; both or neither
--   reading        the pump waits for the notifier, so handlers must tell the notifier what else to wait for
--   yielder        semaphore of the light thread with which the pump yields; nil if there is none
--   iteration      number of iterations of all pumps so far
--   suppliers, supplier_count   suppliers that were not removed by end_suppliers
--   handlers_until   end of the time limit of the handlers that the last iteration has woken
--
-- Fields of `shared` that are set here:
--   pump_generation   `generation` of the pump that runs the client; nil if none does
--   in_place_until    handlers supply the client's credentials until this time
--   watch_iteration   the last iteration for which the notifier was asked to watch the client's sockets
--   ran_at            when a handler last ran the client's sockets itself
--
-- Fields of a waiter that are set here:
--   semaphore      its handler sleeps on this
--   sleeping       its handler sleeps
--   listed         it is in `waiters`
--   woken          an iteration of the pump has woken its handler
--   has_yielded    what must_yield returned last
local waiters, waiter_count, prune_count = setmetatable({}, WEAK), 0, 64
local clients, client_count = setmetatable({}, WEAK), 0
local generation, running, start_at, alone_at = 1, false, 0, 0
local notifier, connection, yielder, reading, iteration, handlers_until = nil, nil, nil, false, 0, 0
local suppliers, supplier_count = {}, 0
local semaphores = {} -- unused ones, for reuse

-- Whether light threads can yield in the phase ssl_session_fetch; nil if not yet known. They can if OpenSSL has
-- OpenResty's patch, or is BoringSSL: both have the function below. Otherwise nginx kills a handler that yields there.
local fetch_can_yield

local function find_session_function()
  local ffi = require "ffi"
  ffi.cdef "const void *SSL_magic_pending_session_ptr(void);"
  return ffi.C.SSL_magic_pending_session_ptr
end

-- Returns whether light threads can yield in a phase.
local function is_yielding(phase)
  if phase == "ssl_session_fetch" and fetch_can_yield == nil then fetch_can_yield = pcall(find_session_function) end
  return YIELDING[phase] and (phase ~= "ssl_session_fetch" or fetch_can_yield)
end

-- Returns the current phase if a call can neither yield nor block in it, else nil.
local function refused_phase()
  local phase = get_phase and get_phase()
  return phase and not is_yielding(phase) and not BLOCKING[phase] and phase or nil
end

-- Returns whether a call can wait here by yielding.
local function can_yield()
  return get_phase and is_yielding(get_phase())
end

-- Wakes the handler of a waiter, which must sleep.
local function wake(waiter)
  waiter.sleeping = false
  waiter.semaphore:post(1)
end

-- the pump ------------------------------------------------------------------------------------------------------------

-- Wakes handlers whose calls have something to do, up to ITERATION_BYTES. Returns how many there were in all.
local function wake_waiters()
  local kept, found, budget = 0, 0, ITERATION_BYTES
  for i = 1, waiter_count do
    local waiter = waiters[i]
    waiters[i] = nil
    local bytes = waiter and waiter.sleeping and c.pending(waiter.calls)
    if bytes then found = found + 1 end
    if bytes and budget > 0 then
      budget = budget - bytes - HANDLER_BYTES
      waiter.listed, waiter.woken = false, true
      wake(waiter)
    elseif waiter and waiter.sleeping then
      kept = kept + 1
      waiters[kept] = waiter
    elseif waiter then
      waiter.listed = false
    end
  end
  waiter_count = kept
  return found
end

-- Ends the wait of the pump for the notifier. Call it after closing a client, so that the pump wakes the handlers that
-- wait for its calls.
local function wake_pump()
  if reading then c.notifier_signal(notifier) end
end

-- suppliers -----------------------------------------------------------------------------------------------------------
--
-- A supplier supplies the credentials of a client. It runs in a separate timer, because a function of the caller may
-- call ngx.exit, which ends all light threads of a timer. If nginx starts no timer, the handlers supply the
-- credentials.
--   client, ticket   see credentials.h
--   semaphore        posted to when the timer may have to end
--   has_started      the timer runs
--   start_until      when the timer must have started

local function run_supplier(supplier)
  credentials.supply(supplier.client, supplier.ticket, pcall)
  supplier.semaphore:post(1)
  wake_pump()
end

-- Callback of the timer. Kills the light thread that runs the functions if nobody waits for their results any more.
local function supplier_timer(_, supplier)
  local client, ticket = supplier.client, supplier.ticket
  if not c.is_asked(client, ticket) then return end
  supplier.has_started = true
  local thread = ngx.thread.spawn(run_supplier, supplier)
  while c.is_asked(client, ticket) do supplier.semaphore:wait(LINGER) end
  ngx.thread.kill(thread)
end

local function start_supplier(client)
  local now = c.clock()
  if now < (c.shared(client).in_place_until or 0) then return end
  local semaphore = require("ngx.semaphore").new()
  local supplier = { client = client, ticket = 0, semaphore = semaphore, start_until = now + START }
  supplier_count = supplier_count + 1
  suppliers[supplier_count] = supplier
  supplier.ticket = c.ask_credentials(client)
  if not ngx.timer.at(0, supplier_timer, supplier) then supplier.start_until = now end
end

-- Removes the suppliers that have ended, and ends those that have not started in time, or, if `all` is true, all of
-- them. Returns the seconds after which to call it again, or nil if no supplier is left.
local function end_suppliers(all)
  local kept, due, now = 0, nil, c.clock()
  for i = 1, supplier_count do
    local supplier = suppliers[i]
    local client, ticket, has_started = supplier.client, supplier.ticket, supplier.has_started
    suppliers[i] = nil
    if not c.is_asked(client, ticket) then
      supplier.semaphore:post(1)
    elseif all or not has_started and now >= supplier.start_until then
      c.shared(client).in_place_until = not has_started and now + RESTART or nil
      c.release_credentials(client, ticket)
      supplier.semaphore:post(1)
    else
      kept = kept + 1
      suppliers[kept] = supplier
      due = (not has_started or due == START) and START or LINGER
    end
  end
  supplier_count = kept
  return due
end

-- Runs the sockets of all clients, and removes clients that have no waiting call. Returns the seconds until the next
-- timer, pause or time limit of a client, or nil if no client is left.
local function run_clients()
  local due, kept = nil, 0
  local each = client_count * SOCKETS > ALL_SOCKETS and ALL_SOCKETS / client_count or SOCKETS
  for i = 1, client_count do
    local client = clients[i]
    clients[i] = nil
    local seconds, wants_credentials
    if client then seconds, wants_credentials = c.run(client, each) end
    if seconds then
      if wants_credentials then
        start_supplier(client)
        seconds = 0 -- so that the supplier's timer runs at once
      end
      kept = kept + 1
      clients[kept] = client
      if not due or seconds < due then due = seconds end
    elseif client then
      c.shared(client).pump_generation = nil
    end
  end
  client_count = kept
  return due
end

-- Has the notifier write a byte when a socket of a client is ready, or after `seconds`.
local function arm_notifier(seconds)
  for i = 1, client_count do
    local client = clients[i]
    if client then
      if not c.notifier_watch(notifier, client) and seconds > POLL then seconds = POLL end
      c.shared(client).watch_iteration = iteration
    end
  end
  c.notifier_wake_in(notifier, seconds)
end

local function close_notifier()
  if notifier then c.notifier_close(notifier) end
  if connection then connection:close() end
  notifier, connection = nil, nil
end

-- Opens a notifier and the connection to it. On failure, both stay nil. They also stay nil while this yields, because
-- the yielder must not use a notifier that is not started.
local function open_notifier()
  local new, cookie, address = c.notifier_new()
  if not new then return end
  local socket = ngx.socket.tcp()
  socket:settimeouts(CONNECT_TIMEOUT, CONNECT_TIMEOUT, READ_TIMEOUT)
  local connected
  if type(address) == "string" then
    connected = socket:connect("unix:" .. address)
  else
    connected = socket:connect("127.0.0.1", address)
  end
  if connected and socket:send(cookie) and c.notifier_start(new) then
    notifier, connection = new, socket
  else
    c.notifier_close(new)
    socket:close()
  end
end

-- Reads the notifier's byte. Closes the notifier if it has failed.
local function read_byte()
  if connection:receive(1) then c.notifier_clear(notifier) else close_notifier() end
end

local function write_byte()
  if notifier then c.notifier_signal(notifier) end
end

-- Writes the notifier's byte each time the semaphore is posted to, until end_yielder is called or waiting fails.
local function write_bytes(semaphore)
  repeat
    local ok, problem = semaphore:wait(MAX_SLEEP)
    if ok then write_byte() end
  until yielder ~= semaphore or not ok and problem ~= "timeout"
end

-- Runs the yielder, a light thread with which the pump yields: the pump posts to its semaphore and reads the byte.
-- nginx first runs the handlers whose semaphores were posted to before, then the yielder, and then receives events of
-- other requests and the byte. That takes less time than waking the notifier's thread. ngx.sleep(0) would not do: with
-- OpenResty's patches, its timer runs only after nginx has waited for events again.
local function run_yielder()
  local semaphore = require("ngx.semaphore").new()
  yielder = semaphore
  pcall(write_bytes, semaphore) -- for example, memory may run out
  if yielder == semaphore then
    yielder = nil
    write_byte() -- the pump may be reading
  end
end

local function end_yielder()
  local semaphore = yielder
  yielder = nil
  if semaphore then semaphore:post(1) end
end

-- Lets other light threads and requests of the worker run until the pump may have something to do, or for `seconds`. If
-- `seconds` is 0, lets them run once.
local function pause(seconds)
  if not notifier then return ngx.sleep(POLL) end
  if seconds == 0 and yielder then
    yielder:post(1)
    return read_byte()
  end
  arm_notifier(seconds)
  reading = true
  read_byte()
  reading = false
end

-- Returns whether there is a handler that sleeps and was not killed. (The count of a semaphore is negative while a
-- handler waits on it.) If this wrongly returned false, the handler would start another pump.
local function is_needed()
  for i = 1, waiter_count do
    local waiter = waiters[i]
    if waiter and waiter.sleeping and waiter.semaphore:count() < 0 then return true end
  end
  return false
end

-- Runs until no call waits or, while the worker is exiting, no handler sleeps.
local function run_pump()
  local open_at, reopen, idle_since, check_at = 0, REOPEN, nil, 0
  local repeats, overlap = 0, 0
  pcall(ngx.thread.spawn, run_yielder) -- on failure, `yielder` stays nil
  while true do
    if not notifier and c.clock() >= open_at then
      open_notifier()
      open_at, reopen = c.clock() + reopen, reopen < MAX_REOPEN and reopen * 2 or reopen
    end
    iteration = iteration + 1
    local exiting = ngx.worker.exiting()
    if exiting and c.clock() >= check_at then
      if not is_needed() then return end -- the calls of killed handlers do not delay the exit
      check_at = c.clock() + LINGER
    end
    local due = run_clients()
    local suppliers_due = supplier_count > 0 and end_suppliers()
    handlers_until = c.clock() + HANDLERS
    local found = wake_waiters()
    if found + waiter_count > 1 then overlap = OVERLAP end
    if found > 0 and overlap > 0 then
      due, repeats, overlap = 0, REPEATS, overlap - 1
    elseif due and repeats > 0 then
      due, repeats = 0, repeats - 1
    end
    if not due then
      local now = c.clock()
      idle_since = idle_since or now
      due = idle_since + LINGER - now
      if due <= 0 or exiting then return end
    else
      idle_since = nil
    end
    -- Nothing wakes the pump when the worker exits. While sockets are in use, timers of libcurl are due soon enough.
    local limit = suppliers_due or exiting and LINGER
    pause(limit and due > limit and limit or due)
  end
end

-- Callback of the timer: runs one pump.
local function pump()
  if running then return end -- the timer of an earlier attempt ran late
  running = true
  local ok, problem = pcall(run_pump)
  pcall(end_suppliers, true)
  end_yielder()
  close_notifier()
  running, reading = false, false
  clients, client_count, generation = setmetatable({}, WEAK), 0, generation + 1
  if ok then
    start_at = 0
  else
    ngx.log(ngx.ERR, "podero: the pump has failed, calls wait without it: ", problem)
  end
  for i = 1, waiter_count do -- handlers that have just begun to wait, or all if the pump has failed
    local waiter = waiters[i]
    if waiter and waiter.sleeping then wake(waiter) end
  end
end

-- Starts a pump, unless that was tried less than RESTART ago. If too many timers are running, nginx drops this one
-- without an error, so handlers wait for the pump only until alone_at. If an earlier attempt has failed, they do not
-- wait for it.
local function start_pump()
  local now = c.clock()
  if now < start_at then return end
  local is_first = start_at == 0
  start_at = now + RESTART
  local ok = ngx.timer.at(0, pump)
  alone_at = ok and is_first and now + START or now
end

-- waiters -------------------------------------------------------------------------------------------------------------

-- Sleeps until the waiter is woken, or for `seconds`, at least POLL and at most MAX_SLEEP.
local function sleep(waiter, seconds)
  waiter.sleeping = true
  local ok, problem = waiter.semaphore:wait(seconds < POLL and POLL or seconds < MAX_SLEEP and seconds or MAX_SLEEP)
  waiter.sleeping = false
  if not ok and problem ~= "timeout" then -- nginx does not allow it here any more
    c.block(waiter.calls)
    c.run(waiter.client, SOCKETS)
  end
end

-- Removes waiters that do not sleep any more.
local function prune_waiters()
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
  waiter_count, prune_count = kept, 2 * kept + 64
end

-- Adds the waiter and its client to those that the pump serves.
local function add_waiter(waiter)
  local client, shared = waiter.client, waiter.shared
  if not waiter.listed then
    if not running and waiter_count >= prune_count then prune_waiters() end
    waiter.listed = true
    waiter_count = waiter_count + 1
    waiters[waiter_count] = waiter
  end
  if shared.pump_generation ~= generation then
    shared.pump_generation = generation
    client_count = client_count + 1
    clients[client_count] = client
  end
end

-- If the pump is reading, has the notifier wake it when the client's next timer is due, or after `seconds`.
local function update_timer(client, seconds)
  if not reading then return end
  local timer = c.timer(client)
  c.notifier_wake_in(notifier, timer < seconds and timer or seconds)
end

-- If the pump is reading, has the notifier wake it when this waiter's calls have something to do, or after `due`
-- seconds.
local function update_notifier(waiter, due)
  if not reading then return end
  if c.pending(waiter.calls) then return c.notifier_signal(notifier) end
  local client, shared = waiter.client, waiter.shared
  if shared.watch_iteration ~= iteration then
    shared.watch_iteration = iteration
    if not c.notifier_watch(notifier, client) then due = POLL end
  end
  update_timer(client, due)
end

-- Waits without a pump: runs the client's sockets until the calls have something to do or a pump has started.
local function wait_alone(waiter)
  local client, shared, calls = waiter.client, waiter.shared, waiter.calls
  repeat
    sleep(waiter, POLL)
    local now = c.clock()
    if now - (shared.ran_at or 0) >= POLL / 2 then -- unless another handler has just run them
      shared.ran_at = now
      c.run(client, SOCKETS)
    end
    start_pump()
  until running or c.pending(calls) or c.due(calls) == 0
end

-- Sleeps until the calls may have something to do. Yields at least once.
local function wait(waiter)
  if not waiter.semaphore then
    local count = #semaphores
    waiter.semaphore = semaphores[count] or require("ngx.semaphore").new()
    semaphores[count] = nil
  end
  add_waiter(waiter)
  local due = c.due(waiter.calls)
  if running then
    update_notifier(waiter, due)
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

-- Returns whether the handler has to wait again without doing anything, because the handlers of this iteration have
-- used up their time. The next iteration wakes it again. Never true twice in a row, so that the handler does run.
local function must_yield(waiter)
  local must = waiter.woken and not waiter.has_yielded and c.clock() >= handlers_until and c.pending(waiter.calls)
  waiter.woken, waiter.has_yielded = false, must
  return must
end

-- Releases what the waiter has used for waiting. Call it when its calls have ended. Keeps the semaphore for reuse if no
-- handler waits on it.
local function leave(waiter)
  local semaphore = waiter.semaphore
  waiter.semaphore = nil
  if semaphore and semaphore:count() == 0 then semaphores[#semaphores + 1] = semaphore end
  update_timer(waiter.client, NEVER) -- another call may use the connection now
end

-- Wakes the waiter's handler if it sleeps. Call it after the waiter's calls were stopped, perhaps by another handler.
local function wake_stopped(waiter)
  if waiter.sleeping then wake(waiter) end
  update_timer(waiter.client, NEVER)
end

-- Returns whether handlers have to supply credentials themselves, because there is no pump and none is about to start,
-- or because nginx has started no timer for a supplier.
local function supplies_in_place(shared)
  local now = c.clock()
  return now < (shared.in_place_until or 0) or not running and start_at ~= 0 and now >= alone_at
end

return {
  supplies_in_place = supplies_in_place,
  wait = wait, leave = leave, wake_stopped = wake_stopped, can_yield = can_yield, refused_phase = refused_phase,
  wake_pump = wake_pump, must_yield = must_yield, is_nginx = get_phase and true, STEP = STEP,
}
