--- Functions that specs share: clients for a mock server, checks of errors and of users, child processes.

local cjson = require "cjson"
local lfs = require "lfs"
local assert = require "luassert"
local mock = require "spec.support.mock"
local podero = require "podero"
local socket = require "socket"

local helper = {}

helper.ORG, helper.OTHER_ORG = mock.ORG, mock.OTHER_ORG
helper.TOKEN_PATH = "/api/partners/v2.0/auth/token"
helper.API = "/api/partners/v2.0"

function helper.users_path(org_id)
  return helper.API .. "/org/" .. (org_id or helper.ORG) .. "/users"
end

-- environment ---------------------------------------------------------------------------------------------------------

local VARIABLES = {
  "PODERO_BASE_URL", "PODERO_CLIENT_ID", "PODERO_CLIENT_SECRET", "PODERO_USERNAME", "PODERO_PASSWORD",
  "PODERO_ACCESS_TOKEN", "PODERO_TOKEN_URL", "PODERO_CLIENT_SECRET_FILE", "PODERO_PASSWORD_FILE",
  "PODERO_ACCESS_TOKEN_FILE", "PODERO_LOG",
}

for _, name in ipairs(VARIABLES) do
  if os.getenv(name) then error(name .. " is set; the specs need an environment without it") end
end

local PROXY_VARIABLES = {
  "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
}

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

helper.quoted = quoted

--- The content of a file.
function helper.read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- Runs a shell command. Returns its output, with that to standard error, and its exit code.
function helper.shell(command)
  local pipe = io.popen("{ " .. command .. "\n} 2>&1; printf '\\nexit %d' $?")
  local text = pipe:read("*a")
  pipe:close()
  local output, code = text:match("^(.*)\nexit (%d+)$")
  return output, tonumber(code)
end

--- The Lua that runs the specs.
function helper.interpreter()
  local index = 0
  while arg[index - 1] do index = index - 1 end
  return index < 0 and arg[index] or "lua"
end

