--- How the command ends early: a failure is raised, and `main` prints its one line and ends with its exit code.

local failure = {}

local Failure = {}

--- Ends the command with exit code 1 and a line.
function failure.error(message)
  error(setmetatable({ code = 1, message = message }, Failure), 0)
end

--- Ends the command with exit code 2: it was called wrongly. `command` is the name to ask for help under.
function failure.usage(message, command)
  local hint = (" (see %s --help)"):format(command or "podero")
  error(setmetatable({ code = 2, message = message .. hint }, Failure), 0)
end

--- Ends the command silently: whoever read its output has stopped reading.
function failure.quiet()
  error(setmetatable({ code = 0 }, Failure), 0)
end

--- Whether something that was raised is one of these.
function failure.is(raised)
  return getmetatable(raised) == Failure
end

return failure
