--- Parses the arguments of the command, and makes options of podero.new from them.

local FIELDS = require "podero.command.columns"
local argparse = require "argparse"
local failure = require "podero.command.failure"
local formats = require "podero.command.formats"
local podero = require "podero"
local words = require "podero.command.words"

local arguments = {}

-- conversions -------------------------------------------------------------------------------------------------------

local function seconds(value)
  local number = tonumber(value)
  if number and number > 0 then return number end
  return nil, ("expected a number of seconds above 0, got '%s'"):format(value)
end

local function count(value)
  local number = value:match("^%d+$") and tonumber(value)
  if number and number <= 1e6 then return number end
  return nil, ("expected a whole number, got '%s'"):format(value)
end

local function pair(value)
  local name, content = value:match("^([^=]+)=(.*)$")
  if name then return { name, content } end
  return nil, ("expected NAME=VALUE, got '%s'"):format(value)
end

--- The names of fields of a user, separated by commas.
local function columns(value)
  local names, is_known, seen = {}, {}, {}
  for _, name in ipairs(FIELDS) do is_known[name] = true end
  for name in (value .. ","):gmatch(" *([^,]*),") do
    name = name:match("^(.-) *$")
    if name == "" then return nil, "expected names of fields separated by commas, got '" .. value .. "'" end
    if seen[name] then return nil, "the field '" .. name .. "' is named twice" end
    local meant = not is_known[name] and words.closest(name, FIELDS)
    if meant then return nil, ("there is no field '%s': did you mean '%s'?"):format(name, meant) end
    names[#names + 1], seen[name] = name, true
  end
  return names
end

--- A character that stands between fields of CSV: nothing that is part of values or of formulas.
local function delimiter(value)
  if value == "\\t" or value == "tab" then return "\t" end
  if value:find("^[\t !#$%%&*,/:;<>?^_`{|}~]$") then return value end
  return nil, ("expected a character such as ';' or tab, got '%s'"):format(value)
end

-- the parser --------------------------------------------------------------------------------------------------------

-- Options of podero.new whose arguments have the same name and value.
local PASSED = {
  "base_url", "token_url", "token_encoding", "client_auth", "scope", "timeout", "connect_timeout", "max_retries",
  "proxy", "http_version", "user_agent", "allow_http",
}
local PASSED_TLS = { "ca_file", "ca_path", "cert", "key" }

local function add_client_options(command)
  command:group("Who is asking (a secret that is missing is asked for on the terminal)",
    command:option("--client-id", "Client credentials grant (PODERO_CLIENT_ID)."):argname("ID"),
    command:option("--client-secret-file", "The secret is its first line (PODERO_CLIENT_SECRET)."):argname("FILE"),
    command:option("--username", "Password grant (PODERO_USERNAME)."):argname("NAME"),
    command:option("--password-file", "The password is its first line (PODERO_PASSWORD)."):argname("FILE"),
    command:option("--access-token-file", "A bearer token is its first line (PODERO_ACCESS_TOKEN)."):argname("FILE"),
    command:option("--scope", "Sent with token requests."):argname("SCOPE"))
  command:group("Whom to ask",
    command:option("--base-url", "Default: " .. podero.PRODUCTION .. " (PODERO_BASE_URL)."):argname("URL"),
    command:flag("--sandbox", "The same as --base-url " .. podero.SANDBOX),
    command:option("--token-url", "A URL, a path on the base URL, or \"auto\" (PODERO_TOKEN_URL)."):argname("URL"),
    command:option("--token-encoding", "How token requests are written."):choices { "auto", "form", "json" },
    command:option("--client-auth", "How the client shows who it is."):choices { "auto", "basic", "body" },
    command:option("--proxy", "As libcurl reads it; else from its environment variables."):argname("URL"),
    command:flag("--allow-http", "Allow http:// for hosts other than this one."),
    command:option("--ca-file", "Certificates of authorities, PEM."):argname("FILE"),
    command:option("--ca-path", "Folder of such certificates."):argname("FOLDER"),
    command:option("--cert", "Certificate of this client, PEM."):argname("FILE"),
    command:option("--key", "Its private key, PEM."):argname("FILE"))
  command:group("How",
    command:option("--timeout", "For a whole call (30); for users, until the first of them, then without a byte."
      ):argname("SECONDS"):convert(seconds),
    command:option("--connect-timeout", "Default: 10."):argname("SECONDS"):convert(seconds),
    command:option("--max-retries", "Further attempts after the first (2)."):argname("N"):convert(count),
    command:option("--http-version", "1.1 keeps requests off HTTP/2."):choices { "auto", "1.1" },
    command:option("--user-agent", "Put before the library's own."):argname("TEXT"),
    command:option("--token-cache", "Keep tokens in this file, for the next runs."):argname("FILE"),
    command:option("--errors", "How errors are told: text, or one JSON object on a line."):choices { "text", "json" },
    command:flag("-v --verbose", "Tell each HTTP exchange on standard error."),
    command:flag("-q --quiet", "Tell nothing but errors on standard error."))
end

--- Returns the values of podero.Role, which not every Lua can iterate over.
local function roles()
  local role = podero.Role
  return { role.ADMIN, role.STAFF, role.USER, role.GUEST }
end

local function add_users(parser)
  local command = parser:command("users", "List the users of organizations.")
  command:usage("Usage: podero users [OPTIONS] ORG_ID...")
  command:argument("ORG_ID", "Whose users; one organization after the other."):target("org_id"):args("+")
  command:group("Which users",
    command:flag("--include-deleted", "Also those that are deleted."),
    command:option("--role", "Only this role; may be repeated."):count("*"):choices(roles()),
    command:option("--search", "Only those with this text in e-mail, names or external id, in upper or lower case."
      ):argname("TEXT"))
  command:group("Their form",
    command:option("-f --format", "Default: by the name given to --output, else table."):choices(formats.NAMES),
    command:option("-o --output", "Write to this file, which is replaced once all has come; - is standard output."
      ):argname("FILE"),
    command:option("--columns", "These fields alone, in this order."):argname("NAME,..."):convert(columns),
    command:flag("--wide", "Cut nothing off to fit the terminal."),
    command:option("--color", "Default: auto, which is for terminals; see NO_COLOR."):choices { "auto", "always",
      "never" }:default("auto"):show_default(false),
    command:flag("--count", "Print how many users there are, and nothing else."),
    command:option("--delimiter", "Between the fields of CSV (a comma)."):argname("C"):convert(delimiter),
    command:flag("--bom", "Begin CSV with a byte order mark, for spreadsheets."))
  command:group("If something is wrong",
    command:flag("--keep-going", "If the list of an organization fails, go on with the next one."),
    command:flag("--no-validate", "Accept values that are not as the API's schema has them."))
  return command
end

local function add_token(parser)
  local command = parser:command("token", "Ask for a token; print its expiry and scope.")
  command:usage("Usage: podero token [OPTIONS]")
  command:flag("--show", "Print the token itself, and nothing else.")
  return command
end

local function add_path(command)
  command:argument("PATH", "For example /api/partners/v2.0/org/ORG_ID/users"):target("path")
  command:option("--query", "A parameter; may be repeated."):count("*"):argname("NAME=VALUE"):convert(pair)
  command:option("-o --output", "Write to this file, which is replaced once all has come; - is standard output."
    ):argname("FILE")
end

local function add_get(parser)
  local command = parser:command("get", "Print the JSON of any GET of the Partner API.")
  command:usage("Usage: podero get [OPTIONS] PATH")
  add_path(command)
  return command
end

local function add_request(parser)
  local command = parser:command("request", "Send any request of the Partner API; print the JSON of its response.")
  command:usage("Usage: podero request [OPTIONS] METHOD PATH")
  command:argument("METHOD", "GET, HEAD, POST, PUT, PATCH or DELETE."):target("method"):convert(string.upper)
  add_path(command)
  command:option("--data", "The body is in this file; - is standard input."):argname("FILE")
  command:option("--content-type", "Of the body (application/json)."):argname("TYPE")
  return command
end

local function make_parser()
  local parser = argparse("podero", "Lists users of organizations from Podero's Partner API.",
    "Exit codes: 0; 2 wrong use, 4 try again later, 3 refused, 5 not found, 1 other errors. "
    .. "See man podero for environment variables and examples.")
  parser:usage("Usage: podero COMMAND [OPTIONS] ...")
  parser:help_max_width(100)
  parser:command_target("command"):require_command(true)
  parser:flag("--version", "Print the version."):action(function()
    print(podero._VERSION)
    os.exit(0)
  end)
  for _, add in ipairs { add_users, add_token, add_get, add_request } do add_client_options(add(parser)) end
  parser:add_complete_command("completion")
  return parser
end

local COMMANDS = { users = true, token = true, get = true, request = true, completion = true }

local UUID = "^" .. ("%x"):rep(8) .. ("%-" .. ("%x"):rep(4)):rep(3) .. "%-" .. ("%x"):rep(12) .. "$"

--- Checks the arguments of `users` that argparse cannot check by itself, and sets format and delimiter if they are to
-- be guessed. What is wrong with an id is to be found before anything is requested.
local function check_users(parsed, name)
  for _, id in ipairs(parsed.org_id) do
    if not id:find(UUID) then failure.usage(("the organization id is not a UUID: '%s'"):format(id), name) end
  end
  local guessed, delimiter_of_name = formats.guess(parsed.output)
  if parsed.count then
    for _, option in ipairs { "format", "columns", "delimiter", "bom" } do
      if parsed[option] then failure.usage(("--count prints a number: it has no --%s"):format(option), name) end
    end
  end
  parsed.delimiter = parsed.delimiter or (not parsed.format and delimiter_of_name or nil)
  parsed.format = parsed.format or guessed
  for _, option in ipairs { "delimiter", "bom" } do
    if parsed[option] and parsed.format ~= "csv" then
      failure.usage(("--%s is for --format csv"):format(option), name)
    end
  end
end

--- Standard input can be read once only.
local function check_standard_input(parsed, name)
  local first
  for _, option in ipairs { "client_secret_file", "password_file", "access_token_file", "data" } do
    if parsed[option] == "-" then
      local flag = "--" .. option:gsub("_", "-")
      if first then failure.usage(("%s and %s are both standard input"):format(first, flag), name) end
      first = flag
    end
  end
end

--- Parses the arguments. Raises a failure if they are wrong. --help and --version end the program.
function arguments.parse(list)
  local name = COMMANDS[list[1]] and "podero " .. list[1] or nil
  local parser = make_parser()
  function parser.error(_, message) failure.usage(message, name) end
  local parsed = parser:parse(list)
  if parsed.sandbox and parsed.base_url then failure.usage("--sandbox and --base-url are two base URLs", name) end
  if parsed.sandbox then parsed.base_url = podero.SANDBOX end
  check_standard_input(parsed, name)
  if parsed.org_id then check_users(parsed, name) end
  return parsed
end

--- Returns the name of the host that is asked.
function arguments.host(parsed)
  local variable = os.getenv("PODERO_BASE_URL")
  local url = parsed.base_url or (variable ~= "" and variable) or podero.PRODUCTION
  return (url:match("^%a[%w+.-]*://([^/?#]*)") or url):match("[^@]*$")
end

--- Returns the options of podero.new, without credentials.
function arguments.client_options(parsed)
  local options = { tls = {} }
  for _, name in ipairs(PASSED) do options[name] = parsed[name] end
  for _, name in ipairs(PASSED_TLS) do options.tls[name] = parsed[name] end
  if parsed.no_validate then options.validate = false end
  return options
end

return arguments
