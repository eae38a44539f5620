local advice = require "podero.command.advice"
local client = require "podero.command.client"
local convert = require "podero.command.convert"
local credentials = require "podero.command.credentials"
local expiry = require "podero.command.expiry"
local failure = require "podero.command.failure"
local options = require "podero.command.options"
local output = require "podero.command.output"
local podero = require "podero"
local progress = require "podero.command.progress"
local terminal = require "podero.command.terminal"
local text = require "podero.command.text"
local wording = require "podero.command.wording"

local doctor = {
  summary = "Check settings, connection, credentials and, with an id, whether a list can be read.",
  arguments = { { name = "ORG_ID", key = "org_id", help = "Also read the first user of this organization.",
    optional = true, convert = convert.organization } },
  asks = true,
  notes = "The exit code is that of the first step that fails. No secret is printed.",
}

local NAMES = 13 -- columns of the names of steps
local CLOCK_SECONDS = 60 -- which a clock may be wrong by

-- the report ----------------------------------------------------------------------------------------------------------

local function has_utf8()
  local locale = options.variable "LC_ALL" or options.variable "LC_CTYPE" or options.variable "LANG" or ""
  return locale:lower():find("utf%-?8") ~= nil
end

local Report = {}
Report.__index = Report

--- `shown`: the progress line, which is removed before a step is printed.
local function new_report(shown)
  local marks = has_utf8() and { good = "✔ ", bad = "✘ ", note = "! " } or { good = "ok ", bad = "NO ", note = "!  " }
  local sink = output.open(nil, function() shown:clear() end)
  return setmetatable({
    sink = sink, shown = shown, marks = marks, has_colours = terminal.has_colours "auto",
    columns = sink.is_terminal and terminal.columns(io.stdout) or 100,
  }, Report)
end

--- Returns a text in lines that fit, all but the first of them indented.
local function wrapped(content, columns, indentation)
  return table.concat(text.wrap(content, columns - indentation), "\n" .. (" "):rep(indentation))
end

