--- The table of results, and the file with the last results.

local support = require "bench.support"

local Report = {}
Report.__index = Report

function Report.new()
  return setmetatable({ rows = {} }, Report)
end

--- Adds a row. Its fields are the texts what, who, figure, comparison and bar, and reached: whether the bar is reached,
-- nil for no bar.
function Report:add(row)
  self.rows[#self.rows + 1] = row
end

--- Adds a row for a contestant that could not take part.
function Report:skip(what, who, reason)
  self:add { what = what, who = who, figure = "skipped: " .. reason }
end

function Report.seconds(value)
  if value >= 1 then return ("%.2f s"):format(value) end
  if value >= 0.001 then return ("%.3g ms"):format(value * 1000) end
  return ("%.3g µs"):format(value * 1e6)
end

function Report.kilobytes(value)
  return (("%.1f MB"):format(value / 1024):gsub("^%-0%.0", "0.0"))
end

local HEAD = { "measurement", "contestant", "median", "comparison", "bar", "reached" }

local function cells(row)
  local reached = row.reached
  if reached ~= nil then reached = reached and "yes" or "**no**" end
  return { row.what, row.who, row.figure, row.comparison or "", row.bar or "", reached or "" }
end

--- Appends spaces up to a number of characters, not bytes: "µ" has two bytes.
local function pad(text, width)
  return text .. (" "):rep(width - utf8.len(text))
end

--- Returns the rows as a Markdown table with aligned columns.
function Report:table()
  local lines, widths = { HEAD }, {}
  for _, row in ipairs(self.rows) do lines[#lines + 1] = cells(row) end
  for _, line in ipairs(lines) do
    for i, cell in ipairs(line) do widths[i] = math.max(widths[i] or 3, utf8.len(cell)) end
  end
  local rule = {}
  for i, width in ipairs(widths) do rule[i] = ("-"):rep(width) end
  table.insert(lines, 2, rule)
  local texts = {}
  for n, line in ipairs(lines) do
    local padded = {}
    for i, cell in ipairs(line) do padded[i] = pad(cell, widths[i]) end
    texts[n] = "| " .. table.concat(padded, " | ") .. " |"
  end
  return table.concat(texts, "\n")
end

local NOTES = [[
Every figure is the median of its rounds (at least 5), except for instructions, which are counted once. The contestants
take turns within a round. A comparison is the median of the ratios of the rounds. "lua-cjson" means lua-cjson and a
loop that removes nulls. End-to-end times are measured over loopback HTTP, with a mock server on the same machine and
one warm connection (urllib cannot keep one, and makes a new one for each request). Each round starts a new process for
each contestant. It warms up, and then fetches one list of 100,000 or 10,000 users; shorter lists and "repeated" ones
are fetched several times, so that these times include collecting the garbage of the lists before. curl is not a floor
for small lists, because it sets up a new handle for each URL. "The floor" of whole users makes the same tables from
values that are ready in memory. If only a part of a list is wanted, lua-cjson's users are filtered in Lua.]]

--- Returns the text of RESULTS.md.
function Report:document(machine)
  return ([[
# Results of the last `make bench`

%s, in %d seconds. To repeat it: `make bench` (or, if the packages are installed, `lua5.4 bench/run.lua`).

%s

%s

%s
]]):format(machine.date, machine.seconds, machine.text, self:table(), NOTES)
end

function Report:write(path, machine)
  support.write(path, self:document(machine))
end

return Report
