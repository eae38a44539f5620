--- Finds the credentials: in the arguments, in the environment, or by asking for them on the terminal. A secret is
-- never an argument itself, because other users of the machine can see arguments.

local failure = require "podero.command.failure"
local options = require "podero.command.options"
local terminal = require "podero.command.terminal"

local credentials = {}

local NAMES = { "client_id", "client_secret", "username", "password", "access_token" }
local FILES = { client_secret = "client_secret_file", password = "password_file", access_token = "access_token_file" }

local MAX_BYTES = 64 * 1024

--- Returns the first line of a file, which is called `label` in messages.
local function read_line(file, label)
  local line = file:read("*l")
  line = line and line:gsub("\r$", ""):gsub("^\239\187\191", "") -- a byte order mark
  local problem = (not line and "it is empty") or (line == "" and "its first line is empty")
    or (#line > MAX_BYTES and "its first line is too long")
  if problem then failure.setup(("%s cannot be used: %s"):format(label, problem)) end
  return line
end

--- Returns the first line of standard input, for the option --`name`. Other files are read by the module itself.
local function read_standard_input(name)
  return read_line(io.stdin, ("--%s: standard input"):format(name:gsub("_", "-")))
end

local function from_arguments(arguments)
  local found = { client_id = arguments.client_id, username = arguments.username }
  for name, option in pairs(FILES) do
    if arguments[option] == "-" then
      found[name] = read_standard_input(option)
    else
      found[option] = arguments[option]
    end
  end
  return found
end

local function from_environment()
  local found = {}
  for _, name in ipairs(NAMES) do
    for _, option in ipairs { name, FILES[name] } do
      found[option] = options.variable("PODERO_" .. option:upper())
    end
  end
  return found
end

local function ask(found, name, what, question)
  found[name] = terminal.ask(question)
  if found[name] then return end
  failure.setup(("%s is missing: give --%s-file, set PODERO_%s, or run this on a terminal, to be asked for it"):format(
    what, name:gsub("_", "-"), name:upper()))
end

--- Returns the credentials as options of podero.new; an empty table if the environment has all of them. Like
-- podero.new, it does not mix arguments with the environment.
function credentials.find(arguments)
  local found = from_arguments(arguments)
  local is_given = next(found) ~= nil
  if not is_given then found = from_environment() end
  if next(found) == nil then
    failure.setup("no credentials: set PODERO_CLIENT_ID and PODERO_CLIENT_SECRET (or PODERO_USERNAME and "
      .. "PODERO_PASSWORD, or PODERO_ACCESS_TOKEN), or give --client-id (or --username, or --access-token-file)")
  end
  if found.access_token or found.access_token_file then
    return is_given and found or {}
  elseif found.username and not (found.password or found.password_file) then
    ask(found, "password", "the password", "Password of " .. found.username)
  elseif found.client_id and not (found.client_secret or found.client_secret_file) and not found.username then
    ask(found, "client_secret", "the client's secret", "Secret of client " .. found.client_id)
  else
    return is_given and found or {} -- podero.new reads the environment by itself, and names it in errors
  end
  return found
end

local function is_given_by_arguments(given)
  for _, name in ipairs(NAMES) do
    if given[name] ~= nil or given[name .. "_file"] ~= nil then return true end
  end
  return false
end

--- Returns where a credential comes from: the name of an option or a variable, nil if it is not given.
local function source_of(given, name, is_given)
  local long = "--" .. name:gsub("_", "-")
  if is_given then return given[name] and long or given[name .. "_file"] and long .. "-file" or nil end
  for _, suffix in ipairs { "", "_FILE" } do
    local variable = "PODERO_" .. name:upper() .. suffix
    if options.variable(variable) then return variable end
  end
end

--- Returns a description of the credentials that `find` finds: the grant, and where they come from; and whether they
-- are an access token, so that none is asked for.
function credentials.describe(given)
  local is_given, sources = is_given_by_arguments(given), {}
  for _, name in ipairs(NAMES) do sources[name] = source_of(given, name, is_given) end
  local function value(name) return given[name] or options.variable("PODERO_" .. name:upper()) end
  if sources.access_token then return "an access token, from " .. sources.access_token, true end
  local client = sources.client_id and ("client %s (%s), secret from %s"):format(value "client_id", sources.client_id,
    sources.client_secret or "the terminal")
  if not sources.username then return "client credentials grant, " .. client, false end
  return ("password grant, user %s (%s), password from %s%s"):format(value "username", sources.username,
    sources.password or "the terminal", client and ", " .. client or ""), false
end

--- Returns the name of a variable with a credential that begins or ends with a blank or a quotation mark, which may
-- have come there by mistake; nil if there is none.
function credentials.doubtful(given)
  for _, name in ipairs(NAMES) do
    local variable = "PODERO_" .. name:upper()
    local value = options.variable(variable)
    if value and not is_given_by_arguments(given) and (value:find("^[%s\"']") or value:find("[%s\"']$")) then
      return variable
    end
  end
end

--- Returns the password of the key that --key names, nil if none is given.
function credentials.key_password(given)
  local name = given.key_password_file
  if not name then return nil end
  if name == "-" then return read_standard_input "key_password_file" end
  local file, message = io.open(name, "rb")
  if not file then failure.setup("--key-password-file cannot be used: " .. message) end
  local line = read_line(file, ("--key-password-file (%s)"):format(name))
  file:close()
  return line
end

return credentials
