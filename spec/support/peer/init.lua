--- Starts and controls servers that send exactly the bytes that a spec asks for; see serve.py.
-- Needs Linux, python3 with its h2 package (Debian: python3-h2), LuaSocket, lua-cjson and the openssl command.

local cjson = require "cjson"
local mock = require "spec.support.mock"
local nginx = require "spec.support.nginx"
local socket = require "socket"

local peer = {}

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."

local quoted, output_of = nginx.quoted, nginx.output_of

--- Two certificates in addition to those of the mock server: a self-signed one, and one of an unknown CA.
local MORE_CERTIFICATES = [[
set -e
openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config certificates.cnf -extensions server \
  -keyout self_signed.key -subj "/CN=localhost" -days 2 -out self_signed.pem
openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config certificates.cnf -extensions ca \
  -keyout other_ca.key -subj "/CN=Another CA" -days 2 -out other_ca.pem
openssl req -new -config certificates.cnf -key server.key -subj "/CN=localhost" -out unknown_ca.csr
openssl x509 -req -in unknown_ca.csr -CA other_ca.pem -CAkey other_ca.key -extfile certificates.cnf \
  -extensions server -set_serial 7 -days 2 -out unknown_ca.pem
cp server.key unknown_ca.key
]]

--- Returns a Python that has the h2 package. On Debian that is the system's, which may not be the first in PATH.
local function find_python()
  for _, program in ipairs { "python3", "/usr/bin/python3" } do
    if output_of(program .. " -c 'import h2; print(1)' 2>/dev/null") == "1" then return program end
  end
  error("python3 with its h2 package is needed (Debian: python3-h2)")
end

--- JSON has characters, not bytes: a byte is encoded as the character with its number.
local function to_characters(text)
  return (text:gsub("[\128-\255]", function(c)
    local code = c:byte()
    return string.char(192 + math.floor(code / 64), 128 + code % 64)
  end))
end

local function to_bytes(text)
  return (text:gsub("([\194\195])([\128-\191])", function(first, second)
    return string.char((first:byte() - 192) * 64 + second:byte() - 128)
  end))
end

-- a listener ----------------------------------------------------------------------------------------------------------

local Listener = {}
Listener.__index = Listener

--- Changes some settings; see peer.listen.
function Listener:set(settings)
  self.peer:command { ["do"] = "set", number = self.number, settings = settings }
end

--- The requests so far (kind: "token", "api" or "connect"; method, target, headers, body, connection); the number of
-- connections; how many of them have ended; how many there were at most at a time; and the number of requests in
-- flight.
function Listener:received()
  local answer = self.peer:command { ["do"] = "received", number = self.number }
  return answer.requests, answer.connections, answer.ended, answer.most, answer.in_flight
end

--- Waits until that many connections have ended.
function Listener:wait_for_ended(count)
  local ends = socket.gettime() + 10
  while select(3, self:received()) < count do
    assert(socket.gettime() < ends, "the connections have not ended")
    socket.sleep(0.01)
  end
end

--- Ends one act "hold". Returns whether there was one.
function Listener:step()
  return self.peer:command({ ["do"] = "step", number = self.number }).held
end

function Listener:close()
  self.peer:command { ["do"] = "close", number = self.number }
end

-- the process ---------------------------------------------------------------------------------------------------------

local Peer = {}
Peer.__index = Peer

function Peer:command(command)
  assert(self.control:send(to_characters(cjson.encode(command)) .. "\n"))
  local line, problem = self.control:receive("*l")
  if not line then error("the peer does not answer: " .. problem, 3) end
  return cjson.decode(to_bytes(line))
end

--- Opens a port. Settings:
--   state   "listening" (the default), "refusing" (connections), or "deaf" (to them)
--   host    to listen on: "127.0.0.1" (the default) or "::1"
--   port    any free one by default
--   tls     { certificate = name, version = "1.1", h2 = true, client_certificate = true }
--   accept  lists of acts: what is done to connections, in turn, before anything is read
--   secured   the same after the TLS handshake
--   api, token, connect   the same for requests; `good_api` and so on: the acts when these are used up
-- An act is { name, arguments ... } of a method act_name in serve.py.
function Peer:listen(settings)
  settings.state = settings.state or "listening"
  local answer = self:command { ["do"] = "listen", settings = settings }
  local port = ("%d"):format(answer.port)
  local url = (settings.tls and "https://localhost:" or "http://127.0.0.1:") .. port
  return setmetatable({ peer = self, number = answer.number, port = tonumber(port), url = url }, Listener)
end

--- Ends the process, which removes its folder. A second call does nothing.
function Peer:stop()
  if self.stopped then return end
  self.stopped = true
  self.control:close()
  self.pipe:close() -- waits for its end
end

--- Starts the process. `ca_file` is the CA that has signed its good certificates.
function peer.start()
  local folder = nginx.temporary_folder("podero-peer")
  mock.make_certificates(folder)
  local log = output_of(("cd %s && { %s } 2>&1 || echo failed"):format(quoted(folder), MORE_CERTIFICATES))
  assert(not log:find("failed$"), log)
  local pid, start = mock.process("self")
  local command = { "exec", find_python(), "-W ignore::DeprecationWarning", quoted(here .. "/serve.py"), pid,
    quoted(start), quoted(folder) }
  local pipe = assert(io.popen(table.concat(command, " ")))
  local child, port = (pipe:read("*l") or ""):match("^(%d+) (%d+)$")
  assert(child, "the peer did not start")
  local control = assert(socket.connect("127.0.0.1", port))
  control:settimeout(20)
  control:setoption("tcp-nodelay", true)
  return setmetatable({ pid = tonumber(child), pipe = pipe, control = control, folder = folder,
    ca_file = folder .. "/ca.pem" }, Peer)
end

return peer
