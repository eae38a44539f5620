--- The table of results, and the file that keeps the last one.

local support = require "bench.support"

local Report = {}
Report.__index = Report

function Report.new()
  return setmetatable({ rows = {} }, Report)
end

--- Adds a row: what, who, figure (text), comparison (text), bar (text), reached (true, false or nil for no bar).
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

--- Characters, not bytes: "µ" and "×" have two.
local function pad(text, width)
  return text .. (" "):rep(width - utf8.len(text))
end

--- The rows as a Markdown table with aligned columns.
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
Every figure is the median of its rounds (at least 5), except for instructions, which are counted once; the contestants
take turns within a round. A comparison is the median of the ratios of the rounds. "lua-cjson" stands for lua-cjson and
the loop that removes nulls. Times end to end are over loopback HTTP, from a mock server on the same machine, over one
warm connection (urllib, which cannot keep one, makes a new one each time). Each round starts a fresh process of each
contestant: it warms up, and then fetches one list of 100,000 or of 10,000 users, or shorter ones and the "repeated"
ones several times, so that these pay for the garbage of the lists before. curl is no floor for small lists: it sets up
a new handle for each URL. "The floor" of whole users makes the same tables from values that stand ready in memory. If
a part of a list is wanted, lua-cjson's users go through the same filter, written in Lua.]]

--- The text of RESULTS.md.
function Report:document(machine)
  return ([[
# Results of the last `make bench`

%s, in %d seconds. To repeat it: `make bench` (or, where the packages are there, `lua5.4 bench/run.lua`).

%s

%s

%s
]]):format(machine.date, machine.seconds, machine.text, self:table(), NOTES)
end

function Report:write(path, machine)
  support.write(path, self:document(machine))
end

return Report
