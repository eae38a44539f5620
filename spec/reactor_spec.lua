-- The event loop with each of its two back ends: events, timers, forks, and descriptors whose numbers are reused.
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

struct logger {
  struct watcher watcher;
  int fds[LOG], events[LOG], count; /* what on_socket was told in this run */
  int timers;                       /* calls of on_timer in this run */
};

static struct logger loggers[2];
static bool progress;

static bool on_socket(struct watcher *watcher, int fd, int events) {
  struct logger *logger = (struct logger *)watcher;
  if (logger->count < LOG) {
    logger->fds[logger->count] = fd;
    logger->events[logger->count++] = events;
  }
  return true;
}

static bool on_timer(struct watcher *watcher) {
  ((struct logger *)watcher)->timers++;
  watcher->due = INFINITY;
  return false;
}

static struct reactor *reactor;
static int integer(lua_State *L, int index) { return (int)luaL_checkinteger(L, index); }
static struct watcher *watcher_at(lua_State *L) { return &loggers[integer(L, 1)].watcher; }

static int l_open(lua_State *L) {
  reactor = reactor_new();
  for (int i = 0; i < 2; i++) {
    loggers[i].watcher = (struct watcher){.on_socket = on_socket, .on_timer = on_timer, .due = INFINITY};
    reactor_add(reactor, &loggers[i].watcher);
  }
  return (void)L, 0;
}
static int l_free(lua_State *L) {
  for (int i = 0; i < 2; i++) reactor_remove(reactor, &loggers[i].watcher);
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
/* set_timer(watcher, seconds from now) */
static int l_set_timer(lua_State *L) {
  watcher_at(L)->due = clock_monotonic() + luaL_checknumber(L, 2);
  return 0;
}
/* run(watcher [, seconds]) -> the descriptors that it was told of in a run of so many seconds (1), with the events of
 * each */
static int l_run(lua_State *L) {
  struct logger *logger = &loggers[integer(L, 1)];
  for (int i = 0; i < 2; i++) loggers[i].count = loggers[i].timers = 0;
  progress = reactor_run(reactor, clock_monotonic() + luaL_optnumber(L, 2, 1));
  lua_newtable(L);
  for (int n = 0; n < logger->count; n++) {
    lua_pushinteger(L, logger->events[n]);
    lua_rawseti(L, -2, logger->fds[n]);
  }
  return 1;
}
/* In the last run: timers(watcher) -> how often its timer expired; progress() -> whether any watcher made progress */
static int l_timers(lua_State *L) { lua_pushinteger(L, loggers[integer(L, 1)].timers); return 1; }
static int l_progress(lua_State *L) { lua_pushboolean(L, progress); return 1; }
static int l_timeout(lua_State *L) { lua_pushnumber(L, reactor_timeout(reactor)); return 1; }
/* wait(seconds) -> how long it took */
static int l_wait(lua_State *L) {
  double began = clock_monotonic();
  reactor_wait(reactor, luaL_checknumber(L, 1));
  lua_pushnumber(L, clock_monotonic() - began);
  return 1;
}
static int l_descriptor(lua_State *L) { lua_pushinteger(L, reactor_descriptor(reactor)); return 1; }
static int l_survived_fork(lua_State *L) { lua_pushboolean(L, reactor_survived_fork(reactor)); return 1; }
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
static int l_move(lua_State *L) { /* gives one descriptor's file another number */
  dup2(integer(L, 1), integer(L, 2));
  close(integer(L, 1));
  return 0;
}
]]

local SOURCES = "src/core/loop/reactor.c src/core/loop/reactor_epoll.c src/core/loop/reactor_poll.c src/core/fork.c"
local FLAGS = " -std=c11 -D_DEFAULT_SOURCE -Isrc -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -lm -lpthread"

local READ, WRITE, DUP = 1, 2, 8

