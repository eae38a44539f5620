--- Forks, which Lua cannot by itself: three functions in C, compiled for the Lua that runs the specs.
-- Debian has luaposix for some of the Luas only. Needs a C compiler, pkg-config and the headers of this Lua.

local process = {}

local SOURCE = [[
#include <lauxlib.h>
#include <lua.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static int process_fork(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)fork());
  return 1;
}

static int process_wait(lua_State *L) {
  int status = 0;
  if (waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) < 0 || !WIFEXITED(status)) status = -1;
  lua_pushinteger(L, status < 0 ? -1 : WEXITSTATUS(status));
  return 1;
}

static int process_exit(lua_State *L) {
  _exit((int)luaL_checkinteger(L, 1));
  return 0;
}

int luaopen_process(lua_State *L);
int luaopen_process(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, process_fork);
  lua_setfield(L, -2, "fork");
  lua_pushcfunction(L, process_wait);
  lua_setfield(L, -2, "wait");
  lua_pushcfunction(L, process_exit);
  lua_setfield(L, -2, "exit");
  return 1;
}
]]

-- LuaJIT's package has the name of the Lua that it is taken for, or its own.
local BUILD = [[
set -e
for name in %s; do
  if pkg-config --exists $name; then flags=$(pkg-config --cflags $name); break; fi
done
${CC:-cc} -shared -fPIC $flags -o %s/process.so %s/process.c
]]

local c

local function build()
  local pipe = io.popen("mktemp -d \"${TMPDIR:-/tmp}/podero-spec.XXXXXX\"")
  local folder = pipe:read("*l")
  pipe:close()
  local file = assert(io.open(folder .. "/process.c", "w"))
  file:write(SOURCE)
  file:close()
  local version = _VERSION:match("%d%.%d")
  local names = rawget(_G, "jit") and "luajit" or ("lua%s lua-%s lua"):format(version, version)
  local status = os.execute(BUILD:format(names, folder, folder))
  local open, problem
  if status == true or status == 0 then open, problem = package.loadlib(folder .. "/process.so", "luaopen_process") end
  os.execute("rm -r " .. folder)
  assert(open, problem or "the helper for forks could not be compiled")
  return open()
end

local function write(name, text)
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
end

--- Runs `f` in a child; `child:result()` waits for its end and gives the text that `f` returned, or what it raised.
-- The child leaves without any clean-up, so that it finishes nothing of its parent's.
function process.start(f)
  c = c or build()
  local name = os.tmpname()
  local pid = c.fork()
  if pid == 0 then
    local ok, result = pcall(f)
    pcall(write, name, tostring(result))
    c.exit(ok and 0 or 1)
  end
  local child = {}
  function child.result()
    c.wait(pid)
    local file = assert(io.open(name))
    local text = file:read("*a")
    file:close()
    os.remove(name)
    return text
  end
  return child
end

--- Forks in the midst of something; the child is to call `process.leave` in the end.
function process.fork()
  c = c or build()
  return c.fork()
end

function process.leave(code)
  c.exit(code)
end

--- The exit code of a child.
function process.wait(pid)
  return c.wait(pid)
end

return process
