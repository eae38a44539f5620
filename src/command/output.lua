--- Where the users go: standard output, or a file that gets its name once it is whole.

local failure = require "podero.command.failure"

local output = {}

local EPIPE = 32 -- everywhere
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

--- Everything has been written.
function Sink:finish()
  if not self.part then return self:check(self.file:flush()) end
  local file = self.file
  self.file = nil
  self:check(file:close())
  self:check(os.rename(self.part, self.name))
  self.part = nil
end

--- Leaves nothing half done behind.
function Sink:discard()
  if self.file and self.part then self.file:close() end
  if self.part then os.remove(self.part) end
end

--- Standard output, or the file of that name. What lay there stays until all has been written: the text grows in
-- NAME.part. Devices are written to as they are. `before` is called before each write to a terminal.
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
