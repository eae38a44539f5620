--- Reports errors on standard error: one line for people, or one JSON object on a line for programs.

local failure = require "podero.command.failure"
local podero = require "podero"
local rows = require "podero.command.rows"
local text = require "podero.command.text"
local wording = require "podero.command.wording"

local report = {}

--- Returns whether the arguments have `--errors json`. It applies to errors in the other arguments, too.
local function wants_json(arguments)
  for i, argument in ipairs(arguments) do
    if argument == "--" then return false end
    if argument == "--errors=json" or (argument == "--errors" and arguments[i + 1] == "json") then return true end
  end
  return false
end

local function as_line(raised, organization, given)
  if failure.is(raised) then return "podero: " .. raised.message end
  local line = "podero: " .. tostring(raised)
  if podero.is_error(raised) then
    line = "podero: " .. wording.with_kind(raised, given)
    if raised.retry_after then line = ("%s (try again in %d s)"):format(line, math.ceil(raised.retry_after)) end
  end
  if organization and not line:find(organization:lower(), 1, true) then
    line = ("%s (organization %s)"):format(line, organization)
  end
  return line
end

--- Returns the fields of an error of the module; of others, kind and message.
local function as_object(raised, organization, given)
  local object = { organization_id = organization }
  if podero.is_error(raised) then
    for name, value in pairs(raised) do object[name] = value end
    object.message = wording.of(raised.kind, raised.message, given)
  elseif failure.is(raised) then
    object.kind, object.message = raised.kind, raised.message
  else
    object.kind, object.message = "other", tostring(raised)
  end
  return object
end

--- Returns a function that reports a value that was raised. `organization`: the one whose list failed; may be nil.
-- `given`: the parsed arguments (see arguments.lua); may be nil.
function report.new(arguments)
  local is_json = wants_json(arguments)
  return function(raised, organization, given)
    if failure.is(raised) and not raised.message then return end
    if is_json then
      io.stderr:write(rows.encode(as_object(raised, organization, given or {})), "\n")
    else
      io.stderr:write(text.printable(as_line(raised, organization, given or {})), "\n")
    end
  end
end

return report
