--- Decoding whole users, compared with the floor: making the same tables from values that are ready in memory.

local Report = require "bench.report"
local support = require "bench.support"

local USERS = 10000
local ROUNDS = 15
local BAR = 1.3

return function(report)
  local file = support.list_file(USERS)
  for _, lua in ipairs(support.LUAS) do
    local times = support.figures(support.lua_command(lua, "floor.lua", ROUNDS, file,
      support.compiled_module("floor", lua)))
    local ratio = support.ratio(times.podero, times.floor)
    local what, name = "whole users, 10,000", support.NAMES[lua]
    report:add {
      what = what, who = "podero, " .. name, figure = Report.seconds(support.median(times.podero)),
      comparison = ("%.2f times the floor"):format(ratio), bar = "at most " .. BAR, reached = ratio <= BAR,
    }
    report:add { what = what, who = "the floor, " .. name, figure = Report.seconds(support.median(times.floor)) }
  end
end
