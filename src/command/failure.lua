--- Failures: errors that end the command. `main` prints the message as one line, and exits with the code.

local failure = {}

local Failure = {}

--- Ends the command with exit code 1 and a message.
function failure.error(message)
  error(setmetatable({ code = 1, message = message }, Failure), 0)
end

--- Ends the command with exit code 2, for wrong arguments. `command`: whose --help the message names.
function failure.usage(message, command)
  local hint = (" (see %s --help)"):format(command or "podero")
  error(setmetatable({ code = 2, message = message .. hint }, Failure), 0)
end

--- Ends the command with exit code 0 and no message: the reader of its output has closed the pipe.
function failure.quiet()
  error(setmetatable({ code = 0 }, Failure), 0)
end

--- Returns whether a value that was raised is a failure.
function failure.is(raised)
  return getmetatable(raised) == Failure
end

return failure
