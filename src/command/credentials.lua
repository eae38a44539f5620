--- Takes credentials from the arguments, the environment or the terminal. A secret itself is never an argument, because
-- other users of the machine can see arguments.

local failure = require "podero.command.failure"
local input = require "podero.command.input"
local options = require "podero.command.options"
local terminal = require "podero.command.terminal"

local credentials = {}

local function from_arguments(given)
  local found = {}
  for name, is_secret in pairs(options.IS_SECRET) do
    local file = name .. "_file"
    if not is_secret then
      found[name] = given[name]
    elseif given[file] == "-" then
      found[name] = input.line(options.long(file), "-")
    else
      found[file] = given[file]
    end
  end
  return found
end

local function from_environment()
  local found = {}
  for name, is_secret in pairs(options.IS_SECRET) do
    found[name] = options.variable(options.variable_of(name))
    if is_secret then found[name .. "_file"] = options.variable(options.variable_of(name .. "_file")) end
  end
  return found
end

--- Asks for the secret `name` on the terminal. `is_given`: whether the arguments have credentials: then variables are
-- not used.
local function ask(found, name, is_given, what, question)
  found[name] = terminal.ask(question)
  if found[name] then return end
  local variable = options.variable_of(name)
  local instead = is_given and (" (%s is not used together with options for credentials)"):format(variable)
    or ", set " .. variable
  failure.setup(("%s is missing: give %s%s, or run this on a terminal, to be asked for it"):format(what,
    options.long(name .. "_file"), instead))
end

--- Returns the credentials as options of podero.new; an empty table if the environment has all of them. Like
-- podero.new, it does not mix arguments with the environment.
function credentials.find(given)
  local is_given = options.has_credentials(given)
  local found = is_given and from_arguments(given) or from_environment()
  if next(found) == nil then
    failure.setup("no credentials: set PODERO_CLIENT_ID and PODERO_CLIENT_SECRET (or PODERO_USERNAME and "
      .. "PODERO_PASSWORD, or PODERO_ACCESS_TOKEN), or give --client-id (or --username, or --access-token-file)")
  end
  if found.access_token or found.access_token_file then
    return is_given and found or {}
  elseif found.username and not (found.password or found.password_file) then
    ask(found, "password", is_given, "the password", "Password of " .. found.username)
  elseif found.client_id and not (found.client_secret or found.client_secret_file) and not found.username then
    ask(found, "client_secret", is_given, "the client's secret", "Secret of client " .. found.client_id)
  else
    return is_given and found or {} -- podero.new reads the environment itself, and names the variables in errors
  end
  return found
end

--- Returns a description of the credentials that `find` returns: the grant, and where they come from; and whether they
-- are an access token of the user's own.
function credentials.describe(given)
  local sources = {}
  for _, name in ipairs(options.CREDENTIALS) do sources[name] = options.source(given, name) end
  local function value(name) return given[name] or options.variable(options.variable_of(name)) end
  if sources.access_token then return "an access token, from " .. sources.access_token, true end
  local client = sources.client_id and ("client %s (%s), secret from %s"):format(value "client_id", sources.client_id,
    sources.client_secret or "the terminal")
  if not sources.username then return "client credentials grant, " .. client, false end
  return ("password grant, user %s (%s), password from %s%s"):format(value "username", sources.username,
    sources.password or "the terminal", client and ", " .. client or ""), false
end

--- Returns the name of a variable whose value begins or ends with a blank or a quotation mark, most likely by mistake;
-- nil if there is none.
function credentials.doubtful(given)
  for _, name in ipairs(options.CREDENTIALS) do
    local variable = options.variable_of(name)
    local value = options.variable(variable)
    if value and not options.has_credentials(given) and (value:find("^[%s\"']") or value:find("[%s\"']$")) then
      return variable
    end
  end
end

--- Returns the password of the key that --key names, nil if none is given.
function credentials.key_password(given)
  local name = given.key_password_file
  return name and input.line("--key-password-file", name)
end

return credentials
