-- Descriptors for other event loops, with epoll and with pipes, and how a child recognizes inherited descriptors.
local compile = require "spec.support.compile"
local process = require "spec.support.process"

local SOURCE = [[
#include <fcntl.h>
#include <lauxlib.h>
#include <math.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/fork.h"
#include "core/loop/reactor.h"
#include "core/loop/wakeup.h"

static bool on_socket(struct watcher *watcher, int fd, int events) {
  (void)watcher, (void)fd, (void)events;
  return true;
}

static bool on_timer(struct watcher *watcher) {
  watcher->due = INFINITY;
  return false;
}

static struct watcher watcher = {.on_socket = on_socket, .on_timer = on_timer, .due = INFINITY};
static struct reactor *reactor;
static struct wakeup *wakeup;
static struct file_id file;

static int integer(lua_State *L, int index) { return (int)luaL_checkinteger(L, index); }

static int l_open(lua_State *L) {
  reactor = reactor_new();
  reactor_add(reactor, &watcher);
  wakeup = wakeup_new();
  lua_pushboolean(L, wakeup != NULL);
  return 1;
}
static int l_close(lua_State *L) {
  wakeup_release(wakeup);
  reactor_remove(reactor, &watcher);
  reactor_free(reactor);
  return (void)L, 0;
}
static int l_watch(lua_State *L) {
  lua_pushboolean(L, reactor_watch(reactor, &watcher, integer(L, 1), REACTOR_READ));
  return 1;
}
static int l_forget(lua_State *L) { reactor_forget(reactor, &watcher, integer(L, 1)); return 0; }
static int l_attach(lua_State *L) { lua_pushboolean(L, wakeup_attach(wakeup, reactor)); return 1; }
static int l_detach(lua_State *L) { wakeup_detach(wakeup); return (void)L, 0; }
static int l_signal(lua_State *L) { wakeup_signal(wakeup); return (void)L, 0; }
static int l_clear(lua_State *L) { wakeup_clear(wakeup); return (void)L, 0; }
static int l_is_usable(lua_State *L) { lua_pushboolean(L, wakeup_is_usable(wakeup)); return 1; }
static int l_descriptor(lua_State *L) { lua_pushinteger(L, wakeup_descriptor(wakeup)); return 1; }
/* is_readable() -> whether it is; fails if poll says something else about its descriptor */
static int l_is_readable(lua_State *L) {
  struct pollfd entry = {.fd = wakeup_descriptor(wakeup), .events = POLLIN};
  bool readable = poll(&entry, 1, 0) > 0;
  if (readable != wakeup_is_readable(wakeup)) return luaL_error(L, "poll says something else");
  lua_pushboolean(L, readable);
  return 1;
}

static int l_pair(lua_State *L) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return luaL_error(L, "no pair");
  lua_pushinteger(L, fds[0]);
  lua_pushinteger(L, fds[1]);
  return 2;
}
static int l_send(lua_State *L) { send(integer(L, 1), "x", 1, MSG_NOSIGNAL); return 0; }
static int l_close_file(lua_State *L) { close(integer(L, 1)); return 0; }
static int l_is_open(lua_State *L) { lua_pushboolean(L, fcntl(integer(L, 1), F_GETFD) >= 0); return 1; }
static int l_is_inherited(lua_State *L) {
  lua_pushboolean(L, (fcntl(integer(L, 1), F_GETFD) & FD_CLOEXEC) == 0);
  return 1;
}

/* identify(fd): makes the id of a file. is_same(fd), close_if_same(fd): with that id */
static int l_identify(lua_State *L) { file = fork_file_id(integer(L, 1)); return 0; }
static int l_is_same(lua_State *L) { lua_pushboolean(L, fork_is_same_file(integer(L, 1), file)); return 1; }
static int l_close_if_same(lua_State *L) { fork_close(integer(L, 1), file); return 0; }
]]

local SOURCES = "src/core/loop/reactor.c src/core/loop/reactor_epoll.c src/core/loop/reactor_poll.c "
  .. "src/core/loop/wakeup.c src/core/fork.c"
local FLAGS = " -std=c11 -D_DEFAULT_SOURCE -Isrc -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -lm -lpthread"

