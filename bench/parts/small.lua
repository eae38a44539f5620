--- One small call on a warm connection, compared with a bare loop of curl_easy_perform. A turn takes a third of a
-- second: the results of shorter ones depend on the processor on which the scheduler starts the client.

local Report = require "bench.report"
local support = require "bench.support"

local WARM_UPS, CALLS, ROUNDS = 50, 5000, 11
local BAR = 1.12

local function bare(base, users)
  return ("%s %s %s %d %d"):format(support.compiled("bare"),
    support.quoted(base .. "/api/partners/v2.0/org/" .. support.org(users) .. "/users"), support.TOKEN, WARM_UPS, CALLS)
end

local function podero(lua, base, users)
  local org = support.org(users)
  return support.lua_command(lua, "podero.lua", "list_users", base, support.TOKEN, org, WARM_UPS, org, CALLS, users)
end

local function runners(base)
  local list = {}
  for _, users in ipairs { 1, 0 } do
    list[#list + 1] = { users = users, name = "bare libcurl in C", command = bare(base, users) }
    local rival = list[#list]
    for _, lua in ipairs(support.LUAS) do
      list[#list + 1] = {
        users = users, name = "podero list_users, " .. support.NAMES[lua], command = podero(lua, base, users),
        rival = rival,
      }
    end
  end
  return list
end

return function(report)
  local list = runners(support.serve { 0, 1 })
  local seconds = support.rounds(ROUNDS, list, function(runner) return support.figures(runner.command).seconds[1] end)
  for _, runner in ipairs(list) do
    local row = {
      what = runner.users == 1 and "one small call, 1 user" or "one small call, 0 users", who = runner.name,
      figure = Report.seconds(support.median(seconds[runner])),
    }
    if runner.rival then
      local ratio = support.ratio(seconds[runner], seconds[runner.rival])
      row.comparison = ("%.3f times bare libcurl"):format(ratio)
      if runner.users == 1 then row.bar, row.reached = ("at most %.2f"):format(BAR), ratio <= BAR end
    end
    report:add(row)
  end
end
