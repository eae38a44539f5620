--- The command `podero`: its subcommands and exit codes.

local arguments = require "podero.command.arguments"
local credentials = require "podero.command.credentials"
local failure = require "podero.command.failure"
local formats = require "podero.command.formats"
local json_text = require "podero.command.json_text"
local listing = require "podero.command.listing"
local output = require "podero.command.output"
local path = require "podero.command.path"
local podero = require "podero"
local progress = require "podero.command.progress"
local reports = require "podero.command.report"
local system = require "podero.command.system"
local terminal = require "podero.command.terminal"
local text = require "podero.command.text"
local token_cache = require "podero.command.token_cache"

local main = {}

--- For --verbose: prints a line for each HTTP request.
local function print_event(event)
  if event.type ~= "exchange" then return end
  io.stderr:write(text.printable(("%s: %s %s: %s, attempt %d, %s in %.3f s"):format(event.purpose, event.method,
    event.url, event.status or event.error_kind or "-", event.attempt, text.bytes(event.bytes), event.seconds)), "\n")
end

--- Calls a function of the module. An argument that it does not take is wrong use.
local function check_arguments(given, ok, ...)
  if ok then return ... end
  local raised = ...
  -- An error about an argument begins with the position in this file: leave that out.
  if type(raised) == "string" then failure.usage(raised:match("%((.*)%)$") or raised, "podero " .. given.command) end
  error(raised, 0)
end

--- Returns a client. `shown`: the progress that is to show what it does (see progress.lua); may be nil.
local function new_client(given, shown)
  local options = arguments.client_options(given)
  if given.token_cache then options.token_store = token_cache.open(given.token_cache) end
  for name, value in pairs(credentials.find(given)) do options[name] = value end
  options.wait = shown and shown:wait()
  options.on_event = (shown or given.verbose) and function(event)
    if given.verbose then
      if shown then shown:clear() end
      print_event(event)
    end
    if shown then shown:event(event) end
  end or nil
  local client, err = check_arguments(given, pcall(podero.new, options))
  if not client and err.kind == "argument" then failure.usage(err.message, "podero " .. given.command) end
  if not client then error(err, 0) end
  system.catch_signals() -- not before: a question on the terminal ends in its own way
  return client
end

local commands = {}

--- Lists the organizations, one after the other: calls `add` for each user. With --keep-going, a list that fails is
-- reported. Returns the exit code, and raises if nothing is left to be written.
local function list_all(client, given, opts, add, shown, report)
  local code, complete = 0, 0
  for _, org_id in ipairs(given.org_id) do
    local ok, raised = pcall(function()
      for user in client:each_user(org_id, opts) do add(user) end
    end)
    shown:next_list()
    if not ok and not (given.keep_going and podero.is_error(raised)) then error(raised, 0) end
    if ok then
      complete = complete + 1
    else
      shown:clear()
      report(raised, org_id)
      code = failure.first(failure.code(raised), code ~= 0 and code or nil)
      if raised.kind == "auth" then break end -- the others would get the same answer
    end
  end
  if complete == 0 then failure.quiet(code) end
  return code
end

local function counter(sink)
  local count = 0
  return {
    add = function() count = count + 1 end,
    finish = function() sink:write(("%d\n"):format(count)) end,
  }
end

local function new_format(given, sink)
  if given.count then return counter(sink) end
  local is_table = given.format == "table"
  return formats[given.format](is_table and sink or terminal.escaped(sink), {
    colours = not given.output and terminal.has_colours(given.color),
    organizations = #given.org_id > 1,
    columns = given.columns,
    width = not given.output and sink.is_terminal and not given.wide and terminal.columns(io.stdout) or nil,
    delimiter = given.delimiter,
    bom = given.bom,
  })
end

--- Returns the fields of users that are needed for the output, nil for all.
local function wanted_fields(given)
  if given.count then return { "id" } end
  if not given.columns or given.format ~= "table" then return given.columns end
  return listing.fields(given.columns)
