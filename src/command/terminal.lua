--- What needs a terminal: colours, the progress line, asking for a secret.

local failure = require "podero.command.failure"
local term = require "term"
local text = require "podero.command.text"

local terminal = {}

terminal.is_terminal = term.isatty

--- Returns whether to use colours: the file is a terminal that supports them, and NO_COLOR is not set (no-color.org).
function terminal.has_colours(file)
  local unwanted = os.getenv("NO_COLOR")
  return term.isatty(file) and os.getenv("TERM") ~= "dumb" and (unwanted == nil or unwanted == "")
end

--- Returns an object that shows progress in a line on standard error. It does nothing if that is not a terminal.
function terminal.progress()
  local started, is_shown = os.time(), false
  local before, current = { bytes = 0, users = 0 }, { bytes = 0, users = 0 } -- complete lists; the current one
  local is_terminal = term.isatty(io.stderr)
  local progress = {}

  --- To be used as on_progress: bytes and users of the current list. Call `next_list` after each list.
  function progress.show(bytes, users)
    current = { bytes = bytes, users = users }
    if not is_terminal then return end
    bytes, users = before.bytes + bytes, before.users + users
    local rate = bytes / math.max(1, os.difftime(os.time(), started))
    io.stderr:write("\r", ("%s, %s users, %s/s"):format(text.bytes(bytes), text.grouped(users), text.bytes(rate)))
    term.cleareol(io.stderr)
    io.stderr:flush()
    is_shown = true
  end

  function progress.next_list()
    before = { bytes = before.bytes + current.bytes, users = before.users + current.users }
    current = { bytes = 0, users = 0 }
  end

  function progress.clear()
    if not is_shown then return end
    io.stderr:write("\r")
    term.cleareol(io.stderr)
    io.stderr:flush()
    is_shown = false
  end

  --- Prints how many of the received users were written, and to which file.
  function progress.summary(written, name)
    if not is_terminal then return end
    local total = before.users + current.users
    local of = written < total and " of " .. text.grouped(total) or ""
    io.stderr:write(("%s%s user%s%s\n"):format(text.grouped(written), of, total == 1 and "" or "s",
      name and " in " .. text.printable(name) or ""))
  end

  return progress
end

-- The shell restores the terminal's settings, even if it is interrupted. The secret is read from its standard output.
local ASK = [[
saved=$(stty -g) || exit 1
trap 'stty "$saved"' EXIT
trap 'exit 130' HUP INT TERM
stty -echo
printf '%%s: ' %s >&2
IFS= read -r secret && printf '%%s' "$secret"
]]

--- Asks for a secret on the terminal, which does not echo it. Returns nil if standard input is not a terminal.
function terminal.ask(question)
  if not term.isatty(io.stdin) then return nil end
  local quoted = "'" .. text.printable(question):gsub("'", "'\\''") .. "'"
  local pipe = assert(io.popen(ASK:format(quoted)))
  local secret = pipe:read("*a")
  pipe:close()
  io.stderr:write("\n")
  if secret == "" then failure.error("nothing was entered") end
  return secret
end

return terminal
