--- Functions that the contestants in Lua share: arguments, clock, the loop that removes nulls.
--   SCRIPT [METHOD] BASE_URL TOKEN WARM_ORG WARM_UPS ORG CALLS USERS

local cjson = require "cjson"

local common = {}

local null = cjson.null

--- Removes the nulls from lua-cjson's users, so that they equal podero's. Returns the list.
function common.without_nulls(list)
  for _, user in ipairs(list) do
    for key, value in pairs(user) do
      if value == null then user[key] = nil end
    end
  end
  return list
end

function common.decode(text)
  return common.without_nulls(cjson.decode(text))
end

--- Returns the content of a file.
function common.read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- The size in bytes of the pieces in which the transport passes on a list.
common.PIECE = 64 * 1024

--- Fails unless two lists of users are equal.
function common.compare(one, other)
  assert(#one == #other, "lists of different lengths")
  for i, user in ipairs(one) do
    for key, value in pairs(user) do assert(other[i][key] == value, key) end
    for key in pairs(other[i]) do assert(user[key] ~= nil, key) end
  end
end

--- Calls each of `contestants`, pairs of a name and a function, once a round, and prints its name and the seconds of
-- processor time. The first round, which is not counted, warms up caches and LuaJIT.
function common.take_turns(rounds, contestants)
  for round = 0, rounds do
    for _, contestant in ipairs(contestants) do
      collectgarbage()
      local start = os.clock()
      local list = contestant[2]()
      local seconds = os.clock() - start
      assert(list)
      print(("%s%s %.9f"):format(round == 0 and "warm_up_" or "", contestant[1], seconds))
    end
  end
end

--- Returns the arguments from index `first` on, as a table.
function common.arguments(arguments, first)
  local function at(index) return arguments[first + index] end
  return {
    base = at(0), token = at(1), warm_org = at(2), warm_ups = tonumber(at(3)), org = at(4), calls = tonumber(at(5)),
    users = tonumber(at(6)),
  }
end

function common.path(org)
  return "/api/partners/v2.0/org/" .. org .. "/users"
end

--- Calls `list(org)`, which returns the number of users, as often as the task says. Prints the mean seconds of a call.
function common.measure(task, list)
  local socket = require "socket" -- here, since nginx, which uses this file, may lack it
  for _ = 1, task.warm_ups do list(task.warm_org) end
  collectgarbage()
  local start = socket.gettime()
  for _ = 1, task.calls do
    local users = list(task.org)
    if users ~= task.users then error(("%d users instead of %d"):format(users, task.users)) end
  end
  print(("seconds %.9f"):format((socket.gettime() - start) / task.calls))
end

return common
