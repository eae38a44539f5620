--- Starts and steers servers of the Partner API as Podero runs it: Django with OAuth Toolkit, on gunicorn.
-- Needs LuaSocket, lua-cjson, and a python3 with these packages (Debian: python3-django, python3-django-oauth-toolkit,
-- gunicorn).

local cjson = require "cjson"
local http = require "socket.http"
local ltn12 = require "ltn12"
local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local socket = require "socket"

local django = {}

-- Organizations of stack/users.py.
django.ORG = "016b78a7-0c7c-4241-a277-015c3ad3cb90"
django.OTHER_ORG = "7f2c1e9a-3b4d-4c5e-8f60-718293a4b5c6"
django.EMPTY_ORG = "00000000-0000-4000-8000-00000000000e"

local START_SECONDS = 20

local quoted, read_file = nginx.quoted, nginx.read_file

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
if here:sub(1, 1) ~= "/" then here = nginx.output_of("pwd") .. "/" .. here end

-- control -------------------------------------------------------------------------------------------------------------

local Server = {}
Server.__index = Server

--- Has the server run commands, tables of a name `do` and arguments; see stack/server.py. Returns their results, in
-- which null is `cjson.null`.
function Server:control(commands)
  local body, chunks = cjson.encode(commands), {}
  local ok, status = http.request {
    url = self.url .. "/control", method = "POST", source = ltn12.source.string(body),
    sink = ltn12.sink.table(chunks), headers = { ["Content-Length"] = ("%d"):format(#body) },
    create = function()
      local connection = socket.tcp()
      connection:settimeout(20)
      return connection
    end,
  }
  if not ok or status ~= 200 then error(("django: %s\n%s"):format(status, self:log()), 3) end
  return cjson.decode(table.concat(chunks))
end

local function command(name, ...)
  local parameters = { ... }
  return function(server, ...)
    local arguments = { ["do"] = name }
    for index, parameter in ipairs(parameters) do arguments[parameter] = (select(index, ...)) end
    return server:control({ arguments })[1]
  end
end

--- Changes settings. `backend`: what /oauth2/token/ reads, "form" or "json". `debug` and `allowed_hosts`: Django's
-- DEBUG and ALLOWED_HOSTS. `refusals`: how the list refuses a token, "ninja" (401), or "toolkit" (403, as OAuth
-- Toolkit's own views do). `expires_in`: of tokens from now on, in seconds.
function Server:configure(settings)
  local arguments = { ["do"] = "configure" }
  for name, value in pairs(settings) do arguments[name] = value end
  self:control { arguments }
end

--- Back to the state after the start: form, no DEBUG, no tokens, nothing received; the application and the user of
-- `mock.credentials`.
function Server:reset()
  local given = mock.credentials
  self:control {
    { ["do"] = "reset" },
    { ["do"] = "application", client_id = given.client_id, client_secret = given.client_secret },
    { ["do"] = "user", username = given.username, password = given.password },
  }
end

--- Makes or changes an application. `grant`: "client-credentials" (the default) or "password".
Server.application = command("application", "client_id", "client_secret", "grant")

--- Deletes an application and its tokens.
Server.delete_application = command("delete_application", "client_id")

--- Makes or changes a user. `is_active`: whether the user may log in; true by default.
Server.user = command("user", "username", "password", "is_active")

--- Ends the lifetime of all access tokens; revokes them; revokes all refresh tokens and their access tokens. Each
-- returns how many there were.
Server.expire_tokens = command "expire_tokens"
Server.revoke_tokens = command "revoke_tokens"

--- OAuth Toolkit's version.
Server.toolkit_version = command "toolkit_version"
Server.revoke_refresh_tokens = command "revoke_refresh_tokens"

--- The requests since the last reset, of one kind ("token", "api" or "other") or all: kind, method, path, query, host,
-- content_type, encoding ("form" or "json"), authorization ("Basic" or "Bearer"), credentials (Basic's, decoded from
-- base64), client_auth ("basic", "body" or "none"), grant, fields (the body's names, sorted) and the response's status.
function Server:requests(kind)
  local list = {}
  for _, request in ipairs(self:control({ { ["do"] = "requests" } })[1]) do
    for name, value in pairs(request) do
      if value == cjson.null then request[name] = nil end
    end
    request.status = math.floor(request.status) -- an integer, if this Lua has them
    if not kind or request.kind == kind then list[#list + 1] = request end
  end
  return list
end

-- life ----------------------------------------------------------------------------------------------------------------

--- The id of gunicorn's master process.
function Server:pid()
  return tonumber(read_file(self.dir .. "/gunicorn.pid"))
end

--- What gunicorn and Django have printed.
function Server:log()
  return read_file(self.dir .. "/django.log") or ""
end

--- Ends the server and removes its folder. A second call does nothing.
function Server:stop()
  if self.pipe then self.pipe:close() end
  self.pipe = nil
end

--- The python that has the packages: that of PODERO_TEST_PYTHON, or the system's on Debian, which need not be the first
-- on the path.
local function find_python()
  local check = " -c 'import importlib.util as u; print(all(map(u.find_spec, (\"django\", \"gunicorn\","
    .. " \"oauth2_provider\"))))' 2>/dev/null"
  local given = os.getenv("PODERO_TEST_PYTHON")
  for _, program in ipairs(given and { given } or { "/usr/bin/python3", "python3" }) do
    program = quoted(program)
    if nginx.output_of(program .. check) == "True" then return program end
  end
  error("python3 with Django, its OAuth Toolkit and gunicorn is needed "
    .. "(Debian: python3-django, python3-django-oauth-toolkit, gunicorn)")
end

--- The server's port, as soon as it has one.
local function port_of(server)
  local ends = socket.gettime() + START_SECONDS
  repeat
    local port = read_file(server.dir .. "/port")
    if port then return tonumber(port) end
    socket.sleep(0.01)
  until socket.gettime() > ends or server:log():find("Traceback", 1, true)
  local log = server:log()
  server:stop()
  error("django did not start: " .. log, 3)
end

--- Starts a server and returns it when it listens. It ends with `server:stop()`, and with this process.
-- `url` is for `base_url`; the host in it may be replaced by localhost. `settings`: those of `configure`.
function django.start(settings)
  local dir = nginx.temporary_folder("podero-django")
  -- Nothing is written into the source tree.
  local variables = "env -u PYTHONHOME -u GUNICORN_CMD_ARGS PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=" .. quoted(here)
  local command_line = ("%s %s -m gunicorn -c %s"):format(variables, find_python(), quoted(here .. "/gunicorn.conf.py"))
  local server = setmetatable({ dir = dir, pipe = nginx.live(dir, "django", command_line) }, Server)
  server.port = port_of(server)
  server.url = ("http://127.0.0.1:%d"):format(server.port)
  server:reset()
  if settings then server:configure(settings) end
  return server
end

-- nginx in front ------------------------------------------------------------------------------------------------------

local FRONT = [[
pid nginx.pid;
error_log stderr;
worker_processes 1;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen 127.0.0.1:${front};
    location / {
      proxy_pass http://127.0.0.1:${upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
    }
  }
}
]]

--- Starts an nginx that passes all requests on to a port of loopback. It has `url`, and is stopped by `stop`.
function django.front(port)
  local front = nginx.start {
    name = "podero-front", ports = { "front" }, installed = true,
    configuration = function(ports)
      return (FRONT:gsub("%${(%w+)}", { front = ports.front, upstream = ("%d"):format(port) }))
    end,
  }
  front.url = "http://127.0.0.1:" .. front.ports.front
  return front
end

return django
