--- Parses the arguments of the command, much as getopt_long of the GNU C library does: options may come anywhere before
-- "--", even before the command's name; "--name VALUE" and "--name=VALUE"; "-o VALUE", "-oVALUE" and "-o=VALUE"; "-vq"
-- for "-v -q".

local commands = require "podero.command.commands"
local convert = require "podero.command.convert"
local failure = require "podero.command.failure"
local options = require "podero.command.options"
local where = require "podero.command.where"
local words = require "podero.command.words"

local arguments = {}

-- Options for secrets that people try to give, and the variables to use. The values are not repeated in messages.
local SECRETS = {}
for name, is_secret in pairs(options.IS_SECRET) do
  SECRETS[options.long(name)] = is_secret and options.variable_of(name) or nil
end

-- What people know from curl, gh and others, and what it is called here.
local FOREIGN = {
  ["--json"] = "--format json", ["--csv"] = "--format csv", ["--ndjson"] = "--format ndjson",
  ["--jsonl"] = "--format ndjson", ["--fields"] = "--columns", ["-n"] = "--limit", ["-L"] = "--limit",
  ["--max"] = "--limit",
  ["--filter"] = "--where", ["-H"] = "--header", ["-d"] = "--data", ["--body"] = "--data", ["--input"] = "--data",
  ["-s"] = "--quiet", ["--silent"] = "--quiet", ["--debug"] = "--verbose", ["-m"] = "--timeout",
  ["--max-time"] = "--timeout", ["--retry"] = "--max-retries", ["--retries"] = "--max-retries",
  ["--cacert"] = "--ca-file", ["-A"] = "--user-agent", ["-x"] = "--proxy", ["--url"] = "--base-url",
  ["--host"] = "--base-url", ["--no-color"] = "--color never", ["--user"] = "--username", ["-V"] = "--version",
}

-- What there is no option for, and what to do.
local ADVICE = {
  ["-k"] = "certificates are always checked: give that of the server's authority with --ca-file",
  ["-X"] = "podero request takes the method as its first argument",
  ["--org"] = "the organization's id is an argument without an option",
}
ADVICE["--insecure"], ADVICE["--request"], ADVICE["--method"] = ADVICE["-k"], ADVICE["-X"], ADVICE["-X"]
ADVICE["--organization"], ADVICE["--org-id"] = ADVICE["--org"], ADVICE["--org"]

local function is_option(argument)
  return argument:find("^%-.") ~= nil
end

--- Returns the options of a command by their names, long and short.
local function index_of(command)
  local index = {}
  for _, one in ipairs(options.of(command)) do
    index[one.long] = one
    if one.short then index[one.short] = one end
  end
  return index
end

--- Returns the option that an argument begins with, the value in it (nil if there is none), and the rest of combined
-- flags. Returns nil if the option is unknown.
local function find_option(index, argument)
  local name, value = argument:match("^(%-%-[^=]*)=(.*)$")
  if argument:find("^%-%-") then return index[name or argument], value end
  local one = index[argument:sub(1, 2)]
  local rest = argument:sub(3)
  if not one or rest == "" then return one end
  if one.value then return one, (rest:gsub("^=", "")) end
  return one, nil, "-" .. rest
end

-- the command's name --------------------------------------------------------------------------------------------------

--- Returns whether the value of an option before the command's name is the next argument. The option may be one of any
-- command.
local function takes_next(argument)
  for _, name in ipairs(commands.NAMES) do
    local index = index_of(commands.find(name))
    local one, value, rest = find_option(index, argument)
    while rest do one, value, rest = find_option(index, rest) end
    if one then return one.value ~= nil and value == nil end
  end
  return false
end

--- Returns the position of the command's name, nil if there is none.
local function find_command(list)
  local i = 1
  while list[i] and is_option(list[i]) do
    if list[i] == "--" then return list[i + 1] and i + 1 end
    i = i + (takes_next(list[i]) and 2 or 1)
  end
  return list[i] and i or nil
end

