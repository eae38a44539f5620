--- The command `podero`: its subcommands and exit codes.

local arguments = require "podero.command.arguments"
local credentials = require "podero.command.credentials"
local failure = require "podero.command.failure"
local filter = require "podero.command.filter"
local formats = require "podero.command.formats"
local json = require "podero.command.json"
local output = require "podero.command.output"
local podero = require "podero"
local progress = require "podero.command.progress"
local terminal = require "podero.command.terminal"
local text = require "podero.command.text"

local main = {}

--- For --verbose: prints a line for each HTTP request.
local function print_event(event)
  if event.type ~= "exchange" then return end
  io.stderr:write(text.printable(("%s: %s %s: %s, attempt %d, %s in %.3f s"):format(event.purpose, event.method,
    event.url, event.status or event.error_kind or "-", event.attempt, text.bytes(event.bytes), event.seconds)), "\n")
end

--- Returns a client. `shown`: the progress that is to show what it does (see progress.lua); may be nil.
local function new_client(given, shown)
  local options = arguments.client_options(given)
  for name, value in pairs(credentials.find(given)) do options[name] = value end
  options.wait = shown and shown:wait()
  options.on_event = (shown or given.verbose) and function(event)
    if given.verbose then
      if shown then shown:clear() end
      print_event(event)
    end
    if shown then shown:event(event) end
  end
  local ok, client, err = pcall(podero.new, options)
  -- An error about an option begins with the position in this file: leave that out.
  if not ok then failure.usage(client:match("%((.*)%)$") or client, "podero " .. given.command) end
  if not client and err.kind == "argument" then failure.usage(err.message, "podero " .. given.command) end
  if not client then error(err, 0) end
  return client
end

local commands = {}

--- Returns the sink for a format: on a terminal, no format but the table, which does so itself, is written as it comes.
local function format_sink(given, sink, is_terminal)
  return is_terminal and given.format ~= "table" and terminal.escaped(sink) or sink
end

function commands.users(given)
  local is_terminal = not given.output and terminal.is_terminal(io.stdout)
  local shown = progress.new(arguments.host(given), not given.quiet, given.output ~= nil)
  local client = new_client(given, shown)
  local wants = filter.new(given.role, given.search)
  local sink = output.open(given.output, is_terminal, function() shown:stop() end)
  local written = 0
  local ok, raised = pcall(function()
    local format = formats[given.format](format_sink(given, sink, is_terminal), {
      colours = not given.output and terminal.has_colours(given.color),
      columns = given.columns,
      organizations = #given.org_id > 1,
      width = is_terminal and not given.wide and terminal.columns(io.stdout) or nil,
    })
    local opts = {
      include_deleted = given.include_deleted or false,
      on_progress = function(bytes, users) shown:show(bytes, users) end,
    }
    for _, org_id in ipairs(given.org_id) do
      for user in client:each_user(org_id, opts) do
        if not wants or wants(user) then
          format.add(user)
          written = written + 1
        end
      end
      shown:next_list()
    end
    format.finish()
    sink:finish()
  end)
  shown:stop()
  client:close()
  if ok then return shown:summary(written, given.output) end
  sink:discard()
  error(raised, 0)
end

local function expiry(expires_at)
  if not expires_at then return "unknown" end
  local minutes = math.max(0, math.floor((expires_at - os.time()) / 60))
  return ("%s UTC (in %d h %02d min)"):format(os.date("!%Y-%m-%d %H:%M:%S", math.floor(expires_at)),
    math.floor(minutes / 60), minutes % 60)
end

function commands.token(given)
  local client = new_client(given)
  local token, expires_at, scope = client:token()
  client:close()
  if not token then error(expires_at, 0) end
  local sink = output.open()
  if given.show then
    sink:write(token, "\n")
  else
    sink:write("expires  ", expiry(expires_at), "\nscope    ", text.printable(scope or "unknown"), "\n")
  end
  sink:finish()
end

function commands.get(given)
  local client = new_client(given)
  local query = {}
  for _, parameter in ipairs(given.query) do query[parameter[1]] = parameter[2] end
  local answer, response = client:get(given.path, query)
  client:close()
  if answer == nil then error(response, 0) end -- it is the error then
  local sink = output.open()
  if terminal.is_terminal(io.stdout) then sink = terminal.escaped(sink) end
  sink:write(json.encode(answer, ""), "\n")
  sink:finish()
end

--- Runs the command with these arguments, and returns its exit code.
function main.run(list)
  local ok, raised = pcall(function()
    local given = arguments.parse(list)
    commands[given.command](given)
  end)
  if ok then return 0 end
  if type(raised) == "string" and raised:find("interrupted!", 1, true) then return 130 end
  if not failure.is(raised) then
    io.stderr:write(text.printable(tostring(raised)), "\n") -- an error of the module, in its own words
    return 1
  end
  if raised.message then io.stderr:write("podero: ", text.printable(raised.message), "\n") end
  return raised.code
end

return main
