--- What the contestants in Lua share: the arguments, the clock, the loop that removes nulls.
--   SCRIPT [METHOD] BASE_URL TOKEN WARM_ORG WARM_UPS ORG CALLS USERS

local cjson = require "cjson"

local common = {}

local null = cjson.null

--- lua-cjson's users as podero gives them: a null is no key.
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

--- The content of a file.
function common.read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- The size of the pieces in which the transport hands over a list.
common.PIECE = 64 * 1024

--- Fails unless two lists of users are equal.
function common.compare(one, other)
  assert(#one == #other, "lists of different lengths")
  for i, user in ipairs(one) do
    for key, value in pairs(user) do assert(other[i][key] == value, key) end
    for key in pairs(other[i]) do assert(user[key] ~= nil, key) end
  end
end

--- Calls each of `contestants`, pairs of a name and a function, once a round, and prints name and seconds of processor
-- time. The first round, which nobody counts, warms caches and LuaJIT.
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

--- The arguments from the `first` one on.
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

--- Measures `list(org)`, which returns the number of users, and prints the seconds of one call.
function common.measure(task, list)
  local socket = require "socket" -- not in nginx, which uses the rest of this file
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
