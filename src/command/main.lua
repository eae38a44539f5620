--- The command `podero`.

local arguments = require "podero.command.arguments"
local commands = require "podero.command.commands"
local failure = require "podero.command.failure"
local output = require "podero.command.output"
local podero = require "podero"
local reports = require "podero.command.report"
local system = require "podero.command.system"

local main = {}

local STANDARD = { [0] = "standard input", "standard output", "standard error" }

--- Refuses closed standard descriptors. A socket would soon get the number of one, and receive what is printed.
local function check_descriptors()
  for fd = 0, 2 do
    if not system.is_open(fd) then failure.error(STANDARD[fd] .. " is closed") end
  end
end

local function run(given, report)
  if given.command == "version" then return output.print(podero._VERSION, "\n") end
  return commands.find(given.command).run(given, function(raised, organization) report(raised, organization, given) end)
end

--- Runs the command with these arguments, and returns its exit code.
function main.run(list)
  local report, given = reports.new(list), nil
  local ok, result = pcall(function()
    check_descriptors()
    given = arguments.parse(list)
    return run(given, report)
  end)
  if ok then return result or 0 end
  if type(result) == "string" and result:find("interrupted!", 1, true) then system.die_of_interrupt() end
  report(result, nil, given)
  return failure.code(result)
end

return main