for name, flags in pairs { epoll = "", poll = " -DPODERO_POSIX_ONLY" } do
  describe("the reactor with " .. name, function()
    local c, opened

    setup(function() c = compile("reactor", SOURCE, SOURCES .. FLAGS .. flags) end)
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

    it("reports only the requested events", function()
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

    it("returns whether a watcher made progress", function()
      local one, other = pair()
      assert.is_true(c.watch(0, one, READ))
      c.run(0)
      assert.is_false(c.progress())
      c.send(other)
      c.run(0)
      assert.is_true(c.progress())
      c.forget(0, one)
    end)

    it("calls a watcher whose timer has expired", function()
      assert.equal(math.huge, c.timeout())
      c.set_timer(0, 0.05)
      c.set_timer(1, 60)
      local timeout = c.timeout()
      assert.is_true(timeout > 0 and timeout <= 0.05)
      c.run(0)
      assert.equal(0, c.timers(0))
      assert.is_true(c.wait(5) < 1)
      assert.equal(0, c.timeout())
      c.run(0)
      assert.equal(1, c.timers(0))
      c.run(0)
      assert.equal(0, c.timers(0))
      timeout = c.timeout()
      assert.is_true(timeout > 50 and timeout <= 60)
    end)

    it("polls descriptors although a timer expires in each run", function()
      local one, other = pair()
      assert.is_true(c.watch(0, one, READ))
      c.send(other)
      local reported = 0
      for _ = 1, 4 do
        c.set_timer(1, 0)
        if next(c.run(0)) then reported = reported + 1 end
      end
      assert.is_true(reported >= 2)
      c.forget(0, one)
    end)

    it("stops a run when its time is up, and continues in the next one", function()
      local one, one_other = pair()
      local second, second_other = pair()
      assert.is_true(c.watch(0, one, READ))
      assert.is_true(c.watch(0, second, READ))
      c.send(one_other)
      c.send(second_other)
      local first = next(c.run(0, 0))
      assert.is_true(first == one or first == second)
      assert.equal(0, c.timeout())
      local rest = first == one and second or one
      assert.same({ [rest] = READ }, c.run(0, 0))
      -- A descriptor that is forgotten between two runs is not reported.
      first = next(c.run(0, 0))
      rest = first == one and second or one
      c.forget(0, rest)
      assert.same({}, c.run(0, 0))
      assert.same({ [first] = READ }, c.run(0))
      c.forget(0, first)
    end)

    it("watches a duplicate on request, and closes it", function()
      local before, unused = c.pair()
      c.close(before)
      c.close(unused)
      local one, other = pair()
      assert.is_true(c.watch(0, one, READ + DUP))
      c.send(other)
      assert.same({ [one] = READ }, c.run(0))
      assert.is_true(c.watch(0, one, READ))
      assert.same({ [one] = READ }, c.run(0))
      assert.is_true(c.watch(0, one, READ + DUP))
      c.forget(0, one)
      assert.same({}, c.run(0))
      local next_one, next_other = pair()
      assert.same({ one + 2, other + 2 }, { next_one, next_other })
    end)

    it("watches the new file of a reused number", function()
      local one, other = pair()
      assert.is_true(c.watch(0, one, READ))
      local second, second_other = pair()
      c.move(second, one) -- as if it had been closed without reactor_forget, and opened again
      c.send(second_other)
      assert.is_true(c.watch(0, one, READ + WRITE))
      assert.same({ [one] = READ + WRITE }, c.run(0))
      c.send(other)
    end)

    it("watches a replacement with the same number for the same events", function()
      for _, how in ipairs { READ, READ + DUP } do
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

    it("keeps watching a number that another watcher has taken over", function()
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

    it("does not spin on a descriptor that was closed", function()
      local one, other = pair()
      assert.is_true(c.watch(0, one, READ))
      c.close(one)
      c.run(0)
      c.run(0)
      assert.is_true(c.wait(0.05) >= 0.04)
      c.send(other)
      c.forget(0, one)
    end)

    it("does not spin on a file that was closed but is still open in a child", function()
      for _, watched in ipairs { READ, 0 } do
        local gate = process.gate()
        local one, other = c.pair()
        assert.is_true(c.watch(0, one, READ))
        local pid = process.fork()
        if pid == 0 then
          c.close(other)
          gate.wait()
          process.leave(0)
        end
        c.watch(0, one, watched)
        c.close(one)
        c.forget(0, one)
        c.send(other)
        local third, third_other = pair() -- has the same number, and stays watched
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
        gate.open()
        assert.equal(0, process.wait(pid))
      end
    end)

    it("watches no descriptors in a child, and keeps watching the parent's", function()
      local one, other = pair()
      assert.is_true(c.watch(0, one, READ))
      c.send(other)
      assert.is_true(c.survived_fork())
      process.in_child(function()
        assert.is_true(c.survived_fork())
        assert.same({}, c.run(0))
        assert.is_true(c.watch(0, one, READ))
        assert.same({ [one] = READ }, c.run(0))
        c.forget(0, one)
      end)
      assert.same({ [one] = READ }, c.run(0))
      c.forget(0, one)
    end)

    it("detects that a child has closed its descriptor, and does not touch the new file", function()
      local descriptor = c.descriptor()
      process.in_child(function()
        if name == "epoll" then
          c.close(descriptor)
          assert.equal(descriptor, process.epoll())
        end
        assert.equal(name == "poll", c.survived_fork())
        if name == "epoll" then assert.is_true(process.is_epoll(descriptor)) end
        local one, other = c.pair()
        assert.is_true(c.watch(0, one, READ))
        c.send(other)
        assert.same({ [one] = READ }, c.run(0))
        c.forget(0, one)
      end)
    end)

    it("has a descriptor that is readable while a watched one is ready", function()
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
