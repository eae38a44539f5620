--- The command, from start to end, compared with curl and jq: a long list as lines of JSON and as CSV, and only its
-- admins. Also how much longer a table takes than CSV, and the peak memory.

local Report = require "bench.report"
local support = require "bench.support"
local users = require "spec.support.mock.users"
local socket = require "socket"

local LIST = 100000
local ROUNDS = 5
local MEMORY_BAR = 20 * 1024 -- kilobytes
local TABLE_BAR = 2 -- times the seconds of CSV

--- Returns the options with which jq prints the command's CSV, without its first line and its guard against formulas.
local function jq_csv()
  local fields = {}
  for i, name in ipairs(users.FIELDS) do fields[i] = "." .. name end
  return ("-r '.[] | [%s] | @csv'"):format(table.concat(fields, ","))
end

--- `lines`: how many lines the command prints besides those of the users.
local ADMINS = {
  what = "admins of 100,000 users as ndjson", options = "--role admin --format ndjson", lines = 0, bar = 8,
  jq = "-c '.[] | select(.role == \"admin\")'",
}
local NDJSON = { what = "100,000 users as ndjson", options = "--format ndjson", lines = 0, bar = 3, jq = "-c '.[]'" }
local CSV = { what = "100,000 users as csv", options = "--format csv", lines = 1, bar = 3, jq = jq_csv() }
local TABLE = { what = "100,000 users as a table", options = "--format table", lines = 1 }

--- Returns the number of lines of a list in CSV. Quoted texts may contain line ends.
local function lines_of_csv(list)
  return LIST + select(2, list:gsub("\\n", ""))
end

--- Returns the command line that runs the command on this Lua. `program`: a program that runs it, or nil.
local function podero(lua, base, options, program)
  local folder = support.temporary "modules"
  local _, ok = support.output_of(("mkdir -p %s/podero && ln -sfn \"$PWD/src/command\" %s/podero/command"):format(
    folder, folder))
  assert(ok, "no folder for the command's modules")
  return ("env -u LUA_PATH_5_4 -u LUA_CPATH_5_4 LUA_PATH='%s/?.lua;;' LUA_CPATH=\"$PWD/build/%s/?.so;;\" no_proxy='*'"
    .. " PODERO_BASE_URL=%s PODERO_ACCESS_TOKEN=%s %s %s src/command/podero users %s %s"):format(
    folder, lua, base, support.TOKEN, program or "", lua, options, support.org(LIST))
end

local function curl_and_jq(base, program)
  return ("curl -sS --fail --proxy '' -H 'Authorization: Bearer %s' %s/api/partners/v2.0/org/%s/users | jq %s"):format(
    support.TOKEN, base, support.org(LIST), program)
end

--- Returns the seconds of a command, which must print `lines` lines.
local function seconds_of(command, lines)
  local start = socket.gettime()
  local count = support.output_of(command .. " | wc -l")
  local seconds = socket.gettime() - start
  assert(tonumber(count) == lines, ("%s lines instead of %d from: %s"):format(count, lines, command))
  return seconds
end

local function against_jq(report, base, case, count)
  local seconds = support.rounds(ROUNDS, { "jq", table.unpack(support.LUAS) }, function(who)
    if who == "jq" then return seconds_of(curl_and_jq(base, case.jq), count) end
    return seconds_of(podero(who, base, case.options), count + case.lines)
  end)
  for _, lua in ipairs(support.LUAS) do
    local ratio = support.ratio(seconds.jq, seconds[lua])
    report:add {
      what = case.what, who = "podero users, " .. support.NAMES[lua],
      figure = Report.seconds(support.median(seconds[lua])), comparison = ("%.2f times as fast as jq"):format(ratio),
      bar = "at least " .. case.bar, reached = ratio >= case.bar,
    }
  end
  report:add { what = case.what, who = "curl | jq", figure = Report.seconds(support.median(seconds.jq)) }
end

local function table_against_csv(report, base, lua, csv_lines)
  local lines = { [CSV] = csv_lines + CSV.lines, [TABLE] = LIST + TABLE.lines }
  local seconds = support.rounds(ROUNDS, { CSV, TABLE }, function(case)
    return seconds_of(podero(lua, base, case.options), lines[case])
  end)
  local ratio = support.ratio(seconds[TABLE], seconds[CSV])
  report:add {
    what = TABLE.what, who = "podero users, " .. support.NAMES[lua],
    figure = Report.seconds(support.median(seconds[TABLE])), comparison = ("%.2f times csv's"):format(ratio),
    bar = "at most " .. TABLE_BAR, reached = ratio <= TABLE_BAR,
  }
end

local function peak(report, base, case)
  local peaks = support.rounds(ROUNDS, support.LUAS, function(lua)
    return support.figures(podero(lua, base, case.options, support.compiled "peak") .. " | tail -n 1").peak[1]
  end)
  for _, lua in ipairs(support.LUAS) do
    local median = support.median(peaks[lua])
    report:add {
      what = "peak memory, " .. case.what, who = "podero users, " .. support.NAMES[lua],
      figure = Report.kilobytes(median), bar = "under " .. Report.kilobytes(MEMORY_BAR), reached = median < MEMORY_BAR,
    }
  end
end

return function(report)
  local base, list = support.serve { LIST }, users.list_json(support.SEED, LIST)
  if support.has("curl") and support.has("jq") then
    against_jq(report, base, ADMINS, select(2, list:gsub("\"role\": ?\"admin\"", "")))
    against_jq(report, base, NDJSON, LIST)
    against_jq(report, base, CSV, lines_of_csv(list))
  else
    for _, case in ipairs { ADMINS, NDJSON, CSV } do report:skip(case.what, "all", "curl or jq is missing") end
  end
  for _, lua in ipairs(support.LUAS) do table_against_csv(report, base, lua, lines_of_csv(list)) end
  for _, case in ipairs { NDJSON, CSV, TABLE } do peak(report, base, case) end
end
