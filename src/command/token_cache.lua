--- A token store (see the option token_store of the module) in a file, so that runs share a token. Only the user may
-- have access to it: files that others can read or write, symbolic links and anything but regular files are refused.
--
-- The file is text: HEADER, then a line for each entry with the time at which it expires, key and value, both
-- percent-encoded. It is changed in place, under a lock. Content that cannot be parsed is replaced.

local failure = require "podero.command.failure"
local percent = require "podero.command.percent"
local system = require "podero.command.system"

local token_cache = {}

local HEADER = "podero token cache 1\n"
local MAX_BYTES = 1024 * 1024
local LOCK_ATTEMPTS = 200 -- a hundredth of a second each

--- Returns why a file that is open cannot be used, or nil.
local function problem_of(fd)
  local status, message = system.status(fd)
  if not status then return message end
  if status.type ~= "file" then return "it is a " .. status.type end
  if status.user ~= system.user() then return "it belongs to another user" end
  if status.mode % 64 ~= 0 then return ("others may use it, its mode is %04o: chmod 600"):format(status.mode) end
  if status.size > MAX_BYTES then return "it is too large for a token cache" end
end

local function read_all(fd)
  local pieces = {}
  repeat
    local text, message = system.read(fd)
    if not text then return nil, message end
    pieces[#pieces + 1] = text
  until text == ""
  return table.concat(pieces)
end

--- Waits until no other run uses the file.
local function lock(fd)
  for _ = 1, LOCK_ATTEMPTS do
    local ok, message, code = system.lock(fd)
    if ok then return true end
    if code ~= system.EAGAIN and code ~= system.EACCES then return nil, message end
    system.sleep(0.01)
  end
  return nil, "another process has locked it"
end

--- Returns the file's content: a table of { expires, value } by key, without those that have expired.
local function parse(text)
  local entries, now = {}, os.time()
  if text:sub(1, #HEADER) ~= HEADER then return entries end
  for seconds, key, value in text:sub(#HEADER + 1):gmatch("(%d+) (%S+) (%S*)\n") do
    local expires = tonumber(seconds)
    if expires > now then entries[percent.decode(key)] = { expires, percent.decode(value) } end
  end
  return entries
end

local function write_all(fd, entries)
  local lines = { HEADER }
  for key, entry in pairs(entries) do
    lines[#lines + 1] = ("%d %s %s\n"):format(entry[1], percent.encode(key), percent.encode(entry[2]))
  end
  local text = table.concat(lines)
  local ok, message = system.truncate(fd, 0)
  if ok then ok, message = system.seek(fd, 0) end
  if ok then ok, message = system.write(fd, text) end
  return ok, message
end

--- Opens the file, locks it, and calls `use` with its entries; if `use` returns true, writes them. Returns nil and a
-- message on failure, otherwise true.
local function with_entries(name, use)
  local fd, message, code = system.open(name, "private")
  if not fd then return nil, code == system.ELOOP and "it is a symbolic link" or message end
  message = problem_of(fd)
  local ok, text
  if not message then ok, message = lock(fd) end
  if ok then text, message = read_all(fd) end
  ok = text ~= nil
  if ok then
    local entries = parse(text)
    if use(entries) then ok, message = write_all(fd, entries) end
  end
  system.close(fd) -- ends the lock, too
  if not ok then return nil, message end
  return true
end

local FAR = 10 * 365 * 86400

local function expiry(seconds)
  return os.time() + math.ceil(math.min(seconds or FAR, FAR))
end

--- Returns a token store. Raises a failure if the file cannot be used; creates it if it does not exist.
function token_cache.open(name)
  if name == "-" then failure.setup("--token-cache needs the name of a file: '-' cannot be read and written") end
  local ok, message = with_entries(name, function() return false end)
  if not ok then failure.setup(("--token-cache %s cannot be used: %s"):format(name, message)) end
  local store = {}

  function store.get(_, key)
    local value
    local done, problem = with_entries(name, function(entries)
      value = entries[key] and entries[key][2]
      return false
    end)
    if not done then return nil, problem end
    return value
  end

  function store.set(_, key, value, seconds)
    return with_entries(name, function(entries)
      entries[key] = { expiry(seconds), value }
      return true
    end)
  end

  function store.add(_, key, value, seconds)
    local exists
    local done, problem = with_entries(name, function(entries)
      exists = entries[key] ~= nil
      entries[key] = entries[key] or { expiry(seconds), value }
      return not exists
    end)
    if not done then return nil, problem end
    if exists then return false, "exists" end
    return true
  end

  function store.delete(_, key)
    return with_entries(name, function(entries)
      local existed = entries[key] ~= nil
      entries[key] = nil
      return existed
    end)
  end

  return store
end

return token_cache
