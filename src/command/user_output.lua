--- The options of the commands that print users, and the formats that they choose.

local convert = require "podero.command.convert"
local failure = require "podero.command.failure"
local formats = require "podero.command.formats"
local listing = require "podero.command.listing"
local option = require "podero.command.option"
local terminal = require "podero.command.terminal"
local words = require "podero.command.words"

local user_output = {}

user_output.FILE = option("-o --output FILE",
  "Write to this file, which is replaced after everything was received; - is standard output.")

--- The options of `users` and `find`.
user_output.OPTIONS = {
  option("-f --format FORMAT", "How users are written. Default: by the name given to --output, else table.",
    { choices = formats.NAMES }),
  user_output.FILE,
  option("--columns NAME,...", "Only these fields, in this order.", { convert = convert.columns }),
  option("--wide", "Cut nothing off to fit the terminal."),
  option("--color WHEN", "Whether the table has colours. Default: auto, which is for terminals; see NO_COLOR.",
    { choices = { "auto", "always", "never" }, default = "auto" }),
  option("--delimiter C", "The character between fields of CSV (a comma).", { convert = convert.delimiter }),
  option("--bom", "Begin CSV with a byte order mark, for spreadsheets."),
}

user_output.NO_VALIDATE = option("--no-validate", "Accept values that do not match the API's schema.")

local SPREADSHEETS = { xlsx = true, xls = true, ods = true, numbers = true }
local COMPRESSED = { gz = true, bz2 = true, xz = true, zst = true, zip = true }

--- Refuses the name of a file whose ending names a format that the command does not write.
local function check_name(given)
  local beginning, ending = (given.output or ""):match("^(.*[^/])%.(%w+)$")
  if given.format or given.count or not ending then return end
  local reason = SPREADSHEETS[ending:lower()] and ("spreadsheets open CSV: --output %s.csv"):format(beginning)
    or COMPRESSED[ending:lower()] and "without --output, another program can compress"
  if not reason then return end
  failure.usage(("--output %s: there is no format for .%s, but %s"):format(words.quoted(given.output), ending, reason),
    given.label)
end

--- Checks options that depend on each other, and sets format and delimiter if they are to be guessed.
function user_output.check(given)
  check_name(given)
  local guessed, delimiter_of_name = formats.guess(given.output)
  given.delimiter = given.delimiter or (not given.format and delimiter_of_name or nil)
  given.format = given.format or guessed
  for _, name in ipairs { "delimiter", "bom" } do
    if given[name] and given.format ~= "csv" then
      failure.usage(("--%s is for --format csv"):format(name), given.label)
    end
  end
  for _, name in ipairs(given.columns or {}) do
    if name == "name" and given.format ~= "table" then
      failure.usage("--columns: only a table has 'name': use first_name and last_name", given.label)
    end
  end
end

--- Returns the fields of users that are needed for the output, nil for all.
function user_output.fields(given)
  if not given.columns or given.format ~= "table" then return given.columns end
  return listing.fields(given.columns)
end

--- Returns a format (see formats.lua) that writes to a sink. `has_organizations`: the table says whose users they are.
function user_output.format(given, sink, has_organizations)
  return formats[given.format](given.format == "table" and sink or terminal.escaped(sink), {
    colours = not given.output and terminal.has_colours(given.color),
    organizations = has_organizations,
    columns = given.columns,
    width = not given.output and sink.is_terminal and not given.wide and terminal.columns(io.stdout) or nil,
    delimiter = given.delimiter,
    bom = given.bom,
  })
end

return user_output