for name, flags in pairs { epoll = "", pipes = " -DPODERO_POSIX_ONLY" } do
  local has_epoll = name == "epoll"

  describe("a wakeup with " .. name, function()
    local c

    setup(function() c = compile("wakeup", SOURCE, SOURCES .. FLAGS .. flags) end)
    before_each(function() assert.is_true(c.open()) end)
    after_each(function() c.close() end)

    it("is readable from signal until clear, however often each is called", function()
      assert.is_false(c.is_readable())
      c.clear()
      for _ = 1, 3 do
        for _ = 1, 100000 do c.signal() end
        assert.is_true(c.is_readable())
        c.clear()
        assert.is_false(c.is_readable())
        c.clear()
      end
    end)

    it("is readable while a watched descriptor is ready if it is attached to an epoll set", function()
      local one, other = c.pair()
      assert.is_true(c.watch(one))
      assert.equal(has_epoll, c.attach())
      assert.equal(has_epoll, c.attach())
      assert.is_false(c.is_readable())
      c.send(other)
      assert.equal(has_epoll, c.is_readable())
      c.clear()
      assert.equal(has_epoll, c.is_readable())
      c.signal()
      assert.is_true(c.is_readable())
      c.clear()
      c.detach()
      assert.is_false(c.is_readable())
      c.signal()
      assert.is_true(c.is_readable())
      c.forget(one)
      c.close_file(one)
      c.close_file(other)
    end)

    it("has a descriptor that stays the same, and that other programs do not inherit", function()
      local descriptor = c.descriptor()
      c.attach()
      c.signal()
      assert.equal(descriptor, c.descriptor())
      for fd = descriptor, descriptor + 1 do
        assert.is_true(c.is_open(fd))
        assert.is_false(c.is_inherited(fd))
      end
    end)

    it("closes both of its descriptors", function()
      local descriptor = c.descriptor()
      c.close()
      assert.is_false(c.is_open(descriptor))
      assert.is_false(c.is_open(descriptor + 1))
      assert.is_true(c.open())
    end)

    it("cannot be used in a child, and the parent's is not affected", function()
      c.attach()
      assert.is_true(c.is_usable())
      process.in_child(function()
        assert.is_false(c.is_usable())
        c.signal()
        c.clear()
        c.close()
        assert.is_true(c.open())
        assert.is_true(c.is_usable())
        c.signal()
        assert.is_true(c.is_readable())
      end)
      assert.is_false(c.is_readable())
      c.signal()
      process.in_child(function() c.clear() end)
      assert.is_true(c.is_readable())
    end)

    it("does not close descriptors that a child has reused", function()
      local descriptor = c.descriptor()
      process.in_child(function()
        c.close_file(descriptor)
        c.close_file(descriptor + 1)
        local one, other = c.pair()
        assert.same({ descriptor, descriptor + 1 }, { one, other })
        c.close()
        assert.is_true(c.is_open(one))
        assert.is_true(c.is_open(other))
        assert.is_true(c.open())
      end)
    end)
  end)

  describe("with " .. name .. " an inherited socket", function()
    local c

    setup(function() c = compile("wakeup", SOURCE, SOURCES .. FLAGS .. flags) end)

    it("is recognized and closed in a child and in a grandchild", function()
      c.open()
      local one, other = c.pair()
      c.identify(one)
      local pid = process.fork()
      if pid == 0 then
        local same = c.is_same(one)
        local grandchild = process.fork()
        if grandchild == 0 then
          same = c.is_same(one) and not c.is_same(other)
          c.close_if_same(one)
          process.leave(same and not c.is_open(one) and 0 or 1)
        end
        process.leave(same and process.wait(grandchild) == 0 and c.is_open(one) and 0 or 1)
      end
      assert.equal(0, process.wait(pid))
      assert.is_true(c.is_open(one))
      c.close_file(one)
      c.close_file(other)
      c.close()
    end)

    it("is distinguished from one that the child has opened with the same number", function()
      c.open()
      local one, other = c.pair()
      c.identify(one)
      local pid = process.fork()
      if pid == 0 then
        c.close_file(one)
        c.close_file(other)
        local again = c.pair()
        local known = c.is_same(one)
        c.close_if_same(one)
        process.leave(again == one and not known and c.is_open(one) and 0 or 1)
      end
      assert.equal(0, process.wait(pid))
      c.close_file(one)
      c.close_file(other)
      c.close()
    end)
  end)
end
