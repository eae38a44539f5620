--- Puts messages of the module into the command's own words: they name the command's option or the environment variable
-- that a value comes from, instead of the module's option.

local options = require "podero.command.options"
local syntax = require "podero.command.syntax"
local words = require "podero.command.words"

local wording = {}

-- Secrets that the command asks for on the terminal.
local ENTERED = { client_secret = "the secret that was entered", password = "the password that was entered" }

-- Options whose values may be shown.
local SHOWN = { base_url = true, token_url = true, client_id = true, username = true, scope = true, user_agent = true }

--- Returns the name that the user knows: that of the option or variable that is given; if none is, of the option.
local function label(given, name)
  if name == "headers" then return "--header" end
  local base = name:gsub("_file$", "")
  local is_secret = options.IS_SECRET[base] or base == "key_password"
  if is_secret then name = base end
  if name == "base_url" and given.sandbox then return "--sandbox" end
  return options.source(given, name) or ENTERED[name] or options.long(is_secret and name .. "_file" or name)
end

-- Phrases of the module in errors about responses. Such an error may also quote the server: so only these phrases are
-- replaced. {name} is an option. The second text, if there is one, is what the command says instead.
local PHRASES = {
  { "no token from {token_url} ", "no token from " },
  { "check {client_id}, {client_secret} and {client_auth}, and that they are for this {base_url}",
    "check {client_id}, {client_secret} and {client_auth}, and that they are for this base URL" },
  { "check {client_id} and {client_secret}, and that they are for this {base_url}",
    "check {client_id} and {client_secret}, and that they are for this base URL" },
  { "check {username} and {password}, and {client_id} and {client_secret}" },
  { "check {username} and {password}" },
  { "check {scope}" },
  { "check {token_encoding} and {token_url}" },
  { "check {base_url} and {token_url}" },
  { "check {token_url}" },
  { "check {base_url}" },
  { "check {proxy}" },
  { "write {token_url} with" },
  { "check {access_token}: it may have expired, or be for another {base_url}",
    "check {access_token}: it may have expired, or be for another base URL" },
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
    return options.IS_SECRET[name] and label(given, name) .. " (" or nil
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

--- Replaces the options that a text names. `named(name)` returns what to call one.
local function with_names(message, named)
  message = message:gsub("tls%.([%l_]+)", named):gsub("option '([%l_]+)'", named):gsub("or set allow_http",
    "or give allow_http")
  -- Whole words only: not parts of names of files.
  return (message:gsub("%f[%w_./-]%l+_[%l_]+%f[^%w_./-]", function(name)
    return options.is_of_module(name) and named(name) or nil
  end))
end

--- Returns a message about the value of an option: `known`, what the user calls the option; the value, if it may be
-- shown; and `rest`, what is wrong with it.
local function about_value(name, value, known, rest)
  if known == "PODERO_ACCESS_TOKEN" and options.variable(known):find("^[Bb]earer ") then
    return known .. " begins with 'Bearer ': leave that out"
  end
  if not SHOWN[name] or type(value) ~= "string" then return known .. " " .. rest end
  if rest:find("^is not an absolute URL") and not value:find(":/", 1, true) then
    local scheme = syntax.is_loopback(value:match("^[^:/]*")) and "http" or "https"
    rest = ("has no scheme: %s://%s?"):format(scheme, words.quoted(value):sub(2, -2))
  end
  return ("%s %s %s"):format(known, shown(value), rest)
end

--- Returns the message, and whether it names a variable.
local function of_argument(message, given)
  message = message:gsub("^no token from token_url %S+: ", "")
  local name, rest = message:match("^([%l_]+) (.*)$")
  local variable, behind = (rest or ""):match("^%(from ([%u_]+)%) (.*)$")
  local has_variable = variable ~= nil or message:find("^PODERO_") ~= nil
  local function named(option)
    local known = label(given, option)
    has_variable = has_variable or known:find("^PODERO_") ~= nil
    return known
  end
  local first, second = message:match("^t?l?s?%.?([%l_]+) is given without t?l?s?%.?([%l_]+)$")
  if first then
    message = ("%s is given without %s"):format(named(first), named(second))
  elseif options.is_of_module(name) then
    local value = given[name] or (variable and options.variable(variable))
    message = about_value(name, value, variable or named(name), with_names(behind or rest, named))
  else
    message = with_names(message, named)
  end
  return message, has_variable
end

--- Returns a message of the module, and whether it names an environment variable as the source of a value that cannot
-- be used. `kind`: of the error; `given`: what the arguments have given, see arguments.lua.
function wording.of(kind, message, given)
  if kind == "argument" then return of_argument(message, given) end
  return of_response(message, given), false
end

--- Returns the message of an error of the module, after its kind, unless that is "argument".
function wording.with_kind(err, given)
  return (err.kind ~= "argument" and err.kind .. ": " or "") .. wording.of(err.kind, err.message, given)
end

return wording
