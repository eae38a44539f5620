--- How much more memory each_user needs for a very long list than for a short one.

local Report = require "bench.report"
local support = require "bench.support"

local SHORT, LONG = 1000, 1000000
local ROUNDS = 5
local BAR = 4096

local function peak(lua, base, users)
  return support.peak(support.lua_command(lua, "podero.lua", "each_user", base, support.TOKEN, support.org(1), 1,
    support.org(users), 1, users))
end

return function(report)
  local base = support.serve({ 1, SHORT, LONG }, true)
  local shorts, longs = support.rounds(ROUNDS, support.LUAS, function(lua)
    return peak(lua, base, SHORT), peak(lua, base, LONG)
  end)
  for _, lua in ipairs(support.LUAS) do
    local growth = support.difference(longs[lua], shorts[lua])
    report:add {
      what = "growth of memory, 1,000,000 users over 1,000", who = "podero each_user, " .. support.NAMES[lua],
      figure = Report.kilobytes(growth),
      comparison = "peak " .. Report.kilobytes(support.median(longs[lua])),
      bar = "under " .. Report.kilobytes(BAR), reached = growth < BAR,
    }
  end
end
