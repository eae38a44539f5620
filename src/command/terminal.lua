--- What needs a terminal: its width, colours, asking for a secret.

local failure = require "podero.command.failure"
local text = require "podero.command.text"
local tty = require "podero.command.tty"

local terminal = {}

-- Styles that can be read on black and on white: no yellow, cyan, blue or dim text.
terminal.BOLD, terminal.MAGENTA, terminal.RED, terminal.RESET = "\27[1m", "\27[35m", "\27[31m", "\27[0m"

local DESCRIPTORS = { [io.stdin] = 0, [io.stdout] = 1, [io.stderr] = 2 }
local DEFAULT_COLUMNS, LEAST_COLUMNS = 80, 20

--- Returns what a standard file is: "terminal", "file", "pipe" or "device"; nil if it is closed.
function terminal.kind(file)
  return tty.kind(DESCRIPTORS[file])
end

function terminal.is_terminal(file)
  return terminal.kind(file) == "terminal"
end

--- Returns whether the terminal understands escape sequences.
local function has_escapes()
  local name = os.getenv("TERM")
  return name ~= nil and name ~= "" and name ~= "dumb"
end

--- Returns whether a line on standard error can be overwritten.
function terminal.can_overwrite()
  return terminal.is_terminal(io.stderr) and has_escapes()
end

--- Returns whether to use colours on standard output. `when` is "always", "never" or "auto": if it is a terminal that
-- supports them, and NO_COLOR is not set (no-color.org).
function terminal.has_colours(when)
  if when ~= "auto" then return when == "always" end
  local unwanted = os.getenv("NO_COLOR")
  return terminal.is_terminal(io.stdout) and has_escapes() and (unwanted == nil or unwanted == "")
end

--- Returns the width of a terminal: what the terminal says, else the variable COLUMNS, else 80.
function terminal.columns(file)
  local columns = tty.columns(DESCRIPTORS[file]) or tonumber(os.getenv("COLUMNS") or "") or DEFAULT_COLUMNS
  return math.max(LEAST_COLUMNS, math.min(math.floor(columns), 10000))
end

local Escaped = {}
Escaped.__index = Escaped

function Escaped:write(...)
  for i = 1, select("#", ...) do self.sink:write(tty.escaped((select(i, ...)))) end
end

function Escaped:attach(writer)
  self.sink:attach { take = function() return tty.escaped(writer:take()) end }
end

--- Returns an object with the methods of a sink that writes to `sink` (see output.lua). If that is a terminal,
-- characters that could control it are written as \uXXXX, except for line ends and tabs.
function terminal.escaped(sink)
  return sink.is_terminal and setmetatable({ sink = sink, is_terminal = true }, Escaped) or sink
end

--- Asks for a secret on the terminal, which does not echo it. Returns nil if standard input is not a terminal.
function terminal.ask(question)
  if not terminal.is_terminal(io.stdin) then return nil end
  local secret, message = tty.ask(text.printable(question) .. ": ")
  if not secret then failure.error("cannot ask for a secret: " .. message) end
  if secret == "" then failure.setup("nothing was entered") end
  return secret
end

return terminal
