--- The options of all commands that send requests to the API, and what they mean for the module.

local convert = require "podero.command.convert"
local option = require "podero.command.option"
local podero = require "podero"
local syntax = require "podero.command.syntax"

local options = {}

--- Options that the help of each command lists.
options.COMMON = {
  { "Common options", {
    option("--sandbox", "Use Podero's sandbox, which needs separate credentials."),
    option("--token-cache FILE", "Keep tokens in this file, for the next runs."),
    option("--timeout SECONDS", "Limit for a whole call (30); for lists, until the first user, then without a byte.",
      { convert = convert.seconds }),
    option("--errors FORM", "How errors are printed: as text, or as one JSON object on a line.",
      { choices = { "text", "json" } }),
    option("-v --verbose", "Print a line for each HTTP transfer to standard error."),
    option("-q --quiet", "Print nothing but errors to standard error."),
  } },
}

--- Options that only the man page describes.
options.CONNECTION = {
  { "Credentials", {
    option("--client-id ID", "Client credentials grant (PODERO_CLIENT_ID)."),
    option("--client-secret-file FILE", "The secret is its first line (PODERO_CLIENT_SECRET)."),
    option("--username NAME", "Password grant (PODERO_USERNAME)."),
    option("--password-file FILE", "The password is its first line (PODERO_PASSWORD)."),
    option("--access-token-file FILE", "A bearer token is its first line (PODERO_ACCESS_TOKEN)."),
    option("--scope SCOPE", "Sent with token requests."),
  } },
  { "Connections", {
    option("--base-url URL", "Default: " .. podero.PRODUCTION .. " (PODERO_BASE_URL)."),
    option("--token-url URL", "A URL, a path on the base URL, or \"auto\" (PODERO_TOKEN_URL)."),
    option("--token-encoding FORM", "How token requests are written.", { choices = { "auto", "form", "json" } }),
    option("--client-auth WAY", "How the client authenticates itself.", { choices = { "auto", "basic", "body" } }),
    option("--proxy URL", "The proxy, as libcurl reads it; default: its environment variables.", { empty = true }),
    option("--allow-http", "Allow http:// for hosts other than this one."),
    option("--ca-file FILE", "Certificates of authorities, PEM."),
    option("--ca-path FOLDER", "Folder of such certificates."),
    option("--cert FILE", "Certificate of this client, PEM."),
    option("--key FILE", "Its private key, PEM."),
    option("--key-password-file FILE", "The password of the key is its first line."),
    option("--connect-timeout SECONDS", "Default: 10.", { convert = convert.seconds }),
    option("--max-retries N", "Further attempts after the first (2).", { convert = convert.count }),
    option("--max-response-bytes N", "The maximum size of one response.", { convert = convert.bytes }),
    option("--http-version VERSION", "1.1 keeps requests off HTTP/2.", { choices = { "auto", "1.1" } }),
    option("--user-agent TEXT", "Text to put before the library's own."),
    option("--header NAME:VALUE", "A further header field of API requests; may be repeated.",
      { convert = convert.header, many = true }),
  } },
}

--- Options of every command.
options.GENERAL = { option("-h --help", "Print this help."), option("--version", "Print the version.") }

-- Options of podero.new that have the same name here.
local PASSED = {
  "base_url", "token_url", "token_encoding", "client_auth", "scope", "timeout", "connect_timeout", "max_retries",
  "max_response_bytes", "proxy", "http_version", "user_agent", "allow_http",
}
local PASSED_TLS = { "ca_file", "ca_path", "cert", "key" }

