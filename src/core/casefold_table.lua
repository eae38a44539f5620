--- Makes src/core/casefold_table.h from Unicode's CaseFolding.txt and Scripts.txt.
--   lua casefold_table.lua DIRECTORY [FILE]
-- DIRECTORY has Unicode's data: Debian's package unicode-data puts them in /usr/share/unicode. Without FILE, prints the
-- table. `make casefold-table` runs this; any Lua does.

local SCRIPTS = { Latin = true, Greek = true, Cyrillic = true }
local STATUS = { C = true, S = true } -- the simple folding
local PAGE = 64 -- characters: those that share all bytes of their UTF-8 but the last

--- Calls f(fields, line) for each line that is more than a comment. Fields are separated by semicolons.
local function each_line(name, f)
  local file = assert(io.open(name))
  for line in file:lines() do
    local fields = {}
    for entry in line:gsub("#.*", ""):gmatch("[^;]+") do
      local field = entry:match("^%s*(.-)%s*$")
      if field ~= "" then fields[#fields + 1] = field end
    end
    if #fields > 0 then f(fields, line) end
  end
  file:close()
end

--- The version that the first line names: "# CaseFolding-15.0.0.txt".
local function version_of(name)
  local file = assert(io.open(name))
  local version = file:read("*l"):match("%-(%d+%.%d+%.%d+)%.txt")
  file:close()
  return assert(version, name .. " does not begin with its version")
end

--- The set of characters of SCRIPTS.
local function read_scripts(name)
  local points = {}
  each_line(name, function(fields)
    if not SCRIPTS[fields[2]] then return end
    local first, last = fields[1]:match("^(%x+)%.%.(%x+)$")
    for point = tonumber(first or fields[1], 16), tonumber(last or fields[1], 16) do points[point] = true end
  end)
  return points
end

--- What each of these characters is folded to.
local function read_foldings(name, points)
  local foldings = {}
  each_line(name, function(fields, line)
    local point, folded = tonumber(fields[1], 16), tonumber(fields[3], 16)
    if not (STATUS[fields[2]] and points[point]) then return end
    assert(point < 0x10000 and folded < 0x10000, "the table ends with U+FFFF: " .. line)
    foldings[point] = folded
  end)
  return foldings
end

--- The distances of a page's characters from what they are folded to, as text; nil if it has no letter to be folded.
local function page_text(foldings, page)
  local distances, found = {}, false
  for i = 0, PAGE - 1 do
    local point = page * PAGE + i
    local distance = ((foldings[point] or point) - point) % 0x10000
    distances[i + 1] = ("%d,"):format(distance)
    found = found or distance ~= 0
  end
  if not found then return nil end
  local lines = {}
  for i = 1, PAGE, 16 do lines[#lines + 1] = "     " .. table.concat(distances, " ", i, i + 15) end
  lines[1] = "    {" .. lines[1]:sub(6)
  lines[#lines] = lines[#lines]:gsub(",$", "},")
  return ("    /* U+%04X */\n%s"):format(page * PAGE, table.concat(lines, "\n"))
end

--- The texts of the pages with letters to be folded, from number 1 on, and which number is whose.
local function make_pages(foldings)
  local texts, numbers = {}, {}
  for page = 0, 0x10000 / PAGE - 1 do
    local text = page_text(foldings, page)
    if text then
      texts[#texts + 1] = text
      numbers[#numbers + 1] = ("[0x%04X / 64] = %d,"):format(page * PAGE, #texts)
    end
  end
  return texts, numbers
end

local HEAD = [==[
/* Made by casefold_table.lua from Unicode %s; `make casefold-table` makes it anew.
 *
 * Simple case folding of the characters U+0000 to U+FFFF whose script is Latin, Greek or Cyrillic:
 * a character c becomes c + casefold_distances[casefold_pages[c / 64]][c %% 64], modulo 0x10000. */
#ifndef PODERO_CASEFOLD_TABLE_H
#define PODERO_CASEFOLD_TABLE_H

#include <stdint.h>

/* clang-format off */
static const uint16_t casefold_distances[%d][64] = {
    /* every page without a letter to be folded */
    {0},
]==]

local function make_table(directory)
  local case_folding, scripts = directory .. "/CaseFolding.txt", directory .. "/Scripts.txt"
  local version = version_of(case_folding)
  assert(version == version_of(scripts), "CaseFolding.txt and Scripts.txt are of different versions")
  local texts, numbers = make_pages(read_foldings(case_folding, read_scripts(scripts)))
  local out = { HEAD:format(version, #texts + 1), table.concat(texts, "\n"), "\n};\n\n" }
  out[#out + 1] = "static const uint8_t casefold_pages[0x10000 / 64] = {\n"
  for i = 1, #numbers, 4 do
    out[#out + 1] = "    " .. table.concat(numbers, " ", i, math.min(i + 3, #numbers)) .. "\n"
  end
  out[#out + 1] = "};\n/* clang-format on */\n\n#endif"
  return table.concat(out)
end

local directory, target = ...
if not directory then
  io.stderr:write("usage: lua casefold_table.lua DIRECTORY [FILE]\n")
  os.exit(2)
end
local text = make_table(directory)
if not target then return print(text) end
local file = assert(io.open(target, "w"))
assert(file:write(text, "\n"))
assert(file:close())
