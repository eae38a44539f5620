--- Opens files to write to. A regular file is left unchanged until everything was written; then it is replaced.
--
-- Functions that fail return nil, a message without the name of the file, and errno.

local system = require "podero.command.system"

local file = {}

local MAX_LINKS = 40
local LOCK_ATTEMPTS = 200 -- one every hundredth of a second, to lock a file that another run writes

local function folder_of(path)
  local folder = path:match("^(.*/)[^/]*$") or "./"
  return folder:match("^(.-)/+$") or folder
end

--- Returns the descriptor of this process that a path means, such as 1 for /dev/fd/1; or nil.
local function descriptor_of(path)
  return tonumber(path:match("^/dev/fd/(%d+)$") or path:match("^/proc/self/fd/(%d+)$"))
end

--- Follows symbolic links, even to a file that does not exist yet. Returns the path, and the descriptor that it means,
-- if it means one (/dev/stdout).
local function follow(path)
  for _ = 1, MAX_LINKS do
    local descriptor = descriptor_of(path)
    if descriptor then return path, descriptor end
    local target = system.read_link(path)
    if not target then return path end
    path = target:find("^/") and target or folder_of(path) .. "/" .. target
  end
  return nil, "too many symbolic links", system.ELOOP
end

-- An open file. Fields:
--   fd         where `write` writes to
--   target     descriptor of the file that is replaced, if there is one: to write it in place if rename fails
--   path       path of the file that is replaced; nil if the file is written to directly
--   temporary  name of the temporary file, while it has one
local File = {}
File.__index = File

--- Writes text.
function File:write(text)
  return system.write(self.fd, text)
end

--- Waits until no other run writes to the file.
local function lock(descriptor)
  for attempt = 1, LOCK_ATTEMPTS do
    local ok, message, code = system.lock(descriptor)
    if ok then return true end
    if code ~= system.EAGAIN and code ~= system.EACCES then return true end -- this file system has no locks
    if attempt == LOCK_ATTEMPTS then return nil, message, code end
    system.sleep(0.01)
  end
end

--- Copies from one descriptor to another, from `position` up to `finish`.
local function copy(from, to, position, finish)
  local ok, message, code = system.seek(from, position)
  if ok then ok, message, code = system.seek(to, position) end
  while ok and position < finish do
    local text
    text, message, code = system.read(from)
    if not text then return nil, message, code end
    if text == "" then return nil, "the temporary file has become shorter" end
    text = text:sub(1, finish - position)
    ok, message, code = system.write(to, text)
    position = position + #text
  end
  if not ok then return nil, message, code end
  return true
end

--- Replaces the content of the target by that of the temporary file. The part beyond the old size is written first: if
-- the disk is full, the old content is still intact. Signals must be held.
local function write_in_place(self)
  local target = self.target
  local old, size = system.status(target).size, system.status(self.fd).size
  local ok, message, code = lock(target)
  if ok and size > old then
    ok, message, code = copy(self.fd, target, old, size)
    if ok then ok, message, code = system.sync(target) end
    if not ok then system.truncate(target, old) end
  end
  if ok then ok, message, code = copy(self.fd, target, 0, math.min(size, old)) end
  if ok then ok, message, code = system.truncate(target, size) end
  if ok then ok, message, code = system.sync(target) end
  if not ok then return nil, message, code end
  return true
end

--- Gives the temporary file mode, owner and group of the file that it replaces. Returns false if that is not possible.
local function take_over(self, status)
  local own = system.status(self.fd)
  if (own.user ~= status.user or own.group ~= status.group)
    and not system.change_owner(self.fd, status.user, status.group) then
    return false
  end
  return system.change_mode(self.fd, status.mode) == true
end

--- Renames the temporary file to the target. Returns nil if the target has to be written in place: its folder cannot be
-- written to, it is mounted on, or it belongs to somebody else.
local function rename(self)
  if not self.temporary then return nil, "no temporary file", system.EACCES end
  if self.target and not take_over(self, system.status(self.target)) then return nil, "not the owner", system.EACCES end
  local ok, message, code = system.rename(self.temporary, self.path)
  if not ok then return nil, message, code end
  self.temporary = nil
  system.forget_temporary()
  local folder = system.open(folder_of(self.path), "read")
  if folder then
    system.sync(folder)
    system.close(folder)
  end
  return true
end

local function close(self)
  if self.temporary then
    system.unlink(self.temporary)
    system.forget_temporary()
    self.temporary = nil
  end
  local ok, message, code = true, nil, nil
  for _, name in ipairs { "fd", "target" } do
    if self[name] then
      local closed, problem, number = system.close(self[name])
      if not closed then ok, message, code = nil, problem, number end
      self[name] = nil
    end
  end
  return ok, message, code
end

--- To be called after the last write: replaces the old file, and closes the file. On failure the old file is unchanged.
function File:finish()
  local ok, message, code = true, nil, nil
  if self.path then
    ok, message, code = system.sync(self.fd)
    if ok then
      ok, message, code = rename(self)
      if not ok and self.target then
        system.hold()
        ok, message, code = write_in_place(self)
        system.release()
      end
    end
  end
  local closed, problem, number = close(self)
  if not ok then return nil, message, code end
  return closed, problem, number
end

--- To be called instead of `finish`: leaves the old file unchanged, and removes the temporary one.
function File:discard()
  close(self)
end

--- Creates the temporary file in the folder of the target. If that fails and there is a target, which can be written in
-- place, creates one without a name in TMPDIR.
local function create_temporary(self)
  local folder, message, code = system.real_path(folder_of(self.path))
  if not folder then return nil, message, code end
  self.path = folder .. "/" .. self.path:match("[^/]*$")
  system.catch_signals()
  self.fd, message, code = system.create_temporary(folder)
  if self.fd then
    self.temporary = message
    return true
  end
  if not self.target then return nil, message, code end
  self.fd, message, code = system.create_temporary(os.getenv("TMPDIR") or "/tmp")
  if not self.fd then return nil, message .. " (in TMPDIR)", code end
  self.temporary = message
  system.unlink(self.temporary)
  system.forget_temporary()
  self.temporary = nil
  return true
end

local function open_replaced(path, exists)
  local self = setmetatable({ path = path }, File)
  local message, code
  if exists then
    self.target, message, code = system.open(path, "write")
    if not self.target then return nil, message, code end
  end
  local ok
  ok, message, code = create_temporary(self)
  if ok then return self end
  close(self)
  return nil, message, code
end

local function open_directly(fd, message, code)
  if not fd then return nil, message, code end
  return setmetatable({ fd = fd }, File)
end

--- Opens a file to write to. A regular file is replaced by `finish`, with its mode and owner; a new one gets mode 0600.
-- Symbolic links are followed. Devices, pipes and sockets are written to directly. A file that cannot be written is an
-- error here already.
function file.open(name)
  local path, descriptor, code = follow(name)
  if not path then return nil, descriptor, code end
  if descriptor then return open_directly(system.duplicate(descriptor)) end
  local status, message
  status, message, code = system.status(path)
  if not status then
    if code ~= system.ENOENT then return nil, message, code end
    if path == "" or path:find("/$") then return nil, message, code end
    return open_replaced(path, false)
  end
  if status.type == "file" then return open_replaced(path, true) end
  if status.type == "directory" then return nil, "it is a directory", system.EISDIR end
  if status.type == "socket" then return open_directly(system.connect(path)) end
  return open_directly(system.open(path, "write"))
end

--- Returns a descriptor as an open file that is written to directly, such as 1 for standard output.
function file.of_descriptor(fd)
  return setmetatable({ fd = fd }, File)
end

return file