--- Returns an array of all options of a command (see commands.lua).
function options.of(command)
  local all = {}
  local function add(groups)
    for _, group in ipairs(groups or {}) do
      for _, one in ipairs(group[2]) do all[#all + 1] = one end
    end
  end
  add(command.options)
  if command.asks then
    add(options.COMMON)
    add(options.CONNECTION)
  end
  for _, one in ipairs(options.GENERAL) do all[#all + 1] = one end
  return all
end

--- Returns the header fields as a table, nil if there are none. The values of a repeated field are joined (RFC 9110,
-- 5.3).
local function headers(fields)
  if #fields == 0 then return nil end
  local made = {}
  for _, field in ipairs(fields) do
    local name, value = field[1], field[2]
    made[name] = made[name] and made[name] .. ", " .. value or value
  end
  return made
end

--- Returns the options of podero.new, without credentials.
function options.of_client(given)
  local made = { tls = {} }
  for _, name in ipairs(PASSED) do made[name] = given[name] end
  for _, name in ipairs(PASSED_TLS) do made.tls[name] = given[name] end
  if given.sandbox then made.base_url = podero.SANDBOX end
  if given.no_validate then made.validate = false end
  made.headers = headers(given.header)
  return made
end

--- Returns the value of an environment variable, nil if it is not set or empty.
function options.variable(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

--- Options of podero.new that hold credentials. Those that are true are secrets: each has an option NAME_file, too.
options.IS_SECRET = {
  client_id = false, client_secret = true, username = false, password = true, access_token = true,
}

--- The names of these options, in the order in which the man page lists them.
options.CREDENTIALS = { "client_id", "client_secret", "username", "password", "access_token" }

local is_of_module = { key_password = true }
for _, names in ipairs { PASSED, PASSED_TLS, options.CREDENTIALS } do
  for _, name in ipairs(names) do is_of_module[name] = true end
end
for name, is_secret in pairs(options.IS_SECRET) do is_of_module[name .. "_file"] = is_secret or nil end

--- Returns whether podero.new has an option of this name, also in the table `tls`, that the command may give.
function options.is_of_module(name)
  return is_of_module[name] == true
end

--- Returns what the command calls an option of podero.new.
function options.long(name)
  return "--" .. name:gsub("_", "-")
end

--- Returns the name of the environment variable for an option of podero.new.
function options.variable_of(name)
  return "PODERO_" .. name:upper()
end

--- Returns whether the arguments have credentials. If so, those of the environment are not used.
function options.has_credentials(given)
  for _, name in ipairs(options.CREDENTIALS) do
    if given[name] ~= nil or given[name .. "_file"] ~= nil then return true end
  end
  return false
end

--- Returns where the value of an option of podero.new comes from: the name of the command's option or of the
-- environment variable; nil if it is not given.
function options.source(given, name)
  local file, is_secret = name .. "_file", options.IS_SECRET[name]
  if given[name] then return options.long(name) end
  if given[file] then return options.long(file) end
  if is_secret == nil and name ~= "base_url" and name ~= "token_url" then return nil end
  if is_secret ~= nil and options.has_credentials(given) then return nil end
  for _, option_name in ipairs { name, is_secret and file or nil } do
    local variable = options.variable_of(option_name)
    if options.variable(variable) then return variable end
  end
end

--- Returns the base URL, and where it comes from.
function options.base_url(given)
  if given.sandbox then return podero.SANDBOX, "--sandbox" end
  local source = options.source(given, "base_url")
  if not source then return podero.PRODUCTION, "the default" end
  return given.base_url or options.variable "PODERO_BASE_URL", source
end

--- Returns the host of the base URL, with the port if it has one.
function options.host(given)
  local url = options.base_url(given)
  return (url:match("^%a[%w+.-]*://([^/?#]*)") or url):match("[^@]*$")
end

-- The variables that libcurl reads, by the scheme of the base URL.
local PROXIES = {
  http = { "http_proxy", "all_proxy", "ALL_PROXY" },
  https = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" },
}

--- Returns whether requests are plain http to this machine: the module sends them through no proxy of the environment.
local function is_loopback(given)
  if not options.base_url(given):lower():find("^http://") then return false end
  local host = options.host(given):gsub(":%d+$", ""):gsub("^%[(.*)%]$", "%1")
  return syntax.is_loopback(host)
end

local function proxy_of_environment(given)
  if is_loopback(given) then return nil end
  local scheme = options.base_url(given):match("^%a+"):lower()
  for _, name in ipairs(PROXIES[scheme] or PROXIES.https) do
    local proxy = options.variable(name)
    if proxy then return proxy, name end
  end
end

--- Returns the proxy that is set, without a user name and a password, and where it comes from; nil if there is none.
-- If a variable names exceptions, returns it, too: libcurl decides whether the host is one.
function options.proxy(given)
  local proxy, source = given.proxy, "--proxy"
  if proxy == nil then proxy, source = proxy_of_environment(given) end
  if proxy == nil or proxy == "" then return nil end
  proxy = proxy:match("[^@]*$"):gsub("^%a+://", "")
  return proxy, source, options.variable "no_proxy" and "no_proxy" or options.variable "NO_PROXY" and "NO_PROXY" or nil
end

return options
