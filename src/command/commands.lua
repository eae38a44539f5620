--- The commands. Each is a module podero.command.commands.NAME that returns a table:
--
--   summary     one line for the list of commands
--   arguments   an array of the arguments that are no options, in their order: { name, key, help }; `optional`; and, as
--               with options (see option.lua), `many`, `choices`, `words` and `convert`
--   collect     function(given, values): returns the values of these arguments in the order of `arguments`; may be nil
--   options     an array of groups: { title, options }, see option.lua
--   asks        whether it sends requests to the API: then it also has the common options (see options.lua)
--   examples    an array of { description, line }
--   notes       the end of its help
--   check       function(given): raises a failure if values contradict each other
--   run         function(given, report): runs it, and returns the exit code, nil for 0. `given` has the values of
--               options by name, those of arguments by key, `command`, and `label` for failure.usage. `report`: see
--               report.lua
--
-- After adding one, describe it in docs/podero.1, and run `make completions`.

local commands = {}

--- In the order in which they are listed.
commands.NAMES = { "users", "find", "token", "get", "request", "doctor", "mock", "completion", "help" }

local is_name = {}
for _, name in ipairs(commands.NAMES) do is_name[name] = true end

--- Returns the command with this name, or nil.
function commands.find(name)
  return is_name[name] and require("podero.command.commands." .. name) or nil
end

--- Returns the line that says how a command is used.
function commands.usage(name)
  local parts = { "podero", name, "[OPTIONS]" }
  for _, one in ipairs(commands.find(name).arguments or {}) do
    local part = one.name .. (one.many and "..." or "")
    parts[#parts + 1] = one.optional and "[" .. part .. "]" or part
  end
  return table.concat(parts, " ")
end

return commands
