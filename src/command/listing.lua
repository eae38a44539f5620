--- The format `table`: aligned columns for people. The first rows determine the widths. A longer cell further down, or
-- one that is longer than any column, is not cut off, but moves the rest of its row to the right.

local json = require "podero.command.json"
local podero = require "podero"
local term = require "term"
local text = require "podero.command.text"

local listing = {}

local SAMPLE = 200 -- rows that are kept to find the widths
local SAMPLE_BYTES = 1024 * 1024 -- fewer, if their cells are longer than this in sum
local WIDEST = 80 -- of a column: one long cell must not make all the other rows as long

local ROLE_COLOURS = { admin = term.colors.yellow, staff = term.colors.cyan, guest = term.colors.dim }

--- Returns a value as a cell. It contains no two spaces in a row, because these separate the columns.
local function cell(value)
  value = text.printable(json.text(value)):gsub(" +", " "):match("^ ?(.-) ?$")
  return value ~= "" and value or "-"
end

local function field(name)
  return function(user) return cell(user[name]) end
end

local function full_name(user)
  return cell(json.text(user.first_name) .. " " .. json.text(user.last_name))
end

--- In UTC, to the minute. A value that is not a date-time is shown as it is.
local function last_login(user)
  local value = user.last_login
  local seconds = type(value) == "string" and podero.time(value)
  return seconds and os.date("!%Y-%m-%d %H:%M", math.floor(seconds)) or cell(value)
end

local COLUMNS = {
  { "ROLE", field "role" },
  { "NAME", full_name },
  { "E-MAIL", field "email" },
  { "EXTERNAL ID", field "external_user_id" },
  { "INV", field "num_inverters" },
  { "HP", field "num_heat_pumps" },
  { "EV", field "num_electric_vehicles" },
  { "WB", field "num_wallboxes" },
  { "LAST LOGIN (UTC)", last_login },
}

local ORGANIZATION = { "ORGANIZATION", field "organization_id" }

--- Returns columns with these fields, titled by their names.
local function columns_of(names)
  local columns = {}
  for i, name in ipairs(names) do columns[i] = { cell(name):upper(), field(name) } end
  return columns
end

--- Settings: `colours`: use colours; `organizations`: add a column with the user's organization; `columns`: names of
-- the fields that are wanted, in place of the usual columns.
function listing.new(sink, settings)
  local columns = {}
  if settings.organizations and not settings.columns then columns[1] = ORGANIZATION end
  for _, column in ipairs(settings.columns and columns_of(settings.columns) or COLUMNS) do
    columns[#columns + 1] = column
  end

  local widths, sample, sample_bytes = {}, {}, 0

  local function measure(row)
    for i, value in ipairs(row) do
      widths[i] = math.max(widths[i] or 0, math.min(text.width(value), WIDEST))
    end
  end

  --- Returns the padded cell in its colour. Padding is added before, because escape sequences have no width.
  local function paint(column, value, padded)
    local colour = column == "ROLE" and ROLE_COLOURS[value] or column == nil and term.colors.bright
    return colour and settings.colours and colour .. padded .. term.colors.reset or padded
  end

  local function write(row, is_header)
    local cells = {}
    for i, value in ipairs(row) do
      local padding = i < #row and (" "):rep(widths[i] - text.width(value)) or ""
      cells[i] = paint(not is_header and columns[i][1] or nil, value, value .. padding)
    end
    sink:write(table.concat(cells, "  "), "\n")
  end

  local function flush_sample()
    local titles = {}
    for i, column in ipairs(columns) do titles[i] = column[1] end
    measure(titles)
    for _, row in ipairs(sample) do measure(row) end
    write(titles, true)
    for _, row in ipairs(sample) do write(row) end
    sample = nil
  end

  return {
    add = function(user)
      local row = {}
      for i, column in ipairs(columns) do row[i] = column[2](user) end
      if not sample then return write(row) end
      sample[#sample + 1] = row
      sample_bytes = sample_bytes + #table.concat(row)
      if #sample >= SAMPLE or sample_bytes >= SAMPLE_BYTES then flush_sample() end
    end,
    finish = function()
      if sample then flush_sample() end
    end,
  }
end

return listing
