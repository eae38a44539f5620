--- The output formats for users. A format is a function that takes a sink (see output.lua) and settings (see
-- listing.lua), and returns an object with `add(user)` and `finish()`. It keeps only a few users in memory.

local csv = require "podero.command.csv"
local json = require "podero.command.json"
local listing = require "podero.command.listing"

local formats = {}

formats.NAMES = { "table", "csv", "json", "ndjson" }

function formats.csv(sink, settings)
  sink:write(csv.header(settings.columns))
  return {
    add = function(user) sink:write(csv.user(user, settings.columns)) end,
    finish = function() end,
  }
end

--- Returns a function that returns the JSON of a user.
local function encoder(columns)
  if not columns then return json.user end
  return function(user) return json.columns(user, columns) end
end

--- One array. If the list fails in the middle, the closing bracket is missing, so that no reader accepts the output.
function formats.json(sink, settings)
  local separator, encode = "[\n", encoder(settings.columns)
  return {
    add = function(user)
      sink:write(separator, encode(user))
      separator = ",\n"
    end,
    finish = function() sink:write(separator == "[\n" and "[]\n" or "\n]\n") end,
  }
end

function formats.ndjson(sink, settings)
  local encode = encoder(settings.columns)
  return {
    add = function(user) sink:write(encode(user), "\n") end,
    finish = function() end,
  }
end

formats.table = listing.new

return formats
