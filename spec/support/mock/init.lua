--- Starts and controls mock servers of the Partner API. Each is an nginx on free loopback ports.
-- Needs nginx with its Lua module, LuaSocket, lua-cjson and, for TLS, the openssl command.

local cjson = require "cjson"
local http = require "socket.http"
local ltn12 = require "ltn12"
local nginx = require "spec.support.nginx"
local socket = require "socket"
local users = require "spec.support.mock.users"

local mock = {}

mock.ORG, mock.OTHER_ORG = users.ORG, users.OTHER_ORG
mock.credentials = {
  client_id = "demo-client", client_secret = "demo-secret", username = "ada@example.com", password = "correct horse",
}

local CONNECTIONS = 8192
local START_ATTEMPTS = 5

local quoted, run, read_file, write_file = nginx.quoted, nginx.run, nginx.read_file, nginx.write_file

-- PODERO_TEST_PROC: another folder, as on a system without /proc.
local PROC = os.getenv("PODERO_TEST_PROC") or "/proc"
local HAS_PROC = read_file(PROC .. "/self/stat") ~= nil

--- The process id and start time of a process, or nil if it is gone (a zombie counts as gone). "self" is this one.
-- Without /proc, the start time is "", and zombies count as running.
function mock.process(pid)
  if not HAS_PROC then
    local id = pid == "self" and nginx.output_of("echo $PPID") or pid
    if run("kill -0 " .. id .. " 2>/dev/null") then return id, "" end
    return nil
  end
  local text = read_file(PROC .. "/" .. pid .. "/stat")
  local id, state, rest = (text or ""):match("^(%d+) .*%) (%a) (.*)$")
  if not id or state == "Z" or state == "X" then return nil end
  local index = 3
  for field in rest:gmatch("%S+") do
    index = index + 1
    if index == 22 then return id, field end
  end
end

-- The absolute path of this file's folder, since nginx runs in another folder.
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
if here:sub(1, 1) ~= "/" then here = nginx.output_of("pwd") .. "/" .. here end

-- certificates --------------------------------------------------------------------------------------------------------

local CERTIFICATE_SETTINGS = [[
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
[other]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:elsewhere.example
[client]
basicConstraints = CA:FALSE
extendedKeyUsage = clientAuth
]]

-- `leaf NAME EXTENSIONS SUBJECT DAYS` makes one certificate. A negative number of days makes one that has expired; an
-- openssl that refuses those has an option for the end instead.
local CERTIFICATE_SCRIPT = [[
set -e
new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }
leaf() {
  new_key "$1"
  openssl req -new -config certificates.cnf -key "$1.key" -subj "/CN=$3" -out "$1.csr"
  set -- "$@" x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -extfile certificates.cnf -extensions "$2" \
    -set_serial "$(od -An -N6 -tu8 /dev/urandom | tr -d ' ')" -out "$1.pem"
  days=$4; shift 4
  openssl "$@" -days "$days" ||
    openssl "$@" -not_before 20200101000000Z -not_after 20200102000000Z
}
new_key ca
openssl req -x509 -new -config certificates.cnf -extensions ca -key ca.key -subj "/CN=Podero mock CA" -days 2 \
  -out ca.pem
leaf server server localhost 2
leaf client client "mock client" 2
leaf wrong_host other elsewhere.example 2
leaf expired server localhost -1
]]

--- A CA and certificates of it in a folder.
function mock.make_certificates(dir)
  write_file(dir .. "/certificates.cnf", CERTIFICATE_SETTINGS)
  write_file(dir .. "/certificates.sh", CERTIFICATE_SCRIPT)
  if not run(("cd %s && sh certificates.sh >certificates.log 2>&1"):format(quoted(dir))) then
    error("openssl could not make the certificates: " .. (read_file(dir .. "/certificates.log") or ""))
  end
end

-- configuration -------------------------------------------------------------------------------------------------------

