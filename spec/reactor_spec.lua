-- The event loop by itself, with either of its two means: what is waited for, and descriptors whose numbers come to
-- mean other files.
local compile = require "spec.support.compile"
local process = require "spec.support.process"

local SOURCE = [[
#include <lauxlib.h>
#include <math.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/loop/reactor.h"

#define LOG 64

static struct { struct watcher watcher; struct reactor *reactor; int fds[LOG], events[LOG], count; } watchers[2];

static bool on_socket(struct watcher *watcher, int fd, int events) {
  int i = watcher == &watchers[1].watcher;
  if (watchers[i].count < LOG) {
    watchers[i].fds[watchers[i].count] = fd;
    watchers[i].events[watchers[i].count++] = events;
  }
  return true;
}

static bool on_time(struct watcher *watcher) { return (void)watcher, false; }

static struct reactor *reactor;
static int integer(lua_State *L, int index) { return (int)luaL_checkinteger(L, index); }
static struct watcher *watcher_at(lua_State *L) { return &watchers[integer(L, 1)].watcher; }

static int l_open(lua_State *L) {
  reactor = reactor_new();
  for (int i = 0; i < 2; i++) {
    watchers[i].watcher = (struct watcher){.on_socket = on_socket, .on_time = on_time, .due = INFINITY};
    reactor_add(reactor, &watchers[i].watcher);
  }
  return (void)L, 0;
}
static int l_free(lua_State *L) {
  for (int i = 0; i < 2; i++) reactor_remove(reactor, &watchers[i].watcher);
  reactor_free(reactor);
  return (void)L, 0;
}
static int l_watch(lua_State *L) {
  lua_pushboolean(L, reactor_watch(reactor, watcher_at(L), integer(L, 2), integer(L, 3)));
  return 1;
}
static int l_forget(lua_State *L) { reactor_forget(reactor, watcher_at(L), integer(L, 2)); return 0; }
static int l_replace(lua_State *L) {
  lua_pushboolean(L, reactor_replace(reactor, watcher_at(L), integer(L, 2)));
  return 1;
}
/* run(watcher) -> the descriptors that it was told of in a run, and what was told of each */
static int l_run(lua_State *L) {
  int i = integer(L, 1);
  watchers[i].count = 0;
  reactor_run(reactor, clock_monotonic() + 1);
  lua_newtable(L);
  for (int n = 0; n < watchers[i].count; n++) {
    lua_pushinteger(L, watchers[i].events[n]);
    lua_rawseti(L, -2, watchers[i].fds[n]);
  }
  return 1;
}
/* wait(seconds) -> how long it took */
static int l_wait(lua_State *L) {
  double began = clock_monotonic();
  reactor_wait(reactor, luaL_checknumber(L, 1));
  lua_pushnumber(L, clock_monotonic() - began);
  return 1;
}
static int l_descriptor(lua_State *L) { lua_pushinteger(L, reactor_descriptor(reactor)); return 1; }
static int l_is_readable(lua_State *L) {
  struct pollfd descriptor = {.fd = integer(L, 1), .events = POLLIN};
  lua_pushboolean(L, poll(&descriptor, 1, 0) > 0);
  return 1;
}
static int l_pair(lua_State *L) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return luaL_error(L, "no pair");
  lua_pushinteger(L, fds[0]);
  lua_pushinteger(L, fds[1]);
  return 2;
}
static int l_send(lua_State *L) { lua_pushinteger(L, (int)send(integer(L, 1), "x", 1, MSG_NOSIGNAL)); return 1; }
static int l_close(lua_State *L) { close(integer(L, 1)); return 0; }
static int l_move(lua_State *L) { /* one descriptor's file to another number */
  dup2(integer(L, 1), integer(L, 2));
  close(integer(L, 1));
  return 0;
}

static const luaL_Reg functions[] = {
    {"open", l_open}, {"free", l_free}, {"watch", l_watch}, {"forget", l_forget}, {"replace", l_replace},
    {"run", l_run}, {"wait", l_wait}, {"descriptor", l_descriptor}, {"is_readable", l_is_readable}, {"pair", l_pair},
    {"send", l_send}, {"close", l_close}, {"move", l_move}, {NULL, NULL}};

int luaopen_reactor(lua_State *L) {
  lua_newtable(L);
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  return 1;
}
]]

local READ, WRITE, COPY = 1, 2, 8

