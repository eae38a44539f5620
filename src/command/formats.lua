--- How users are written. A format is a function of the sink and of settings; it returns an object with `add(user)`
-- and `finish()`, and keeps no more than a few users in memory.

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

--- One array. Where the list ends too early the array is left open, so that no reader takes it for the whole.
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
