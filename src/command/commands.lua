--- The commands. Each is a module podero.command.commands.NAME, which returns a table:
--
--   summary     one line for the list of commands
--   arguments   an array of what comes without a dash, in this order: { name, key, help }, and as with options (see
--               option.lua) `many`, `choices` and `convert`; `optional`
--   collect     function(given, values): returns an array of what came without a dash in that order; may be left out
--   options     an array of groups: { title, options }, see option.lua
--   asks        whether it asks the API: then it has the common options, too (see options.lua)
--   examples    an array of { what it does, line }
--   notes       what its help says at the end
--   check       function(given): raises a failure if the values do not fit each other
--   run         function(given, report): does it, and returns its exit code, nil for 0. `given` has the values of
--               options by name, those of arguments by key, `command`, and `label` for failure.usage. See report.lua
--
-- A new one also needs its place in docs/podero.1, and `make completions`.

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
