--- The output formats for users. A format is a function that takes a sink (see output.lua) and settings (see
-- listing.lua), and returns an object with `add(user)` and `finish()`. It keeps only a few users in memory.

local csv = require "podero.command.csv"
local json = require "podero.command.json"
local listing = require "podero.command.listing"

local formats = {}

formats.NAMES = { "table", "csv", "json", "ndjson" }

function formats.csv(sink)
  sink:write(csv.header())
  return {
    add = function(user) sink:write(csv.user(user)) end,
    finish = function() end,
  }
end

--- One array. If the list fails in the middle, the closing bracket is missing, so that no reader accepts the output.
function formats.json(sink)
  local separator = "[\n"
  return {
    add = function(user)
      sink:write(separator, json.user(user))
      separator = ",\n"
    end,
    finish = function() sink:write(separator == "[\n" and "[]\n" or "\n]\n") end,
  }
end

function formats.ndjson(sink)
  return {
    add = function(user) sink:write(json.user(user), "\n") end,
    finish = function() end,
  }
end

formats.table = listing.new

return formats
