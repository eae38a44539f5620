--- Formats text and numbers for people and for other programs.

local tty = require "podero.command.tty"

local text = {}

--- Replaces with "?" what is no UTF-8, and what a terminal may obey instead of showing it: control characters (C0, DEL,
-- C1), line separators, and characters that change the direction of text.
text.printable = tty.printable

--- Returns a text as a cell of a table: printable, without spaces at its ends or two in a row; "-" if nothing is left.
text.cell = tty.cell

--- Returns the width of UTF-8 text on the screen, in columns.
text.width = tty.width

--- Returns a text that takes at most `columns` (1 or more), and its width. If it has to be cut, it ends in "…".
function text.fit(value, columns)
  local width = tty.width(value)
  if width <= columns then return value, width end
  local beginning
  beginning, width = tty.cut(value, columns - 1)
  return beginning .. "…", width + 1
end

--- Returns the words of a text as an array of lines, at least one. None is wider than `columns`, unless a word is.
function text.wrap(content, columns)
  local lines, line = {}, nil
  for word in content:gmatch("%S+") do
    if line and tty.width(line) + 1 + tty.width(word) > columns then
      lines[#lines + 1] = line
      line = nil
    end
    line = line and line .. " " .. word or word
  end
  lines[#lines + 1] = line or ""
  return lines
end

--- Returns an integer with commas between thousands.
function text.grouped(n)
  local digits = ("%d"):format(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (digits:gsub("^,", ""))
end

--- Returns a time, in seconds since 1970, in UTC.
function text.utc(seconds)
  return os.date("!%Y-%m-%d %H:%M:%S UTC", math.floor(seconds))
end

--- Returns a number of bytes, which may have a fraction, with a unit.
function text.bytes(n)
  if n < 1e3 then return ("%d B"):format(math.floor(n)) end
  if n < 1e6 then return ("%.1f kB"):format(n / 1e3) end
  if n < 1e9 then return ("%.1f MB"):format(n / 1e6) end
  return ("%.2f GB"):format(n / 1e9)
end

return text