local function listen(port, ipv6, flags)
  local line = ("listen 127.0.0.1:%s%s;"):format(port, flags)
  if ipv6 then line = line .. ("\n    listen [::1]:%s%s;"):format(port, flags) end
  return line
end

local function certificate(name)
  return ("ssl_certificate %s.pem;\n    ssl_certificate_key %s.key;"):format(name, name)
end

--- A server with a certificate that clients have to refuse.
local function bad_server(port, ipv6, name)
  return ("server {\n    %s\n    %s\n    location / { return 204; }\n  }\n  "):format(
    listen(port, ipv6, " ssl"), certificate(name))
end

local function write_settings(dir, ports, ipv6, tls)
  local pid, start = mock.process("self")
  local values = {
    load_modules = nginx.installed().load_modules,
    connections = ("%d"):format(CONNECTIONS),
    lua_path = here,
    owner_pid = pid,
    owner_start = start,
    control_port = ports.control,
    listen_plain = listen(ports.plain, ipv6, ""),
    listen_tls = "", tls = "", more_servers = "",
  }
  if tls then
    values.listen_tls = listen(ports.tls, ipv6, " ssl http2")
    values.tls = certificate("server") .. "\n    ssl_protocols TLSv1.2 TLSv1.3;"
      .. "\n    ssl_verify_client optional;\n    ssl_client_certificate ca.pem;"
    values.more_servers = bad_server(ports.expired, ipv6, "expired")
      .. bad_server(ports.wrong_host, ipv6, "wrong_host")
  end
  local text = assert(read_file(here .. "/nginx.conf"), "nginx.conf is missing beside the mock's Lua files")
  text = text:gsub("%${([%w_]+)}", function(name) return values[name] or error("no value for " .. name) end)
  write_file(dir .. "/nginx.conf", text)
end

-- server object -------------------------------------------------------------------------------------------------------

local Server = {}
Server.__index = Server

--- Converts whole numbers to integers if Lua has them: cjson decodes floats, and "2.0" would be confusing in messages.
local function tidy(value)
  if type(value) == "table" then
    for key, member in pairs(value) do value[key] = tidy(member) end
  elseif type(value) == "number" and math.tointeger then
    return math.tointeger(value) or value
  end
  return value
end

