--- Decoding a list in memory: podero in pieces of 64 KB, compared with lua-cjson, which gets the whole text.

local Report = require "bench.report"
local support = require "bench.support"

local USERS = 10000
local ROUNDS = 15
local BAR = 2.5

return function(report)
  local file = support.list_file(USERS)
  for _, lua in ipairs(support.LUAS) do
    local times = support.figures(support.lua_command(lua, "decode.lua", ROUNDS, file, USERS))
    local ratio = support.ratio(times.cjson, times.podero)
    local what, name = "decoding 10,000 users", support.NAMES[lua]
    report:add {
      what = what, who = "podero, " .. name, figure = Report.seconds(support.median(times.podero)),
      comparison = ("%.2f times as fast as lua-cjson"):format(ratio),
      bar = "at least " .. BAR, reached = ratio >= BAR,
    }
    report:add { what = what, who = "lua-cjson, " .. name, figure = Report.seconds(support.median(times.cjson)) }
  end
end
