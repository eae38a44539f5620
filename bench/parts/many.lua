--- Many organizations at once, with a latency of 100 ms.

local Report = require "bench.report"
local support = require "bench.support"

local ORGANIZATIONS, CONCURRENCY, LATENCY = 50, 10, 0.1
local ROUNDS = 5
local BAR = 0.7

return function(report)
  local server = support.server()
  server:configure { accept_tokens = { support.TOKEN }, always_api = { delay = LATENCY } }
  local function seconds(lua, mode)
    return support.figures(support.lua_command(lua, "many.lua", server.url, support.TOKEN, mode, ORGANIZATIONS,
      CONCURRENCY)).seconds[1]
  end
  local togethers, aparts = support.rounds(ROUNDS, support.LUAS, function(lua)
    return seconds(lua, "together"), seconds(lua, "apart")
  end)
  for _, lua in ipairs(support.LUAS) do
    local what, name = "50 organizations, latency 100 ms", support.NAMES[lua]
    local together, apart = togethers[lua], aparts[lua]
    report:add {
      what = what, who = "podero list_users_of, 10 at once, " .. name,
      figure = Report.seconds(support.median(together)),
      comparison = ("%.2f times as fast as one by one"):format(support.ratio(apart, together)),
      bar = ("under %g s"):format(BAR), reached = support.median(together) < BAR,
    }
    report:add { what = what, who = "podero list_users, one by one, " .. name,
      figure = Report.seconds(support.median(apart)) }
  end
end
