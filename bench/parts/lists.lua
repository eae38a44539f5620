--- Lists end to end over loopback HTTP, and the peak memory of the longest list.

local Report = require "bench.report"
local contestants = require "bench.contestants"
local support = require "bench.support"

local BAR = 2.5

-- The warm-ups fetch lists of `warm_users`, and are not measured. Repeated calls include collecting the garbage of the
-- lists before. So for 10,000 users a single list is measured, too, after the garbage of the warm-up was collected.
local SIZES = {
  { users = 1, label = "1 user", warm_users = 1, warm_ups = 100, calls = 500, rounds = 5 },
  { users = 100, label = "100 users", warm_users = 100, warm_ups = 50, calls = 200, rounds = 5 },
  { users = 10000, label = "10,000 users", warm_users = 10000, warm_ups = 1, calls = 1, rounds = 11, has_bar = true },
  { users = 10000, label = "10,000 users, repeated", warm_users = 10000, warm_ups = 1, calls = 5, rounds = 5,
    has_bar = true },
  { users = 100000, label = "100,000 users", warm_users = 1, warm_ups = 5, calls = 1, rounds = 5, memory = true },
}

--- Returns the lists of seconds and of peaks, by name.
local function run_rounds(all, base, size)
  local names, by_name = {}, {}
  for _, contestant in ipairs(all) do
    by_name[contestant.name] = contestant
    if not contestant.missing then names[#names + 1] = contestant.name end
  end
  local arguments = {
    base, support.TOKEN, support.org(size.warm_users), size.warm_ups, support.org(size.users), size.calls, size.users,
  }
  return support.rounds(size.rounds, names, function(name) return contestants.measure(by_name[name], arguments) end)
end

--- Returns the name of podero's contestant with which another one is compared: the one on the same Lua, or on Lua 5.4
-- if the other does not use Lua.
local function counterpart(contestant)
  return "podero list_users, " .. support.NAMES[contestant.lua or "lua5.4"]
end

local function add_rows(report, all, what, figures, show, bar)
  for _, contestant in ipairs(all) do
    local own = figures[contestant.name]
    if not own then
      report:skip(what, contestant.name, contestant.missing)
    else
      local row = { what = what, who = contestant.name, figure = show(support.median(own)) }
      if contestant.rival then
        local ratio = support.ratio(figures[contestant.rival], own)
        row.comparison = ("lua-cjson on libcurl: %.2f times as much"):format(ratio)
        if bar then row.bar, row.reached = "at least " .. bar, ratio >= bar end
      else
        row.comparison = ("%.2f times podero list_users"):format(support.ratio(own, figures[counterpart(contestant)]))
      end
      report:add(row)
    end
  end
end

return function(report)
  local all = contestants.all()
  local counts = {}
  for i, size in ipairs(SIZES) do counts[i] = size.users end
  local base = support.serve(counts)
  for _, size in ipairs(SIZES) do
    support.say("lists of %s", size.label)
    local seconds, peaks = run_rounds(all, base, size)
    add_rows(report, all, "end to end, " .. size.label, seconds, Report.seconds, size.has_bar and BAR)
    if size.memory then add_rows(report, all, "peak memory, " .. size.label, peaks, Report.kilobytes) end
  end
end
