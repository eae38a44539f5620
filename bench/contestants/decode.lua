--- Decodes a list in memory with podero and lua-cjson in turn, and prints the seconds of processor time of each round.
--   SCRIPT ROUNDS FILE USERS
local common = require "bench.contestants.common"
local decoder = require "decoder"

local text, users = common.read(arg[2]), tonumber(arg[3])

local function podero() return assert(decoder.decode(text, true, common.PIECE)) end
local function cjson() return common.decode(text) end

assert(#podero() == users and #cjson() == users)
common.take_turns(tonumber(arg[1]), { { "podero", podero }, { "cjson", cjson } })
