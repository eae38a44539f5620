--- Parts of a list, compared with lua-cjson, the loop that removes nulls and the same filter in Lua: decoding alone,
-- and end to end over loopback HTTP.

local Report = require "bench.report"
local support = require "bench.support"
local filters = require "bench.contestants.filters"

local USERS = 10000
local ROUNDS = { alone = 15, end_to_end = 11 }

local WANTED = {
  { name = "fields", label = "four fields", bars = { alone = 5.5, end_to_end = 4 } },
  { name = "search", label = "search that hits 1 %", bars = { alone = 6, end_to_end = 4.5 } },
  { name = "where", label = "where that hits one user", bars = { alone = 8, end_to_end = 6 } },
}

--- Functions that return the list of seconds of each contestant.
local ways = {}

function ways.alone(lua, wanted)
  return support.figures(support.lua_command(lua, "filtered_decode.lua", ROUNDS.alone, support.list_file(USERS),
    wanted.name))
end

function ways.end_to_end(lua, wanted)
  local base, org = support.serve { USERS }, support.org(USERS)
  return (support.rounds(ROUNDS.end_to_end, { "podero", "cjson" }, function(who)
    return support.figures(support.lua_command(lua, "filtered.lua", who, wanted.name, base, support.TOKEN, org, 1, org,
      1, filters[wanted.name].hits)).seconds[1]
  end))
end

local function add_rows(report, what, lua, times, bar)
  local ratio, name = support.ratio(times.cjson, times.podero), support.NAMES[lua]
  report:add {
    what = what, who = "podero, " .. name, figure = Report.seconds(support.median(times.podero)),
    comparison = ("%.2f times as fast as lua-cjson"):format(ratio), bar = "at least " .. bar, reached = ratio >= bar,
  }
  report:add { what = what, who = "lua-cjson, " .. name, figure = Report.seconds(support.median(times.cjson)) }
end

return function(report)
  for _, wanted in ipairs(WANTED) do
    for _, way in ipairs { "alone", "end_to_end" } do
      local what = ("%s, %s"):format(wanted.label, way == "alone" and "decoding alone" or "end to end")
      for _, lua in ipairs(support.LUAS) do
        add_rows(report, what, lua, ways[way](lua, wanted), wanted.bars[way])
      end
    end
  end
end
