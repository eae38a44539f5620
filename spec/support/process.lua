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

static int l_fork(lua_State *L) {
  fflush(NULL);
  lua_pushinteger(L, (lua_Integer)fork());
  return 1;
}

static int l_wait(lua_State *L) {
  int status = 0;
  if (waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) < 0 || !WIFEXITED(status)) status = -1;
  lua_pushinteger(L, status < 0 ? -1 : WEXITSTATUS(status));
  return 1;
}

static int l_exit(lua_State *L) {
  int code = (int)luaL_checkinteger(L, 1);
  const char *variant = getenv("VARIANT");
  if (variant != NULL && strcmp(variant, "-coverage") == 0) exit(code); /* for gcov to write what it has counted */
  _exit(code);
  return 0;
}

static int l_epoll(lua_State *L) {
  lua_pushinteger(L, epoll_create1(0));
  return 1;
}

static int l_is_epoll(lua_State *L) {
  struct epoll_event event;
  lua_pushboolean(L, epoll_wait((int)luaL_checkinteger(L, 1), &event, 1, 0) >= 0);
  return 1;
}

static int l_pipe(lua_State *L) {
  int fds[2];
  if (pipe(fds) != 0) return luaL_error(L, "no pipe");
  lua_pushinteger(L, fds[0]);
  lua_pushinteger(L, fds[1]);
  return 2;
}

/* Waits until all writing ends of the pipe are closed. */
static int l_wait_for_end(lua_State *L) {
  char byte;
  while (read((int)luaL_checkinteger(L, 1), &byte, 1) > 0) continue;
  return 0;
}

static int l_close(lua_State *L) {
  lua_pushboolean(L, close((int)luaL_checkinteger(L, 1)) == 0);
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

--- A gate for which a child waits, made before the fork: `gate.wait()` in the child returns after `gate.open()` in the
-- parent.
function process.gate()
  c = c or compile("process", SOURCE)
  local reader, writer = c.pipe()
  local gate = {}
  function gate.wait()
    c.close(writer)
    c.wait_for_end(reader)
  end
  function gate.open()
    c.close(reader)
    c.close(writer)
  end
  return gate
end

--- Calls fork and returns its result. The child must end with `process.leave`.
function process.fork()
  c = c or compile("process", SOURCE)
  return c.fork()
end

--- Runs `f` in a child process, and raises an error if it has raised one.
function process.in_child(f)
  local pid = process.fork()
  if pid == 0 then
    local ok, problem = pcall(f)
    if not ok then io.stderr:write(tostring(problem), "\n") end
    process.leave(ok and 0 or 1)
  end
  assert(process.wait(pid) == 0, "the child has failed")
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