for name, flags in pairs { epoll = "", poll = " -DPODERO_WITHOUT_EPOLL" } do
  describe("the reactor with " .. name, function()
    local c, opened

    setup(function()
      c = compile("reactor", SOURCE, "src/core/loop/reactor.c src/core/fork.c -std=c11 -D_DEFAULT_SOURCE " ..
        "-Isrc -Wall -Wextra -Werror -lm -lpthread" .. flags)
    end)
    before_each(function()
      opened = {}
      c.open()
    end)
    after_each(function()
      c.free()
      for _, fd in ipairs(opened) do c.close(fd) end
    end)

    local function pair()
      local one, other = c.pair()
      opened[#opened + 1], opened[#opened + 2] = one, other
      return one, other
    end

    it("tells of what is waited for, for as long as it is", function()
      local one, other = pair()
      assert.is_true(c.watch(0, one, READ))
      assert.same({}, c.run(0))
      c.send(other)
      assert.same({ [one] = READ }, c.run(0))
      assert.is_true(c.watch(0, one, READ + WRITE))
      assert.same({ [one] = READ + WRITE }, c.run(0))
      assert.is_true(c.watch(0, one, 0))
      for _ = 1, 2 do assert.same({}, c.run(0)) end
      assert.is_true(c.watch(0, one, WRITE))
      assert.same({ [one] = WRITE }, c.run(0))
      c.forget(0, one)
      assert.same({}, c.run(0))
    end)

    it("waits on a copy, which it closes", function()
      local before, unused = c.pair()
      c.close(before)
      c.close(unused)
      local one, other = pair()
      assert.is_true(c.watch(0, one, READ + COPY))
      c.send(other)
      assert.same({ [one] = READ }, c.run(0))
      assert.is_true(c.watch(0, one, READ))
      assert.same({ [one] = READ }, c.run(0))
      assert.is_true(c.watch(0, one, READ + COPY))
      c.forget(0, one)
      assert.same({}, c.run(0))
      local next_one, next_other = pair()
      assert.same({ one + 2, other + 2 }, { next_one, next_other })
    end)

    it("waits on the file that a number has come to mean", function()
      local one, other = pair()
      assert.is_true(c.watch(0, one, READ))
      local second, second_other = pair()
      c.move(second, one) -- as if it had been closed without a word, and opened again
      c.send(second_other)
      assert.is_true(c.watch(0, one, READ + WRITE))
      assert.same({ [one] = READ + WRITE }, c.run(0))
      c.send(other)
    end)

    it("waits on a new file of a number as it did on the one before", function()
      for _, how in ipairs { READ, READ + COPY } do
        local one = pair()
        assert.is_true(c.watch(0, one, how))
        local second, second_other = pair()
        c.move(second, one)
        assert.is_true(c.replace(0, one))
        c.send(second_other)
        assert.same({ [one] = READ }, c.run(0))
        assert.is_true(c.watch(0, one, 0))
        c.forget(0, one)
      end
    end)

    it("leaves a number alone that is another watcher's by now", function()
      local one, other = pair()
      assert.is_true(c.watch(0, one, READ))
      assert.is_true(c.watch(1, one, READ))
      assert.is_true(c.watch(0, one, 0))
      c.forget(0, one)
      c.send(other)
      assert.same({}, c.run(0))
      assert.same({ [one] = READ }, c.run(1))
      c.forget(1, one)
    end)

    it("waits without turning for a descriptor that was closed", function()
      local one, other = pair()
      assert.is_true(c.watch(0, one, READ))
      c.close(one)
      c.run(0)
      c.run(0)
      assert.is_true(c.wait(0.05) >= 0.04)
      c.send(other)
      c.forget(0, one)
    end)

    it("waits without turning for a file that was closed, and is a child's still", function()
      for _, watched in ipairs { READ, 0 } do
        local one, other = c.pair()
        assert.is_true(c.watch(0, one, READ))
        local pid = process.fork()
        if pid == 0 then
          c.close(other)
          os.execute("sleep 1")
          process.leave(0)
        end
        c.watch(0, one, watched)
        c.close(one)
        c.forget(0, one)
        c.send(other)
        local third, third_other = pair() -- has the number, and goes on through whatever is done about it
        assert.equal(one, third)
        assert.is_true(c.watch(1, third, READ))
        c.run(0)
        c.run(0)
        assert.is_true(c.wait(0.05) >= 0.04)
        c.send(third_other)
        assert.is_true(c.wait(5) < 1)
        assert.same({ [third] = READ }, c.run(1))
        c.forget(1, third)
        c.close(other)
        assert.equal(0, process.wait(pid))
      end
    end)

    it("gives a descriptor that is readable while there is something to run", function()
      local one, other = pair()
      local descriptor = c.descriptor()
      if name == "poll" then return assert.equal(-1, descriptor) end
      assert.is_true(c.watch(0, one, READ))
      assert.is_false(c.is_readable(descriptor))
      c.send(other)
      assert.is_true(c.is_readable(descriptor))
      assert.equal(descriptor, c.descriptor())
      c.forget(0, one)
      assert.is_false(c.is_readable(descriptor))
    end)
  end)
end
