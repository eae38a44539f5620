--- Writes what the command prints: to standard output, or to a file that is replaced after everything was received.

local failure = require "podero.command.failure"
local file = require "podero.command.file"
local system = require "podero.command.system"

local output = {}

local STDOUT = 1
local BUFFER_BYTES = 64 * 1024

-- Fields: `file` (see file.lua), `name` for messages, `is_terminal`, `before`; `pieces` that are not written yet, their
-- number `count` and their size `bytes`; and `writer`, see `attach`.
local Sink = {}
Sink.__index = Sink

function Sink:check(ok, message, code)
  if ok then return end
  if code == system.EPIPE and self.name == "standard output" then failure.quiet() end
  failure.output(("cannot write to %s: %s"):format(self.name, message))
end

local function flush(self)
  if self.count == 0 then return end
  local text = table.concat(self.pieces, "", 1, self.count)
  self.count, self.bytes = 0, 0
  self:check(self.file:write(text))
end

function Sink:write(...)
  if self.before then self.before() end
  local piece
  for i = 1, select("#", ...) do
    piece = select(i, ...)
    self.count = self.count + 1
    self.pieces[self.count] = piece
    self.bytes = self.bytes + #piece
  end
  if self.bytes >= BUFFER_BYTES or (self.is_terminal and piece:find("\n$")) then flush(self) end
end

--- Has `finish` and `discard` write the text that a writer (see rows.c) still has.
function Sink:attach(writer)
  self.writer = writer
end

local function flush_all(self)
  local rest = self.writer and self.writer:take() or ""
  if rest ~= "" then self:write(rest) end
  flush(self)
end

--- Writes out what has been written so far.
function Sink:flush()
  flush(self)
end

--- To be called after the last write. Raises a failure if not everything could be written.
function Sink:finish()
  flush_all(self)
  self:check(self.file:finish())
end

--- To be called instead of `finish` after a failure. Standard output, devices and pipes get what was written; a file is
-- left unchanged.
function Sink:discard()
  if not self.file.path then pcall(flush_all, self) end
  self.file:discard()
end

--- Returns a sink for standard output (`name` is nil or "-") or for a file. If it is a terminal, `before` is called
-- before each write. Raises a failure if the file cannot be written.
function output.open(name, before)
  local sink = { name = name, pieces = {}, count = 0, bytes = 0 }
  if name == nil or name == "-" then
    sink.name, sink.file = "standard output", file.of_descriptor(STDOUT)
  else
    local message
    sink.file, message = file.open(name)
    if not sink.file then failure.output(("cannot write to %s: %s"):format(name, message)) end
  end
  sink.is_terminal = system.is_terminal(sink.file.fd)
  sink.before = sink.is_terminal and before or nil
  return setmetatable(sink, Sink)
end

--- Opens a sink as `output.open` does, calls f(sink), and finishes the sink. If f raises an error, discards the sink
-- and raises the error. Returns what f returns.
function output.use(name, before, f)
  local sink = output.open(name, before)
  local ok, result = pcall(function()
    local returned = f(sink)
    sink:finish()
    return returned
  end)
  if ok then return result end
  sink:discard()
  error(result, 0)
end

--- Writes texts to standard output. Raises a failure if that cannot be done.
function output.print(...)
  local sink = output.open()
  sink:write(...)
  sink:finish()
end

return output