--- Prints a step: `mark` is "good", "bad" or "note"; `help`, what to do, may be nil.
function Report:step(mark, name, content, help)
  local sign = self.marks[mark]
  local indentation = text.width(sign) + NAMES
  if self.columns < indentation + 30 then indentation = text.width(sign) end
  local columns = math.max(self.columns, indentation + 8)
  local style = self.has_colours and mark == "bad" and terminal.RED or ""
  local first = style .. sign .. name .. (style ~= "" and terminal.RESET or "")
  local gap = indentation > NAMES and (" "):rep(NAMES - #name) or "\n" .. (" "):rep(indentation)
  self.sink:write(first, gap, wrapped(text.printable(content), columns, indentation), "\n")
  if help then self.sink:write((" "):rep(indentation), wrapped(text.printable(help), columns, indentation), "\n") end
end

-- steps ---------------------------------------------------------------------------------------------------------------

--- Returns how far this machine's clock is ahead of the server's, in seconds, from the field Date (RFC 9110, 6.6.1) of
-- a response; nil if it has none.
local function clock_difference(headers, now)
  local date = headers and headers.date or ""
  local day, month, year, time = date:match("^%a+, (%d%d) (%a+) (%d%d%d%d) (%d%d:%d%d:%d%d) GMT$")
  local number = month and ("JanFebMarAprMayJunJulAugSepOctNovDec"):find(month, 1, true)
  if not number or #month ~= 3 or number % 3 ~= 1 then return nil end
  local seconds = podero.time(("%s-%02d-%sT%sZ"):format(year, (number + 2) / 3, day, time))
  return seconds and math.floor(now - seconds)
end

local function duration(seconds)
  if seconds < 120 then return ("%d s"):format(seconds) end
  if seconds < 7200 then return ("%d min"):format(math.floor(seconds / 60)) end
  return ("%d h"):format(math.floor(seconds / 3600))
end

--- Returns a table and a function that takes events of a client. The function notes in the table the first response,
-- when it came, and which URL granted a token.
local function new_events()
  local seen = {}
  return seen, function(event)
    if event.type ~= "exchange" or not event.status then return end
    if not seen.first then seen.first, seen.at = event, os.time() end
    if event.purpose == "token" and event.status == 200 then seen.token_url = event.url end
  end
end

local function show_connection(report, given, seen)
  local first = seen.first
  if seen.is_shown or not first then return end
  seen.is_shown = true
  report:step("good", "connection", ("%s answers%s"):format(options.host(given),
    first.seconds_to_first_byte and (" after %.2f s"):format(first.seconds_to_first_byte) or ""))
  local ahead = clock_difference(first.headers, seen.at)
  if not ahead then return end
  local is_wrong = math.abs(ahead) > CLOCK_SECONDS
  report:step(is_wrong and "note" or "good", "clock", math.abs(ahead) <= 1 and "as the server's"
    or ("%s %s the server's"):format(duration(math.abs(ahead)), ahead > 0 and "ahead of" or "behind"),
    is_wrong and "Set this machine's clock: certificates depend on it." or nil)
end

--- Prints a step that failed, and ends the command.
local function fail(report, given, name, err, seen, report_error)
  report.shown:stop()
  show_connection(report, given, seen)
  if podero.is_error(err) then
    if not seen.first and (err.kind == "network" or err.kind == "timeout") then name = "connection" end
    if err.kind == "argument" then name = "settings" end -- files of TLS are opened by the first request
    report:step("bad", name, wording.with_kind(err, given), advice.of(err, given, name, seen.first ~= nil))
  elseif failure.is(err) and err.message then
    report:step("bad", name, err.message)
  else
    error(err, 0)
  end
  if given.errors == "json" then report_error(err) end
  report.sink:finish()
  failure.quiet(failure.code(err))
end

local function show_settings(report, given)
  local url, source = options.base_url(given)
  local has_path = url:find("/api/partners", 1, true)
  report:step(has_path and "note" or "good", "base URL", ("%s (%s)"):format(url, source),
    has_path and "The path /api/partners/v2.0 is added to it: leave that out, unless it is there twice." or nil)
  local doubtful = credentials.doubtful(given)
  report:step(doubtful and "note" or "good", "credentials", (credentials.describe(given)), doubtful
    and doubtful .. " begins or ends with a blank or a quotation mark: remove it, unless it belongs there." or nil)
  local proxy, where_from, exceptions = options.proxy(given)
  local unless = exceptions and (", unless %s excepts the host"):format(exceptions) or ""
  if proxy then report:step("good", "proxy", ("%s (%s%s)"):format(proxy, where_from, unless)) end
end

--- Checks the token. Returns the text of the step; nil if the list will tell.
local function check_token(api, given, seen)
  local _, is_own = credentials.describe(given)
  local value, expires_at, scope = api:token()
  if not value then error(expires_at, 0) end
  if not is_own then
    return ("from %s, expires %s, scope %s"):format(seen.token_url or "the server",
      expires_at and expiry(expires_at) or "unknown", scope or "unknown")
  end
  if not given.org_id then
    client.try_token(api, given)
    return "the API accepts it; when it expires is unknown"
  end
end

local function check_users(api, given)
  local count = 0
  for _ in api:each_user(given.org_id, { limit = 1 }) do count = count + 1 end
  return ("the list of organization %s can be read%s"):format(given.org_id, count == 0 and ", and is empty" or "")
end

function doctor.run(given, report_error)
  local shown = progress.new(options.host(given), not given.quiet, false)
  local report = new_report(shown)
  local seen, on_event = new_events()
  local settings = setmetatable({ token_cache = false, max_retries = given.max_retries or 0 }, { __index = given })
  local function try(name, f, ...)
    local ok, result = pcall(f, ...)
    if not ok then fail(report, given, name, result, seen, report_error) end
    return result
  end
  local api = try("settings", client.new, settings, shown, on_event)
  show_settings(report, given)
  local token = try("token", check_token, api, given, seen)
  show_connection(report, given, seen)
  if token then report:step("good", "token", token) end
  if given.org_id then
    local users = try("users", check_users, api, given)
    show_connection(report, given, seen)
    report:step("good", "users", users)
  end
  shown:stop()
  api:close()
  report.sink:finish()
end

return doctor
