--- Makes the users of a list in memory, in turn with podero from JSON and with the floor from prepared values, and
-- prints the seconds of processor time of each round.
--   SCRIPT ROUNDS FILE MODULE
local common = require "bench.contestants.common"
local decoder = require "decoder"
local users = require "spec.support.mock.users"
local floor = assert(package.loadlib(arg[3], "luaopen_floor"))()

local text = common.read(arg[2])
local whole = decoder.decode(text, true)
local make = floor.prepare(whole, users.FIELDS)
common.compare(make(), whole)
whole = nil -- luacheck: ignore

common.take_turns(tonumber(arg[1]), {
  { "podero", function() return decoder.decode(text, true, common.PIECE) end },
  { "floor", make },
})
