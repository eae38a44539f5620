--- The options that all commands have which ask the API, and what becomes of them.

local convert = require "podero.command.convert"
local option = require "podero.command.option"
local podero = require "podero"

local options = {}

--- Those that the help of each command has.
options.COMMON = {
  { "Common options", {
    option("--sandbox", "Use Podero's sandbox, which needs separate credentials."),
    option("--token-cache FILE", "Keep tokens in this file, for the next runs."),
    option("--timeout SECONDS", "For a whole call (30); for lists, until the first user, then without a byte.",
      { convert = convert.seconds }),
    option("--errors FORM", "How errors are printed: as text, or as one JSON object on a line.",
      { choices = { "text", "json" } }),
    option("-v --verbose", "Print a line for each HTTP exchange to standard error."),
    option("-q --quiet", "Print nothing but errors to standard error."),
  } },
}

--- Those that only the man page describes.
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
    option("--proxy URL", "As libcurl reads it; else from its environment variables.", { empty = true }),
    option("--allow-http", "Allow http:// for hosts other than this one."),
    option("--ca-file FILE", "Certificates of authorities, PEM."),
    option("--ca-path FOLDER", "Folder of such certificates."),
    option("--cert FILE", "Certificate of this client, PEM."),
    option("--key FILE", "Its private key, PEM."),
    option("--key-password-file FILE", "The password of the key is its first line."),
    option("--connect-timeout SECONDS", "Default: 10.", { convert = convert.seconds }),
    option("--max-retries N", "Further attempts after the first (2).", { convert = convert.count }),
    option("--max-response-bytes N", "Of one response.", { convert = convert.bytes }),
    option("--http-version VERSION", "1.1 keeps requests off HTTP/2.", { choices = { "auto", "1.1" } }),
    option("--user-agent TEXT", "Text to put before the library's own."),
    option("--header NAME:VALUE", "A further header field of API requests; may be repeated.",
      { convert = convert.header, many = true }),
  } },
}

--- Of every command.
options.GENERAL = { option("-h --help", "Print this help."), option("--version", "Print the version.") }

-- Options of podero.new whose values have the same name.
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

--- Returns the header fields as a table; the values of one that is given twice are joined (RFC 9110, 5.3). nil if there
-- are none.
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

--- Returns the value of a variable of the environment, nil if it is not set or empty.
function options.variable(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

--- Returns the base URL, and where it comes from.
function options.base_url(given)
  if given.sandbox then return podero.SANDBOX, "--sandbox" end
  if given.base_url then return given.base_url, "--base-url" end
  local url = options.variable "PODERO_BASE_URL"
  if url then return url, "PODERO_BASE_URL" end
  return podero.PRODUCTION, "the default"
end

local PROXIES = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" }

--- Returns the proxy for https, without a user name and a password, and where it comes from; nil if there is none.
function options.proxy(given)
  local proxy, source = given.proxy, "--proxy"
  for _, name in ipairs(PROXIES) do
    if proxy == nil then proxy, source = options.variable(name), name end
  end
  if proxy == nil or proxy == "" then return nil end
  return (proxy:match("[^@]*$"):gsub("^%a+://", "")), source
end

--- Returns the name of the host that is asked.
function options.host(given)
  local url = options.base_url(given)
  return (url:match("^%a[%w+.-]*://([^/?#]*)") or url):match("[^@]*$")
end

return options
