--- Measures podero, compared with other ways to get the users, and prints one table.
--   lua5.4 bench/run.lua [PART...]      in the root of the repository
-- Without arguments, all parts are run, and the table is written to bench/RESULTS.md.

package.path = "./?.lua;" .. package.path

local Report = require "bench.report"
local machine = require "bench.machine"
local support = require "bench.support"

local PARTS = {
  "decode", "floor", "filters", "instructions", "lists", "memory", "filter_memory", "command", "first", "many", "small",
}

local function usage()
  io.stderr:write("usage: lua5.4 bench/run.lua [PART...]; parts: ", table.concat(PARTS, " "), "\n")
  os.exit(2)
end

local function chosen_parts()
  if #arg == 0 then return PARTS end
  local known = {}
  for _, name in ipairs(PARTS) do known[name] = true end
  for _, name in ipairs(arg) do
    if not known[name] then usage() end
  end
  return arg
end

local function build()
  for _, lua in ipairs(support.LUAS) do
    local ok = os.execute(("make --no-print-directory -s LUA=%s all decoder >&2"):format(lua))
    assert(ok, "the modules could not be built for " .. lua)
  end
end

local function run(parts)
  local report, load, start = Report.new(), machine.load(), os.time()
  build()
  for _, name in ipairs(parts) do
    local began = os.time()
    require("bench.parts." .. name)(report)
    support.say("%s: %d seconds", name, os.time() - began)
  end
  print(report:table())
  if parts ~= PARTS then return end
  report:write("bench/RESULTS.md", {
    date = os.date("!%Y-%m-%d %H:%M UTC"), seconds = os.time() - start, text = machine.describe(load),
  })
end

local parts = chosen_parts()
local ok, problem = xpcall(run, debug.traceback, parts)
support.clean_up()
if not ok then
  io.stderr:write(problem, "\n")
  os.exit(1)
end
