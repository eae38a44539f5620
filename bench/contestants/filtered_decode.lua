--- Decodes a part of a list in memory with podero and lua-cjson in turn, and prints the seconds of processor time of
-- each round.
--   SCRIPT ROUNDS FILE FILTER
local common = require "bench.contestants.common"
local decoder = require "decoder"
local filters = require "bench.contestants.filters"

local text = common.read(arg[2])
local wanted = filters[arg[3]]

local function podero() return assert(decoder.decode(text, true, common.PIECE, wanted.options)) end
local function cjson() return wanted.filter(common.decode(text)) end

local users = podero()
assert(#users == wanted.hits, "not the users that the filter hits")
common.compare(users, cjson())
users = nil -- luacheck: ignore

common.take_turns(tonumber(arg[1]), { { "podero", podero }, { "cjson", cjson } })
