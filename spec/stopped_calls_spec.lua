--- A call that is stopped, at any step and in any way, ends in an error, or in nothing if nobody waits for it any more,
-- but never in part of a result. The client stays usable, and the server sees the request end.

local cjson = require "cjson"
local helper = require "spec.support.helper"
local peer = require "spec.support.peer"
local socket = require "socket"
local users = require "spec.support.mock.users"

local ORG = helper.ORG
local COUNT = 6
local LIST = users.list_json(7, COUNT)
local TOKEN = '{"access_token": "of-the-peer", "token_type": "Bearer", "expires_in": 3600}'
local MOST_STEPS = 200

local has_closing_variables = _VERSION >= "Lua 5.4"

-- the server ----------------------------------------------------------------------------------------------------------

local function head(size)
  return ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"):format(size)
end

--- A response in pieces, with an act before each.
local function in_pieces(act, text, pieces)
  local acts, size = { act, { "send", head(#text) } }, math.ceil(#text / pieces)
  for first = 1, #text, size do
    acts[#acts + 1] = act
    acts[#acts + 1] = { "send", text:sub(first, first + size - 1) }
  end
  return acts
end

--- Responses in pieces, with an act before each: a token, a list that is cut short before its first user ends, and
-- then, after a pause, complete lists. If only a token is requested, its first response is cut short. All later
-- responses are good.
local function script(act, only_token)
  local lists = { { act, { "send", head(#LIST) }, act, { "send", LIST:sub(1, 20) }, act, { "close" } } }
  for i = 2, 4 do lists[i] = in_pieces(act, LIST, 3) end
  local tokens = { in_pieces(act, TOKEN, 2) }
  if only_token then table.insert(tokens, 1, { act, { "send", head(#TOKEN) }, act, { "close" } }) end
  return {
    token = tokens, api = lists,
    good_token = { { "respond", 200, {}, TOKEN } }, good_api = { { "respond", 200, {}, LIST } },
  }
end

-- the methods ---------------------------------------------------------------------------------------------------------

local function is_list(list)
  return type(list) == "table" and #list == COUNT and helper.difference(helper.oracle(LIST), list) == nil
end

local IDS = { ORG, helper.OTHER_ORG, "11111111-1111-4111-8111-111111111111" }

--- Whether two JSON values are equal; all numbers of lua-cjson are floats.
local function is_equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not is_equal(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

--- How each method is called. `whole`: whether its results are complete. `state` gets the iterator and its users.
local METHODS = {
  {
    name = "list_users",
    call = function(client) return client:list_users(ORG) end,
    whole = is_list,
  },
  {
    name = "each_user",
    call = function(client, state)
      state.list, state.iterator = {}, client:each_user(ORG)
      local user = state.iterator()
      while user do
        state.list[#state.list + 1] = user
        user = state.iterator()
      end
      return state.list
    end,
    whole = is_list,
  },
  {
    name = "list_users_of",
    call = function(client) return client:list_users_of(IDS, { concurrency = 2 }) end,
    whole = function(results, errors)
      return next(errors) == nil and is_list(results[IDS[1]]) and is_list(results[IDS[2]]) and is_list(results[IDS[3]])
    end,
  },
  {
    name = "get",
    call = function(client) return client:get(helper.users_path()) end,
    whole = function(value) return is_equal(cjson.decode(LIST), value) end,
  },
  {
    name = "request",
    call = function(client) return client:request("GET", helper.users_path()) end,
    whole = function(value) return is_equal(cjson.decode(LIST), value) end,
  },
  {
    name = "token",
    call = function(client) return client:token() end,
    whole = function(token, expires_at) return token == "of-the-peer" and type(expires_at) == "number" end,
  },
}

-- steps ---------------------------------------------------------------------------------------------------------------

local function is_readable(fd, seconds)
  local watched = { getfd = function() return fd end, dirty = function() return false end }
  return socket.select({ watched }, nil, seconds)[1] ~= nil
end

--- Waits for the descriptor as a scheduler does, while the server takes a step.
local function follow(listener, seconds, fd)
  local ends, stepped = socket.gettime() + seconds, false
  repeat
    stepped = stepped or listener:step()
    local left = math.max(ends - socket.gettime(), 0)
  until is_readable(fd, stepped and left or math.min(left, 0.001)) or left == 0
end

--- Waits until the server has no request in flight, because the client has closed their connections. A token request
-- continues without the call that started it. Returns whether that happens within 10 s.
local function is_idle(listener)
  local ends = socket.gettime() + 10
  repeat
    local requests, _, _, _, in_flight = listener:received()
    if in_flight == 0 then return true end
    if requests[#requests].kind == "token" then listener:step() end
    socket.sleep(0.002)
  until socket.gettime() > ends
  return false
end

--- The stage that a call has reached, according to the server and on_event.
local function stage(state)
  local requests = state.listener:received()
  local last = requests[#requests]
  if not last then return "connect" end
  return state.events == #requests and "pause" or last.kind
end

--- Calls `check(n, listener)` for n = 1, 2, ... with a new listener, until it returns that the call ended before step
-- n.
local function for_each_step(server, method, check)
  for n = 1, MOST_STEPS do
    local listener = server:listen(script({ "hold" }, method.name == "token"))
    local ended = check(n, listener)
    listener:close()
    if ended then return n - 1 end
  end
  error("the call does not end")
end

--- Of several calls, one may pause while others continue.
local function has_all_stages(method, stages)
  return stages.token and (stages.api or method.name == "token") and
    (stages.pause or method.name == "list_users_of")
end

--- As for_each_step, and again if a stage was missed: the pause between two attempts is random and may be very short,
-- and on a busy machine the number of waits before a stage differs.
local function for_all_stages(server, method, stages, check)
  local steps
  for _ = 1, 10 do
    steps = for_each_step(server, method, check)
    if has_all_stages(method, stages) then break end
  end
  return steps
end

describe("a call that is stopped at any of its steps", function()
  local server

  setup(function() server = peer.start() end)
  teardown(function() server:stop() end)
  after_each(helper.close_clients)

  local function new_client(listener, more)
    local options = { timeout = 20 }
    for name, value in pairs(more) do options[name] = value end
    return helper.client(listener, options)
  end

  --- A client that calls `act` instead of its n-th wait.
  local function stopping(listener, n, act)
    local state = { waits = 0, events = 0, listener = listener }
    state.client = new_client(listener, {
      wait = function(seconds, fd)
        state.waits = state.waits + 1
        if state.waits == n then return act(state) end
        follow(listener, seconds, fd)
      end,
      on_event = function(event) if event.type == "exchange" then state.events = state.events + 1 end end,
    })
    return state
  end

  --- A client whose calls yield in each wait while `state.yields` is set, and otherwise block.
  local function yielding(listener)
    local state = { yields = true }
    state.client = new_client(listener, { wait = function(seconds, fd)
      if state.yields then return coroutine.yield(seconds, fd) end
      follow(listener, seconds, fd)
    end })
    return state
  end

  --- Runs a method in a coroutine up to its n-th wait. Returns the coroutine, and the descriptor that it waits for; nil
  -- and true if the method has ended before.
  local function run_to(listener, state, method, n)
    local thread = coroutine.create(function() return method.call(state.client, state) end)
    local ok, seconds, fd = coroutine.resume(thread)
    for _ = 2, n do
      if coroutine.status(thread) == "dead" then break end
      follow(listener, seconds, fd)
      ok, seconds, fd = coroutine.resume(thread)
    end
    assert.is_true(ok, tostring(seconds))
    if coroutine.status(thread) ~= "dead" then return thread, fd end
    assert.is_true(method.whole(seconds, fd))
    return nil
  end

  --- Checks that nothing is left of the stopped call, and that the next one is complete.
  local function is_usable(listener, method, client)
    assert.is_true(is_idle(listener))
    listener:set { token = {}, api = {} }
    assert.is_true(method.whole(method.call(client, {})))
  end

  for _, method in ipairs(METHODS) do
    describe("of " .. method.name, function()
      local is_api = method.name ~= "token"

      --- Checks that the steps include all stages.
      local function check_stages(steps, stages)
        assert.is_true(steps >= (is_api and 10 or 4), steps)
        assert.is_true(has_all_stages(method, stages))
        assert.equal(is_api and true or nil, stages.api)
      end

      it("raises the error of wait", function()
        local problem, stages = {}, {}
        check_stages(for_all_stages(server, method, stages, function(n, listener)
          local state = stopping(listener, n, function(state)
            stages[stage(state)] = true
            error(problem)
          end)
          local ok, first, second = pcall(method.call, state.client, state)
          if state.waits < n then
            assert.is_true(ok and method.whole(first, second))
          else
            assert.is_false(ok)
            assert.equal(problem, first)
            if state.iterator then
              -- It neither continues nor ends as if the list were complete.
              local again, err = pcall(state.iterator)
              assert.is_false(again)
              assert.equal("closed", err.kind)
              assert.is_nil(state.iterator())
            end
            is_usable(listener, method, state.client)
          end
          state.client:close()
          return state.waits < n
        end), stages)
      end)

      it("returns an error of kind closed if the client is closed", function()
        local stages = {}
        check_stages(for_all_stages(server, method, stages, function(n, listener)
          local state = stopping(listener, n, function(state)
            stages[stage(state)] = true
            state.client:close()
          end)
          local ok, first, second = pcall(method.call, state.client, state)
          assert.is_true(is_idle(listener))
          if state.waits < n then
            assert.is_true(ok and method.whole(first, second))
            state.client:close()
            return true
          end
          if method.name == "each_user" then
            assert.is_false(ok)
            assert.equal("closed", first.kind)
            assert.equal(#state.list, first.delivered)
            assert.is_nil(state.iterator())
          elseif method.name == "list_users_of" then
            local closed = 0
            for _, id in ipairs(IDS) do
              assert.is_true((first[id] == nil) ~= (second[id] == nil))
              if second[id] then
                closed = closed + 1
                helper.failed("closed", nil, second[id])
              else
                assert.is_true(is_list(first[id]))
              end
            end
            assert.is_true(closed > 0)
          else
            helper.failed("closed", first, second)
          end
          helper.failed("closed", state.client:token())
        end), stages)
      end)

      it("leaves nothing open if its coroutine is dropped", function()
        local before
        local steps = for_each_step(server, method, function(n, listener)
          local state = yielding(listener)
          local thread = run_to(listener, state, method, n)
          local ended = not thread
          thread, state.iterator = nil, nil -- luacheck: ignore 311
          collectgarbage()
          collectgarbage()
          state.yields = false
          is_usable(listener, method, state.client)
          state.client:close()
          before = before or helper.descriptors()
          assert.equal(before, helper.descriptors())
          return ended
        end)
        assert.is_true(steps >= (is_api and 10 or 4), steps)
      end)

      if has_closing_variables then
        it("ends at once if its coroutine is closed", function()
          collectgarbage("stop")
          finally(function() collectgarbage("restart") end)
          local steps = for_each_step(server, method, function(n, listener)
            local state = yielding(listener)
            local thread = run_to(listener, state, method, n)
            if not thread then return true end
            if state.iterator then state.iterator:close() end -- its loop does not close it
            assert.is_true(coroutine.close(thread))
            state.yields = false
            is_usable(listener, method, state.client)
            state.client:close()
          end)
          assert.is_true(steps >= (is_api and 10 or 4), steps)
        end)
      end

      for _, waiting in ipairs { "blocks", "waits" } do
        --- A client that calls `act` at its n-th event.
        local function telling(listener, n, act)
          local state = { events = 0 }
          state.client = new_client(listener, {
            on_event = function()
              state.events = state.events + 1
              if state.events == n then act(state) end
            end,
            wait = waiting == "waits" and function(seconds, fd) is_readable(fd, seconds) end or nil,
          })
          return state
        end

        it("raises the error of on_event if it " .. waiting, function()
          local problem, ended, n = {}, false, 0
          while not ended do
            n = n + 1
            local listener = server:listen(script({ "pause", 0 }, not is_api))
            local state = telling(listener, n, function() error(problem) end)
            local ok, first, second = pcall(method.call, state.client, state)
            ended = state.events < n
            if ended then
              assert.is_true(ok and method.whole(first, second))
            else
              assert.is_false(ok)
              assert.equal(problem, first)
              is_usable(listener, method, state.client)
            end
            state.client:close()
            listener:close()
          end
          assert.is_true(n > (is_api and 3 or 2), n)
        end)

        it("returns an error or a complete result if on_event closes the client and it " .. waiting, function()
          for n = 1, is_api and 3 or 2 do
            local listener = server:listen(script({ "pause", 0 }, not is_api))
            local state = telling(listener, n, function(state) state.client:close() end)
            local ok, first, second = pcall(method.call, state.client, state)
            assert.is_true(state.events >= n)
            if method.name == "list_users_of" then
              for id, list in pairs(first) do assert.is_true(is_list(list), id) end
              for _, err in pairs(second) do assert.equal("closed", err.kind) end
            elseif not ok then
              assert.equal("closed", first.kind)
              assert.equal(#state.list, first.delivered)
            elseif first == nil then
              helper.failed("closed", first, second)
            else
              assert.is_true(method.whole(first, second))
            end
            assert.is_true(is_idle(listener))
            listener:close()
          end
        end)
      end
    end)
  end

  describe("of each_user", function()
    local method = METHODS[2]

    --- Checks that the loop has ended without an error, with complete users, and stays ended.
    local function check_closed(state, ok, list)
      assert.is_true(ok, tostring(list))
      assert.equal(state.list, list)
      local all = helper.oracle(LIST)
      assert.is_true(#list < #all)
      for i, user in ipairs(list) do assert.is_nil(helper.difference(all[i], user)) end
      assert.is_nil(state.iterator())
      state.iterator:close()
      assert.is_nil(state.iterator())
    end

    it("ends the loop if wait closes the iterator", function()
      local stages = {}
      local steps = for_all_stages(server, method, stages, function(n, listener)
        local state = stopping(listener, n, function(state)
          stages[stage(state)] = true
          state.iterator:close()
        end)
        local ok, list = pcall(method.call, state.client, state)
        if state.waits < n then
          assert.is_true(ok and is_list(list))
        else
          check_closed(state, ok, list)
          is_usable(listener, method, state.client)
        end
        state.client:close()
        return state.waits < n
      end)
      assert.is_true(steps >= 10 and has_all_stages(method, stages))
    end)

    it("ends the loop at once if another coroutine closes the iterator", function()
      local steps = for_each_step(server, method, function(n, listener)
        local state = yielding(listener)
        local thread, fd = run_to(listener, state, method, n)
        if not thread then return true end
        state.iterator:close()
        assert.is_true(is_readable(fd, 0)) -- so that its scheduler resumes the coroutine
        local ok, list = coroutine.resume(thread)
        assert.equal("dead", coroutine.status(thread))
        check_closed(state, ok, list)
        state.yields = false
        is_usable(listener, method, state.client)
        state.client:close()
      end)
      assert.is_true(steps >= 10, steps)
    end)

    it("ends the loop if on_event closes the iterator", function()
      for _, wait in ipairs { false, function(seconds, fd) is_readable(fd, seconds) end } do
        for n = 1, 3 do
          local listener = server:listen(script { "pause", 0 })
          local state = { events = 0 }
          local client = new_client(listener, { wait = wait or nil, on_event = function()
            state.events = state.events + 1
            if state.events == n then state.iterator:close() end
          end })
          local ok, list = pcall(method.call, client, state)
          assert.is_true(ok, tostring(list))
          assert.is_true(state.events >= n)
          if n < 3 then assert.equal(0, #list) end
          assert.is_nil(state.iterator())
          is_usable(listener, method, client)
          listener:close()
        end
      end
    end)
  end)

  for _, method in ipairs { METHODS[1], METHODS[2] } do
    it("of " .. method.name .. " raises the error of on_progress", function()
      local problem, ended, n = {}, false, 0
      while not ended do
        n = n + 1
        local told = 0
        local listener = server:listen { api = { in_pieces({ "pause", 0.11 }, LIST, 3) },
          good_api = { { "respond", 200, {}, LIST } } }
        local client = new_client(listener, { access_token = "mine" })
        local opts = { on_progress = function()
          told = told + 1
          if told == n then error(problem) end
        end }
        local ok, list = pcall(function()
          if method.name == "list_users" then return client:list_users(ORG, opts) end
          local list = {}
          for user in client:each_user(ORG, opts) do list[#list + 1] = user end
          return list
        end)
        ended = told < n
        if ended then
          assert.is_true(ok and is_list(list))
        else
          assert.is_false(ok)
          assert.equal(problem, list)
          is_usable(listener, method, client)
        end
        client:close()
        listener:close()
      end
      assert.is_true(n > 2, n)
    end)
  end
end)
