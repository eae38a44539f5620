--- fork and some other system calls for specs, in C, compiled for the Lua that runs them. (Debian has luaposix for some
-- versions of Lua only.)

local compile = require "spec.support.compile"

local process = {}

local SOURCE = [[
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static int process_fork(lua_State *L) {
  fflush(NULL);
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
  int code = (int)luaL_checkinteger(L, 1);
  const char *variant = getenv("VARIANT");
  if (variant != NULL && strcmp(variant, "-coverage") == 0) exit(code); /* for gcov to write what it has counted */
  _exit(code);
  return 0;
}

static int process_epoll(lua_State *L) {
  lua_pushinteger(L, epoll_create1(0));
  return 1;
}

static int process_is_epoll(lua_State *L) {
  struct epoll_event event;
  lua_pushboolean(L, epoll_wait((int)luaL_checkinteger(L, 1), &event, 1, 0) >= 0);
  return 1;
}

static int process_close(lua_State *L) {
  lua_pushboolean(L, close((int)luaL_checkinteger(L, 1)) == 0);
  return 1;
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
  lua_pushcfunction(L, process_epoll);
  lua_setfield(L, -2, "epoll");
  lua_pushcfunction(L, process_is_epoll);
  lua_setfield(L, -2, "is_epoll");
  lua_pushcfunction(L, process_close);
  lua_setfield(L, -2, "close");
  return 1;
}
]]

local c

local function write(name, text)
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
end

--- Runs `f` in a child process. `child:result()` waits for its end and returns the text that `f` returned, or the error
-- that it raised. The child calls _exit, so that no exit handler or finalizer of the parent runs in it.
function process.start(f)
  c = c or compile("process", SOURCE)
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

--- Calls fork and returns its result. The child must end with `process.leave`.
function process.fork()
  c = c or compile("process", SOURCE)
  return c.fork()
end

--- epoll returns the descriptor of a new epoll set, is_epoll whether a descriptor is one. close closes a descriptor and
-- returns whether it was open.
function process.epoll()
  c = c or compile("process", SOURCE)
  return c.epoll()
end

function process.is_epoll(fd)
  return c.is_epoll(fd)
end

function process.close(fd)
  return c.close(fd)
end

function process.leave(code)
  c.exit(code)
end

--- The exit code of a child.
function process.wait(pid)
  return c.wait(pid)
end

return process
