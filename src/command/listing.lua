--- The format `table`: aligned columns for people. The first rows determine the widths. On a terminal the table fits:
-- cells that are too long are cut, and end in "…". Elsewhere no cell is cut: one that is wider than its column moves
-- the rest of its row to the right.

local rows = require "podero.command.rows"
local terminal = require "podero.command.terminal"
local text = require "podero.command.text"

local listing = {}

local SAMPLE = 200 -- rows that are kept to find the widths
local SAMPLE_BYTES = 1024 * 1024 -- fewer, if their cells together are longer than this
local WIDEST = 80 -- columns of a cell that widen its column if nothing is cut: one long cell must not widen all rows
local GAP = "  "

-- What is cut first, and to how many columns. Then all other texts are cut to OTHERS_LEAST, from right to left; if that
-- is not enough, every text to LEAST.
local CUT = { { "external_user_id", 8 }, { "email", 12 }, { "name", 10 } }
local OTHERS_LEAST, LEAST = 8, 2

local ROLE_STYLES = { admin = terminal.BOLD, staff = terminal.MAGENTA }

-- columns -------------------------------------------------------------------------------------------------------------

--- Returns a value as a cell.
local function cell(value)
  local kind = type(value)
  if kind == "number" then return rows.text(value) end
  return text.cell(kind == "string" and value or rows.text(value))
end

local function full_name(user)
  return text.cell(rows.text(user.first_name) .. " " .. rows.text(user.last_name))
end

--- Returns a function that shows a date-time in UTC, to the minute. A value that is none is shown as it is.
local function date_time(name)
  return function(user)
    local value = user[name]
    return type(value) == "string" and rows.minute(value) or cell(value)
  end
end

local TITLES = {
  email = "E-MAIL", external_user_id = "EXTERNAL ID", organization_id = "ORGANIZATION", last_login = "LAST LOGIN (UTC)",
  joined_at = "JOINED (UTC)", num_inverters = "INV", num_heat_pumps = "HP", num_electric_vehicles = "EV",
  num_wallboxes = "WB",
}
local CELLS = { name = full_name, last_login = date_time "last_login", joined_at = date_time "joined_at" }
local NUMBERS = {
  latitude = true, longitude = true, num_inverters = true, num_heat_pumps = true, num_electric_vehicles = true,
  num_wallboxes = true,
}
local FIXED = { role = true, last_login = true, joined_at = true } -- short, and cut last

local DEFAULT = {
  "role", "name", "email", "external_user_id", "num_inverters", "num_heat_pumps", "num_electric_vehicles",
  "num_wallboxes", "last_login",
}

--- Returns the columns of the table. `names` are fields, or "name" for first and last name; nil for the usual ones.
local function make_columns(names, has_organizations)
  local columns = {}
  if not names and has_organizations then names = { "organization_id", (table.unpack or unpack)(DEFAULT) } end
  for i, name in ipairs(names or DEFAULT) do
    columns[i] = {
      name = name,
      title = TITLES[name] or text.printable(name):upper():gsub("_", " "),
      cell = CELLS[name] or function(user) return cell(user[name]) end,
      is_number = NUMBERS[name],
    }
  end
  return columns
end

--- Returns the fields of a user that these columns show.
function listing.fields(columns)
  local fields, seen = {}, {}
  local function add(name)
    if not seen[name] then fields[#fields + 1], seen[name] = name, true end
  end
  for _, name in ipairs(columns) do
    add(name == "name" and "first_name" or name)
    if name == "name" then add("last_name") end
  end
  return fields
end

-- widths --------------------------------------------------------------------------------------------------------------

--- Returns the steps in which columns are cut: pairs of a column's index and its least width.
local function cuts(columns)
  local indices, steps, is_named = {}, {}, {}
  for i, column in ipairs(columns) do indices[column.name] = i end
  for _, cut in ipairs(CUT) do
    if indices[cut[1]] then steps[#steps + 1] = { indices[cut[1]], cut[2] } end
    is_named[cut[1]] = true
  end
  for i = #columns, 1, -1 do
    local column = columns[i]
    if not is_named[column.name] and not column.is_number and not FIXED[column.name] then
      steps[#steps + 1] = { i, OTHERS_LEAST }
    end
  end
  for i = 1, #steps do steps[#steps + 1] = { steps[i][1], LEAST } end
  return steps
end

--- Makes columns narrower until the table fits into `available` columns of the terminal, or nothing is left to cut.
local function shrink(widths, columns, available)
  local total = #GAP * (#columns - 1)
  for _, width in ipairs(widths) do total = total + width end
  for _, step in ipairs(cuts(columns)) do
    local i, least = step[1], step[2]
    local saved = math.max(0, math.min(widths[i] - least, total - available))
    widths[i], total = widths[i] - saved, total - saved
  end
end

--- Returns the width of each column: that of its widest cell.
local function measure(columns, sample, widest)
  local widths = {}
  for i, column in ipairs(columns) do
    widths[i] = text.width(column.title)
    for _, row in ipairs(sample) do widths[i] = math.max(widths[i], math.min(text.width(row[i]), widest)) end
  end
  return widths
end

-- the format ----------------------------------------------------------------------------------------------------------

--- Strings of N spaces, by N.
local SPACES = setmetatable({}, { __index = function(spaces, count)
  spaces[count] = (" "):rep(count)
  return spaces[count]
end })

--- Settings: `columns`: names of fields; `organizations`: the usual columns begin with the user's organization;
-- `width`: of the terminal, nil if nothing is to be cut; `colours`: use colours.
function listing.new(sink, settings)
  local columns = make_columns(settings.columns, settings.organizations)
  local widths, sample, sample_bytes = nil, {}, 0

  local function style_of(column, value, is_header)
    if not settings.colours then return nil end
    return is_header and terminal.BOLD or column.name == "role" and ROLE_STYLES[value] or nil
  end

  local current, pieces = {}, {} -- cells of a row after the sample, and pieces of its line; reused for each row

  --- Appends a cell and the spaces that align it to `count` pieces of the line. Escape sequences have no width.
  -- Returns the new number of pieces.
  local function append(count, i, value, room, style)
    local padding = SPACES[math.max(0, room - text.width(value))]
    if style then value = style .. value .. terminal.RESET end
    if i > 1 then
      count = count + 1
      pieces[count] = GAP
    end
    local is_number = columns[i].is_number
    pieces[count + 1] = is_number and padding or value
    pieces[count + 2] = is_number and value or i < #columns and padding or ""
    return count + 2
  end

  local function write(row, is_header)
    local count, left = 0, settings.width
    for i = 1, #columns do
      local value, room = row[i], widths[i]
      local style = style_of(columns[i], value, is_header)
      if left then
        if left <= 0 then break end
        room = math.min(room, left) -- numbers and dates alone may be too wide for the terminal
        value = text.fit(value, room)
        left = left - room - #GAP
      end
      count = append(count, i, value, room, style)
    end
    sink:write(table.concat(pieces, "", 1, count), "\n")
  end

  local function flush_sample()
    widths = measure(columns, sample, settings.width or WIDEST)
    if settings.width then shrink(widths, columns, settings.width) end
    local titles = {}
    for i, column in ipairs(columns) do titles[i] = column.title end
    write(titles, true)
    for _, row in ipairs(sample) do write(row) end
    sample = nil
  end

  return {
    add = function(user)
      local row = sample and {} or current
      for i, column in ipairs(columns) do row[i] = column.cell(user) end
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
