--- What is only done where a person looks on: colours, the line of progress, asking for a secret.

local failure = require "podero.command.failure"
local term = require "term"
local text = require "podero.command.text"

local terminal = {}

terminal.is_terminal = term.isatty

--- Whether a file takes colours: a terminal that knows them, and nobody who does not want them (no-color.org).
function terminal.has_colours(file)
  local unwanted = os.getenv("NO_COLOR")
  return term.isatty(file) and os.getenv("TERM") ~= "dumb" and (unwanted == nil or unwanted == "")
end

--- A line on standard error that tells how far a transfer has come. Where that is no terminal it does nothing.
function terminal.progress()
  local started, is_shown = os.time(), false
  local before, present = { bytes = 0, users = 0 }, { bytes = 0, users = 0 } -- lists that are done, and this one
  local is_terminal = term.isatty(io.stderr)
  local progress = {}

  --- For on_progress: bytes and users of the present list. `next_list` is to be called between two lists.
  function progress.show(bytes, users)
    present = { bytes = bytes, users = users }
    if not is_terminal then return end
    bytes, users = before.bytes + bytes, before.users + users
    local rate = bytes / math.max(1, os.difftime(os.time(), started))
    io.stderr:write("\r", ("%s, %s users, %s/s"):format(text.bytes(bytes), text.grouped(users), text.bytes(rate)))
    term.cleareol(io.stderr)
    io.stderr:flush()
    is_shown = true
  end

  function progress.next_list()
    before = { bytes = before.bytes + present.bytes, users = before.users + present.users }
    present = { bytes = 0, users = 0 }
  end

  function progress.clear()
    if not is_shown then return end
    io.stderr:write("\r")
    term.cleareol(io.stderr)
    io.stderr:flush()
    is_shown = false
  end

  --- In the end: how many users of all those that came were written, and where.
  function progress.summary(written, name)
    if not is_terminal then return end
    local total = before.users + present.users
    local of = written < total and " of " .. text.grouped(total) or ""
    io.stderr:write(("%s%s user%s%s\n"):format(text.grouped(written), of, total == 1 and "" or "s",
      name and " in " .. text.printable(name) or ""))
  end

  return progress
end

-- The shell puts the terminal back as it was, also if it is interrupted; the secret comes through a pipe.
local ASK = [[
saved=$(stty -g) || exit 1
trap 'stty "$saved"' EXIT
trap 'exit 130' HUP INT TERM
stty -echo
printf '%%s: ' %s >&2
IFS= read -r secret && printf '%%s' "$secret"
]]

--- Asks for a secret on the terminal, which does not show what is typed. nil where standard input is none.
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
