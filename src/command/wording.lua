--- Puts messages of the module into the command's own words: they name the command's option or the environment variable
-- that a value comes from, instead of the module's option.

local options = require "podero.command.options"
local words = require "podero.command.words"

local wording = {}

local SECRETS = { client_secret = true, password = true, access_token = true, key_password = true }

-- Secrets that the command asks for on the terminal.
local ENTERED = { client_secret = "the secret that was entered", password = "the password that was entered" }

-- Options of the module that messages name.
local NAMES = {
  "base_url", "token_url", "client_id", "client_secret", "username", "password", "access_token", "client_secret_file",
  "password_file", "access_token_file", "token_encoding", "client_auth", "scope", "connect_timeout", "max_retries",
  "max_response_bytes", "http_version", "user_agent", "allow_http", "proxy", "timeout", "ca_file", "ca_path", "cert",
  "key", "key_password",
}
local is_name = {}
for _, name in ipairs(NAMES) do is_name[name] = true end

-- Options whose values may be shown.
local SHOWN = { base_url = true, token_url = true, client_id = true, username = true, scope = true, user_agent = true }

--- Returns the name that the user knows: that of the option or variable that is given; if none is, of the option.
local function label(given, name)
  if name == "headers" then return "--header" end
  local base = name:gsub("_file$", "")
  local is_secret = SECRETS[base]
  if is_secret then name = base end
  if name == "base_url" and given.sandbox then return "--sandbox" end
  return options.source(given, name) or ENTERED[name] or "--" .. name:gsub("_", "-") .. (is_secret and "-file" or "")
end

-- Phrases of the module in errors about responses. Such an error may also quote the server: so only these phrases are
-- replaced. {name} is an option. The second text, if there is one, is what the command says instead.
local PHRASES = {
  { "no token from {token_url} ", "no token from " },
  { "check {client_id}, {client_secret} and {client_auth}: they belong to one {base_url}",
    "check {client_id}, {client_secret} and {client_auth}: they belong to one base URL" },
  { "check {client_id} and {client_secret}: they belong to one {base_url}",
    "check {client_id} and {client_secret}: they belong to one base URL" },
  { "check {username} and {password}, and {client_id} and {client_secret}" },
  { "check {username} and {password}" },
  { "check {scope}" },
  { "check {token_encoding} and {token_url}" },
  { "check {base_url} and {token_url}" },
  { "check {token_url}" },
  { "check {base_url}" },
  { "check {proxy}" },
  { "write {token_url} with" },
  { "check {access_token}: it may have expired, and it belongs to one {base_url}",
    "check {access_token}: it may have expired, and it belongs to one base URL" },
  { "the response exceeds {max_response_bytes}" },
  { "(see tls.{cert}, tls.{key})", "(see {cert}, {key})" },
  { "(see tls.{ca_file})", "(see {ca_file})" },
  { "refused tls.{cert}", "refused {cert}" },
}

--- Replaces a plain text.
local function replace(message, old, new)
  local from, to = message:find(old, 1, true)
  if not from then return message end
  return message:sub(1, from - 1) .. new .. replace(message:sub(to + 1), old, new)
end

local function of_response(message, given)
  -- The file of a secret is read again after the server refused the secret.
  message = message:gsub("^([%l_]+)_file %(", function(name)
    return SECRETS[name] and label(given, name) .. " (" or nil
  end)
  for _, phrase in ipairs(PHRASES) do
    local old = phrase[1]:gsub("[{}]", "")
    local new = (phrase[2] or phrase[1]):gsub("{([%l_]+)}", function(name) return label(given, name) end)
    message = replace(message, old, new)
  end
  return message
end

--- Returns a value without a user name and password in it, in quotes.
local function shown(value)
  return words.quoted((value:gsub("//[^/]*@", "//...@")))
end

--- Replaces the option that a message begins with by its label and its value.
local function with_value(message, given)
  local name, rest = message:match("^([%l_]+) (.*)$")
  if not is_name[name] then return message end
  local variable, behind = rest:match("^%(from ([%u_]+)%) (.*)$")
  local value = given[name] or (variable and options.variable(variable))
  variable, rest = variable or label(given, name), behind or rest
  if variable == "PODERO_ACCESS_TOKEN" and options.variable(variable):find("^[Bb]earer ") then
    return variable .. " begins with 'Bearer ': leave that out"
  end
  if not SHOWN[name] or type(value) ~= "string" then return variable .. " " .. rest end
  if rest:find("^is not an absolute URL") and not value:find(":/", 1, true) then
    local is_local = value:find("^localhost%f[^%w.-]") or value:find("^127%.")
    rest = ("has no scheme: %s://%s?"):format(is_local and "http" or "https", words.quoted(value):sub(2, -2))
  end
  return ("%s %s %s"):format(variable, shown(value), rest)
end

local function of_argument(message, given)
  local function named(name) return label(given, name) end
  message = message:gsub("^no token from token_url %S+: ", "")
  message = message:gsub("^t?l?s?%.?([%l_]+) is given without t?l?s?%.?([%l_]+)$", function(first, second)
    return ("%s is given without %s"):format(named(first), named(second))
  end)
  message = with_value(message, given)
  message = message:gsub("tls%.([%l_]+)", named):gsub("option '([%l_]+)'", named):gsub("or set allow_http",
    "or give allow_http")
  -- Whole words only: not parts of names of files.
  return (message:gsub("%f[%w_./-]%l+_[%l_]+%f[^%w_./-]", function(name)
    return is_name[name] and named(name) or nil
  end))
end

--- Returns a message of the module. `kind`: of the error; `given`: what the arguments have given, see arguments.lua.
function wording.of(kind, message, given)
  return kind == "argument" and of_argument(message, given) or of_response(message, given)
end

return wording