--- Returns the beginning of a shell command that sets these environment variables, and unsets all others that the
-- module or libcurl's proxy settings use.
function helper.environment(environment)
  local command = { "env" }
  for _, list in ipairs { VARIABLES, PROXY_VARIABLES } do
    for _, name in ipairs(list) do command[#command + 1] = "-u " .. name end
  end
  for name, value in pairs(environment or {}) do command[#command + 1] = quoted(name .. "=" .. value) end
  return table.concat(command, " ")
end

--- Returns the shell command that runs a Lua program in a new interpreter, with the environment of helper.environment.
function helper.command(program, environment)
  local paths = ("package.path, package.cpath = %q, %q\n"):format(package.path, package.cpath)
  return ("%s %s -e %s"):format(helper.environment(environment), quoted(helper.interpreter()), quoted(paths .. program))
end

--- Runs the program of helper.command. Returns its output and its exit code.
function helper.run(program, environment)
  return helper.shell(helper.command(program, environment))
end

--- The number of open descriptors of this process.
function helper.descriptors()
  local count = 0
  for name in lfs.dir("/dev/fd") do
    if name:find("^%d") then count = count + 1 end
  end
  return count - 1 -- without that of lfs.dir
end

--- The file that require "podero" loads.
function helper.module_file()
  for template in package.cpath:gmatch("[^;]+") do
    local name = template:gsub("%?", "podero")
    local file = io.open(name)
    if file then
      file:close()
      return name
    end
  end
  error("podero.so is not on package.cpath")
end

-- clients -------------------------------------------------------------------------------------------------------------

local clients = {}

--- Returns options for a client of the server: its client credentials, and no proxy. `more` adds or replaces options;
-- if it has credentials of any kind, only these are used.
function helper.options(server, more)
  local options = { base_url = server.url, proxy = "" }
  more = more or {}
  local own = more.client_id or more.username or more.access_token or more.access_token_file
  if not own then
    options.client_id, options.client_secret = mock.credentials.client_id, mock.credentials.client_secret
  end
  for name, value in pairs(more) do options[name] = value end
  return options
end

--- A client with these options, closed by `helper.close_clients`.
function helper.client(server, more)
  local client = assert(podero.new(helper.options(server, more)))
  clients[#clients + 1] = client
  return client
end

--- As helper.client, over TLS.
function helper.tls_client(server, more)
  local options = { base_url = server.tls_url, tls = { ca_file = server.ca_file } }
  for name, value in pairs(more or {}) do options[name] = value end
  return helper.client(server, options)
end

function helper.close_clients()
  for _, client in ipairs(clients) do client:close() end
  clients = {}
end

--- Whether the module is a checked build (sanitizers, valgrind), which is slower and needs more memory.
local variant = os.getenv("VARIANT") or ""
helper.CHECKED = variant ~= "" and variant ~= "-poll"

--- Whether the build is one for systems without epoll, where the module has no notifier and polls sockets.
helper.POLLS = variant == "-poll"

--- Sets the collector's pause and its step multiplier, in percent.
function helper.set_collector(pause, multiplier)
  if _VERSION >= "Lua 5.5" then
    collectgarbage("incremental")
    collectgarbage("param", "pause", pause)
    collectgarbage("param", "stepmul", multiplier)
  else
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", multiplier)
  end
end

--- An object with this finalizer. (Lua 5.1's tables have none.)
function helper.finalized(finalize)
  if not newproxy then return setmetatable({}, { __gc = finalize }) end
  local object = newproxy(true)
  getmetatable(object).__gc = finalize
  return object
end

helper.PASSWORD = { username = mock.credentials.username, password = mock.credentials.password }

-- servers -------------------------------------------------------------------------------------------------------------

function helper.last(server, kind)
  local list = server:requests(kind)
  return list[#list]
end

--- "form basic client_credentials" and the like, one for each token request.
function helper.token_requests(server)
  local list = {}
  for _, request in ipairs(server:requests("token")) do
    list[#list + 1] = ("%s %s %s"):format(request.encoding, request.client_auth or "-", request.grant or "-")
  end
  return list
end

--- Configures a server that accepts the token "static", for clients that make no token requests.
function helper.static(server, settings)
  settings.accept_tokens = { "static" }
  server:configure(settings)
end

local holder

--- Returns a loopback port on which nothing listens: a socket keeps it from others.
function helper.closed_port()
  if not holder then
    holder = assert(socket.tcp())
    assert(holder:bind("127.0.0.1", 0))
  end
  return tonumber((select(2, holder:getsockname())))
end

--- Seconds that a function takes, and its results.
function helper.timed(f, ...)
  local start = socket.gettime()
  local first, second = f(...)
  return socket.gettime() - start, first, second
end

-- errors --------------------------------------------------------------------------------------------------------------

--- Calls `visit` with every string in a value: keys, values, at any depth.
function helper.strings(value, visit)
  if type(value) == "string" then
    visit(value)
  elseif type(value) == "table" then
    for key, member in pairs(value) do
      helper.strings(key, visit)
      helper.strings(member, visit)
    end
  end
end

local SECRETS = { mock.credentials.client_secret, mock.credentials.password, "correct+horse" }

--- Fails if one of the texts occurs in a string of the value.
function helper.without(value, texts)
  helper.strings(value, function(text)
    for _, secret in ipairs(texts) do
      assert.is_nil(text:find(secret, 1, true), ("%q is in %q"):format(secret, text))
    end
  end)
end

local KINDS = {
  argument = true, auth = true, http = true, network = true, timeout = true, decode = true, schema = true,
  too_large = true, not_found = true, closed = true, memory = true,
}

local TYPES = {
  kind = "string", message = "string", status = "number", code = "string", description = "string",
  retry_after = "number", attempts = "number", retryable = "boolean", url = "string", headers = "table",
}

--- Checks that a call has failed with this kind, and that the error is well-formed. Returns the error.
function helper.failed(kind, result, err)
  assert.is_true(result == nil, "the call has succeeded")
  assert.is_table(err)
  assert.equal(kind, err.kind, tostring(err))
  assert.is_true(KINDS[err.kind])
  for name in pairs(err) do assert.is_true(TYPES[name] ~= nil or name == "detail", tostring(name)) end
  for name, expected in pairs(TYPES) do
    if err[name] ~= nil then assert.equal(expected, type(err[name]), name) end
  end
  assert.is_boolean(err.retryable)
  assert.is_number(err.attempts)
  local line = tostring(err)
  assert.truthy(line:find(err.message, 1, true))
  assert.is_nil(line:find("%c"), line)
  assert.is_nil(line:find("\194[\128-\159]"), line)
  helper.without(err, SECRETS)
  helper.without(line, SECRETS)
  return err
end

--- Checks that a function raises, with all of these texts in its message; returns the message.
function helper.raises(texts, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "nothing was raised")
  message = tostring(message)
  for _, text in ipairs(type(texts) == "table" and texts or { texts }) do
    assert.truthy(message:find(text, 1, true), ("%q is not in %q"):format(text, message))
  end
  return message
end

-- users ---------------------------------------------------------------------------------------------------------------

local FLOATS = { latitude = true, longitude = true }
local INTEGERS = { num_inverters = true, num_heat_pumps = true, num_electric_vehicles = true, num_wallboxes = true }

--- Returns the users of a JSON text as the module has to return them: decoded by lua-cjson, without nulls.
function helper.oracle(text)
  local list = cjson.decode(text)
  for _, user in ipairs(list) do
    local nulls = {}
    for name, value in pairs(user) do
      if value == cjson.null then nulls[#nulls + 1] = name end
      if INTEGERS[name] and math.tointeger then user[name] = math.tointeger(value) end
      if FLOATS[name] and value ~= cjson.null then user[name] = value + 0.0 end -- lua-cjson may have integers
    end
    for _, name in ipairs(nulls) do user[name] = nil end
  end
  return list
end

local function kind_of(value)
  return math.type and math.type(value) or type(value)
end

--- Returns a description of the first difference between two values, or nil. Integers and floats differ on Luas that
-- distinguish them.
function helper.difference(expected, actual, place)
  place = place or "value"
  if kind_of(expected) ~= kind_of(actual) then
    return ("%s: %s (%s) instead of %s (%s)"):format(place, tostring(actual), kind_of(actual), tostring(expected),
      kind_of(expected))
  end
  if type(expected) ~= "table" then
    if expected == actual then return nil end
    return ("%s: %q instead of %q"):format(place, tostring(actual), tostring(expected))
  end
  for key, value in pairs(expected) do
    if actual[key] ~= value then
      local difference = helper.difference(value, actual[key], place .. "." .. tostring(key))
      if difference then return difference end
    elseif kind_of(value) ~= kind_of(actual[key]) then
      return ("%s.%s: %s"):format(place, tostring(key), kind_of(actual[key]))
    end
  end
  for key in pairs(actual) do
    if expected[key] == nil then return ("%s.%s: should not be there"):format(place, tostring(key)) end
  end
end

return helper
