--- The command, from its start to its end, against curl and jq: the admins of a long list as lines of JSON.

local Report = require "bench.report"
local support = require "bench.support"
local users = require "spec.support.mock.users"
local socket = require "socket"

local LIST = 100000
local ROUNDS = 5
local BAR = 8
local WHAT = "admins of 100,000 users as ndjson"

--- The command line of the command on this Lua.
local function podero(lua, base)
  local folder = support.temporary "modules"
  local _, ok = support.output_of(("mkdir -p %s/podero && ln -sfn \"$PWD/src/command\" %s/podero/command"):format(
    folder, folder))
  assert(ok, "no folder for the command's modules")
  return ("env -u LUA_PATH_5_4 -u LUA_CPATH_5_4 LUA_PATH='%s/?.lua;;' LUA_CPATH=\"$PWD/build/%s/?.so;;\" no_proxy='*'"
    .. " PODERO_BASE_URL=%s PODERO_ACCESS_TOKEN=%s %s src/command/podero users --role admin --format ndjson %s"):format(
    folder, lua, base, support.TOKEN, lua, support.org(LIST))
end

local function curl_and_jq(base)
  return ("curl -sS --fail --proxy '' -H 'Authorization: Bearer %s' %s/api/partners/v2.0/org/%s/users"
    .. " | jq -c '.[] | select(.role == \"admin\")'"):format(support.TOKEN, base, support.org(LIST))
end

--- The seconds of a command, which must print `lines` lines.
local function seconds_of(command, lines)
  local start = socket.gettime()
  local count = support.output_of(command .. " | wc -l")
  local seconds = socket.gettime() - start
  assert(tonumber(count) == lines, ("%s lines instead of %d from: %s"):format(count, lines, command))
  return seconds
end

return function(report)
  if not (support.has("curl") and support.has("jq")) then
    return report:skip(WHAT, "all", "curl or jq is missing")
  end
  local base = support.serve { LIST }
  local _, admins = users.list_json(support.SEED, LIST):gsub("\"role\": ?\"admin\"", "")
  local commands = { jq = curl_and_jq(base) }
  for _, lua in ipairs(support.LUAS) do commands[lua] = podero(lua, base) end
  local seconds = {}
  for round = 1, ROUNDS do
    for name, command in pairs(commands) do
      seconds[name] = seconds[name] or {}
      seconds[name][round] = seconds_of(command, admins)
    end
  end
  for _, lua in ipairs(support.LUAS) do
    local ratio = support.ratio(seconds.jq, seconds[lua])
    report:add {
      what = WHAT, who = "podero users, " .. support.NAMES[lua], figure = Report.seconds(support.median(seconds[lua])),
      comparison = ("%.2f times as fast as jq"):format(ratio), bar = "at least " .. BAR, reached = ratio >= BAR,
    }
  end
  report:add { what = WHAT, who = "curl | jq", figure = Report.seconds(support.median(seconds.jq)) }
end