local function control(port, name, body)
  local chunks = {}
  local ok, status = http.request {
    url = ("http://127.0.0.1:%s/%s"):format(port, name),
    method = "POST",
    headers = { ["Content-Length"] = ("%d"):format(#(body or "")), ["Content-Type"] = "application/json" },
    source = ltn12.source.string(body or ""),
    sink = ltn12.sink.table(chunks),
    create = function()
      local connection = socket.tcp()
      connection:settimeout(20)
      return connection
    end,
  }
  local text = table.concat(chunks)
  if not ok then return nil, status end
  if status ~= 200 then return nil, text end
  return tidy(cjson.decode(text))
end

function Server:control(name, body)
  local answer, problem
  for _ = 1, 3 do -- a busy machine now and then closes a connection; no command minds being given twice
    answer, problem = control(self.control_port, name, body)
    if problem ~= "closed" then break end
  end
  if not answer then error(("mock server, %s: %s"):format(name, problem), 3) end
  return answer
end

--- Sets the configuration: the defaults with `settings` over them. Counts and tokens stay.
function Server:configure(settings)
  self:control("configure", cjson.encode(settings or {}))
end

--- Changes single keys of the present configuration; queues of steps that are not named go on where they are.
function Server:patch(settings)
  self:control("patch", cjson.encode(settings))
end

--- Back to the state after the start: default configuration, no tokens, nothing received.
function Server:reset()
  self:control("reset")
end

--- What arrived since the start or the last reset: `requests` (the last 500) and `counts`.
function Server:received()
  return self:control("received")
end

--- The received requests of one kind ("token", "api" or "other"), or all.
function Server:requests(kind)
  local list = {}
  for _, request in ipairs(self:control("received").requests) do
    if not kind or request.kind == kind then list[#list + 1] = request end
  end
  return list
end

function Server:counts()
  return self:control("received").counts
end

--- Makes every token issued so far invalid.
function Server:revoke()
  self:control("revoke")
end

function Server:error_log()
  return read_file(self.dir .. "/error.log") or ""
end

local function is_running(server)
  local pid, start = mock.process(server.pid)
  return pid ~= nil and start == server.pid_start
end

local function wait_until_gone(server, seconds)
  local ends = socket.gettime() + seconds
  while is_running(server) do
    if socket.gettime() > ends then return false end
    socket.sleep(0.005)
  end
  return true
end

--- Ends the server and removes its folder. A second call does nothing.
function Server:stop()
  if self.stopped then return end
  self.stopped = true
  for _, signal in ipairs { "TERM", "KILL" } do
    -- The start time makes sure that the id is not another process's by now.
    if is_running(self) then run(("kill -%s %s 2>/dev/null"):format(signal, self.pid)) end
    if wait_until_gone(self, 5) then break end
  end
  run("rm -rf " .. quoted(self.dir))
end

-- start ---------------------------------------------------------------------------------------------------------------

--- Tries to start nginx. Returns false and a message if another process has bound a port meanwhile.
local function launch(dir, ports, ipv6, tls)
  write_settings(dir, ports, ipv6, tls)
  -- Many open connections need more descriptors than the usual 1,024.
  local limit = ("ulimit -n %d 2>/dev/null || ulimit -n \"$(ulimit -Hn)\" 2>/dev/null; "):format(CONNECTIONS * 2)
  local command = ("%s -p %s -c %s </dev/null >start.log 2>&1"):format(
    nginx.command(nginx.installed()), quoted(dir .. "/"), quoted(dir .. "/nginx.conf"))
  if run(("cd %s && { %s%s; }"):format(quoted(dir), limit, command)) then return true end
  local log = (read_file(dir .. "/start.log") or "") .. (read_file(dir .. "/error.log") or "")
  if log:find("in use", 1, true) then return false, log end
  error("nginx did not start: " .. log)
end

--- Starts a server and returns it when it answers. Options: tls = false goes without certificates and TLS ports.
-- The server ends by itself soon after this process does.
function mock.start(options)
  local tls = not options or options.tls ~= false
  local dir = nginx.temporary_folder("podero-mock")
  local ok, result = pcall(function()
    if tls then mock.make_certificates(dir) end
    local names = { "plain", "control" }
    if tls then names = { "plain", "control", "tls", "expired", "wrong_host" } end
    local ports, ipv6, started, problem
    for _ = 1, START_ATTEMPTS do
      ports, ipv6 = nginx.free_ports(names)
      started, problem = launch(dir, ports, ipv6, tls)
      if started then break end
    end
    if not started then error("no free ports: " .. problem) end
    local answer, failure = control(ports.control, "ready")
    if not answer then error(("nginx does not answer (%s): %s"):format(failure, read_file(dir .. "/error.log"))) end
    local server = setmetatable({
      dir = dir,
      pid = ("%d"):format(answer.pid),
      control_port = ports.control,
      port = tonumber(ports.plain),
      url = "http://127.0.0.1:" .. ports.plain,
    }, Server)
    local _, start = mock.process(server.pid)
    server.pid_start = start
    server.pid = tonumber(server.pid)
    if tls then
      server.tls_port = tonumber(ports.tls)
      server.tls_url = "https://localhost:" .. ports.tls
      server.expired_url = "https://localhost:" .. ports.expired
      server.wrong_host_url = "https://localhost:" .. ports.wrong_host
      server.ca_file = dir .. "/ca.pem"
      server.client_cert, server.client_key = dir .. "/client.pem", dir .. "/client.key"
    end
    return server
  end)
  if not ok then
    run("rm -rf " .. quoted(dir))
    error(result, 2)
  end
  return result
end

return mock
