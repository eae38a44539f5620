--- Writes to standard output, or to a file that is renamed to its final name when it is complete.

local failure = require "podero.command.failure"

local output = {}

local EPIPE = 32 -- on all systems
local BUFFER_BYTES = 64 * 1024

local Sink = {}
Sink.__index = Sink

function Sink:check(ok, message, code)
  if ok then return end
  if code == EPIPE then failure.quiet() end
  failure.error(("cannot write to %s: %s"):format(self.name, message))
end

function Sink:write(...)
  if self.before then self.before() end
  self:check(self.file:write(...))
end

--- To be called after the last write. Raises a failure if not everything could be written.
function Sink:finish()
  if not self.part then return self:check(self.file:flush()) end
  local file = self.file
  self.file = nil
  self:check(file:close())
  self:check(os.rename(self.part, self.name))
  self.part = nil
end

--- To be called in place of `finish` after a failure: removes the incomplete file.
function Sink:discard()
  if self.file and self.part then self.file:close() end
  if self.part then os.remove(self.part) end
end

--- Returns a sink for standard output (`name` is nil) or for a file. The file is written as NAME.part, and replaces an
-- existing one when it is complete; devices in /dev are written to directly. `before` is called before each write if
-- standard output `is_terminal`.
function output.open(name, is_terminal, before)
  local sink = setmetatable({ file = io.stdout, name = "standard output" }, Sink)
  if name then
    sink.name = name
    sink.part = not name:find("^/dev/") and name .. ".part" or nil
    local file, message = io.open(sink.part or name, "wb")
    if not file then failure.error("cannot write to " .. message) end
    sink.file = file
  elseif is_terminal then
    sink.before = before
  end
  sink.file:setvbuf(sink.before and "line" or "full", BUFFER_BYTES)
  return sink
end

return output
