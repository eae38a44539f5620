--- The output formats for users. A format is a function that takes a sink (see output.lua) and settings (see
-- listing.lua and rows.c), and returns an object with `add(user)` and `finish()`. It keeps only a few users in memory.

local listing = require "podero.command.listing"
local rows = require "podero.command.rows"

local formats = {}

formats.NAMES = { "table", "csv", "json", "ndjson" }

local BY_ENDING = { csv = "csv", tsv = "csv", json = "json", ndjson = "ndjson", jsonl = "ndjson" }

--- Returns the format that fits the name of a file, and the delimiter if that is not the usual one.
function formats.guess(name)
  local ending = name and name:lower():match("[^/]%.(%w+)$")
  return BY_ENDING[ending] or "table", ending == "tsv" and "\t" or nil
end

local PIECE = 64 * 1024 -- bytes that are written at once

--- Returns the format of a writer (see rows.c). On a terminal each user is written at once.
local function through(sink, writer)
  local least = sink.is_terminal and 1 or PIECE
  sink:attach(writer)
  return {
    add = function(user)
      if writer:add(user) >= least then sink:write(writer:take()) end
    end,
    finish = function() writer:finish() end,
  }
end

function formats.csv(sink, settings)
  return through(sink, rows.csv { columns = settings.columns, delimiter = settings.delimiter, bom = settings.bom })
end

--- One array. If the list fails in the middle, the closing bracket is missing: no reader accepts the output.
function formats.json(sink, settings)
  return through(sink, rows.json { columns = settings.columns, is_array = true })
end

function formats.ndjson(sink, settings)
  return through(sink, rows.json { columns = settings.columns })
end

formats.table = listing.new

return formats
