--- The output formats for users. A format is a function that takes a sink (see output.lua) and settings (see
-- listing.lua and csv.lua), and returns an object with `add(user)` and `finish()`. It keeps only a few users in memory.

local csv = require "podero.command.csv"
local json = require "podero.command.json"
local listing = require "podero.command.listing"

local formats = {}

formats.NAMES = { "table", "csv", "json", "ndjson" }

local BY_ENDING = { csv = "csv", tsv = "csv", json = "json", ndjson = "ndjson", jsonl = "ndjson" }

--- Returns the format that fits the name of a file, and the delimiter if that is not the usual one.
function formats.guess(name)
  local ending = name and name:lower():match("[^/]%.(%w+)$")
  return BY_ENDING[ending] or "table", ending == "tsv" and "\t" or nil
end

function formats.csv(sink, settings)
  local writer = csv.new { columns = settings.columns, delimiter = settings.delimiter, bom = settings.bom }
  sink:write(writer.header())
  return {
    add = function(user) sink:write(writer.line(user)) end,
    finish = function() end,
  }
end

--- One array. If the list fails in the middle, the closing bracket is missing, so that no reader accepts the output.
function formats.json(sink, settings)
  local separator, encode = "[\n", json.user_encoder(settings.columns)
  return {
    add = function(user)
      sink:write(separator, encode(user))
      separator = ",\n"
    end,
    finish = function() sink:write(separator == "[\n" and "[]\n" or "\n]\n") end,
  }
end

function formats.ndjson(sink, settings)
  local encode = json.user_encoder(settings.columns)
  return {
    add = function(user) sink:write(encode(user), "\n") end,
    finish = function() end,
  }
end

formats.table = listing.new

return formats
