--- Failures: errors that end the command. `main` prints the message as one line, and exits with the code.

local podero = require "podero"

local failure = {}

local Failure = {}

-- Exit codes. If several fit, the first of CODES.
failure.USAGE, failure.RETRY, failure.REFUSED, failure.NOT_FOUND, failure.OTHER = 2, 4, 3, 5, 1

local CODES = { failure.USAGE, failure.RETRY, failure.REFUSED, failure.NOT_FOUND, failure.OTHER }

--- Raises a failure. `kind`: as err.kind of the module's errors.
local function raise(code, kind, message)
  error(setmetatable({ code = code, kind = kind, message = message }, Failure), 0)
end

--- Ends the command with exit code 2, for wrong arguments. `command`: whose --help the message names.
function failure.usage(message, command)
  raise(failure.USAGE, "argument", message .. (" (see %s --help)"):format(command or "podero"))
end

--- Ends the command with exit code 2 for a fault outside of the arguments: missing credentials, a file.
function failure.setup(message)
  raise(failure.USAGE, "argument", message)
end

--- Ends the command with exit code 1: its output cannot be written.
function failure.output(message)
  raise(failure.OTHER, "output", message)
end

--- Ends the command with exit code 1 and a message.
function failure.error(message, kind)
  raise(failure.OTHER, kind or "other", message)
end

--- Ends the command without a message. `code`: the exit code; 0 by default.
function failure.quiet(code)
  error(setmetatable({ code = code or 0 }, Failure), 0)
end

--- Returns whether a value that was raised is a failure.
function failure.is(raised)
  return getmetatable(raised) == Failure
end

--- Returns the exit code for a value that was raised: a failure, an error of the module, or anything else.
function failure.code(raised)
  if failure.is(raised) then return raised.code end
  if not podero.is_error(raised) then return failure.OTHER end
  if raised.kind == "argument" then return failure.USAGE end
  if raised.retryable then return failure.RETRY end
  if raised.kind == "auth" or raised.status == 403 then return failure.REFUSED end
  if raised.kind == "not_found" or raised.status == 404 then return failure.NOT_FOUND end
  return failure.OTHER
end

--- Returns the one of two exit codes that comes first in CODES. Either may be nil.
function failure.first(a, b)
  for _, code in ipairs(CODES) do
    if a == code or b == code then return code end
  end
  return a or b
end

return failure
