--- How much more memory each_user needs for a very long list than for a short one.

local Report = require "bench.report"
local support = require "bench.support"

local SHORT, LONG = 1000, 1000000
local ROUNDS = 5
local BAR = 4096

local function peak(lua, base, users)
  local command = support.lua_command(lua, "podero.lua", "each_user", base, support.TOKEN, support.org(1), 1,
    support.org(users), 1, users)
  return support.figures(support.compiled("peak") .. " " .. command).peak[1]
end

return function(report)
  local base = support.serve({ 1, SHORT, LONG }, true)
  local growths, peaks = {}, {}
  for round = 1, ROUNDS do
    for _, lua in ipairs(support.LUAS) do
      growths[lua], peaks[lua] = growths[lua] or {}, peaks[lua] or {}
      local short = peak(lua, base, SHORT)
      peaks[lua][round] = peak(lua, base, LONG)
      growths[lua][round] = peaks[lua][round] - short
    end
  end
  for _, lua in ipairs(support.LUAS) do
    local growth = support.median(growths[lua])
    report:add {
      what = "growth of memory, 1,000,000 users over 1,000", who = "podero each_user, " .. support.NAMES[lua],
      figure = Report.kilobytes(growth),
      comparison = "peak " .. Report.kilobytes(support.median(peaks[lua])),
      bar = "under " .. Report.kilobytes(BAR), reached = growth < BAR,
    }
  end
end
