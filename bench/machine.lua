--- Describes the machine and the software with which the figures were measured.

local support = require "bench.support"

local machine = {}

local function first_line(command)
  local text, ok = support.output_of(command .. " 2>&1")
  text = text:match("^[^\n]*")
  return ok and text ~= "" and text or nil
end

local function processor()
  return first_line("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1") or first_line("uname -m")
end

-- Names, and commands whose first line of output tells the version.
local VERSIONS = {
  { "Lua", "lua5.4 -v" },
  { "LuaJIT", "luajit -v" },
  { "lua-cjson", "lua5.4 -e 'print(require \"cjson\"._VERSION)'" },
  { "LuaSocket", "lua5.4 -e 'print(require \"socket\"._VERSION)'" },
  { "lua-http", "luajit -e 'print(require \"http.version\".version)'" },
  { "libcurl", "pkg-config --modversion libcurl" },
  { "curl", "curl --version" },
  { "jq", "jq --version" },
  { "Python", "python3 --version" },
  { "Node", "node --version" },
  { "nginx", "PATH=\"$PATH:/usr/sbin\" \"${PODERO_TEST_NGINX:-nginx}\" -v" },
  { "valgrind", "valgrind --version" },
  { "compiler", "${CC:-cc} --version" },
}

--- Returns a table of two columns in Markdown. `load`: the load average when the run began.
function machine.describe(load)
  local lines = { "| machine | |", "| --- | --- |" }
  local function add(name, value)
    lines[#lines + 1] = ("| %s | %s |"):format(name, value or "missing")
  end
  add("processor", processor())
  add("cores", first_line("nproc"))
  add("kernel", (first_line("uname -sr") or ""):match("^%a+ %d+%.%d+"))
  add("load average before", load)
  for _, version in ipairs(VERSIONS) do add(version[1], first_line(version[2])) end
  return table.concat(lines, "\n")
end

--- Returns the load average, as text.
function machine.load()
  return first_line("cut -d ' ' -f 1-3 /proc/loadavg")
end

return machine
