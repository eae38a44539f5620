--- Reads files that options name. "-" is standard input.

local failure = require "podero.command.failure"
local words = require "podero.command.words"

local input = {}

local MAX_LINE_BYTES = 64 * 1024

--- Calls f(file), which returns a text, or nil and a message. Raises a failure if there is no text. `option`: the name
-- of the option, for messages.
local function use(option, name, f)
  local function fail(problem)
    -- io.open puts the name before the problem.
    if problem:sub(1, #name + 2) == name .. ": " then problem = problem:sub(#name + 3) end
    local what = name == "-" and ": standard input" or " " .. words.quoted(name)
    failure.setup(("%s%s cannot be read: %s"):format(option, what, problem))
  end
  local file, message = io.stdin, nil
  if name ~= "-" then file, message = io.open(name, "rb") end
  if not file then fail(message) end
  local text, problem = f(file)
  if name ~= "-" then file:close() end
  return text or fail(problem or "unknown error")
end

--- Returns all that a file holds.
function input.read(option, name)
  return use(option, name, function(file) return file:read("*a") end)
end

--- Returns the first line of a file, without a byte order mark and the line end: a secret. It must not be empty.
function input.line(option, name)
  return use(option, name, function(file)
    local line, message = file:read("*l")
    if not line then return nil, message or "it is empty" end
    line = line:gsub("\r$", ""):gsub("^\239\187\191", "")
    if line == "" then return nil, "its first line is empty" end
    if #line > MAX_LINE_BYTES then return nil, "its first line is too long" end
    return line
  end)
end

return input
