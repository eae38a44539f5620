--- Instructions per user, counted by callgrind: the slope between two lists. A busy machine does not change it.

local support = require "bench.support"

local SHORT, LONG = 2000, 8000

local function count(lua, who, short, long, which)
  local command = support.lua_command(lua, "decode_once.lua", who, short, long, which)
  local log = support.output_of(
    "valgrind --tool=callgrind --callgrind-out-file=/dev/null " .. command:gsub("^env ", "--trace-children=yes env ")
    .. " 2>&1")
  -- Take the last count, which is that of Lua; env, which executes it, has none.
  local collected
  for number in log:gmatch("Collected : (%d+)") do collected = tonumber(number) end
  return assert(collected, log)
end

return function(report)
  local what = "instructions per user"
  if not support.has("valgrind") then return report:skip(what, "all", "valgrind is missing") end
  local short, long = support.list_file(SHORT), support.list_file(LONG)
  for _, lua in ipairs(support.LUAS) do
    local slopes = {}
    for _, who in ipairs { "podero", "cjson" } do
      local difference = count(lua, who, short, long, "long") - count(lua, who, short, long, "short")
      slopes[who] = difference / (LONG - SHORT)
    end
    report:add {
      what = what, who = "podero, " .. support.NAMES[lua], figure = ("%.0f"):format(slopes.podero),
      comparison = ("lua-cjson: %.2f times as many"):format(slopes.cjson / slopes.podero),
    }
    report:add { what = what, who = "lua-cjson, " .. support.NAMES[lua], figure = ("%.0f"):format(slopes.cjson) }
  end
end
