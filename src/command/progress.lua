--- The progress line on standard error: what the command waits for, or how much of a list it has received.

local terminal = require "podero.command.terminal"
local text = require "podero.command.text"
local tty = require "podero.command.tty"

local progress = {}

local INTERVAL = 0.2 -- seconds between two updates of the line
local SILENCE = 2 -- seconds without a byte after which the line says so

local REASONS = {
  network = "connection failed", timeout = "no response in time", decode = "response cut short", auth = "no token",
}

local Progress = {}
Progress.__index = Progress

--- Returns the text of the line, "" if there is nothing to tell yet; and whether it is about a list that is arriving.
function Progress:line(now)
  local pause = self.pause_end and self.pause_end - now or 0
  if pause > 0 then return ("%s, trying again in %d s"):format(self.reason, math.ceil(pause)) end
  local silent = math.floor(now - math.max(self.heard, self.pause_end or 0))
  local waiting = ("waiting for %s, %d s"):format(self.host, silent)
  if self.current.bytes == 0 then return silent >= 1 and waiting or "" end
  local bytes, users = self.before.bytes + self.current.bytes, self.before.users + self.current.users
  local rate = bytes / math.max(1, now - self.started)
  local received = ("%s, %s user%s, "):format(text.bytes(bytes), text.grouped(users), users == 1 and "" or "s")
  return received .. (silent >= SILENCE and waiting or text.bytes(rate) .. "/s"), true
end

--- Shows the line if it has changed. The numbers of a list change all the time: they are updated once per INTERVAL.
function Progress:draw()
  if not self.is_shown then return end
  local now = tty.clock()
  local line, is_arriving = self:line(now)
  if is_arriving and self.was_arriving and now - self.drawn_at < INTERVAL then return end
  line = text.fit(line, terminal.columns(io.stderr) - 1)
  if line == self.drawn then return end
  self.drawn, self.drawn_at, self.was_arriving = line, now, is_arriving
  io.stderr:write("\r" .. line .. "\27[K") -- in one write, so that no other output can split it
  io.stderr:flush()
end

--- Removes the line, until there is something new to tell.
function Progress:clear()
  if self.drawn == "" then return end
  self.drawn = ""
  io.stderr:write("\r\27[K")
  io.stderr:flush()
end

--- Removes the line for good.
function Progress:stop()
  self:clear()
  self.is_shown = false
end

--- To be called with the events of the client.
function Progress:event(event)
  local now = tty.clock()
  if event.type == "retry" then
    self.reason = event.status and ("%d"):format(event.status) or REASONS[event.error_kind] or "failed"
    self.pause_end = now + event.pause
  elseif event.type == "exchange" then
    self.heard = now
  end
  self:draw()
end

--- To be called as on_progress, with bytes and users of the current list. Call `next_list` after each list.
function Progress:show(bytes, users)
  self.current = { bytes = bytes, users = users }
  self.heard, self.pause_end = tty.clock(), nil
  self:draw()
end

function Progress:next_list()
  self.before = { bytes = self.before.bytes + self.current.bytes, users = self.before.users + self.current.users }
  self.current = { bytes = 0, users = 0 }
  self.heard = tty.clock()
end

--- Returns a function for the option `wait` of the client that updates the line; nil if there is no line.
function Progress:wait()
  if not self.is_shown then return nil end
  return function(seconds, fd)
    self:draw()
    tty.poll(self.is_shown and math.min(seconds, INTERVAL) or seconds, fd)
  end
end

--- Prints how many of the received users were written, and the name of the file.
function Progress:summary(written, name)
  if not self.has_summary then return end
  local total = self.before.users + self.current.users
  local of = written < total and " of " .. text.grouped(total) or ""
  io.stderr:write(("%s%s user%s%s\n"):format(text.grouped(written), of, total == 1 and "" or "s",
    name and " in " .. text.printable(name) or ""))
end

--- Returns the progress of reading lists from `host`. The line is shown if it `is_wanted`, standard error is a terminal
-- on which lines can be overwritten, and standard output is no pipe or the users go to a file (`has_file`).
function progress.new(host, is_wanted, has_file)
  local now = tty.clock()
  local is_shown = is_wanted and terminal.can_overwrite() and (has_file or terminal.kind(io.stdout) ~= "pipe")
  return setmetatable({
    host = text.printable(host), is_shown = is_shown, has_summary = is_shown, drawn = "", started = now, heard = now,
    before = { bytes = 0, users = 0 }, current = { bytes = 0, users = 0 }, -- complete lists; the current one
  }, Progress)
end

return progress
