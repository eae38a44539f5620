--- Decodes a list in memory with each of the two in turn, and prints the seconds of processor time of every round.
--   SCRIPT ROUNDS FILE USERS
local common = require "bench.contestants.common"
local decoder = require "decoder"

local PIECE = 64 * 1024

local rounds, users = tonumber(arg[1]), tonumber(arg[3])
local file = assert(io.open(arg[2], "rb"))
local text = file:read("*a")
file:close()

local function measure(name, decode)
  collectgarbage()
  local start = os.clock()
  local list = assert(decode(text))
  local seconds = os.clock() - start
  assert(#list == users)
  print(("%s %.9f"):format(name, seconds))
end

-- The first round, which nobody counts, warms caches and LuaJIT.
for round = 0, rounds do
  local prefix = round == 0 and "warm_up_" or ""
  measure(prefix .. "podero", function(bytes) return decoder.decode(bytes, true, PIECE) end)
  measure(prefix .. "cjson", common.decode)
end
