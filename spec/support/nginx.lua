--- Finds nginx, and runs it with given configurations on free loopback ports.
-- Needs nginx with its Lua module, and LuaSocket.

local socket = require "socket"

local nginx = {}

-- shell and files -----------------------------------------------------------------------------------------------------

function nginx.quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local quoted = nginx.quoted

--- Whether a command succeeds.
function nginx.run(command)
  local status = os.execute(command)
  return status == true or status == 0
end

--- The standard output of a command, without blanks at its end.
function nginx.output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return (text:gsub("%s+$", ""))
end

--- The LUA_CPATH of nginx with the module that is built for LuaJIT, of the variant that is tested.
function nginx.module_path()
  return ("%s/build/luajit%s/?.so;;"):format(nginx.output_of("pwd"), os.getenv("VARIANT") or "")
end

--- The content of a file, or nil.
function nginx.read_file(name)
  local file = io.open(name, "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

function nginx.write_file(name, text)
  local file = assert(io.open(name, "wb"))
  assert(file:write(text))
  assert(file:close())
end

--- A new temporary folder, whose name begins with this.
function nginx.temporary_folder(name)
  local dir = nginx.output_of(("mktemp -d \"${TMPDIR:-/tmp}/%s.XXXXXX\""):format(name))
  assert(dir ~= "", "no temporary folder could be made")
  return dir
end

-- program -------------------------------------------------------------------------------------------------------------

-- The PATH of ordinary users often has no sbin folder.
local SEARCH = "PATH=\"$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/openresty/nginx/sbin\"; "

local FOLDERS = { "/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules" }

--- Returns the lines that load the Lua module from the first of these folders that has it; "" if it is built in.
local function load_modules(folders)
  for _, folder in ipairs(folders) do
    if nginx.read_file(folder .. "/ngx_http_lua_module.so") then
      local lines = ""
      for _, name in ipairs { "ndk_http_module.so", "ngx_http_lua_module.so" } do
        local file = folder .. "/" .. name
        if nginx.read_file(file) then lines = lines .. ("load_module \"%s\";\n"):format(file) end
      end
      return lines
    end
  end
  return ""
end

--- Returns the value of an environment variable with a list as in LUA_PATH, or nil. For an entry without "?", a folder,
-- "/" and `file` are appended.
function nginx.templates(variable, file)
  local list = {}
  for entry in (os.getenv(variable) or ""):gmatch("[^;]+") do
    list[#list + 1] = entry:find("?", 1, true) and entry or entry .. "/" .. file
  end
  return #list > 0 and table.concat(list, ";") or nil
end

local function found_on_path()
  local program = nginx.output_of(SEARCH .. "command -v nginx || command -v openresty")
  return program ~= "" and program or nil
end

--- Describes a program. `folders`: where to look for its modules, in addition to the folder that the program prints.
local function describe(program, folders, paths)
  local all = {}
  all[1] = nginx.output_of(quoted(program) .. " -V 2>&1"):match("%-%-modules%-path=(%S+)")
  for _, folder in ipairs(folders) do all[#all + 1] = folder end
  return { program = program, load_modules = load_modules(all), paths = paths }
end

local tested, installed

--- The nginx under test: `program`, and `load_modules`, the lines for nginx.conf that load its Lua module.
-- PODERO_TEST_NGINX names another one than the installed one, such as an OpenResty built by hand; it loads modules from
-- its own folder only. PODERO_TEST_LUA_PATH and PODERO_TEST_LUA_CPATH are where it finds Lua and C modules that it
-- needs (lua-resty-core, lua-cjson): `nginx.command` adds them to its default paths, the ";;" of lua_package_path.
function nginx.find()
  if tested then return tested end
  local given = os.getenv("PODERO_TEST_NGINX")
  local program = given or found_on_path()
  assert(program, "nginx with its Lua module is missing (Debian: nginx, libnginx-mod-http-lua)")
  tested = describe(program, given and {} or FOLDERS, {
    LUA_PATH = nginx.templates("PODERO_TEST_LUA_PATH", "?.lua"),
    LUA_CPATH = nginx.templates("PODERO_TEST_LUA_CPATH", "?.so"),
  })
  return tested
end

--- The nginx for servers that are not under test (the mock API, a benchmark's upstream): the installed one, or that of
-- PODERO_TEST_NGINX if none is installed.
function nginx.installed()
  if installed then return installed end
  local program = os.getenv("PODERO_TEST_NGINX") and found_on_path()
  installed = program and describe(program, FOLDERS, {}) or nginx.find()
  return installed
end

--- Returns the beginning of a shell command that runs the program of `nginx.find` or `nginx.installed`. `environment`:
-- variables to set, or to unset if false.
function nginx.command(which, environment)
  local values = {}
  for name, value in pairs(environment or {}) do values[name] = value end
  for name, path in pairs(which.paths) do
    local own = values[name]
    if own == nil then own = os.getenv(name) end
    values[name] = (own and own:gsub(";;$", "") .. ";" or "") .. path .. ";;"
  end
  local words = { "env" }
  for name, value in pairs(values) do
    -- Options of env, such as -u, must come before assignments.
    table.insert(words, value and #words + 1 or 2, value and quoted(name .. "=" .. value) or "-u " .. name)
  end
  return table.concat(words, " ") .. " " .. quoted(which.program)
end

--- Returns free loopback ports by name, and whether ::1 exists. All ports stay bound until all are found.
function nginx.free_ports(names)
  local ports, held, ipv6 = {}, {}, false
  for _, name in ipairs(names) do
    local server = assert(socket.bind("127.0.0.1", 0))
    held[#held + 1] = server
    local _, port = server:getsockname()
    ports[name] = ("%d"):format(port)
    if socket.tcp6 then
      local other = socket.tcp6()
      if other and other:bind("::1", port) then ipv6 = true end
      if other then held[#held + 1] = other end
    end
  end
  for _, server in ipairs(held) do server:close() end
  return ports, ipv6
end

-- servers -------------------------------------------------------------------------------------------------------------

local START_ATTEMPTS, START_SECONDS = 5, 20

local LIFE = [[
trap '' INT TERM HUP
cd %s || exit
%s </dev/null >>%s.log 2>&1 &
server=$!
cat >/dev/null
kill $server 2>/dev/null
wait $server
rm -rf %s
]]

--- Runs a server in its folder, with its output appended to the file `name`.log, until the returned pipe is closed,
-- which the system does even if this process is killed. It is appended because a server may open the file a second
-- time, as /dev/stdout, and would overwrite what it has written. Then the folder is removed. The shell and `cat` ignore
-- the signals of a terminal; the server handles them itself.
function nginx.live(dir, name, command)
  return assert(io.popen(LIFE:format(quoted(dir), command, name, quoted(dir)), "w"))
end

local Server = {}
Server.__index = Server

--- Returns what nginx has written to its standard output and standard error.
function Server:log()
  return nginx.read_file(self.dir .. "/nginx.log") or ""
end

--- Returns the id of the master process, or of the only one. The configuration must contain `pid nginx.pid`.
function Server:pid()
  return tonumber(nginx.read_file(self.dir .. "/nginx.pid"))
end

--- Ends the server and removes its folder. A second call does nothing.
function Server:stop()
  if self.pipe then self.pipe:close() end
  self.pipe = nil
end

local function answers(port)
  local connection = socket.connect("127.0.0.1", port)
  if connection then connection:close() end
  return connection ~= nil
end

--- Waits until the server accepts connections on this port. Returns true, or nil and its log if it fails to start.
local function ready(server, port)
  local ends = socket.gettime() + START_SECONDS
  repeat
    local log = server:log()
    if log:find("[emerg]", 1, true) or log:find("init_by_lua error", 1, true) then return nil, log end
    if server:pid() and answers(port) then return true end
    socket.sleep(0.01)
  until socket.gettime() > ends
  return nil, "nginx does not answer: " .. server:log()
end

local function launch(options, dir)
  local ports = nginx.free_ports(options.ports)
  assert(nginx.run("mkdir -p " .. quoted(dir .. "/logs"))) -- the default log, used until the configuration is read
  nginx.write_file(dir .. "/nginx.conf", options.configuration(ports, dir))
  local which = options.installed and nginx.installed() or nginx.find()
  local command = ("%s -p %s -c %s -g 'daemon off;'"):format(nginx.command(which, options.environment),
    quoted(dir .. "/"), quoted(dir .. "/nginx.conf"))
  local server = setmetatable({ dir = dir, ports = ports, pipe = nginx.live(dir, "nginx", command) }, Server)
  local ok, problem = ready(server, ports[options.ports[1]])
  if ok then return server end
  server:stop()
  return nil, problem
end

--- Starts a server and returns it when it answers. It runs until `server:stop()` or the end of this process.
-- `name`: of its temporary folder. `ports`: names of the ports that it needs. `configuration(ports, dir)`: returns its
-- nginx.conf, which must have `pid nginx.pid` and log to stderr; relative paths are relative to the folder. `files`: a
-- folder whose content is copied into that folder. `environment`: variables to set, or to unset if false. `installed`:
-- whether to run the program of `nginx.installed`, not the one under test.
-- The server has `dir`, `ports` (numbers as text, by name), `log`, `pid` and `stop`.
function nginx.start(options)
  local server, problem
  for _ = 1, START_ATTEMPTS do
    local dir = nginx.temporary_folder(options.name)
    if options.files then
      assert(nginx.run(("cp -R %s/. %s"):format(quoted(options.files), quoted(dir))), "no copy of " .. options.files)
    end
    server, problem = launch(options, dir)
    -- Another process may have bound one of the ports meanwhile.
    if server or not problem:find("in use", 1, true) then break end
  end
  return server or error("nginx did not start: " .. problem, 2)
end

return nginx
