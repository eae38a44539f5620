--- How much of a long list has arrived when each_user returns its first user, and how long that takes.

local Report = require "bench.report"
local support = require "bench.support"

local USERS = 100000
local ROUNDS = 9
local BAR = 2

return function(report)
  local base = support.serve({ 1, USERS }, true)
  local total = support.list_bytes(USERS)
  local seconds, shares = support.rounds(ROUNDS, support.LUAS, function(lua)
    local figures = support.figures(support.lua_command(lua, "first_user.lua", base, support.TOKEN, support.org(1),
      support.org(USERS)))
    return figures.seconds[1], figures.bytes[1] / total * 100
  end)
  for _, lua in ipairs(support.LUAS) do
    local share = support.median(shares[lua])
    report:add {
      what = "first user of 100,000", who = "podero each_user, " .. support.NAMES[lua],
      figure = ("%.2f %%"):format(share), comparison = "after " .. Report.seconds(support.median(seconds[lua])),
      bar = ("under %d %%"):format(BAR), reached = share < BAR,
    }
  end
end
