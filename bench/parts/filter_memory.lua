--- The peak memory if only a part of a long list is wanted.

local Report = require "bench.report"
local support = require "bench.support"
local users = require "spec.support.mock.users"
local cjson = require "cjson"

local ROUNDS = 5
local LIST = 100000
local SHORT, LONG = 1000, 1000000
local SHARE_BAR, GROWTH_BAR = 1 / 3, 1024

--- Returns the id of the last user in a list of this many.
local function last_id(count)
  local i = users.count(count, true)
  while users.is_deleted(i) do i = i - 1 end
  return cjson.decode(users.user_json(support.SEED, i)).id
end

local function list_peak(lua, base, filter)
  return support.peak(support.lua_command(lua, "filtered.lua", "podero", filter, base, support.TOKEN, support.org(1), 1,
    support.org(LIST), 1, LIST))
end

local function find_peak(lua, base, count)
  return support.peak(support.lua_command(lua, "find_user.lua", base, support.TOKEN, support.org(count),
    last_id(count)))
end

local function add_share(report, lua, base)
  local peaks = support.rounds(ROUNDS, { "fields", "none" }, function(filter) return list_peak(lua, base, filter) end)
  local part, whole = support.median(peaks.fields), support.median(peaks.none)
  report:add {
    what = "peak memory, four fields of 100,000 users", who = "podero list_users, " .. support.NAMES[lua],
    figure = Report.kilobytes(part), comparison = ("%.2f times the whole list's"):format(part / whole),
    bar = "at most a third", reached = part <= whole * SHARE_BAR,
  }
end

local function add_growth(report, lua, base)
  local peaks = support.rounds(ROUNDS, { LONG, SHORT }, function(count) return find_peak(lua, base, count) end)
  local growth = support.difference(peaks[LONG], peaks[SHORT])
  report:add {
    what = "growth of memory, last of 1,000,000 users over 1,000", who = "podero find_user, " .. support.NAMES[lua],
    figure = Report.kilobytes(growth), comparison = "peak " .. Report.kilobytes(support.median(peaks[LONG])),
    bar = "under " .. Report.kilobytes(GROWTH_BAR), reached = growth < GROWTH_BAR,
  }
end

return function(report)
  local base = support.serve({ 1, SHORT, LIST, LONG }, true)
  for _, lua in ipairs(support.LUAS) do add_share(report, lua, base) end
  for _, lua in ipairs(support.LUAS) do add_growth(report, lua, base) end
end