local function unknown_command(name, rest)
  if name == "" then failure.usage("the command is empty (a variable that is not set?)") end
  if convert.organization(name) then
    failure.usage(("unknown command %s: did you mean 'podero users %s'?"):format(words.quoted(name), name))
  end
  local hint = name == "version" and ": did you mean 'podero --version'?" or words.hint(name, commands.NAMES)
  for _, argument in ipairs(rest) do
    if hint == "" and commands.find(argument) then hint = (": did you mean 'podero %s'?"):format(argument) end
  end
  failure.usage(("unknown command %s%s"):format(words.quoted(name), hint))
end

--- Returns the command's name, the arguments without it, and what to call both in messages. Without a command: "help".
local function split(list)
  local at = find_command(list)
  if not at then return "help", list, "podero" end
  local rest = {}
  for i, argument in ipairs(list) do
    if i ~= at then rest[#rest + 1] = argument end
  end
  return list[at], rest, "podero " .. list[at]
end

-- values --------------------------------------------------------------------------------------------------------------

--- Returns the value of an option or argument, converted.
local function converted(given, one, label, value)
  local function fail(reason)
    failure.usage(("%s %s: %s"):format(label, words.quoted(value), reason), given.label)
  end
  if value == "" and not one.empty then
    failure.usage(("%s is empty (a variable that is not set?)"):format(label), given.label)
  end
  if value:find("^~/") and (one.value == "FILE" or one.value == "FOLDER") then
    fail("the shell has not replaced ~: write $HOME/" .. value:sub(3))
  end
  if one.choices then
    for _, choice in ipairs(one.choices) do
      if value == choice then return value end
    end
    local once = one.many and value:find("[, ]") and (", each with its own %s"):format(label) or ""
    fail("expected " .. words.any(one.choices) .. once .. words.hint(value, one.choices))
  end
  if not one.convert then return value end
  local result, what, reason = one.convert(value)
  if result == nil then fail(reason or "expected " .. what) end
  return result
end

local function store(given, one, label, value)
  if one.many then
    table.insert(given[one.name], value)
  elseif given[one.name] ~= nil and given[one.name] ~= value then
    failure.usage(("%s is given twice"):format(label), given.label)
  else
    given[one.name] = value
  end
end

-- options -------------------------------------------------------------------------------------------------------------

--- Returns the end of a message: which option, or what else, was meant.
local function hint_for(given, index, name)
  local known = FOREIGN[name]
  if known and index[known:match("^%S+")] then return (": did you mean '%s'?"):format(known) end
  if (name == "-f" or known and known:find("^%-%-format")) and index["--query"] then
    return ": it prints the JSON as it came"
  end
  if ADVICE[name] then return ": " .. ADVICE[name] end
  local field = name:match("^%-%-(.+)$")
  if given.command == "find" and field and where.is_field(field:gsub("-", "_")) then
    return (": did you mean '%s=VALUE'?"):format((field:gsub("-", "_")))
  end
  local names = {}
  for long in pairs(index) do
    if #long > 2 then names[#names + 1] = long end
  end
  table.sort(names)
  return words.hint(name, names)
end

local function unknown_option(given, index, argument)
  local name = argument:match("^%-%-[^=]*") or argument:sub(1, 2)
  local with_dash = "-" .. argument:match("^[^=]*")
  if index[with_dash] then
    failure.usage(("unknown option '%s': did you mean '%s'?"):format(with_dash:sub(2), with_dash), given.label)
  end
  if SECRETS[name] then
    failure.usage(("%s: a secret is never an argument, because other users can see arguments: give %s-file, or set "
      .. "%s"):format(name, name, SECRETS[name]), given.label)
  end
  failure.usage(("unknown option %s%s"):format(words.quoted(name), hint_for(given, index, name)), given.label)
end

--- Returns the value that follows an option. If another option follows, the value was most likely forgotten.
local function next_value(given, index, one, label, list, i)
  local value = list[i + 1]
  local what = one.choices and words.any(one.choices) or one.value
  if value == nil then failure.usage(("%s needs a value: %s"):format(label, what), given.label) end
  if is_option(value) and (value == "--" or find_option(index, value)) then
    failure.usage(("%s needs a value: %s (or %s=%s, if that is the value)"):format(label, what, one.long, value),
      given.label)
  end
  return value
end

--- Reads the option at position `i` of the list. Returns the position of the next argument to read.
local function read_option(given, index, list, i)
  local argument = list[i]
  repeat
    local one, value, rest = find_option(index, argument)
    if not one or (#argument > 2 and index["-" .. argument:match("^[^=]*")]) then
      unknown_option(given, index, argument)
    end
    local label = argument:find("^%-%-") and one.long or one.short
    if one.value then
      if value == nil then
        value = next_value(given, index, one, label, list, i)
        i = i + 1
      end
      store(given, one, label, converted(given, one, label, value))
    elseif value then
      failure.usage(("%s has no value"):format(label), given.label)
    else
      store(given, one, label, true)
    end
    argument = rest
  until not argument
  return i + 1
end

-- arguments -----------------------------------------------------------------------------------------------------------

--- Assigns the values that belong to no option to the arguments of the command, in their order.
local function assign(given, command, values)
  local at = 1
  for _, one in ipairs(command.arguments or {}) do
    local name = one.name
    if values[at] == nil and not one.optional then
      failure.usage(("%s is missing: %s"):format(name, commands.usage(given.command)), given.label)
    end
    repeat
      if values[at] == nil then break end
      local value = converted(given, one, name, values[at])
      if one.many then table.insert(given[one.key], value) else given[one.key] = value end
      at = at + 1
    until not one.many
  end
  if values[at] then failure.usage(("unexpected argument %s"):format(words.quoted(values[at])), given.label) end
end

--- Returns the values of a command without arguments and options.
local function defaults(name, command, label)
  local given = { command = name, label = label }
  for _, one in ipairs(command.arguments or {}) do
    if one.many then given[one.key] = {} end
  end
  for _, one in ipairs(options.of(command)) do
    if one.many then given[one.name] = {} end
  end
  return given
end

local function parse_for(name, command, list, label)
  local given, index, values, i = defaults(name, command, label), index_of(command), {}, 1
  while list[i] and list[i] ~= "--" do
    if is_option(list[i]) then
      i = read_option(given, index, list, i)
      if given.help or given.version then return given end
    else
      values[#values + 1] = list[i]
      i = i + 1
    end
  end
  for j = i + 1, #list do values[#values + 1] = list[j] end
  if command.collect then values = command.collect(given, values) end
  assign(given, command, values)
  for _, one in ipairs(options.of(command)) do
    if given[one.name] == nil then given[one.name] = one.default end
  end
  return given
end

-- rules of all commands -----------------------------------------------------------------------------------------------

--- Standard input can be read only once.
local function check_standard_input(given)
  local first
  for _, name in ipairs { "client_secret_file", "password_file", "access_token_file", "key_password_file", "data" } do
    if given[name] == "-" then
      local long = options.long(name)
      if first then failure.usage(("%s and %s are both standard input"):format(first, long), given.label) end
      first = long
    end
  end
end

-- What word processors turn "-" and "--" into: U+2010 to U+2015, U+2212.
local DASHES = { "^\226\128[\144-\149]%-?%f[%w]", "^\226\136\146%-?%f[%w]" }

--- Refuses what other programs add or change by mistake. An argument that may be a secret is not repeated.
local function check_text(list)
  for i, argument in ipairs(list) do
    if argument:find("\r$") then
      failure.usage(("argument %d ends in a carriage return: a script or file with Windows line endings?")
        :format(i))
    end
    for _, dash in ipairs(DASHES) do
      local rest, count = argument:gsub(dash, "")
      if count > 0 then
        local meant = (#rest:match("^%w*") == 1 and "-" or "--") .. rest
        failure.usage(("%s begins with a dash that options do not have: did you mean %s?"):format(
          words.quoted(argument), words.quoted(meant)))
      end
    end
  end
end

--- Returns the values by name, `command`, and `label` for messages. Raises a failure if the arguments are wrong.
-- --help and --version are commands, too: `help`, whose topic is the command, and `version`.
function arguments.parse(list)
  check_text(list)
  local name, rest, label = split(list)
  local command = commands.find(name) or unknown_command(name, rest)
  local given = parse_for(name, command, rest, label)
  if given.version then return { command = "version" } end
  if given.help then return { command = "help", topic = name ~= "help" and name or nil } end
  if given.sandbox and given.base_url then
    failure.usage("--sandbox and --base-url are two base URLs", given.label)
  end
  check_standard_input(given)
  if command.check then command.check(given) end
  return given
end

return arguments
