--- Decodes one of two lists once, to count its instructions. Both files are read in any case, so that the difference of
-- two counts is only decoding.
--   SCRIPT podero|cjson SHORT_FILE LONG_FILE short|long
local common = require "bench.contestants.common"
local decoder = require "decoder"

local texts = { short = common.read(arg[2]), long = common.read(arg[3]) }
local text = texts[arg[4]]
local list = arg[1] == "podero" and assert(decoder.decode(text, true, common.PIECE)) or common.decode(text)
assert(#list > 0)
os.exit(0) -- does not free the heap, which is not part of decoding