end

function commands.users(given, report)
  local shown = progress.new(arguments.host(given), not given.quiet, given.output ~= nil)
  local client = new_client(given, shown)
  local sink = output.open(given.output, function() shown:stop() end)
  local written, code = 0, nil
  local ok, raised = pcall(function()
    local format = new_format(given, sink)
    local opts = {
      include_deleted = given.include_deleted or false,
      role = #given.role > 0 and given.role or nil,
      search = given.search,
      fields = wanted_fields(given),
      on_progress = function(bytes, users) shown:show(bytes, users) end,
    }
    code = list_all(client, given, opts, function(user)
      format.add(user)
      written = written + 1
    end, shown, report)
    format.finish()
    sink:finish()
  end)
  shown:stop()
  client:close()
  if not ok then
    sink:discard()
    error(raised, 0)
  end
  shown:summary(written, given.output)
  return code
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

--- Sends a request and prints the JSON of its response as it came; for people, with a line for each value.
local function print_response(given, method, opts)
  local client = new_client(given)
  local target, query = path.split(given.path, given.query)
  opts.raw, opts.query = true, query
  local body, response = check_arguments(given, pcall(client.request, client, method, target, opts))
  client:close()
  if body == nil then error(response, 0) end -- it is the error then
  if body == "" then return end
  local sink = output.open(given.output)
  local ok, raised = pcall(function()
    json_text.copy(terminal.escaped(sink), body)
    sink:finish()
  end)
  if ok then return end
  sink:discard()
  error(raised, 0)
end

function commands.get(given)
  print_response(given, "GET", {})
end

--- Reads the body of a request from a file, or from standard input.
local function read_body(name)
  local file, message = io.stdin, nil
  if name ~= "-" then file, message = io.open(name, "rb") end
  local body
  if file then body, message = file:read("*a") end
  if not body then failure.setup("cannot read the body: " .. (message or name)) end
  if name ~= "-" then file:close() end
  return body
end

function commands.request(given)
  local opts = {}
  if given.data then opts.body, opts.content_type = read_body(given.data), given.content_type or "application/json" end
  print_response(given, given.method, opts)
end

local STANDARD = { [0] = "standard input", "standard output", "standard error" }

--- A descriptor that is closed would soon be a socket: what is printed would be sent there.
local function check_descriptors()
  for fd = 0, 2 do
    if not system.is_open(fd) then failure.error(STANDARD[fd] .. " is closed") end
  end
end

--- Calls a function that may print and end the process, as argparse does for help and completions, without a look at
-- whether that could be written. Returns what pcall returns; what was printed is written here, and os.exit raises.
local function captured(f, ...)
  local exit, print_line, write_text, stdout = os.exit, print, io.write, io.stdout
  local pieces = {}
  local function write(_, ...)
    for i = 1, select("#", ...) do pieces[#pieces + 1] = tostring((select(i, ...))) end
  end
  -- luacheck: push ignore 121 122
  os.exit = function(code) failure.quiet(code == true and 0 or code) end
  print, io.write = function(line) write(nil, line, "\n") end, function(...) write(nil, ...) end
  io.stdout = { write = write }
  local ok, result = pcall(f, ...)
  os.exit, print, io.write, io.stdout = exit, print_line, write_text, stdout
  -- luacheck: pop
  if #pieces > 0 then
    local sink = output.open()
    sink:write(table.concat(pieces))
    sink:finish()
  end
  return ok, result
end

local function run(list, report)
  check_descriptors()
  local ok, given = captured(arguments.parse, list)
  if not ok then error(given, 0) end
  return commands[given.command](given, report) or 0
end

--- Runs the command with these arguments, and returns its exit code.
function main.run(list)
  local report = reports.new(list)
  local ok, result = pcall(run, list, report)
  if ok then return result end
  if type(result) == "string" and result:find("interrupted!", 1, true) then system.die_of_interrupt() end
  report(result)
  return failure.code(result)
end

return main
