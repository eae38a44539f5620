--- Runs nginx with the module and sends requests to it.
-- INIT defines what its handlers share: a client of the mock server; the functions of `calls`, which make a call and
-- return a short text about its result; and those of `whole`, whose text includes a checksum of the list.

local cjson = require "cjson"
local nginx = require "spec.support.nginx"
local socket = require "socket"
local users = require "spec.support.mock.users"

local worker = {}

local ANSWER_SECONDS = 20

local INIT = [[
${before}
podero = require "podero"
ORG, OTHER_ORG = "${org}", "${other_org}"

function new_client(options)
  options = options or {}
  options.base_url, options.proxy = "${base_url}", ""
  options.client_id, options.client_secret = "demo-client", "demo-secret"
  return assert(podero.new(options))
end

client = new_client()

local function told(users, err)
  return users and #users .. " users" or tostring(err)
end

calls = {}

function calls.list_users(org, of, opts) return told((of or client):list_users(org or ORG, opts)) end

function calls.each_user(org, of, opts)
  org = org or ORG
  local count = 0
  local ok, err = pcall(function()
    for user in (of or client):each_user(org, opts) do
      assert(user.organization_id == org)
      count = count + 1
    end
  end)
  return ok and count .. " users" or tostring(err)
end

function calls.list_users_of(_, of, opts)
  local results, errors = (of or client):list_users_of({ ORG, OTHER_ORG }, opts)
  if next(errors) then return tostring(select(2, next(errors))) end
  return #results[ORG] + #results[OTHER_ORG] .. " users"
end

function calls.request(org, of, opts)
  return told((of or client):request("GET", "/api/partners/v2.0/org/" .. (org or ORG) .. "/users", opts))
end

function calls.get(org, of, opts)
  return told((of or client):get("/api/partners/v2.0/org/" .. (org or ORG) .. "/users", nil, opts))
end

function calls.request(org, of, opts)
  opts = opts or {}
  opts.headers = function() return { ["X-Organization"] = org or ORG } end
  return told((of or client):request("GET", "/api/partners/v2.0/org/" .. (org or ORG) .. "/users", opts))
end

function calls.token(_, of)
  local token, err = (of or client):token()
  return token and "a token" or tostring(err)
end

function calls.new_client()
  return calls.token(nil, new_client())
end

whole = {}

local function digest(ids)
  return #ids .. " users " .. ngx.md5(table.concat(ids))
end

function whole.list_users(org)
  local list, err = client:list_users(org or ORG)
  if not list then return tostring(err) end
  local ids = {}
  for i, user in ipairs(list) do ids[i] = user.id end
  return digest(ids)
end

function whole.each_user(org)
  local ids = {}
  local ok, err = pcall(function()
    for user in client:each_user(org or ORG) do ids[#ids + 1] = user.id end
  end)
  return ok and digest(ids) or tostring(err)
end

function say(text) ngx.print(text) ngx.exit(200) end
${after}
]]

-- The beginning of each nginx.conf.
local HEAD = [[
${load_modules}
pid nginx.pid;
error_log stderr ${level};
worker_processes ${workers};
${main}
events { worker_connections 4096; }
${stream}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  lua_package_cpath "${cpath}";
  lua_shared_dict tokens 1m;
  lua_check_client_abort on;
]]

local HTTP = [[
  lua_shared_dict told 1m;
  ${http}
  init_by_lua_block {
    ${init}
  }
  server {
    listen 127.0.0.1:${plain} backlog=4096;
    keepalive_requests 1000000;
    ${server}
    location /quick { return 200 "quick"; }
    location /call { content_by_lua_block { say(calls[ngx.var.arg_method](ngx.var.arg_org)) } }
    location /whole { content_by_lua_block { say(whole[ngx.var.arg_method](ngx.var.arg_org)) } }
    location /told { content_by_lua_block { say(ngx.shared.told:get(ngx.var.arg_key) or "nothing") } }
    location /timers { content_by_lua_block { say(ngx.timer.running_count() .. " running") } }
    location /garbage { content_by_lua_block { collectgarbage() collectgarbage() say("gone") } }
    ${locations}
  }
]]

--- Returns the text with each ${name} replaced by its value.
local function filled(text, values)
  return (text:gsub("%${([%w_]+)}", function(name) return values[name] or error("no value for " .. name) end))
end

--- Returns the lua_package_cpath for the module that this Lua would load.
local function module_path()
  local file = assert(package.searchpath("podero", package.cpath))
  if file:sub(1, 1) ~= "/" then file = nginx.output_of("pwd") .. "/" .. file end
  return file:gsub("podero%.so$", "?.so") .. ";;"
end

--- Returns the text of an nginx.conf: HEAD and `inside`, the rest of its block `http`. In both, ${name} is replaced by
-- values[name]. `values` may also have `level` (of the log; "warn"), `workers` ("1"), `cpath` (by default that of the
-- module that this Lua loads), `main` and `stream` (directives outside of `http`; none).
function worker.configuration(inside, values)
  local all = { load_modules = nginx.find().load_modules, level = "warn", workers = "1", main = "", stream = "" }
  for name, value in pairs(values) do all[name] = value end
  all.cpath = all.cpath or module_path()
  return filled(HEAD .. inside .. "}\n", all)
end

local Worker = {}
Worker.__index = Worker

--- Starts nginx with handlers that are clients of the mock server `api`. Options are texts to insert into HEAD, HTTP
-- and INIT: `before` and `after` (Lua), `main`, `http`, `server`, `locations`, `stream` (a whole block), `level` (of
-- the log); and `workers` (a number), `files` (contents by name, for its folder ${dir}), `environment` (see
-- nginx.start). ${tls} and ${other} are two more ports.
function worker.start(api, options)
  options = options or {}
  local configuration = function(ports, dir)
    assert(nginx.run("chmod 755 " .. dir)) -- if root starts nginx, its workers run as another user
    for name, text in pairs(options.files or {}) do nginx.write_file(dir .. "/" .. name, text) end
    local values = {
      org = users.ORG, other_org = users.OTHER_ORG, base_url = api.url, cpath = module_path(),
      workers = ("%d"):format(options.workers or 1), level = options.level or "info",
      certificate = api.dir .. "/server", plain = ports.plain, tls = ports.tls, other = ports.other, dir = dir,
    }
    for _, name in ipairs { "before", "after" } do values[name] = filled(options[name] or "", values) end
    values.init = filled(INIT, values)
    for _, name in ipairs { "main", "http", "server", "locations", "stream" } do
      values[name] = filled(options[name] or "", values)
    end
    return worker.configuration(HTTP, values)
  end
  local server = nginx.start {
    name = "podero-nginx", ports = { "plain", "tls", "other" }, configuration = configuration,
    environment = options.environment,
  }
  return setmetatable({ server = server, ports = server.ports, dir = server.dir }, Worker)
end

--- Returns whether this nginx accepts a directive. `place`, the context: "http", "server", "location" or "stream".
function worker.accepts(place, text)
  local dir = nginx.temporary_folder("podero-probe")
  local values = { http = "", server = "", location = "", stream = "", [place] = text }
  values.load_modules, values.dir = nginx.find().load_modules, dir
  if values.stream ~= "" then values.stream = "stream { server { listen unix:" .. dir .. "/b; " .. text .. " } }" end
  nginx.write_file(dir .. "/nginx.conf", filled([[
    ${load_modules}
    pid ${dir}/nginx.pid;
    error_log stderr;
    events {}
    ${stream}
    http { ${http} server { listen unix:${dir}/a; ${server} location / { ${location} } } }
  ]], values))
  local command = ("%s -t -q -p %s -c %s/nginx.conf 2>%s/log"):format(nginx.command(nginx.find()), dir, dir, dir)
  local ok = nginx.run("mkdir " .. dir .. "/logs && " .. command)
  nginx.run("rm -rf " .. dir)
  return ok
end

-- requests ------------------------------------------------------------------------------------------------------------

--- Sends a request, and returns its connection.
--- Sends a request to a server of this machine, and returns the connection, for worker.receive.
function worker.send(port, path)
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:settimeout(ANSWER_SECONDS)
  assert(connection:send(("GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"):format(path)))
  return connection
end

local function unchunked(header, body)
  if not header:lower():find("transfer-encoding: chunked", 1, true) then return body end
  local parts, position = {}, 1
  while true do
    local size, start = body:match("^(%x+)[^\r\n]*\r\n()", position)
    size = tonumber(size or 0, 16)
    if size == 0 then return table.concat(parts) end
    parts[#parts + 1] = body:sub(start, start + size - 1)
    position = start + size + 2
  end
end

--- Returns body and header of a response.
local function split(text)
  local header, body = text:match("^(.-)\r\n\r\n(.*)$")
  if not header then error("no answer: " .. text, 0) end
  return unchunked(header, body), header
end

--- Receives a response, and returns its body and header.
function worker.receive(connection)
  local text = assert(connection:receive("*a"))
  connection:close()
  return split(text)
end

function Worker:send(path)
  return worker.send(self.ports.plain, path)
end

function Worker.receive(_, connection)
  return worker.receive(connection)
end

function Worker:get(path)
  return self:receive(self:send(path))
end

--- Sends `count` requests for these paths in turn, `at_once` at a time. Returns a table of how often each response
-- came, by "path: body", and the number of responses. `count` may be a function that returns whether to send another
-- request. `tell(received)` is called after each response.
function Worker:load(paths, count, at_once, tell)
  local under_way, of, answers, sent, received = {}, {}, {}, 0, 0
  local function wants_more()
    if type(count) == "function" then return count() end
    return sent < count
  end
  local function send()
    sent = sent + 1
    local connection = self:send(paths[sent % #paths + 1])
    connection:settimeout(0)
    under_way[#under_way + 1] = connection
    of[connection] = { path = paths[sent % #paths + 1], parts = {} }
  end
  local function take(connection)
    local text, problem, part = connection:receive("*a")
    local parts = of[connection].parts
    parts[#parts + 1] = text or part
    if problem == "timeout" then return end
    connection:close()
    for i, other in ipairs(under_way) do
      if other == connection then table.remove(under_way, i) end
    end
    local key = of[connection].path .. ": " .. split(table.concat(parts))
    answers[key] = (answers[key] or 0) + 1
    received = received + 1
    if tell then tell(received) end
  end
  while true do
    while #under_way < at_once and wants_more() do send() end
    if #under_way == 0 then return answers, received end
    local readable = socket.select(under_way, nil, ANSWER_SECONDS)
    if #readable == 0 then error(("%d answers are missing"):format(#under_way), 2) end
    for _, connection in ipairs(readable) do take(connection) end
  end
end

--- Returns the text that the functions of `whole` return for a complete list.
function worker.whole(count, seed)
  local ids = {}
  for i, user in ipairs(cjson.decode(users.list_json(seed, count))) do ids[i] = user.id end
  local file = os.tmpname()
  nginx.write_file(file, table.concat(ids))
  local sum = nginx.output_of("md5sum <" .. file):match("^%x+")
  os.remove(file)
  return count .. " users " .. sum
end

-- the server ----------------------------------------------------------------------------------------------------------

--- Returns the process ids of the workers.
function Worker:ids()
  local ids = {}
  for id in nginx.output_of("pgrep -P " .. self.server:pid()):gmatch("%d+") do ids[#ids + 1] = id end
  return ids
end

function Worker:signal(name)
  assert(nginx.run(("kill -%s %d"):format(name, self.server:pid())))
end

--- Returns whether a process exists.
function worker.runs(id)
  return nginx.run("kill -0 " .. id .. " 2>/dev/null")
end

function Worker:descriptors()
  return tonumber(nginx.output_of("ls /proc/" .. self:ids()[1] .. "/fd | wc -l"))
end

--- Returns the resident memory of the worker in kilobytes.
function Worker:memory()
  return tonumber(nginx.read_file("/proc/" .. self:ids()[1] .. "/status"):match("VmRSS:%s+(%d+)"))
end

--- Returns the processor time that the worker has used, in seconds, with a resolution of 0.01.
function Worker:processor_time()
  local fields, text = {}, nginx.read_file("/proc/" .. self:ids()[1] .. "/stat")
  for field in text:match("%) (.*)$"):gmatch("%S+") do fields[#fields + 1] = field end
  return (fields[12] + fields[13]) / nginx.output_of("getconf CLK_TCK")
end

--- Returns the lines of the log of level warn and above, without those that contain one of the given texts.
function Worker:complaints(...)
  local lines = {}
  for line in self.server:log():gmatch("[^\n]+") do
    local level, expected = line:match("%[(%a+)%]"), false
    for _, text in ipairs { ... } do expected = expected or line:find(text, 1, true) end
    if level and level ~= "notice" and level ~= "info" and not expected then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

function Worker:stop()
  self.server:stop()
end

--- Waits until test() is true, and returns the seconds that it took. Raises an error with the text `what` after
-- `seconds` (10).
function worker.eventually(test, what, seconds)
  local start = socket.gettime()
  while not test() do
    if socket.gettime() - start > (seconds or 10) then error(what or "the condition did not become true", 2) end
    socket.sleep(0.01)
  end
  return socket.gettime() - start
end

return worker
