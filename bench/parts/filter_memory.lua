--- The peak memory if only a part of a long list is wanted.

local Report = require "bench.report"
local support = require "bench.support"
local users = require "spec.support.mock.users"
local cjson = require "cjson"

local ROUNDS = 5
local LIST = 100000
local SHORT, LONG = 1000, 1000000
local SHARE_BAR, GROWTH_BAR = 1 / 3, 1024

local function peak(...)
  return support.figures(support.compiled("peak") .. " " .. support.lua_command(...)).peak[1]
end

--- Returns the id of the last user in a list of this many.
local function last_id(count)
  local i = users.count(count, true)
  while users.is_deleted(i) do i = i - 1 end
  return cjson.decode(users.user_json(support.SEED, i)).id
end

local function list_peak(lua, base, filter)
  return peak(lua, "filtered.lua", "podero", filter, base, support.TOKEN, support.org(1), 1, support.org(LIST), 1, LIST)
end

local function find_peak(lua, base, count)
  return peak(lua, "find_user.lua", base, support.TOKEN, support.org(count), last_id(count))
end

--- Calls both functions in turn. Returns the medians of their results, and of the differences.
local function measure(one, other)
  local ones, others, differences = {}, {}, {}
  for round = 1, ROUNDS do
    ones[round], others[round] = one(), other()
    differences[round] = ones[round] - others[round]
  end
  return support.median(ones), support.median(others), support.median(differences)
end

local function add_share(report, lua, base)
  local part, whole = measure(function() return list_peak(lua, base, "fields") end,
    function() return list_peak(lua, base, "none") end)
  report:add {
    what = "peak memory, four fields of 100,000 users", who = "podero list_users, " .. support.NAMES[lua],
    figure = Report.kilobytes(part), comparison = ("%.2f times the whole list's"):format(part / whole),
    bar = "at most a third", reached = part <= whole * SHARE_BAR,
  }
end

local function add_growth(report, lua, base)
  local long, _, growth = measure(function() return find_peak(lua, base, LONG) end,
    function() return find_peak(lua, base, SHORT) end)
  report:add {
    what = "growth of memory, last of 1,000,000 users over 1,000", who = "podero find_user, " .. support.NAMES[lua],
    figure = Report.kilobytes(growth), comparison = "peak " .. Report.kilobytes(long),
    bar = "under " .. Report.kilobytes(GROWTH_BAR), reached = growth < GROWTH_BAR,
  }
end

return function(report)
  local base = support.serve({ 1, SHORT, LIST, LONG }, true)
  for _, lua in ipairs(support.LUAS) do add_share(report, lua, base) end
  for _, lua in ipairs(support.LUAS) do add_growth(report, lua, base) end
end
